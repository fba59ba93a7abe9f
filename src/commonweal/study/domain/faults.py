"""Faults in the log: one line each, which quotes nobody; the same one not again and again."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from pathlib import Path

AGAIN_SECONDS = 60.0
"""What goes wrong every second, on a disk that is full, is told as often as this."""
_MAX_TOLD = 1000
log = logging.getLogger("commonweal.study")


def kind_and_place(error: BaseException) -> str:
    """What kind of error it is, and the last place of ours that it came through.

    Not its message, which may hold what somebody wrote.
    """
    frames = [
        (Path(each.filename), each.lineno) for each in traceback.extract_tb(error.__traceback__)
    ]
    ours = [each for each in frames if "commonweal" in each[0].parts]
    where = "".join(f" in {path.name}, line {line}" for path, line in (ours or frames)[-1:])
    return f"{type(error).__name__}{where}"


class Faults:
    """Tells of what goes wrong in what is done again and again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}

    def tell(self, what: str, error: BaseException) -> None:
        """Logs it in one line, unless the same was logged a moment ago."""
        line, now = f"{what}: {kind_and_place(error)}", time.monotonic()
        with self._lock:
            if now - self._told.get(line, -AGAIN_SECONDS) < AGAIN_SECONDS:
                return
            if len(self._told) >= _MAX_TOLD:
                self._told.clear()
            self._told[line] = now
        log.error("%s", line)
