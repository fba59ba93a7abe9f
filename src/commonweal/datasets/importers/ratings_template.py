"""A table of ratings to fill in, as CSV or as a workbook."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from commonweal.datasets.importers.ratings_columns import FIELDS, template_rows
from commonweal.errors import InputError
from commonweal.files import check_new, write_whole


def write_template(path: Path, *, overwrite: bool = False) -> None:
    """Writes made-up rows with every column to ``path``, .csv.

    Raises:
        InputError: it ends otherwise, is there already, or cannot be written.
    """
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path} ends in {path.suffix!r}, expected .csv, which spreadsheets open")
    check_new(path, overwrite=overwrite)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(FIELDS))
    writer.writeheader()
    writer.writerows(template_rows())
    write_whole(path, text.getvalue())
