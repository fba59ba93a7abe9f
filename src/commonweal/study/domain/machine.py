"""How a group moves: one function, ``advance``, called on everything that happens.

Stages of a round, each with a deadline:

    opinions          everybody rates the position statement and writes an opinion
    opinion_check     a person looks at opinions that the screen has held
    generating        a job writes the statements
    statement_check   a person looks at statements that the screen has held
    rating            everybody rates every statement, in two passes
    result            everybody reads how the group rated

Where those who disagree get a sentence of their own, ``generating`` and ``statement_check`` come
once more before the result. Where the statement that the ratings chose is to be revised, a round on
it stands before the result
(or comes after it, when a facilitator asks), and begins with these in place of the first two:

    critique          everybody says what they would change about it, or nothing
    critique_check    a person looks at critiques that the screen has held

then the next round, or ``finished``; ``dissolved`` where too few were left. What is written here
happens in the caller's transaction, and only there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from commonweal.study.domain import lobby, minority, revisions, rounds
from commonweal.study.domain.faults import Faults
from commonweal.study.domain.results import choose_statement, freeze, is_by_mean
from commonweal.study.domain.shared import authors_of
from commonweal.study.storage.tables import (
    GroupRow,
    JobRow,
    MemberRow,
    OpinionRow,
    ParticipantRow,
    PresentationRow,
    RoundRow,
    StatementRow,
)
from commonweal.study.storage.transaction import Transaction

_faults = Faults()
ENDED = ("finished", "dissolved")
EXTENDABLE = ("opinions", "critique", "rating", "result")


def advance(tx: Transaction, group: GroupRow) -> None:
    """Moves the group as far as it can go now.

    Called on every submission, leaving, removal, reconnection, finished job, and by the sweep.
    """
    tx.db.flush()
    while group.paused_at is None and group.stage not in ENDED:
        active = rounds.active(tx, group)
        if not active:
            rounds.begin_stage(tx, group, "finished", 0)
        elif not _STEPS[group.stage](tx, group, active):
            return
        tx.db.flush()


def sweep(tx: Transaction) -> None:
    """Moves everything whose time has come: groups, the waiting room, people who never began."""
    entry = tx.config.timings_seconds.entry
    for person in tx.db.scalars(
        select(ParticipantRow).where(
            ParticipantRow.study_id == tx.study.id,
            ParticipantRow.outcome.is_(None),
            ParticipantRow.stage.in_(("consent", "instructions", "check")),
            ParticipantRow.stage_since <= tx.now - entry,
            ParticipantRow.consented_at.is_not(None),
        )
    ):
        rounds.end(tx, person, "timed_out")
    due = tx.db.scalars(
        select(GroupRow).where(
            GroupRow.study_id == tx.study.id,
            GroupRow.stage.not_in(ENDED),
            GroupRow.paused_at.is_(None),
            GroupRow.deadline <= tx.now,
        )
    ).all()
    for group in due:
        # A group that cannot be moved must not hold the others up.
        try:
            with tx.db.begin_nested():
                advance(tx, group)
        except Exception as error:
            _faults.tell(f"the sweep goes on without the group {group.public_id}", error)
    lobby.match(tx)


def pause(tx: Transaction, group: GroupRow, *, actor: str) -> None:
    """Stops the group's clock: people go on with what they are doing, and no stage ends."""
    if group.paused_at is None and group.stage not in ENDED:
        group.paused_at = tx.now
        tx.log("paused", actor=actor, group=group)
        tx.touch(group)


def resume(tx: Transaction, group: GroupRow, *, actor: str) -> None:
    """Lets the group's clock go on, with as much time left as there was."""
    if group.paused_at is not None:
        group.deadline += max(tx.now - group.paused_at, 0.0)
        group.paused_at = None
        tx.log("resumed", actor=actor, group=group)
        tx.touch(group)
        advance(tx, group)


def close(tx: Transaction, group: GroupRow, *, actor: str) -> None:
    """Ends the stage that the group is in, as if its time were over, and none after it.

    A paused clock goes on with the next stage. It must not be let go on first: where everybody was
    done the group would then move by itself, and the next stage would be the one that is ended.
    """
    tx.log("stage closed", actor=actor, group=group, stage=group.stage)
    group.paused_at = None
    group.deadline = tx.now
    advance(tx, group)


