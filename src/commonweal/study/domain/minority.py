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
    Job,
    Minority,
    Opinion,
    Prediction,
    Presentation,
    Rating,
    Round,
    Statement,
)
from commonweal.study.storage.transaction import Turn
from commonweal.types import RATING_NEUTRAL

WRITING = "minority"
"""What such a job writes (``Job.what``)."""

LEAST = 2
"""So many must be found to disagree before ratings say whose sentence it is: one alone would be
told by it.
"""


def of(db: Session, row: Round) -> Minority | None:
    """What is kept of the round's minority; None before it was asked for, or where it is not."""
    return db.get(Minority, row.id)


def is_shown(found: Minority) -> bool:
    """Whether there is a sentence that people may see."""
    return bool(found.text) and found.screening in revisions.USABLE


def why_not(found: Minority) -> str:
    """Why there is none that people may see: as ``Minority.why``, "writing" or "held"."""
    if found.why or is_shown(found):
        return found.why
    return "held" if found.text else "writing"


def about(db: Session, row: Round) -> Statement | None:
    """The statement that the round's result shows: where it was to be revised and nothing new was
    rated, that of the round before.
    """
    while row.revises_id is not None and not (row.result or {}).get("statements"):
        row = db.get_one(Round, row.revises_id)
    return db.get(Statement, row.statement_id) if row.statement_id is not None else None


def begin(turn: Turn, row: Round) -> bool:
    """Whether a sentence is now to be written. Where nobody disagrees, that is kept."""
    statement = about(turn.db, row) if turn.config.rounds.minority else None
    if statement is None:
        return False
    basis, names = whose(turn.db, row, statement)
    turn.db.add(
        Minority(round_id=row.id, basis=basis, included=names, why="" if names else "nobody")
    )
    if not names:
        return False
    job = turn.db.scalars(select(Job).where(Job.round_id == row.id)).one_or_none()
    if job is None:
        job = Job(round_id=row.id, created_at=turn.now)
        turn.db.add(job)
    job.what, job.status, job.claim, job.n_attempts = WRITING, "queued", None, 0
    job.error, job.finished_at = "", None
    turn.has_job = True
    return True


def whose(db: Session, row: Round, statement: Statement) -> tuple[str, list[str]]:
    """How they are known ("found" or "predicted") and the names of their opinions, as far as a
    prompt may hold these.
    """
    names = {
        opinion.participant_id: opinion.name
        for opinion in db.scalars(
            select(Opinion)
            .where(Opinion.round_id == row.opinions_id, Opinion.screening.in_(revisions.USABLE))
            .order_by(Opinion.id)
        )
    }
    given = defaultdict(list)
    for person, agreement in db.execute(
        select(Presentation.participant_id, Rating.agreement)
        .join(Rating)
        .where(Presentation.statement_id == statement.id)
    ):
        given[person].append(agreement)
    against = {person for person, each in given.items() if np.mean(each) < RATING_NEUTRAL}
    found = [name for person, name in names.items() if person in against]
    if len(given) >= SMALL and len(found) >= LEAST:
        return "found", found
    predicted = set(
        db.scalars(
            select(Prediction.participant_id).where(
                Prediction.statement_id == statement.id, Prediction.expected_rating < RATING_NEUTRAL
            )
        )
    )
    return "predicted", [name for person, name in names.items() if person in predicted]


def give_up(turn: Turn, row: Round) -> None:
    """Keeps that it could not be written."""
    turn.db.get_one(Minority, row.id).why = "failed"


def forget(db: Session, participant_id: int) -> None:
    """Deletes the sentences that are written from a person's opinion, among few others'."""
    mine = select(Opinion).where(Opinion.participant_id == participant_id)
    for opinion in db.scalars(mine).all():
        for found in _written_from(db, opinion):
            found.text, found.why, found.flags = "", "deleted", []


def _written_from(db: Session, opinion: Opinion) -> Sequence[Minority]:
    rows = db.scalars(
        select(Minority)
        .join(Round, Minority.round_id == Round.id)
        .where((Round.id == opinion.round_id) | (Round.first_id == opinion.round_id))
    )
    return [each for each in rows if opinion.name in each.included]
