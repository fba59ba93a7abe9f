"""Writing as durable jobs: claimed, leased, retried, finished exactly once.

A job is a row. A worker claims it with a random claim and a lease that it renews while it writes; a
job whose lease has run out belonged to a worker that is gone, and is claimed again. Only the holder
of the claim can finish it, in the transaction that stores the statements.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, or_, select

from commonweal.errors import CommonwealError
from commonweal.study import machine
from commonweal.study.statements import store_statements
from commonweal.study.store import Store, Turn, new_token
from commonweal.study.tables import Group, Job, Opinion, Round
from commonweal.study.writer import Task, Writer, Written

LEASE_SECONDS = 20.0
log = logging.getLogger("commonweal.study")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that is ours: its claim, and a task for each arm by name."""

    job_id: int
    claim: str
    tasks: tuple[Task, ...]
    timeout_seconds: float


def claim(turn: Turn) -> Claimed | None:
    """The next job to do: queued, or left by a worker that is gone; None where there is none."""
    job = turn.db.scalars(_open_jobs(turn.study.id, turn.now)).one_or_none()
    if job is None:
        return None
    job.status, job.claim = "running", new_token()
    job.lease_until = turn.now + LEASE_SECONDS
    job.started_at = turn.now
    turn.db.flush()
    timeout = turn.config.timings_seconds.generation
    return Claimed(job.id, job.claim, _tasks(turn, job), timeout)


def _open_jobs(study_id: int, now: float) -> Select[Job]:
    return (
        select(Job)
        .join(Round, Job.round_id == Round.id)
        .join(Group, Round.group_id == Group.id)
        .where(
            Group.study_id == study_id,
            or_(Job.status == "queued", (Job.status == "running") & (Job.lease_until <= now)),
        )
        .order_by(Job.id)
        .limit(1)
    )


def renew(turn: Turn, claimed: Claimed) -> bool:
    """Whether the job is still ours; its lease then runs on."""
    job = turn.db.get_one(Job, claimed.job_id)
    if job.claim != claimed.claim or job.status != "running":
        return False
    job.lease_until = turn.now + LEASE_SECONDS
    return True


def finish(turn: Turn, claimed: Claimed, written: dict[str, Written]) -> bool:
    """Whether the statements were stored: the job is still ours."""
    job = turn.db.get_one(Job, claimed.job_id)
    if job.claim != claimed.claim or job.status != "running":
        return False
    row = turn.db.get_one(Round, job.round_id)
    names = tuple(name for name, _ in claimed.tasks[0].opinions)
    store_statements(turn, row, names, written)
    job.status, job.claim, job.finished_at = "done", None, turn.now
    group = turn.db.get_one(Group, row.group_id)
    turn.log("statements written", group=group, n_attempts=job.n_attempts)
    turn.touch(group)
    machine.advance(turn, group)
    return True


def fail(turn: Turn, claimed: Claimed, error: str) -> None:
    """Notes a failed attempt: the job is queued again, or given up after the last."""
    job = turn.db.get_one(Job, claimed.job_id)
    if job.claim != claimed.claim or job.status != "running":
        return
    job.error = error[:2000]
    job.n_attempts += 1
    if job.n_attempts >= turn.config.generation.attempts + bool(turn.config.generation.fallback):
        _give_up(turn, job, error)
    else:
        job.status, job.claim = "queued", None


def release(turn: Turn, claimed: Claimed) -> None:
    """Gives the job back undone: the worker is being stopped."""
    job = turn.db.get_one(Job, claimed.job_id)
    if job.claim == claimed.claim and job.status == "running":
        job.status, job.claim = "queued", None


def _give_up(turn: Turn, job: Job, error: str) -> None:
    job.status, job.claim, job.finished_at = "failed", None, turn.now
    job.error = error[:2000]
    row = turn.db.get_one(Round, job.round_id)
    group = turn.db.get_one(Group, row.group_id)
    turn.log("generation failed", group=group, error=job.error)
    turn.touch(group)
    machine.advance(turn, group)


def _tasks(turn: Turn, job: Job) -> tuple[Task, ...]:
    row = turn.db.get_one(Round, job.round_id)
    opinions = list(
        turn.db.scalars(select(Opinion).where(Opinion.round_id == row.id).order_by(Opinion.id))
    )
    arms = turn.config.arms
    fallback = turn.config.generation.fallback
    if fallback and job.n_attempts >= turn.config.generation.attempts:
        arms = [arm for arm in arms if arm.name == fallback]
    return tuple(
        Task(
            arm=arm,
            question=row.question,
            opinions=tuple((each.name, each.text) for each in opinions),
            omit=tuple(
                each.name for each in opinions if each.screening not in ("clear", "approved")
            ),
            # Another attempt draws anew; an arm's chance does not depend on the arms before it.
            seed=(row.seed + 7919 * index + 104_729 * job.n_attempts) % 2**31,
        )
        for index, arm in enumerate(arms)
    )


class Worker:
    """Does the jobs of one study, in a thread of its own or one at a time.

    Args:
        store: the database.
        study_id: whose jobs.
        writer: what writes.
    """

    def __init__(self, store: Store, study_id: int, writer: Writer) -> None:
        self._store, self._study_id, self._writer = store, study_id, writer
        self._stop, self._wake = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._current: Claimed | None = None

    def run_once(self) -> bool:
        """Whether there was a job; it was finished, or its attempt noted as failed."""
        with self._store.read() as db:
            if db.scalars(_open_jobs(self._study_id, self._store.clock.now())).first() is None:
                return False  # without a lock: this is asked all the time
        with self._store.turn(self._study_id) as turn:
            claimed = claim(turn)
        if claimed is None:
            return False
        self._current = claimed
        try:
            written: dict[str, Written] = {}
            try:
                for task in claimed.tasks:
                    written[task.arm.name] = self._writer.write(
                        task, timeout_seconds=claimed.timeout_seconds
                    )
            except CommonwealError as error:
                log.warning("writing failed: %s", type(error).__name__)
                with self._store.turn(self._study_id) as turn:
                    if self._stop.is_set():
                        release(turn, claimed)
                    else:
                        fail(turn, claimed, str(error))
                return True
            with self._store.turn(self._study_id) as turn:
                finish(turn, claimed, written)
        finally:
            self._current = None
        return True

    def wake(self) -> None:
        """Says that there may be a job."""
        self._wake.set()

    def start(self) -> None:
        """Starts the thread that writes and the one that renews the lease."""
        for target in (self._work, self._keep_lease):
            thread = threading.Thread(target=target, daemon=True, name=f"study {target.__name__}")
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stops the threads; a job under way is taken up again by the next worker."""
        self._stop.set()
        self._wake.set()
        close: Any = getattr(self._writer, "close", None)
        if close is not None:
            close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                if self.run_once():
                    continue
            except Exception:
                # The database may be away for a moment; the worker must outlive that.
                log.exception("the worker goes on after an error")
                self._stop.wait(1)
            self._wake.wait(1)

    def _keep_lease(self) -> None:
        while not self._stop.wait(LEASE_SECONDS / 4):
            if (claimed := self._current) is not None:
                with suppress(Exception), self._store.turn(self._study_id) as turn:
                    renew(turn, claimed)
