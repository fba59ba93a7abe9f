"""A group's file: the question and the opinions, from TOML, JSON or CSV, checked with line numbers.

TOML and JSON hold ``question`` and a list ``opinions``, each with ``text`` and, if wanted, ``id``::

    question = "Should local buses be free for everyone?"

    [[opinions]]
    id = "ana"
    text = "I can't drive, and the fares add up."

CSV has a header with a column ``opinion`` and, if wanted, ``id``; its ``question`` column holds the
question in every row, or in the first.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from commonweal.errors import InputError
from commonweal.files import read_text
from commonweal.reading.explaining import nearest
from commonweal.types import Opinion, Question

MAX_FILE_BYTES = 20_000_000
"""A larger file is not a group's opinions, whatever it is."""


@dataclass(frozen=True, slots=True)
class Group:
    """A question and the opinions on it, as read from one file.

    Attributes:
        question: the question.
        opinions: at least two, ids unique, texts not blank.
        about: what the file says of itself (topic, country, tags): never shown to a model.
        notes: what was done to the input on the way in, in plain sentences.
    """

    question: Question
    opinions: tuple[Opinion, ...]
    about: dict[str, Any]
    notes: tuple[str, ...] = ()


class _OpinionRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    text: str
    id: str | None = None


class _AboutRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    topic: str = ""
    country: str = ""
    tags: list[str] = []


class _GroupRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    question: str
    opinions: Annotated[list[_OpinionRecord], Field(min_length=1)]
    about: _AboutRecord = _AboutRecord()


