"""Win rates: how often one policy's statements are rated above another's (paper 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from commonweal.datasets.arms import Arm, arms_of
from commonweal.evaluation.metrics import (
    VALUE,
    Metric,
    MetricTable,
    Subject,
    Whole,
    counted,
    metric,
)
from commonweal.evaluation.plotting.canvas import Canvas, points
from commonweal.evaluation.rounds.rated import Rated, sign, won
from commonweal.evaluation.section import Section
from commonweal.measures.bootstrap import Resampler

if TYPE_CHECKING:
    from commonweal.evaluation.rounds.rated import BoolArray, IntArray
    from commonweal.showing import Plot
    from commonweal.types import FloatArray

STATISTICS = {"mean": "mean", "median": "median", "min": "minimum"}
PARTS = {
    "all": "all rounds",
    "train": "training questions",
    "iid_test": "within distribution",
    "ood_test": "out of distribution",
    "divisive": "divisive rounds",
    "not_divisive": "rounds that are not divisive",
}
"""What rounds metrics are of: all, those of a split, the divisive ones and the others."""
SIMPLEST_FIRST = ("zero_shot", "few_shot", "sft_base")
"""The baseline is the first of these that there is, and else the first policy by name. A study's
arm stands for the one that it is, whatever its name."""


_NAMES = {**STATISTICS, "person": "each person"}


@dataclass(frozen=True)
class GroupAgreement(Subject):
    """The group's agreement with a policy's statements."""

    policy: str
    statistic: str
    form = "agreement/{statistic}/{policy}"


@dataclass(frozen=True)
class WinRate(Subject):
    """A policy's win rate over another, of some rounds; ``statistic`` may be "person"."""

    policy: str
    against: str
    statistic: str
    rounds: str
    terms = (
        (
            "win rate",
            "how often one policy's statements are rated above another's in the same round; a "
            "policy is a way of writing statements, and rounds where both are even are left out",
        ),
    )
    form = "win_rate/{statistic}/{rounds}/{policy}/{against}"

    @property
    def where(self) -> str:
        """Which rounds, in brackets; empty where they are all."""
        return in_brackets(self.rounds)

    def is_headline(self, baseline: str, /) -> bool:
        """Those over the baseline, by the group's mean, of all rounds."""
        return (self.statistic, self.rounds, self.against) == ("mean", "all", baseline)


class Subset(NamedTuple):
    """Some of the rounds, one of ``PARTS``: ``where`` is bool [R]."""

    part: str
    where: BoolArray


class Pair(NamedTuple):
    """Two policies; a win is one of ``first`` over ``second``."""

    first: str
    second: str


def subsets(rated: Rated) -> list[Subset]:
    """All rounds, then those of each split, then the divisive ones and the others."""
    chosen = [Subset("all", np.ones(len(rated.round_ids), dtype=bool))]
    chosen += [
        Subset(split, rated.round_split == split)
        for split in ("train", "iid_test", "ood_test")
        if (rated.round_split == split).any()
    ]
    if not np.isnan(rated.is_divisive).all():
        chosen.append(Subset("divisive", rated.is_divisive == 1))
        chosen.append(Subset("not_divisive", rated.is_divisive == 0))
    return chosen


def in_brackets(part: str) -> str:
    """Which of ``PARTS``, to stand in a sentence: " (divisive rounds)"; empty where it is all."""
    return "" if part == "all" else f" ({PARTS[part]})"


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
        missing = Whole("win_rate", headline=True).unavailable("Win rate", reason)
        tables.append(MetricTable("Win rates", (missing,)))
        return _section(tables)
    all_rounds, *parts = subsets(rated)
    tables.append(
        MetricTable(
            "Win rates over all rounds",
            _of_rounds(rated, resampler, pairs, [all_rounds]),
            "A win rate counts how often, not by how much, and says nothing about what people "
            "still disagree about under both policies.",
        )
    )
    if parts:
        tables.append(
            MetricTable(
                "Win rates by split and by divisiveness",
                _of_rounds(rated, resampler, pairs, parts),
                "A difference between two parts of the rounds may come from their questions or "
                "their people; nobody was assigned to them by lot.",
            )
        )
    tables.append(
        MetricTable(
            "Win rates of each person",
            tuple(_of_people(rated, resampler, pairs)),
            "People who take part in many rounds count more often. It says nothing about the "
            "group.",
        )
    )
    return _section(tables)


def _section(tables: Sequence[MetricTable]) -> Section:
    return Section(
        "win_rates",
        "Win rates",
        "Paper 4.1",
        "The ratings of a person who rated a statement twice are averaged. The group's mean, "
        "minimum or median agreement is taken for each statement, over those who rated it, and "
        "averaged over a policy's statements in a round. Two policies are compared within a round; "
        "rounds where they are even are left out.",
        tuple(tables),
        draw=_plots,
    )


