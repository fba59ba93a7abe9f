"""kill -9 at random moments: what was acknowledged is there, jobs are done exactly once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

import httpx
import numpy as np
from serving import free_port, start
from sqlalchemy import select
from study_making import ScriptedWriter, small_study

from commonweal.errors import CommonwealError, EngineError
from commonweal.study.simulation.bots import Bot, Browser
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import (
    JobRow,
    OpinionRow,
    ParticipantRow,
    PresentationRow,
    RatingRow,
    StatementRow,
)
from commonweal.study.writing.jobs import LEASE_SECONDS, Worker, claim, finish
from commonweal.study.writing.writer import ProcessWriter, Task
from commonweal.types import Opinion as Said


def test_sqlite_waits_for_the_disk(tmp_path):
    """A power cut would take what was not waited for."""
    store = Store(f"sqlite:///{tmp_path}/study.db")
    with store.engine.connect() as db:
        assert db.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    store.close()


def live(bot: Bot, until: float, done: threading.Event | None = None) -> None:
    """Takes part as fast as it can, whatever becomes of the server."""
    bot.rng = np.random.default_rng(bot.rng.integers(2**31))
    while time.monotonic() < until and not (done is not None and done.is_set()):
        try:
            if not bot.browser.status:
                bot.browser.get("/join")
            elif bot.kind() == "waiting":
                time.sleep(0.1)
                bot.browser.get("/here")
            elif bot.act() == "end" or bot.kind() == "end":
                return
        except (httpx.TransportError, CommonwealError):
            time.sleep(0.1)
            bot.browser.status = bot.browser.status and 1
            try:
                bot.browser.get("/here" if bot.browser._client.cookies.get("cw_here") else "/join")
            except httpx.TransportError:
                continue


@pytest.mark.attack("kill -9", "four times while eight take part: everything is there once")
@pytest.mark.slow
def test_nothing_acknowledged_is_lost(tmp_path):
    be_killed(f"sqlite:///{tmp_path}/study.db")


@pytest.mark.attack("kill -9", "four times while eight take part: everything is there once")
@pytest.mark.slow
def test_nothing_acknowledged_is_lost_on_postgresql(postgres_url):
    be_killed(postgres_url)


def be_killed(database_url):
    rng = random.Random(0)
    port = free_port()
    Store(database_url).close()
    server = start(database_url, port)
    clients = [httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) for _ in range(8)]
    bots = [
        Bot(Browser(client), np.random.default_rng(n), (2,)) for n, client in enumerate(clients)
    ]
    until = time.monotonic() + 80
    n_busy = []
    threads = [threading.Thread(target=live, args=(bot, until)) for bot in bots]
    try:
        for thread in threads:
            thread.start()
        for _ in range(4):
            time.sleep(rng.uniform(0.6, 2.0))
            n_busy.append(sum(thread.is_alive() for thread in threads))
            server.kill()
            server.wait()
            server = start(database_url, port)
        assert n_busy[1], "everybody was done before the second kill"
        for thread in threads:
            thread.join(90)
        assert not any(thread.is_alive() for thread in threads)
    finally:
        server.kill()
        server.wait()
    store = Store(database_url)
    with store.read() as db:
        people = db.scalars(select(ParticipantRow)).all()
        held = {
            str(number): (str(agreement), quality)
            for number, agreement, quality in db.execute(
                select(PresentationRow.id, RatingRow.agreement, RatingRow.quality).join(RatingRow)
            )
        }
        for bot in bots:
            for number, fields in bot.sent:
                assert held[number][0] == fields["agreement"]
        assert sum(len(bot.written) for bot in bots) <= len(db.scalars(select(OpinionRow.id)).all())
        jobs = db.scalars(select(JobRow)).all()
        assert {job.status for job in jobs} == {"done"}
        # Two arms of four candidates each, once, however often a worker was killed in the middle.
        per_round = Counter(db.scalars(select(StatementRow.round_id)))
        assert set(per_round.values()) == {8}
        # Somebody may have joined twice, where the answer with the cookie was lost.
        assert sum(person.outcome == "complete" for person in people) >= 4
    store.close()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.attack("kill -9", "a hundred times at random moments: what was acknowledged is there")
def test_a_hundred_kills(tmp_path, record_property):
    be_killed_often(f"sqlite:///{tmp_path}/study.db", 100, record_property)


def acknowledged(everybody):
    """How many answers the server has said that it kept."""
    return sum(len(bot.sent) + len(bot.written) for bot in list(everybody))


def be_killed_often(database_url, n_kills, record_property):
    """People take part without end, each as fast as they can, while the server is killed."""
    rng, port, done = random.Random(1), free_port(), threading.Event()
    Store(database_url).close()
    server = start(database_url, port)
    everybody: list[Bot] = []

    def always(number):
        while not done.is_set():
            client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)
            bot = Bot(Browser(client), np.random.default_rng([number, len(everybody)]), (2,))
            everybody.append(bot)
            with client:
                live(bot, time.monotonic() + 60, done)

    threads = [threading.Thread(target=always, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    n_found = []
    try:
        for _ in range(n_kills):
            # In the midst of what people do, however slow the machine is, and now and then at once.
            wanted = acknowledged(everybody) + rng.choice([0, 1, 2, 5])
            until = time.monotonic() + 60
            while acknowledged(everybody) < wanted and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(rng.uniform(0.0, 0.3))
            server.kill()
            server.wait()
            n_found.append(acknowledged(everybody))
            server = start(database_url, port)
    finally:
        done.set()
        for thread in threads:
            thread.join(90)
        server.kill()
        server.wait()
    store = Store(database_url)
    with store.read() as db:
        held = {
            str(number): str(agreement)
            for number, agreement in db.execute(
                select(PresentationRow.id, RatingRow.agreement).join(RatingRow)
            )
        }
        sent = [each for bot in everybody for each in bot.sent]
        lost = [number for number, fields in sent if held.get(number) != fields["agreement"]]
        n_opinions = len(db.scalars(select(OpinionRow.id)).all())
        n_written = sum(len(bot.written) for bot in everybody)
        # A job is done exactly once, however often its worker was killed.
        assert set(Counter(db.scalars(select(StatementRow.round_id))).values()) <= {8}
        outcomes = Counter(db.scalars(select(ParticipantRow.outcome)))
    store.close()
    record_property("tried", n_kills)
    record_property(
        "figure",
        f"{len(sent) + n_written:,} answers acknowledged, "
        f"{len(sent) - len(lost) + min(n_written, n_opinions):,} found",
    )
    print(f"{n_kills} kills, {len(sent) + n_written} acknowledged, {len(lost)} lost, {outcomes}")
    assert lost == []
    assert n_written <= n_opinions
    # People went on between the kills: it is no test of a server that nobody uses.
    assert len(set(n_found)) > n_kills / 3


@pytest.mark.attack("kill -9", "a worker that was thought dead comes too late")
def test_a_job_of_a_dead_worker_is_done_once(database_url):
    from test_machine import Place

    place = Place(database_url)
    ids = place.join(4)
    for person in ids:
        place.act(person)
        place.act(person)
    with place.transaction() as tx:
        dead = claim(tx)
        assert claim(tx) is None  # leased
    place.clock.move_to(place.clock.now() + LEASE_SECONDS + 1)
    assert Worker(place.store, place.study_id, ScriptedWriter()).run_once()
    written = {
        task.arm.name: ScriptedWriter().write(task, timeout_seconds=1) for task in dead.tasks
    }
    with place.transaction() as tx:
        assert not finish(tx, dead, written)  # it was not dead after all, and comes too late
    with place.store.read() as db:
        assert len(db.scalars(select(StatementRow.id)).all()) == 8


class Hanging:
    """A writer that hangs, or dies, as the question says."""

    def write(self, task, *, timeout_seconds):
        if task.question == "hang":
            time.sleep(60)
        if task.question == "die":
            import os

            os._exit(9)
        if task.question == "fail":
            raise ValueError("a fault of the engine")
        return ScriptedWriter().write(task, timeout_seconds=timeout_seconds)


@pytest.mark.heavy
@pytest.mark.attack("kill -9", "a writing process that hangs, dies or fails")
def test_the_writing_process_is_ended_and_begun_again():
    writer = ProcessWriter(Hanging)
    arm = small_study().arms[0]
    good = Task(arm, "good", (Said("o1", "a"), Said("o2", "b")), (), 1)
    try:
        for question, says in (
            ("hang", "nothing was written in 1 seconds"),
            ("die", "the writing process died"),
            ("fail", "ValueError: a fault of the engine"),
        ):
            bad = Task(arm, question, good.opinions, (), 1)
            # A new process loads this module first; only what hangs is to run into the limit.
            writer.write(good, timeout_seconds=60)
            with pytest.raises(EngineError, match=says):
                writer.write(bad, timeout_seconds=1 if question == "hang" else 60)
        assert len(writer.write(good, timeout_seconds=60).draws[0].candidates) == 4
    finally:
        writer.close()
