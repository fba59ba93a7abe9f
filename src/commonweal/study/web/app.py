"""The application: what its pages are made with, and what runs beside them (sweep, worker, events).

It knows none of its pages: ``routes`` puts both together.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

import jinja2
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from commonweal.models import DEFAULT_MODEL
from commonweal.study.config import StudyConfig
from commonweal.study.domain import machine, quick
from commonweal.study.domain.door import Arrivals
from commonweal.study.domain.faults import Faults
from commonweal.study.domain.people import is_somebodys
from commonweal.study.storage import gaps
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import StudyRow
from commonweal.study.storage.tokens import hashed, new_token
from commonweal.study.storage.transaction import Transaction
from commonweal.study.web import formats
from commonweal.study.web.limits import Limits
from commonweal.study.web.live import Live
from commonweal.study.web.translation import check_texts, choose_language, translator
from commonweal.study.writing.jobs import Worker
from commonweal.study.writing.writer import HowFar, ProcessWriter, TaskWriter

SWEEP_SECONDS = 1.0
CHECKPOINT_SECONDS = 10.0
MAX_KNOWN = 20_000
"""Cookies of which it is remembered that they are somebody's."""


class App:
    """One study on the web.

    Args:
        store: its database.
        study_id: which study.
        writer: what writes statements; by default the arms' models in a child process.
        base_url: the address that links begin with; by default that of the request.
        in_background: whether to sweep and to write; a simulation does both itself.
        writes: whether to write; else workers of their own do.
        spare_models: what a facilitator may take where the session's own model fails.
        kept: what becomes of a quick session's data, which people are told before they join.
        has_door: whether people need the code on the facilitator's screen, or the link, to join.
    """

    def __init__(
        self,
        store: Store,
        study_id: int,
        *,
        writer: TaskWriter | None = None,
        base_url: str = "",
        in_background: bool = True,
        writes: bool = True,
        simulated: bool = False,
        spare_models: Sequence[str] = (DEFAULT_MODEL,),
        kept: Literal["days", "file", "nothing"] = "file",
        has_door: bool = False,
    ) -> None:
        self.store, self.study_id, self.base_url = store, study_id, base_url
        self.simulated, self.kept, self.has_door = simulated, kept, has_door
        # Where people came from, as long as this process lives: it is stored nowhere.
        self.came_from: dict[int, str] = {}
        self.arrivals = Arrivals(time.monotonic)
        with store.transaction(study_id) as tx:
            self.config: StudyConfig = tx.config
            self.kind = tx.study.kind
            self._form_key = hashlib.sha256(f"forms {tx.study.export_key}".encode()).digest()
        check_texts(self.config)
        self.limits = Limits()
        self._known: set[str] = set()
        self.live = Live(store, study_id)
        self.spare_models = tuple(spare_models)
        self._writer = writer or ProcessWriter()
        self.worker = Worker(store, study_id, self._writer)
        self.in_background, self.writes = in_background, writes
        self._behind = 0.0
        self._faults = Faults()
        self._checkpointed = time.monotonic()
        self.templates = _templates()
        # Times of day as the machine has them now, whatever its clock was at the start.
        for name, shown in (("clock", formats.clock), ("iso", formats.iso)):
            self.templates.filters[name] = lambda seconds, shown=shown: shown(
                seconds + store.clock.behind()
            )
        self.templates.globals["app"] = self
        self.translator = cache(lambda language: translator(self.config, language, self.kind))

    def new_form_token(self) -> str:
        """A cookie for a stranger: made here, which it says of itself, also after a restart."""
        secret = new_token()[:32]
        return f"{secret}{self._mark(secret)}"

    def is_form_token(self, token: str) -> bool:
        """Whether such a cookie was made here."""
        if len(token) != 64 or not token.isascii():
            return False
        return hmac.compare_digest(token[32:], self._mark(token[:32]))

    def _mark(self, secret: str) -> str:
        return hmac.new(self._form_key, secret.encode(), hashlib.sha256).hexdigest()[:32]

    def knows(self, token: str) -> bool:
        """Whether this is the cookie of somebody, now or a while ago."""
        token_hash = hashed(token)
        if token_hash not in self._known:
            with self.store.read() as db:
                if not is_somebodys(db, self.study_id, token_hash):
                    return False
            if len(self._known) > MAX_KNOWN:
                self._known.clear()
            self._known.add(token_hash)
        return True

    def choose_language(self, asked: str, accepted: str) -> str:
        """The language for a visitor."""
        return choose_language(self.config, asked, accepted)

    def progress(self) -> HowFar | None:
        """How far the writing that is under way here has come; None where that is not known."""
        return getattr(self._writer, "progress", None)

    def reading(self, db: Session) -> Transaction:
        """A transaction that is only read from: nothing is locked, and nothing of it is kept."""
        study = db.get_one(StudyRow, self.study_id)
        return Transaction(db, study, self.store.config_of(study), self.store.clock.now())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What runs beside the pages, for as long as they are served."""
        tasks = [asyncio.create_task(self.live.run())]
        self.store.on_change = self._changed
        if self.in_background:
            # Before anybody's page is asked for: it would find deadlines that ran out meanwhile.
            await run_in_threadpool(self.sweep)
            if self.writes:
                self.worker.start()
            tasks.append(asyncio.create_task(self._sweep()))
        try:
            yield
        finally:
            self.live.close()
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            if self.in_background:
                await run_in_threadpool(self.worker.stop)

    def _changed(self, tx: Transaction) -> None:
        self.live.poke()
        if tx.has_job:
            self.worker.wake()

    async def _sweep(self) -> None:
        while True:
            try:
                await run_in_threadpool(self.sweep)
            except Exception as error:
                self._faults.tell("the sweep goes on after an error", error)
            await asyncio.sleep(SWEEP_SECONDS)

    def sweep(self) -> None:
        """Moves everything whose time has come."""
        behind = self.store.clock.behind()
        is_set, self._behind = abs(behind - self._behind) > 1, behind
        with self.store.transaction(self.study_id) as tx:
            if self.in_background:
                gaps.beat(tx)
            if is_set:  # the times of day that people's pages show are no longer so
                gaps.renew_pages(tx)
            machine.sweep(tx)
            if self.kind == "quick":
                quick.close_where_over(tx)
        if self.store.has_traces:
            self.store.empty_wal()
        if (now := time.monotonic()) - self._checkpointed >= CHECKPOINT_SECONDS:
            self._checkpointed = now
            self.store.checkpoint()


def _templates() -> jinja2.Environment:
    folder = Path(str(resources.files("commonweal.study.web") / "templates"))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        auto_reload=False,  # a page would ask the disk for each of its parts
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        paragraphs=formats.paragraphs,
        date=formats.date,
        number=formats.number,
        person_bars=formats.person_bars,
    )
    return environment
