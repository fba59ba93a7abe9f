"""Tables as spreadsheets and forms save them: CSV in any of its dialects, workbooks.

One reader for everything that people hand in as a table. Rows and columns are numbered as a
spreadsheet shows them, so that an error can be found there.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Any

from commonweal.errors import InputError
from commonweal.files import decoded, encoding_of, read_bytes
from commonweal.reading.columns import plain
from commonweal.reading.mending import (
    other_quotings,
    text_in_double_quotes,
    tidied_quotes,
    unwrapped,
)

TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
SUFFIXES = (*TEXT_SUFFIXES, *WORKBOOK_SUFFIXES)

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
_NO_SEPARATOR = "\x1f"
"""Stands for none: a table of one column, whose texts may hold commas."""

_SAMPLE_CHARACTERS = 200_000
_SAMPLE_ROWS = 50
_HEADER_WITHIN = 40
"""A header stands in one of the first rows that are not blank; above it may be a title, or lines
about how the data were made (Remesh writes some dozens)."""
_MOST_CELL_CHARACTERS = 20_000_000
"""The csv module's own limit is 131,072: less than somebody may write."""
_MOST_UNPACKED_BYTES = 1_000_000_000
_SEP_LINE = re.compile(r'\A"?sep=(\\t|.)"?[ ,;\t]*(\r\n|\n|\r)', re.IGNORECASE)
_RULE = re.compile(r"[-=+:|\s]{3,}")
"""The line between header and rows in a table drawn with characters."""
_OTHER_KINDS = (
    ((b"<html", b"<!doctype", b"<?xml", b"<table"), "a web page"),
    ((b"\x1f\x8b",), "packed with gzip"),
    ((b"%pdf",), "a PDF"),
    ((b"{\\rtf",), "a text of a word processor"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        number: as a spreadsheet shows it, from 1; blank rows count.
        line: its last line in the file, from 1; differs where a cell holds line ends. In a
            workbook the number.
        cells: texts, without blanks at their ends.
    """

    number: int
    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table's rows, blank ones left out.

    Attributes:
        path: the file.
        rows: the header and all below it, at least the header.
        separator: what stands between cells, in words; "" in a workbook or a single column.
        notes: what was done to the table on the way in, in plain sentences.
    """

    path: Path
    rows: tuple[Row, ...]
    separator: str
    notes: tuple[str, ...] = ()

    @property
    def header(self) -> tuple[str, ...]:
        """The header's cells, as they stand there."""
        return self.rows[0].cells

    @property
    def below(self) -> tuple[Row, ...]:
        """The rows below the header, each with a cell for every column.

        Excel leaves the separators of blank cells at a row's end out.
        """
        return tuple(
            replace(row, cells=row.cells + ("",) * (len(self.header) - len(row.cells)))
            for row in self.rows[1:]
        )

    def place(self, row: Row, column: int | None = None) -> str:
        """Where a cell is, as a spreadsheet shows it: "g.csv, row 3, column C (opinion)"."""
        line = f" (line {row.line})" if row.line != row.number else ""
        where = f"{self.path}, row {row.number}{line}"
        if column is None:
            return where
        name = self.header[column] if column < len(self.header) else ""
        return f"{where}, column {letters(column)}{f' ({name})' if name else ''}"

    def read_as(self) -> str:
        """How the file was cut into cells, for errors: " (cells separated by semicolons)"."""
        return f" (cells separated by {self.separator})" if self.separator else ""


def letters(column: int) -> str:
    """A column's letters in a spreadsheet.

    Example:
        >>> letters(0), letters(25), letters(26), letters(701), letters(702)
        ('A', 'Z', 'AA', 'ZZ', 'AAA')
    """
    text = ""
    column += 1
    while column:
        column, at = divmod(column - 1, 26)
        text = chr(ord("A") + at) + text
    return text


def read_table(path: Path, known: Collection[str], *, expected: str, max_bytes: int) -> Table:
    """The table in a file, a workbook or text whatever its ending says.

    Args:
        path: the file.
        known: names of columns that tell the header from a title above it and help to tell the
            separator, as ``plain`` writes them.
        expected: what the file should be, for errors.
        max_bytes: a larger file is not what is expected.

    Raises:
        InputError: it cannot be read, or holds no rows; the message names the row.
    """
    raw = read_bytes(path, expected=expected, max_bytes=max_bytes)
    _refuse_other_kinds(path, raw)
    if raw.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return _with_header(path, *_workbook(path, raw, known, expected), known, expected)
    return parse_table(path, decoded(path, raw), known, expected=expected)


def _refuse_other_kinds(path: Path, raw: bytes) -> None:
    """Says what a file is that is no table, whatever its ending."""
    start = raw[:200].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    kind = next((kind for marks, kind in _OTHER_KINDS if start.startswith(marks)), "")
    if kind:
        raise InputError(
            f"{path}: {kind}, although its name ends in {path.suffix}; expected a table: open it "
            "and save it as .xlsx or .csv"
        )


def open_table(path: Path, known: Collection[str], *, expected: str) -> tuple[Table, Iterator[Row]]:
    """The header with the first rows of a text, and all rows below the header one by one.

    For files that are larger than memory should be: the dialect is told by the beginning, and no
    faulty quoting is mended. Arguments as for ``read_table``.

    Raises:
        InputError: it cannot be read, or holds no rows; the iterator raises it, too, where it
            comes to a row that is no CSV or a byte that is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_SAMPLE_CHARACTERS)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    encoding = encoding_of(raw)
    text = raw.decode(encoding, errors="ignore").removeprefix("\ufeff")
    first_line, separator = 1, None
    if sep_line := _SEP_LINE.match(text):
        separator = "\t" if sep_line[1] == "\\t" else sep_line[1]
        text, first_line = text[sep_line.end() :], 2
    if separator is None or separator not in text:
        separator = separator_of(text, known)
    head: list[Row] = []
    try:
        for row in _rows_of(path, io.StringIO(text, newline=""), separator, first_line):
            head.append(row)
            if len(head) > _SAMPLE_ROWS:
                break
    except InputError:
        if not head:
            raise
    words = SEPARATORS.get(separator, "" if separator == _NO_SEPARATOR else repr(separator))
    table = _with_header(path, head, words, [], known, expected)
    header_number, width = table.rows[0].number, len(table.header)

    def rows() -> Iterator[Row]:
        try:
            with path.open(encoding=encoding, newline="") as file:
                for _ in range(first_line - 1):
                    file.readline()
                for row in _rows_of(path, file, separator, first_line):
                    if row.number > header_number:
                        yield replace(row, cells=_fitted(row.cells, width))
        except UnicodeDecodeError:
            # The whole error, with its line, is the other reader's.
            decoded(path, path.read_bytes())
            raise InputError(f"{path}: not UTF-8; save the file as UTF-8") from None

    return table, rows()


def _fitted(cells: tuple[str, ...], width: int) -> tuple[str, ...]:
    """The cells of a row without blank ones beyond the header, and with blank ones up to it."""
    while len(cells) > width and not cells[-1]:
        cells = cells[:-1]
    return cells + ("",) * (width - len(cells))


def parse_table(path: Path, text: str, known: Collection[str], *, expected: str) -> Table:
    """The table in a text; arguments as for ``read_table``.

    Raises:
        InputError: the text is no table; the message names the row.
    """
    text = text.lstrip("\ufeff").rstrip("\x00\x1a")  # old programs end a file with these
    first_line, separator = 1, None
    if sep_line := _SEP_LINE.match(text):
        separator = "\t" if sep_line[1] == "\\t" else sep_line[1]
        text, first_line = text[sep_line.end() :], 2
    text = text_in_double_quotes(text, known)
    if separator is None or separator not in text:
        separator = separator_of(text, known)
    try:
        rows = _parsed(path, text, separator, first_line)
    except InputError:
        tidied = tidied_quotes(text, separator)
        if tidied == text:
            raise
        rows = _parsed(path, tidied, separator, first_line)
    notes = []
    if (inner := unwrapped([row.cells for row in rows], known)) is not None:
        notes.append("rows that were quoted as a whole were unquoted")
        return replace(
            table := parse_table(path, inner, known, expected=expected),
            notes=(*notes, *table.notes),
        )
    for mended, note in other_quotings(text, separator):
        if (uneven := _n_too_long(rows)) == 0:
            break
        try:
            again = _parsed(path, mended, separator, first_line)
        except InputError:
            continue
        if _n_too_long(again) < uneven:
            rows = again
            notes += [note] if note else []
    words = SEPARATORS.get(separator, "" if separator == _NO_SEPARATOR else repr(separator))
    return _with_header(path, rows, words, notes, known, expected)


def separator_of(text: str, known: Collection[str] = ()) -> str:
    r"""The separator that cuts the first rows best: by known names, then into even rows.

    Example:
        >>> separator_of("question;opinion\nFree, for all?;Yes, please\n")
        ';'
    """
    best: tuple[tuple[float, ...], str] = ((-1.0,), _NO_SEPARATOR)
    sample = text[:_SAMPLE_CHARACTERS]
    for order, separator in enumerate(SEPARATORS):
        reader = csv.reader(
            io.StringIO(sample, newline=""), delimiter=separator, skipinitialspace=True
        )
        rows = []
        try:
            for cells in islice(reader, _SAMPLE_ROWS + 1):
                rows.append([cell.strip() for cell in cells])  # noqa: PERF401 - kept up to a fault
        except csv.Error:
            pass
        if len(rows) > 1 and (len(sample) < len(text) or len(rows) > _SAMPLE_ROWS):
            rows.pop()  # the sample may end within it
        rows = [row for row in rows if any(row)]
        at = _header_at(rows, known)
        if not rows or (width := len(rows[at])) < 2:
            continue
        n_known = sum(plain(name) in known for name in rows[at])
        even = sum(len(row) == width for row in rows[at:]) / len(rows[at:])
        best = max(best, ((n_known, round(even, 2), width, -order), separator))
    return best[1]


def _header_at(rows: Sequence[Sequence[str]], known: Collection[str]) -> int:
    """The place of the row that names most columns; the first where none does."""
    scores = [sum(plain(cell) in known for cell in row) for row in rows[:_HEADER_WITHIN]]
    return scores.index(max(scores)) if scores else 0


def _parsed(path: Path, text: str, separator: str, first_line: int) -> list[Row]:
    return list(_rows_of(path, io.StringIO(text, newline=""), separator, first_line))


def _rows_of(path: Path, lines: Iterable[str], separator: str, first_line: int) -> Iterator[Row]:
    """The rows that are not blank, one by one."""
    csv.field_size_limit(_MOST_CELL_CHARACTERS)
    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            stripped = tuple(cell.strip() for cell in cells)
            if any(stripped):
                yield Row(number, reader.line_num + first_line - 1, stripped)
    except csv.Error as error:
        words = SEPARATORS.get(separator, "one column")
        raise InputError(
            f"{path}, row {number + 1} (line {reader.line_num + first_line - 1}): not valid CSV "
            f"({words}): {_csv_words(str(error))}"
        ) from None


def _csv_words(message: str) -> str:
    if "unexpected end of data" in message:
        return "a quote is opened and never closed"
    if "expected after" in message:
        return (
            "text continues after a closing quote; expected each quote within a text doubled "
            '("He said ""no""")'
        )
    return message


