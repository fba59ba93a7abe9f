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
from commonweal.study.storage.tables import GroupRow, JobRow, OpinionRow, RoundRow
from commonweal.study.storage.tokens import new_token
from commonweal.study.storage.transaction import Transaction
from commonweal.study.writing.statements import store_minority, store_statements
from commonweal.study.writing.tasks import tasks_of
from commonweal.study.writing.writer import ArmOutput, Task, TaskWriter

WROTE_NOTHING = "wrote nothing"
"""What a round's notes say of an arm without a statement."""
LEASE_SECONDS = 20.0
UNATTENDED_SECONDS = 120.0
"""A job that has waited so long, while none is being done, has no worker: a free one takes it
within a second or so.
"""
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
class ArmFailure:
    """Why an arm wrote nothing. ``message`` may hold what people wrote, ``kind`` does not."""

    kind: str
    message: str


def claim(tx: Transaction) -> Claimed | None:
    """The next job to do: queued, or left by a worker that is gone; None where there is none.

    Any number of workers may ask at once: a job that another one is taking is passed over.
    """
    first = _open_jobs(tx.study.id, tx.now).limit(1)
    job = tx.db.scalars(first.with_for_update(of=JobRow, skip_locked=True)).one_or_none()
    if job is None:
        return None
    job.status, job.claim = "running", new_token()
    job.lease_until = tx.now + LEASE_SECONDS
    # The first time since it was queued: a job that ends its worker is not tried for ever.
    if job.started_at is None or job.started_at < job.queued_at:
        job.started_at = tx.now
    tx.db.flush()
    timeout = tx.config.timings_seconds.generation
    is_last = job.n_attempts + 1 >= tx.config.generation.attempts
    return Claimed(job.id, job.claim, tasks_of(tx, job), timeout, is_last)


def _open_jobs(study_id: int, now: float) -> Select[JobRow]:
    return (
        select(JobRow)
        .join(RoundRow, JobRow.round_id == RoundRow.id)
        .join(GroupRow, RoundRow.group_id == GroupRow.id)
        .where(
            GroupRow.study_id == study_id,
            # Nothing is written any more for a group that was released or went on.
            GroupRow.stage == "generating",
            GroupRow.round_id == RoundRow.id,
            or_(
                JobRow.status == "queued",
                # A lease that ends later than any can was made before the clock was set back.
                (JobRow.status == "running")
                & (or_(JobRow.lease_until <= now, JobRow.lease_until > now + 2 * LEASE_SECONDS)),
            ),
        )
        .order_by(JobRow.id)
    )


def unattended(db: Session, study_id: int, now: float) -> set[int]:
    """The ids of rounds for which nobody seems to write: their jobs have waited for
    ``UNATTENDED_SECONDS``, and no worker holds another one of the study's.
    """
    if machine.is_writing(db, study_id, now):
        return set()
    return {
        job.round_id
        for job in db.scalars(_open_jobs(study_id, now))
        # Given back or left by its last worker, it waits from the end of the lease.
        if max(job.queued_at, job.lease_until) <= now - UNATTENDED_SECONDS
    }


def _ours(tx: Transaction, claimed: Claimed) -> JobRow | None:
    """The job, locked; None where another worker has it by now, or has done it."""
    job = tx.db.get_one(JobRow, claimed.job_id, with_for_update=True)
    return job if job.claim == claimed.claim and job.status == "running" else None


def renew(tx: Transaction, claimed: Claimed) -> bool:
    """Whether the job is still ours; its lease then runs on."""
    if (job := _ours(tx, claimed)) is None:
        return False
    job.lease_until = tx.now + LEASE_SECONDS
    return True


def finish(
    tx: Transaction,
    claimed: Claimed,
    written: dict[str, ArmOutput],
    failures: Mapping[str, ArmFailure] | None = None,
) -> bool:
    """Whether the statements were stored: the job is still ours.

    Args:
        tx: the transaction.
        claimed: the job.
        written: what each arm wrote.
        failures: the arms that wrote nothing, and why.
    """
    failures = failures or {}
    if (job := _ours(tx, claimed)) is None:
        return False
    row = tx.db.get_one(RoundRow, job.round_id)
    if job.what == minority.WRITING:
        (only,) = written.values()
        store_minority(tx, row, only)
    else:
        store_statements(tx, row, written)
        failed = (f"{arm}: {WROTE_NOTHING} ({failures[arm].kind})" for arm in failures)
        row.notes = [*row.notes, *failed]
    job.status, job.claim, job.finished_at = "done", None, tx.now
    job.error = _reasons(tx, claimed, failures)
    group = tx.db.get_one(GroupRow, row.group_id)
    tx.log("statements written", group=group, failed_arms=_kinds(failures))
    tx.touch(group)
    machine.advance(tx, group)
    return True


