"""Files with one JSON value a line, read line by line: they may be of any size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commonweal.errors import InputError


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The place of each line that is not blank, for errors, and the value in it.

    Raises:
        InputError: a line is not UTF-8 or not JSON.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            place = f"{path}, line {number}"
            if raw.strip():
                try:
                    yield place, json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
                except UnicodeDecodeError:
                    raise InputError(f"{place}: not UTF-8; save the file as UTF-8") from None
                except (ValueError, RecursionError) as error:
                    raise InputError(f"{place}: not valid JSON: {error}") from None
