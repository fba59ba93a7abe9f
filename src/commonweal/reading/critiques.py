"""What people would change about a statement, from a table or a group's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from commonweal.errors import InputError
from commonweal.files import read_text
from commonweal.reading.columns import PARTICIPANT, column_named, plain
from commonweal.reading.explaining import near
from commonweal.reading.tables import SUFFIXES, read_table
from commonweal.reading.toml import load_toml
from commonweal.types import Critique

CRITIQUE = (
    *("critique", "critiques", "change", "changes", "would change", "your critique", "comment"),
    *("what would you change", "feedback", "text", "answer", "response"),
    *("kritik", "anderung", "aenderung", "critique du texte", "changement", "critica", "cambio"),
)
"""Names of the column of critiques, as ``plain`` writes them, the likeliest first."""

PERSON = ("person", *PARTICIPANT)
MAX_FILE_BYTES = 20_000_000
_EXPECTED = "critiques as a table with the columns id and critique, or as .toml or .json"


def read_critiques(path: str | Path) -> tuple[tuple[Critique, ...], tuple[str, ...]]:
    """The critiques in a file, blank ones too, and notes on how it was read.

    A table (.csv in any dialect, .xlsx, .ods) has a column with the person's id and one with the
    critique. TOML and JSON hold ``critiques``: a list with ``id`` and ``critique`` (or ``text``),
    or a table from id to text; or they are a group's file whose opinions have a ``critique``.

    Raises:
        InputError: the file is missing or malformed, a critique has no person, or a person has two;
            the message says where.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        critiques, notes = _from_table(path)
    elif suffix in (".toml", ".json"):
        critiques, notes = _from_fields(path, suffix), ()
    else:
        raise InputError(f"{path}: expected {_EXPECTED}; it ends in {suffix or 'nothing'!r}")
    places: dict[str, str] = {}
    for each, place in critiques:
        if each.participant_id in places:
            raise InputError(
                f"{place}: a second critique by {each.participant_id!r} (the first: "
                f"{places[each.participant_id]}); expected one a person"
            )
        places[each.participant_id] = place
    return tuple(each for each, _ in critiques), notes


def _from_table(path: Path) -> tuple[list[tuple[Critique, str]], tuple[str, ...]]:
    known = frozenset(map(plain, (*CRITIQUE, *PERSON)))
    table = read_table(path, known, expected=_EXPECTED, max_bytes=MAX_FILE_BYTES)
    at, who = column_named(table.header, CRITIQUE), column_named(table.header, PERSON)
    for column, name, names in ((who, "id", PERSON), (at, "critique", CRITIQUE)):
        if column is None:
            meant = next((each for each in table.header if near(plain(each), names)), None)
            hint = f"; did you mean {meant!r} to be it?" if meant else ""
            raise InputError(
                f"{table.place(table.rows[0])}: no column is called {name}; got "
                f"{', '.join(map(repr, table.header))}{table.read_as()}{hint} Expected id (the "
                "names of the group's file) and critique"
            )
    critiques = []
    for row in table.rows[1:]:
        cells = dict(enumerate(row.cells))
        name, text = cells.get(who or 0, ""), cells.get(at or 0, "")
        if not name and text:
            raise InputError(
                f"{table.place(row, who)}: there is a critique and no name; expected the person's "
                "id as in the group's file"
            )
        if name:
            critiques.append((Critique(name, text), table.place(row, at)))
    return critiques, table.notes


def _from_fields(path: Path, suffix: str) -> list[tuple[Critique, str]]:
    text = read_text(path, expected=_EXPECTED, max_bytes=MAX_FILE_BYTES)
    try:
        data: Any = load_toml(path, text) if suffix == ".toml" else json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}"
        ) from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply; expected {_EXPECTED}") from None
    names: tuple[str, ...] = CRITIQUE
    if isinstance(data, dict) and "critiques" not in data and "opinions" in data:
        # In a group's file a text is the opinion, and who has no critique would change nothing.
        names = tuple(one for one in CRITIQUE if one != "text")
        data = _listed(data["opinions"])
        if not any(isinstance(each, dict) and _named(each, names) for each in data):
            raise InputError(
                f"{path}: a group's file in which no opinion has a critique; expected critique "
                "beside id and text of those who would change something"
            )
    elif isinstance(data, dict):
        data = data.get("critiques", data)
    critiques = []
    for n, each in enumerate(data := _listed(data), start=1):
        place = f"{path}, entry {n}"
        if not isinstance(each, dict):
            raise InputError(f"{place}: got {each!r:.60}; expected an id and a critique")
        name, critique = _named(each, PERSON), _named(each, names)
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{place}: no id; expected the person's id as in the group's file")
        if critique is not None and not isinstance(critique, str):
            raise InputError(f"{place}: the critique is {critique!r:.60}; expected a text")
        critiques.append((Critique(name.strip(), critique or ""), place))
    if not critiques:
        raise InputError(f"{path}: no critiques in it; expected {_EXPECTED}")
    return critiques


def _listed(data: Any) -> list[Any]:
    """A table from id to text as the list of its entries."""
    if isinstance(data, dict):
        return [{"id": name, "critique": text} for name, text in data.items()]
    return data if isinstance(data, list) else [data]


def _named(fields: dict[Any, Any], names: tuple[str, ...]) -> Any:
    there = {plain(str(key)): value for key, value in fields.items()}
    return next((there[plain(name)] for name in names if plain(name) in there), None)
