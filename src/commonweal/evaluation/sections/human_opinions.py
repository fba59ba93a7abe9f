"""Candidates against what the people themselves wrote (paper 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from commonweal.evaluation.metrics import (
    VALUE,
    Figure,
    Section,
    Table,
    figure,
    unavailable,
)
from commonweal.evaluation.rounds.rated import HUMAN, Rated, sign
from commonweal.evaluation.sections.win_rates import subsets
from commonweal.measures.bootstrap import Resampler, by_group

if TYPE_CHECKING:
    from commonweal.types import FloatArray

_WHAT = {
    "mean": ("mean against mean", "a higher mean rating than the others' opinions"),
    "best": (
        "best against best",
        "a higher rating, the best against the best, than the others' opinions",
    ),
}


def differences(rated: Rated, comparison: str) -> FloatArray:
    """Each person's rating of a policy less that of others' opinions, [Q, n_machine_policies].

    ``comparison`` is "mean" or "best"; nan where the person has not rated both.
    """
    people = rated.person_rounds
    values = people.mean if comparison == "mean" else people.best
    columns = [rated.policies.index(name) for name in rated.machine_policies]
    result: FloatArray = values[:, columns] - values[:, [rated.policies.index(HUMAN)]]
    return result


def nothing_to_compare(rated: Rated) -> str:
    """Why candidates cannot be compared with people's opinions; empty where they can."""
    if HUMAN not in rated.policies:
        return "nobody rated what others wrote: no statement shown is by a person"
    if not rated.machine_policies:
        return "no statement was written by a policy: all are people's"
    return ""


def against_human_opinions(rated: Rated, resampler: Resampler) -> Section:
    """How often a person rates a policy's candidates above the others' opinions."""
    reason = nothing_to_compare(rated)
    if reason:
        return _section(
            tuple(
                Table(
                    _WHAT[comparison][0].capitalize(),
                    (
                        unavailable(
                            f"against_human/{comparison}",
                            f"Against human opinions, {_WHAT[comparison][0]}",
                            reason,
                        ),
                    ),
                    "",
                )
                for comparison in _WHAT
            )
        )
    human = rated.policies.index(HUMAN)
    n_statements = by_group(
        np.eye(len(rated.policies))[rated.statement_policy],
        rated.statement_round,
        len(rated.round_ids),
    ).mean(axis=0)
    cautions = {
        "mean": "Opinions are what one person thinks, not attempts at common ground: they were not "
        "written to please the others.",
        "best": "Who has more statements has the better best. Statements a round on average: "
        + ", ".join(
            f"{name} {n_statements[i]:.1f}" for i, name in enumerate(rated.policies) if i != human
        )
        + f", people's opinions {n_statements[human]:.1f}; nobody rates their own.",
    }
    return _section(
        tuple(
            Table(
                _WHAT[comparison][0].capitalize(),
                tuple(_figures(rated, resampler, comparison)),
                cautions[comparison],
            )
            for comparison in _WHAT
        )
    )


def _section(tables: tuple[Table, ...]) -> Section:
    return Section(
        "against_human",
        "Against what people wrote",
        "Paper 4.4",
        "For each person in each round: the mean (and the best) of that person's ratings of a "
        "policy's candidates against the mean (and the best) of their ratings of what the others "
        "wrote. Ties are left out.",
        tables,
    )


def _figures(rated: Rated, resampler: Resampler, comparison: str) -> list[Figure]:
    people = rated.person_rounds
    signs = sign(differences(rated, comparison))
    parts = subsets(rated)
    by_part = np.concatenate(
        [np.where(part.where[people.round, None], signs, np.nan) for part in parts], axis=1
    )
    decided = np.abs(by_part) == 1
    estimates = resampler.ratios(
        by_group(by_part == 1, people.group, rated.n_groups),
        by_group(decided, people.group, rated.n_groups),
    )
    columns = [(part, name) for part in parts for name in rated.machine_policies]
    title, what = _WHAT[comparison]
    figures = []
    for i, (estimate, (part, name)) in enumerate(zip(estimates, columns, strict=True)):
        where = "" if part.key == "all" else f" ({part.title})"
        n, n_even = int(decided[:, i].sum()), int((by_part[:, i] == 0).sum())
        figures.append(
            figure(
                estimate,
                f"against_human/{comparison}/{part.key}/{name}",
                f"{name} over people's opinions{where}, {title}",
                kind="share",
                n=n,
                unit="people in a round that were not even",
                says=f"In {VALUE} of {n:,} cases that were not even{where}, a person gave the "
                f"candidates of {name} {what}; {n_even:,} more were even.",
                nothing=f"nobody{where} rated both candidates of {name} and others' opinions "
                "differently",
                of={"policy": name, "comparison": comparison, "rounds": part.key},
            )
        )
    return figures
