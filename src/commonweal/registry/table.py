"""The one table of what can be named: ours, and what installed packages add."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module, metadata
from typing import Any

from commonweal._version import __version__
from commonweal.errors import InputError, PluginError
from commonweal.reading.explaining import near
from commonweal.registry.kinds import (
    ALIASES,
    ALPHA,
    BASE,
    BUILT_IN,
    KINDS,
    POLICIES,
    WELFARE_RULES,
    Kind,
    canonical,
)

_NAME = r"[a-z][a-z0-9_-]+"


class PluginWarning(UserWarning):
    """An installed package offers something that is not used, and somebody might think it is."""


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
                f"{self.title} cannot be imported from {self.target}: {said(error)}; repair or "
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
            why = f"its entry points cannot be read: {said(error)}"
            faults.append(Problem(None, "", package, str(distribution.version), why))
            continue
        for point in points:
            if point.group in groups:
                kind = groups[point.group]
                yield Entry(kind, point.name, point.value, package, distribution.version)


def said(error: BaseException) -> str:
    """What an error says, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
