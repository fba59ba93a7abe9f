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

from commonweal.study.domain import lobby, minority, revisions, rounds
from commonweal.study.domain.faults import Faults
from commonweal.study.domain.results import choose_statement, freeze
from commonweal.study.domain.shared import authors_of
from commonweal.study.storage.tables import (
    Group,
    Job,
    Member,
    Opinion,
    Participant,
    Presentation,
    Round,
    Statement,
)
from commonweal.study.storage.transaction import Turn

_faults = Faults()
ENDED = ("finished", "dissolved")
EXTENDABLE = ("opinions", "critique", "rating", "result")


def advance(turn: Turn, group: Group) -> None:
    """Moves the group as far as it can go now.

    Called on every submission, leaving, removal, reconnection, finished job, and by the sweep.
    """
    turn.db.flush()
    while group.paused_at is None and group.stage not in ENDED:
        active = rounds.active(turn, group)
        if not active:
            rounds.begin_stage(turn, group, "finished", 0)
        elif not _STEPS[group.stage](turn, group, active):
            return
        turn.db.flush()


def sweep(turn: Turn) -> None:
    """Moves everything whose time has come: groups, the waiting room, people who never began."""
    entry = turn.config.timings_seconds.entry
    for person in turn.db.scalars(
        select(Participant).where(
            Participant.study_id == turn.study.id,
            Participant.outcome.is_(None),
            Participant.stage.in_(("consent", "instructions", "check")),
            Participant.stage_since <= turn.now - entry,
            Participant.consented_at.is_not(None),
        )
    ):
        rounds.end(turn, person, "timed_out")
    due = turn.db.scalars(
        select(Group).where(
            Group.study_id == turn.study.id,
            Group.stage.not_in(ENDED),
            Group.paused_at.is_(None),
            Group.deadline <= turn.now,
        )
    ).all()
    for group in due:
        # A group that cannot be moved must not hold the others up.
        try:
            with turn.db.begin_nested():
                advance(turn, group)
        except Exception as error:
            _faults.tell(f"the sweep goes on without the group {group.public_id}", error)
    lobby.match(turn)


def pause(turn: Turn, group: Group, *, actor: str) -> None:
    """Stops the group's clock: people go on with what they are doing, and no stage ends."""
    if group.paused_at is None and group.stage not in ENDED:
        group.paused_at = turn.now
        turn.log("paused", actor=actor, group=group)
        turn.touch(group)


def resume(turn: Turn, group: Group, *, actor: str) -> None:
    """Lets the group's clock go on, with as much time left as there was."""
    if group.paused_at is not None:
        group.deadline += max(turn.now - group.paused_at, 0.0)
        group.paused_at = None
        turn.log("resumed", actor=actor, group=group)
        turn.touch(group)
        advance(turn, group)


def close(turn: Turn, group: Group, *, actor: str) -> None:
    """Ends the stage that the group is in, as if its time were over, and none after it.

    A paused clock goes on with the next stage. It must not be let go on first: where everybody was
    done the group would then move by itself, and the next stage would be the one that is ended.
    """
    turn.log("stage closed", actor=actor, group=group, stage=group.stage)
    group.paused_at = None
    group.deadline = turn.now
    advance(turn, group)


def hold(turn: Turn, group: Group) -> None:
    """Lets a study's group for which nothing could be written wait for a researcher."""
    if turn.study.kind != "quick":
        group.deadline = turn.now + turn.config.generation.hold_seconds


def why_held(turn: Turn, group: Group) -> str:
    """Why nothing could be written for the round that waits for it; "" where it is under way."""
    if group.stage != "generating":
        return ""
    job = turn.db.scalars(select(Job).where(Job.round_id == group.round_id)).one()
    return (job.error or "no reason was given") if job.status == "failed" else ""


def write_again(turn: Turn, group: Group, *, actor: str) -> bool:
    """Whether writing that was given up is tried once more, with other chances."""
    job = turn.db.scalars(select(Job).where(Job.round_id == group.round_id)).one_or_none()
    if group.stage != "generating" or job is None or job.status != "failed":
        return False
    job.status, job.claim, job.error, job.finished_at = "queued", None, "", None
    group.deadline = turn.now + _generation_seconds(turn)
    turn.has_job = True
    turn.log("writing again", actor=actor, group=group)
    turn.touch(group)
    return True


def go_on_without(turn: Turn, group: Group, *, actor: str) -> bool:
    """Whether a round for which nothing could be written is ended without a statement."""
    job = turn.db.scalars(select(Job).where(Job.round_id == group.round_id)).one_or_none()
    if group.stage != "generating" or job is None or job.status != "failed":
        return False
    turn.log("went on without statements", actor=actor, group=group)
    _go_on_without(turn, group)
    return True


