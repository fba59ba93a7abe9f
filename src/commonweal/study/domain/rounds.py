"""The pieces that groups are moved with: a round begins, a stage begins, a person's part ends."""

from __future__ import annotations

import secrets

import numpy as np
from sqlalchemy import bindparam, func, select

from commonweal.study.storage.tables import (
    DraftRow,
    GroupRow,
    MemberRow,
    OpinionRow,
    ParticipantRow,
    PresentationRow,
    RatingRow,
    RoundRow,
)
from commonweal.study.storage.tokens import new_public_id
from commonweal.study.storage.transaction import Transaction

POSITION_PASS = -1
"""``pass_index`` of the position statement's presentation."""

_ACTIVE = (
    select(ParticipantRow)
    .where(ParticipantRow.group_id == bindparam("group"), ParticipantRow.outcome.is_(None))
    .order_by(ParticipantRow.seat)
)
_STILL_RATING = (
    select(PresentationRow.participant_id)
    .distinct()
    .outerjoin(RatingRow)
    .where(
        PresentationRow.round_id == bindparam("round"),
        PresentationRow.pass_index >= 0,
        RatingRow.presentation_id.is_(None),
    )
)


def next_round(tx: Transaction, group: GroupRow) -> None:
    """Begins the group's next round, on a question that nobody in it has had."""
    people = active(tx, group)
    fresh = fresh_questions(tx, people)
    # What nobody has seen comes before what somebody wrote on in a group that fell short.
    seen = {question for _, question in questions_had(tx, people, also_short=True)}
    fresh = [each for each in fresh if each not in seen] or fresh
    seed = secrets.randbits(31)
    chosen = fresh[0]
    if tx.config.rounds.order == "random":
        chosen = fresh[int(np.random.default_rng(seed).integers(len(fresh)))]
    question = tx.config.question(chosen)
    firsts = RoundRow.group_id == group.id, RoundRow.revises_id.is_(None)
    n_before = tx.db.scalar(select(func.count(RoundRow.id)).where(*firsts)) or 0
    row = RoundRow(
        public_id=new_public_id("r"),
        group_id=group.id,
        number=n_before + 1,
        question_id=chosen,
        question=question.text,
        position=question.position,
        seed=seed,
        started_at=tx.now,
        notes=[],
        provenance={},
    )
    tx.db.add(row)
    tx.db.flush()
    group.round_id = row.id
    for person in people:
        enter(tx, row, person)
        if chosen in seen and (text := _written_before(tx, person, chosen)):
            tx.db.add(
                DraftRow(round_id=row.id, participant_id=person.id, text=text, saved_at=tx.now)
            )
    begin_stage(tx, group, "opinions", tx.config.timings_seconds.opinion)


def enter(tx: Transaction, row: RoundRow, person: ParticipantRow) -> None:
    """Puts a person of the group into its round, at the beginning of it."""
    person.n_rounds_entered += 1
    person.n_extensions = 0
    tx.db.add(MemberRow(round_id=row.id, participant_id=person.id))
    if row.position:
        tx.db.add(
            PresentationRow(
                round_id=row.id,
                participant_id=person.id,
                pass_index=POSITION_PASS,
                place=0,
                written_at=tx.now,
            )
        )


def fresh_questions(tx: Transaction, people: list[ParticipantRow]) -> list[str]:
    """The questions that none of these people has had, in the order of the study."""
    had = {question for _, question in questions_had(tx, people)}
    return [question.key for question in tx.config.questions if question.key not in had]


def questions_had(
    tx: Transaction, people: list[ParticipantRow], *, also_short: bool = False
) -> set[tuple[int, str]]:
    """(Participant id, question id) of every question that one of these people has had.

    Those of groups that fell short only with ``also_short``: two who fill a group and leave would
    use up a question of whoever stays.
    """
    pairs = select(MemberRow.participant_id, RoundRow.question_id).join(RoundRow)
    pairs = pairs.where(MemberRow.participant_id.in_([person.id for person in people]))
    if not also_short:
        pairs = pairs.where(RoundRow.fell_short.is_(False))
    return {(person, question) for person, question in tx.db.execute(pairs)}


def _written_before(tx: Transaction, person: ParticipantRow, question: str) -> str:
    """What the person wrote on this question before, in a group that fell short; or began to."""
    for table in (OpinionRow, DraftRow):
        opinions = tx.db.scalars(
            select(table.text)
            .join(RoundRow, table.round_id == RoundRow.id)
            .where(table.participant_id == person.id, RoundRow.question_id == question)
            .order_by(RoundRow.id.desc())
        ).first()
        if opinions:
            return opinions
    return ""


def end(tx: Transaction, person: ParticipantRow, outcome: str, *, actor: str = "machine") -> None:
    """Ends a person's part. Their group is not moved: the caller does that.

    Whoever leaves, or is late, with a round behind them did a part: the outcome is "partial".
    """
    if outcome in ("left", "timed_out") and person.n_rounds_completed:
        outcome = "partial"
    person.outcome, person.ended_at = outcome, tx.now
    group = tx.db.get(GroupRow, person.group_id) if person.group_id else None
    tx.log("ended", actor=actor, group=group, person=person, outcome=outcome)
    tx.touch(group)
    tx.db.flush()


def active(tx: Transaction, group: GroupRow) -> list[ParticipantRow]:
    """Who is in the group and takes part, by seat."""
    return list(tx.db.scalars(_ACTIVE, {"group": group.id}))


def still_rating(tx: Transaction, group: GroupRow) -> set[int]:
    """The ids of those who have a statement of the group's round to rate, gone or not."""
    return set(tx.db.scalars(_STILL_RATING, {"round": group.round_id}))


def begin_stage(tx: Transaction, group: GroupRow, stage: str, seconds: float) -> None:
    """Puts the group into a stage that ends after so many seconds."""
    group.stage, group.stage_since, group.deadline = stage, tx.now, tx.now + seconds
    tx.log("stage", group=group, stage=stage)
    tx.touch(group)


def put_off(group: GroupRow, seconds: float, now: float) -> None:
    """Puts the group's deadline off; one that is over begins again now, or where the clock stands.

    A quick session waits beyond its deadline, and "more time" is to be time from when it is asked.
    """
    group.deadline = max(group.deadline, group.paused_at or now) + seconds
