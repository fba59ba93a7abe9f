"""Faulty quoting in tables, mended: what spreadsheets, scripts and word processors do to quotes."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence

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
    return re.sub(cell, lambda found: found[1], escaped)


def straightened(text: str, separator: str) -> str:
    """The text with curly quotes around whole cells turned into straight ones."""
    s = re.escape(separator)
    cell = rf"{_cell_start(separator)} *[“„”]([^“”„\"\r\n]*)[”“] *(?=[\r\n{s}]|\Z)"
    return re.sub(cell, lambda found: f'"{found[1]}"', text)


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
