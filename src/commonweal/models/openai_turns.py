"""One limit of requests in flight for all that this process asks of servers.

Each call of the engine has an event loop on a thread of its own, so turns are taken across threads:
whoever waits for one holds up no other request of its loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager


class Turns:
    """So many at once, whoever asks first goes first.

    Args:
        n: at least 1.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self._n_free = n
        self._waiting: deque[Future[None]] = deque()
        self._lock = threading.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A block for which one of the turns is taken."""
        place: Future[None] = Future()
        with self._lock:
            if self._n_free:
                self._n_free -= 1
                place.set_result(None)
            else:
                self._waiting.append(place)
        try:
            await asyncio.wrap_future(place)
            yield
        finally:
            if not place.cancel():  # it had its turn
                self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            while self._waiting:
                place = self._waiting.popleft()
                if place.set_running_or_notify_cancel():
                    place.set_result(None)
                    return
            self._n_free += 1


_turns: Turns | None = None


@contextmanager
def at_most(n: int | None) -> Iterator[None]:
    """A block in which this process has at most ``n`` requests in flight, to all servers together.

    A request that failed and waits to be sent again is not in flight. None sets no limit.
    """
    global _turns
    before, _turns = _turns, None if n is None else Turns(n)
    try:
        yield
    finally:
        _turns = before


def limit() -> int | None:
    """The limit that is set; None for none."""
    return None if _turns is None else _turns.n


@asynccontextmanager
async def turn() -> AsyncIterator[None]:
    """A block for which a turn is taken, where there is a limit."""
    turns = _turns
    if turns is None:
        yield
        return
    async with turns.turn():
        yield
