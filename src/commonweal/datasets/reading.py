"""Tables of other people's files, read by polars, with the first fault named by row and column."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from commonweal.errors import InputError
from commonweal.files import decoded, near_path
from commonweal.frames import pl
from commonweal.reading.columns import plain
from commonweal.reading.tables import separator_of

_CHUNK_BYTES = 1 << 20
_FIRST_ROW = 2
"""A spreadsheet's number of the row below the header."""


def read_csv(
    path: Path,
    kinds: Mapping[str, type[pl.DataType]],
    *,
    others: Collection[str] | None,
    expected: str,
    every_column: bool = False,
    words: Mapping[str, Mapping[str, str]] | None = None,
) -> pl.DataFrame:
    """These columns of a CSV file and ``_row``; what is blank is null.

    Blank lines are left out, and counted in ``_row``: it is the row that a spreadsheet shows, in
    which the header is row 1. Columns count under their names in other letters (Comment_ID), those
    without a name not at all, and whole numbers may be written as 7.0.

    Args:
        path: the file, UTF-8 with or without a byte-order mark.
        kinds: column name to type.
        others: columns that there may be and that are left out; None for any.
        expected: what the file should be, for errors: "a Polis export's votes.csv".
        every_column: parse the columns that are left out as well, so that a row with too many
            fields (a comma in a text that is not quoted) is found. Slower.
        words: column to words, small, that stand there for numbers in some exports.

    Raises:
        InputError: there is no such file, it is not UTF-8, a column is missing, unknown or there
            twice, a value is not of its type, or it holds no rows; the message names the row.
    """
    source, separator, header = _opened(path, expected, names=(*kinds, *(others or ())))
    require_columns(path, header, kinds, expected=expected)
    for name, n in Counter(filter(None, header)).items():
        if n > 1:
            raise InputError(f"{path}: the column {name!r} is there {n} times, expected once")
        if others is not None and name not in kinds and name not in others:
            raise InputError(
                f"{path}: unknown column {name!r}; expected {expected}, with the columns "
                f"{_shown((*kinds, *others))}; remove it, or correct its name"
            )
    try:
        rows = pl.read_csv(
            source,
            separator=separator,
            columns=None if every_column else list(kinds),
            schema_overrides=dict(kinds),
            infer_schema=False,
        ).select(list(kinds))
    except (OSError, pl.exceptions.PolarsError) as error:
        texts = _with_whole_numbers(source, separator, kinds, words or {})
        if texts is None:
            raise _why(path, source, separator, header, kinds, error) from None
        rows = texts
    if others is not None:
        _refuse_nameless(path, source, separator, header)
    rows = rows.with_row_index("_row", offset=_FIRST_ROW)
    rows = rows.filter(pl.any_horizontal(pl.col(list(kinds)).is_not_null()))
    if rows.is_empty():
        raise InputError(f"{path} has a header and no rows; expected {expected}")
    return rows


def _refuse_nameless(
    path: Path, source: Path | io.BytesIO, separator: str, header: Sequence[str]
) -> None:
    """Raises ``InputError`` for a column without a name that is not empty."""
    at = [i for i, name in enumerate(header) if not name.strip()]
    if not at:
        return
    if isinstance(source, io.BytesIO):
        source.seek(0)
    cells = pl.read_csv(source, separator=separator, infer_schema=False)
    for i in at:
        values = cells.to_series(i).drop_nulls()
        if values.len():
            raise InputError(
                f"{path}: column {i + 1} has no name and holds {values[0]!r}; remove it, or give "
                "it a name"
            )


def _with_whole_numbers(
    source: Path | io.BytesIO,
    separator: str,
    kinds: Mapping[str, type[pl.DataType]],
    words: Mapping[str, Mapping[str, str]],
) -> pl.DataFrame | None:
    """The columns, where whole numbers are written with a point (7.0), with a typesetter's minus,
    or in words; None where more is wrong.
    """
    if isinstance(source, io.BytesIO):
        source.seek(0)
    try:
        texts = pl.read_csv(source, separator=separator, infer_schema=False)
        return texts.select(
            pl.col(name)
            if kind == pl.String
            else pl.col(name)
            .str.strip_chars()
            .str.to_lowercase()
            .replace(dict(words.get(name, {})))
            .str.replace(r"^[\u2212\u2013](\d)", "-$1")
            .str.replace(r"^(-?\d+)\.0+$", "$1")
            .cast(kind)
            for name, kind in kinds.items()
        )
    except (OSError, pl.exceptions.PolarsError):
        return None


def read_csv_header(path: Path, expected: str, names: Collection[str] = ()) -> list[str]:
    """The names of a CSV file's columns as they stand there; polars would rename repeated ones.

    Args:
        path: the file.
        expected: what it should be, for errors.
        names: names that are read in other letters, too, as ``read_csv`` does.

    Raises:
        InputError: there is no such file, it is empty, or its first line is not UTF-8.
    """
    return _opened(path, expected, names=names)[2]


