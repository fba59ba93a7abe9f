"""Whether people agree more with statements that were written with their opinion (paper 4.3)."""

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
from commonweal.evaluation.rounds.rated import Rated, over_people
from commonweal.measures.bootstrap import Resampler, by_group

if TYPE_CHECKING:
    from commonweal.types import FloatArray

OUTCOMES = ("agreement", "quality")


def differences(rated: Rated, outcome: str) -> FloatArray:
    """Per statement: median rating of included people minus that of excluded ones, [S].

    ``outcome`` is "agreement" or "quality"; nan where one side has no rating. People without an
    opinion in the round are on neither side.
    """
    values = rated.agreement if outcome == "agreement" else rated.quality
    inside, outside = (
        over_people(
            np.where(rated.included == side, values, np.nan),
            rated.cell_statement,
            len(rated.words),
            "median",
        )
        for side in (1, 0)
    )
    return np.where(rated.is_human, np.nan, inside - outside)


def exclusion(rated: Rated, resampler: Resampler) -> Section:
    """The difference for agreement and for quality, and the test between the two."""
    reason = nothing_excluded(rated)
    if reason:
        tables = (
            Table(
                "Included minus excluded",
                tuple(
                    unavailable(
                        f"inclusion/{outcome}",
                        f"Included minus excluded, {outcome}",
                        reason,
                    )
                    for outcome in OUTCOMES
                ),
                "",
            ),
        )
    else:
        tables = (_table(rated, resampler),)
    return Section(
        "exclusion",
        "People whose opinion was left out",
        "Paper 4.3",
        "For each candidate that was written without some of the group's opinions: the median "
        "rating of the people whose opinion the policy saw, minus that of the people whose opinion "
        "it did not see. The mean of these differences over candidates.",
        tables,
    )


def nothing_excluded(rated: Rated) -> str:
    """Why included and excluded people cannot be compared; empty where they can."""
    if (rated.included == -1).all():
        return "which opinions a policy saw is not recorded for any candidate"
    if not (rated.included == 0).any():
        return "every candidate was written with the opinions of all who rated it"
    if np.isnan(differences(rated, "agreement")).all():
        return "no candidate was rated by somebody included and by somebody excluded"
    return ""


def _table(rated: Rated, resampler: Resampler) -> Table:
    agreement, quality = (differences(rated, outcome) for outcome in OUTCOMES)
    names: list[str | None] = [None, *_left_some_out(rated)]
    columns = []
    for name in names:
        mine = np.ones(len(agreement), dtype=bool)
        if name is not None:
            mine = rated.statement_policy == rated.policies.index(name)
        columns += [
            np.where(mine, values, np.nan) for values in (agreement, quality, agreement - quality)
        ]
    values = np.stack(columns, axis=1)
    known = ~np.isnan(values)
    estimates = resampler.ratios(
        by_group(values, rated.statement_group, rated.n_groups),
        by_group(known, rated.statement_group, rated.n_groups),
    )
    kinds = (*OUTCOMES, _GAP)
    figures: list[Figure] = []
    for i, estimate in enumerate(estimates):
        name, kind = names[i // len(kinds)], kinds[i % len(kinds)]
        of = {"outcome": kind.replace("_", " "), **({} if name is None else {"policy": name})}
        figures.append(
            figure(
                estimate,
                f"inclusion/{kind}" + (f"/{name}" if name else ""),
                ("Agreement minus quality" if kind == _GAP else f"Included minus excluded, {kind}")
                + (f", {name}" if name else ", all policies"),
                kind="points",
                n=int(known[:, i].sum()),
                unit="candidates with both" if kind == _GAP else "candidates",
                says=_says(kind, name),
                nothing=_nothing(kind),
                of=of,
                test=True,
            )
        )
    return Table(
        "Included minus excluded",
        tuple(figures),
        "The effect is causal only where who was left out was drawn by lot, as in the paper. "
        'The p values are two-sided and come from the same resamples as the intervals; "≤" stands '
        "where all resamples lie on one side of 0, as fewer groups can show no smaller one "
        "(0.019 with 6).",
    )


_GAP = "agreement_minus_quality"


def _left_some_out(rated: Rated) -> list[str]:
    """The policies with a candidate that did not see the opinion of somebody who rated it."""
    there = np.unique(rated.statement_policy[rated.cell_statement[rated.included == 0]])
    found = [rated.policies[i] for i in there]
    return [name for name in rated.machine_policies if name in found]


def _says(kind: str, name: str | None) -> str:
    whose = f"the candidates of {name}" if name else "its candidates"
    if kind == _GAP:
        return (
            f"Being left out takes {VALUE} points more from agreement than from quality"
            f"{f' ({name})' if name else ''}: "
            "above 0, it is not only that people like better what they had a part in."
        )
    return (
        f"People whose opinion the policy saw gave {whose} {VALUE} points more "
        f"for {kind} than people whose opinion it did not see."
    )


def _nothing(kind: str) -> str:
    if kind == _GAP:
        return "no candidate has ratings of both agreement and quality from both sides"
    return f"no candidate has ratings of {kind} from both sides"
