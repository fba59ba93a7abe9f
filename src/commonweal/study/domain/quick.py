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
from commonweal.study.storage.store import MODEL_CHANGED, Store, model_changes
from commonweal.study.storage.tables import EventRow, GroupRow, OpinionRow, ParticipantRow, RoundRow
from commonweal.study.storage.tokens import hashed, new_token
from commonweal.study.storage.transaction import Transaction

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
    with opened.store.transaction(opened.study_id) as tx:
        tx.study.facilitator_hash = hashed(token)
        changes = (
            select(EventRow.details).where(EventRow.kind == "model changed").order_by(EventRow.id)
        )
        before = [each["before"] for each in tx.db.scalars(changes)][:1]
        # The command that it was begun with does not undo what was chosen on the page since.
        if model and model not in before:
            use_model(tx, model, actor="command line")
        config = tx.config
        tx.log("session goes on", actor="command line")
    return Opened(config, opened.store, opened.study_id), token


def group_of(tx: Transaction) -> GroupRow | None:
    """The session's group; None while people are still joining."""
    return tx.db.scalars(select(GroupRow).where(GroupRow.study_id == tx.study.id)).first()


def is_last(tx: Transaction, group: GroupRow) -> bool:
    """Whether the group is on the session's last question."""
    return tx.db.get_one(RoundRow, group.round_id).number >= tx.config.rounds.count


def close_stage(tx: Transaction, group: GroupRow) -> bool:
    """Whether the stage was ended now, as if its time were over.

    Opinions are closed only when there are enough to write from, of people who are still there:
    with fewer the group would be dissolved.
    """
    if group.stage not in machine.EXTENDABLE:
        return False
    if group.stage == "opinions" and len(_ready(tx, group)) < MINIMUM:
        return False
    machine.close(tx, group, actor="facilitator")
    close_where_over(tx)
    return True


def _ready(tx: Transaction, group: GroupRow) -> list[int]:
    """The ids of those who take part and have written an opinion in this round."""
    writers = tx.db.scalars(
        select(OpinionRow.participant_id)
        .join(ParticipantRow, OpinionRow.participant_id == ParticipantRow.id)
        .where(OpinionRow.round_id == group.round_id, ParticipantRow.outcome.is_(None))
    )
    return list(writers)


def missing(tx: Transaction, group: GroupRow) -> tuple[int, ...]:
    """The seats of those for whom the stage waits; none where nobody works in it."""
    if group.stage not in ("opinions", "critique", "rating"):
        return ()
    return tuple(each.seat for each in companions(tx, group) if not each.is_done)


def failure(tx: Transaction, group: GroupRow) -> str:
    """Why nothing could be written for the round that waits for it; "" where it is under way."""
    return machine.why_held(tx, group).removeprefix(f"{tx.config.arms[0].name}: ")


def use_model(tx: Transaction, model: str, *, actor: str = "facilitator", arm: str = "") -> None:
    """Lets another language model write from now on.

    Args:
        tx: the transaction.
        model: its name.
        actor: who wants it.
        arm: the arm that it writes for, whose policy stays; by default the session's only one,
            with the policy that fits the model.

    Raises:
        InputError: it is no model.
    """
    names = [each.name for each in tx.config.arms]
    at = names.index(arm) if arm in names else 0
    before = tx.config.arms[at].model
    if before == model:
        return
    data = tx.config.model_dump()
    data["arms"] = list(data["arms"])
    data["arms"][at] = {**data["arms"][at], "model": model}
    if not arm:
        data["arms"][at]["policy"] = default_policy(model)
    try:
        changed = StudyConfig.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{model}: {error.errors()[0]['msg']}") from None
    tx.study.config, tx.study.config_sha256 = changed.to_json(), changed.sha256
    tx.config = changed
    tx.log(MODEL_CHANGED, actor=actor, model=model, before=before, arm=names[at])


def models_before(tx: Transaction) -> list[str]:
    """The models that wrote before others were taken, the last first."""
    return [change["before"] for change in model_changes(tx.db, tx.study)]


def close_where_over(tx: Transaction) -> None:
    """Closes a session whose group has ended, for those too who wait because they came late."""
    group = group_of(tx)
    if group is None or group.stage not in machine.ENDED:
        return
    tx.study.closed_at = tx.study.closed_at or tx.now
    for person in tx.db.scalars(
        select(ParticipantRow).where(
            ParticipantRow.study_id == tx.study.id,
            ParticipantRow.stage == "lobby",
            ParticipantRow.outcome.is_(None),
        )
    ).all():
        rounds.end(tx, person, "no_group")
