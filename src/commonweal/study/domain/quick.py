"""The facilitator's quick session: a question or a few, no accounts, 2 to 50 people."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import select

from commonweal.errors import InputError
from commonweal.models import DEFAULT_MODEL
from commonweal.policies import default_policy
from commonweal.questions.records import content_id
from commonweal.study.config import StudyConfig
from commonweal.study.domain import machine, rounds
from commonweal.study.domain.pages import companions
from commonweal.study.storage.folder import Opened, open_kept
from commonweal.study.storage.sessions import facilitator_token, kept_session
from commonweal.study.storage.store import MODEL_CHANGED, Store
from commonweal.study.storage.tables import Event, Group, Opinion, Participant, Round
from commonweal.study.storage.tokens import hashed, new_token
from commonweal.study.storage.transaction import Turn

MINIMUM = 2
"""People in a session, at least."""

MAXIMUM = 20
"""Questions of a session, at most."""


def quick_study(
    questions: Sequence[str],
    *,
    model: str = DEFAULT_MODEL,
    language: str = "en",
    review: bool = False,
    revise: bool = False,
    minority: bool = False,
) -> StudyConfig:
    """The study of a quick session on these questions, asked one after the other. With ``review``
    the facilitator reads what is written before the group sees it; with ``revise`` each statement
    is criticised and written again before its result is shown; with ``minority`` those who
    disagree get a sentence of their own beside it.

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
            "rounds": {
                "count": len(asked),
                "passes": 1,
                "order": "as given",
                "revise": int(revise),
                "minority": minority,
            },
            "opinion": {"min_characters": 10, "max_characters": 1500},
            "timings_seconds": {
                "lobby": 86_400,
                "opinion": 900,
                "critique": 600,
                "rating": 180,
                "result": 86_400,
                "generation": 300,
                "moderation": 86_400,
            },
            "moderation": {"mode": "review" if review else "automatic"},
            "questions": [{"text": question} for question in asked],
            "arms": [{"name": "quick", "model": model, "shown": 3, "shortlist": True}],
        }
    )


def open_session(store: Store, config: StudyConfig, *, token: str = "") -> tuple[int, str]:
    """The id of the session's study, and the token of the facilitator's private link."""
    token = token or new_token()
    study_id = store.open_study(config, kind="quick", facilitator_hash=hashed(token))
    return study_id, token


def begin_session(config: StudyConfig, path: Path) -> tuple[Opened, str]:
    """A new session in this file, and the token of the facilitator's private link."""
    token = facilitator_token(config.name)
    store = Store(f"sqlite:///{path}")
    return Opened(config, store, open_session(store, config, token=token)[0]), token


def go_on(path: Path, *, model: str = "") -> tuple[Opened, str]:
    """The session in this file as it was. ``model`` writes from now on where it is another one than
    the session was begun with.

    The facilitator's link is the same as before on the same machine.

    Raises:
        InputError: it is no session, or there is no such model.
    """
    kept = kept_session(path)
    token = facilitator_token(kept.name)
    opened = open_kept(path)
    with opened.store.turn(opened.study_id) as turn:
        turn.study.facilitator_hash = hashed(token)
        changes = select(Event.details).where(Event.kind == "model changed").order_by(Event.id)
        before = [each["before"] for each in turn.db.scalars(changes)][:1]
        # The command that it was begun with does not undo what was chosen on the page since.
        if model and model not in before:
            use_model(turn, model, actor="command line")
        config = turn.config
        turn.log("session goes on", actor="command line")
    return Opened(config, opened.store, opened.study_id), token


def group_of(turn: Turn) -> Group | None:
    """The session's group; None while people are still joining."""
    return turn.db.scalars(select(Group).where(Group.study_id == turn.study.id)).first()


def is_last(turn: Turn, group: Group) -> bool:
    """Whether the group is on the session's last question."""
    return turn.db.get_one(Round, group.round_id).number >= turn.config.rounds.count


def close_stage(turn: Turn, group: Group) -> bool:
    """Whether the stage was ended now, as if its time were over.

    Opinions are closed only when there are enough to write from, of people who are still there:
    with fewer the group would be dissolved.
    """
    if group.stage not in machine.EXTENDABLE:
        return False
    if group.stage == "opinions" and len(_ready(turn, group)) < MINIMUM:
        return False
    machine.close(turn, group, actor="facilitator")
    close_where_over(turn)
    return True


def _ready(turn: Turn, group: Group) -> list[int]:
    """The ids of those who take part and have written an opinion in this round."""
    found = turn.db.scalars(
        select(Opinion.participant_id)
        .join(Participant, Opinion.participant_id == Participant.id)
        .where(Opinion.round_id == group.round_id, Participant.outcome.is_(None))
    )
    return list(found)


def missing(turn: Turn, group: Group) -> tuple[int, ...]:
    """The seats of those for whom the stage waits; none where nobody works in it."""
    if group.stage not in ("opinions", "critique", "rating"):
        return ()
    return tuple(each.seat for each in companions(turn, group) if not each.is_done)


def failure(turn: Turn, group: Group) -> str:
    """Why nothing could be written for the round that waits for it; "" where it is under way."""
    return machine.why_held(turn, group).removeprefix(f"{turn.config.arms[0].name}: ")


def use_model(turn: Turn, model: str, *, actor: str = "facilitator", arm: str = "") -> None:
    """Lets another language model write from now on.

    Args:
        turn: the transaction.
        model: its name.
        actor: who wants it.
        arm: the arm that it writes for, whose policy stays; by default the session's only one,
            with the policy that fits the model.

    Raises:
        InputError: it is no model.
    """
    names = [each.name for each in turn.config.arms]
    at = names.index(arm) if arm in names else 0
    before = turn.config.arms[at].model
    if before == model:
        return
    data = turn.config.model_dump()
    data["arms"] = list(data["arms"])
    data["arms"][at] = {**data["arms"][at], "model": model}
    if not arm:
        data["arms"][at]["policy"] = default_policy(model)
    try:
        changed = StudyConfig.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{model}: {error.errors()[0]['msg']}") from None
    turn.study.config, turn.study.config_sha256 = changed.to_json(), changed.sha256
    turn.config = changed
    turn.log(MODEL_CHANGED, actor=actor, model=model, before=before, arm=names[at])


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
