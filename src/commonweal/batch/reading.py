"""Many groups out of one place: a folder of group files, a dataset, or one file with all of them.

What is wrong with the whole (no such file, no column of opinions) is an error; what is wrong with
one group stands in its place, so that the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonweal.datasets.schema import MANIFEST
from commonweal.errors import InputError
from commonweal.files import near_path
from commonweal.groups import Group, check_group, group_of, read_group
from commonweal.reading.columns import (
    GROUP,
    OPINION,
    PARTICIPANT,
    QUESTION,
    column_named,
    plain,
    says_nothing,
    why_not_counted,
)
from commonweal.reading.json_lines import json_lines
from commonweal.reading.near_forms import OPINIONS
from commonweal.reading.tables import SUFFIXES, read_table
from commonweal.types import Round

if TYPE_CHECKING:
    from commonweal.datasets.dataset import About

EXPECTED = (
    "a folder of group files, a dataset, or a file with many groups: .jsonl with a group a line, "
    ".parquet or a table with a row an opinion and the columns group, question and opinion"
)
MAX_FILE_BYTES = 2_000_000_000
"""Groups are held in memory while the batch runs; a larger file is better given in parts."""

MAX_CHARACTERS = 100_000
"""Of an opinion: a longer one is a document. No model here would read it to its end, and it would
hold up the others."""

_PARQUET = (".parquet", ".pq")
_GROUP_FILES = {".toml", ".json", ".jsonl", *SUFFIXES} - {".txt"}
"""In a folder; a .txt there is more often a note than a table."""

_GROUP_NAMES = [plain(name) for name in GROUP]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a dataset says of a round, in rows of the record format.

    Attributes:
        about: the dataset.
        round: the round's row.
        opinions: opinion id to the opinion's row.
    """

    about: About
    round: Mapping[str, Any]
    opinions: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Given:
    """One group as it was given.

    Attributes:
        name: unique among the groups: the group's own id, its file's name, or g1, g2, ...
        place: where it stands, for errors.
        group: the group, or why it cannot be used.
        origin: of a dataset's round what the dataset says of it.
    """

    name: str
    place: str
    group: Group | InputError
    origin: Origin | None = None


def read_groups(path: str | Path, *, say: Callable[[str], None] = lambda _: None) -> list[Given]:
    """The groups in a folder or a file, in their order; those that cannot be used with the reason.

    Args:
        path: a folder of group files (in the order of their names), a dataset (its rounds), or a
            file: ``.jsonl``, ``.parquet`` or a table. In a file a record holds a whole group
            (``question`` and ``opinions``) or one opinion (``question``, ``opinion`` and, where
            there are several groups on a question, ``group``).
        say: told which files of a folder are left out.

    Raises:
        InputError: there is no such file or folder, it cannot be read, holds no groups, or one name
            stands for two groups.
    """
    path = Path(path)
    if path.is_dir():
        groups = list(_dataset(path) if (path / MANIFEST).is_file() else _folder(path, say))
    elif not path.is_file():
        raise InputError(f"no file or folder {path}{near_path(path)}; expected {EXPECTED}")
    else:
        groups = list(_grouped(_records(path)))
    if not groups:
        raise InputError(f"{path}: there are no groups; expected {EXPECTED}")
    seen: dict[str, str] = {}
    for each in groups:
        if each.name in seen:
            raise InputError(
                f"{each.place}: the group {each.name!r} stands in {seen[each.name]} already; "
                "expected a name of its own for each group"
            )
        seen[each.name] = each.place
    return groups


def _folder(folder: Path, say: Callable[[str], None]) -> Iterator[Given]:
    there = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    files = [file for file in there if file.suffix.lower() in _GROUP_FILES and file.is_file()]
    if others := [file.name for file in there if file not in files]:
        say(
            f"{folder}: left out {', '.join(others[:5])}{', ...' if len(others) > 5 else ''} "
            f"({len(others)} in all); group files end in {', '.join(sorted(_GROUP_FILES))}"
        )
    stems = [file.stem for file in files]
    for file in files:
        name = file.stem if stems.count(file.stem) == 1 else file.name
        if file.suffix.lower() == ".jsonl" and _holds_groups(file):
            yield from (
                replace(each, name=f"{name}/{each.name}") for each in _grouped(json_lines(file))
            )
        else:
            yield Given(name, str(file), _or_why(partial(read_group, file)))


def _holds_groups(file: Path) -> bool:
    """Whether each line is a whole group; if not, the file is one group's."""
    try:
        records = [record for _, record in json_lines(file)]
    except InputError:  # said when it is read as one group
        return False
    return bool(records) and all(isinstance(each, dict) and _is_whole(each) for each in records)


def _dataset(folder: Path) -> Iterator[Given]:
    from commonweal.datasets.dataset import read_dataset
    from commonweal.participants.rounds import by_round, rounds_of

    dataset = read_dataset(folder)
    rows = {row["round_id"]: row for row in dataset.rounds.iter_rows(named=True)}
    opinions = by_round(dataset.opinions, lambda row: row)
    for each in rounds_of(dataset):
        place = f"{folder}, round {each.id}"
        people = {row["opinion_id"]: row for row in opinions.get(each.id, ())}
        origin = Origin(dataset.about, rows[each.id], people)
        yield Given(each.id, place, _or_why(partial(_of_round, each, place)), origin)


def _of_round(one: Round, place: str) -> Group:
    try:
        question, opinions, notes = check_group(one.question, one.opinions)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    return Group(question, opinions, {}, notes)