def revise(turn: Turn, group: Group, *, actor: str) -> bool:
    """Whether the group that reads its result is asked what it would change about the statement."""
    row = turn.db.get(Round, group.round_id)
    if group.stage != "result" or row is None or not revisions.can_begin(row):
        return False
    turn.log("asked for critiques", actor=actor, group=group)
    group.paused_at = None
    revisions.begin(turn, group, row)
    return True


# --------------------------------------------------------------------------------- the steps


def _opinions(turn: Turn, group: Group, active: list[Participant]) -> bool:
    written = set(
        turn.db.scalars(select(Opinion.participant_id).where(Opinion.round_id == group.round_id))
    )
    done = [person for person in active if person.id in written]
    is_over = turn.now >= group.deadline
    keeps = turn.config.group.late == "keep"
    # Fewer than the minimum can only become fewer still: there is nothing to wait for.
    if len(active) < turn.config.group.minimum:
        _fall_short(turn, group, active)
    elif len(done) == len(active) or (is_over and len(done) >= turn.config.group.minimum):
        if not keeps:
            _release_late(turn, [person for person in active if person.id not in written])
        rounds.begin_stage(turn, group, "opinion_check", turn.config.timings_seconds.moderation)
    elif is_over:
        if not keeps:
            _release_late(turn, [person for person in active if person.id not in written])
        _fall_short(turn, group, done if not keeps else active)
    else:
        return False
    return True


def _opinion_check(turn: Turn, group: Group, _active: list[Participant]) -> bool:
    held = turn.db.scalars(
        select(Opinion.id).where(Opinion.round_id == group.round_id, Opinion.screening == "held")
    ).first()
    if held is not None and turn.now < group.deadline:
        return False
    _write(turn, group)
    return True


def _critique(turn: Turn, group: Group, active: list[Participant]) -> bool:
    answered = revisions.answered(turn.db, group.round_id)
    late = [person for person in active if person.id not in answered]
    if late and turn.now < group.deadline:
        return False
    if turn.config.group.late == "release":
        _release_late(turn, late)
    rounds.begin_stage(turn, group, "critique_check", turn.config.timings_seconds.moderation)
    return True


def _critique_check(turn: Turn, group: Group, _active: list[Participant]) -> bool:
    held = revisions.said(turn.db, group.round_id, ["held"])
    if held and turn.now < group.deadline:
        return False
    if revisions.has_work(turn.db, turn.db.get_one(Round, group.round_id)):
        _write(turn, group)
    else:  # nobody would change anything, or nothing that may be used: the statement stands
        _result(turn, group)
    return True


def _write(turn: Turn, group: Group) -> None:
    rounds.begin_stage(turn, group, "generating", _generation_seconds(turn))
    turn.db.add(Job(round_id=group.round_id, status="queued", created_at=turn.now))
    turn.has_job = True


def _generation_seconds(turn: Turn) -> float:
    """Somewhat more than all of the writing can take: whatever becomes of the job, it ends."""
    generation = turn.config.generation
    n_writings = generation.attempts * len(turn.config.arms) + bool(generation.fallback)
    return turn.config.timings_seconds.generation * (n_writings + 1) + 60


def _generating(turn: Turn, group: Group, _active: list[Participant]) -> bool:
    job = turn.db.scalars(select(Job).where(Job.round_id == group.round_id)).one()
    sentence = minority.of(turn.db, turn.db.get_one(Round, group.round_id))
    if sentence is not None and sentence.why == "deleted":
        job.status, job.claim, job.finished_at = "done", None, turn.now
        _show_result(turn, group)
        return True
    if job.status in ("queued", "running"):
        if turn.now < group.deadline:
            return False
        job.status, job.claim, job.finished_at = "failed", None, turn.now
        job.error = job.error or "the stage's deadline passed"
        turn.log("generation given up", group=group)
        hold(turn, group)
        turn.touch(group)
    if job.status == "failed" and turn.study.kind == "quick":
        return False  # somebody is there, who tries again, takes another model or goes on without
    if job.status == "failed" and turn.now < group.deadline:
        return False  # held for a researcher, who may do the same
    if job.status == "failed":
        _go_on_without(turn, group)
    else:
        rounds.begin_stage(turn, group, "statement_check", turn.config.timings_seconds.moderation)
    return True


