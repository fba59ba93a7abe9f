"""Whether expected ratings are what people really said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.measures.bootstrap import by_group
from commonweal.measures.calibration import (
    NO_INTERVAL,
    bins,
    curve,
    error_and_bias,
    round_weights,
    terms,
)
from commonweal.measures.intervals import Estimate, Resampled
from commonweal.rewards.resampling import Draws
from commonweal.rewards.scoring import ScoredRound

if TYPE_CHECKING:
    from commonweal.types import Calibration


@dataclass(frozen=True, slots=True)
class Bin:
    """Ratings whose predictions lie together, all on the 7-point scale."""

    predicted: float
    observed: float
    n: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether expected ratings are what people said, in points of the 7-point scale.

    Attributes:
        unit: how ratings were read on that scale, in words.
        bins: by rising prediction (``measures.calibration``).
        error: expected calibration error; it has no interval.
        bias: mean prediction less mean rating.
    """

    unit: str
    bins: tuple[Bin, ...]
    error: Estimate
    bias: Estimate


def measure_reliability(
    rounds: Sequence[ScoredRound], calibration: Calibration, draws: Draws
) -> Reliability:
    """Expected ratings beside what people said, over all rounds.

    Each round counts the same. The bins stay as they are in every draw.
    """
    scale = rounds[0].rated.scale
    places = [np.nonzero(np.isfinite(scored.own)) for scored in rounds]
    number = np.repeat(np.arange(len(rounds)), [len(rows) for rows, _ in places])
    expected = np.concatenate(
        [
            calibration.expected_rating(scored.own[cells])
            for scored, cells in zip(rounds, places, strict=True)
        ]
    )
    ratings = np.concatenate(
        [
            scale.seven_points(scored.rated.ratings[cells])
            for scored, cells in zip(rounds, places, strict=True)
        ]
    )
    bin_of = bins(expected)
    added = terms(expected, ratings, round_weights(number), bin_of)
    sums = np.zeros((len(draws.weights), added.shape[1]))
    for i, ((rows, _), times) in enumerate(zip(places, draws.times, strict=True)):
        per_person = by_group(added[number == i], rows, times.shape[1])
        sums += draws.weights[:, [i]] * (times @ per_person)
    n_clusters = (
        sum(len(np.unique(rows)) for rows, _ in places)
        if draws.clusters is None
        else len(np.unique(draws.clusters))
    )
    total = added.sum(axis=0)
    error, bias = error_and_bias(total)
    return Reliability(
        unit=scale.as_seven_points,
        bins=tuple(
            Bin(float(mean), float(given), int(n))
            for mean, given, n in zip(*curve(total), np.bincount(bin_of), strict=True)
        ),
        error=Estimate(float(error), np.nan, np.nan, n_clusters, len(ratings), NO_INTERVAL),
        bias=Resampled(
            float(bias), error_and_bias(sums)[:, 1], n_clusters, len(ratings), draws.unit
        ).estimate,
    )
