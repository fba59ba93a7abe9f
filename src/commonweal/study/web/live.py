"""Server-sent events: a page that waits hears when what it shows has changed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from sqlalchemy import select, update
from starlette.concurrency import run_in_threadpool

from commonweal.study.domain.lobby import PRESENT_SECONDS
from commonweal.study.domain.machine import ENDED
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import GroupRow, ParticipantRow, StudyRow

POLL_SECONDS = 0.5
BEAT_SECONDS = 15.0
LOBBY = 0
"""The key of the waiting room; groups have their ids."""


class Live:
    """Who listens to which group, in this process; other processes' changes are polled for.

    The database tells versions: one small query twice a second, however many listen.
    """

    def __init__(self, store: Store, study_id: int) -> None:
        self._store, self._study_id = store, study_id
        self._listeners: dict[int, set[asyncio.Event]] = defaultdict(set)
        self._versions: dict[int, int] = {}
        self._present: set[int] = set()
        self._there: dict[int, set[int]] = {}
        self._poke = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.is_closing = False

    def poke(self) -> None:
        """Says, from any thread, that something may have changed."""
        loop = self._loop
        if loop is not None and self._listeners:
            with suppress(RuntimeError):  # the loop has just been closed
                loop.call_soon_threadsafe(self._poke.set)

    async def run(self) -> None:
        """Polls and wakes listeners until it is cancelled."""
        self._loop = asyncio.get_running_loop()
        last_beat = self._loop.time()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._poke.wait(), POLL_SECONDS)
            self._poke.clear()
            if self._listeners:
                await self._look()
            if self._loop.time() - last_beat >= BEAT_SECONDS and self._listeners:
                last_beat = self._loop.time()
                with suppress(Exception):  # who is there is a courtesy; the next beat tells again
                    await self.beat()
            await asyncio.sleep(0.05)  # a burst of changes is one change

    async def stream(
        self, key: int, find_version: Callable[[], int], participant_id: int | None = None
    ) -> AsyncIterator[str]:
        """Events of a group or the waiting room, for one listener.

        The first tells the version as it is once changes are listened for: a page that was made
        from an older one looks again, so that nothing falls between the page and its stream.
        """
        mine = asyncio.Event()
        self._listeners[key].add(mine)
        try:
            version = await run_in_threadpool(find_version)
            yield f"retry: 2000\n\nevent: ready\ndata: {version}\n\n"
            while not self.is_closing:
                if participant_id is not None:
                    self._present.add(participant_id)
                try:
                    await asyncio.wait_for(mine.wait(), BEAT_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
                else:
                    mine.clear()
                    yield "event: changed\ndata: 1\n\n"
        finally:
            self._listeners[key].discard(mine)
            if not self._listeners[key]:
                del self._listeners[key]

    async def beat(self) -> None:
        """Notes who listens, and tells each group where somebody has gone or come back: no version
        changes with that, and a page that waits would call people there who are not.
        """
        listening, self._present = self._present, set()
        there = await run_in_threadpool(self._note_present, listening)
        for key, listeners in self._listeners.items():
            if there.get(key) != self._there.get(key):
                for each in listeners:
                    each.set()
        self._there = there

    def version(self, key: int) -> int:
        """The version of a group or of the waiting room."""
        with self._store.read() as db:
            if key == LOBBY:
                return db.get_one(StudyRow, self._study_id).lobby_version
            return db.get_one(GroupRow, key).version

    def close(self) -> None:
        """Ends all streams."""
        self.is_closing = True
        for listeners in self._listeners.values():
            for each in listeners:
                each.set()

    async def _look(self) -> None:
        with suppress(Exception):  # the database may be away for a moment
            versions = await run_in_threadpool(self._read_versions)
            for key, version in versions.items():
                if self._versions.get(key) != version:
                    for each in self._listeners.get(key, ()):
                        each.set()
            # A group that has ended is no longer read: its people hear it once.
            for key in set(self._listeners) - set(versions):
                if key in self._versions:
                    for each in self._listeners.get(key, ()):
                        each.set()
            self._versions = versions

    def _read_versions(self) -> dict[int, int]:
        with self._store.read() as db:
            rows = db.execute(
                select(GroupRow.id, GroupRow.version).where(
                    GroupRow.study_id == self._study_id, GroupRow.stage.not_in(ENDED)
                )
            )
            versions: dict[int, int] = dict(rows.all())
            lobby = select(StudyRow.lobby_version).where(StudyRow.id == self._study_id)
            versions[LOBBY] = db.scalars(lobby).one()
        return versions

    def _note_present(self, listening: set[int]) -> dict[int, set[int]]:
        """Who is there, by group or waiting room, after those who listen were noted."""
        now = self._store.clock.now()
        if listening:
            with self._store.write() as db:
                db.execute(
                    update(ParticipantRow)
                    .where(ParticipantRow.id.in_(listening))
                    .values(last_seen_at=now)
                )
        there: dict[int, set[int]] = defaultdict(set)
        with self._store.read() as db:
            for group, person in db.execute(
                select(ParticipantRow.group_id, ParticipantRow.id).where(
                    ParticipantRow.study_id == self._study_id,
                    ParticipantRow.stage.in_(("lobby", "group")),
                    ParticipantRow.outcome.is_(None),
                    ParticipantRow.last_seen_at >= now - PRESENT_SECONDS,
                )
            ):
                there[LOBBY if group is None else group].add(person)
        return there
