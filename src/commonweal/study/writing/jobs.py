"""Writing as durable jobs: claimed, leased, retried, finished exactly once.

A job is a row. A worker claims it with a random claim and a lease that it renews while it writes; a
job whose lease has run out belonged to a worker that is gone, and is claimed again. Only the holder
of the claim can finish it, in the transaction that stores the statements.

Each attempt writes with every arm that has not written yet. After the last one the round goes on
with the arms that have; only where none has, the fallback stands in.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from commonweal.errors import CommonwealError
from commonweal.study.domain import machine, minority, revisions
from commonweal.study.domain.faults import Faults
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import Group, Job, Opinion, Round
from commonweal.study.storage.tokens import new_token
from commonweal.study.storage.transaction import Turn
from commonweal.study.writing.statements import store_minority, store_statements
from commonweal.study.writing.tasks import tasks_of
from commonweal.study.writing.writer import Task, Writer, Written

LEASE_SECONDS = 20.0
log = logging.getLogger("commonweal.study")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that is ours: its claim, a task for each arm, whether it is their last attempt."""

    job_id: int
    claim: str
    tasks: tuple[Task, ...]
    timeout_seconds: float
    is_last: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an arm wrote nothing. ``message`` may hold what people wrote, ``kind`` does not."""

    kind: str
    message: str


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
    is_last = job.n_attempts + 1 >= turn.config.generation.attempts
    return Claimed(job.id, job.claim, tasks_of(turn, job), timeout, is_last)


def _open_jobs(study_id: int, now: float) -> Select[Job]:
    return (
        select(Job)
        .join(Round, Job.round_id == Round.id)
        .join(Group, Round.group_id == Group.id)
        .where(
            Group.study_id == study_id,
            # Nothing is written any more for a group that was released or went on.
            Group.stage == "generating",
            Group.round_id == Round.id,
            or_(
                Job.status == "queued",
                # A lease that ends later than any can was made before the clock was set back.
                (Job.status == "running")
                & (or_(Job.lease_until <= now, Job.lease_until > now + 2 * LEASE_SECONDS)),
            ),
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


def finish(
    turn: Turn,
    claimed: Claimed,
    written: dict[str, Written],
    failures: Mapping[str, Failure] | None = None,
) -> bool:
    """Whether the statements were stored: the job is still ours.

    Args:
        turn: the transaction.
        claimed: the job.
        written: what each arm wrote.
        failures: the arms that wrote nothing, and why.
    """
    failures = failures or {}
    job = turn.db.get_one(Job, claimed.job_id)
    if job.claim != claimed.claim or job.status != "running":
        return False
    row = turn.db.get_one(Round, job.round_id)
    if job.what == minority.WRITING:
        (only,) = written.values()
        store_minority(turn, row, only)
    else:
        store_statements(turn, row, written)
        failed = (f"{arm}: wrote nothing ({failures[arm].kind})" for arm in failures)
        row.notes = [*row.notes, *failed]
    job.status, job.claim, job.finished_at = "done", None, turn.now
    job.error = _said(turn, claimed, failures)
    group = turn.db.get_one(Group, row.group_id)
    turn.log("statements written", group=group, failed_arms=_kinds(failures))
    turn.touch(group)
    machine.advance(turn, group)
    return True


def fail(turn: Turn, claimed: Claimed, failures: Mapping[str, Failure]) -> None:
    """Notes a failed attempt: the job is queued again, or given up after the last."""
    job = turn.db.get_one(Job, claimed.job_id)
    if job.claim != claimed.claim or job.status != "running":
        return
    job.error = _said(turn, claimed, failures)
    job.n_attempts += 1
    row = turn.db.get_one(Round, job.round_id)
    group = turn.db.get_one(Group, row.group_id)
    if job.n_attempts < turn.config.generation.attempts + bool(turn.config.generation.fallback):
        job.status, job.claim = "queued", None
        turn.log("attempt failed", group=group, failed_arms=_kinds(failures))
        return
    job.status, job.claim, job.finished_at = "failed", None, turn.now
    turn.log("generation failed", group=group, failed_arms=_kinds(failures))
    machine.hold(turn, group)
    turn.touch(group)
    machine.advance(turn, group)


def release(turn: Turn, claimed: Claimed) -> None:
    """Gives the job back undone: the worker is being stopped."""
    job = turn.db.get_one(Job, claimed.job_id)
    if job.claim == claimed.claim and job.status == "running":
        job.status, job.claim = "queued", None


def failed_jobs(db: Session, study_id: int) -> dict[int, list[Job]]:
    """For each group's id its jobs in which an arm failed, oldest first.

    Status "failed": the round has no statement; "done": the other arms' statements; else an attempt
    failed and the next one is to come. ``error`` says which arms, and why, until somebody whose
    opinion was in the round deletes their data.
    """
    found: dict[int, list[Job]] = {}
    for job, group_id in db.execute(
        select(Job, Round.group_id)
        .join(Round, Job.round_id == Round.id)
        .join(Group, Round.group_id == Group.id)
        .where(Group.study_id == study_id, or_(Job.error != "", Job.status == "failed"))
        .order_by(Job.id)
    ):
        found.setdefault(group_id, []).append(job)
    return found


def _said(turn: Turn, claimed: Claimed, failures: Mapping[str, Failure]) -> str:
    """What went wrong, in words; only the kinds where a text was deleted meanwhile."""
    row = turn.db.get_one(Round, turn.db.get_one(Job, claimed.job_id).round_id)
    there = turn.db.scalars(select(Opinion.name).where(Opinion.round_id == row.opinions_id)).all()
    first = claimed.tasks[0]
    is_whole = {opinion.id for opinion in first.opinions} <= set(there)
    if first.revises is not None:
        is_whole &= len(first.revises.critiques) <= len(revisions.said(turn.db, row.id))
    said = {arm: each.message if is_whole else each.kind for arm, each in failures.items()}
    return "; ".join(f"{arm}: {message}" for arm, message in said.items())[:2000]


def _kinds(failures: Mapping[str, Failure]) -> dict[str, str]:
    return {arm: failure.kind for arm, failure in failures.items()}


def _by_a_model(claimed: Claimed, written: Mapping[str, Written]) -> bool:
    """Whether anything was written: people's own opinions are there without writing."""
    shared = {task.arm.name for task in claimed.tasks if task.arm.plan == "opinions"}
    return bool(set(written) - shared)


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
        self._faults = Faults()
        # What arms wrote in an attempt in which others failed, and from what they wrote it.
        self._kept: tuple[object, dict[str, Written]] = (None, {})

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
            written, failures = self._write(claimed)
            with self._store.turn(self._study_id) as turn:
                if failures and self._stop.is_set():
                    release(turn, claimed)
                elif failures and not (_by_a_model(claimed, written) and claimed.is_last):
                    fail(turn, claimed, failures)
                else:
                    finish(turn, claimed, written, failures)
                    self._kept = (None, {})
        finally:
            self._current = None
        return True

    def _write(self, claimed: Claimed) -> tuple[dict[str, Written], dict[str, Failure]]:
        """What each arm wrote, in this attempt or the one before; and which arms failed."""
        first = claimed.tasks[0]
        # Somebody may have deleted their opinion since: all is then written anew.
        source = (claimed.job_id, first.opinions, first.omit, first.revises, first.speaks)
        written = self._kept[1] if self._kept[0] == source else {}
        self._kept = (source, written)
        failures: dict[str, Failure] = {}
        for task in claimed.tasks:
            if task.arm.name in written:
                continue
            if self._stop.is_set():
                failures[task.arm.name] = Failure("stopped", "the worker was stopped")
                break
            try:
                written[task.arm.name] = self._writer.write(
                    task, timeout_seconds=claimed.timeout_seconds
                )
            except CommonwealError as error:
                kind = getattr(error, "kind", type(error).__name__)
                failures[task.arm.name] = Failure(kind, str(error))
                # Not the message: it may quote what people wrote, or what a server made of it.
                log.warning("job %d: arm %s: %s", claimed.job_id, task.arm.name, kind)
        return written, failures

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
            except Exception as error:
                # The database may be away for a moment; the worker must outlive that.
                self._faults.tell("the worker goes on after an error", error)
                self._stop.wait(1)
            self._wake.wait(1)

    def _keep_lease(self) -> None:
        while not self._stop.wait(LEASE_SECONDS / 4):
            if (claimed := self._current) is not None:
                with suppress(Exception), self._store.turn(self._study_id) as turn:
                    renew(turn, claimed)
