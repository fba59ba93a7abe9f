"""How much one browser or one address may ask for; the headers of every answer."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

from limits import RateLimitItemPerMinute
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter
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


class _Counts(Storage):
    """Counts in windows, in this process: where ``limits`` keeps what it has counted.

    Its own memory storage reads the clock of the machine, which may be set, and keeps any number of
    keys. Here time is monotonic, and where there are too many keys a new one is refused: a limit
    that lets everybody through when it is flooded is none.
    """

    STORAGE_SCHEME = ("commonweal-memory",)  # type: ignore[assignment]

    def __init__(self, clock: Callable[[], float], max_keys: int) -> None:
        super().__init__()
        self._clock, self._max_keys = clock, max_keys
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, float]] = {}
        self._swept_at = clock()

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """The key's count with ``amount`` more; above any limit where there is no room for it."""
        now = self._clock()
        with self._lock:
            n, until = self._counts.get(key, (0, 0.0))
            if until <= now:
                n, until = 0, now + expiry
                if key not in self._counts and not self._has_room(now):
                    return 2**31
            self._counts[key] = (n + amount, until)
            return n + amount

    def _has_room(self, now: float) -> bool:
        if len(self._counts) >= self._max_keys and now - self._swept_at >= 1:
            self._swept_at = now
            self._counts = {key: each for key, each in self._counts.items() if each[1] > now}
        return len(self._counts) < self._max_keys

    def get(self, key: str) -> int:
        """The count of the key in its window."""
        n, until = self._counts.get(key, (0, 0.0))
        return n if until > self._clock() else 0

    def get_expiry(self, key: str) -> float:
        """When the key's window ends."""
        return self._counts.get(key, (0, self._clock()))[1]

    def check(self) -> bool:
        """That it can be used."""
        return True

    def reset(self) -> int | None:
        """Forgets everything; says how many keys that were."""
        n = len(self._counts)
        self._counts = {}
        return n

    def clear(self, key: str) -> None:
        """Forgets a key."""
        self._counts.pop(key, None)


class Limits:
    """How much one may ask for in a minute, in this process.

    Whoever is known by a cookie is counted by it alone: a hundred phones of a room share one
    address, and what a neighbour does is not theirs to answer for. Strangers are counted by the
    cookie that their first answer brought, and those without one by address. So a stranger who is
    turned away because of a neighbour is let in at the second try.
    """

    per_token = 180
    """Forms of one browser; of pages, which also load by themselves, five times as many."""
    per_address = 6000
    """Requests of those who bring no cookie of ours."""
    joins = 300
    """People who join from one address: a room, and not a crowd made by a script."""
    codes = 30
    """Wrong codes of a quick session from one address: six digits are not guessed so."""
    failures = 20
    streams = 6
    """Event streams that one browser may hold at a time: a page each."""
    MAX_KEYS = 50_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        # Apart: however many strangers there are, there is room for those who are known.
        self._known = FixedWindowRateLimiter(_Counts(clock, self.MAX_KEYS))
        self._strangers = FixedWindowRateLimiter(_Counts(clock, self.MAX_KEYS))
        self._held: Counter[str] = Counter()

    def count(self, key: str, limit: int) -> None:
        """Counts one more of a stranger.

        Raises:
            TooMuchError: that is more than ``limit`` in a minute, or there are too many strangers.
        """
        if not self._strangers.hit(RateLimitItemPerMinute(limit), key):
            raise TooMuchError

    def count_token(self, method: str, token: str, *, is_known: bool = True) -> None:
        """Counts a form or a page of one browser.

        Raises:
            TooMuchError: that is more than it may have in a minute.
        """
        limit = self.per_token if method == "POST" else 5 * self.per_token
        limiter = self._known if is_known else self._strangers
        if not limiter.hit(
            RateLimitItemPerMinute(limit), "form" if method == "POST" else "", token
        ):
            raise TooMuchError

    def forget(self, key: str, limit: int) -> None:
        """Forgets what was counted of this key."""
        self._strangers.clear(RateLimitItemPerMinute(limit), key)

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


class FewAtOnce:
    """Lets a few threads do what is dear at a time, some more wait, and turns the others away.

    Args:
        at_once: how many do it at a time.
        waiting: how many more may wait: each holds a thread that pages are answered with.
    """

    def __init__(self, *, at_once: int, waiting: int) -> None:
        self._places = threading.BoundedSemaphore(at_once + waiting)
        self._doing = threading.BoundedSemaphore(at_once)

    def __enter__(self) -> None:
        """Begins, perhaps after waiting.

        Raises:
            TooMuchError: as many wait as may.
        """
        if not self._places.acquire(blocking=False):
            raise TooMuchError
        self._doing.acquire()

    def __exit__(self, *_error: object) -> None:
        """Makes room for the next."""
        self._doing.release()
        self._places.release()


def network_of(address: str) -> str:
    """What is counted as one address: IPv6 gives a household, or a guesser, 2**64 of them."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return address


class Headers:
    """Adds the security headers to every answer; pages are never cached.

    Args:
        app: what answers.
        is_secure: whether people reach it over TLS alone, whoever ends that.
    """

    def __init__(self, app: ASGIApp, *, is_secure: bool = False) -> None:
        self._app, self._is_secure = app, is_secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, and adds to the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_static = scope["path"].startswith("/static/")
        has_answered = False

        async def send_with(message: Message) -> None:
            nonlocal has_answered
            if message["type"] == "http.response.start":
                has_answered = True
                headers = list(message.get("headers", []))
                there = {name.lower() for name, _ in headers}
                cache = b"public, max-age=3600" if is_static else b"no-store"
                extra = {**{k.encode(): v.encode() for k, v in HEADERS.items()}}
                extra[b"cache-control"] = cache
                if self._is_secure or scope.get("scheme") == "https":
                    extra[b"strict-transport-security"] = b"max-age=31536000"
                headers += [(name, value) for name, value in extra.items() if name not in there]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, send_with)
        except Exception:
            # The page of a fault was sent and a line about it logged: the server would add a
            # hundred more, with what people wrote in them.
            if not has_answered:
                raise
