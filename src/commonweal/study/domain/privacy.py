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
    Critique,
    Draft,
    Group,
    Job,
    Opinion,
    Participant,
    Presentation,
    Rating,
    RecruiterIds,
    Round,
    Statement,
)
from commonweal.study.storage.transaction import Turn

_PEOPLE, _RATINGS = (Base.metadata.tables[name] for name in ("participants", "ratings"))


def data_of(turn: Turn, person: Participant) -> dict[str, Any]:
    """Everything that is stored about this person, in plain values.

    First what a reader wants, with questions and statements in words. Then "stored": every row of
    every table that is the person's, as it is stored, without the hashes of secrets.
    """
    db = turn.db
    recruiter = db.get(RecruiterIds, person.id)
    opinions = db.execute(
        select(Round.question, Opinion.text, Opinion.submitted_at)
        .join(Round, Opinion.round_id == Round.id)
        .where(Opinion.participant_id == person.id)
        .order_by(Opinion.id)
    ).all()
    critiques = db.execute(
        select(Round.question, Critique.text, Critique.submitted_at)
        .join(Round, Critique.round_id == Round.id)
        .where(Critique.participant_id == person.id)
        .order_by(Critique.id)
    ).all()
    drafts = db.execute(
        select(Round.question, Draft.text)
        .join(Round, Draft.round_id == Round.id)
        .where(Draft.participant_id == person.id)
    ).all()
    ratings = db.execute(
        select(Round.position, Statement.text, Presentation.pass_index, Rating)
        .select_from(Rating)
        .join(Presentation)
        .join(Round, Presentation.round_id == Round.id)
        .outerjoin(Statement, Presentation.statement_id == Statement.id)
        .where(Presentation.participant_id == person.id)
        .order_by(Rating.submitted_at)
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


def _rows_of(db: Session, person: Participant, table: Table) -> list[dict[str, Any]]:
    if table is _PEOPLE:
        found = select(table).where(table.c.id == person.id)
    elif table is _RATINGS:
        shown = select(Presentation.id).where(Presentation.participant_id == person.id)
        found = select(table).where(table.c.presentation_id.in_(shown))
    else:
        found = select(table).where(table.c.participant_id == person.id)
    rows = [
        {name: value for name, value in row.items() if not name.endswith("_hash")}
        for row in db.execute(found.order_by(*table.primary_key)).mappings()
    ]
    for row in rows:
        # Who of the researchers did it is not the person's own.
        if row.get("actor", "machine") not in ACTORS:
            row["actor"] = "researcher"
    return rows


def withdraw(turn: Turn, person: Participant) -> None:
    """Ends the person's part. What they gave so far is kept."""
    people.leave(turn, person)


def delete_data(turn: Turn, person: Participant, *, actor: str = "participant") -> None:
    """Deletes the person and everything that hangs on them; their group goes on.

    Statements that a model wrote from several people's opinions stay: they are nobody's alone. A
    minority's sentence goes, since it is of few.
    Where people rated each other's opinions, what others gave to this person's goes with it.
    """
    group = turn.db.get(Group, person.group_id) if person.group_id else None
    turn.db.flush()
    # What an engine said may quote what was written.
    written_in = select(Opinion.round_id).where(Opinion.participant_id == person.id)
    criticised = select(Critique.round_id).where(Critique.participant_id == person.id)
    theirs = select(Round.id).where(
        or_(Round.id.in_(written_in), Round.first_id.in_(written_in), Round.id.in_(criticised))
    )
    turn.db.execute(update(Job).where(Job.round_id.in_(theirs)).values(error=""))
    _forget_notes(turn.db, person, theirs)
    forget_shared(turn.db, person.id)
    minority.forget(turn.db, person.id)
    turn.db.execute(delete(Participant).where(Participant.id == person.id))
    turn.db.expire_all()
    turn.has_deleted = True
    turn.log("data deleted", actor=actor, group=group)
    turn.touch(group)
    if group is not None:
        machine.advance(turn, group)


def _forget_notes(db: Session, person: Participant, theirs: Select[int]) -> None:
    """Deletes what notes on the writing of these rounds say of the person: they may quote."""
    names = select(Opinion.name).where(Opinion.participant_id == person.id)
    said = {*db.scalars(names), f"p{person.id}"}
    for row in db.scalars(select(Round).where(Round.id.in_(theirs))).all():
        row.notes = without_notes_on(said, row.notes)


def without_notes_on(names: Collection[str], notes: Iterable[str]) -> list[str]:
    """The notes on what was written that say nothing of these people: a note may quote."""
    return [each for each in notes if not any(repr(name) in each for name in names)]