def _n_too_long(rows: Sequence[Row]) -> int:
    return sum(
        len(row.cells) > len(rows[0].cells) and any(row.cells[len(rows[0].cells) :])
        for row in rows[1:]
    )


def _with_header(
    path: Path,
    rows: Sequence[Row],
    separator: str,
    notes: Sequence[str],
    known: Collection[str],
    expected: str,
) -> Table:
    """The table from its header on, without columns that are blank at its right end."""
    if not rows:
        raise InputError(f"{path} is empty; expected {expected}")
    rows = [row for row in rows if not _RULE.fullmatch("".join(row.cells))] or rows
    at = _header_at([row.cells for row in rows], known)
    notes = list(notes)
    if at:
        notes.append(f"row {rows[at].number} was taken as the header; {at} above it left out")
    kept = []
    for row in rows[at:]:
        cells = row.cells
        while cells and not cells[-1]:
            cells = cells[:-1]
        kept.append(replace(row, cells=cells))
    width = len(kept[0].cells)
    again = [row for row in kept[1:] if row.cells == kept[0].cells and width > 1]
    if again:  # files were put one behind another
        notes.append(f"the header is repeated in row {again[0].number}; left out")
        header, below = kept[0], zip(kept[1:], rows[at + 1 :], strict=True)
        pairs = [(cut, uncut) for cut, uncut in below if cut.cells != header.cells]
        kept, rows, at = [header, *(cut for cut, _ in pairs)], [header, *(r for _, r in pairs)], 0
    # A short row is one whose last cells were not written: blank, unless it is the header.
    filled = [
        replace(row, cells=(*row.cells, *[""] * (min(width, len(uncut.cells)) - len(row.cells))))
        for row, uncut in zip(kept, rows[at:], strict=True)
    ]
    return Table(path, tuple(filled), separator, tuple(notes))


