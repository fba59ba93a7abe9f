"""Who may join a quick session: whoever sees the screen of the room, and not all at once.

The screen shows a code that changes every minute. A page that was opened with the code carries a
pass, which is good for as long as it takes to read the page. A link with a longer code, which does
not change, is for people whom the facilitator sends it to.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Callable

from commonweal.study.storage.transaction import Transaction

CODE_SECONDS = 60
"""How long a code stands on the screen. It is good for two more of these: people type."""
PASS_SECONDS = 1800
BURST = 20
"""How many join from one address at once: a room may well be behind one."""
PER_SECOND = 2.0
"""How many more follow from there: a hundred people in a minute do not notice."""
WAITS_SECONDS = 10.0
"""Whoever was turned away comes again within this time, or loses their place in the queue."""
MAX_WAITING = 500
"""In the queue of one address."""
MAX_ADDRESSES = 10_000


def code_now(tx: Transaction) -> str:
    """The code on the screen: six digits."""
    return _code(tx, int(tx.now // CODE_SECONDS))


def link_code(tx: Transaction) -> str:
    """The code of the link that the facilitator sends to people."""
    return _mark(tx, "link")[:20]


def opens(tx: Transaction, code: str) -> bool:
    """Whether the code is one of those that open the door now."""
    given = _as_digits(code[:100]).encode("utf-8", "replace")
    now = int(tx.now // CODE_SECONDS)
    right = [link_code(tx), *(_code(tx, now - back) for back in range(3))]
    return any(hmac.compare_digest(given, each.encode()) for each in right)


def _as_digits(code: str) -> str:
    """The code as it stands on the screen, however a phone's keyboard writes its digits, and what
    divides them: Arabic, Hindi and Japanese ones have digits of their own.
    """
    kept = (c for c in code if c.isalnum())
    return "".join(str(unicodedata.decimal(c, c)) for c in kept)


def new_pass(tx: Transaction, browser: str) -> str:
    """What the page of somebody who came with the code carries: good in this browser alone."""
    at = int(tx.now)
    return f"{at}-{_mark(tx, f'pass {at} {browser}')[:32]}"


def is_pass(tx: Transaction, given: str, browser: str) -> bool:
    """Whether it is a pass of this browser, made not long ago."""
    at, _, mark = given.partition("-")
    if not (at.isascii() and at.isdigit() and len(at) <= 12):
        return False
    if abs(tx.now - int(at)) > PASS_SECONDS:
        return False
    right = _mark(tx, f"pass {int(at)} {browser}")[:32]
    return hmac.compare_digest(mark.encode("utf-8", "replace"), right.encode())


def change(tx: Transaction, *, actor: str) -> None:
    """Makes all codes, links and passes from before useless."""
    tx.study.door_key = secrets.token_hex(32)
    tx.log("join code changed", actor=actor)
    tx.touch(None)


def shut(tx: Transaction, is_shut: bool, *, actor: str) -> None:
    """Lets nobody else join, or people join again."""
    if tx.study.is_shut != is_shut:
        tx.study.is_shut = is_shut
        tx.log("door shut" if is_shut else "door opened", actor=actor)
        tx.touch(None)


def _code(tx: Transaction, period: int) -> str:
    return f"{int(_mark(tx, f'code {period}')[:12], 16) % 1_000_000:06d}"


def _mark(tx: Transaction, what: str) -> str:
    return hmac.new(tx.study.door_key.encode(), what.encode(), hashlib.sha256).hexdigest()


class Arrivals:
    """Lets people in from each address one after the other, in the order in which they came.

    A script that joins fifty times in a second gets ``BURST`` in, as a room does that is behind one
    address, and then two a second. Whoever is told to wait and comes again keeps their place, so
    that a flood of new ones does not shut them out.

    Args:
        clock: seconds that go steadily.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._queues: dict[str, _Queue] = {}

    def admits(self, address: str, browser: str) -> bool:
        """Whether this browser may join now; otherwise it waits in the queue of its address."""
        now = self._clock()
        if address not in self._queues and len(self._queues) >= MAX_ADDRESSES:
            old = [key for key, each in self._queues.items() if each.is_idle(now)]
            for key in old:
                del self._queues[key]
            if not old:
                return False
        return self._queues.setdefault(address, _Queue(now)).admits(browser, now)


class _Queue:
    """Those of one address who wait: when each came first, and when last."""

    def __init__(self, now: float) -> None:
        self._places, self._at = float(BURST), now
        self._waiting: dict[str, tuple[float, float]] = {}

    def is_idle(self, now: float) -> bool:
        return now - self._at > BURST / PER_SECOND

    def admits(self, browser: str, now: float) -> bool:
        self._places = min(self._places + (now - self._at) * PER_SECOND, float(BURST))
        self._at = now
        self._waiting = {
            key: (first, last)
            for key, (first, last) in self._waiting.items()
            if now - last <= WAITS_SECONDS
        }
        first, _ = self._waiting.get(browser, (now, now))
        before = sum(came < first for came, _ in self._waiting.values())
        if self._places >= 1 and before < int(self._places):
            self._waiting.pop(browser, None)
            self._places -= 1
            return True
        if browser not in self._waiting and len(self._waiting) >= MAX_WAITING:
            # Who has come again waits in earnest; of the others any may have to begin anew.
            strangers = [key for key, (came, last) in self._waiting.items() if came == last]
            if not strangers:
                return False
            del self._waiting[secrets.choice(strangers)]
        self._waiting[browser] = (first, now)
        return False
