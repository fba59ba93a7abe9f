"""Results kept in a folder, under names made from the group and what was asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commonweal._version import __version__
from commonweal.batch.behind import hashes_behind
from commonweal.errors import CommonwealError, InputError
from commonweal.files import write_whole
from commonweal.groups import Group
from commonweal.result import Agreement
from commonweal.types import Opinion, Question

GivenGroup = Group | tuple[str | Question, Sequence[str | Opinion]]
"""A group's file that was read, or its question and its opinions."""

_NOT_ASKED = ("on_progress", "on_cost", "on_draft", "timeout_seconds")
"""Options that change nothing about a result."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The results in a folder.

    Attributes:
        folder: made with the first result.
        asked: what was asked for, in plain values (``asked_for``).
    """

    folder: Path
    asked: Mapping[str, Any]

    def key(self, group: GivenGroup) -> str:
        """The name of this group's result: a hash of its content and of what was asked for."""
        content = [*content_of(group), self.asked]
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=list)
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:24]

    def get(self, key: str) -> Agreement | None:
        """The result that was kept; None where there is none, or none that can be read."""
        try:
            fields = json.loads(self._file(key).read_text(encoding="utf-8"))
            return Agreement.from_dict(fields)
        except (OSError, ValueError, AttributeError, CommonwealError):  # [] has no fields
            return None

    def put(self, key: str, result: Agreement) -> None:
        """Keeps a result, whole or not at all.

        Raises:
            InputError: it cannot be written.
        """
        self.put_text(key, as_text(result))

    def put_text(self, key: str, text: str) -> None:
        """Keeps a result that was made a text elsewhere (``as_text``).

        Raises:
            InputError: it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._file(key), text)

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def as_text(result: Agreement) -> str:
    """The result as it is kept."""
    return json.dumps(result.to_dict(), ensure_ascii=False)


def asked_for(given: Mapping[str, Any]) -> dict[str, Any]:
    """What makes two calls the same, in plain values.

    Raises:
        InputError: one of them is an object, which has no name, or a server's options cannot be
            read.
    """
    given = {name: value for name, value in given.items() if name not in _NOT_ASKED}
    plain = (str, int, float, bool, type(None))
    for name, value in given.items():
        members = value if isinstance(value, (list, tuple)) else [value]
        if not all(isinstance(each, plain) for each in members):
            raise InputError(
                f"{name} is an object, and the folder keeps results under names made from plain "
                f"values; give {name} by name, or no folder"
            )
    return {**given, **hashes_behind(given), "version": __version__}


def parts(group: GivenGroup) -> tuple[str | Question, Sequence[str | Opinion]]:
    """The group's question and opinions."""
    return (group.question, group.opinions) if isinstance(group, Group) else group


def content_of(group: GivenGroup) -> tuple[Any, Any]:
    """The group's question and opinions in plain values."""
    question, opinions = parts(group)
    asked = question if isinstance(question, str) else [question.text, question.id]
    return asked, [each if isinstance(each, str) else [each.id, each.text] for each in opinions]
