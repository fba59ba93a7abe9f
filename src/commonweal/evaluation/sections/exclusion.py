"""Whether people agree more with statements that were written with their opinion (paper 4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.evaluation.metrics import VALUE, MetricTable, Subject, Whole, metric
from commonweal.evaluation.plotting.canvas import Canvas, points
from commonweal.evaluation.rounds.rated import Rated, over_people
from commonweal.evaluation.section import Section
from commonweal.measures.bootstrap import Resampler

if TYPE_CHECKING:
    from commonweal.showing import Plot
    from commonweal.types import FloatArray

OUTCOMES = ("agreement", "quality")
_GAP = "agreement minus quality"


@dataclass(frozen=True)
class Inclusion(Subject):
    """What being included adds to an outcome, of one policy or, None, of all."""

    outcome: str
    policy: str | None = None
    terms = (("included", "the policy saw the person's opinion when it wrote the statement"),)

    @property
    def key(self) -> str:
        """Without the parts that it does not have."""
        whose = f"/{self.policy}" if self.policy else ""
        return f"inclusion/{self.outcome.replace(' ', '_')}{whose}"

    def is_headline(self, _baseline: str, /) -> bool:
        """Agreement and quality, of all policies."""
        return self.policy is None and self.outcome != _GAP


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
        missing = tuple(
            Whole(f"inclusion/{outcome}", headline=True).unavailable(
                f"Included minus excluded, {outcome}", reason
            )
            for outcome in OUTCOMES
        )
        table = MetricTable("Included minus excluded", missing)
    else:
        table = _table(rated, resampler)
    return Section(
        "exclusion",
        "People whose opinion was left out",
        "Paper 4.3",
        "For each candidate that was written without some of the group's opinions: the median "
        "rating of the people whose opinion the policy saw, minus that of the people whose opinion "
        "it did not see. The mean of these differences over candidates.",
        (table,),
        draw=_plots,
    )


def _plots(section: Section, canvas: Canvas) -> list[Plot | None]:
    drawn = points(
        section.having(Inclusion), lambda of: of.outcome, lambda of: of.policy or "all policies"
    )
    return [
        canvas.forest(
            [("Included minus excluded, points", drawn)],
            "How much higher people rate candidates that were written with their opinion.",
            reference=0,
        )
    ]


def nothing_excluded(rated: Rated) -> str:
    """Why included and excluded people cannot be compared; empty where they can."""
    if (rated.included == -1).all():
        return "which opinions a policy saw is not recorded for any candidate"
    if not (rated.included == 0).any():
        return "every candidate was written with the opinions of all who rated it"
    if np.isnan(differences(rated, "agreement")).all():
        return "no candidate was rated by somebody included and by somebody excluded"
    return ""


def _table(rated: Rated, resampler: Resampler) -> MetricTable:
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
    means = resampler.means(np.stack(columns, axis=1), rated.statement_group)
    subjects = [Inclusion(kind, name) for name in names for kind in (*OUTCOMES, _GAP)]
    metrics = []
    for (estimate, n), of in zip(means, subjects, strict=True):
        is_gap = of.outcome == _GAP
        title = "Agreement minus quality" if is_gap else f"Included minus excluded, {of.outcome}"
        metrics.append(
            metric(
                estimate,
                of,
                f"{title}, {of.policy or 'all policies'}",
                kind="points",
                n=n,
                unit="candidates with both" if is_gap else "candidates",
                says=_says(of),
                nothing="no candidate has ratings of both agreement and quality from both sides"
                if is_gap
                else f"no candidate has ratings of {of.outcome} from both sides",
                test=True,
            )
        )
    return MetricTable(
        "Included minus excluded",
        tuple(metrics),
        "The effect is causal only if the people left out were drawn by lot, as in the paper. "
        'The p values are two-sided and come from the same resamples as the intervals; "≤" stands '
        "where all resamples lie on one side of 0, as fewer groups can show no smaller one "
        "(0.019 with 6).",
    )


def _left_some_out(rated: Rated) -> list[str]:
    """The policies with a candidate that did not see the opinion of somebody who rated it."""
    there = np.unique(rated.statement_policy[rated.cell_statement[rated.included == 0]])
    names = [rated.policies[i] for i in there]
    return [name for name in rated.machine_policies if name in names]


def _says(of: Inclusion) -> str:
    if of.outcome == _GAP:
        return (
            f"Being left out takes {VALUE} points more from agreement than from quality"
            f"{f' ({of.policy})' if of.policy else ''}: "
            "above 0, it is not only that people like better what they had a part in."
        )
    whose = f"the candidates of {of.policy}" if of.policy else "its candidates"
    return (
        f"People whose opinion the policy saw gave {whose} {VALUE} points more "
        f"for {of.outcome} than people whose opinion it did not see."
    )
