"""The minority's own sentence in a session or study: whose it is, how it is asked for and kept.

After the ratings those who disagree with the statement that these chose get a sentence of their
own. It is written from their opinions and shown with the result, never in its place. It must not
tell what one person answered, so it is from those found to disagree only where several of enough
people did; else from those predicted to (decision 041).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from commonweal.study.domain import revisions
from commonweal.study.domain.results import SMALL
from commonweal.study.storage.tables import (
    JobRow,
    MinorityRow,
    OpinionRow,
    PredictionRow,
    PresentationRow,
    RatingRow,
    RoundRow,
    StatementRow,
)
from commonweal.study.storage.transaction import Transaction
from commonweal.types import RATING_NEUTRAL

WRITING = "minority"
"""What such a job writes (``JobRow.what``)."""

LEAST = 2
"""So many must be found to disagree before ratings say whose sentence it is: one alone would be
told by it.
"""


def of(db: Session, row: RoundRow) -> MinorityRow | None:
    """What is kept of the round's minority; None before it was asked for, or where it is not."""
    return db.get(MinorityRow, row.id)


def is_shown(minority: MinorityRow) -> bool:
    """Whether there is a sentence that people may see."""
    return bool(minority.text) and minority.screening in revisions.USABLE


def why_not(minority: MinorityRow) -> str:
    """Why there is none that people may see: as ``MinorityRow.why``, "writing" or "held"."""
    if minority.why or is_shown(minority):
        return minority.why
    return "held" if minority.text else "writing"


def about(db: Session, row: RoundRow) -> StatementRow | None:
    """The statement that the round's result shows: where it was to be revised and nothing new was
    rated, that of the round before.
    """
    while row.revises_id is not None and row.statement_id is None:
        row = db.get_one(RoundRow, row.revises_id)
    return db.get(StatementRow, row.statement_id) if row.statement_id is not None else None


def begin(tx: Transaction, row: RoundRow) -> bool:
    """Whether a sentence is now to be written. Where nobody disagrees, that is kept."""
    statement = about(tx.db, row) if tx.config.rounds.minority else None
    if statement is None:
        return False
    basis, names = whose(tx.db, row, statement)
    tx.db.add(
        MinorityRow(round_id=row.id, basis=basis, included=names, why="" if names else "nobody")
    )
    if not names:
        return False
    job = tx.db.scalars(select(JobRow).where(JobRow.round_id == row.id)).one_or_none()
    if job is None:
        job = JobRow(round_id=row.id)
        tx.db.add(job)
    job.what, job.status, job.claim, job.n_attempts = WRITING, "queued", None, 0
    job.error, job.finished_at, job.queued_at = "", None, tx.now
    tx.has_job = True
    return True


def whose(db: Session, row: RoundRow, statement: StatementRow) -> tuple[str, list[str]]:
    """How they are known ("found" or "predicted") and the names of their opinions, as far as a
    prompt may hold these.
    """
    names = {
        opinion.participant_id: opinion.name
        for opinion in db.scalars(
            select(OpinionRow)
            .where(
                OpinionRow.round_id == row.opinions_id, OpinionRow.screening.in_(revisions.USABLE)
            )
            .order_by(OpinionRow.id)
        )
    }
    given = defaultdict(list)
    for person, agreement in db.execute(
        select(PresentationRow.participant_id, RatingRow.agreement)
        .join(RatingRow)
        .where(PresentationRow.statement_id == statement.id)
    ):
        given[person].append(agreement)
    against = {person for person, each in given.items() if np.mean(each) < RATING_NEUTRAL}
    disagreeing = [name for person, name in names.items() if person in against]
    if len(given) >= SMALL and len(disagreeing) >= LEAST:
        return "found", disagreeing
    predicted = set(
        db.scalars(
            select(PredictionRow.participant_id).where(
                PredictionRow.statement_id == statement.id,
                PredictionRow.expected_rating < RATING_NEUTRAL,
            )
        )
    )
    return "predicted", [name for person, name in names.items() if person in predicted]


def give_up(tx: Transaction, row: RoundRow) -> None:
    """Keeps that it could not be written."""
    tx.db.get_one(MinorityRow, row.id).why = "failed"


def forget(db: Session, participant_id: int) -> None:
    """Deletes the sentences that are written from a person's opinion, among few others'."""
    mine = select(OpinionRow).where(OpinionRow.participant_id == participant_id)
    for opinion in db.scalars(mine).all():
        for minority in _written_from(db, opinion):
            minority.text, minority.why, minority.flags = "", "deleted", []
            minority.screening = "clear"  # nobody waits for it to be read


def _written_from(db: Session, opinion: OpinionRow) -> Sequence[MinorityRow]:
    rows = db.scalars(
        select(MinorityRow)
        .join(RoundRow, MinorityRow.round_id == RoundRow.id)
        .where((RoundRow.id == opinion.round_id) | (RoundRow.first_id == opinion.round_id))
    )
    return [each for each in rows if opinion.name in each.included]
