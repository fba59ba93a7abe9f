"""Whether expected ratings are what people said: the calibration error and the curve behind it.

**Weighting** (docs/decisions/021): the ratings of a round count the same, and each round as much as
any other, as for accuracy. **Bins**: ten, with equally many ratings in each, by rising expected
rating (Nixon et al. 2019, Measuring Calibration in Deep Learning): in bins of equal width a model
whose expectations lie close together would have one or two. They stay as they are in each resample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from commonweal.measures.intervals import ratio
from commonweal.measures.ranks import mid_ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

    IntArray = NDArray[np.int64]

N_BINS = 10

NO_INTERVAL = (
    "it adds up absolute errors, which chance raises in the figure and once more in each resample, "
    "so that resamples lie above the truth"
)
"""Why the calibration error has no interval."""


def bins(expected: FloatArray) -> IntArray:
    """The bin of each rating, int [n], from 0 without gaps: at most ``N_BINS``.

    By mid-rank, so that equal expectations are in one bin; there may then be fewer bins.

    Args:
        expected: float64 [n], expected ratings.
    """
    middle = mid_ranks(expected, np.zeros(len(expected), dtype=np.int64)) + 0.5
    place = (N_BINS * middle / len(expected)).astype(np.int64)
    return np.unique(place, return_inverse=True)[1].ravel()


def round_weights(rounds: IntArray) -> FloatArray:
    """How much each rating counts, float64 [n]: 1 / the ratings of its round.

    Args:
        rounds: int [n], the round of each.
    """
    weights: FloatArray = 1 / np.bincount(rounds)[rounds]
    return weights


def terms(
    expected: FloatArray, rating: FloatArray, weights: FloatArray, bin_of: IntArray
) -> FloatArray:
    """What each rating adds to the sums that the figures are made of, float64 [n, 3 · n_bins].

    Args:
        expected: float64 [n].
        rating: float64 [n], what was said, in the same unit.
        weights: float64 [n].
        bin_of: int [n].
    """
    member = np.eye(int(bin_of.max()) + 1)[bin_of] * weights[:, None]
    return np.concatenate([member, member * expected[:, None], member * rating[:, None]], axis=1)


def error_and_bias(sums: FloatArray) -> FloatArray:
    """The expected calibration error and the mean error, float64 [..., 2], in points.

    The first is the mean over ratings of |mean expected - mean given| of their bin, and above 0 of
    a perfect model, the more so the fewer the ratings. The second is expected less given.

    Args:
        sums: float64 [..., 3 · n_bins], of ``terms``.
    """
    weight, expected, rating = np.split(sums, 3, axis=-1)
    total, gap = weight.sum(axis=-1), expected - rating
    return np.stack(
        [ratio(np.abs(gap).sum(axis=-1), total), ratio(gap.sum(axis=-1), total)], axis=-1
    )


def curve(sums: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean expected and mean given rating of each bin, float64 [..., n_bins] each.

    Args:
        sums: as for ``error_and_bias``.
    """
    weight, expected, rating = np.split(sums, 3, axis=-1)
    return ratio(expected, weight), ratio(rating, weight)
