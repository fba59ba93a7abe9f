"""A rehearsal by latent people, whose truth is known: what ratings without noise would say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from commonweal.datasets.dataset import Dataset
from commonweal.evaluation.rounds.rated import Rated, rated, sign
from commonweal.evaluation.sections.win_rates import WinRate, default_baseline, pairs_of, win_rates
from commonweal.evaluation.statistics.shared_questions import drawing
from commonweal.study.export.truths import TRUTH

if TYPE_CHECKING:
    from commonweal.types import FloatArray

_N_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class TrueWinRate:
    """How often one policy's statements are rated above another's, and how often they are better.

    Attributes:
        first, second: the policies; a win is one of ``first``.
        measured: the share of wins by ratings, even rounds left out; nan where all are even.
        true: likewise by what the same people hold of the same statements, without noise.
        n_rounds: rounds in which statements of both were rated.
        low, high: the 95 % interval of ``measured``, as the evaluation gives it; None where there
            are too few groups for one.
    """

    first: str
    second: str
    measured: float
    true: float
    n_rounds: int
    low: float | None
    high: float | None


def true_win_rates(dataset: Dataset) -> list[TrueWinRate]:
    """The win rate of each pair of policies by group means, and what it truly is.

    Raises:
        InputError: nobody has rated a statement that was shown.
    """
    ratings = rated(dataset)
    truth = replace(ratings, agreement=_true_agreement(dataset, ratings))
    measured, true = ratings.by_round("mean"), truth.by_round("mean")
    baseline = default_baseline(ratings)
    section = drawing(dataset, ratings, _N_RESAMPLES, 0).section(
        lambda one, resampler: win_rates(one, resampler, baseline)
    )
    metrics = section.by_subject
    rates = []
    for first, second in pairs_of(ratings, baseline):
        columns = ratings.policies.index(first), ratings.policies.index(second)
        metric = metrics[WinRate(first, second, "mean", "all")]
        both = ~np.isnan(measured[:, columns]).any(axis=1)
        rates.append(
            TrueWinRate(
                first,
                second,
                _share_won(measured[both], *columns),
                _share_won(true[both], *columns),
                int(both.sum()),
                metric.low,
                metric.high,
            )
        )
    return rates


def _share_won(values: FloatArray, first: int, second: int) -> float:
    signs = sign(values[:, first] - values[:, second])
    decided = signs != 0
    return float((signs[decided] > 0).mean()) if decided.any() else float("nan")


def _true_agreement(dataset: Dataset, ratings: Rated) -> FloatArray:
    """The truth of each cell of ``ratings``; nan where it is not known or nothing was answered."""
    statements = {
        (ratings.round_ids[r], name): s
        for s, (r, name) in enumerate(
            zip(ratings.statement_round, ratings.statement_ids, strict=True)
        )
    }
    people = {name: number for number, name in enumerate(ratings.person_ids)}
    known = {
        (statements[round_id, candidate], people[person]): truth
        for round_id, person, candidate, truth in dataset.ratings.select(
            "round_id", "participant_id", "candidate_id", TRUTH.name
        ).iter_rows()
        if (round_id, candidate) in statements and truth is not None
    }
    cells = zip(ratings.cell_statement, ratings.cell_person, strict=True)
    values = np.array([known.get((int(s), int(p)), np.nan) for s, p in cells])
    return np.where(np.isnan(ratings.agreement), np.nan, values)
