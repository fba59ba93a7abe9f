"""The facilitator's quick session: one question, no accounts, 2 to 50 people."""

from __future__ import annotations

import secrets

from sqlalchemy import select

from commonweal.errors import InputError
from commonweal.models import DEFAULT_MODEL
from commonweal.study import machine
from commonweal.study.config import StudyConfig
from commonweal.study.store import Store, Turn, hashed, new_token
from commonweal.study.tables import Group, Opinion

MINIMUM = 2


def quick_study(question: str, *, model: str = DEFAULT_MODEL, language: str = "en") -> StudyConfig:
    """The study of a quick session on this question.

    Raises:
        InputError: the question is blank or too long.
    """
    question = " ".join(question.split())
    if not 1 <= len(question) <= 1000:
        raise InputError(f"the question has {len(question)} characters, expected 1 to 1,000")
    others = [each for each in ("en", "de") if each != language]
    return StudyConfig.model_validate(
        {
            "name": f"quick-{secrets.token_hex(4)}",
            "title": question[:200],
            "languages": [language, *others],
            "group": {
                "size": 50,
                "minimum": MINIMUM,
                "start": "facilitator",
                "late": "keep",
                "shortfall": "release",
            },
            "rounds": {"count": 1, "passes": 1, "order": "as given"},
            "opinion": {"min_characters": 10, "max_characters": 1500},
            "timings_seconds": {
                "lobby": 86_400,
                "opinion": 900,
                "rating": 180,
                "result": 86_400,
                "generation": 300,
            },
            "questions": [{"text": question}],
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
    if group.stage == "result":
        turn.study.closed_at = turn.now
    group.deadline = turn.now
    machine.advance(turn, group)
    return True
