"""Faulty quoting in tables, mended: what spreadsheets, scripts and word processors do to quotes."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence

from commonweal.reading.columns import plain


def tidied_quotes(text: str, separator: str) -> str:
    r"""The text without blanks between quotes and separators, and with quotes in a text doubled.

    Example:
        >>> tidied_quotes('ana, "She said \\"no\\"." ,\n', ",")
        'ana,"She said ""no"".",\n'
    """
    s = re.escape(separator)
    escaped = re.sub(rf'(?<!\\)\\"(?![\r\n{s}]|\Z)', '""', text)
    cell = rf'{_cell_start(separator)}[ \u00a0]*("(?:[^"]|"")*")[ \u00a0]*(?=[\r\n{s}]|\Z)'
    return re.sub(cell, lambda match: match[1], escaped)


def straightened(text: str, separator: str) -> str:
    """The text with curly quotes around whole cells turned into straight ones."""
    s = re.escape(separator)
    cell = rf"{_cell_start(separator)} *[“„”]([^“”„\"\r\n]*)[”“] *(?=[\r\n{s}]|\Z)"
    return re.sub(cell, lambda match: f'"{match[1]}"', text)


def other_quotings(text: str, separator: str) -> Iterator[tuple[str, str]]:
    """The text as it may have been meant, where rows are too long; with a note, "" for none."""
    yield tidied_quotes(text, separator), ""
    yield re.sub(r'(?<!\\)\\"', '""', text), ""
    if any(quote in text for quote in "“”„"):
        yield straightened(text, separator), "curly quotes around whole cells were taken as quotes"


def text_in_double_quotes(text: str, known: Collection[str]) -> str:
    r"""The text with double quotes, where the header's names stand in single ones.

    Example:
        >>> text_in_double_quotes("'id','opinion'\n'p1','No, \"dear\" fares'\n", {"opinion"})
        '"id","opinion"\n"p1","No, ""dear"" fares"\n'
    """
    header = text.lstrip().split("\n", 1)[0].strip()
    quoted = re.fullmatch(r"'[^']*'(?:([,;\t|])'[^']*'(?:\1'[^']*')*)?", header)
    if not quoted or not any(plain(name) in known for name in re.findall(r"'([^']*)'", header)):
        return text
    separator = quoted[1] or ","
    end = rf" *(?=[\r\n{re.escape(separator)}]|\Z)"
    cell = rf"{_cell_start(separator)} *'((?:[^']|''|'(?!{end}))*)'{end}"

    def turned(match: re.Match[str]) -> str:
        inner = match[1].replace("''", "'").replace('"', '""')
        return f'"{inner}"'

    return re.sub(cell, turned, text)


def unwrapped(rows: Sequence[Sequence[str]], known: Collection[str]) -> str | None:
    """The text of a table each row of which stands in quotes as a whole; None for another.

    A spreadsheet that took the file for one column saves it so.

    Args:
        rows: the cells of each row.
        known: names of columns; two of them in the first cell tell such a table.
    """
    if not rows or any(any(row[1:]) for row in rows) or any("\n" in row[0] for row in rows):
        return None
    for separator in ",;\t":
        names = next(csv.reader([rows[0][0]], delimiter=separator))
        if sum(plain(name) in known for name in names) > 1:
            return "\n".join(row[0] for row in rows)
    return None


def _cell_start(separator: str) -> str:
    return rf"(?:(?<=[\r\n{re.escape(separator)}])|\A)"
