"""How often a reward model orders statements as people did, in ways that a guess cannot pass.

Each measure compares predictions [n_people, n_statements] with what the same people said of the
same statements: 1 agreed, -1 disagreed, anything else (0, nan) is no answer either way. Equal
predictions count one half, so a model that ignores what is measured gets exactly 0.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonweal.types import FloatArray


class Accuracy(NamedTuple):
    """A share of comparisons ordered rightly, with a 95% interval and what it rests on.

    ``low`` and ``high`` are nan where nothing was resampled (``n_draws=0``).

    Attributes:
        n_clusters: people (or debate topics) that were resampled.
        n_comparisons: comparisons in all.
    """

    value: float
    low: float
    high: float
    n_clusters: int
    n_comparisons: int


def within_person_accuracy(
    predictions: FloatArray,
    answers: FloatArray,
    rng: np.random.Generator,
    *,
    n_draws: int = 1000,
) -> Accuracy:
    """For one person: does what they agreed with score above what they disagreed with?

    Each person counts the same. The interval resamples people.
    """
    shares: list[float] = []
    n_comparisons = 0
    for row, said in zip(predictions, answers, strict=True):
        right, n = _share_ordered(row[said == 1], row[said == -1])
        if n:
            shares.append(right)
            n_comparisons += n
    if not shares:
        return _summary(np.nan, [np.nan], 0, 0)
    draws = [float(np.mean(rng.choice(shares, len(shares)))) for _ in range(n_draws)]
    return _summary(float(np.mean(shares)), draws, len(shares), n_comparisons)


def crossed_accuracy(
    predictions: FloatArray,
    answers: FloatArray,
    rng: np.random.Generator,
    *,
    n_draws: int = 1000,
) -> Accuracy:
    """Two people, two statements: A agreed with 1 and not 2, B with 2 and not 1.

    Is score(A,1) - score(A,2) - score(B,1) + score(B,2) above 0? Popular statements and lenient
    people cancel. Each pair of people counts the same. The interval resamples people: a pair
    counts as often as both were drawn.
    """
    n_people = len(predictions)
    shares = np.full((n_people, n_people), np.nan)
    n_comparisons = 0
    for a in range(n_people):
        for b in range(a):
            first = (answers[a] == 1) & (answers[b] == -1)
            second = (answers[a] == -1) & (answers[b] == 1)
            lean = predictions[a] - predictions[b]
            right, n = _share_ordered(lean[first], lean[second])
            if n:
                shares[a, b] = right
                n_comparisons += n
    return _paired_bootstrap(shares, n_comparisons, rng, n_draws)


def clustered_mean(
    right: Sequence[float],
    clusters: Sequence[int | str],
    rng: np.random.Generator,
    *,
    n_draws: int = 1000,
) -> Accuracy:
    """The mean of ``right`` (1, 0.5 or 0 each), with an interval that resamples clusters."""
    values = np.asarray(right, dtype=np.float64)
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    sums, counts = np.bincount(cluster, values), np.bincount(cluster)
    draws = []
    for _ in range(n_draws):
        times = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)))
        draws.append(float(times @ sums / (times @ counts)))
    return _summary(float(values.mean()), draws, len(sums), len(values))


def _share_ordered(higher: FloatArray, lower: FloatArray) -> tuple[float, int]:
    n = higher.size * lower.size
    if n == 0:
        return np.nan, 0
    # Differences that are rounding only are ties: a model blind to the opinion gets 0.5 exactly.
    differences = higher[:, None] - lower[None, :]
    tied = np.abs(differences) < 1e-9
    return float(((differences > 0) & ~tied).mean() + 0.5 * tied.mean()), n


def _paired_bootstrap(
    shares: FloatArray, n_comparisons: int, rng: np.random.Generator, n_draws: int
) -> Accuracy:
    known = ~np.isnan(shares)
    if not known.any():
        return _summary(np.nan, [np.nan], 0, 0)
    filled, counted = np.where(known, shares, 0.0), known.astype(np.float64)
    n_people = len(shares)
    draws = []
    for _ in range(n_draws):
        times = rng.multinomial(n_people, np.full(n_people, 1 / n_people)).astype(np.float64)
        weight = times @ counted @ times
        if weight > 0:
            draws.append(float(times @ filled @ times / weight))
    n_with_pairs = int((known.any(axis=0) | known.any(axis=1)).sum())
    return _summary(float(shares[known].mean()), draws, n_with_pairs, n_comparisons)


def _summary(value: float, draws: Sequence[float], n_clusters: int, n_comparisons: int) -> Accuracy:
    low, high = np.quantile(draws, [0.025, 0.975]) if len(draws) else (np.nan, np.nan)
    return Accuracy(value, float(low), float(high), n_clusters, n_comparisons)
