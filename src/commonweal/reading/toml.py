"""TOML read, with what is wrong said in plain words, with line and column."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from commonweal.errors import InputError

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_CURLY = "“”„‟«»‘’‚"
_NOT_CLOSED = (
    'a text is not closed: expected the quotes that end it (""" before and after a text of '
    "several lines)"
)
_WORDS = (
    ("Expected '=' after a key", "expected NAME = VALUE on this line"),
    ("Invalid statement", 'expected NAME = VALUE, a heading such as [about], or "#" and a remark'),
    ("Invalid initial character for a key", "expected a name here: letters, digits, - or _"),
    ("Illegal character '\\n'", _NOT_CLOSED),
    ("Illegal character '\\r'", _NOT_CLOSED),
    ("Illegal character", "an invisible character; remove it"),
    ("Found invalid character", "a character that is not allowed here; remove it"),
    ("Unterminated string", _NOT_CLOSED),
    ('Expected "\'"', _NOT_CLOSED),
    ("Expected '\"", _NOT_CLOSED),
    ("Expected newline or end of document", "expected the line to end here; one value a line"),
    ("Unclosed array", "a list is not closed: expected a comma before the next value, or ]"),
    ("Unclosed inline table", "a table is not closed: expected }"),
    ("Expected ']", "a heading is not closed: expected ]"),
    ("Duplicate inline table key", "a name appears twice in one table; expected it once"),
    ("Cannot overwrite a value", "a name appears twice; expected it once"),
    ("Cannot declare", "a heading appears twice; expected it once ([[NAME]] for one of several)"),
    ("Cannot mutate", "adds to a table or list that is closed; expected one place for each"),
    ("Cannot redefine", "a heading appears twice; expected it once"),
    (
        ("Unescaped '\\'", "Invalid hex", "Escaped character"),
        "a backslash with something after it that means nothing in TOML; expected \\\\ for a "
        "backslash, or single quotes around the text",
    ),
    ("Invalid date", "expected a date as 2026-03-01, or quotes around a text"),
)


def load_toml(where: str | Path, text: str) -> dict[str, Any]:
    """What the TOML text holds.

    Args:
        where: the file, for errors.
        text: all of it.

    Raises:
        InputError: it is no TOML; the message says where, what was expected, and shows the line.
        RecursionError: it is nested too deeply, which callers word.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        message = str(error)[: place.start()] if place else str(error)
        line, column = _place(text, place)
        lines = text.replace("\r\n", "\n").split("\n")
        there = lines[line - 1] if line <= len(lines) else ""
        shown = f"; the line is: {there.strip()[:80]!r}" if there.strip() else ""
        raise InputError(
            f"{where}, line {line}, column {column}: not valid TOML: "
            f"{_in_plain_words(message, there, column)}{shown}"
        ) from None
    except ValueError:  # Python reads no number of more than 4,300 digits
        raise InputError(
            f"{where}: not valid TOML: holds a number of thousands of digits; expected text"
        ) from None


def _place(text: str, place: re.Match[str] | None) -> tuple[int, int]:
    if place and place[1]:
        return int(place[1]), int(place[2])
    # At the end of the document: the last line with anything on it.
    lines = text.rstrip().replace("\r\n", "\n").split("\n")
    return len(lines), len(lines[-1]) + 1


def _in_plain_words(message: str, line: str, column: int) -> str:
    rest = line[column - 1 :].strip()
    if message.startswith("Invalid value"):
        if not rest:
            return 'a value is missing: expected one after "=", a text in double quotes'
        if rest[0] in _CURLY:
            return f'a curly quote ({rest[0]}); expected straight ones: "'
        if rest.split("#")[0].strip().lower() in ("true", "false", "yes", "no"):
            return f"the value {rest!r}; expected true or false, in small letters"
        return f'the value {rest[:40]!r}; expected double quotes around a text: "..."'
    if message.startswith("Illegal character '\\n'") and any(quote in line for quote in _CURLY):
        return 'a text is not closed; a curly quote closes none: expected straight ones: "'
    if re.match(r'\s*"?\w+"?\s*:', line) and message.startswith("Expected '='"):
        return 'a colon after the name; expected "=": NAME = VALUE'
    for starts, words in _WORDS:
        if message.startswith(starts):
            return words
    return message[:1].lower() + message[1:]
