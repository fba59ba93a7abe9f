"""What can be named: language-model engines, policies, reward models and welfare rules.

Ours and those of installed packages stand in one table. A package adds one by an entry point in a
group of ours (docs/plugins.md):

    [project.entry-points."commonweal.welfare_rules"]
    median = "my_package:median"

Nothing is imported before it is used. A package that cannot be imported is named by ``commonweal
plugins`` and by who asks for it, and takes down nothing else. No package can take a name of ours.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module, metadata
from typing import Any

from commonweal._version import __version__
from commonweal.errors import CommonwealError, InputError, PluginError
from commonweal.reading.explaining import near
from commonweal.types import LanguageModel, Policy, RewardModel


class PluginWarning(UserWarning):
    """An installed package offers something that is not used, and somebody might think it is."""


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

_NAME = r"[a-z][a-z0-9_-]+"


@dataclass(frozen=True)
class Entry:
    """Something that can be named, not imported yet.

    Attributes:
        target: where it is: "module:attribute".
        package: the distribution that brings it, and its version.
    """

    kind: Kind
    name: str
    target: str
    package: str
    version: str

    @property
    def is_built_in(self) -> bool:
        """Whether it is commonweal's own."""
        return self.name in BUILT_IN[self.kind]

    @property
    def title(self) -> str:
        """What it is and whose, for messages: "the reward model 'words' of tutorial 0.1"."""
        return f"the {self.kind.one} {self.name!r} of {self.package} {self.version}"

    @cached_property
    def loaded(self) -> Any:
        """The object that the entry names.

        Raises:
            PluginError: it cannot be imported.
        """
        module, _, attribute = self.target.partition(":")
        try:
            target: Any = import_module(module)
            for part in attribute.split(".") if attribute else ():
                target = getattr(target, part)
        except KeyboardInterrupt:
            raise
        # A package may do anything when it is imported, also leave.
        except BaseException as error:
            if self.is_built_in:
                raise
            raise PluginError(
                f"{self.title} cannot be imported from {self.target}: {_message(error)}; repair or "
                f"remove it: pip uninstall {self.package}"
            ) from error
        return target


@dataclass(frozen=True, slots=True)
class Problem:
    """Something of an installed package that cannot be used.

    Attributes:
        kind: of what; None where a package's entry points cannot be read at all.
        name: its name, or ''.
        package: the distribution and its version.
        reason: why, in a sentence.
    """

    kind: Kind | None
    name: str
    package: str
    version: str
    reason: str

    def __str__(self) -> str:
        what = f"{self.kind.one} {self.name!r} of " if self.kind else ""
        return f"{what}{self.package} {self.version}: {self.reason}"


def entries(kind: Kind) -> Mapping[str, Entry]:
    """All of this kind that can be named, ours first. Nothing is imported."""
    return _table().entries[kind]


def names(kind: Kind) -> tuple[str, ...]:
    """The names of this kind, ours first."""
    return tuple(entries(kind))


def problems() -> tuple[Problem, ...]:
    """What installed packages offer and cannot be used, as far as it shows without an import."""
    return _table().problems


def canonical(kind: Kind, name: str) -> str:
    """The name that is recorded: the one that an alias stands for, and any other as it is."""
    return ALIASES.get(kind, {}).get(name, name)


def find(kind: Kind, name: str, *, also: str = "") -> Entry:
    """The entry of this name, or of the name that an alias stands for.

    Args:
        kind: what is named.
        name: without what may follow a colon.
        also: what else would have been understood in its place, for the message.

    Raises:
        InputError: there is none; the message lists what there is.
        PluginError: two packages offer it.
    """
    find_unusable(kind, name)
    known = _table().entries[kind]
    if (wanted := canonical(kind, name)) in known:
        return known[wanted]
    meant = near(name, tuple(known))
    hint = "expected" if meant is None else f"did you mean {meant!r}? It is expected to be one of"
    raise InputError(
        f"unknown {kind.one} {name!r}; {hint} {', '.join(known)}{f', or {also}' if also else ''}"
    )


def find_unusable(kind: Kind, name: str) -> None:
    """Says where a package offers this name and is not what the name stands for.

    Raises:
        PluginError: the name stands for nothing, and a package offers it.
    """
    table = _table()
    for problem in table.problems:
        if (problem.kind, problem.name) == (kind, name):
            if canonical(kind, name) not in table.entries[kind]:
                raise PluginError(f"the {problem}")
            warnings.warn(f"the {problem}", PluginWarning, stacklevel=3)


