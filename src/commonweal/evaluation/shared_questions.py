"""Intervals where rounds share questions: the wider of drawing groups and of drawing questions.

What a question adds to every group that is asked it is not seen by drawing groups. Rounds with
questions of their own need one set of resamples; where questions repeat, each figure is computed a
second time with whole questions drawn, and its interval reaches as far as either
(docs/decisions/018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from commonweal.evaluation.figures import Figure, Section
from commonweal.measures.bootstrap import Resampler
from commonweal.measures.intervals import MIN_CLUSTERS

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.evaluation.rated import Rated


@dataclass(frozen=True, slots=True)
class Drawing:
    """How intervals are drawn.

    Attributes:
        rated: the rounds in their groups.
        resampler: of the groups.
        by_question: the same rounds, the question of each as its cluster; None where every round
            has a question of its own.
        of_questions: the resampler of the questions.
    """

    rated: Rated
    resampler: Resampler
    by_question: Rated | None
    of_questions: Resampler | None

    def section(self, make: Callable[[Rated, Resampler], Section]) -> Section:
        """The section that ``make`` gives, each interval the wider of both."""
        section = make(self.rated, self.resampler)
        if self.by_question is None or self.of_questions is None:
            return section
        others = {one.key: one for one in make(self.by_question, self.of_questions).figures}
        return replace(
            section,
            tables=tuple(
                replace(table, figures=tuple(_wider(one, others[one.key]) for one in table.figures))
                for table in section.tables
            ),
        )

    @property
    def note(self) -> str:
        """What to know of all intervals; empty where rounds do not share questions."""
        if self.by_question is None:
            return ""
        n, n_rounds = self.by_question.n_groups, len(self.rated.round_ids)
        said = f"{n_rounds:,} rounds share {n:,} question{'s' if n != 1 else ''}"
        if n < MIN_CLUSTERS:
            return (
                f"{said}: how far the figures would be others with other questions cannot be told "
                "from so few, and no interval holds it."
            )
        return (
            f"{said}: each interval is the wider of two, one from drawing whole groups and one "
            "from drawing whole questions; those of raters and of regressions are of groups alone."
        )


def drawing(dataset: Dataset, found: Rated, n_resamples: int, seed: int) -> Drawing:
    """The resamplers of the rounds' groups, and of their questions where they repeat.

    Raises:
        InputError: too few resamples.
    """
    resampler = Resampler(found.n_groups, n_resamples, np.random.default_rng(seed))
    question_of = dict(dataset.rounds.select("round_id", "question_id").iter_rows())
    names, index = np.unique([question_of[one] for one in found.round_ids], return_inverse=True)
    if len(names) == len(found.round_ids):
        return Drawing(found, resampler, None, None)
    by_question = replace(
        found, group_names=tuple(map(str, names)), round_group=index.astype(np.int64)
    )
    again = Resampler(len(names), n_resamples, np.random.default_rng([seed, 1]))
    return Drawing(found, resampler, by_question, again)


def _wider(one: Figure, other: Figure) -> Figure:
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return one
    less_sure = other if (other.p_value or 0) > (one.p_value or 0) else one
    return replace(
        one,
        low=min(one.low, other.low),
        high=max(one.high, other.high),
        p_value=less_sure.p_value,
        p_is_floor=less_sure.p_is_floor,
    )
