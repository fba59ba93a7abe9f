"""Config files to start from: every field, its default and what it is, made from the fields."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from commonweal.errors import InputError
from commonweal.files import write_whole
from commonweal.training.config import ConfigTable, RewardConfig, SftConfig
from commonweal.training.loop.plan import IteratePlan

Kind = Literal["sft", "reward", "iterate latent", "iterate study"]

_GIVEN: Mapping[Kind, tuple[type[ConfigTable], str, dict[str, Any]]] = {
    "sft": (
        SftConfig,
        "A policy's training run: commonweal train sft {file}.",
        {"name": "{name}", "out": "runs/{name}", "data.starter_set": True},
    ),
    "reward": (
        RewardConfig,
        "A reward model's training run: commonweal train reward {file}.",
        {"name": "{name}", "out": "runs/{name}", "data.datasets": ["rounds"]},
    ),
    "iterate latent": (
        IteratePlan,
        "A training loop: commonweal iterate {file}. The people are simulated: nobody is asked.",
        {"name": "{name}", "out": "runs/{name}", "people.kind": "latent"},
    ),
    "iterate study": (
        IteratePlan,
        "A training loop: commonweal iterate {file}. It stops if an export is missing: run the "
        "study, export it there, and run the command again.",
        {
            "name": "{name}",
            "out": "runs/{name}",
            "people.kind": "study",
            "people.exports": ["exports/first", "exports/second"],
            "people.evaluation_export": "exports/evaluation",
        },
    ),
}
"""What each file gives; every other field stands in it as a comment, with its default."""

_WIDTH = 100


def write_starter(file: Path, kind: Kind) -> None:
    """Writes the config file to start from.

    Raises:
        InputError: the file is there already, or cannot be written.
    """
    if file.exists():
        raise InputError(f"{file} already exists; expected a new name")
    if file.suffix != ".toml":
        raise InputError(f"the file is {file}; expected a name that ends in .toml")
    write_whole(file, starter(kind, file))


def starter(kind: Kind, file: Path) -> str:
    """The file's text."""
    config, title, given = _GIVEN[kind]
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in file.stem)
    values = {key: _filled(value, name) for key, value in given.items()}
    head = textwrap.wrap(
        f"{title.format(file=file.name)} A field behind a # has the value that is shown; remove "
        "the # to change it. Relative paths start from this file's folder.",
        _WIDTH - 2,
    )
    lines = [*(f"# {line}" for line in head), "", *_lines(config, "", values)]
    return "\n".join(lines).rstrip() + "\n"


def _lines(part: type[ConfigTable], prefix: str, given: Mapping[str, Any]) -> Iterator[str]:
    """The part's own fields, then its tables."""
    tables: list[tuple[str, type[ConfigTable]]] = []
    for name, field in part.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, ConfigTable):
            tables.append((name, inner))
            continue
        key = prefix + name
        yield from (f"# {line}" for line in textwrap.wrap(field.description or "", _WIDTH - 2))
        if key in given:
            yield f"{name} = {_toml(given[key])}"
        elif field.is_required() or field.default is None:
            yield f"#{name} ="
        else:
            yield f"#{name} = {_toml(field.default)}"
        yield ""
    for name, inner in tables:
        yield f"[{prefix}{name}]"
        yield ""
        yield from _lines(inner, f"{prefix}{name}.", given)


def _filled(value: Any, name: str) -> Any:
    return value.replace("{name}", name) if isinstance(value, str) else value


def _toml(value: Any) -> str:
    """The value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
