"""Win rates: how often one policy's statements are rated above another's (paper 4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from commonweal.datasets.arms import Arm, arms_of
from commonweal.evaluation.metrics import (
    VALUE,
    Figure,
    Section,
    Table,
    counted,
    figure,
    unavailable,
)
from commonweal.evaluation.rounds.rated import Rated, over_policies, sign
from commonweal.measures.bootstrap import Resampler, by_group
from commonweal.measures.intervals import Estimate

if TYPE_CHECKING:
    from commonweal.evaluation.rounds.rated import BoolArray
    from commonweal.types import FloatArray

STATISTICS = {"mean": "mean", "median": "median", "min": "minimum"}
SPLIT_TITLES = {
    "train": "training questions",
    "iid_test": "within distribution",
    "ood_test": "out of distribution",
}
SIMPLEST_FIRST = ("zero_shot", "few_shot", "sft_base")
"""The baseline is the first of these that there is, and else the first policy by name. A study's
arm stands for the one that it is, whatever its name."""


_NAMES = {**STATISTICS, "person": "each person"}


class Subset(NamedTuple):
    """Some of the rounds: ``where`` is bool [R]."""

    key: str
    title: str
    where: BoolArray


class Pair(NamedTuple):
    """Two policies; a win is one of ``first`` over ``second``."""

    first: str
    second: str


def subsets(rated: Rated) -> list[Subset]:
    """All rounds, then those of each split, then the divisive ones and the others."""
    found = [Subset("all", "all rounds", np.ones(len(rated.round_ids), dtype=bool))]
    found += [
        Subset(split, title, rated.round_split == split)
        for split, title in SPLIT_TITLES.items()
        if (rated.round_split == split).any()
    ]
    if not np.isnan(rated.is_divisive).all():
        found.append(Subset("divisive", "divisive rounds", rated.is_divisive == 1))
        found.append(Subset("not_divisive", "rounds that are not divisive", rated.is_divisive == 0))
    return found


def default_baseline(rated: Rated) -> str | None:
    """What the other policies are compared with; None without policies."""
    others, known = _by_simplicity(rated)
    return next(iter([*reversed(known), *others]), None)


def pairs_of(rated: Rated, baseline: str | None) -> list[Pair]:
    """Each policy against the baseline, then every other pair, the simpler one second."""
    # The simplest last: a win rate is one over the simpler policy.
    others = [name for part in _by_simplicity(rated) for name in part if name != baseline]
    against = [Pair(name, baseline) for name in others] if baseline is not None else []
    return against + [Pair(a, b) for a, b in combinations(others, 2)]


def _by_simplicity(rated: Rated) -> tuple[list[str], list[str]]:
    """The policies that are none of ``SIMPLEST_FIRST``, by name; those that are, simplest last."""
    arms = arms_of(rated.about)

    def place(name: str) -> int:
        simple = _simple(arms[name]) if name in arms else name
        return SIMPLEST_FIRST.index(simple) if simple in SIMPLEST_FIRST else len(SIMPLEST_FIRST)

    def order(name: str) -> tuple[int, bool, str]:
        # One sample is simpler than the best of several.
        return place(name), not (name in arms and arms[name].is_one_sample), name

    names = sorted(rated.machine_policies)
    known = [name for name in names if place(name) < len(SIMPLEST_FIRST)]
    return [name for name in names if name not in known], sorted(known, key=order, reverse=True)


def _simple(arm: Arm) -> str:
    """Which of ``SIMPLEST_FIRST`` the arm is; empty where it is none."""
    if arm.policy in ("zero_shot", "few_shot"):
        return arm.policy
    return "sft_base" if arm.is_one_sample else ""


def by_round(rated: Rated, statistic: str) -> FloatArray:
    """The group's agreement with a policy's statements in each round, float [R, n_policies].

    The group's mean, min or median agreement with a statement, averaged over the policy's
    statements in the round; nan where it has none that was rated.
    """
    return over_policies(
        rated.group_agreement[statistic],
        rated.statement_round,
        rated.statement_policy,
        (len(rated.round_ids), len(rated.policies)),
    )


def win_rates(rated: Rated, resampler: Resampler, baseline: str | None) -> Section:
    """Win rates over all pairs of policies, by split and divisiveness, and of each person."""
    pairs = pairs_of(rated, baseline)
    tables = [_means(rated, resampler)]
    if not pairs:
        only = ", ".join(rated.machine_policies)
        reason = (
            f"a win rate compares two policies, and there is {only} alone"
            if only
            else "no statement was written by a policy: all are people's"
        )
        missing = unavailable("win_rate", "Win rate", reason)
        tables.append(Table("Win rates", (missing,), ""))
        return _section(tables)
    differences = {
        statistic: _differences(rated, by_round(rated, statistic), pairs)
        for statistic in STATISTICS
    }
    all_rounds, *parts = subsets(rated)
    tables.append(
        Table(
            "Win rates over all rounds",
            tuple(
                one
                for statistic in STATISTICS
                for one in _win_figures(
                    rated,
                    resampler,
                    differences[statistic],
                    pairs,
                    [all_rounds],
                    statistic,
                )
            ),
            "A win rate counts how often, not by how much, and says nothing of what both policies "
            "leave people disagreeing about.",
        )
    )
    if parts:
        tables.append(
            Table(
                "Win rates by split and by divisiveness",
                tuple(
                    one
                    for statistic in STATISTICS
                    for one in _win_figures(
                        rated, resampler, differences[statistic], pairs, parts, statistic
                    )
                ),
                "A difference between two parts of the rounds may come from their questions or "
                "their people; nobody was assigned to them by lot.",
            )
        )
    tables.append(
        Table(
            "Win rates of each person",
            tuple(_person_figures(rated, resampler, pairs)),
            "People who take part in many rounds count more often. It says nothing of the group.",
        )
    )
    return _section(tables)


def _section(tables: Sequence[Table]) -> Section:
    return Section(
        "win_rates",
        "Win rates",
        "Paper 4.1",
        "The ratings of a person who rated a statement twice are averaged. The group's mean, "
        "minimum or median agreement is taken for each statement, over those who rated it, and "
        "averaged over a policy's statements in a round. Two policies are compared within a round; "
        "rounds where they are even are left out.",
        tuple(tables),
    )


def _differences(rated: Rated, values: FloatArray, pairs: Sequence[Pair]) -> FloatArray:
    """First minus second policy, float [n_items, n_pairs]."""
    index = {name: i for i, name in enumerate(rated.policies)}
    first, second = ([index[name] for name in side] for side in zip(*pairs, strict=True))
    return values[:, first] - values[:, second]


def _means(rated: Rated, resampler: Resampler) -> Table:
    figures: list[Figure] = []
    for statistic, title in STATISTICS.items():
        values = by_round(rated, statistic)
        known = ~np.isnan(values)
        above = by_group(values, rated.round_group, rated.n_groups)
        below = by_group(known, rated.round_group, rated.n_groups)
        for i, (name, estimate) in enumerate(
            zip(rated.policies, resampler.ratios(above, below), strict=True)
        ):
            n = int(known[:, i].sum())
            figures.append(
                figure(
                    estimate,
                    f"agreement/{statistic}/{name}",
                    f"{title.capitalize()} agreement, {name}",
                    kind="points",
                    n=n,
                    unit="rounds",
                    says=(
                        f"The group's {title} agreement with a statement of {name} is {VALUE} on "
                        f"average, on the scale from {rated.about.scale.low} to "
                        f"{rated.about.scale.high}."
                    ),
                    nothing=f"no statement of {name} was rated",
                    of={"policy": name, "statistic": statistic},
                )
            )
    return Table(
        "Agreement by policy",
        tuple(figures),
        "Policies may have been rated in different rounds; the win rates compare within rounds.",
    )


def _win_figures(
    rated: Rated,
    resampler: Resampler,
    difference: FloatArray,
    pairs: Sequence[Pair],
    parts: Sequence[Subset],
    statistic: str,
) -> list[Figure]:
    signs = np.concatenate(
        [np.where(part.where[:, None], sign(difference), np.nan) for part in parts], axis=1
    )
    won, decided = signs == 1, np.abs(signs) == 1
    estimates = resampler.ratios(
        by_group(won, rated.round_group, rated.n_groups),
        by_group(decided, rated.round_group, rated.n_groups),
    )
    return [
        _win_figure(
            estimate,
            pair,
            n=int(decided[:, i].sum()),
            n_even=int((signs[:, i] == 0).sum()),
            unit="rounds",
            key=f"win_rate/{statistic}/{part.key}/{pair.first}/{pair.second}",
            what=f"a higher group {STATISTICS[statistic]} agreement",
            where="" if part.key == "all" else f" ({part.title})",
            of={"statistic": statistic, "rounds": part.key},
        )
        for i, (estimate, (part, pair)) in enumerate(
            zip(estimates, ((part, pair) for part in parts for pair in pairs), strict=True)
        )
    ]


def _win_figure(
    estimate: Estimate,
    pair: Pair,
    *,
    n: int,
    n_even: int,
    unit: str,
    key: str,
    what: str,
    where: str,
    of: Mapping[str, str],
) -> Figure:
    first, second = pair
    decided = f"{unit} that were not even"
    return figure(
        estimate,
        key,
        f"Win rate of {first} over {second}{where}, {_NAMES[of['statistic']]}",
        kind="share",
        n=n,
        unit=decided,
        says=(
            f"In {VALUE} of the {counted(n, decided)}{where}, the statements of {first} "
            f"had {what} than those of {second}; {n_even:,} more were even."
        ),
        nothing=(
            f"the {counted(n_even, unit)}{where} with both {'was' if n_even == 1 else 'were'} even"
            if n_even
            else f"there are no {unit}{where} with rated statements of both {first} and {second}"
        ),
        of={"policy": first, "against": second, **of},
    )


def _person_figures(rated: Rated, resampler: Resampler, pairs: Sequence[Pair]) -> list[Figure]:
    people = rated.person_rounds
    signs = sign(_differences(rated, people.mean, pairs))
    won, decided = signs == 1, np.abs(signs) == 1
    estimates = resampler.ratios(
        by_group(won, people.group, rated.n_groups), by_group(decided, people.group, rated.n_groups)
    )
    return [
        _win_figure(
            estimate,
            pair,
            n=int(decided[:, i].sum()),
            n_even=int((signs[:, i] == 0).sum()),
            unit="people in a round",
            key=f"win_rate/person/all/{pair.first}/{pair.second}",
            what="a higher mean rating from that person",
            where="",
            of={"statistic": "person", "rounds": "all"},
        )
        for i, (estimate, pair) in enumerate(zip(estimates, pairs, strict=True))
    ]