def hold(tx: Transaction, group: GroupRow) -> None:
    """Lets a study's group for which nothing could be written wait for a researcher."""
    if tx.study.kind != "quick":
        group.deadline = tx.now + tx.config.generation.hold_seconds


def why_held(tx: Transaction, group: GroupRow) -> str:
    """Why nothing could be written for the round that waits for it; "" where it is under way."""
    if group.stage != "generating":
        return ""
    job = tx.db.scalars(select(JobRow).where(JobRow.round_id == group.round_id)).one()
    return (job.error or "no reason was given") if job.status == "failed" else ""


def write_again(tx: Transaction, group: GroupRow, *, actor: str) -> bool:
    """Whether writing that was given up is tried once more, with other chances."""
    job = tx.db.scalars(select(JobRow).where(JobRow.round_id == group.round_id)).one_or_none()
    if group.stage != "generating" or job is None or job.status != "failed":
        return False
    job.status, job.claim, job.error, job.finished_at = "queued", None, "", None
    job.queued_at = tx.now
    group.deadline = tx.now + _generation_seconds(tx)
    tx.has_job = True
    tx.log("writing again", actor=actor, group=group)
    tx.touch(group)
    return True


def go_on_without(tx: Transaction, group: GroupRow, *, actor: str) -> bool:
    """Whether a round for which nothing could be written is ended without a statement."""
    job = tx.db.scalars(select(JobRow).where(JobRow.round_id == group.round_id)).one_or_none()
    if group.stage != "generating" or job is None or job.status != "failed":
        return False
    tx.log("went on without statements", actor=actor, group=group)
    _go_on_without(tx, group)
    return True


def revise(tx: Transaction, group: GroupRow, *, actor: str) -> bool:
    """Whether the group that reads its result is asked what it would change about the statement."""
    row = tx.db.get(RoundRow, group.round_id)
    if group.stage != "result" or row is None or not revisions.can_begin(row):
        return False
    tx.log("asked for critiques", actor=actor, group=group)
    group.paused_at = None
    revisions.begin(tx, group, row)
    return True


# --------------------------------------------------------------------------------- the steps


def _opinions(tx: Transaction, group: GroupRow, active: list[ParticipantRow]) -> bool:
    written = set(
        tx.db.scalars(
            select(OpinionRow.participant_id).where(OpinionRow.round_id == group.round_id)
        )
    )
    done = [person for person in active if person.id in written]
    is_over = tx.now >= group.deadline
    keeps = tx.config.group.late == "keep"
    # Fewer than the minimum can only become fewer still: there is nothing to wait for.
    if len(active) < tx.config.group.minimum:
        _fall_short(tx, group, active)
    elif len(done) == len(active) or (is_over and len(done) >= tx.config.group.minimum):
        if not keeps:
            _release_late(tx, [person for person in active if person.id not in written])
        rounds.begin_stage(tx, group, "opinion_check", tx.config.timings_seconds.moderation)
    elif is_over and tx.study.kind == "quick":
        return False  # somebody is there, who waits for more opinions
    elif is_over:
        if not keeps:
            _release_late(tx, [person for person in active if person.id not in written])
        _fall_short(tx, group, done if not keeps else active)
    else:
        return False
    return True


def _opinion_check(tx: Transaction, group: GroupRow, _active: list[ParticipantRow]) -> bool:
    held = tx.db.scalars(
        select(OpinionRow.id).where(
            OpinionRow.round_id == group.round_id, OpinionRow.screening == "held"
        )
    ).first()
    if held is not None and tx.now < group.deadline:
        return False
    _write(tx, group)
    return True


def _critique(tx: Transaction, group: GroupRow, active: list[ParticipantRow]) -> bool:
    answered = revisions.answered(tx.db, group.round_id)
    late = [person for person in active if person.id not in answered]
    if late and tx.now < group.deadline:
        return False
    if tx.config.group.late == "release":
        _release_late(tx, late)
    rounds.begin_stage(tx, group, "critique_check", tx.config.timings_seconds.moderation)
    return True


def _critique_check(tx: Transaction, group: GroupRow, _active: list[ParticipantRow]) -> bool:
    held = revisions.critiques_of(tx.db, group.round_id, ["held"])
    if held and tx.now < group.deadline:
        return False
    if revisions.has_work(tx.db, tx.db.get_one(RoundRow, group.round_id)):
        _write(tx, group)
    else:  # nobody would change anything, or nothing that may be used: the statement stands
        _result(tx, group)
    return True


