"""What is resampled for the intervals of a reward model's figures: topics, questions or people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from commonweal.measures.intervals import Resampled, mean_over_rounds, resample
from commonweal.rewards.scoring import RatedRound, rng_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

MIN_QUESTIONS = 10
"""Topics, or else questions, that are needed to resample them instead of people."""

Unit = Literal["people", "questions", "topics"]


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
            if len(known) == len(names) and len(set(known)) >= MIN_QUESTIONS:
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
        return mean_over_rounds(parts, self.weights, n_clusters, self.unit)
