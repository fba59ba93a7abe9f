"""Policies: a language model with a way of prompting it (paper 3.4 step 1, 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from commonweal.models import DEFAULT_MODEL, SMALL_MODEL
from commonweal.policies.names import NamedPolicy, read_policy_name
from commonweal.policies.prompts import WorkedExample
from commonweal.types import LanguageModel, Policy

__all__ = [
    "NamedPolicy",
    "check_policy",
    "default_policy",
    "load_policy",
    "read_policy_name",
]


def default_policy(model: str | LanguageModel = DEFAULT_MODEL) -> str:
    """What writes where nobody says: ``sft`` with the weights that it was made from, ``few_shot``
    with any other embedded model, else ``zero_shot``. Models of a size that a laptop runs write
    what can be read out after worked examples, and seldom without (docs/LOG.md, 2026-11-28).
    """
    if model == SMALL_MODEL:
        return "sft"
    name = model if isinstance(model, str) else model.model_id
    return "few_shot" if name.split(":")[0] == "embedded" else "zero_shot"


def check_policy(name: str) -> None:
    """Returns where ``load_policy`` would find something: see ``loading.check_policy``."""
    from commonweal.policies import loading

    loading.check_policy(name)


def load_policy(
    name: str,
    model: str | LanguageModel = DEFAULT_MODEL,
    *,
    examples: Sequence[WorkedExample] = (),
    load_model: Callable[[str], LanguageModel] | None = None,
) -> Policy:
    """The policy of this name over a language model: see ``loading.load_policy``."""
    from commonweal.models import load_language_model
    from commonweal.policies import loading  # what it imports takes longer than a name should

    return loading.load_policy(
        name, model, examples=examples, load_model=load_model or load_language_model
    )
