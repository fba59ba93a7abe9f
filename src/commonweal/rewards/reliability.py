"""Whether expected ratings are what people really said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.rewards.resampling import Draws, Estimate, Resampled
from commonweal.rewards.scoring import UNITS, ScoredRound, seven_points

if TYPE_CHECKING:
    from commonweal.types import Calibration, FloatArray

N_BINS = 10


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
        bins: by rising prediction, with equally many ratings in each.
        error: expected calibration error: the mean over ratings of |predicted - observed| of its
            bin. A perfect model has more than 0 in a small sample.
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
    predicted, observed, weights, counted = [], [], [], []
    for number, (scored, times) in enumerate(zip(rounds, draws.times, strict=True)):
        rows, columns = np.nonzero(np.isfinite(scored.own))
        predicted.append(calibration.expected_rating(scored.own[rows, columns]))
        observed.append(seven_points(scored.rated.ratings[rows, columns], scale))
        weights.append(np.full(len(rows), 1 / len(rows)))
        counted.append((number, times, rows))
    p, o, w = (np.concatenate(parts) for parts in (predicted, observed, weights))
    edges = np.unique(np.quantile(p, np.linspace(0, 1, N_BINS + 1)))
    bin_of = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, max(0, len(edges) - 2))
    n_bins = int(bin_of.max()) + 1
    # [n_draws, n_bins] sums of weight, prediction and rating.
    sums = np.zeros((3, len(draws.weights), n_bins))
    start = 0
    for number, times, rows in counted:
        part = slice(start, start + len(rows))
        start += len(rows)
        for kind, values in enumerate((w[part], w[part] * p[part], w[part] * o[part])):
            per_person = np.zeros((times.shape[1], n_bins))
            np.add.at(per_person, (rows, bin_of[part]), values)
            sums[kind] += draws.weights[:, [number]] * (times @ per_person)
    whole = np.stack(
        [np.bincount(bin_of, values, minlength=n_bins) for values in (w, w * p, w * o)]
    ).astype(np.float64)
    n = np.bincount(bin_of, minlength=n_bins)
    n_clusters = (
        sum(len(np.unique(rows)) for _, _, rows in counted)
        if draws.clusters is None
        else len(np.unique(draws.clusters))
    )

    def resampled(figure: Callable[[FloatArray], FloatArray]) -> Estimate:
        value = float(figure(whole[:, None])[0])
        return Resampled(value, figure(sums), n_clusters, len(p)).estimate

    return Reliability(
        unit=UNITS[scale.name],
        bins=tuple(
            Bin(float(whole[1, b] / whole[0, b]), float(whole[2, b] / whole[0, b]), int(n[b]))
            for b in range(n_bins)
            if n[b]
        ),
        error=resampled(lambda s: np.abs(s[1] - s[2]).sum(axis=-1) / s[0].sum(axis=-1)),
        bias=resampled(lambda s: (s[1] - s[2]).sum(axis=-1) / s[0].sum(axis=-1)),
    )
