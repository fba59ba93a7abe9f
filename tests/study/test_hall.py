"""A hall: 110 phones at a quick session's door within a minute, each with its page open, as the
page's script does it. A process of its own, its real clock, one address.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

import httpx
from quick_session import begin

from commonweal.study.simulation.bots import Browser

N_PHONES = 110
ARRIVE_SECONDS = 30


class Phone:
    """What a phone's browser does: it joins, comes again where it is told to wait, and then looks
    at its page whenever the server says that something has changed.
    """

    def __init__(self, number, address, seen):
        self.rng, self.seen = random.Random(number), seen
        # A browser asks again where the server has just closed an idle connection, as ``ask`` does.
        idle = httpx.Limits(keepalive_expiry=2)
        self.client = httpx.AsyncClient(base_url=address, timeout=120, limits=idle)
        self.browser = Browser(self.client)
        self.seat, self.is_in = "", asyncio.Event()

    async def ask(self, method, path, **how):
        began = time.monotonic()
        try:
            answer = await self.client.request(method, path, follow_redirects=True, **how)
        except httpx.RemoteProtocolError:
            answer = await self.client.request(method, path, follow_redirects=True, **how)
        self.seen.seconds.append(time.monotonic() - began)
        self.seen.statuses[method, answer.status_code] += 1
        self.browser._took(answer)
        return answer.status_code

    async def take_part(self, link):
        await asyncio.sleep(self.rng.uniform(0, ARRIVE_SECONDS))
        await self.ask("GET", link)
        form = {**self.browser.forms["/join"].fields, "decision": "agree"}
        while await self.ask("POST", "/join", data=form) == 429:
            await asyncio.sleep(3 + 2 * self.rng.random())
        self.seat = self.browser.html.partition("You are person ")[2].partition(".")[0][:3]
        self.is_in.set()
        async with self.client.stream("GET", "/here/events", timeout=None) as events:
            self.seen.streams[events.status_code] += 1
            async for line in events.aiter_lines():
                if line.startswith("event: changed"):
                    await self.ask("GET", "/here")


class Seen:
    """What all phones together saw."""

    def __init__(self):
        self.statuses, self.streams, self.seconds = Counter(), Counter(), []


async def fill_the_hall(address, link, facilitator_path):
    """What was seen, the seconds until everybody was in, and those that the facilitator's page
    took meanwhile.
    """
    seen, waited = Seen(), []
    phones = [Phone(n, address, seen) for n in range(N_PHONES)]
    began, idle = time.monotonic(), httpx.Limits(keepalive_expiry=2)
    running = [asyncio.create_task(each.take_part(link)) for each in phones]
    async with httpx.AsyncClient(
        base_url=address, timeout=120, follow_redirects=True, limits=idle
    ) as room:
        await room.get(facilitator_path)
        while not all(each.is_in.is_set() for each in phones):
            for each in running:
                if each.done():
                    each.result()  # a phone that fell down says why
            at = time.monotonic()
            page = await room.get("/facilitator")
            waited.append(time.monotonic() - at)
            assert page.status_code == 200
            await asyncio.sleep(1)
        seconds = time.monotonic() - began
        await asyncio.sleep(2)
        page = (await room.get("/facilitator")).text
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for each in phones:
        await each.client.aclose()
    assert f"Begin with {N_PHONES} people" in page or "Begin with 50 people" in page
    assert len({each.seat for each in phones}) == N_PHONES
    return seen, seconds, waited


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.attack("one address", "a hall: 110 phones at a quick session's door within a minute")
def test_a_hall_joins_a_quick_session_in_a_minute(tmp_path, record_property):
    begun = begin(tmp_path)
    try:
        seen, seconds, waited = asyncio.run(
            fill_the_hall(begun.address, begun.link, begun.facilitator)
        )
    finally:
        begun.process.send_signal(signal.SIGTERM)
        begun.process.wait(60)
    refused = {key: n for key, n in seen.statuses.items() if key[1] != 200}
    # Nobody is refused but told to wait for a moment, and all come in.
    assert set(refused) <= {("POST", 429)}
    assert seen.streams == {200: N_PHONES}
    p95 = sorted(seen.seconds)[int(0.95 * len(seen.seconds))]
    record_property("tried", N_PHONES)
    record_property(
        "figure",
        f"all in after {seconds:.0f} s, {seen.statuses.total():,} requests, p95 "
        f"{1000 * p95:.0f} ms, the facilitator's page at most {1000 * max(waited):.0f} ms",
    )
    # Two a second after the first twenty, and a slow machine's time.
    assert seconds < 300
