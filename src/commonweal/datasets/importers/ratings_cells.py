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
    if path.suffix.lower() in (".parquet", ".pq") or _begins_as_parquet(path):
        return _parquet(path, expected)
    names = {plain(name) for name in known}
    table = read_table(path, names, expected=expected, max_bytes=_MAX_BYTES)
    rows = [(row.number, list(row.cells)) for row in table.below]
    return list(table.header), rows, table.notes


def _begins_as_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False  # which is told where it is read


def _parquet(path: Path, expected: str) -> Cells:
    try:
        frame = pl.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"no file {path}; expected {expected}") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"cannot read {path}: {error}; expected {expected}") from None
    texts = [_texts(column) for column in frame.get_columns()]
    rows = [(n, list(cells)) for n, cells in enumerate(zip(*texts, strict=True), start=1)]
    return frame.columns, rows, ()


def _texts(column: pl.Series) -> list[str]:
    """A column as texts, whatever it holds: lists with semicolons, what is missing blank."""
    try:
        if isinstance(column.dtype, pl.List):
            column = column.cast(pl.List(pl.String)).list.join("; ", ignore_nulls=True)
        return column.cast(pl.String).fill_null("").to_list()
    except pl.exceptions.PolarsError:  # bytes, durations, lists of lists
        return ["" if value is None else str(value) for value in column.to_list()]
