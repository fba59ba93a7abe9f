"""What can be named: language-model engines, policies, reward models and welfare rules.

Ours and those of installed packages stand in one table. A package adds one by an entry point in a
group of ours (docs/plugins.md):

    [project.entry-points."commonweal.welfare_rules"]
    median = "my_package:median"

Nothing is imported before it is used. A package that cannot be imported is named by ``commonweal
plugins`` and by who asks for it, and takes down nothing else. No package can take a name of ours.
"""

from commonweal.registry.kinds import (
    ALIASES,
    ALPHA,
    BASE,
    BUILT_IN,
    ENGINES,
    FAMILY,
    KINDS,
    POLICIES,
    REWARD_MODELS,
    WELFARE_RULES,
    split,
)
from commonweal.registry.making import (
    asked,
    called,
    check,
    is_ours,
    make,
    maker,
    missing_members,
    parameters,
    survey,
)
from commonweal.registry.table import PluginWarning, entries, find, find_unusable, names, problems

__all__ = [
    "ALIASES",
    "ALPHA",
    "BASE",
    "BUILT_IN",
    "ENGINES",
    "FAMILY",
    "KINDS",
    "POLICIES",
    "REWARD_MODELS",
    "WELFARE_RULES",
    "PluginWarning",
    "asked",
    "called",
    "check",
    "entries",
    "find",
    "find_unusable",
    "is_ours",
    "make",
    "maker",
    "missing_members",
    "names",
    "parameters",
    "problems",
    "split",
    "survey",
]
