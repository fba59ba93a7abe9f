"""A reward model for tests, which says exactly what it was told to say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import CommonwealError
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.types import Calibration, RewardInput

if TYPE_CHECKING:
    from commonweal.types import FloatArray


class ScriptedRewardModel:
    """Gives back rewards from a script, and raises where the script says nothing.

    Args:
        script: a sequence is handed out in the order of asking, once; a mapping is looked up by
            the whole ``RewardInput`` or, where it lacks that, by (opinion, statement).
        calibration: by default expected rating = 1 + 6 · sigmoid(reward).
    """

    name = "scripted"

    def __init__(
        self,
        script: Sequence[float] | Mapping[RewardInput | tuple[str, str], float],
        *,
        calibration: Calibration | None = None,
    ) -> None:
        self._mapping = dict(script) if isinstance(script, Mapping) else None
        self._sequence = [] if isinstance(script, Mapping) else [float(value) for value in script]
        self._n_given = 0
        self._calibration = calibration or LogisticCalibration(1.0, 0.0, "nothing: scripted")
        self.calls: list[tuple[RewardInput, ...]] = []

    @property
    def weights_hash(self) -> str:
        """The sha256 of the script, in hex."""
        script = (
            self._sequence
            if self._mapping is None
            else sorted((tuple(key), value) for key, value in self._mapping.items())
        )
        return hashlib.sha256(repr(script).encode()).hexdigest()

    @property
    def calibration(self) -> Calibration:
        """The calibration that it was given."""
        return self._calibration

    def rewards(
        self, inputs: Sequence[RewardInput], *, on_done: Callable[[int], None] | None = None
    ) -> FloatArray:
        """The scripted rewards, float64 [n_inputs]; each call's inputs are kept in ``calls``.

        Raises:
            CommonwealError: the script is exhausted, or does not know an input.
        """
        inputs = tuple(inputs)
        self.calls.append(inputs)
        if self._mapping is None:
            given = self._sequence[self._n_given : self._n_given + len(inputs)]
            if len(given) < len(inputs):
                raise CommonwealError(
                    f"ScriptedRewardModel was asked for {len(inputs)} rewards and has "
                    f"{len(given)} of {len(self._sequence)} left: give it a longer script"
                )
            self._n_given += len(inputs)
        else:
            given = [self._look_up(self._mapping, one) for one in inputs]
        if on_done is not None:
            on_done(len(inputs))
        return np.array(given, dtype=np.float64)

    @staticmethod
    def _look_up(mapping: Mapping[RewardInput | tuple[str, str], float], one: RewardInput) -> float:
        for key in (one, (one.opinion, one.statement)):
            if key in mapping:
                return float(mapping[key])
        raise CommonwealError(f"ScriptedRewardModel has no reward for {one}: add it to the script")