def _grouped(records: Iterable[tuple[str, Any]]) -> Iterator[Given]:
    """The groups in records, each of which holds a whole group or one opinion."""
    rows: dict[str, tuple[str, dict[str, Any]]] = {}
    told_by: dict[str, dict[str, str]] = {}
    for number, (place, record) in enumerate(records, start=1):
        if not isinstance(record, dict) or _is_whole(record, is_first=not rows):
            fields, name = _named(record, f"g{number}")
            yield Given(name, place, _or_why(partial(group_of, fields, place)))
            continue
        _, text = _field(record, OPINION) or ("", "")
        asked = _field(record, QUESTION)
        question = "" if asked is None or asked[1] is None else str(asked[1])
        columns = _group_columns(record)
        name = next(iter(columns.values()), "")
        marks = {key: value for key, value in record.items() if value is not text}
        if not (name or question or text):
            continue
        # A group whose rows all say nothing is told, too.
        _, group = rows.setdefault(
            name or question, (place, {"question": question, "opinions": []})
        )
        if why_not_counted(marks) or text is None or (isinstance(text, str) and says_nothing(text)):
            continue
        first = told_by.setdefault(name, columns) if name else {}
        for key in columns:
            if columns[key] and first.get(key) and columns[key] != first[key]:
                raise InputError(
                    f"{place}: {next(iter(columns))} {name!r} has {key} {columns[key]!r} here and "
                    f"{first[key]!r} before, so several columns tell groups apart "
                    f"({', '.join(columns)}); keep one of them, or join them into one called group"
                )
        if question and not group["question"]:
            group["question"] = question
        elif question and question.split() != group["question"].split():
            group.setdefault("questions", [group["question"]]).append(question)
        who = _field(record, PARTICIPANT)
        group["opinions"].append(
            {"text": text} | ({"id": str(who[1])} if who and who[1] is not None else {})
        )
    for number, (name, (place, group)) in enumerate(rows.items(), start=1):
        several = group.pop("questions", None)
        why = (
            None
            if several is None
            else InputError(
                f"{place}: the rows of the group {name!r} ask different questions "
                f"({several[0]!r}, {several[1]!r}); expected one group on one question"
            )
        )
        # A group that is told by its question alone is named by its number.
        known = name if name != group["question"] else f"g{number}"
        yield Given(known, place, why or _or_why(partial(group_of, group, place)))


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """The records in a file, each with its place."""
    suffix = path.suffix.lower()
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InputError(
            f"{path} has {path.stat().st_size:,} bytes, expected at most {MAX_FILE_BYTES:,}: give "
            "it in parts, each with an --out of its own"
        )
    if suffix == ".jsonl":
        yield from json_lines(path)
    elif suffix in _PARQUET:
        from commonweal.frames import pl

        try:
            table = pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            first = str(error).splitlines()[0]
            raise InputError(f"{path}: not a Parquet file that can be read ({first})") from None
        for number, row in enumerate(table.iter_rows(named=True), start=1):
            yield f"{path}, row {number}", row
    elif suffix in SUFFIXES:
        known = {plain(name) for names in (OPINION, PARTICIPANT, QUESTION, GROUP) for name in names}
        rows = read_table(path, known, expected=EXPECTED, max_bytes=MAX_FILE_BYTES)
        if column_named(rows.header, OPINION) is None:
            raise InputError(
                f"{rows.place(rows.rows[0])}: no column is called opinion; got "
                f"{', '.join(filter(None, rows.header[:12]))}{rows.read_as()}; expected group, "
                "question, opinion and, if wanted, id"
            )
        for each in rows.rows[1:]:
            yield rows.place(each), dict(zip(rows.header, each.cells, strict=False))
    else:
        raise InputError(f"{path}: got a file that ends in {suffix!r}; expected {EXPECTED}")


def _field(record: Mapping[str, Any], names: Iterable[str]) -> tuple[str, Any] | None:
    """The field with the likeliest of these names, and its value."""
    keys = list(record)
    at = column_named([str(key) for key in keys], list(names))
    return None if at is None else (keys[at], record[keys[at]])


def _group_columns(record: Mapping[str, Any]) -> dict[str, str]:
    """The fields that may tell groups apart, the likeliest first."""
    columns = [key for key in record if plain(str(key)) in _GROUP_NAMES]
    columns.sort(key=lambda key: _GROUP_NAMES.index(plain(str(key))))
    return {key: "" if record[key] is None else str(record[key]) for key in columns}


def _is_whole(record: Mapping[str, Any], *, is_first: bool = False) -> bool:
    """Whether a record holds all of a group's opinions, not one.

    A null may be either: where no row came before it, it is a group's that has none.
    """
    opinions = _field(record, OPINIONS)
    if opinions is not None and (
        isinstance(opinions[1], list | dict) or (opinions[1] is None and is_first)
    ):
        return True
    return not _field(record, OPINION)


def _named(record: Any, otherwise: str) -> tuple[Any, str]:
    """The record without its group's name, and the name; a null says nothing."""
    if not isinstance(record, dict):
        return record, otherwise
    record = {key: value for key, value in record.items() if value is not None}
    if (id_field := _field(record, ("id", *GROUP, "name"))) is None:
        return record, otherwise
    return {key: value for key, value in record.items() if key != id_field[0]}, str(id_field[1])


def _or_why(read: Callable[[], Group]) -> Group | InputError:
    """The group, or why it cannot be used."""
    try:
        group = read()
    except InputError as error:
        return error
    for each in group.opinions:
        if len(each.text) > MAX_CHARACTERS:
            return InputError(
                f"the opinion of {each.id!r} has {len(each.text):,} characters, expected at most "
                f"{MAX_CHARACTERS:,}; give its gist"
            )
    return group