def fail(tx: Transaction, claimed: Claimed, failures: Mapping[str, ArmFailure]) -> None:
    """Notes a failed attempt: the job is queued again, or given up after the last."""
    if (job := _ours(tx, claimed)) is None:
        return
    job.error = _reasons(tx, claimed, failures)
    job.n_attempts += 1
    row = tx.db.get_one(RoundRow, job.round_id)
    group = tx.db.get_one(GroupRow, row.group_id)
    if job.n_attempts < tx.config.generation.attempts + bool(tx.config.generation.fallback):
        job.status, job.claim = "queued", None
        tx.log("attempt failed", group=group, failed_arms=_kinds(failures))
        return
    job.status, job.claim, job.finished_at = "failed", None, tx.now
    tx.log("generation failed", group=group, failed_arms=_kinds(failures))
    machine.hold(tx, group)
    tx.touch(group)
    machine.advance(tx, group)


def release(tx: Transaction, claimed: Claimed) -> None:
    """Gives the job back undone: the worker is being stopped."""
    if (job := _ours(tx, claimed)) is not None:
        job.status, job.claim, job.queued_at = "queued", None, tx.now


def failed_jobs(db: Session, study_id: int) -> dict[int, list[JobRow]]:
    """For each group's id its jobs in which an arm failed, oldest first.

    Status "failed": the round has no statement; "done": the other arms' statements; else an attempt
    failed and the next one is to come. ``error`` says which arms, and why, until somebody whose
    opinion was in the round deletes their data.
    """
    jobs: dict[int, list[JobRow]] = {}
    for job, group_id in db.execute(
        select(JobRow, RoundRow.group_id)
        .join(RoundRow, JobRow.round_id == RoundRow.id)
        .join(GroupRow, RoundRow.group_id == GroupRow.id)
        .where(GroupRow.study_id == study_id, or_(JobRow.error != "", JobRow.status == "failed"))
        .order_by(JobRow.id)
    ):
        jobs.setdefault(group_id, []).append(job)
    return jobs


def _reasons(tx: Transaction, claimed: Claimed, failures: Mapping[str, ArmFailure]) -> str:
    """What went wrong, in words; only the kinds where a text was deleted meanwhile."""
    row = tx.db.get_one(RoundRow, tx.db.get_one(JobRow, claimed.job_id).round_id)
    there = tx.db.scalars(
        select(OpinionRow.name).where(OpinionRow.round_id == row.opinions_id)
    ).all()
    first = claimed.tasks[0]
    is_complete = {opinion.id for opinion in first.opinions} <= set(there)
    if first.revises is not None:
        is_complete &= len(first.revises.critiques) <= len(revisions.critiques_of(tx.db, row.id))
    reasons = {arm: each.message if is_complete else each.kind for arm, each in failures.items()}
    return "; ".join(f"{arm}: {message}" for arm, message in reasons.items())[:2000]


def _kinds(failures: Mapping[str, ArmFailure]) -> dict[str, str]:
    return {arm: failure.kind for arm, failure in failures.items()}


def _by_a_model(claimed: Claimed, written: Mapping[str, ArmOutput]) -> bool:
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

    def __init__(self, store: Store, study_id: int, writer: TaskWriter) -> None:
        self._store, self._study_id, self._writer = store, study_id, writer
        self._stop, self._wake = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._current: Claimed | None = None
        self._faults = Faults()
        # What arms wrote in an attempt in which others failed, and from what they wrote it.
        self._kept: tuple[object, dict[str, ArmOutput]] = (None, {})

    def run_once(self) -> bool:
        """Whether there was a job; it was finished, or its attempt noted as failed."""
        with self._store.read() as db:
            jobs = _open_jobs(self._study_id, self._store.clock.now())
            if db.scalars(jobs.limit(1)).first() is None:
                return False  # without a lock: this is asked all the time
        with self._store.beside(self._study_id) as tx:
            claimed = claim(tx)
        if claimed is None:
            return False
        self._current = claimed
        try:
            written, failures = self._write(claimed)
            with self._store.transaction(self._study_id) as tx:
                if failures and self._stop.is_set():
                    release(tx, claimed)
                elif failures and not (_by_a_model(claimed, written) and claimed.is_last):
                    fail(tx, claimed, failures)
                else:
                    finish(tx, claimed, written, failures)
                    self._kept = (None, {})
        finally:
            self._current = None
        return True

    def _write(self, claimed: Claimed) -> tuple[dict[str, ArmOutput], dict[str, ArmFailure]]:
        """What each arm wrote, in this attempt or the one before; and which arms failed."""
        first = claimed.tasks[0]
        # Somebody may have deleted their opinion since: all is then written anew.
        source = (claimed.job_id, first.opinions, first.omit, first.revises, first.for_minority)
        written = self._kept[1] if self._kept[0] == source else {}
        self._kept = (source, written)
        failures: dict[str, ArmFailure] = {}
        for task in claimed.tasks:
            if task.arm.name in written:
                continue
            if self._stop.is_set():
                failures[task.arm.name] = ArmFailure("stopped", "the worker was stopped")
                break
            try:
                written[task.arm.name] = self._writer.write(
                    task, timeout_seconds=claimed.timeout_seconds
                )
            except CommonwealError as error:
                kind = getattr(error, "kind", type(error).__name__)
                failures[task.arm.name] = ArmFailure(kind, str(error))
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
                with suppress(Exception), self._store.beside(self._study_id) as tx:
                    renew(tx, claimed)
