"""A group's file: the question and the opinions, from TOML, JSON or a table, checked with places.

TOML and JSON hold ``question`` and a list ``opinions``, each with ``text`` and, if wanted, ``id``::

    question = "Should local buses be free for everyone?"

    [[opinions]]
    id = "ana"
    text = "I can't drive, and the fares add up."

``opinions`` may also be a list of plain texts. A table (.csv in any dialect, .xlsx, .ods) has a
header with a column ``opinion`` and, if wanted, ``id``; its ``question`` column holds the question
in every row, or in the first.
"""

from __future__ import annotations

import json
import re
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
from commonweal.reading.group_table import read_group_table
from commonweal.reading.near_forms import near_forms
from commonweal.reading.tables import SUFFIXES
from commonweal.reading.toml import load_toml
from commonweal.types import Opinion, Question

MAX_FILE_BYTES = 20_000_000
"""A larger file is not a group's opinions, whatever it is."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""What is there to steer a terminal or a reader's eye, not to be read: control codes, lone
surrogates, and the marks that turn the direction of text around so that it reads other than it is;
not line ends and tabs, and not the joiners that emoji and many scripts need."""

MAX_NAMED = 50
"""People who are named in notes; more are counted."""


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
    # Read by ``reading.critiques`` alone.
    critique: str | None = None


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


def read_group(
    path: str | Path, *, question: str | None = None, opinion_column: str | None = None
) -> Group:
    """The group in a ``.toml`` or ``.json`` file or a table (``.csv``, ``.xlsx``, ``.ods``, ...).

    Args:
        path: the file.
        question: what the group was asked, if the file does not say; it replaces the file's.
        opinion_column: in a table such as a form's export, the column with the opinions, by name or
            letter, if it is not called opinion.

    Raises:
        InputError: the file is missing, cannot be read, malformed, or holds no usable group; the
            message says where (row and column, or line, field, id) and what was expected.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    notes: tuple[str, ...] = ()
    places: list[str] = []
    if suffix in SUFFIXES:
        table = read_group_table(path, opinion_column=opinion_column, max_bytes=MAX_FILE_BYTES)
        opinions = [(name or None, text) for name, text, _ in table.opinions]
        places = [place for _, _, place in table.opinions]
        asked, about, notes = table.question, _AboutRecord(), table.notes
        if not opinions:
            raise InputError(f"{path}: there are no opinions; expected at least two")
        if not asked and question is None:
            raise InputError(
                f"{path}: no row says what the group was asked; expected question, opinion and, if "
                'wanted, id as columns, or --question "..."'
            )
    else:
        if opinion_column is not None:
            raise InputError(
                f"{path}: --opinion-column is for a table ({', '.join(SUFFIXES)}); take it out"
            )
        record, notes = _from_fields(path, suffix, question)
        opinions = [(each.id, each.text) for each in record.opinions]
        asked, about = record.question, record.about
    if question is not None and asked.strip() and asked.split() != question.split():
        notes = (*notes, f"the question is the one given, not the file's: {asked}")
    given, numbered = _with_ids(opinions)
    try:
        checked, people, more = check_group(asked if question is None else question, given)
    except InputError as error:
        raise InputError(f"{path}: {error}{_where_twice(given, places)}") from None
    return Group(checked, people, about.model_dump(), (*notes, *numbered, *more))


def group_of(fields: Any, place: str) -> Group:
    """The group in a value as ``json.loads`` gives it: question and opinions, in the usual forms.

    Args:
        fields: of the group.
        place: where it stands, for errors: "groups.jsonl, line 3".

    Raises:
        InputError: it holds no usable group.
    """
    record, notes = _record_of(fields, None, place)
    given, numbered = _with_ids([(each.id, each.text) for each in record.opinions])
    try:
        asked, people, more = check_group(record.question, given)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    return Group(asked, people, record.about.model_dump(), (*notes, *numbered, *more))


def _with_ids(opinions: Sequence[tuple[str | None, str]]) -> tuple[list[Opinion], tuple[str, ...]]:
    """The opinions with p1, p2, ... where there is no id, and a note where only some had one."""
    taken = {name for name, _ in opinions if name is not None}
    named = []
    for n, (name, text) in enumerate(opinions, start=1):
        if name is None:
            name = f"p{n}"
            while name in taken:  # somebody is called p2 already
                name += "_"
            taken.add(name)
        named.append(Opinion(name, text))
    n_blank = sum(name is None for name, _ in opinions)
    mixed = 0 < n_blank < len(opinions)
    note = f"{n_blank} participants without an id are called p1, p2, ..."
    return named, (note,) if mixed else ()


def _where_twice(opinions: Sequence[Opinion], places: Sequence[str]) -> str:
    """The rows of an id that appears twice."""
    if not places:
        return ""
    for name, n in Counter(opinion.id for opinion in opinions).items():
        if n > 1:
            rows = [p for p, opinion in zip(places, opinions, strict=True) if opinion.id == name]
            numbers = [re.search(r"row (\d+)", place) for place in rows]
            return f" (rows {', '.join(each[1] for each in numbers if each)})"
    return ""


def _from_fields(
    path: Path, suffix: str, question: str | None
) -> tuple[_GroupRecord, tuple[str, ...]]:
    """The record in a TOML or JSON file."""
    if suffix not in (".toml", ".json", ".jsonl"):
        raise InputError(
            f"{path}: expected a file that ends in .toml, .json or .csv, or another table "
            f"({', '.join(SUFFIXES[1:])})"
        )
    text = read_text(path, expected="a group as .toml, .json or a table", max_bytes=MAX_FILE_BYTES)
    if not text.strip():
        raise InputError(f"{path} is empty; expected a question and a list of opinions")
    try:
        if suffix == ".toml":
            data: Any = load_toml(path, text)
        elif suffix == ".jsonl":
            data = [json.loads(line) for line in _lines(text)]
        else:
            data = _json(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}"
        ) from None
    except RecursionError:
        raise InputError(f"{path}: not a group: nested too deeply") from None
    except ValueError as error:  # a number with thousands of digits
        raise InputError(f"{path}: not valid JSON: {error}") from None
    return _record_of(data, question, path, text)


def _record_of(
    fields: Any, question: str | None, place: Path | str, text: str = ""
) -> tuple[_GroupRecord, tuple[str, ...]]:
    """The record in a value of any usual form, and how it was read."""
    fields, notes = near_forms(fields, question)
    try:
        return _GroupRecord.model_validate(fields), notes
    except ValidationError as error:
        raise InputError(_explain(place, text, error)) from None


def _json(text: str) -> Any:
    """The value in a text of JSON, or, of a value a line, the list of them."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        lines = _lines(text)
        if error.msg != "Extra data" or not all(line.lstrip()[:1] in '{"' for line in lines):
            raise
        return [json.loads(line) for line in lines]


