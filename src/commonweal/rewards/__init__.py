"""Opinion-conditional reward models: predicted agreement from a person's own opinion (paper 3.3).

A model gives raw rewards; its calibration turns them into expected ratings on the 7-point scale,
which is what the welfare functions take (docs/decisions/001).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal import registry
from commonweal.errors import EngineError, PluginError
from commonweal.registry import REWARD_MODELS, asked, is_ours
from commonweal.rewards.cache import CachedRewardModel
from commonweal.rewards.calibration import LogisticCalibration, fit_logistic_calibration
from commonweal.rewards.exported import DESCRIPTION, ExportedRewardModel
from commonweal.rewards.first import ENCODER_WEIGHTS as REWARD_WEIGHTS
from commonweal.rewards.first import FirstRewardModel
from commonweal.rewards.prompted_cost import Cost
from commonweal.rewards.scripted import ScriptedRewardModel
from commonweal.types import RATING_MAX, RATING_MIN, LanguageModel, RewardInput, RewardModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

__all__ = [
    "DEFAULT_REWARD_MODEL",
    "REWARD_WEIGHTS",
    "CachedRewardModel",
    "ExportedRewardModel",
    "FirstRewardModel",
    "LogisticCalibration",
    "ScriptedRewardModel",
    "check_reward_model",
    "fit_logistic_calibration",
    "load_reward_model",
    "predictions",
    "takes_writer",
    "utility_profile",
]

DEFAULT_REWARD_MODEL = "reader"


def load_reward_model(
    name: str = DEFAULT_REWARD_MODEL,
    *,
    encoder_folder: Path | None = None,
    writer: LanguageModel | None = None,
    on_cost: Callable[[Cost], None] | None = None,
) -> RewardModel:
    """The reward model of that name, ready to score.

    Args:
        name: a registered one ("reader", "first", or an installed package's), with what it takes
            after a colon, or the folder of an exported one.
        encoder_folder: where all-MiniLM-L6-v2 lies, of a model that reads with it; by default the
            weights store's.
        writer: the engine that writes, which "prompted" alone reads with; others do without.
        on_cost: called with the cost of predictions before they begin, by models that ask an
            engine for them.

    Raises:
        InputError: there is no model of that name.
        PluginError: an installed one cannot be imported or made.
        WeightsError: its weights are missing or damaged.
        EngineError: the engine that it reads with could not be loaded.
    """
    folder = _exported(name)
    if folder is not None:
        return ExportedRewardModel(folder)
    options: dict[str, Any] = {} if encoder_folder is None else {"encoder_folder": encoder_folder}
    offered = {"writer": writer, "on_cost": on_cost}
    taken = _options(name)
    options |= {key: given for key, given in offered.items() if given is not None and key in taken}
    return registry.make(REWARD_MODELS, name, also=_ALSO, **options)  # type: ignore[no-any-return]


def takes_writer(name: str) -> bool:
    """Whether the model of that name has a use for the engine that writes.

    Raises:
        InputError: there is no model of that name.
        PluginError: an installed one cannot be imported.
    """
    return _exported(name) is None and "writer" in _options(name)


def _options(name: str) -> set[str]:
    """What a registered model of this name can be given when it is made."""
    entry = registry.find(REWARD_MODELS, registry.split(name)[0], also=_ALSO)
    return {each.name for each in registry.parameters(registry.maker(entry))}


def check_reward_model(name: str) -> None:
    """Returns where ``load_reward_model`` would find something by this name; nothing is loaded.

    Raises:
        InputError: there is no model of that name.
        PluginError: an installed one cannot be imported.
    """
    if _exported(name) is None:
        registry.check(REWARD_MODELS, name, also=_ALSO)


_ALSO = f"a folder with a {DESCRIPTION}, which `commonweal train reward` exports"


def _exported(name: str) -> Path | None:
    """The folder of an exported model; None where the name is not one's, or a registered name."""
    folder = Path(name).expanduser()
    is_registered = registry.split(name)[0] in registry.names(REWARD_MODELS)
    return folder if not is_registered and (folder / DESCRIPTION).is_file() else None


def predictions(
    model: RewardModel,
    question: str,
    opinions: Sequence[str],
    statements: Sequence[str],
    *,
    on_done: Callable[[int], None] | None = None,
    people: Sequence[str] = (),
) -> tuple[FloatArray, FloatArray]:
    """Raw rewards and expected ratings, each float64 [n_participants, n_candidates].

    Row i is the participant with ``opinions[i]``, column j the candidate ``statements[j]``. All
    pairs are scored in one batch. ``people`` are the participants' ids, for messages.

    Raises:
        EngineError: the model gave no reward (nan) for some pairs. No number stands in for one:
            whoever has none would be left out, or given a view.
        PluginError: what it gave is not what its protocol promises, or it failed.
    """
    title = f"the reward model {model.name!r}"
    who = people or [f"number {row}" for row in range(1, len(opinions) + 1)]
    inputs = [
        RewardInput(question, opinion, statement)
        for opinion in opinions
        for statement in statements
    ]
    rewards: FloatArray = asked(
        title,
        model,
        lambda: np.asarray(model.rewards(inputs, on_done=on_done), dtype=np.float64),
    )
    if rewards.shape != (len(inputs),):
        raise PluginError(
            f"{title} gave rewards of shape {rewards.shape} for {len(inputs)} inputs; expected one "
            f"number for each, shape ({len(inputs)},)"
        )
    rewards = rewards.reshape(len(opinions), len(statements))
    if (missing := np.isnan(rewards)).any():
        rows = np.flatnonzero(missing.any(axis=1))
        named = f"number {', '.join(str(row + 1) for row in rows)}"
        if people:
            named = f"of {', '.join(people[int(row)] for row in rows)}"
        raise EngineError(
            f"{model.name} gave no rating for {int(missing.sum())} of {rewards.size} pairs of an "
            f"opinion and a statement (opinions {named}); expected one for each. Run it "
            "again, which asks only for these where ratings are kept, or use another reward model"
        )
    _check(title, "reward", rewards, np.isfinite(rewards), "a finite number", who, statements)
    # A calibration may come from elsewhere than the model.
    expected: FloatArray = asked(
        f"the calibration of {title}",
        model if not is_ours(model) else model.calibration,
        lambda: np.asarray(model.calibration.expected_rating(rewards), dtype=np.float64),
    )
    if expected.shape != rewards.shape:
        raise PluginError(
            f"the calibration of {title} gave expected ratings of shape {expected.shape} for "
            f"rewards of shape {rewards.shape}; expected the same"
        )
    is_on_scale = (expected >= RATING_MIN) & (expected <= RATING_MAX)
    scale = f"a number from {RATING_MIN} to {RATING_MAX}"
    _check(title, "expected rating", expected, is_on_scale, scale, who, statements)
    return rewards, expected


def _check(
    title: str,
    what: str,
    values: FloatArray,
    is_right: NDArray[np.bool_],
    right: str,
    who: Sequence[str],
    statements: Sequence[str],
) -> None:
    if is_right.all():
        return
    row, column = map(int, np.argwhere(~is_right)[0])
    text = statements[column]
    raise PluginError(
        f"{title} gave {int((~is_right).sum())} of {values.size} times what cannot be used: the "
        f"{what} of the person {who[row]} is {values[row, column]:g} for the text "
        f"{text if len(text) <= 60 else text[:60] + '…'!r}; expected {right}"
    )


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
