"""A reward model that reads, for tests: judges quality and gives ranges, from scripts that end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from commonweal.rewards import LogisticCalibration


class ScriptedReader:
    """Rewards and qualities by functions of the texts; raises when asked more than was foretold.

    Args:
        reward: of (opinion, statement); 0 is a rating of 4.
        quality: of a statement, 1 to 7.
        margin: half the width of every range.
        n_judged: how many statements may be judged in all.
    """

    name, weights_hash = "scripted reader", "1" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: for a test")

    def __init__(
        self,
        reward: Callable[[str, str], float],
        quality: Callable[[str], float] = lambda _: 6.0,
        *,
        margin: float = 1.0,
        n_judged: int = 1000,
    ) -> None:
        self._reward, self._quality, self._margin = reward, quality, margin
        self.n_left = n_judged

    def rewards(self, inputs, *, on_done=None):
        return np.array([self._reward(each.opinion, each.statement) for each in inputs])

    def qualities(self, question: str, opinions: Sequence[str], statements: Sequence[str]):
        self.n_left -= len(statements)
        if self.n_left < 0:
            raise AssertionError("ScriptedReader was asked to judge more than was foretold")
        return np.array([self._quality(each) for each in statements])

    def ranges(self, expected):
        return np.maximum(expected - self._margin, 1), np.minimum(expected + self._margin, 7)
