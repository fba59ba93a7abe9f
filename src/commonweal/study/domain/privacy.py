"""A person's own data: to see, to withdraw from, to delete."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Select, Table, delete, or_, select, update
from sqlalchemy.orm import Session

from commonweal.study.domain import machine, minority, people
from commonweal.study.domain.shared import forget_shared
from commonweal.study.storage.tables import (
    ACTORS,
    Base,
    CritiqueRow,
    DraftRow,
    GroupRow,
    JobRow,
    OpinionRow,
    ParticipantRow,
    PresentationRow,
    RatingRow,
    RecruiterIdsRow,
    RoundRow,
    StatementRow,
)
from commonweal.study.storage.transaction import Transaction

_PEOPLE, _RATINGS = (Base.metadata.tables[name] for name in ("participants", "ratings"))


def data_of(tx: Transaction, person: ParticipantRow) -> dict[str, Any]:
    """Everything that is stored about this person, in plain values.

    First what a reader wants, with questions and statements in words. Then "stored": every row of
    every table that is the person's, as it is stored, without the hashes of secrets.
    """
    db = tx.db
    recruiter = db.get(RecruiterIdsRow, person.id)
    opinions, critiques = (
        db.execute(
            select(RoundRow.question, kind.text, kind.submitted_at)
            .join(RoundRow, kind.round_id == RoundRow.id)
            .where(kind.participant_id == person.id)
            .order_by(kind.id)
        ).all()
        for kind in (OpinionRow, CritiqueRow)
    )
    drafts = db.execute(
        select(RoundRow.question, DraftRow.text)
        .join(RoundRow, DraftRow.round_id == RoundRow.id)
        .where(DraftRow.participant_id == person.id)
    ).all()
    ratings = db.execute(
        select(RoundRow.position, StatementRow.text, PresentationRow.pass_index, RatingRow)
        .select_from(RatingRow)
        .join(PresentationRow)
        .join(RoundRow, PresentationRow.round_id == RoundRow.id)
        .outerjoin(StatementRow, PresentationRow.statement_id == StatementRow.id)
        .where(PresentationRow.participant_id == person.id)
        .order_by(RatingRow.submitted_at)
    ).all()
    return {
        "id": person.public_id,
        "joined_at": person.joined_at,
        "consented_at": person.consented_at,
        "consent_sha256": person.consent_sha256,
        "language": person.language,
        "outcome": person.outcome,
        "recruiter_participant": recruiter.recruiter_participant if recruiter else None,
        "opinions": [
            {"question": question, "text": text, "at": at} for question, text, at in opinions
        ],
        "critiques": [
            {"question": question, "text": text, "at": at} for question, text, at in critiques
        ],
        "drafts": [{"question": question, "text": text} for question, text in drafts],
        "ratings": [
            {
                "statement": position if text is None else text,
                "pass_index": pass_index,
                "agreement": rating.agreement,
                "quality": rating.quality,
                "at": rating.submitted_at,
            }
            for position, text, pass_index, rating in ratings
        ],
        "stored": {table.name: _rows_of(db, person, table) for table in _tables_of_people()},
    }


def _tables_of_people() -> list[Table]:
    """The tables that hold rows of a person: theirs, and the ratings of what was shown to them."""
    return [
        table
        for table in Base.metadata.sorted_tables
        if table in (_PEOPLE, _RATINGS) or "participant_id" in table.c
    ]


def _rows_of(db: Session, person: ParticipantRow, table: Table) -> list[dict[str, Any]]:
    if table is _PEOPLE:
        theirs = select(table).where(table.c.id == person.id)
    elif table is _RATINGS:
        shown = select(PresentationRow.id).where(PresentationRow.participant_id == person.id)
        theirs = select(table).where(table.c.presentation_id.in_(shown))
    else:
        theirs = select(table).where(table.c.participant_id == person.id)
    rows = [
        {name: value for name, value in row.items() if not name.endswith("_hash")}
        for row in db.execute(theirs.order_by(*table.primary_key)).mappings()
    ]
    for row in rows:
        # Who of the researchers did it is not the person's own.
        if row.get("actor", "machine") not in ACTORS:
            row["actor"] = "researcher"
    return rows


def withdraw(tx: Transaction, person: ParticipantRow) -> None:
    """Ends the person's part. What they gave so far is kept."""
    people.leave(tx, person)


def delete_data(tx: Transaction, person: ParticipantRow, *, actor: str = "participant") -> None:
    """Deletes the person and everything that hangs on them; their group goes on.

    Statements that a model wrote from several people's opinions stay: they are nobody's alone. A
    minority's sentence goes, since it is of few.
    Where people rated each other's opinions, what others gave to this person's goes with it.
    """
    group = tx.db.get(GroupRow, person.group_id) if person.group_id else None
    tx.db.flush()
    # What an engine said may quote what was written.
    written_in = select(OpinionRow.round_id).where(OpinionRow.participant_id == person.id)
    criticised = select(CritiqueRow.round_id).where(CritiqueRow.participant_id == person.id)
    theirs = select(RoundRow.id).where(
        or_(
            RoundRow.id.in_(written_in),
            RoundRow.first_id.in_(written_in),
            RoundRow.id.in_(criticised),
        )
    )
    tx.db.execute(update(JobRow).where(JobRow.round_id.in_(theirs)).values(error=""))
    _forget_notes(tx.db, person, theirs)
    forget_shared(tx.db, person.id)
    minority.forget(tx.db, person.id)
    tx.db.execute(delete(ParticipantRow).where(ParticipantRow.id == person.id))
    tx.db.expire_all()
    tx.has_deleted = True
    tx.log("data deleted", actor=actor, group=group)
    tx.touch(group)
    if group is not None:
        machine.advance(tx, group)


def _forget_notes(db: Session, person: ParticipantRow, theirs: Select[int]) -> None:
    """Deletes what notes on the writing of these rounds say of the person: they may quote."""
    names = select(OpinionRow.name).where(OpinionRow.participant_id == person.id)
    mentions = {*db.scalars(names), f"p{person.id}"}
    for row in db.scalars(select(RoundRow).where(RoundRow.id.in_(theirs))).all():
        row.notes = without_notes_on(mentions, row.notes)


def without_notes_on(names: Collection[str], notes: Iterable[str]) -> list[str]:
    """The notes on what was written that say nothing of these people: a note may quote."""
    return [each for each in notes if not any(repr(name) in each for name in names)]
