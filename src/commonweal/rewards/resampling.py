"""Figures with bootstrap intervals: what is resampled, and how often each counts in each draw.

Figures that are given the same ``times`` were drawn together, so their difference has an interval
of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from commonweal.rewards.scoring import RatedRound, rng_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

N_DRAWS = 1000

MIN_CLUSTERS = 10
"""Topics, or else questions, that are needed to resample them instead of people."""

Unit = Literal["people", "questions", "topics"]


class Estimate(NamedTuple):
    """A figure with a 95% interval and what it rests on.

    ``value`` is nan where there was nothing to compare, ``low`` and ``high`` where nothing was
    resampled.

    Attributes:
        n_clusters: people (or questions, or topics) that were resampled.
        n_comparisons: comparisons in all.
    """

    value: float
    low: float
    high: float
    n_clusters: int
    n_comparisons: int


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """A figure and what it would have been in each draw.

    Attributes:
        draws: float64 [n_draws]; nan where a draw had nothing to compare.
    """

    value: float
    draws: FloatArray
    n_clusters: int
    n_comparisons: int

    @property
    def estimate(self) -> Estimate:
        """The figure with its interval: the 2.5th and 97.5th percentile of the draws."""
        known = self.draws[np.isfinite(self.draws)]
        low, high = np.quantile(known, [0.025, 0.975]) if known.size > 1 else (np.nan, np.nan)
        return Estimate(self.value, float(low), float(high), self.n_clusters, self.n_comparisons)

    def minus(self, other: Resampled) -> Resampled:
        """The difference, draw by draw; both must have been drawn with the same ``times``."""
        return Resampled(
            self.value - other.value,
            self.draws - other.draws,
            min(self.n_clusters, other.n_clusters),
            min(self.n_comparisons, other.n_comparisons),
        )


NOTHING = Resampled(np.nan, np.full(1, np.nan), 0, 0)
"""What there is where nothing can be compared."""


def mean_of(repeats: Sequence[Resampled]) -> Resampled:
    """The mean of one figure measured several times on the same comparisons, draw by draw."""
    if not repeats:
        return NOTHING
    return Resampled(
        float(np.mean([one.value for one in repeats])),
        np.mean([one.draws for one in repeats], axis=0),
        repeats[0].n_clusters,
        repeats[0].n_comparisons,
    )


def resample(n_clusters: int, rng: np.random.Generator, n_draws: int = N_DRAWS) -> FloatArray:
    """How often each cluster counts in each draw: float64 [n_draws, n_clusters], whole numbers."""
    if n_clusters == 0:
        return np.zeros((n_draws, 0))
    equal = np.full(n_clusters, 1 / n_clusters)
    return rng.multinomial(n_clusters, equal, size=n_draws).astype(np.float64)


def mean_over_rounds(
    parts: Sequence[Resampled], weights: FloatArray, n_clusters: int | None = None
) -> Resampled:
    """The mean of figures of several rounds, each counting the same; those without are left out.

    Args:
        parts: one a round.
        weights: float64 [n_draws, n_parts], how often each round counts in each draw.
        n_clusters: how many were resampled; by default the sum over the rounds.
    """
    known = [i for i, part in enumerate(parts) if np.isfinite(part.value)]
    if not known:
        return NOTHING
    n_draws = len(weights)
    draws = np.stack([np.broadcast_to(parts[i].draws, n_draws) for i in known], axis=1)
    counted = np.where(np.isfinite(draws), weights[:, known], 0.0)
    return Resampled(
        float(np.mean([parts[i].value for i in known])),
        ratio((counted * np.nan_to_num(draws)).sum(axis=1), counted.sum(axis=1)),
        sum(parts[i].n_clusters for i in known) if n_clusters is None else n_clusters,
        sum(parts[i].n_comparisons for i in known),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """What is resampled, and how often each person and round counts in each draw.

    Attributes:
        times: [n_draws, n_people] for each round, or [1, n_people] of ones where people stay.
        weights: [n_draws, n_rounds].
        clusters: the topic or question of each round; None where people are resampled.
    """

    unit: Unit
    times: list[FloatArray]
    weights: FloatArray
    clusters: NDArray[np.int64] | None

    @classmethod
    def of(cls, rounds: Sequence[RatedRound], seed: int, n_draws: int) -> Draws:
        """Draws of topics where there are enough, else of questions, else of the rounds' people."""
        labels: tuple[tuple[Unit, list[str | None]], ...] = (
            ("topics", [r.topic for r in rounds]),
            ("questions", [r.question_id for r in rounds]),
        )
        for unit, names in labels:
            known = [name for name in names if name is not None]
            if len(known) == len(names) and len(set(known)) >= MIN_CLUSTERS:
                _, clusters = np.unique(known, return_inverse=True)
                rng = rng_of(seed, "draws", unit)
                weights = resample(int(clusters.max()) + 1, rng, n_draws)[:, clusters]
                ones = [np.ones((1, len(r.opinions))) for r in rounds]
                return cls(unit, ones, weights, clusters.astype(np.int64))
        times = [
            resample(len(r.opinions), rng_of(seed, "draws", r.round_id), n_draws) for r in rounds
        ]
        return cls("people", times, np.ones((n_draws, len(rounds))), None)

    def mean(self, parts: Sequence[Resampled]) -> Resampled:
        """The mean over rounds of one figure a round."""
        n_clusters = None
        if self.clusters is not None:
            known = [np.isfinite(part.value) for part in parts]
            n_clusters = len(np.unique(self.clusters[known]))
        return mean_over_rounds(parts, self.weights, n_clusters)


def ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """``above / below``, nan where there is nothing below."""
    below = np.asarray(below, dtype=np.float64)
    found = np.full(below.shape, np.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found
