"""The cells of a table of ratings: as ``reading.tables`` reads them, or Parquet."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.reading.columns import plain
from commonweal.reading.tables import read_table

_MAX_BYTES = 2_000_000_000

Cells = tuple[list[str], list[tuple[int, list[str]]], tuple[str, ...]]


def read_cells(path: Path, known: Collection[str], expected: str) -> Cells:
    """The header; each row that is not blank, its number and its cells; and what was done to it.

    Args:
        path: the file. Rows are numbered as a spreadsheet shows them; those of Parquet from 1.
        known: names of columns, which tell the header and the separator.
        expected: what the file should be, for errors.

    Raises:
        InputError: the file cannot be read.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path, expected)
    names = {plain(name) for name in known}
    table = read_table(path, names, expected=expected, max_bytes=_MAX_BYTES)
    rows = [(row.number, list(row.cells)) for row in table.rows[1:]]
    return list(table.header), rows, table.notes


def _parquet(path: Path, expected: str) -> Cells:
    try:
        found = pl.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"no file {path}; expected {expected}") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"cannot read {path}: {error}; expected {expected}") from None
    lists = [name for name, kind in found.schema.items() if isinstance(kind, pl.List)]
    found = found.with_columns(pl.col(lists).cast(pl.List(pl.String)).list.join("; "))
    found = found.select(pl.all().cast(pl.String).fill_null(""))
    return found.columns, [(n, list(row)) for n, row in enumerate(found.iter_rows(), start=1)], ()