def _lines(text: str) -> list[str]:
    """Those that are not blank. Other marks than a line feed may stand within a text of JSON."""
    return [line for line in text.split("\n") if line.strip()]


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
    asked = Question(cleaned(asked.text, "the question", notes), asked.id)
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
            f"participant id {repeated[0]!r} appears more than once; expected one opinion a "
            "participant, each with an id of its own"
        )
    checked = [check_opinion(opinion, notes) for opinion in given]
    by_text: dict[str, list[str]] = {}
    for opinion in checked:
        by_text.setdefault(same_words(opinion.text), []).append(opinion.id)
    alike = [ids for ids in by_text.values() if len(ids) > 1]
    if sum(map(len, alike)) > MAX_NAMED:
        notes.append(alike_note(sum(map(len, alike))))
    else:
        notes += [
            f"participants {', '.join(ids)} gave the same opinion; each counts" for ids in alike
        ]
    return asked, tuple(checked), tuple(notes)


def same_words(text: str) -> str:
    """What two texts share that are the same but for capitals and blanks."""
    return " ".join(text.casefold().split())


def alike_note(n_people: int) -> str:
    """What is said of many who wrote the same."""
    return (
        f"{n_people:,} participants gave an opinion in the same words as somebody else; each counts"
    )


def check_opinion(opinion: Opinion, notes: list[str] | None = None) -> Opinion:
    """The opinion without control characters and blanks at its ends.

    Args:
        opinion: as it came in.
        notes: where it is said what was taken out.

    Raises:
        InputError: it is blank, or the id is no name.
    """
    if not opinion.id.strip():
        raise InputError("a participant id is blank; expected a name, or leave the id out")
    if _CONTROL.search(opinion.id) or any(c in "\n\t" for c in opinion.id):
        raise InputError(
            f"participant id {opinion.id!r} holds control characters; expected a plain name"
        )
    text = cleaned(opinion.text, f"the opinion of {opinion.id!r}", [] if notes is None else notes)
    if not text:
        raise InputError(
            f"the opinion of participant {opinion.id!r} is blank; expected what they wrote, "
            "or leave them out"
        )
    return Opinion(opinion.id, text)


def cleaned(text: str, what: str, notes: list[str]) -> str:
    """The text without control characters (line ends and tabs stay) and blanks at its ends."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    kept, n_removed = _CONTROL.subn(" ", lines)
    if n_removed:
        notes.append(f"{n_removed} control character(s) in {what} were replaced by blanks")
    return kept.strip()


def _explain(path: Path | str, text: str, error: ValidationError) -> str:
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
    if kind in ("model_type", "dict_type"):
        what = "a text, or text and id" if first["loc"] else "a question and a list of opinions"
        shown = str(first["input"])[:60]
        return f"{place}: got {got} {shown!r}; not a valid entry: expected {what}"
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