def _write(tx: Transaction, group: GroupRow) -> None:
    rounds.begin_stage(tx, group, "generating", _generation_seconds(tx))
    tx.db.add(JobRow(round_id=group.round_id, status="queued", queued_at=tx.now))
    tx.has_job = True


def _generation_seconds(tx: Transaction) -> float:
    """Somewhat more than all of the writing can take: whatever becomes of the job, it ends."""
    generation = tx.config.generation
    n_writings = generation.attempts * len(tx.config.arms) + bool(generation.fallback)
    return tx.config.timings_seconds.generation * (n_writings + 1) + 60


def _generating(tx: Transaction, group: GroupRow, _active: list[ParticipantRow]) -> bool:
    job = tx.db.scalars(select(JobRow).where(JobRow.round_id == group.round_id)).one()
    sentence = minority.of(tx.db, tx.db.get_one(RoundRow, group.round_id))
    if sentence is not None and sentence.why == "deleted":
        job.status, job.claim, job.finished_at = "done", None, tx.now
        _show_result(tx, group)
        return True
    if job.status in ("queued", "running"):
        if tx.now < group.deadline or _is_put_off(tx, group, job):
            return False
        job.status, job.claim, job.finished_at = "failed", None, tx.now
        job.error = job.error or "the stage's deadline passed"
        tx.log("generation given up", group=group)
        hold(tx, group)
        tx.touch(group)
    if job.status == "failed" and tx.study.kind == "quick":
        return False  # somebody is there, who tries again, takes another model or goes on without
    if job.status == "failed" and tx.now < group.deadline:
        return False  # held for a researcher, who may do the same
    if job.status == "failed":
        _go_on_without(tx, group)
    else:
        rounds.begin_stage(tx, group, "statement_check", tx.config.timings_seconds.moderation)
    return True


def _is_put_off(tx: Transaction, group: GroupRow, job: JobRow) -> bool:
    """Whether the deadline for the writing is put off, since that begins when a worker takes the
    job: what waits behind other groups' jobs is not late.
    """
    seconds = _generation_seconds(tx)
    if job.status == "queued":
        until = tx.now + seconds if is_writing(tx.db, tx.study.id, tx.now) else 0.0
    else:
        until = (job.started_at or 0.0) + seconds
    if until <= tx.now:
        return False
    group.deadline = until
    tx.touch(group)
    return True


def is_writing(db: Session, study_id: int, now: float) -> bool:
    """Whether a worker holds one of the study's jobs."""
    held = (
        select(JobRow.id)
        .join(RoundRow, JobRow.round_id == RoundRow.id)
        .join(GroupRow, RoundRow.group_id == GroupRow.id)
        .where(GroupRow.study_id == study_id, JobRow.status == "running", JobRow.lease_until > now)
    )
    return db.scalars(held.limit(1)).first() is not None


def _statement_check(tx: Transaction, group: GroupRow, active: list[ParticipantRow]) -> bool:
    sentence = minority.of(tx.db, tx.db.get_one(RoundRow, group.round_id))
    if sentence is not None:
        if sentence.screening == "held" and tx.now < group.deadline:
            return False
        _show_result(tx, group)
        return True
    picked = list(
        tx.db.scalars(
            select(StatementRow)
            .where(StatementRow.round_id == group.round_id, StatementRow.pick.is_not(None))
            .order_by(StatementRow.pick)
        )
    )
    if any(each.screening == "held" for each in picked) and tx.now < group.deadline:
        return False
    shown = [each for each in picked if each.screening in ("clear", "approved")]
    if all(each.same_as_id is not None for each in shown):  # nothing, or nothing new
        _result(tx, group)
        return True
    for each in shown:
        each.shown = True
    passes = tx.config.rounds.passes
    seconds = tx.config.timings_seconds.rating * len(shown) * passes
    rounds.begin_stage(tx, group, "rating", seconds)
    row = tx.db.get_one(RoundRow, group.round_id)
    authors = authors_of(tx.db, row.id)
    for person in active:
        rng = np.random.default_rng([row.seed, person.id])
        # Nobody rates what they wrote themselves.
        theirs = [each for each in shown if authors.get(each.id) != person.id]
        for pass_index in range(passes):
            for place, index in enumerate(rng.permutation(len(theirs))):
                tx.db.add(
                    PresentationRow(
                        round_id=group.round_id,
                        participant_id=person.id,
                        statement_id=theirs[index].id,
                        pass_index=pass_index,
                        place=place,
                        written_at=tx.now,
                    )
                )
    return True