# --------------------------------------------------------------------------------------- workbooks


def _workbook(
    path: Path, raw: bytes, known: Collection[str], expected: str
) -> tuple[list[Row], str, list[str]]:
    """The rows of the sheet that has the most known columns; the first of several alike."""
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    if raw.startswith(b"PK"):
        _check_unpacked(path, raw)
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(raw))
        sheets = []
        for name in book.sheet_names:
            cells = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
            rows = [
                Row(n, n, texts)
                for n, row in enumerate(cells, start=1)
                if any(texts := tuple(_as_text(cell) for cell in row))
            ]
            if rows:
                sheets.append((name, rows))
    except PasswordError:
        raise InputError(
            f"{path}: the workbook has a password; save it without one, or as CSV UTF-8"
        ) from None
    except (CalamineError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: not a workbook that can be read ({error}); expected {expected}; save it "
            "again as .xlsx or as CSV UTF-8"
        ) from None
    if not sheets:
        return [], "", []

    def n_known(rows: Sequence[Row]) -> int:
        header = rows[_header_at([row.cells for row in rows], known)].cells
        return sum(plain(name) in known for name in header)

    name, rows = max(sheets, key=lambda sheet: n_known(sheet[1]))
    others = [other for other, _ in sheets if other != name]
    notes = [f"sheet {name!r} was read, not {', '.join(map(repr, others))}"] if others else []
    return rows, "", notes


def _check_unpacked(path: Path, raw: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            n_bytes = sum(each.file_size for each in packed.infolist())
    except zipfile.BadZipFile:
        raise InputError(
            f"{path}: a broken workbook or archive; save it again as .xlsx or as CSV UTF-8"
        ) from None
    if n_bytes > _MOST_UNPACKED_BYTES:
        raise InputError(f"{path}: unpacks to {n_bytes:,} bytes, more than a table of texts has")


def _as_text(cell: Any) -> str:
    """A workbook's cell as its spreadsheet would show it, near enough for ids and texts."""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime | date | time):
        return cell.isoformat(" ") if isinstance(cell, datetime) else cell.isoformat()
    return str(cell).strip()
