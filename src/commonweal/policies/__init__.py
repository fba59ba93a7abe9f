"""Policies: a language model with a way of prompting it (paper 3.4 step 1, 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from commonweal.errors import InputError

if TYPE_CHECKING:
    from commonweal.types import LanguageModel, Policy

POLICIES = {
    "few_shot": "three worked examples before the group's own opinions (paper 4.1)",
    "zero_shot": "instructions only (paper 4.1)",
}
"""The policies by name, with what each is."""

DEFAULT_POLICY: Final = "few_shot"


def load_policy(name: str, model: LanguageModel) -> Policy:
    """The policy of this name over a language model.

    Raises:
        InputError: an unknown name.
    """
    from commonweal.policies.prompted import PromptedPolicy
    from commonweal.policies.prompts import load_template

    if name not in POLICIES:
        raise InputError(f"unknown policy {name!r}; expected one of {', '.join(POLICIES)}")
    return PromptedPolicy(name, model, load_template(name))
