"""How much one browser or one address may ask for; the headers of every answer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class TooMuchError(Exception):
    """More requests in a minute than one may make."""


class Limits:
    """Counts requests in windows of a minute, in this process.

    Fifty phones of a room may share one address, so an address may do much; what is tried with
    wrong links and passwords may be tried little.
    """

    per_token = 180
    """Forms of one browser; of pages, which also load by themselves, five times as many."""
    per_address = 6000
    failures = 20
    streams = 6
    """Event streams that one browser may hold at a time: a page each."""
    _MAX_KEYS = 50_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._minute = -1
        self._counts: dict[str, int] = {}
        self._held: Counter[str] = Counter()

    def count(self, key: str, limit: int) -> None:
        """Counts one more.

        Raises:
            TooMuchError: that is more than ``limit`` in this minute.
        """
        if self._add(key) > limit:
            raise TooMuchError

    def count_token(self, method: str, token: str) -> None:
        """Counts a form or a page of one browser.

        Raises:
            TooMuchError: that is more than it may have in this minute.
        """
        limit = self.per_token if method == "POST" else 5 * self.per_token
        self.count(f"{method} {token}", limit)

    def check_streams(self, token: str) -> None:
        """Raises ``TooMuchError`` where the browser holds as many streams as it may."""
        if self._held[token] >= self.streams:
            raise TooMuchError

    async def held(self, token: str, events: AsyncIterator[str]) -> AsyncIterator[str]:
        """The events, counted as one stream of the browser as long as they are listened to."""
        # Many that are asked for at once have all been let in before the first of them is held.
        if self._held[token] >= self.streams:
            return
        self._held[token] += 1
        try:
            async for event in events:
                yield event
        finally:
            self._held[token] -= 1
            if not self._held[token]:
                del self._held[token]

    def check(self, key: str, limit: int) -> None:
        """Raises ``TooMuchError`` where ``limit`` was reached; counts nothing."""
        with self._lock:
            self._turn()
            if self._counts.get(key, 0) >= limit:
                raise TooMuchError

    def _add(self, key: str) -> int:
        with self._lock:
            self._turn()
            if len(self._counts) >= self._MAX_KEYS and key not in self._counts:
                return 1  # rather serve than forget those that are counted
            self._counts[key] = self._counts.get(key, 0) + 1
            return self._counts[key]

    def _turn(self) -> None:
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute, self._counts = minute, {}


class Headers:
    """Adds the security headers to every answer; pages are never cached."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, and adds to the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_static = scope["path"].startswith("/static/")

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                there = {name.lower() for name, _ in headers}
                cache = b"public, max-age=3600" if is_static else b"no-store"
                extra = {**{k.encode(): v.encode() for k, v in HEADERS.items()}}
                extra[b"cache-control"] = cache
                if scope.get("scheme") == "https":
                    extra[b"strict-transport-security"] = b"max-age=31536000"
                headers += [(name, value) for name, value in extra.items() if name not in there]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with)
