"""Which reward model predicts where nobody says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from commonweal import registry
from commonweal.registry import REWARD_MODELS
from commonweal.rewards import DEFAULT_REWARD_MODEL, load_reward_model

if TYPE_CHECKING:
    from commonweal.rewards.prompted_cost import Cost
    from commonweal.types import LanguageModel, RewardModel

MOST_PROBED = 12
"""People; a person's 16 statements take the probe about four seconds on two processor cores, so
more would wait longer for their predictions than for the candidates."""


def chosen_for(writer: LanguageModel, n_people: int) -> str:
    """``probe``, which measures best, where it reads with the model that writes anyway and there
    are few people; else ``reader``.
    """
    from commonweal.rewards.probe import reads_with

    is_small = n_people <= MOST_PROBED
    return "probe" if is_small and reads_with(writer) else DEFAULT_REWARD_MODEL


def loaded_as_before(
    reward: str | RewardModel | None,
    provenance: Mapping[str, Any],
    *,
    writer: LanguageModel | None = None,
    on_cost: Callable[[Cost], None] | None = None,
) -> RewardModel:
    """The reward model that is given; of None the one that a result with this provenance was
    predicted by, so that numbers compare; ``reader`` where that has no name here.

    Raises:
        CommonwealError: as ``load_reward_model``.
    """
    if reward is not None and not isinstance(reward, str):
        return reward
    before = str(provenance.get("reward_model"))
    is_named = registry.split(before)[0] in registry.names(REWARD_MODELS)
    known = before if is_named else DEFAULT_REWARD_MODEL
    return load_reward_model(reward or known, writer=writer, on_cost=on_cost)
