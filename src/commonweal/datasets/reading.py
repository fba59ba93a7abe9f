"""Tables of other people's files, read by polars, with the first fault named by row and column."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from commonweal.errors import InputError

_CHUNK_BYTES = 1 << 20


def read_csv(
    path: Path,
    kinds: Mapping[str, type[pl.DataType]],
    *,
    expected: str,
    every_column: bool = False,
) -> pl.DataFrame:
    """These columns of a CSV file; what is blank is null, and blank lines are left out.

    Args:
        path: the file, UTF-8 with or without a byte-order mark.
        kinds: column name to type. Other columns are left out.
        expected: what the file should be, for errors: "a Polis export's votes.csv".
        every_column: parse the columns that are left out as well, so that a row with too many
            fields (a comma in a text that is not quoted) is found. Slower.

    Raises:
        InputError: there is no such file, it is not UTF-8, a column is missing, a value is not of
            its type, or it holds no rows; the message names the row (from 1, without the header).
    """
    try:
        found = pl.read_csv(
            path,
            columns=None if every_column else list(kinds),
            schema_overrides=dict(kinds),
            infer_schema=False,
        )
    except FileNotFoundError:
        raise InputError(f"no file {path}; expected {expected}") from None
    except pl.exceptions.ColumnNotFoundError:
        found = pl.read_csv(path, n_rows=0, infer_schema=False)
    except pl.exceptions.NoDataError:
        raise InputError(f"{path} is empty; expected {expected}") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _why(path, kinds, error) from None
    require_columns(path, found.columns, kinds, expected=expected)
    found = found.select(list(kinds)).filter(~pl.all_horizontal(pl.all().is_null()))
    if found.is_empty():
        raise InputError(f"{path} has a header and no rows; expected {expected}")
    return found


def read_csv_header(path: Path, expected: str) -> list[str]:
    """The names of a CSV file's columns."""
    try:
        return pl.read_csv(path, n_rows=0, infer_schema=False).columns
    except FileNotFoundError:
        raise InputError(f"no file {path}; expected {expected}") from None
    except pl.exceptions.PolarsError:
        return []  # read_csv says what is wrong with it


def require_columns(
    path: Path, there: list[str], wanted: Mapping[str, object], *, expected: str
) -> None:
    """Raises ``InputError`` where a wanted column is not there: names it and those that are.

    Raises:
        InputError: see above.
    """
    missing = [name for name in wanted if name not in there]
    if missing:
        shown = ", ".join(there[:20]) + (", ..." if len(there) > 20 else "")
        raise InputError(
            f"{path}: there is no column {missing[0]!r}; it has {shown}; expected {expected}"
        )


def refuse(path: Path, rows: pl.DataFrame, wrong: pl.Expr, column: str, expected: str) -> None:
    """Raises ``InputError`` for the first row where ``wrong`` holds.

    Where rows have been left out already, ``rows`` says in a column ``_row`` which they were.

    Raises:
        InputError: names the file, the row (from 1), the column, what was got and expected.
    """
    numbered = rows if "_row" in rows.columns else rows.with_row_index("_row", offset=1)
    found = numbered.filter(wrong)
    if not found.is_empty():
        value = found[0, column]
        shown = "missing" if value is None else repr(value)
        more = f" ({found.height} rows)" if found.height > 1 else ""
        raise InputError(
            f"{path}, row {found[0, '_row']}: {column} is {shown}, expected {expected}{more}"
        )


def folded(column: str) -> pl.Expr:
    """The text with each run of white space turned into one space and none at its ends."""
    return pl.col(column).str.replace_all(r"\s+", " ").str.strip_chars()


def _why(path: Path, kinds: Mapping[str, type[pl.DataType]], error: Exception) -> InputError:
    """What is wrong with a file that polars could not read, looked for slowly."""
    if line := _first_line_not_utf8(path):
        return InputError(
            f"{path}, line {line}: not UTF-8; save the file as UTF-8 "
            '(in a spreadsheet: "CSV UTF-8")'
        )
    try:
        texts = pl.read_csv(path, columns=list(kinds), infer_schema=False)
    except (OSError, pl.exceptions.PolarsError):
        return InputError(f"cannot read {path}: {str(error).splitlines()[0]}")
    for name, kind in kinds.items():
        not_of_kind = pl.col(name).is_not_null() & pl.col(name).cast(kind, strict=False).is_null()
        what = "a whole number" if kind.is_integer() else "a number"
        try:
            refuse(path, texts, not_of_kind, name, what)
        except InputError as found:
            return found
    return InputError(f"cannot read {path}: {str(error).splitlines()[0]}")


def _first_line_not_utf8(path: Path) -> int | None:
    """The first line, from 1, that is not UTF-8; None where all are."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    n_lines = 1
    try:
        with path.open("rb") as file:
            for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""):
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    # error.object is the chunk behind what was left of the one before.
                    return n_lines + error.object.count(b"\n", 0, error.start)
                n_lines += chunk.count(b"\n")
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return n_lines
    except OSError:
        return None
    return None
