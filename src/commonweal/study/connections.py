"""Connections that hold a place and send nothing: a request has a time in which to come whole.

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

    def is_whole(self, connection: Guarded) -> None:
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
        self.is_whole(connection)
        connection.transport.abort()


class Guarded(HttpToolsProtocol):
    """A connection of uvicorn's that says when a request begins and when it is whole."""

    unfinished: ClassVar[Unfinished]
    address = ""

    def connection_made(self, transport: Any) -> None:
        """A connection: its first request is to come."""
        super().connection_made(transport)
        self.address = network_of(self.client[0]) if self.client else ""
        self.unfinished.wait_for(self, self.unfinished.header_seconds)

    def data_received(self, data: bytes) -> None:
        """Some bytes. Uvicorn then no longer closes it as idle, even where no request begins."""
        if self.cycle is not None and self.cycle.response_complete:
            self.unfinished.wait_for(self, self.unfinished.header_seconds)
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """The headers are there; a body may follow."""
        super().on_headers_complete()
        self.unfinished.wait_for(self, self.unfinished.body_seconds)

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self.unfinished.is_whole(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.unfinished.is_whole(self)
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
