"""The line of a field in a file, and the name that was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence


def near(name: str, known: Sequence[str]) -> str | None:
    """The known name that was probably meant; None where none is like it."""
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return close[0] if close else None


def nearest(name: str, known: Sequence[str]) -> str:
    """What to say after an unknown name: the near one, if there is one, and those that are known.

    Example:
        >>> nearest("rawlsain", ["utilitarian", "rawlsian"])
        "; did you mean 'rawlsian'? Known: utilitarian, rawlsian"
    """
    meant = near(name, known)
    if meant is not None:
        return f"; did you mean {meant!r}? Known: {', '.join(known)}"
    return f"; expected {', '.join(known)}"


def line_of(text: str, loc: tuple[int | str, ...]) -> int | None:
    """The line of the field at ``loc``, counted from 1, where it can be told.

    The parser keeps no line numbers: the table's heading is sought, then the key below it.
    """
    lines = text.splitlines()
    start, heading = 0, ""
    line = None
    for part in loc:
        if isinstance(part, int):
            head = re.compile(rf"\s*\[\[\s*{heading}\s*\]\]")
            heads = [i for i, line in enumerate(lines) if head.match(line)]
            if part < len(heads):
                start = line = heads[part]
            continue
        heading = rf"{heading}\s*\.\s*{re.escape(part)}" if heading else re.escape(part)
        table = re.compile(rf"\s*\[\[?\s*{heading}\s*\]")
        key = re.compile(rf"""(^|[{{,])\s*["']?{re.escape(part)}["']?\s*=""")
        below = range(start, len(lines))
        at = next((i for i in below if table.match(lines[i])), None)
        if at is None:
            at = next((i for i in below if key.search(lines[i])), None)
        if at is None:
            break
        start = line = at
    return None if line is None else line + 1
