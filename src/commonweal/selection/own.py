"""Objects that a caller brings, tried before anything is written for them.

A fault of a reward model or a rule would otherwise show only when candidates have been written and
paid for. What comes with commonweal is not tried: its own tests do that.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import PluginError
from commonweal.registry import is_ours, missing_members
from commonweal.rewards import predictions
from commonweal.selection.making import judged
from commonweal.types import Opinion, Policy, Question, RewardModel
from commonweal.welfare import WelfareRule

if TYPE_CHECKING:
    from commonweal.types import FloatArray

_TRIED: weakref.WeakSet[Any] = weakref.WeakSet()
"""Reward models that kept their promises once: a service calls with the same one again."""


def check_members(given: object, protocol: type, what: str, *, named_as: str) -> None:
    """Returns where the object has all members of the protocol.

    Args:
        given: the object.
        protocol: what it is to be.
        what: what it stands for: "reward model".
        named_as: what else could have been given: "a name".

    Raises:
        PluginError: some are missing; the message names them.
    """
    if missing := missing_members(given, protocol):
        raise PluginError(
            f"the {what} that was given, of type {type(given).__name__}, has no "
            f"{', '.join(missing)}; expected {named_as}, or an object with the members of "
            f"commonweal.{protocol.__name__}"
        )


def check_policy(policy: Policy) -> None:
    """Returns where a policy's language model can be recorded with what it writes.

    Raises:
        PluginError: it cannot.
    """
    missing = [each for each in ("model_id", "weights_hash") if not hasattr(policy.model, each)]
    if missing:
        raise PluginError(
            f"the policy {policy.name!r} has a model of type {type(policy.model).__name__} without "
            f"{', '.join(missing)}; expected a commonweal.LanguageModel, which is recorded with "
            "what it writes"
        )


def try_reward_model(reward: RewardModel, question: Question, opinions: Sequence[Opinion]) -> None:
    """Returns where the model predicts what one person says of two opinions.

    An object that did so once is not asked again.

    Raises:
        PluginError: it fails, or gives something else than its protocol promises.
        EngineError: it gave no reward.
    """
    try:
        if is_ours(reward) or reward in _TRIED:
            return
    except TypeError:  # it cannot be hashed
        pass
    first, *_, last = opinions
    texts = [first.text, last.text]
    _, utilities = predictions(reward, question.text, texts[:1], texts, people=[first.id])
    judged(reward, question.text, texts[:1], texts, utilities)
    try:
        _TRIED.add(reward)
    except TypeError:  # neither hashed nor remembered
        return


def try_rule(rule: WelfareRule, n_participants: int, n_candidates: int) -> None:
    """Returns where the rule gives a welfare for utilities of the shape that is to come.

    Raises:
        PluginError: it fails, or gives something else.
    """
    utilities: FloatArray = np.linspace(3.0, 5.0, n_participants * n_candidates)
    rule.welfare(utilities.reshape(n_participants, n_candidates))
