"""Connections that send nothing, or without end: a request has a time and a size to come whole in.

A server without that is shut by a thousand half-sent requests. Where there are many of them from
one address, or in all, the oldest is closed for the newest: a request that is sent by a browser is
whole after a moment, and never the oldest.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from commonweal.study.web.limits import network_of

MAX_FILES = 65_536
MAX_HEAD_BYTES = 64 * 1024
"""Of a request's address and headers. A browser sends a few kilobytes; all are held in memory."""
MAX_REQUEST_BYTES = 512 * 1024
"""Of all of it. A form has 128 KB at most, and whoever sends more is told so before this."""
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)


@dataclass
class Unfinished:
    """The connections whose request is not whole yet, oldest first.

    Attributes:
        header_seconds: from a connection, or a request's first byte, to the end of its headers.
        body_seconds: from there to the end of the body, of 128 KB at most.
        per_address: so many from one address; likewise ``in_all``.
        trusted: addresses that are not counted: of a proxy, which sends whole requests.
    """

    header_seconds: float = 10.0
    body_seconds: float = 30.0
    per_address: int = 64
    in_all: int = 512
    trusted: frozenset[str] = frozenset()
    _timers: dict[Guarded, asyncio.TimerHandle] = field(default_factory=dict)
    _by_address: defaultdict[str, dict[Guarded, None]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def wait_for(self, connection: Guarded, seconds: float) -> None:
        """Closes the connection where what it sends is not whole in so many seconds."""
        is_new = connection not in self._timers
        if not is_new:
            self._timers[connection].cancel()
        self._timers[connection] = connection.loop.call_later(seconds, self._close, connection)
        if not is_new or connection.address in self.trusted:
            return
        theirs = self._by_address[connection.address]
        theirs[connection] = None
        if len(theirs) > self.per_address:
            self._close(next(iter(theirs)))
        if len(self._timers) > self.in_all:
            self._close(next(iter(self._timers)))

    def finished(self, connection: Guarded) -> None:
        """Says that nothing more is waited for."""
        timer = self._timers.pop(connection, None)
        if timer is None:
            return
        timer.cancel()
        theirs = self._by_address.get(connection.address, {})
        theirs.pop(connection, None)
        if not theirs:
            self._by_address.pop(connection.address, None)

    def _close(self, connection: Guarded) -> None:
        self.finished(connection)
        connection.transport.abort()


class Guarded(HttpToolsProtocol):
    """A connection of uvicorn's that says when a request begins and when it is whole."""

    unfinished: ClassVar[Unfinished]
    address = ""
    _n_bytes = 0
    _in_head = True

    def connection_made(self, transport: Any) -> None:
        """A connection: its first request is to come."""
        super().connection_made(transport)
        self.address = network_of(self.client[0]) if self.client else ""
        self.unfinished.wait_for(self, self.unfinished.header_seconds)

    def data_received(self, data: bytes) -> None:
        """Some bytes. Uvicorn then no longer closes it as idle, even where no request begins."""
        if self.cycle is not None and self.cycle.response_complete:
            self.unfinished.wait_for(self, self.unfinished.header_seconds)
        # What is of the next request when this one ends is little: it came in the same piece.
        self._n_bytes += len(data)
        super().data_received(data)
        if self._n_bytes > (MAX_HEAD_BYTES if self._in_head else MAX_REQUEST_BYTES):
            self._refuse()

    def _refuse(self) -> None:
        """Closes what sends more than a request may have; says so where no answer is under way."""
        self.unfinished.finished(self)
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        else:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        """The headers are there; a body may follow."""
        super().on_headers_complete()
        self._in_head = False
        self.unfinished.wait_for(self, self.unfinished.body_seconds)

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self._n_bytes, self._in_head = 0, True
        self.unfinished.finished(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.unfinished.finished(self)
        super().connection_lost(exc)


def guarded(unfinished: Unfinished) -> type[Guarded]:
    """The kind of connection that one server makes."""
    return type("GuardedConnection", (Guarded,), {"unfinished": unfinished})


def allow_many_files() -> None:
    """Lets this process hold as many connections as the system allows, up to ``MAX_FILES``."""
    with suppress(ImportError, OSError, ValueError):  # there is none on Windows, which has no limit
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
