"""How a group moves: one function, ``advance``, called on everything that happens.

Stages of a round, each with a deadline:

    opinions          everybody rates the position statement and writes an opinion
    opinion_check     a person looks at opinions that the screen has held
    generating        a job writes the statements
    statement_check   a person looks at statements that the screen has held
    rating            everybody rates every statement, in two passes
    result            everybody reads how the group rated

then the next round, or ``finished``; ``dissolved`` where too few were left. What is written here
happens in the caller's transaction, and only there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import numpy as np
from sqlalchemy import func, select

from commonweal.study.results import choose_statement
from commonweal.study.store import Turn, new_public_id
from commonweal.study.tables import (
    Group,
    Job,
    Member,
    Opinion,
    Participant,
    Presentation,
    Rating,
    Round,
    Statement,
)

ENDED = ("finished", "dissolved")
EXTENDABLE = ("opinions", "rating", "result")
PRESENT_SECONDS = 90
"""Whoever was seen no longer ago than this is there: only they are put into a new group."""
POSITION_PASS = -1
"""``pass_index`` of the position statement's presentation."""


def advance(turn: Turn, group: Group) -> None:
    """Moves the group as far as it can go now.

    Called on every submission, leaving, removal, reconnection, finished job, and by the sweep.
    """
    turn.db.flush()
    while group.paused_at is None and group.stage not in ENDED:
        if not _active(turn, group):
            _stage(turn, group, "finished", 0)
        elif not _STEPS[group.stage](turn, group):
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
        end(turn, person, "timed_out")
    for group in turn.db.scalars(
        select(Group).where(
            Group.study_id == turn.study.id,
            Group.stage.not_in(ENDED),
            Group.paused_at.is_(None),
            Group.deadline <= turn.now,
        )
    ):
        advance(turn, group)
    match(turn)


def pause(turn: Turn, group: Group, *, actor: str) -> None:
    """Stops the group's clock."""
    if group.paused_at is None and group.stage not in ENDED:
        group.paused_at = turn.now
        turn.log("paused", actor=actor, group=group)
        turn.touch(group)


def resume(turn: Turn, group: Group, *, actor: str) -> None:
    """Lets the group's clock go on, with as much time left as there was."""
    if group.paused_at is not None:
        group.deadline += turn.now - group.paused_at
        group.paused_at = None
        turn.log("resumed", actor=actor, group=group)
        turn.touch(group)
        advance(turn, group)


# -------------------------------------------------------------------------------- the waiting room


def enter_lobby(turn: Turn, person: Participant) -> None:
    """Puts the person into the waiting room, and makes a group where there are enough."""
    person.group_id = None
    person.stage, person.stage_since = "lobby", turn.now
    turn.touch(None)
    turn.db.flush()
    match(turn)


def match(turn: Turn) -> None:
    """Makes groups of the people who wait, first come first; releases those whose time is up.

    At somebody's deadline a smaller group will do, down to the study's minimum.
    """
    settings = turn.config.group
    if settings.start == "facilitator":
        _release_lobby(turn)
        return
    while len(there := _there(turn)) >= settings.size:
        if not _found_group(turn, there[: settings.size]):
            break
    expired = turn.now - turn.config.timings_seconds.lobby
    if any(person.stage_since <= expired for person in there) and len(there) >= settings.minimum:
        _found_group(turn, there[: settings.size])
    _release_lobby(turn)


def start_by_facilitator(turn: Turn) -> bool:
    """Whether a group of everybody who waits was made, up to the study's size."""
    waiting = _waiting(turn)[: turn.config.group.size]
    return len(waiting) >= turn.config.group.minimum and _found_group(turn, waiting)


def _waiting(turn: Turn) -> list[Participant]:
    return list(
        turn.db.scalars(
            select(Participant)
            .where(
                Participant.study_id == turn.study.id,
                Participant.stage == "lobby",
                Participant.outcome.is_(None),
            )
            .order_by(Participant.stage_since, Participant.id)
        )
    )


def _there(turn: Turn) -> list[Participant]:
    """Those who wait and have the page open: somebody who is gone would hold a group up."""
    return [
        person for person in _waiting(turn) if person.last_seen_at >= turn.now - PRESENT_SECONDS
    ]


def _release_lobby(turn: Turn) -> None:
    for person in _waiting(turn):
        if person.stage_since <= turn.now - turn.config.timings_seconds.lobby:
            end(turn, person, "partial" if person.n_rounds_completed else "no_group")


