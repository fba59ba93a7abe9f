"""How far ratings repeat themselves (kappa), and how far different people agree (alpha)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError
from commonweal.measures.bootstrap import by_group
from commonweal.measures.intervals import ratio

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from commonweal.types import FloatArray

    IntArray = NDArray[np.int64]


def quadratic_kappa(
    first: ArrayLike, second: ArrayLike, person: IntArray | None = None
) -> FloatArray:
    """Each person's quadratic-weighted kappa between two ratings of the same things, [n_people].

    Cohen's kappa with quadratic weights: 1 - the mean squared difference / the one expected were
    the two ratings unrelated. Each thing that a person rated twice counts the same; at most 1, and
    nan where all the ratings of both are one and the same, or there are none.

    Args:
        first: [n_rated], on any interval scale; nan is no rating.
        second: [n_rated], of the same things in the same order.
        person: int [n_rated], whose ratings they are, from 0; None for one person's.

    Raises:
        InputError: the two differ in shape.
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise InputError(
            f"ratings of the shapes {x.shape} and {y.shape}, expected two of the same length"
        )
    person = np.zeros(len(x), dtype=np.int64) if person is None else person
    n_people = int(person.max(initial=0)) + 1
    both = ~(np.isnan(x) | np.isnan(y))
    x, y, person = x[both], y[both], person[both]
    sums = by_group(np.stack([np.ones_like(x), x, y], axis=1), person, n_people)
    mean_x, mean_y = (ratio(sums[:, i], sums[:, 0]) for i in (1, 2))
    squares = np.stack([(x - mean_x[person]) ** 2, (y - mean_y[person]) ** 2, (x - y) ** 2], axis=1)
    var_x, var_y, apart = by_group(squares, person, n_people).T
    return 1 - ratio(apart, var_x + var_y + sums[:, 0] * (mean_x - mean_y) ** 2)


def coincidences(counts: FloatArray, unit_group: IntArray, n_groups: int) -> FloatArray:
    """Krippendorff's coincidences, summed over each group's units: [n_groups, points, points].

    How often two ratings of one unit by different people are c and k, each unit weighted so that a
    rating counts once.

    Args:
        counts: how often each unit was given each rating, float [n_units, n_points].
        unit_group: int [n_units].
        n_groups: how many groups.
    """
    n_points = counts.shape[1]
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(n_points)
    pairs[:, diagonal, diagonal] -= counts
    n_ratings = counts.sum(axis=1)
    pairs *= ratio(np.ones_like(n_ratings), n_ratings - 1)[:, None, None]  # nan with one rating
    pairs[n_ratings < 2] = 0
    return by_group(pairs.reshape(len(counts), -1), unit_group, n_groups).reshape(
        n_groups, n_points, n_points
    )


def krippendorff_alpha(coincidence: FloatArray, metric: str) -> FloatArray:
    """Krippendorff's alpha, [...], from coincidences [..., n_points, n_points].

    1 - observed / expected disagreement (Krippendorff 2011, Computing Krippendorff's
    Alpha-Reliability); nan where no disagreement could be expected.

    Args:
        coincidence: of ``coincidences``.
        metric: "ordinal" or "interval".
    """
    distance = METRICS[metric]
    n_each = coincidence.sum(axis=-1)
    n = n_each.sum(axis=-1)
    delta = distance(n_each)
    observed = (coincidence * delta).sum(axis=(-1, -2))
    outer = n_each[..., :, None] * n_each[..., None, :]
    expected = (outer * delta).sum(axis=(-1, -2))  # delta is 0 on the diagonal
    return 1 - ratio((n - 1) * observed, expected)


def _ordinal(n_each: FloatArray) -> FloatArray:
    """Squared number of ratings from the middle of one point to the middle of the other."""
    middle = np.cumsum(n_each, axis=-1) - n_each / 2
    result: FloatArray = (middle[..., :, None] - middle[..., None, :]) ** 2
    return result


def _interval(n_each: FloatArray) -> FloatArray:
    point = np.arange(n_each.shape[-1], dtype=np.float64)
    result: FloatArray = (point[:, None] - point) ** 2
    return result


METRICS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "ordinal": _ordinal,
    "interval": _interval,
}
"""How far two ratings are apart."""