def survey() -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
    """All that can be used, and all that cannot: everything that is not ours is imported."""
    usable, unusable = [], list(problems())
    for kind in KINDS:
        for entry in entries(kind).values():
            try:
                if not entry.is_built_in:
                    maker(entry)
            except PluginError as error:
                why = str(error).removeprefix(f"{entry.title} ")
                unusable.append(Problem(kind, entry.name, entry.package, entry.version, why))
            else:
                usable.append(entry)
    return tuple(usable), tuple(unusable)


def split(spec: str) -> tuple[str, str]:
    """(Name, what follows its colon): "embedded:a.gguf" is ("embedded", "a.gguf").

    Example:
        >>> split("first")
        ('first', '')
    """
    name, _, part = spec.partition(":")
    return name, part


def make(kind: Kind, spec: str, *, also: str = "", **options: Any) -> Any:
    """What a name, with or without a part after a colon, stands for, ready to use.

    An entry is a function or a class. It is called with the part where one is given, else with
    nothing; where it has a method ``from_spec``, that is called instead. ``options`` go with the
    call to an entry that has parameters of these names.

    Raises:
        InputError: there is none of that name, it does not take, or lacks, a part, or has no such
            option.
        PluginError: it cannot be imported or made, or what is made lacks something.
    """
    name, part = split(spec)
    entry = find(kind, name, also=also)
    taken = [each.name for each in parameters(maker(entry))]
    for option in options:
        if option not in taken:
            raise InputError(f"the {kind.one} {entry.name!r} takes no {option}")
    return called(entry, *_arguments(entry, spec, part, also), **options)


def check(kind: Kind, spec: str, *, also: str = "") -> None:
    """Returns where ``make`` would find something by this name, as far as it shows unloaded.

    An entry may have ``check_spec``, which is called with the part after the colon ('' where there
    is none) and raises ``InputError`` where nothing can be made of it.

    Raises:
        InputError: as ``make``.
        PluginError: the entry cannot be imported.
    """
    name, part = split(spec)
    entry = find(kind, name, also=also)
    _arguments(entry, spec, part, also)
    checks = getattr(entry.loaded, "check_spec", None)
    if checks is not None:
        guarded(entry, checks, part)


def called(entry: Entry, *arguments: Any, **options: Any) -> Any:
    """What the entry makes of these arguments, with the members that its kind has.

    Raises:
        PluginError: it raised something that is no error of ours, or made something else.
    """
    result = guarded(entry, maker(entry), *arguments, **options)
    protocol = entry.kind.protocol
    if protocol is not None and not isinstance(result, protocol):
        missing = ", ".join(missing_members(result, protocol))
        expected = f"{protocol.__name__} in commonweal.types: {', '.join(members(protocol))}"
        raise PluginError(
            f"{entry.title} gave a {type(result).__name__} without {missing}; expected "
            f"the members of {expected}"
        )
    return result


def members(protocol: type) -> tuple[str, ...]:
    """The names that a protocol asks for."""
    return tuple(each for each in dir(protocol) if not each.startswith("_"))


def missing_members(given: object, protocol: type) -> tuple[str, ...]:
    """The names that a protocol asks for and an object has not; a class is no object of itself."""
    if isinstance(given, type):
        return members(protocol)
    return tuple(each for each in members(protocol) if not hasattr(given, each))


def is_ours(given: object) -> bool:
    """Whether the object's class comes with commonweal."""
    return type(given).__module__.partition(".")[0] == "commonweal"


def asked(title: str, given: object, question: Callable[[], Any]) -> Any:
    """What an object that a caller brought answers; its faults are named as such.

    Args:
        title: what it is, for messages: "the reward model 'mine'".
        given: the object; a fault of ours stays what it is.
        question: asks it.

    Raises:
        PluginError: it raised something that is no error of ours.
    """
    try:
        return question()
    except CommonwealError:
        raise
    except Exception as error:
        if is_ours(given):
            raise
        raise PluginError(f"{title} failed: {_message(error)}") from error


def maker(entry: Entry) -> Callable[..., Any]:
    """What is called: the entry's ``from_spec``, or itself.

    Raises:
        PluginError: it cannot be imported or called.
    """
    target = getattr(entry.loaded, "from_spec", entry.loaded)
    if not callable(target):
        raise PluginError(
            f"{entry.title} is a {type(target).__name__}; expected a function or a class, at "
            f"{entry.target}"
        )
    return target  # type: ignore[no-any-return]


