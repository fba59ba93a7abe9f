"""``--set key=value``: a value of a config file, given on the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

from commonweal.errors import InputError

EXPECTED = "expected KEY=VALUE, such as training.max_steps=20"


def with_set(data: dict[str, Any], given: Sequence[str]) -> dict[str, Any]:
    """The tables of a config file with these values in the place of its own.

    A value is read as TOML (``20``, ``true``, ``["a", "b"]``); what is none is text.

    Args:
        data: the file's tables; they are not changed.
        given: "part.field=value", the last of one field counts.

    Raises:
        InputError: one is not of that form, or its key leads through what is no table.
    """
    changed = dict(data)
    for one in given:
        key, is_there, text = one.partition("=")
        names = [name.strip() for name in key.split(".")]
        if not is_there or not all(names):
            raise InputError(f"--set {one!r}: {EXPECTED}")
        table = changed
        for name in names[:-1]:
            inner = table.get(name, {})
            if not isinstance(inner, dict):
                raise InputError(
                    f"--set {one!r}: {name!r} is {inner!r} in the file and not a table; {EXPECTED}"
                )
            table[name] = dict(inner)
            table = table[name]
        table[names[-1]] = _value(text.strip())
    return changed


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