def read_group(path: str | Path) -> Group:
    """The group in a ``.toml``, ``.json`` or ``.csv`` file.

    Raises:
        InputError: the file is missing, not UTF-8, malformed, or holds no usable group; the message
            says where (line, field, id) and what was expected.
    """
    path = Path(path)
    text = read_text(path, expected="a group as .toml, .json or .csv", max_bytes=MAX_FILE_BYTES)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        data = _from_csv(path, text)
    elif suffix == ".toml":
        try:
            data = tomllib.loads(text)
        except RecursionError:
            raise InputError(f"{path}: not a group: nested too deeply") from None
        except ValueError as error:  # TOMLDecodeError, or a number with thousands of digits
            raise InputError(f"{path}: not valid TOML: {error}") from None
    elif suffix == ".json":
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{path}, line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}"
            ) from None
        except RecursionError:
            raise InputError(f"{path}: not a group: nested too deeply") from None
        except ValueError as error:  # a number with thousands of digits
            raise InputError(f"{path}: not valid JSON: {error}") from None
    else:
        raise InputError(f"{path}: expected a file that ends in .toml, .json or .csv")
    try:
        record = _GroupRecord.model_validate(data)
    except ValidationError as error:
        raise InputError(_explain(path, text, error)) from None
    try:
        question, opinions, notes = check_group(
            record.question,
            [
                Opinion(f"p{n}" if opinion.id is None else opinion.id, opinion.text)
                for n, opinion in enumerate(record.opinions, start=1)
            ],
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return Group(question, opinions, record.about.model_dump(), notes)


def check_group(
    question: str | Question, opinions: Sequence[str | Opinion]
) -> tuple[Question, tuple[Opinion, ...], tuple[str, ...]]:
    """The question, the opinions (with ids p1, p2, ... where there were none) and notes.

    Control characters are taken out and blanks at the ends stripped, which a note says. Two people
    may hold the same opinion in the same words; that is noted, not refused.

    Raises:
        InputError: no question, fewer than two opinions, a blank opinion, or an id twice.
    """
    notes: list[str] = []
    asked = question if isinstance(question, Question) else Question(question)
    if not isinstance(asked.text, str):
        raise InputError(f"the question is {asked.text!r}; expected a text")
    asked = Question(_cleaned(asked.text, "the question", notes), asked.id)
    if not asked.text:
        raise InputError("the question is blank; expected what the group was asked")
    if isinstance(opinions, str | bytes) or not isinstance(opinions, Iterable):
        raise InputError(
            f"opinions is one {type(opinions).__name__}; expected a list with one entry a "
            "participant"
        )
    given = [
        opinion if isinstance(opinion, Opinion) else Opinion(f"p{n}", opinion)
        for n, opinion in enumerate(opinions, start=1)
    ]
    if len(given) < 2:
        raise InputError(
            f"got {len(given)} opinion{'s' if len(given) != 1 else ''}, expected at least two: "
            "agreement needs people to agree with each other"
        )
    for opinion in given:
        if not isinstance(opinion.text, str) or not isinstance(opinion.id, str):
            raise InputError(f"opinion {opinion!r}: expected its text and id as strings")
    repeated = [name for name, n in Counter(opinion.id for opinion in given).items() if n > 1]
    if repeated:
        raise InputError(
            f"participant id {repeated[0]!r} stands more than once; expected one opinion a "
            "participant, each with an id of its own"
        )
    checked = []
    for opinion in given:
        if not opinion.id.strip():
            raise InputError("a participant id is blank; expected a name, or leave the id out")
        if any(_is_control(c) or c in "\n\t" for c in opinion.id):
            raise InputError(
                f"participant id {opinion.id!r} holds control characters; expected a plain name"
            )
        text = _cleaned(opinion.text, f"the opinion of {opinion.id!r}", notes)
        if not text:
            raise InputError(
                f"the opinion of participant {opinion.id!r} is blank; expected what they wrote, "
                "or leave them out"
            )
        checked.append(Opinion(opinion.id, text))
    by_text: dict[str, list[str]] = {}
    for opinion in checked:
        by_text.setdefault(" ".join(opinion.text.casefold().split()), []).append(opinion.id)
    notes += [
        f"participants {', '.join(ids)} gave the same opinion; each counts"
        for ids in by_text.values()
        if len(ids) > 1
    ]
    return asked, tuple(checked), tuple(notes)


def _cleaned(text: str, what: str, notes: list[str]) -> str:
    """The text without control characters (line ends and tabs stay) and blanks at its ends."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(" " if _is_control(c) else c for c in lines)
    n_removed = sum(a != b for a, b in zip(kept, lines, strict=True))
    if n_removed:
        notes.append(f"{n_removed} control character(s) in {what} were replaced by blanks")
    return kept.strip()


def _is_control(character: str) -> bool:
    """Whether a character is there to steer a terminal or a reader's eye, not to be read.

    Control codes, lone surrogates, and the marks that turn the direction of text around so that it
    reads other than it is; not the joiners that emoji and many scripts need.
    """
    if character in "\n\t":
        return False
    return (
        unicodedata.category(character) in ("Cc", "Cs")
        or "\u202a" <= character <= "\u202e"
        or "\u2066" <= character <= "\u2069"
    )


def _from_csv(path: Path, text: str) -> dict[str, Any]:
    columns = ("question", "id", "opinion")
    # io.StringIO with newline="" lets the csv module see line ends inside quotes as they are.
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        for name in header:
            if header.count(name) > 1:
                raise InputError(f"{path}, line 1: column {name!r} stands twice")
            if name not in columns:
                raise InputError(f"{path}, line 1: unknown column {name!r}{nearest(name, columns)}")
        if "opinion" not in header or "question" not in header:
            raise InputError(
                f"{path}, line 1: got columns {', '.join(header) or 'none'}; expected question, "
                "opinion and, if wanted, id"
            )
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise InputError(
                    f"{path}, line {reader.line_num}: expected {len(header)} fields "
                    f"({', '.join(header)}); put quotes around a text with commas"
                )
            rows.append(row)
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not valid CSV: {error}") from None
    questions = list(dict.fromkeys(q for row in rows if (q := row["question"].strip())))
    if len(questions) > 1:
        raise InputError(
            f"{path}: the rows ask {len(questions)} questions ({questions[0]!r}, "
            f"{questions[1]!r}, ...); expected one group on one question a file"
        )
    opinions = [
        {"text": row["opinion"]} | ({"id": row["id"].strip()} if "id" in row else {})
        for row in rows
    ]
    return {"question": questions[0] if questions else "", "opinions": opinions}


def _explain(path: Path, text: str, error: ValidationError) -> str:
    # A misspelt field is both unknown and missing; the first of these says what to mend.
    first = min(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
    where = " → ".join(
        f"opinion {part + 1}" if isinstance(part, int) else _printable(part)
        for part in first["loc"]
        if part != "opinions" or len(first["loc"]) == 1
    )
    line = _line_of(text, first)
    place = f"{path}{f', line {line}' if line else ''}{f': {where}' if where else ''}"
    kind = first["type"]
    if kind == "extra_forbidden":
        parent = first["loc"][:-1]
        model: type[BaseModel] = _GroupRecord
        if parent and parent[0] == "opinions":
            model = _OpinionRecord
        elif parent and parent[0] == "about":
            model = _AboutRecord
        return f"{place}: unknown field{nearest(str(first['loc'][-1]), tuple(model.model_fields))}"
    if kind == "missing":
        return f"{place}: missing; expected a question and a list of opinions, each with a text"
    if kind == "too_short":
        return f"{place}: there are no opinions; expected at least two"
    got = type(first["input"]).__name__
    return f"{place}: got {got} {str(first['input'])[:60]!r}; {first['msg'].lower()}"


def _printable(name: str) -> str:
    """The name as it is, or with escapes for what would steer the terminal that shows it."""
    return name if name.isprintable() else repr(name)


def _line_of(text: str, error: ErrorDetails) -> int | None:
    """The line of the field in question, where it can be told.

    Neither parser keeps line numbers, so the field's name is sought in the text, for the n-th
    opinion from the n-th place where an opinion begins.
    """
    names = [part for part in error["loc"] if isinstance(part, str)]
    if not names or error["type"] == "missing":
        return None
    lines = text.splitlines()
    start = 0
    for part in error["loc"]:
        if isinstance(part, int):
            heads = [n for n, line in enumerate(lines) if re.match(r"\s*(\[\[opinions|\{)", line)]
            # In JSON the first brace is the group's own.
            heads = heads[1:] if text.lstrip().startswith("{") else heads
            start = heads[part] if part < len(heads) else 0
    pattern = re.compile(rf"""(^|[{{,\[\s])["']?{re.escape(names[-1])}["']?\s*[=:\]]""")
    return next((n + 1 for n in range(start, len(lines)) if pattern.search(lines[n])), None)
