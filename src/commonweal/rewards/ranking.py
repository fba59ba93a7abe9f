"""A round's statements by welfare: ratings where people gave them, predictions elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from commonweal.datasets.agreements import matrix
from commonweal.datasets.dataset import Dataset
from commonweal.errors import InputError
from commonweal.rewards.warm import warm_profile
from commonweal.rules import resolve_rule
from commonweal.types import RewardModel
from commonweal.welfare import rank


@dataclass(frozen=True, slots=True)
class RankedStatement:
    """A statement and what it is worth.

    Attributes:
        welfare: of everybody's ratings on the 7-point scale, given or predicted.
        n_rated: how many people have rated it.
        least: the least of these ratings.
    """

    text: str
    welfare: float
    n_rated: int
    least: float


@dataclass(frozen=True, slots=True)
class RankedRound:
    """A round's statements, best first, and how many people are in it."""

    question: str
    n_people: int
    statements: tuple[RankedStatement, ...]


def rank_statements(
    model: RewardModel,
    dataset: Dataset,
    round_id: str | None = None,
    *,
    welfare: str = "utilitarian",
    min_rated: int = 1,
    seed: int = 0,
    on_done: Callable[[int, int], None] | None = None,
) -> RankedRound:
    """The round's statements by welfare, best first; predictions are warm (``rewards.warm``).

    Args:
        model: predicts where nobody has rated and no rating helps.
        dataset: with ratings.
        round_id: which round; needless where there is one.
        welfare: a name that ``resolve_rule`` knows.
        min_rated: statements that fewer people have rated are left out.
        seed: the same seed, the same ranking.
        on_done: called with (n_pairs_scored, n_pairs).

    Raises:
        InputError: no such round, or several and none is named; an unknown welfare; no statement
            was rated by so many.
    """
    rule = resolve_rule(welfare)
    there = dataset.rounds["round_id"].to_list()
    if not there:
        raise InputError(f"{dataset.about.name} has no rounds; expected one with rated statements")
    if round_id is None and len(there) > 1:
        raise InputError(
            f"{dataset.about.name} has {len(there)} rounds; expected --round with one of "
            f"{', '.join(there[:5])}"
        )
    round_ = matrix(dataset, round_id or there[0], with_opinion=False)
    n_pairs = sum(text is not None for text in round_.opinions) * len(round_.statements)
    report = None if on_done is None else lambda n: on_done(n, n_pairs)
    expected = warm_profile(model, round_, dataset.about.scale, seed=seed, on_done=report)
    # Welfare is defined for positive utilities: the 7-point scale, as everywhere.
    points = dataset.about.scale.seven_points(expected)
    values = rule.welfare(points)
    n_rated = np.isfinite(round_.agreement).sum(axis=0)
    order = [column for column in rank(values).order if n_rated[column] >= min_rated]
    if not order:
        raise InputError(
            f"{dataset.about.name}, round {round_.round_id!r}: no statement was rated by "
            f"{min_rated} people; expected a lower --min-rated"
        )
    return RankedRound(
        round_.question,
        len(round_.participant_ids),
        tuple(
            RankedStatement(
                round_.statements[column],
                float(values[column]),
                int(n_rated[column]),
                float(points[:, column].min()),
            )
            for column in order
        ),
    )
