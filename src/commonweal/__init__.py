"""Find a statement that a group of people with different views can stand behind.

People write opinions on a question; a policy writes candidate statements; a reward model predicts
each person's agreement with each from that person's own opinion; a welfare function picks the best
for the group (Bakker et al. 2022). Start with ``find_agreement``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from commonweal._version import __version__

if TYPE_CHECKING:
    from commonweal.agreement import find_agreement
    from commonweal.batch import find_agreement_async, find_agreements
    from commonweal.errors import (
        CommonwealError,
        EngineError,
        GenerationError,
        InputError,
        MissingExtraError,
        PluginError,
        StoppedError,
        TimeLimitError,
        TrainingError,
        UnsupportedByEngineError,
        WeightsError,
        WelfareDomainError,
    )
    from commonweal.groups import read_group
    from commonweal.models import load_language_model
    from commonweal.policies import load_policy
    from commonweal.report import write_report
    from commonweal.result import Agreement
    from commonweal.rewards import load_reward_model
    from commonweal.types import (
        Calibration,
        Candidate,
        Completion,
        Generation,
        GivesRanges,
        JudgesQuality,
        LanguageModel,
        Message,
        Opinion,
        Policy,
        Question,
        Rating,
        RewardInput,
        RewardModel,
        Round,
        Sampling,
        WritesFromSamples,
    )
    from commonweal.welfare import WelfareRule, isoelastic, rank

# Where each public name lives. They are imported when first used (PEP 562), so that
# `import commonweal` costs next to nothing.
_HOMES = {
    name: home
    for home, names in {
        "agreement": "find_agreement",
        "batch": "find_agreement_async find_agreements",
        "errors": (
            "CommonwealError EngineError GenerationError InputError MissingExtraError "
            "PluginError StoppedError TimeLimitError TrainingError UnsupportedByEngineError "
            "WeightsError WelfareDomainError"
        ),
        "groups": "read_group",
        "models": "load_language_model",
        "policies": "load_policy",
        "report": "write_report",
        "result": "Agreement",
        "rewards": "load_reward_model",
        "types": (
            "Calibration Candidate Completion Generation GivesRanges JudgesQuality LanguageModel "
            "Message Opinion Policy Question Rating RewardInput RewardModel Round Sampling "
            "WritesFromSamples"
        ),
        "welfare": "WelfareRule isoelastic rank",
    }.items()
    for name in names.split()
}

__all__ = [
    "Agreement",
    "Calibration",
    "Candidate",
    "CommonwealError",
    "Completion",
    "EngineError",
    "Generation",
    "GenerationError",
    "GivesRanges",
    "InputError",
    "JudgesQuality",
    "LanguageModel",
    "Message",
    "MissingExtraError",
    "Opinion",
    "PluginError",
    "Policy",
    "Question",
    "Rating",
    "RewardInput",
    "RewardModel",
    "Round",
    "Sampling",
    "StoppedError",
    "TimeLimitError",
    "TrainingError",
    "UnsupportedByEngineError",
    "WeightsError",
    "WelfareDomainError",
    "WelfareRule",
    "WritesFromSamples",
    "__version__",
    "find_agreement",
    "find_agreement_async",
    "find_agreements",
    "isoelastic",
    "load_language_model",
    "load_policy",
    "load_reward_model",
    "rank",
    "read_group",
    "write_report",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"commonweal.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