def _found_group(turn: Turn, people: list[Participant]) -> bool:
    """Whether a group was made: there must be a question that none of them has had."""
    if not _fresh_questions(turn, people):
        return False
    group = Group(
        study_id=turn.study.id,
        public_id=new_public_id("g"),
        stage="forming",
        stage_since=turn.now,
        deadline=turn.now,
        created_at=turn.now,
    )
    turn.db.add(group)
    turn.db.flush()
    for seat, person in enumerate(people, start=1):
        person.group_id, person.seat = group.id, seat
        person.stage, person.stage_since = "group", turn.now
        person.n_extensions = 0
    turn.log("group formed", group=group, n_people=len(people))
    turn.touch(None)
    turn.db.flush()
    _next_round(turn, group)
    return True


def _fresh_questions(turn: Turn, people: list[Participant]) -> list[str]:
    had = set(
        turn.db.scalars(
            select(Round.question_id)
            .join(Member, Member.round_id == Round.id)
            .where(Member.participant_id.in_([person.id for person in people]))
        )
    )
    return [question.key for question in turn.config.questions if question.key not in had]


# --------------------------------------------------------------------------------- the steps


def _opinions(turn: Turn, group: Group) -> bool:
    active = _active(turn, group)
    written = set(
        turn.db.scalars(select(Opinion.participant_id).where(Opinion.round_id == group.round_id))
    )
    done = [person for person in active if person.id in written]
    is_over = turn.now >= group.deadline
    keeps = turn.config.group.late == "keep"
    # Fewer than the minimum can only become fewer still: there is nothing to wait for.
    if len(active) < turn.config.group.minimum:
        _dissolve(turn, group, active)
    elif len(done) == len(active) or (is_over and len(done) >= turn.config.group.minimum):
        if not keeps:
            _release_late(turn, [person for person in active if person.id not in written])
        _stage(turn, group, "opinion_check", turn.config.timings_seconds.moderation)
    elif is_over:
        if not keeps:
            _release_late(turn, [person for person in active if person.id not in written])
        _dissolve(turn, group, done if not keeps else active)
    else:
        return False
    return True


def _opinion_check(turn: Turn, group: Group) -> bool:
    held = turn.db.scalars(
        select(Opinion.id).where(Opinion.round_id == group.round_id, Opinion.screening == "held")
    ).first()
    if held is not None and turn.now < group.deadline:
        return False
    timings = turn.config.timings_seconds
    generation = turn.config.generation
    n_writings = generation.attempts * len(turn.config.arms) + bool(generation.fallback)
    # Somewhat more than all of it can take: whatever becomes of the job, this stage ends.
    _stage(turn, group, "generating", timings.generation * (n_writings + 1) + 60)
    turn.db.add(Job(round_id=group.round_id, status="queued", created_at=turn.now))
    return True


def _generating(turn: Turn, group: Group) -> bool:
    job = turn.db.scalars(select(Job).where(Job.round_id == group.round_id)).one()
    if job.status in ("queued", "running"):
        if turn.now < group.deadline:
            return False
        job.status, job.claim, job.finished_at = "failed", None, turn.now
        job.error = job.error or "the stage's deadline passed"
        turn.log("generation given up", group=group, error=job.error)
    if job.status == "failed":
        _result(turn, group)
    else:
        _stage(turn, group, "statement_check", turn.config.timings_seconds.moderation)
    return True


def _statement_check(turn: Turn, group: Group) -> bool:
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
    for each in shown:
        each.shown = True
    if not shown:
        _result(turn, group)
        return True
    passes = turn.config.rounds.passes
    seconds = turn.config.timings_seconds.rating * len(shown) * passes
    _stage(turn, group, "rating", seconds)
    seed = turn.db.get_one(Round, group.round_id).seed
    for person in _active(turn, group):
        rng = np.random.default_rng([seed, person.id])
        for pass_index in range(passes):
            for place, index in enumerate(rng.permutation(len(shown))):
                turn.db.add(
                    Presentation(
                        round_id=group.round_id,
                        participant_id=person.id,
                        statement_id=shown[index].id,
                        pass_index=pass_index,
                        place=place,
                        written_at=turn.now,
                    )
                )
    return True


def _rating(turn: Turn, group: Group) -> bool:
    unrated = set(
        turn.db.scalars(
            select(Presentation.participant_id)
            .outerjoin(Rating)
            .where(
                Presentation.round_id == group.round_id,
                Presentation.pass_index >= 0,
                Rating.presentation_id.is_(None),
            )
        )
    )
    late = [person for person in _active(turn, group) if person.id in unrated]
    if late and turn.now < group.deadline:
        return False
    if turn.config.group.late == "release":
        _release_late(turn, late)
    _result(turn, group)
    return True