def _plots(section: Section, canvas: Canvas) -> list[Plot | None]:
    def pair(of: WinRate) -> str:
        return f"{of.policy} over {of.against}"

    metrics = section.having(WinRate)
    overall = [one for one in metrics if one.subject.rounds == "all"]
    by_part = [
        one for one in metrics if one.subject.statistic == "mean" and one.subject.rounds != "all"
    ]
    return [
        canvas.forest(
            [("Win rate", points(overall, pair, lambda of: _NAMES[of.statistic]))],
            "Win rates of one policy over another, ties left out; the line is a coin toss.",
            reference=0.5,
            limits=(0, 1),
        ),
        canvas.forest(
            [("Win rate, group mean", points(by_part, pair, lambda of: PARTS[of.rounds]))],
            "The same by split and by divisiveness.",
            reference=0.5,
            limits=(0, 1),
        ),
    ]


def pair_differences(rated: Rated, values: FloatArray, pairs: Sequence[Pair]) -> FloatArray:
    """First minus second policy, float [n_items, n_pairs]."""
    index = {name: i for i, name in enumerate(rated.policies)}
    first, second = ([index[name] for name in side] for side in zip(*pairs, strict=True))
    return values[:, first] - values[:, second]


def _means(rated: Rated, resampler: Resampler) -> MetricTable:
    low, high = rated.about.scale.low, rated.about.scale.high
    return MetricTable(
        "Agreement by policy",
        tuple(
            metric(
                estimate,
                GroupAgreement(name, statistic),
                f"{title.capitalize()} agreement, {name}",
                kind="points",
                n=n,
                unit="rounds",
                says=f"The group's {title} agreement with a statement of {name} is {VALUE} on "
                f"average, on the scale from {low} to {high}.",
                nothing=f"no statement of {name} was rated",
            )
            for statistic, title in STATISTICS.items()
            for name, (estimate, n) in zip(
                rated.policies,
                resampler.means(rated.by_round(statistic), rated.round_group),
                strict=True,
            )
        ),
        "Policies may have been rated in different rounds; the win rates compare within rounds.",
    )


def _of_rounds(
    rated: Rated, resampler: Resampler, pairs: Sequence[Pair], parts: Sequence[Subset]
) -> tuple[Metric[WinRate], ...]:
    metrics: list[Metric[WinRate]] = []
    for statistic, title in STATISTICS.items():
        signs = sign(pair_differences(rated, rated.by_round(statistic), pairs))
        metrics += _metrics(
            of_parts(signs, [part.where for part in parts]),
            rated.round_group,
            resampler,
            [WinRate(*pair, statistic, part.part) for part in parts for pair in pairs],
            unit="rounds",
            what=f"a higher group {title} agreement",
        )
    return tuple(metrics)


def of_parts(signs: FloatArray, parts: Sequence[BoolArray]) -> FloatArray:
    """The columns of signs [n_items, n] once for each part, nan outside it: [n_items, n_parts * n].

    ``parts`` are bool [n_items].
    """
    return np.concatenate([np.where(part[:, None], signs, np.nan) for part in parts], axis=1)


def _of_people(rated: Rated, resampler: Resampler, pairs: Sequence[Pair]) -> list[Metric[WinRate]]:
    return _metrics(
        sign(pair_differences(rated, rated.person_rounds.mean, pairs)),
        rated.person_rounds.group,
        resampler,
        [WinRate(*pair, "person", "all") for pair in pairs],
        unit="people in a round",
        what="a higher mean rating from that person",
    )


def _metrics(
    signs: FloatArray,
    group: IntArray,
    resampler: Resampler,
    subjects: Sequence[WinRate],
    *,
    unit: str,
    what: str,
) -> list[Metric[WinRate]]:
    """One for each column of signs [n_items, n_subjects]."""
    were = f"{unit} that were not even"
    metrics = []
    n_evens = (signs == 0).sum(axis=0).tolist()
    means = resampler.means(won(signs), group)
    for of, (estimate, n), n_even in zip(subjects, means, n_evens, strict=True):
        metrics.append(
            metric(
                estimate,
                of,
                f"Win rate of {of.policy} over {of.against}{of.where}, {_NAMES[of.statistic]}",
                kind="share",
                n=n,
                unit=were,
                says=f"In {VALUE} of the {counted(n, were)}{of.where}, the statements of "
                f"{of.policy} had {what} than those of {of.against}; {n_even:,} more were even.",
                nothing=f"the {counted(n_even, unit)}{of.where} with both "
                f"{'was' if n_even == 1 else 'were'} even"
                if n_even
                else f"there are no {unit}{of.where} with rated statements of both {of.policy} and "
                f"{of.against}",
            )
        )
    return metrics
