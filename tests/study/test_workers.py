"""Workers beside the servers: any number of processes write, and each job is done once."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select
from study_making import OPINION, Place, ScriptedWriter, small_study

import forking
from commonweal.study.domain import answers, people
from commonweal.study.domain.pages import current_page
from commonweal.study.storage.clock import SystemClock
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import (
    EventRow,
    GroupRow,
    JobRow,
    ParticipantRow,
    RatingRow,
    StatementRow,
)
from commonweal.study.writing import jobs
from commonweal.study.writing.working import work

QUICK = {"rounds": {"count": 1, "passes": 1}, "timings_seconds": {"opinion": 3600, "rating": 3600}}


class Slow(ScriptedWriter):
    """Writes so slowly that it is killed in the middle now and then."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def write(self, task, *, timeout_seconds):
        time.sleep(self.seconds)
        return super().write(task, timeout_seconds=timeout_seconds)


def be_worker(url, seconds, lease_seconds):
    """What a worker's process does."""
    jobs.LEASE_SECONDS = lease_seconds
    store = Store(url)
    work(store, store.open_study(small_study(**QUICK)), Slow(seconds))


class WorkerProcess:
    def __init__(self, url, seconds=0.1, lease_seconds=4.0):
        self.process = forking.processes.Process(
            target=be_worker, args=(url, seconds, lease_seconds), daemon=True
        )
        self.process.start()

    def end(self, number):
        os.kill(self.process.pid, number)
        self.process.join(30)
        return self.process.exitcode


def counted(place, what, *where):
    with place.store.read() as db:
        return db.scalar(select(func.count()).select_from(what).where(*where))


def until(is_so, seconds=120):
    ends = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < ends, "still waiting"
        time.sleep(0.1)


@pytest.fixture
def place(database_url):
    made = Place(database_url, small_study(**QUICK))
    made.clock = made.store.clock = SystemClock()
    yield made
    made.store.close()


def go_on(tx, person):
    """Does in one transaction all that a person can do now; says at which page that ends."""
    while True:
        people.saw(tx, person)
        page = current_page(tx, person)
        if page.unseen is not None:
            answers.show(tx.db, page.unseen, tx.now)
            tx.db.refresh(page.unseen)
        if page.kind in ("position", "rate"):
            assert answers.rate(tx, person, page.presentation.id, 6, 5) is None
        elif page.kind == "opinion":
            assert answers.write_opinion(tx, person, page.round.id, OPINION) is None
        elif page.kind == "result":
            assert answers.leave_result(tx, person, page.round.id)
        else:
            return page.kind


def have_written(place, n_groups):
    """Ids of the people of so many groups, who have all written: each group's job is open."""
    ids = []
    for _ in range(n_groups):
        group = place.join(4)
        with place.transaction() as tx:
            for person in group:
                assert go_on(tx, tx.db.get_one(ParticipantRow, person)) == "waiting"
        ids += group
    return ids


def rate_to_the_end(place, ids, stop):
    """Everybody goes on as soon as there is something to rate, until all are done."""
    left = set(ids)
    while left and not stop.is_set():
        for person in sorted(left):
            if stop.is_set():
                return
            with place.transaction() as tx:
                if go_on(tx, tx.db.get_one(ParticipantRow, person)) == "end":
                    left.discard(person)


