"""A study's export as one file that a browser takes home: CSV, a workbook, or parquet."""

from __future__ import annotations

import io
import math
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Literal

from commonweal.datasets.dataset import Dataset
from commonweal.datasets.schema import CONSENT_TEXTS, DICTIONARY
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.study.export.dataset import export_study
from commonweal.study.export.payments import safe_cell
from commonweal.study.storage.store import Store

Kind = Literal["csv", "xlsx", "parquet"]
MAX_ROWS = 1_048_575
"""Rows that a sheet of a workbook can hold, below its header."""
_ZIP, _WORKBOOK = (
    "application/zip",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
)


def export_file(
    store: Store, study_id: int, kind: Kind, *, name: str, actor: str
) -> tuple[bytes, str, str]:
    """(The study's data as a file, the file's name, its media type). The audit says who asked.

    All hold the same tables. "parquet" is the dataset that ``commonweal`` reads, "csv" and "xlsx"
    are for other programs: there lists are texts, and in CSV a "'" stands before what a spreadsheet
    would calculate.

    Raises:
        InputError: a table has more rows than a workbook can hold.
    """
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / name
        dataset = export_study(store, study_id, folder, actor=actor)
        if kind == "parquet":
            files = {each.name: each.read_bytes() for each in sorted(folder.iterdir())}
            return _zipped(name, files), f"{name}.zip", _ZIP
        tables = {each: _plain(table) for each, table in dataset.tables().items()}
        if kind == "xlsx":
            return _workbook(dataset, tables), f"{name}.xlsx", _WORKBOOK
        files = {f"{each}.csv": _csv(table) for each, table in tables.items()}
        files |= {each: (folder / each).read_bytes() for each in (DICTIONARY, CONSENT_TEXTS)}
        return _zipped(name, files), f"{name}-csv.zip", _ZIP


def _plain(table: pl.DataFrame) -> pl.DataFrame:
    """The table with its lists as texts."""
    lists = [name for name, kind in table.schema.items() if isinstance(kind, pl.List)]
    return table.with_columns(pl.col(name).list.join(", ") for name in lists)


def _csv(table: pl.DataFrame) -> bytes:
    safe = table.with_columns(
        pl.col(pl.String).map_elements(safe_cell, return_dtype=pl.String, skip_nulls=True)
    )
    # With the mark by which spreadsheets know UTF-8.
    return safe.write_csv(include_bom=True).encode("utf-8")


def _workbook(dataset: Dataset, tables: dict[str, pl.DataFrame]) -> bytes:
    import xlsxwriter

    out = io.BytesIO()
    # What people typed is text, whatever it begins with: no formula, no link.
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(out, options) as book:
        about = book.add_worksheet("about")
        facts = [("study", dataset.about.name), ("people", dataset.about.people)]
        facts += [(each, str(n)) for step in dataset.about.steps for each, n in step.counts.items()]
        for at, line in enumerate(facts):
            about.write_row(at, 0, line)
        for name, table in tables.items():
            if table.height > MAX_ROWS:
                raise InputError(
                    f"{name} has {table.height:,} rows, and a workbook holds {MAX_ROWS:,}; "
                    "take CSV or parquet"
                )
            sheet = book.add_worksheet(name)
            sheet.freeze_panes(1, 0)
            sheet.write_row(0, 0, table.columns)
            for at, row in enumerate(table.iter_rows(), start=1):
                sheet.write_row(at, 0, [_cell(each) for each in row])
    return out.getvalue()


def _cell(value: Any) -> str | float | bool | None:
    """The value as a workbook can hold it: text where it is no number that one can have."""
    if value is None or isinstance(value, str | bool | int):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else str(value)


def _zipped(name: str, files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in files.items():
            archive.writestr(f"{name}/{each}", content)
    return out.getvalue()