def _rating(tx: Transaction, group: GroupRow, active: list[ParticipantRow]) -> bool:
    unrated = rounds.still_rating(tx, group)
    late = [person for person in active if person.id in unrated]
    if late and tx.now < group.deadline:
        return False
    if tx.config.group.late == "release":
        _release_late(tx, late)
    _result(tx, group)
    return True


def _result_step(tx: Transaction, group: GroupRow, active: list[ParticipantRow]) -> bool:
    left = set(
        tx.db.scalars(
            select(MemberRow.participant_id).where(
                MemberRow.round_id == group.round_id, MemberRow.result_left_at.is_not(None)
            )
        )
    )
    if tx.now < group.deadline and not all(person.id in left for person in active):
        return False
    for person in active:
        person.n_rounds_completed += 1
        if person.n_rounds_completed >= tx.config.rounds.count:
            rounds.end(tx, person, "complete")
    remaining = rounds.active(tx, group)
    if not remaining:
        rounds.begin_stage(tx, group, "finished", 0)
    elif len(remaining) < tx.config.group.minimum or not rounds.fresh_questions(tx, remaining):
        _dissolve(tx, group, remaining)
    else:
        rounds.next_round(tx, group)
    return True


_STEPS: dict[str, Callable[[Transaction, GroupRow, list[ParticipantRow]], bool]] = {
    "opinions": _opinions,
    "opinion_check": _opinion_check,
    "critique": _critique,
    "critique_check": _critique_check,
    "generating": _generating,
    "statement_check": _statement_check,
    "rating": _rating,
    "result": _result_step,
}


# ----------------------------------------------------------------------------------- the pieces


def _result(tx: Transaction, group: GroupRow) -> None:
    """Chooses the statement, if there is one, and shows the result; or has it revised first."""
    row = tx.db.get_one(RoundRow, group.round_id)
    tx.db.flush()
    row.statement_id = choose_statement(tx.db, row, tx.config.rounds.welfare)
    row.result = freeze(tx.db, row, tx.config.rounds.welfare)
    if is_by_mean(tx.db, row, tx.config.rounds.welfare):
        rule = tx.config.rounds.welfare
        row.notes = [*row.notes, f"the mean decided, not {rule}: nobody rated every statement"]
    row.ended_at = tx.now
    if revisions.is_due(tx, group, row):
        revisions.begin(tx, group, row)
    elif minority.begin(tx, row):
        rounds.begin_stage(tx, group, "generating", _generation_seconds(tx))
    else:
        _show_result(tx, group)


def _show_result(tx: Transaction, group: GroupRow) -> None:
    rounds.begin_stage(tx, group, "result", tx.config.timings_seconds.result)


def _go_on_without(tx: Transaction, group: GroupRow) -> None:
    """Ends the round for which nothing could be written, or shows its result without that."""
    row = tx.db.get_one(RoundRow, group.round_id)
    if minority.of(tx.db, row) is None:
        _result(tx, group)
    else:
        minority.give_up(tx, row)
        _show_result(tx, group)


def _fall_short(tx: Transaction, group: GroupRow, people: list[ParticipantRow]) -> None:
    """Ends a group in which too few wrote. Who was left by others is to lose nothing by it: the
    question may be theirs again, and they wait in front of those who came later.
    """
    tx.db.get_one(RoundRow, group.round_id).fell_short = True
    tx.db.flush()
    _dissolve(tx, group, people)


def _dissolve(tx: Transaction, group: GroupRow, people: list[ParticipantRow]) -> None:
    """Ends the group: its people wait for another one, or are released with the partial code."""
    rounds.begin_stage(tx, group, "dissolved", 0)
    regroup = tx.config.group.shortfall == "regroup"
    for person in people:
        if regroup and rounds.fresh_questions(tx, [person]):
            person.group_id = None
            person.stage, person.stage_since = "lobby", tx.now
            tx.log("regrouped", group=group, person=person)
        else:
            rounds.end(tx, person, "partial")
    tx.touch(None)
    tx.db.flush()
    lobby.match(tx)


def _release_late(tx: Transaction, people: list[ParticipantRow]) -> None:
    for person in people:
        rounds.end(tx, person, "timed_out")
