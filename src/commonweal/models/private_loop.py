"""Requests in an event loop of their own, on a thread of their own.

That works from inside a running loop (Jupyter), and Ctrl-C drops the requests in flight instead of
waiting for them.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from commonweal.calling import check

T = TypeVar("T")
Report = Callable[[int], None]


def run_in_private_loop(
    work: Callable[[Report], Coroutine[Any, Any, T]], on_report: Report | None
) -> T:
    """What ``work`` returns, run on a thread of its own.

    Args:
        work: makes the coroutine; what it is given passes numbers on to ``on_report``.
        on_report: called in the caller's thread.

    Raises:
        Exception: what ``work`` or ``on_report`` raises; of a group the first.
        StoppedError: the call that this works for may not go on.
    """
    reports: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(work(reports.put))

    def run() -> None:
        try:
            loop.run_until_complete(asyncio.wait([task]))
        finally:
            loop.close()
            reports.put(None)

    thread = threading.Thread(target=run, name="commonweal-openai", daemon=True)
    thread.start()
    try:
        while (n_done := _next(reports)) is not None:
            if on_report:
                on_report(n_done)
    except BaseException:  # Ctrl-C above all: the connections are closed, not waited for
        if not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)
        thread.join(timeout=2.0)
        raise
    error = task.exception()
    if isinstance(error, ExceptionGroup):  # the workers': the first of them tells
        raise error.exceptions[0]
    return task.result()


def _next(reports: queue.SimpleQueue[int | None]) -> int | None:
    """The next report, waited for in short steps.

    A wait without end can miss Ctrl-C: a signal that comes just before the wait begins, or to
    another thread, does not end it.
    """
    while True:
        check()
        try:
            return reports.get(timeout=0.1)
        except queue.Empty:
            continue