def _statement_check(turn: Turn, group: Group, active: list[Participant]) -> bool:
    sentence = minority.of(turn.db, turn.db.get_one(Round, group.round_id))
    if sentence is not None:
        if sentence.screening == "held" and turn.now < group.deadline:
            return False
        _show_result(turn, group)
        return True
    picked = list(
        turn.db.scalars(
            select(Statement)
            .where(Statement.round_id == group.round_id, Statement.pick.is_not(None))
            .order_by(Statement.pick)
        )
    )
    if any(each.screening == "held" for each in picked) and turn.now < group.deadline:
        return False
    shown = [each for each in picked if each.screening in ("clear", "approved")]
    if all(each.same_as_id is not None for each in shown):  # nothing, or nothing new
        _result(turn, group)
        return True
    for each in shown:
        each.shown = True
    passes = turn.config.rounds.passes
    seconds = turn.config.timings_seconds.rating * len(shown) * passes
    rounds.begin_stage(turn, group, "rating", seconds)
    row = turn.db.get_one(Round, group.round_id)
    authors = authors_of(turn.db, row.id)
    for person in active:
        rng = np.random.default_rng([row.seed, person.id])
        # Nobody rates what they wrote themselves.
        theirs = [each for each in shown if authors.get(each.id) != person.id]
        for pass_index in range(passes):
            for place, index in enumerate(rng.permutation(len(theirs))):
                turn.db.add(
                    Presentation(
                        round_id=group.round_id,
                        participant_id=person.id,
                        statement_id=theirs[index].id,
                        pass_index=pass_index,
                        place=place,
                        written_at=turn.now,
                    )
                )
    return True


def _rating(turn: Turn, group: Group, active: list[Participant]) -> bool:
    unrated = rounds.still_rating(turn, group)
    late = [person for person in active if person.id in unrated]
    if late and turn.now < group.deadline:
        return False
    if turn.config.group.late == "release":
        _release_late(turn, late)
    _result(turn, group)
    return True


def _result_step(turn: Turn, group: Group, active: list[Participant]) -> bool:
    left = set(
        turn.db.scalars(
            select(Member.participant_id).where(
                Member.round_id == group.round_id, Member.result_left_at.is_not(None)
            )
        )
    )
    if turn.now < group.deadline and not all(person.id in left for person in active):
        return False
    for person in active:
        person.n_rounds_completed += 1
        if person.n_rounds_completed >= turn.config.rounds.count:
            rounds.end(turn, person, "complete")
    remaining = rounds.active(turn, group)
    if not remaining:
        rounds.begin_stage(turn, group, "finished", 0)
    elif len(remaining) < turn.config.group.minimum or not rounds.fresh_questions(turn, remaining):
        _dissolve(turn, group, remaining)
    else:
        rounds.next_round(turn, group)
    return True


_STEPS: dict[str, Callable[[Turn, Group, list[Participant]], bool]] = {
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


def _result(turn: Turn, group: Group) -> None:
    """Chooses the statement, if there is one, and shows the result; or has it revised first."""
    row = turn.db.get_one(Round, group.round_id)
    turn.db.flush()
    row.statement_id = choose_statement(turn.db, row, turn.config.rounds.welfare)
    row.result = freeze(turn.db, row, turn.config.rounds.welfare)
    row.ended_at = turn.now
    if revisions.is_due(turn, group, row):
        revisions.begin(turn, group, row)
    elif minority.begin(turn, row):
        rounds.begin_stage(turn, group, "generating", _generation_seconds(turn))
    else:
        _show_result(turn, group)


def _show_result(turn: Turn, group: Group) -> None:
    rounds.begin_stage(turn, group, "result", turn.config.timings_seconds.result)


def _go_on_without(turn: Turn, group: Group) -> None:
    """Ends the round for which nothing could be written, or shows its result without that."""
    row = turn.db.get_one(Round, group.round_id)
    if minority.of(turn.db, row) is None:
        _result(turn, group)
    else:
        minority.give_up(turn, row)
        _show_result(turn, group)


def _fall_short(turn: Turn, group: Group, people: list[Participant]) -> None:
    """Ends a group in which too few wrote. Who was left by others is to lose nothing by it: the
    question may be theirs again, and they wait in front of those who came later.
    """
    turn.db.get_one(Round, group.round_id).fell_short = True
    turn.db.flush()
    _dissolve(turn, group, people)


def _dissolve(turn: Turn, group: Group, people: list[Participant]) -> None:
    """Ends the group: its people wait for another one, or are released with the partial code."""
    rounds.begin_stage(turn, group, "dissolved", 0)
    regroup = turn.config.group.shortfall == "regroup"
    for person in people:
        if regroup and rounds.fresh_questions(turn, [person]):
            person.group_id = None
            person.stage, person.stage_since = "lobby", turn.now
            turn.log("regrouped", group=group, person=person)
        else:
            rounds.end(turn, person, "partial")
    turn.touch(None)
    turn.db.flush()
    lobby.match(turn)


def _release_late(turn: Turn, people: list[Participant]) -> None:
    for person in people:
        rounds.end(turn, person, "timed_out")
