"""What people themselves said of a group's candidates: rankings or ratings, from a table."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from commonweal.errors import InputError
from commonweal.reading.columns import PARTICIPANT, column_named, plain
from commonweal.reading.tables import Row, Table, read_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_FILE_BYTES = 20_000_000
_PERSON = ("person", "voter", *PARTICIPANT)
_NUMBERED = re.compile(r"[a-z]?0*(\d+)")
_HIGHEST_RATING = 7


@dataclass(frozen=True, slots=True, eq=False)
class Ballots:
    """What people said of some of a group's candidates; nothing of it is predicted.

    Attributes:
        kind: "rankings", 1 is the best place and equal places are ties, or "ratings", 1 to 7.
        people: their ids, in the order of the rows; they need not be those who wrote opinions.
        candidates: ids, in the order in which they were written: that of the columns.
        values: float64 [n_people, n_candidates]. Who left places empty ranked those candidates
            last, all in one place after the others.
        notes: how the table was read, in plain sentences.
    """

    kind: Literal["rankings", "ratings"]
    people: tuple[str, ...]
    candidates: tuple[str, ...]
    values: NDArray[np.float64]
    notes: tuple[str, ...] = ()


def read_ballots(
    path: str | Path, candidates: Sequence[str], kind: Literal["rankings", "ratings"]
) -> Ballots:
    """The ballots in a table: a row a person, a column with the id, and one for each candidate.

    Args:
        path: .csv in any dialect, .xlsx or .ods.
        candidates: the ids that a column may have; "c03" is also known as "3" and "C3".
        kind: what the cells are.

    Raises:
        InputError: the file is missing or malformed, a column is no candidate's, a person is there
            twice, or a cell is no place or rating; the message says where.
    """
    path = Path(path)
    columns = {plain(each): each for each in candidates}
    columns |= {
        other: each
        for each in candidates
        if (number := _NUMBERED.fullmatch(each))
        for other in (number[1], f"c{number[1]}")
        if other not in columns
    }
    expected = (
        f"{kind} as a table: a row a person, a column id, and one for each candidate "
        f"({', '.join(candidates[:3])}{', ...' if len(candidates) > 3 else ''})"
    )
    # A bare number names a candidate, but a row of ratings is no header.
    known = frozenset((*(each for each in columns if not each.isdigit()), *map(plain, _PERSON)))
    table = read_table(path, known, expected=expected, max_bytes=MAX_FILE_BYTES)
    who = column_named(table.header, _PERSON)
    if who is None:
        raise InputError(
            f"{table.place(table.rows[0])}: no column is called id; got "
            f"{', '.join(map(repr, table.header))}{table.read_as()}; expected {expected}"
        )
    columns_of = _candidate_columns(table, who, columns, expected)
    people: dict[str, str] = {}
    rows = []
    for row in table.below:
        name = row.cells[who]
        if not name:
            raise InputError(f"{table.place(row, who)}: no id; expected the person's name or id")
        if name in people:
            raise InputError(
                f"{table.place(row, who)}: a second row of {name!r} (the first: {people[name]}); "
                "expected one a person"
            )
        people[name] = table.place(row, who)
        rows.append([_value(table, row, at, row.cells[at], kind) for at in columns_of])
    if not rows:
        raise InputError(f"{path}: a header and nobody below it; expected {expected}")
    values = np.array(rows)
    if kind == "rankings":
        last = np.nan_to_num(values).max(axis=1, keepdims=True) + 1
        values = np.where(np.isnan(values), last, values)
    return Ballots(kind, tuple(people), tuple(columns_of.values()), values, table.notes)


def _candidate_columns(
    table: Table, who: int, columns: dict[str, str], expected: str
) -> dict[int, str]:
    """The candidate of each column beside the person's, in the order in which they were written."""
    candidates: dict[int, str] = {}
    for at, name in enumerate(table.header):
        if at == who or not name:
            continue
        place = table.place(table.rows[0], at)
        candidate = columns.get(plain(name))
        if candidate is None:
            raise InputError(f"{place}: no candidate is called {name!r}; expected {expected}")
        if candidate in candidates.values():
            raise InputError(f"{place}: a second column of candidate {candidate}; expected one")
        candidates[at] = candidate
    if len(candidates) < 2:
        raise InputError(
            f"{table.place(table.rows[0])}: {len(candidates)} candidates{table.read_as()}, and "
            f"there is nothing to choose between; expected two or more, as {expected}"
        )
    order = list(columns.values())
    return dict(sorted(candidates.items(), key=lambda each: order.index(each[1])))


def _value(table: Table, row: Row, at: int, cell: str, kind: str) -> float:
    if not cell and kind == "rankings":
        return math.nan
    try:
        value = float(cell.replace(",", "."))
    except ValueError:
        value = math.nan
    if kind == "rankings" and 1 <= value < math.inf:
        return value
    if kind == "ratings" and 1 <= value <= _HIGHEST_RATING:
        return value
    meant = (
        "a place from 1, the best, or nothing for those left unranked"
        if kind == "rankings"
        else "a rating from 1 to 7; leave out the column or the row of what was not rated"
    )
    raise InputError(f"{table.place(row, at)}: got {cell or 'nothing'!r}; expected {meant}")
