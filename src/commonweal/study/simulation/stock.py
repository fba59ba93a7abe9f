"""A writer without any model, for simulations and for nothing else: stock sentences, and chance.

It goes the way of every other writer, so a simulated study follows its arms' plans.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from commonweal.datasets.arms import STOCK
from commonweal.models.scripted import ScriptedModel
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.study.config import NO_REWARD
from commonweal.study.writing.writer import ArmOutput, Task, written_by
from commonweal.types import Candidate, Generation, LanguageModel, Opinion, Question, RewardInput

if TYPE_CHECKING:
    from commonweal.types import FloatArray

_STARTS = ("We support this, since it would help", "We are against this, since it costs")
_ENDS = (
    "people who have little",
    "those who live here",
    "everybody in the end",
    "children and their parents",
    "people who work at night",
    "those who are ill",
    "the small shops of the town",
    "whoever comes after us",
)


class _NoModel(ScriptedModel):
    """Stands where a language model would; it is asked for nothing."""

    model_id = STOCK


class StockPolicy:
    """Sentences that lean one way or the other, whatever the opinions are (``types.Policy``)."""

    name = "stock"

    def __init__(self) -> None:
        self.model: LanguageModel = _NoModel([])

    def generate(
        self,
        question: Question,  # noqa: ARG002 - the protocol's
        opinions: Sequence[Opinion],
        *,
        n_candidates: int,
        rng: np.random.Generator,
        on_done: Callable[[int, int], None] | None = None,
    ) -> Generation:
        """Up to ``n_candidates`` of the stock, in random order."""
        texts = [f"{start} {end}." for start, end in itertools.product(_STARTS, _ENDS)]
        included = tuple(opinion.id for opinion in opinions)
        candidates = tuple(
            Candidate(
                id=f"c{number:02d}",
                text=texts[int(index)],
                included_opinion_ids=included,
                policy=self.name,
                model=self.model.model_id,
                prompt_hash="0" * 16,
                seed=int(rng.integers(2**31)),
            )
            for number, index in enumerate(rng.permutation(len(texts))[:n_candidates], start=1)
        )
        if on_done is not None:
            on_done(len(candidates), len(candidates))
        return Generation(
            candidates,
            (),
            n_candidates,
            len(candidates),
            ("stock sentences, written by no model",),
        )


class ChanceReward:
    """Rewards that mean nothing: a hash of who says what (``types.RewardModel``)."""

    name = "chance"
    weights_hash = hashlib.sha256(b"chance").hexdigest()
    calibration = LogisticCalibration(1.0, 0.0, "nothing: chance")

    def rewards(
        self, inputs: Sequence[RewardInput], *, on_done: Callable[[int], None] | None = None
    ) -> FloatArray:
        """A number from -2 to 2 for each input, the same for the same input."""
        given = [hashlib.sha256("\0".join(each).encode()).digest()[:4] for each in inputs]
        if on_done is not None:
            on_done(len(inputs))
        return 4.0 * np.array([int.from_bytes(each, "big") / 2**32 for each in given]) - 2.0


class StockWriter:
    """Writes with ``StockPolicy`` and ``ChanceReward``."""

    def write(self, task: Task, *, timeout_seconds: float) -> ArmOutput:  # noqa: ARG002 - the protocol
        """The statements for this task, by the plan of its arm.

        Raises:
            CommonwealError: every opinion is held back.
        """
        reward = None if task.arm.reward == NO_REWARD else ChanceReward()
        return written_by(task, StockPolicy(), reward)