def be_killed_while_they_write(place, url, n_people, n_kills):
    """Four workers write for so many simulated people, and one after the other is killed."""
    rng, began = random.Random(0), time.monotonic()
    ids = have_written(place, n_people // 4)
    wrote_seconds, began = time.monotonic() - began, time.monotonic()
    n_jobs = counted(place, JobRow)
    assert n_jobs == n_people // 4
    workers = [WorkerProcess(url) for _ in range(4)]
    stop = threading.Event()
    raters = threading.Thread(target=rate_to_the_end, args=(place, ids, stop))
    raters.start()
    n_in_the_middle = 0
    try:
        until(lambda: counted(place, JobRow, JobRow.status == "done"))
        for _ in range(n_kills):
            time.sleep(rng.uniform(0.1, 0.6))
            number = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
            before = counted(place, JobRow, JobRow.status == "running")
            n_in_the_middle += before > 0
            victim = workers.pop(0)
            assert victim.end(number) == (-signal.SIGKILL if number == signal.SIGKILL else 0)
            workers.append(WorkerProcess(url))
        raters.join(30 + 6 * n_people)
        assert not raters.is_alive(), "somebody is stuck"
    finally:
        stop.set()
        raters.join(60)
        for each in workers:
            each.end(signal.SIGKILL)
    assert n_in_the_middle, "no worker was killed while there was something to write"
    with place.store.read() as db:
        assert Counter(db.scalars(select(JobRow.status))) == {"done": n_jobs}
        # Two arms of four candidates each, once, however often a worker was killed in the middle.
        per_round = Counter(db.scalars(select(StatementRow.round_id)))
        assert set(per_round.values()) == {8}
        assert len(per_round) == n_jobs
        written = select(EventRow.group_id).where(EventRow.kind == "statements written")
        assert set(Counter(db.scalars(written)).values()) == {1}
        outcomes = Counter(db.scalars(select(ParticipantRow.outcome)))
        assert outcomes == {"complete": n_people}
        assert set(db.scalars(select(GroupRow.stage))) == {"finished"}
    assert counted(place, RatingRow) == n_people * 4  # the position, and three statements
    print(
        f"{n_people} simulated people, {n_jobs} jobs, 4 workers, {n_kills} ended "
        f"({n_in_the_middle} while a job was running): each job done once, nobody stuck; "
        f"{wrote_seconds:.0f} s until all had written, {time.monotonic() - began:.0f} s from there"
    )


@pytest.mark.heavy
@pytest.mark.attack("kill -9", "four writing processes, killed one after the other: each job once")
def test_four_workers_do_each_job_once_though_they_are_killed(postgres_url):
    place = Place(postgres_url, small_study(**QUICK))
    place.clock = place.store.clock = SystemClock()
    be_killed_while_they_write(place, postgres_url, 48, 4)
    place.store.close()


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
@pytest.mark.attack("kill -9", "two thousand simulated people, forty kills: nobody is stuck")
def test_two_thousand_people_and_four_workers(postgres_url):
    place = Place(postgres_url, small_study(**QUICK))
    place.clock = place.store.clock = SystemClock()
    be_killed_while_they_write(place, postgres_url, 2000, 40)
    place.store.close()


@pytest.mark.heavy
def test_a_worker_that_is_told_to_end_gives_its_job_back(place, database_url):
    have_written(place, 1)
    worker = WorkerProcess(database_url, seconds=3.0, lease_seconds=300.0)
    until(lambda: counted(place, JobRow, JobRow.status == "running"))
    assert worker.end(signal.SIGTERM) == 0
    assert counted(place, JobRow, JobRow.status == "queued") == 1
    assert counted(place, StatementRow) == 0


def test_workers_that_ask_at_once_get_different_jobs(postgres_url):
    place = Place(postgres_url, small_study(**QUICK))
    have_written(place, 3)
    store, study = place.store, place.study_id
    other = Store(postgres_url, clock=place.clock)
    with store.beside(study) as first, other.beside(study) as second:
        mine, theirs = jobs.claim(first), jobs.claim(second)
        with Store(postgres_url, clock=place.clock).transaction(study) as moving:
            # People's moves wait for neither.
            assert moving.study.id == study
            third = jobs.claim(moving)
            assert jobs.claim(moving) is None
    assert len({mine.job_id, theirs.job_id, third.job_id}) == 3
    other.close()
    store.close()


def test_servers_and_workers_that_start_at_once_open_one_study(database_url):
    def start(_number):
        store = Store(database_url)
        try:
            return store.open_study(small_study())
        finally:
            store.close()

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(start, range(6)))) == 1
