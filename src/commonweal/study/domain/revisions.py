"""A round of critique: a round on the statement of the one before, which is written again.

People see the statement that their ratings chose and say what they would change, or nothing. From
that revisions are written; the statement stands among them as it was, and all are rated.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from commonweal.datasets.words import tokens
from commonweal.editing import MAX_CHARACTERS
from commonweal.study.config import MAX_REVISIONS
from commonweal.study.domain import rounds
from commonweal.study.storage.tables import Critique, Group, Member, Round, Statement
from commonweal.study.storage.tokens import new_public_id
from commonweal.study.storage.transaction import Turn

EDITED = "edited"
"""The policy of a version that the facilitator wrote by hand."""

USABLE = ("clear", "approved")
"""How the screen must have left a text that a prompt may hold."""


def is_due(turn: Turn, group: Group, row: Round) -> bool:
    """Whether the study asks what people would change, now that the round was rated."""
    enough = len(rounds.active(turn, group)) >= turn.config.group.minimum
    return row.revision < turn.config.rounds.revise and enough and can_begin(row)


def can_begin(row: Round) -> bool:
    """Whether there is a statement to revise, and it has not been revised too often."""
    return row.statement_id is not None and row.revision < MAX_REVISIONS


def begin(turn: Turn, group: Group, revised: Round) -> None:
    """Asks the group what it would change about the round's statement: a round of its own."""
    row = Round(
        public_id=new_public_id("r"),
        group_id=group.id,
        number=revised.number,
        revision=revised.revision + 1,
        revises_id=revised.id,
        first_id=revised.opinions_id,
        question_id=revised.question_id,
        question=revised.question,
        position=revised.position,
        seed=secrets.randbits(31),
        started_at=turn.now,
        notes=[],
        provenance={},
    )
    turn.db.add(row)
    turn.db.flush()
    group.round_id = row.id
    for person in rounds.active(turn, group):
        person.n_extensions = 0
        turn.db.add(Member(round_id=row.id, participant_id=person.id))
    rounds.begin_stage(turn, group, "critique", turn.config.timings_seconds.critique)


def edit(turn: Turn, group: Group, text: str, *, actor: str) -> str | None:
    """What is wrong with a version that was written by hand ("same", "too_long", "not_now"); None
    where it was taken, to be rated beside the others. A blank one takes the last away.
    """
    row = turn.db.get(Round, group.round_id) if group.round_id else None
    found = revised_by(turn.db, row) if row is not None and group.stage == "critique" else None
    if row is None or found is None:
        return "not_now"
    said = " ".join(text.split())
    if len(said) > MAX_CHARACTERS:
        return "too_long"
    if tokens(said) == tokens(found[1].text):
        return "same"
    row.edited = said
    turn.log("statement edited" if said else "edit taken back", actor=actor, group=group)
    turn.touch(group)
    return None


def has_work(db: Session, row: Round) -> bool:
    """Whether there is anything new to write or to rate: a critique, or a version by hand."""
    return bool(row.edited or said(db, row.id))


def answered(db: Session, round_id: int | None) -> set[int]:
    """The ids of those who said what they would change, or nothing."""
    return set(db.scalars(select(Critique.participant_id).where(Critique.round_id == round_id)))


def said(db: Session, round_id: int | None, screening: Sequence[str] = USABLE) -> list[Critique]:
    """The critiques that say something, as the screen left them, in no telling order."""
    found = db.scalars(
        select(Critique)
        .where(
            Critique.round_id == round_id, Critique.text != "", Critique.screening.in_(screening)
        )
        .order_by(Critique.id)
    )
    return list(found)


def revised_by(db: Session, row: Round) -> tuple[Round, Statement] | None:
    """The round before and its statement, of a revision; None of a first round, or where the
    statement is gone.
    """
    before = db.get(Round, row.revises_id) if row.revises_id else None
    statement = db.get(Statement, before.statement_id) if before and before.statement_id else None
    return (before, statement) if before is not None and statement is not None else None


def chain(db: Session, row: Round) -> list[Round]:
    """The rounds on the same question up to this one, the first round first."""
    found = [row]
    while found[0].revises_id is not None:
        found.insert(0, db.get_one(Round, found[0].revises_id))
    return found
