"""The pieces that groups are moved with: a round begins, a stage begins, a person's part ends."""

from __future__ import annotations

import secrets

import numpy as np
from sqlalchemy import bindparam, func, select

from commonweal.study.storage.tables import (
    Draft,
    Group,
    Member,
    Opinion,
    Participant,
    Presentation,
    Rating,
    Round,
)
from commonweal.study.storage.tokens import new_public_id
from commonweal.study.storage.transaction import Turn

POSITION_PASS = -1
"""``pass_index`` of the position statement's presentation."""

_ACTIVE = (
    select(Participant)
    .where(Participant.group_id == bindparam("group"), Participant.outcome.is_(None))
    .order_by(Participant.seat)
)
_STILL_RATING = (
    select(Presentation.participant_id)
    .distinct()
    .outerjoin(Rating)
    .where(
        Presentation.round_id == bindparam("round"),
        Presentation.pass_index >= 0,
        Rating.presentation_id.is_(None),
    )
)


def next_round(turn: Turn, group: Group) -> None:
    """Begins the group's next round, on a question that nobody in it has had."""
    people = active(turn, group)
    fresh = fresh_questions(turn, people)
    # What nobody has seen comes before what somebody wrote on in a group that fell short.
    seen = {question for _, question in questions_had(turn, people, also_short=True)}
    fresh = [each for each in fresh if each not in seen] or fresh
    seed = secrets.randbits(31)
    chosen = fresh[0]
    if turn.config.rounds.order == "random":
        chosen = fresh[int(np.random.default_rng(seed).integers(len(fresh)))]
    question = turn.config.question(chosen)
    firsts = Round.group_id == group.id, Round.revises_id.is_(None)
    n_before = turn.db.scalar(select(func.count(Round.id)).where(*firsts)) or 0
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
        enter(turn, row, person)
        if chosen in seen and (text := _written_before(turn, person, chosen)):
            turn.db.add(
                Draft(round_id=row.id, participant_id=person.id, text=text, saved_at=turn.now)
            )
    begin_stage(turn, group, "opinions", turn.config.timings_seconds.opinion)


def enter(turn: Turn, row: Round, person: Participant) -> None:
    """Puts a person of the group into its round, at the beginning of it."""
    person.n_rounds_entered += 1
    person.n_extensions = 0
    turn.db.add(Member(round_id=row.id, participant_id=person.id))
    if row.position:
        turn.db.add(
            Presentation(
                round_id=row.id,
                participant_id=person.id,
                pass_index=POSITION_PASS,
                place=0,
                written_at=turn.now,
            )
        )


def fresh_questions(turn: Turn, people: list[Participant]) -> list[str]:
    """The questions that none of these people has had, in the order of the study."""
    had = {question for _, question in questions_had(turn, people)}
    return [question.key for question in turn.config.questions if question.key not in had]


def questions_had(
    turn: Turn, people: list[Participant], *, also_short: bool = False
) -> set[tuple[int, str]]:
    """(Participant id, question id) of every question that one of these people has had.

    Those of groups that fell short only with ``also_short``: two who fill a group and leave would
    use up a question of whoever stays.
    """
    found = select(Member.participant_id, Round.question_id).join(Round)
    found = found.where(Member.participant_id.in_([person.id for person in people]))
    if not also_short:
        found = found.where(Round.fell_short.is_(False))
    return {(person, question) for person, question in turn.db.execute(found)}


def _written_before(turn: Turn, person: Participant, question: str) -> str:
    """What the person wrote on this question before, in a group that fell short; or began to."""
    for table in (Opinion, Draft):
        found = turn.db.scalars(
            select(table.text)
            .join(Round, table.round_id == Round.id)
            .where(table.participant_id == person.id, Round.question_id == question)
            .order_by(Round.id.desc())
        ).first()
        if found:
            return found
    return ""


def end(turn: Turn, person: Participant, outcome: str, *, actor: str = "machine") -> None:
    """Ends a person's part. Their group is not moved: the caller does that.

    Whoever leaves, or is late, with a round behind them did a part: the outcome is "partial".
    """
    if outcome in ("left", "timed_out") and person.n_rounds_completed:
        outcome = "partial"
    person.outcome, person.ended_at = outcome, turn.now
    group = turn.db.get(Group, person.group_id) if person.group_id else None
    turn.log("ended", actor=actor, group=group, person=person, outcome=outcome)
    turn.touch(group)
    turn.db.flush()


def active(turn: Turn, group: Group) -> list[Participant]:
    """Who is in the group and takes part, by seat."""
    return list(turn.db.scalars(_ACTIVE, {"group": group.id}))


def still_rating(turn: Turn, group: Group) -> set[int]:
    """The ids of those who have a statement of the group's round to rate, gone or not."""
    return set(turn.db.scalars(_STILL_RATING, {"round": group.round_id}))


def begin_stage(turn: Turn, group: Group, stage: str, seconds: float) -> None:
    """Puts the group into a stage that ends after so many seconds."""
    group.stage, group.stage_since, group.deadline = stage, turn.now, turn.now + seconds
    turn.log("stage", group=group, stage=stage)
    turn.touch(group)