def guarded(entry: Entry, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What the function returns; another's fault is named as such, and ours stays what it is."""
    try:
        return function(*arguments, **options)
    except CommonwealError:
        raise
    except Exception as error:
        if entry.is_built_in:
            raise
        raise PluginError(f"{entry.title} failed: {_message(error)}") from error


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a function or a class; none where it does not tell."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def _arguments(entry: Entry, spec: str, part: str, also: str) -> tuple[str, ...]:
    places = [each for each in parameters(maker(entry)) if each.kind in _POSITIONAL]
    if part and not places:
        raise InputError(
            f"the {entry.kind.one} {entry.name!r} takes nothing after the colon, got {spec!r}; "
            f"expected {entry.name}"
        )
    if (
        not part
        and places
        and places[0].default is inspect.Parameter.empty
        and (places[0].kind is not inspect.Parameter.VAR_POSITIONAL)
    ):
        raise InputError(
            f"the {entry.kind.one} {entry.name!r} needs something after the colon, got {spec!r}; "
            f"expected {entry.name}:{places[0].name.upper()}{f', {also}' if also else ''}"
        )
    return (part,) if part else ()


_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


@dataclass(frozen=True, slots=True)
class _Table:
    entries: Mapping[Kind, Mapping[str, Entry]]
    problems: tuple[Problem, ...]


def _table() -> _Table:
    return _read_table(tuple(sys.path))


@lru_cache(maxsize=8)
def _read_table(path: tuple[str, ...]) -> _Table:  # noqa: ARG001 - what is found depends on it
    """The table for this ``sys.path``: reading what is installed takes longer than a look-up."""
    faults: list[Problem] = []
    ours = {
        kind: {
            name: Entry(kind, name, target, "commonweal", __version__)
            for name, target in BUILT_IN[kind].items()
        }
        for kind in KINDS
    }
    offers: dict[tuple[Kind, str], list[Entry]] = {}
    for offer in _offered(faults):
        offers.setdefault((offer.kind, offer.name), []).append(offer)
    table = {kind: dict(entries) for kind, entries in ours.items()}
    rules = {name for kind, name in offers if kind is WELFARE_RULES}
    for (kind, name), several in offers.items():
        first, *others = several
        why = _refusal(kind, name, rules)
        if why is None and others:
            whose = " and ".join(f"{one.package} {one.version}" for one in several)
            why = f"{whose} both offer it, and none is used; uninstall one of them"
        if why is None:
            table[kind][name] = first
        else:
            faults.extend(Problem(kind, name, one.package, one.version, why) for one in several)
    return _Table(table, tuple(faults))


def _refusal(kind: Kind, name: str, rules: set[str]) -> str | None:
    """Why nobody may offer this name, or None."""
    if name in BUILT_IN[kind] or name in ALIASES.get(kind, {}):
        return "the name is commonweal's own, which is used in its place; give it another name"
    if not re.fullmatch(_NAME, name):
        return "not a name; expected small letters, digits, _ and -, a letter first"
    if kind is WELFARE_RULES and (name == BASE or name.startswith(ALPHA)):
        return f"a policy's name may end in _{name}, which means something else; give it another"
    if kind is POLICIES:
        known = {*rules, *BUILT_IN[WELFARE_RULES], *ALIASES[WELFARE_RULES], BASE}
        for writer in BUILT_IN[POLICIES]:
            rule = name.removeprefix(f"{writer}_")
            if rule != name and (rule in known or rule.startswith(ALPHA)):
                return f"it reads as {writer} with the rule {rule}; give it another name"
    return None


def _offered(faults: list[Problem]) -> Iterator[Entry]:
    """Every entry point in our groups; ``faults`` takes in what cannot be read."""
    groups = {kind.group: kind for kind in KINDS}
    seen = set()
    for distribution in metadata.distributions():
        # Read as text first: few packages have anything for us, and parsing all takes long.
        try:
            if "commonweal." not in (distribution.read_text("entry_points.txt") or ""):
                continue
            package = distribution.metadata["Name"]
        except Exception:  # noqa: S112 - damaged, and nothing says that it is for us
            continue
        key = re.sub(r"[-_.]+", "-", package).lower()
        if key in seen:
            continue
        seen.add(key)
        try:  # of one that is there twice, the one that Python imports
            distribution = metadata.distribution(package)
            points = list(distribution.entry_points)
        except Exception as error:
            why = f"its entry points cannot be read: {_message(error)}"
            faults.append(Problem(None, "", package, str(distribution.version), why))
            continue
        for point in points:
            if point.group in groups:
                kind = groups[point.group]
                yield Entry(kind, point.name, point.value, package, distribution.version)


def _message(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
