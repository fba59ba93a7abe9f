"""The cells of a table in a file: separated text, a workbook, or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from pathlib import Path

import polars as pl

from commonweal.errors import InputError
from commonweal.files import read_text

_WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_SEPARATORS = (",", ";", "\t", "|")
_MAX_BYTES = 2_000_000_000

Cells = tuple[list[str], list[tuple[int, list[str]]]]


def read_cells(path: Path, known: Collection[str], expected: str) -> Cells:
    """The header, and each row that is not blank: its number as a spreadsheet shows it, its cells.

    Args:
        path: the file. Parquet rows count from 1.
        known: names of columns, which tell the separator.
        expected: what the file should be, for errors.

    Raises:
        InputError: the file cannot be read.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path, expected)
    if path.suffix.lower() in _WORKBOOKS:
        header, *rows = _workbook(path, expected)
    else:
        header, *rows = _text(path, known, expected)
    numbered = [(n, row) for n, row in enumerate(rows, start=2) if any(row)]
    return header, numbered


def _text(path: Path, known: Collection[str], expected: str) -> list[list[str]]:
    text = read_text(path, expected=expected, max_bytes=_MAX_BYTES)
    first = next(iter(text.splitlines()), "")
    separator = max(
        _SEPARATORS,
        key=lambda one: sum(name.strip(' "').lower() in known for name in first.split(one)),
    )
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}: not valid CSV: {error}; expected {expected}") from None
    if not rows:
        raise InputError(f"{path} is empty; expected {expected}")
    return [[cell.strip() for cell in row] for row in rows]


def _workbook(path: Path, expected: str) -> list[list[str]]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        sheet = CalamineWorkbook.from_path(path).get_sheet_by_index(0)
        rows = sheet.to_python(skip_empty_area=False)
    except FileNotFoundError:
        raise InputError(f"no file {path}; expected {expected}") from None
    except (CalamineError, OSError, ValueError) as error:
        raise InputError(f"{path}: no workbook that can be read ({error})") from None
    if not rows:
        raise InputError(f"{path} is empty; expected {expected}")
    return [[_shown(cell) for cell in row] for row in rows]


def _shown(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


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
    return found.columns, [(n, list(row)) for n, row in enumerate(found.iter_rows(), start=1)]
