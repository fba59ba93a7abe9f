"""A person's own data: to see, to withdraw from, to delete."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select

from commonweal.study import machine, people
from commonweal.study.store import Turn
from commonweal.study.tables import (
    Draft,
    Group,
    Opinion,
    Participant,
    Presentation,
    Rating,
    RecruiterIds,
    Round,
    Statement,
)


def data_of(turn: Turn, person: Participant) -> dict[str, Any]:
    """Everything that is stored about this person, in plain values."""
    db = turn.db
    recruiter = db.get(RecruiterIds, person.id)
    opinions = db.execute(
        select(Round.question, Opinion.text, Opinion.submitted_at)
        .join(Round, Opinion.round_id == Round.id)
        .where(Opinion.participant_id == person.id)
        .order_by(Opinion.id)
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
    }


def withdraw(turn: Turn, person: Participant) -> None:
    """Ends the person's part. What they gave so far is kept."""
    people.leave(turn, person)


def delete_data(turn: Turn, person: Participant, *, actor: str = "participant") -> None:
    """Deletes the person and everything that hangs on them; their group goes on.

    Statements that a model wrote from several people's opinions stay: they are nobody's alone.
    """
    group = turn.db.get(Group, person.group_id) if person.group_id else None
    turn.db.flush()
    turn.db.execute(delete(Participant).where(Participant.id == person.id))
    turn.db.expire_all()
    turn.log("data deleted", actor=actor, group=group)
    turn.touch(group)
    if group is not None:
        machine.advance(turn, group)
