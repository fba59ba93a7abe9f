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
    from commonweal.errors import CommonwealError
    from commonweal.groups import read_group
    from commonweal.models import load_language_model
    from commonweal.policies import load_policy
    from commonweal.report import write_report
    from commonweal.result import Agreement
    from commonweal.rewards import load_reward_model
    from commonweal.types import Candidate, Opinion, Question, Rating, Round
    from commonweal.welfare import isoelastic, rank

# Where each public name lives. They are imported when first used (PEP 562), so that
# `import commonweal` costs next to nothing.
_HOMES = {
    "Agreement": "result",
    "Candidate": "types",
    "CommonwealError": "errors",
    "Opinion": "types",
    "Question": "types",
    "Rating": "types",
    "Round": "types",
    "find_agreement": "agreement",
    "isoelastic": "welfare",
    "load_language_model": "models",
    "load_policy": "policies",
    "load_reward_model": "rewards",
    "rank": "welfare",
    "read_group": "groups",
    "write_report": "report",
}

__all__ = [
    "Agreement",
    "Candidate",
    "CommonwealError",
    "Opinion",
    "Question",
    "Rating",
    "Round",
    "__version__",
    "find_agreement",
    "isoelastic",
    "load_language_model",
    "load_policy",
    "load_reward_model",
    "rank",
    "read_group",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"commonweal.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
