"""What has a name: the kinds, and the names that are ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from commonweal.types import LanguageModel, Policy, RewardModel


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing that can be named.

    Attributes:
        group: the entry points' group.
        one: what one of it is called.
        several: what several are called.
        chosen_by: the option that names one.
        protocol: what is made of an entry has these members; None where the entry is it itself.
    """

    group: str
    one: str
    several: str
    chosen_by: str
    protocol: type | None = None


ENGINES = Kind("commonweal.engines", "language-model engine", "engines", "--model", LanguageModel)
POLICIES = Kind("commonweal.policies", "policy", "policies", "--policy", Policy)
REWARD_MODELS = Kind(
    "commonweal.reward_models", "reward model", "reward models", "--reward-model", RewardModel
)
WELFARE_RULES = Kind("commonweal.welfare_rules", "welfare rule", "welfare rules", "--welfare")
KINDS = (ENGINES, POLICIES, REWARD_MODELS, WELFARE_RULES)

BUILT_IN: Mapping[Kind, Mapping[str, str]] = {
    ENGINES: {
        "embedded": "commonweal.models.embedded_engine:EmbeddedModel",
        "openai": "commonweal.models.openai_engine:OpenAIModel",
        "hf": "commonweal.models.transformers_engine:TransformersModel",
    },
    POLICIES: {
        "sft": "commonweal.policies.writers:sft",
        "few_shot": "commonweal.policies.writers:few_shot",
        "zero_shot": "commonweal.policies.writers:zero_shot",
    },
    REWARD_MODELS: {
        "reader": "commonweal.rewards.reader:Reader",
        "first": "commonweal.rewards.first:FirstRewardModel",
        "probe": "commonweal.rewards.probe:ProbeRewardModel",
        "prompted": "commonweal.rewards.prompted:PromptedRewardModel",
    },
    WELFARE_RULES: {
        "utilitarian": "commonweal.rules:UTILITARIAN",
        "bernoulli_nash": "commonweal.rules:BERNOULLI_NASH",
        "rawlsian": "commonweal.rules:RAWLSIAN",
        "isoelastic": "commonweal.rules:isoelastic_from_spec",
        "quantile": "commonweal.rules.thresholds:Quantile",
        "approval": "commonweal.rules.thresholds:Approval",
        "veto_core": "commonweal.rules.thresholds:veto_core",
        "schulze": "commonweal.rules.pairwise:schulze",
        "ranked_pairs": "commonweal.rules.pairwise:ranked_pairs",
        "maximal_lotteries": "commonweal.rules.pairwise:maximal_lotteries",
    },
}
"""Ours, by name: "module:attribute". In code, not in our own entry points, so that a checkout has
what its code has without being installed anew."""

ALIASES: Mapping[Kind, Mapping[str, str]] = {
    WELFARE_RULES: {
        "nash": "bernoulli_nash",
        "egalitarian": "rawlsian",
        "maximin": "rawlsian",
    }
}
"""Other names of ours that are understood; what is recorded is the name that they stand for."""

BASE = "base"
"""After a policy's name, as in ``sft_base``: one sample and no rule. So no rule has this name."""

ALPHA = "alpha_"
"""After a policy's name, before a number: a member of the isoelastic family."""

FAMILY = "isoelastic"
"""The welfare rule that has an alpha: "isoelastic:2"."""


def canonical(kind: Kind, name: str) -> str:
    """The name that is recorded: the one that an alias stands for, and any other as it is."""
    return ALIASES.get(kind, {}).get(name, name)


def split(spec: str) -> tuple[str, str]:
    """(Name, what follows its colon): "embedded:a.gguf" is ("embedded", "a.gguf").

    Example:
        >>> split("first")
        ('first', '')
    """
    name, _, part = spec.partition(":")
    return name, part
