"""Ranks and their correlation (Spearman's), within items and in resamples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from commonweal.measures.bootstrap import by_group
from commonweal.measures.intervals import NOTHING, Resampled, ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

    IntArray = NDArray[np.int64]

MIN_RANKED = 3
"""A rank correlation of two is 1 or -1 and says little."""

_TIED = 1e-9


def mid_ranks(values: FloatArray, item: IntArray) -> FloatArray:
    """Ranks within each item, float [n], up to a shift an item; ties have their mean rank.

    Values that differ by rounding only are tied. scipy's ``rankdata`` ranks one item at a time, and
    tells apart what rounding does.

    Args:
        values: float [n].
        item: int [n], what each is ranked within.
    """
    values = np.round(values, 9)
    order = np.lexsort((values, item))
    in_order, item_in_order = values[order], item[order]
    is_new = np.append(
        True, (in_order[1:] != in_order[:-1]) | (item_in_order[1:] != item_in_order[:-1])
    )[: len(values)]
    starts = np.flatnonzero(is_new)
    size = np.diff(np.append(starts, len(values)))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(starts + (size - 1) / 2, size)
    return ranks


def rank_correlations(x: FloatArray, y: FloatArray, item: IntArray, n_items: int) -> FloatArray:
    """Spearman's correlation within each item, float [n_items].

    nan where an item has fewer than three, or all of one kind are the same.

    Args:
        x: float [n].
        y: float [n].
        item: int [n], what each belongs to.
        n_items: how many there are.
    """
    a, b = mid_ranks(x, item), mid_ranks(y, item)

    def total(values: FloatArray) -> FloatArray:
        return by_group(values[:, None], item, n_items)[:, 0]

    count = np.bincount(item, minlength=n_items).astype(np.float64)
    covariance = total(a * b) - ratio(total(a) * total(b), count)
    spread = (total(a * a) - ratio(total(a) ** 2, count)) * (
        total(b * b) - ratio(total(b) ** 2, count)
    )
    enough = (count >= MIN_RANKED) & (spread > _TIED)
    return np.where(enough, ratio(covariance, np.sqrt(np.where(enough, spread, 0.0))), np.nan)


def rank_correlation(
    x: FloatArray, y: FloatArray, times: FloatArray, cluster: IntArray | None = None
) -> Resampled:
    """Spearman's correlation of ``x`` and ``y`` [n_items], and what it is in each draw.

    In a draw the items keep their rank.

    Args:
        x: float [n_items].
        y: float [n_items].
        times: float [n_draws, n_clusters], how often each cluster counts in each draw.
        cluster: int [n_items], the cluster of each item; by default each is its own.
    """
    one = np.zeros(len(x), dtype=np.int64)
    (value,) = rank_correlations(x, y, one, 1)
    if np.isnan(value):
        return NOTHING
    a, b = (ranks - ranks.mean() for ranks in (mid_ranks(x, one), mid_ranks(y, one)))
    cluster = np.arange(len(x)) if cluster is None else cluster
    terms = np.stack([np.ones_like(a), a, b, a * b, a * a, b * b], axis=1)
    sums = times @ by_group(terms, cluster, times.shape[1])
    mean_a, mean_b, ab, aa, bb = (ratio(sums[:, i], sums[:, 0]) for i in range(1, 6))
    spread = (aa - mean_a**2) * (bb - mean_b**2)
    draws = ratio(ab - mean_a * mean_b, np.sqrt(np.where(spread > _TIED, spread, 0.0)))
    return Resampled(float(value), draws, len(np.unique(cluster)), len(x))
