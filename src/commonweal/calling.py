"""What one call of the main job carries along: how long it may take, and who waits for a draft.

Set where the call begins (``find_agreement``), seen by whatever works for it in the same thread: an
engine asks ``check`` between two steps, so that a limit ends also what is under way at a server.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from commonweal.errors import InputError, StoppedError, TimeLimitError

P = ParamSpec("P")
T = TypeVar("T")

_CURRENT: ContextVar[Call | None] = ContextVar("commonweal_call", default=None)
_NAP_SECONDS = 0.1


class Call:
    """One call. It ends with the call that it is part of.

    Args:
        timeout_seconds: how long it may take; None for no limit.
        on_draft: told the first text that can be shown, once.
    """

    def __init__(
        self,
        timeout_seconds: float | None = None,
        on_draft: Callable[[str], None] | None = None,
    ) -> None:
        if timeout_seconds is not None and not timeout_seconds > 0:
            raise InputError(f"timeout_seconds is {timeout_seconds}, expected a number above 0")
        self._outer = _CURRENT.get()
        self._seconds = timeout_seconds
        self._until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        self._cancelled = threading.Event()
        self._on_draft = on_draft

    def cancel(self) -> None:
        """Ends it at its next step; from any thread."""
        self._cancelled.set()

    def check(self) -> None:
        """Returns where it may go on.

        Raises:
            TimeLimitError: its time is up.
            StoppedError: it was cancelled.
        """
        if self._outer is not None:
            self._outer.check()
        if self._cancelled.is_set():
            raise StoppedError("the call was cancelled")
        if self._until is not None and time.monotonic() > self._until:
            raise TimeLimitError(
                f"not done within {self._seconds:g} s (timeout_seconds); give it more time, fewer "
                "candidates, or a faster model"
            )

    @property
    def wants_draft(self) -> bool:
        """Whether somebody still waits for the first text."""
        return self._on_draft is not None

    def tell_draft(self, text: str) -> None:
        """Tells who waits for it; later texts nobody."""
        on_draft, self._on_draft = self._on_draft, None
        if on_draft is not None:
            on_draft(text)


_NO_CALL = Call()


def current() -> Call:
    """The call that this thread works for; one without limits where there is none."""
    return _CURRENT.get() or _NO_CALL


def check() -> None:
    """Returns where the call that this thread works for may go on.

    Raises:
        StoppedError: it may not.
    """
    current().check()


@contextmanager
def working_for(call: Call) -> Iterator[None]:
    """A block that works for this call."""
    token = _CURRENT.set(call)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@contextmanager
def held(lock: threading.Lock) -> Iterator[None]:
    """The lock; waiting for it ends where the call does."""
    while not lock.acquire(timeout=_NAP_SECONDS):
        check()
    try:
        yield
    finally:
        lock.release()


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """The same, but that the call that it works for may end before it."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        check()
        return function(*args, **kwargs)

    return call


def limited(function: Callable[P, T]) -> Callable[P, T]:
    """The function within its own arguments ``timeout_seconds`` and ``on_draft``."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        given: dict[str, Any] = kwargs
        with working_for(Call(given.get("timeout_seconds"), given.get("on_draft"))):
            return function(*args, **kwargs)

    return call
