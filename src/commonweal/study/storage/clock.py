"""What time it is in a study: the machine's clock, or one that stands until it is moved."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, in seconds since 1970."""

    def now(self) -> float:
        """The time now. It never goes back, nor jumps, in one process."""
        ...

    def behind(self) -> float:
        """How far this time is behind that of the machine: what is shown as a time of day."""
        ...


class SystemClock:
    """The machine's clock as it was at the start, gone on steadily since.

    Somebody sets the clock, or the network does: durations and deadlines are not to notice.
    """

    def __init__(self) -> None:
        self._began_at, self._began = time.time(), time.monotonic()

    def now(self) -> float:
        """The time now."""
        return self._began_at + (time.monotonic() - self._began)

    def behind(self) -> float:
        """How far the machine's clock was set since the start, or the machine slept."""
        return time.time() - self.now()


class ManualClock:
    """A clock that stands until it is moved: for simulations and tests."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        """The time that it was set to."""
        return self._now

    def behind(self) -> float:
        """Nothing: there is no other clock."""
        return 0.0

    def move_to(self, when: float) -> None:
        """Sets the time; it never goes back."""
        self._now = max(self._now, when)
