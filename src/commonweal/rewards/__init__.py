"""Opinion-conditional reward models: predicted agreement from a person's own opinion (paper 3.3).

A model gives raw rewards; its calibration turns them into expected ratings on the 7-point scale,
which is what the welfare functions take (docs/decisions/001).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commonweal.errors import InputError
from commonweal.rewards.cache import CachedRewardModel
from commonweal.rewards.calibration import LogisticCalibration, fit_logistic_calibration
from commonweal.rewards.exported import DESCRIPTION, ExportedRewardModel
from commonweal.rewards.first import FirstRewardModel
from commonweal.rewards.scripted import ScriptedRewardModel
from commonweal.types import RewardInput, RewardModel

if TYPE_CHECKING:
    from commonweal.types import FloatArray

__all__ = [
    "DEFAULT_REWARD_MODEL",
    "REWARD_MODELS",
    "REWARD_WEIGHTS",
    "CachedRewardModel",
    "ExportedRewardModel",
    "FirstRewardModel",
    "LogisticCalibration",
    "ScriptedRewardModel",
    "fit_logistic_calibration",
    "load_reward_model",
    "predictions",
    "utility_profile",
]

REWARD_MODELS = ("first",)
"""The names that ``load_reward_model`` knows."""

DEFAULT_REWARD_MODEL = "first"
REWARD_WEIGHTS = "all-minilm-l6-v2"
"""The packaged weights that it reads opinions and statements with."""


def load_reward_model(
    name: str = DEFAULT_REWARD_MODEL, *, encoder_folder: Path | None = None
) -> RewardModel:
    """The reward model of that name, ready to score.

    Args:
        name: one of ``REWARD_MODELS``, or the folder of an exported one.
        encoder_folder: where all-MiniLM-L6-v2 lies; by default the weights store's.

    Raises:
        InputError: there is no model of that name.
        WeightsError: its weights are missing or damaged.
    """
    if name not in REWARD_MODELS:
        folder = Path(name).expanduser()
        if (folder / DESCRIPTION).is_file():
            return ExportedRewardModel(folder)
        raise InputError(
            f"no reward model named {name!r}: expected one of {', '.join(REWARD_MODELS)}, or a "
            f"folder with a {DESCRIPTION}, which `commonweal train reward` exports"
        )
    if encoder_folder is None:
        from commonweal.models import store

        encoder_folder = store.require(REWARD_WEIGHTS)
    return FirstRewardModel(encoder_folder)


def predictions(
    model: RewardModel,
    question: str,
    opinions: Sequence[str],
    statements: Sequence[str],
    *,
    on_done: Callable[[int], None] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Raw rewards and expected ratings, each float64 [n_participants, n_candidates].

    Row i is the participant with ``opinions[i]``, column j the candidate ``statements[j]``. All
    pairs are scored in one batch.
    """
    inputs = [
        RewardInput(question, opinion, statement)
        for opinion in opinions
        for statement in statements
    ]
    rewards = model.rewards(inputs, on_done=on_done)
    rewards = rewards.reshape(len(opinions), len(statements))
    return rewards, model.calibration.expected_rating(rewards)


def utility_profile(
    model: RewardModel,
    question: str,
    opinions: Sequence[str],
    statements: Sequence[str],
    *,
    on_done: Callable[[int], None] | None = None,
) -> FloatArray:
    """Expected ratings in (1, 7), float64 [n_participants, n_candidates], higher is more agreement.

    As ``predictions``, without the rewards. Paper 3.3: the arguments of the welfare function,
    eq. 1.
    """
    return predictions(model, question, opinions, statements, on_done=on_done)[1]