def _opened(
    path: Path, expected: str, *, names: Collection[str]
) -> tuple[Path | io.BytesIO, str, list[str]]:
    """What polars reads of a file, its separator and its header.

    A spreadsheet may have saved it again: with other separators or line ends, or in UTF-16.
    """
    source: Path | io.BytesIO = path
    try:
        with path.open("rb") as file:
            start = file.read(_CHUNK_BYTES)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in start[:100]:
            start = decoded(path, path.read_bytes()).encode()
            source = io.BytesIO(start)
        if b"\r" in start and b"\n" not in start:  # polars knows no such line ends
            body = start if isinstance(source, io.BytesIO) else path.read_bytes()
            start = body.replace(b"\r", b"\n")
            source = io.BytesIO(start)
        lines = [line for line in start.splitlines() if line.strip()][:50]
        first = lines[0].decode("utf-8-sig")
        if first.lower().startswith("sep="):
            body = start if isinstance(source, io.BytesIO) else path.read_bytes()
            source, first = io.BytesIO(body.split(b"\n", 1)[1]), lines[1].decode()
        separator = separator_of(first)
        if len(separator.strip("\x1f")) == 0 and separator != "\t":
            separator = ","
        header = next(csv.reader([first], delimiter=separator))
        named = _named(header, names)
        if named != header:
            body = source.getvalue() if isinstance(source, io.BytesIO) else path.read_bytes()
            line = io.StringIO()
            csv.writer(line, delimiter=separator, lineterminator="").writerow(named)
            behind = body.index(first.encode()) + len(first.encode())
            source = io.BytesIO(line.getvalue().encode() + body[behind:])
        return source, separator, named
    except FileNotFoundError:
        raise InputError(f"no file {path}{near_path(path)}; expected {expected}") from None
    except IndexError:
        raise InputError(f"{path} is empty; expected {expected}") from None
    except UnicodeDecodeError:
        raise _not_utf8(path, 1) from None
    except (OSError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {error}; expected {expected}") from None


def _named(header: Sequence[str], names: Collection[str]) -> list[str]:
    """The header with those of ``names`` that stand there in other letters."""
    ours = {plain(name): name for name in names}
    return [name if name in names else ours.get(plain(name), name) for name in header]


def require_columns(
    path: Path, there: list[str], wanted: Mapping[str, object], *, expected: str
) -> None:
    """Raises ``InputError`` where a wanted column is not there: names it and those that are.

    Raises:
        InputError: see above.
    """
    missing = [name for name in wanted if name not in there]
    if missing:
        raise InputError(
            f"{path}: there is no column {missing[0]!r}; it has {_shown(there)}; "
            f"expected {expected}"
        )


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")


def refuse(path: Path, rows: pl.DataFrame, wrong: pl.Expr, column: str, expected: str) -> None:
    """Raises ``InputError`` for the first row where ``wrong`` holds.

    Where ``rows`` has a column ``_row``, it says which row of the file each is.

    Raises:
        InputError: names the file, the row (from 1), the column, what was got and expected.
    """
    numbered = rows if "_row" in rows.columns else rows.with_row_index("_row", offset=1)
    refused = numbered.filter(wrong)
    if not refused.is_empty():
        value = refused[0, column]
        shown = "missing" if value is None else repr(value)
        more = f" ({refused.height} rows)" if refused.height > 1 else ""
        raise InputError(
            f"{path}, row {refused[0, '_row']}: {column} is {shown}, expected {expected}{more}"
        )


def folded(column: str) -> pl.Expr:
    """The text with each run of white space turned into one space and none at its ends."""
    return pl.col(column).str.replace_all(r"\s+", " ").str.strip_chars()


def _why(
    path: Path,
    source: Path | io.BytesIO,
    separator: str,
    header: Sequence[str],
    kinds: Mapping[str, type[pl.DataType]],
    error: Exception,
) -> InputError:
    """What is wrong with a file that polars could not read, looked for slowly."""
    raw = path.read_bytes() if isinstance(source, Path) else source.getvalue()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as not_utf8:
        return _not_utf8(path, not_utf8.object.count(b"\n", 0, not_utf8.start) + 1)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for number, row in enumerate(rows, start=1):
            if len(row) > len(header) and any(row[len(header) :]):
                return InputError(
                    f"cannot read {path}, row {number}: {len(row)} fields, expected {len(header)} "
                    f"({_shown(header)}); is there a {separator!r} in a text that is not quoted?"
                )
        texts = pl.read_csv(
            io.BytesIO(raw), columns=list(kinds), infer_schema=False, separator=separator
        ).with_row_index("_row", offset=_FIRST_ROW)
    except (OSError, csv.Error, pl.exceptions.PolarsError):
        return InputError(f"cannot read {path}: {str(error).splitlines()[0]}")
    for name, kind in kinds.items():
        not_of_kind = pl.col(name).is_not_null() & pl.col(name).cast(kind, strict=False).is_null()
        what = "a whole number" if kind.is_integer() else "a number"
        try:
            refuse(path, texts, not_of_kind, name, what)
        except InputError as problem:
            return problem
    return InputError(f"cannot read {path}: {str(error).splitlines()[0]}")


def _not_utf8(path: Path, line: int) -> InputError:
    return InputError(
        f'{path}, line {line}: not UTF-8; save the file as UTF-8 (in a spreadsheet: "CSV UTF-8")'
    )