def _result_step(turn: Turn, group: Group) -> bool:
    left = set(
        turn.db.scalars(
            select(Member.participant_id).where(
                Member.round_id == group.round_id, Member.result_left_at.is_not(None)
            )
        )
    )
    active = _active(turn, group)
    if turn.now < group.deadline and not all(person.id in left for person in active):
        return False
    for person in active:
        person.n_rounds_completed += 1
        if person.n_rounds_completed >= turn.config.rounds.count:
            end(turn, person, "complete")
    remaining = _active(turn, group)
    if not remaining:
        _stage(turn, group, "finished", 0)
    elif len(remaining) < turn.config.group.minimum or not _fresh_questions(turn, remaining):
        _dissolve(turn, group, remaining)
    else:
        _next_round(turn, group)
    return True


_STEPS: dict[str, Callable[[Turn, Group], bool]] = {
    "opinions": _opinions,
    "opinion_check": _opinion_check,
    "generating": _generating,
    "statement_check": _statement_check,
    "rating": _rating,
    "result": _result_step,
}


# ----------------------------------------------------------------------------------- the pieces


def _next_round(turn: Turn, group: Group) -> None:
    people = _active(turn, group)
    fresh = _fresh_questions(turn, people)
    seed = secrets.randbits(31)
    chosen = fresh[0]
    if turn.config.rounds.order == "random":
        chosen = fresh[int(np.random.default_rng(seed).integers(len(fresh)))]
    question = turn.config.question(chosen)
    n_before = turn.db.scalar(select(func.count(Round.id)).where(Round.group_id == group.id)) or 0
    row = Round(
        public_id=new_public_id("r"),
        group_id=group.id,
        number=n_before + 1,
        question_id=chosen,
        question=question.text,
        position=question.position,
        seed=seed,
        started_at=turn.now,
        notes=[],
        provenance={},
    )
    turn.db.add(row)
    turn.db.flush()
    group.round_id = row.id
    for person in people:
        person.n_rounds_entered += 1
        person.n_extensions = 0
        turn.db.add(Member(round_id=row.id, participant_id=person.id))
        if question.position:
            turn.db.add(
                Presentation(
                    round_id=row.id,
                    participant_id=person.id,
                    pass_index=POSITION_PASS,
                    place=0,
                    written_at=turn.now,
                )
            )
    _stage(turn, group, "opinions", turn.config.timings_seconds.opinion)


def _result(turn: Turn, group: Group) -> None:
    """Chooses the statement, if there is one, and shows the result."""
    row = turn.db.get_one(Round, group.round_id)
    turn.db.flush()
    row.statement_id = choose_statement(turn.db, row, turn.config.rounds.welfare)
    row.ended_at = turn.now
    _stage(turn, group, "result", turn.config.timings_seconds.result)


def _dissolve(turn: Turn, group: Group, people: list[Participant]) -> None:
    """Ends the group: its people wait for another one, or are released with the partial code."""
    _stage(turn, group, "dissolved", 0)
    regroup = turn.config.group.shortfall == "regroup"
    for person in people:
        if regroup and _fresh_questions(turn, [person]):
            person.group_id = None
            person.stage, person.stage_since = "lobby", turn.now
            turn.log("regrouped", group=group, person=person)
        else:
            end(turn, person, "partial")
    turn.touch(None)
    turn.db.flush()
    match(turn)


def _release_late(turn: Turn, people: list[Participant]) -> None:
    for person in people:
        end(turn, person, "timed_out")


def end(turn: Turn, person: Participant, outcome: str, *, actor: str = "machine") -> None:
    """Ends a person's part. Their group is not moved: the caller does that."""
    person.outcome, person.ended_at = outcome, turn.now
    turn.log("ended", actor=actor, person=person, outcome=outcome)
    group = turn.db.get(Group, person.group_id) if person.group_id else None
    turn.touch(group)
    turn.db.flush()


def _active(turn: Turn, group: Group) -> list[Participant]:
    return list(
        turn.db.scalars(
            select(Participant)
            .where(Participant.group_id == group.id, Participant.outcome.is_(None))
            .order_by(Participant.seat)
        )
    )


def _stage(turn: Turn, group: Group, stage: str, seconds: float) -> None:
    group.stage, group.stage_since, group.deadline = stage, turn.now, turn.now + seconds
    turn.log("stage", group=group, stage=stage)
    turn.touch(group)
