"""Researchers: accounts with argon2 passwords, and what they may do to a study."""

from __future__ import annotations

import unicodedata
from typing import Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from commonweal.errors import InputError
from commonweal.study.domain import machine, people, rounds
from commonweal.study.domain.answers import clean
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import (
    EventRow,
    GroupRow,
    ParticipantRow,
    ResearcherRow,
    ResearcherSessionRow,
    StudyRow,
)
from commonweal.study.storage.tokens import hashed, new_token
from commonweal.study.storage.transaction import Transaction

Role = Literal["owner", "researcher", "moderator"]
ROLES: tuple[Role, ...] = get_args(Role)
LOGIN_SECONDS = 12 * 3600.0
MIN_PASSWORD = 12
MAX_PASSWORD = 1000
_hasher = PasswordHasher()
_NOBODY = _hasher.hash("a password that nobody has")


def plain_name(name: str) -> str:
    """A researcher's name as it is kept and looked for: however a keyboard or a copied text spells
    the letters that are seen, without blanks at its ends and without what is not seen.
    """
    # Of a stranger's long text no more is looked at than could be a name.
    seen = (c for c in unicodedata.normalize("NFKC", name[:400]) if unicodedata.category(c) != "Cf")
    return clean("".join(seen))


def _typed(password: str) -> str:
    """The password as any keyboard spells it (RFC 8265), and as a form can send it."""
    spelt = unicodedata.normalize("NFC", password).replace("\0", " ")
    return spelt.encode("utf-8", "replace").decode()


def set_researcher(store: Store, name: str, password: str, role: str) -> None:
    """Makes an account, or gives it another password and role; its login sessions end.

    Raises:
        InputError: the name is blank, the password short or very long, or there is no such role.
    """
    name, password = plain_name(name), _typed(password)  # as at the login
    if not name or len(name) > 100:
        raise InputError(f"the name is {name!r}; expected 1 to 100 characters")
    if len(password) < MIN_PASSWORD:
        raise InputError(
            f"the password has {len(password)} characters, expected at least {MIN_PASSWORD}"
        )
    if len(password) > MAX_PASSWORD:
        raise InputError(
            f"the password has {len(password):,} characters, expected at most {MAX_PASSWORD:,}"
        )
    if role not in ROLES:
        raise InputError(f"the role is {role!r}; expected one of {', '.join(ROLES)}")
    with store.write() as db:
        researcher = db.scalars(
            select(ResearcherRow).where(ResearcherRow.name == name)
        ).one_or_none()
        if researcher is None:
            researcher = ResearcherRow(
                name=name, created_at=store.clock.now(), password_hash="", role=role
            )
            db.add(researcher)
        researcher.password_hash, researcher.role = _hasher.hash(password), role
        db.flush()
        db.execute(
            delete(ResearcherSessionRow).where(ResearcherSessionRow.researcher_id == researcher.id)
        )
        for study_id in db.scalars(
            select(StudyRow.id)
        ):  # an account is for every study of a database
            db.add(
                EventRow(
                    study_id=study_id,
                    at=store.clock.now(),
                    actor="command line",
                    kind="account set",
                    details={"name": name, "role": role},
                )
            )


def log_in(store: Store, name: str, password: str) -> str | None:
    """The token of a cookie where name and password belong together; otherwise None.

    An unknown name takes as long as a wrong password.
    """
    name, password = plain_name(name), _typed(password[: MAX_PASSWORD + 1])
    with store.read() as db:
        researcher = db.scalars(
            select(ResearcherRow).where(ResearcherRow.name == name)
        ).one_or_none()
    try:
        _hasher.verify(researcher.password_hash if researcher else _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return None
    if researcher is None:
        return None
    token = new_token()
    now = store.clock.now()
    with store.write() as db:
        db.execute(delete(ResearcherSessionRow).where(ResearcherSessionRow.expires_at <= now))
        db.add(
            ResearcherSessionRow(
                token_hash=hashed(token),
                researcher_id=researcher.id,
                created_at=now,
                expires_at=now + LOGIN_SECONDS,
            )
        )
    return token


def of_cookie(db: Session, token: str, now: float) -> ResearcherRow | None:
    """Whose cookie it is, if anybody's who is logged in."""
    return db.scalars(
        select(ResearcherRow)
        .join(ResearcherSessionRow, ResearcherSessionRow.researcher_id == ResearcherRow.id)
        .where(
            ResearcherSessionRow.token_hash == hashed(token), ResearcherSessionRow.expires_at > now
        )
    ).one_or_none()


def log_out(store: Store, token: str) -> None:
    """Ends a login session."""
    with store.write() as db:
        db.execute(
            delete(ResearcherSessionRow).where(ResearcherSessionRow.token_hash == hashed(token))
        )


def extend(tx: Transaction, group: GroupRow, seconds: float, *, actor: str) -> None:
    """Puts the group's deadline off."""
    rounds.put_off(group, seconds, tx.now)
    tx.log("extended", actor=actor, group=group, seconds=seconds)
    tx.touch(group)


def send_message(tx: Transaction, group: GroupRow, text: str, *, actor: str) -> None:
    """Shows a text to everybody in the group; a blank one takes the last away."""
    group.message = text.strip()[:500]
    tx.log("message", actor=actor, group=group, text=group.message)
    tx.touch(group)


def release(tx: Transaction, group: GroupRow, *, actor: str) -> None:
    """Ends the group: everybody in it is released with the partial code."""
    tx.log("released", actor=actor, group=group)
    for person in tx.db.scalars(
        select(ParticipantRow).where(
            ParticipantRow.group_id == group.id, ParticipantRow.outcome.is_(None)
        )
    ).all():
        rounds.end(tx, person, "partial", actor=actor)
    group.paused_at = None
    machine.advance(tx, group)


def remove(tx: Transaction, person: ParticipantRow, *, actor: str) -> None:
    """Takes a person out of the study; their group goes on."""
    people.leave(tx, person, outcome="removed", actor=actor)
