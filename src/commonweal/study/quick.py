"""The facilitator's quick session: a question or a few, no accounts, 2 to 50 people."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from sqlalchemy import select

from commonweal.errors import InputError
from commonweal.models import DEFAULT_MODEL
from commonweal.questions.records import content_id
from commonweal.study import machine, rounds
from commonweal.study.config import StudyConfig
from commonweal.study.store import Store, Turn, hashed, new_token
from commonweal.study.tables import Group, Opinion, Participant, Round

MINIMUM = 2
"""People in a session, at least."""

MAXIMUM = 20
"""Questions of a session, at most."""


def quick_study(
    questions: Sequence[str], *, model: str = DEFAULT_MODEL, language: str = "en"
) -> StudyConfig:
    """The study of a quick session on these questions, asked one after the other.

    Raises:
        InputError: there is none, one is blank or too long, or one stands twice.
    """
    asked = [" ".join(question.split()) for question in questions]
    for question in asked:
        if not 1 <= len(question) <= 1000:
            raise InputError(f"the question has {len(question)} characters, expected 1 to 1,000")
    if not 1 <= len({content_id(question) for question in asked}) == len(asked) <= MAXIMUM:
        raise InputError(f"got {len(asked)} questions, expected 1 to {MAXIMUM} that are different")
    more = f" (+{len(asked) - 1})" if len(asked) > 1 else ""
    others = [each for each in ("en", "de") if each != language]
    return StudyConfig.model_validate(
        {
            "name": f"quick-{secrets.token_hex(4)}",
            "title": asked[0][: 200 - len(more)] + more,
            "languages": [language, *others],
            "group": {
                "size": 50,
                "minimum": MINIMUM,
                "start": "facilitator",
                "late": "keep",
                "shortfall": "release",
            },
            "rounds": {"count": len(asked), "passes": 1, "order": "as given"},
            "opinion": {"min_characters": 10, "max_characters": 1500},
            "timings_seconds": {
                "lobby": 86_400,
                "opinion": 900,
                "rating": 180,
                "result": 86_400,
                "generation": 300,
            },
            "questions": [{"text": question} for question in asked],
            "arms": [{"name": "quick", "model": model, "shown": 3}],
        }
    )


def open_session(store: Store, config: StudyConfig) -> tuple[int, str]:
    """The id of the session's study, and the token of the facilitator's private link."""
    token = new_token()
    study_id = store.open_study(config, kind="quick", facilitator_hash=hashed(token))
    return study_id, token


def group_of(turn: Turn) -> Group | None:
    """The session's group; None while people are still joining."""
    return turn.db.scalars(select(Group).where(Group.study_id == turn.study.id)).first()


def is_last(turn: Turn, group: Group) -> bool:
    """Whether the group is on the session's last question."""
    return turn.db.get_one(Round, group.round_id).number >= turn.config.rounds.count


def close_stage(turn: Turn, group: Group) -> bool:
    """Whether the stage was ended now, as if its time were over.

    Opinions are closed only when there are enough to write from.
    """
    if group.stage == "opinions":
        written = turn.db.scalars(select(Opinion.id).where(Opinion.round_id == group.round_id))
        if len(written.all()) < MINIMUM:
            return False
    elif group.stage not in ("rating", "result"):
        return False
    turn.log("stage closed", actor="facilitator", group=group, stage=group.stage)
    if group.paused_at is not None:
        machine.resume(turn, group, actor="facilitator")
    group.deadline = turn.now
    machine.advance(turn, group)
    close_where_over(turn)
    return True


def close_where_over(turn: Turn) -> None:
    """Closes a session whose group has ended, for those too who wait because they came late."""
    group = group_of(turn)
    if group is None or group.stage not in machine.ENDED:
        return
    turn.study.closed_at = turn.study.closed_at or turn.now
    for person in turn.db.scalars(
        select(Participant).where(
            Participant.study_id == turn.study.id,
            Participant.stage == "lobby",
            Participant.outcome.is_(None),
        )
    ).all():
        rounds.end(turn, person, "no_group")
