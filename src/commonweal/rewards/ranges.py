"""How wide people's ratings lie around expected ones: a table by bins, fitted to held-out ratings.

Split conformal prediction (Vovk et al. 2005) by bins of the expected rating.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from commonweal.types import RATING_MAX, RATING_MIN

if TYPE_CHECKING:
    from commonweal.types import FloatArray

SHARE = 0.5
"""Of the ratings, between the two ends of a range (``GivesRanges``)."""

MIN_IN_BIN = 40
"""Ratings for one bin of a range."""

MAX_BINS = 7


def interval_of(
    expected: Sequence[float] | FloatArray,
    ratings: Sequence[float] | FloatArray,
    *,
    max_bins: int = MAX_BINS,
) -> tuple[tuple[float, float, float], ...]:
    """How far below and above expected ratings the middle ``SHARE`` of ratings lay, by bins.

    Bins hold equally many ratings, at least ``MIN_IN_BIN`` each where there are as many.

    Args:
        expected: calibrated, [n].
        ratings: on the 7-point scale, [n].
        max_bins: most bins.
    """
    expected, ratings = np.asarray(expected, np.float64), np.asarray(ratings, np.float64)
    n_bins = max(1, min(max_bins, expected.size // MIN_IN_BIN))
    intervals = []
    for part in np.array_split(np.argsort(expected, kind="stable"), n_bins):
        low, high = np.quantile(ratings[part] - expected[part], [(1 - SHARE) / 2, (1 + SHARE) / 2])
        intervals.append(
            (float(expected[part].mean()), max(0.0, -float(low)), max(0.0, float(high)))
        )
    return tuple(intervals)


def around(
    expected: FloatArray, interval: Sequence[Sequence[float]] | FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Low and high for expected ratings, each of their shape, from 1 to 7.

    Args:
        expected: of any shape.
        interval: of ``interval_of``, [n_bins, 3].
    """
    middle, below, above = np.asarray(interval, np.float64).T
    low = expected - np.interp(expected, middle, below)
    high = expected + np.interp(expected, middle, above)
    return np.clip(low, RATING_MIN, RATING_MAX), np.clip(high, RATING_MIN, RATING_MAX)
