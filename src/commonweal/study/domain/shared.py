"""Opinions that the others rate (``plan = "opinions"``): who wrote which statement.

Such a statement is written from one opinion, its own; there is no other record of its author, so
none is left when the opinion is deleted.
"""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from commonweal.datasets.arms import HUMAN
from commonweal.study.storage.tables import OpinionRow, PresentationRow, StatementRow


def authors_of(db: Session, round_id: int) -> dict[int, int]:
    """By the id of each statement that a person wrote, that person's id."""
    wrote = select(OpinionRow.name, OpinionRow.participant_id).where(
        OpinionRow.round_id == round_id
    )
    writers = {name: person for name, person in db.execute(wrote)}  # noqa: C416 - rows are no pairs
    return {
        statement.id: writers[name]
        for statement in db.scalars(
            select(StatementRow).where(
                StatementRow.round_id == round_id, StatementRow.policy == HUMAN
            )
        )
        for name in statement.included
        if name in writers
    }


def forget_shared(db: Session, participant_id: int) -> None:
    """Deletes the statements that are a person's own opinions, and what others gave to them."""
    rounds = select(OpinionRow.round_id).where(OpinionRow.participant_id == participant_id)
    for round_id in db.scalars(rounds).all():
        mine = [one for one, author in authors_of(db, round_id).items() if author == participant_id]
        db.execute(delete(PresentationRow).where(PresentationRow.statement_id.in_(mine)))
        db.execute(delete(StatementRow).where(StatementRow.id.in_(mine)))
