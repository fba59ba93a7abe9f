"""Intervals where rounds share questions: of groups and of questions together, two-way.

What a question adds to every group that is asked it is not seen by drawing groups. Rounds with
questions of their own need one set of resamples; where questions repeat, each metric is computed
with whole groups drawn, with whole questions, and with single rounds. Variances of groups and of
questions add up, and what both hold, the rounds' own, is taken off once (Cameron, Gelbach and
Miller 2011). The distance from the value to an end of the interval stands for the standard
deviation, on each side by itself. It is never less than the wider of groups and questions
(docs/decisions/018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from commonweal.evaluation.metrics import Metric, Subject
from commonweal.evaluation.section import Section
from commonweal.measures.bootstrap import Resampler
from commonweal.measures.intervals import MIN_CLUSTERS

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.evaluation.rounds.rated import Rated
    from commonweal.types import FloatArray

MAX_OF_ROUNDS = 2_000
"""Rounds are many and only correct the others: their resamples need not be as many."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """How intervals are drawn.

    Attributes:
        rated: the rounds in their groups.
        resampler: of the groups.
        by_question: the same rounds, the question of each as its cluster; None where every round
            has a question of its own.
        of_questions: the resampler of the questions.
        by_round: the same rounds, each its own cluster; None as ``by_question``.
        of_rounds: the resampler of the rounds.
    """

    rated: Rated
    resampler: Resampler
    by_question: Rated | None = None
    of_questions: Resampler | None = None
    by_round: Rated | None = None
    of_rounds: Resampler | None = None

    def section(self, make: Callable[[Rated, Resampler], Section]) -> Section:
        """The section that ``make`` gives, each interval of groups and questions together."""
        section = make(self.rated, self.resampler)
        if self.by_question is None or self.of_questions is None:
            return section
        if self.by_question.n_groups < MIN_CLUSTERS:
            return section  # no figure has enough questions, and the note says so of all
        of_questions = make(self.by_question, self.of_questions).by_subject
        of_rounds: dict[Subject, Metric[Subject]] = {}
        if self.by_round is not None and self.of_rounds is not None:
            of_rounds = make(self.by_round, self.of_rounds).by_subject
        return replace(
            section,
            tables=tuple(
                replace(
                    table,
                    figures=tuple(
                        _two_way(one, of_questions[one.subject], of_rounds.get(one.subject))
                        for one in table.figures
                    ),
                )
                for table in section.tables
            ),
        )

    @property
    def note(self) -> str:
        """What to know of all intervals; empty where no question and no person comes twice."""
        return " ".join(filter(None, (self._of_questions, self._of_people)))

    @property
    def _of_people(self) -> str:
        """Of people in several groups: what they add is not in the intervals."""
        one = self.rated
        group_of_cell = one.round_group[one.statement_round[one.cell_statement]]
        seats = np.unique(np.stack([one.cell_person, group_of_cell]), axis=1)
        n_groups_of = np.bincount(seats[0]) if seats.size else np.zeros(0)
        n_people, n_shared = int((n_groups_of > 0).sum()), int((n_groups_of > 1).sum())
        if not n_shared:
            return ""
        return (
            f"{n_shared:,} of {n_people:,} people rated in several groups, which the intervals "
            "take as independent: they are too narrow, and far too narrow where few people fill "
            "many groups."
        )

    @property
    def _of_questions(self) -> str:
        if self.by_question is None:
            return ""
        n, n_rounds = self.by_question.n_groups, len(self.rated.round_ids)
        shared = f"{n_rounds:,} rounds share {n:,} question{'s' if n != 1 else ''}"
        if n < MIN_CLUSTERS:
            return (
                f"{shared}: how far the figures would be others with other questions cannot be "
                "told from so few, and no interval holds it."
            )
        return (
            f"{shared}: each interval holds what whole groups and whole questions add, drawn one "
            "and the other; those of raters, of regressions and of what revision gained are of "
            "groups alone."
        )


def drawing(dataset: Dataset, rated: Rated, n_resamples: int, seed: int) -> Drawing:
    """The resamplers of the rounds' groups, and of their questions where they repeat.

    Raises:
        InputError: too few resamples.
    """
    resampler = Resampler(rated.n_groups, n_resamples, np.random.default_rng(seed))
    question_of = dict(dataset.rounds.select("round_id", "question_id").iter_rows())
    names, index = np.unique([question_of[one] for one in rated.round_ids], return_inverse=True)
    n_rounds = len(rated.round_ids)
    if len(names) == n_rounds:
        return Drawing(rated, resampler)
    by_question = replace(
        rated, group_names=tuple(map(str, names)), round_group=index.astype(np.int64)
    )
    by_round = replace(
        rated, group_names=rated.round_ids, round_group=np.arange(n_rounds, dtype=np.int64)
    )
    return Drawing(
        rated,
        resampler,
        by_question,
        Resampler(len(names), n_resamples, np.random.default_rng([seed, 1])),
        by_round,
        Resampler(n_rounds, min(n_resamples, MAX_OF_ROUNDS), np.random.default_rng([seed, 2])),
    )


def _two_way(
    groups: Metric[Subject], questions: Metric[Subject], rounds: Metric[Subject] | None
) -> Metric[Subject]:
    """The metric with the interval of all; as it is where groups have none, and with a warning
    where questions have none.
    """
    value, of_groups, of_questions = groups.value, _reach(groups), _reach(questions)
    if value is None or of_groups is None:
        return groups
    if of_questions is None:
        warning = (
            "Its interval holds what groups add and not what questions do, which are too few for "
            f"it ({questions.n_groups})."
        )
        return replace(groups, warning=" ".join(filter(None, (groups.warning, warning))))
    wider = np.maximum(of_groups, of_questions)
    of_rounds = None if rounds is None else _reach(rounds)
    both = wider**2
    if of_rounds is not None:
        both = np.maximum(both, of_groups**2 + of_questions**2 - of_rounds**2)
    reach = np.sqrt(both)
    low, high = value - reach[0], value + reach[1]
    if groups.kind == "share":
        low, high = max(low, 0.0), min(high, 1.0)
    # Taken off and added again, an end may lose its last digit.
    low = min(low, *(one.low for one in (groups, questions) if one.low is not None))
    high = max(high, *(one.high for one in (groups, questions) if one.high is not None))
    less_sure = questions if (questions.p_value or 0) > (groups.p_value or 0) else groups
    p_value = less_sure.p_value
    if p_value is not None:  # as much less sure as the side towards 0 is longer
        side = 0 if value > 0 else 1
        shorter = wider[side] / reach[side] if reach[side] > 0 else 1.0
        p_value = float(2 * ndtr(shorter * ndtri(p_value / 2)))
    return replace(
        groups,
        low=float(low),
        high=float(high),
        p_value=p_value,
        p_is_floor=less_sure.p_is_floor,
    )


def _reach(one: Metric[Subject]) -> FloatArray | None:
    """How far the interval reaches below the value and above it, [2]; None without one."""
    if one.value is None or one.low is None or one.high is None:
        return None
    return np.maximum([one.value - one.low, one.high - one.value], 0.0)
