"""What a name stands for, made and asked: the faults of a package are named as such."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from commonweal.errors import CommonwealError, InputError, PluginError
from commonweal.registry.kinds import KINDS, Kind, split
from commonweal.registry.table import Entry, Problem, entries, find, problems, said


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
        raise PluginError(f"{title} failed: {said(error)}") from error


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
        raise PluginError(f"{entry.title} failed: {said(error)}") from error


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
