"""Candidates against what the people themselves wrote (paper 4.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.datasets.arms import HUMAN
from commonweal.evaluation.metrics import VALUE, Metric, MetricTable, Subject, Whole, metric
from commonweal.evaluation.plotting.canvas import Canvas, points
from commonweal.evaluation.rounds.rated import Rated, sign, won
from commonweal.evaluation.section import Section
from commonweal.evaluation.sections.win_rates import PARTS, in_brackets, of_parts, subsets
from commonweal.measures.bootstrap import Resampler, by_group

if TYPE_CHECKING:
    from commonweal.showing import Plot
    from commonweal.types import FloatArray


@dataclass(frozen=True)
class AboveOpinions(Subject):
    """How often a policy is rated above people's opinions, "mean" or "best" of each."""

    policy: str
    comparison: str
    rounds: str
    form = "against_human/{comparison}/{rounds}/{policy}"

    def is_headline(self, _baseline: str, /) -> bool:
        """Those of all rounds."""
        return self.rounds == "all"


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
        missing = {
            title: Whole(f"against_human/{comparison}", headline=True).unavailable(
                f"Against human opinions, {title}", reason
            )
            for comparison, (title, _) in _WHAT.items()
        }
        return _section(
            tuple(MetricTable(title.capitalize(), (one,)) for title, one in missing.items())
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
        "best": "The side with more statements has the better best "
        "one. Statements a round on average: "
        + ", ".join(
            f"{name} {n_statements[i]:.1f}" for i, name in enumerate(rated.policies) if i != human
        )
        + f", people's opinions {n_statements[human]:.1f}; nobody rates their own.",
    }
    return _section(
        tuple(
            MetricTable(
                _WHAT[comparison][0].capitalize(),
                tuple(_metrics(rated, resampler, comparison)),
                cautions[comparison],
            )
            for comparison in _WHAT
        )
    )


def _section(tables: tuple[MetricTable, ...]) -> Section:
    return Section(
        "against_human",
        "Against what people wrote",
        "Paper 4.4",
        "For each person in each round: the mean (and the best) of that person's ratings of a "
        "policy's candidates against the mean (and the best) of their ratings of what the others "
        "wrote. Ties are left out.",
        tables,
        draw=_plots,
    )


def _plots(section: Section, canvas: Canvas) -> list[Plot | None]:
    drawn = points(
        section.having(AboveOpinions),
        lambda of: of.policy + ("" if of.rounds == "all" else f", {PARTS[of.rounds]}"),
        lambda of: _WHAT[of.comparison][0],
    )
    return [
        canvas.forest(
            [("Candidates rated above the others' opinions", drawn)],
            "How often a person rates a policy's candidates above what the others wrote.",
            reference=0.5,
            limits=(0, 1),
        )
    ]


def _metrics(rated: Rated, resampler: Resampler, comparison: str) -> list[Metric[AboveOpinions]]:
    people = rated.person_rounds
    parts = subsets(rated)
    signs = of_parts(
        sign(differences(rated, comparison)), [part.where[people.round] for part in parts]
    )
    subjects = [
        AboveOpinions(name, comparison, part.part)
        for part in parts
        for name in rated.machine_policies
    ]
    title, what = _WHAT[comparison]
    metrics = []
    n_evens = (signs == 0).sum(axis=0).tolist()
    means = resampler.means(won(signs), people.group)
    for of, (estimate, n), n_even in zip(subjects, means, n_evens, strict=True):
        where = in_brackets(of.rounds)
        metrics.append(
            metric(
                estimate,
                of,
                f"{of.policy} over people's opinions{where}, {title}",
                kind="share",
                n=n,
                unit="people in a round that were not even",
                says=f"In {VALUE} of {n:,} cases that were not even{where}, a person gave the "
                f"candidates of {of.policy} {what}; {n_even:,} more were even.",
                nothing=f"nobody{where} rated both candidates of {of.policy} and others' opinions "
                "differently",
            )
        )
    return metrics
