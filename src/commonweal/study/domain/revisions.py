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
from commonweal.study.storage.tables import CritiqueRow, GroupRow, MemberRow, RoundRow, StatementRow
from commonweal.study.storage.tokens import new_public_id
from commonweal.study.storage.transaction import Transaction

EDITED = "edited"
"""The policy of a version that the facilitator wrote by hand."""

USABLE = ("clear", "approved")
"""How the screen must have left a text that a prompt may hold."""


def is_due(tx: Transaction, group: GroupRow, row: RoundRow) -> bool:
    """Whether the study asks what people would change, now that the round was rated."""
    enough = len(rounds.active(tx, group)) >= tx.config.group.minimum
    return row.revision < tx.config.rounds.revise and enough and can_begin(row)


def can_begin(row: RoundRow) -> bool:
    """Whether there is a statement to revise, and it has not been revised too often."""
    return row.statement_id is not None and row.revision < MAX_REVISIONS


def begin(tx: Transaction, group: GroupRow, revised: RoundRow) -> None:
    """Asks the group what it would change about the round's statement: a round of its own."""
    row = RoundRow(
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
        started_at=tx.now,
        notes=[],
        provenance={},
    )
    tx.db.add(row)
    tx.db.flush()
    group.round_id = row.id
    for person in rounds.active(tx, group):
        person.n_extensions = 0
        tx.db.add(MemberRow(round_id=row.id, participant_id=person.id))
    rounds.begin_stage(tx, group, "critique", tx.config.timings_seconds.critique)


def edit(tx: Transaction, group: GroupRow, text: str, *, actor: str) -> str | None:
    """What is wrong with a version that was written by hand ("same", "too_long", "not_now"); None
    where it was taken, to be rated beside the others. A blank one takes the last away.
    """
    row = tx.db.get(RoundRow, group.round_id) if group.round_id else None
    revised = revised_by(tx.db, row) if row is not None and group.stage == "critique" else None
    if row is None or revised is None:
        return "not_now"
    version = " ".join(text.split())
    if len(version) > MAX_CHARACTERS:
        return "too_long"
    if tokens(version) == tokens(revised[1].text):
        return "same"
    row.edited = version
    tx.log("statement edited" if version else "edit taken back", actor=actor, group=group)
    tx.touch(group)
    return None


def has_work(db: Session, row: RoundRow) -> bool:
    """Whether there is anything new to write or to rate: a critique, or a version by hand."""
    return bool(row.edited or critiques_of(db, row.id))


def answered(db: Session, round_id: int | None) -> set[int]:
    """The ids of those who said what they would change, or nothing."""
    return set(
        db.scalars(select(CritiqueRow.participant_id).where(CritiqueRow.round_id == round_id))
    )


def critiques_of(
    db: Session, round_id: int | None, screening: Sequence[str] = USABLE
) -> list[CritiqueRow]:
    """The critiques that say something, as the screen left them, in no telling order."""
    critiques = db.scalars(
        select(CritiqueRow)
        .where(
            CritiqueRow.round_id == round_id,
            CritiqueRow.text != "",
            CritiqueRow.screening.in_(screening),
        )
        .order_by(CritiqueRow.id)
    )
    return list(critiques)


def revised_by(db: Session, row: RoundRow) -> tuple[RoundRow, StatementRow] | None:
    """The round before and its statement, of a revision; None of a first round, or where the
    statement is gone.
    """
    before = db.get(RoundRow, row.revises_id) if row.revises_id else None
    statement = (
        db.get(StatementRow, before.statement_id) if before and before.statement_id else None
    )
    return (before, statement) if before is not None and statement is not None else None


def chain(db: Session, row: RoundRow) -> list[RoundRow]:
    """The rounds on the same question up to this one, the first round first."""
    rounds_before = [row]
    while rounds_before[0].revises_id is not None:
        rounds_before.insert(0, db.get_one(RoundRow, rounds_before[0].revises_id))
    return rounds_before
