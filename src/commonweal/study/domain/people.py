"""Who joins a study, agrees to it, waits, asks for time, leaves or is removed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.orm import Session

from commonweal.errors import InputError
from commonweal.study.domain import lobby, machine, rounds
from commonweal.study.storage.tables import (
    ConsentTextRow,
    GroupRow,
    LinkRow,
    LoginSessionRow,
    ParticipantRow,
    RecruiterIdsRow,
    ResearcherSessionRow,
    StudyRow,
)
from commonweal.study.storage.tokens import hashed, new_public_id, new_token
from commonweal.study.storage.transaction import Transaction

MAX_EXTENSIONS = 10
"""How often a person may ask for more time in one round (WCAG 2.2, 2.2.1: at least ten times)."""
FRESH_SECONDS = 15.0
"""How old "last seen" may be before it is written anew."""


AGAIN_SECONDS = 60.0
"""How long a browser may use a private link again: the answer to the first time may be lost."""
PRESSED_SECONDS = 600.0
"""How long the same form to join is one joining."""
ENDED_DAYS = 7
"""How long a browser's cookie works after its person's part has ended, or after a link since."""

_OF_COOKIE = (
    select(ParticipantRow, GroupRow, LoginSessionRow.created_at)
    .join(LoginSessionRow, LoginSessionRow.participant_id == ParticipantRow.id)
    .outerjoin(GroupRow, GroupRow.id == ParticipantRow.group_id)
    .where(
        LoginSessionRow.token_hash == bindparam("token"),
        ParticipantRow.study_id == bindparam("study"),
    )
)


class AlreadyJoinedError(InputError):
    """Somebody has joined with this recruiter's number before, perhaps in another browser."""


def join(
    tx: Transaction,
    *,
    language: str = "en",
    recruiter: Mapping[str, str] | None = None,
    browser: str = "",
    is_sure: bool = False,
    is_simulated: bool = False,
    actor: str = "participant",
) -> ParticipantRow:
    """A new participant, before consent; the one that the same form was sent for before, if any.

    Args:
        tx: the transaction.
        language: of the pages.
        recruiter: "participant", "study" and "session", as the recruiter's link gave them.
        browser: a secret of the browser and its form: who presses twice, or whose answer is lost,
            joins once.
        is_sure: whether the person says that they have not joined before, although somebody has
            with their recruiter's number: anybody can type one, and shuts nobody out by it.
        is_simulated: whether a program stands in for a person.
        actor: who does it, for the audit.

    Raises:
        AlreadyJoinedError: somebody has joined with this number, and the person is not sure.
    """
    browser_hash = hashed(f"join:{browser}") if browser else None
    before = tx.db.scalars(
        select(ParticipantRow).where(
            ParticipantRow.study_id == tx.study.id,
            ParticipantRow.browser_hash == browser_hash,
            ParticipantRow.browser_hash.is_not(None),
        )
    ).one_or_none()
    if before is not None and tx.now - before.joined_at <= PRESSED_SECONDS:
        return before
    known = (recruiter or {}).get("participant", "")
    n_before = n_with_number(tx.db, tx.study.id, known) if known else 0
    if n_before and not is_sure:
        raise AlreadyJoinedError(
            "this participant has joined already; expected to continue in the same browser"
        )
    person = ParticipantRow(
        study_id=tx.study.id,
        public_id=new_public_id("p"),
        stage="consent",
        stage_since=tx.now,
        language=language,
        is_simulated=is_simulated,
        browser_hash=browser_hash if before is None else None,
        joined_at=tx.now,
        last_seen_at=tx.now,
    )
    tx.db.add(person)
    tx.db.flush()
    if recruiter and known:
        tx.db.add(
            RecruiterIdsRow(
                participant_id=person.id,
                study_id=tx.study.id,
                recruiter_participant=known,
                recruiter_study=recruiter.get("study", ""),
                recruiter_session=recruiter.get("session", ""),
            )
        )
    tx.log("joined", actor=actor, person=person)
    if n_before:
        tx.log("recruiter's number used again", actor=actor, person=person, n_before=n_before)
    return person


def n_with_number(db: Session, study_id: int, number: str) -> int:
    """How many people have joined with this number of the recruiter's."""
    counted = select(func.count(RecruiterIdsRow.participant_id)).where(
        RecruiterIdsRow.study_id == study_id, RecruiterIdsRow.recruiter_participant == number
    )
    return db.scalar(counted) or 0


def invite(tx: Transaction, *, actor: str = "command line") -> str:
    """The token of a private link for a new participant."""
    return new_link(tx, join(tx, actor=actor), actor=actor)


def new_link(tx: Transaction, person: ParticipantRow, *, actor: str = "participant") -> str:
    """The token of a new private link for this person; only its hash is stored."""
    token = new_token()
    tx.db.add(LinkRow(token_hash=hashed(token), participant_id=person.id, created_at=tx.now))
    tx.log("link made", actor=actor, person=person)
    return token


def exchange(tx: Transaction, token: str, *, browser: str = "") -> str | None:
    """The token of a cookie for a private link; None for one that is nobody's or has been used.

    Args:
        tx: the transaction.
        token: the link's.
        browser: a secret of the browser that asks. The answer may be lost on the way: the same
            browser gets another one for ``AGAIN_SECONDS``.
    """
    link = tx.db.get(LinkRow, hashed(token))
    if link is None or not is_open(link, browser, tx.now):
        return None
    person = tx.db.get_one(ParticipantRow, link.participant_id)
    if person.study_id != tx.study.id:
        return None
    if link.used_at is None:
        link.used_at = tx.now
        link.browser_hash = hashed(f"link:{browser}") if browser else None
        tx.log("link used", actor="participant", person=person)
    return start_login_session(tx, person)


def is_open(link: LinkRow, browser: str, now: float) -> bool:
    """Whether the link can be used by this browser."""
    if link.used_at is None:
        return True
    is_same = bool(browser) and link.browser_hash == hashed(f"link:{browser}")
    return is_same and abs(now - link.used_at) <= AGAIN_SECONDS


def start_login_session(tx: Transaction, person: ParticipantRow) -> str:
    """The token of a cookie for this person's browser."""
    token = new_token()
    tx.db.add(
        LoginSessionRow(token_hash=hashed(token), participant_id=person.id, created_at=tx.now)
    )
    tx.db.flush()
    return token


def end_login_session(tx: Transaction, token: str) -> None:
    """Has the browser with this cookie know nobody any more."""
    tx.db.execute(delete(LoginSessionRow).where(LoginSessionRow.token_hash == hashed(token)))


def of_cookie(tx: Transaction, token: str) -> ParticipantRow | None:
    """Whose cookie it is, if anybody's in this study. Reads their group with them.

    Some time after a part has ended its cookies are nobody's.
    """
    asked = {"token": hashed(token), "study": tx.study.id}
    row = tx.db.execute(_OF_COOKIE, asked).one_or_none()
    if row is None:
        return None
    person: ParticipantRow = row[0]
    is_over = (
        person.ended_at is not None and max(person.ended_at, row[2]) <= tx.now - 86_400 * ENDED_DAYS
    )
    return None if is_over else person


def is_somebodys(db: Session, study_id: int, token_hash: str) -> bool:
    """Whether it is the hash of a cookie of a participant, a researcher or the facilitator."""
    if db.get(LoginSessionRow, token_hash) or db.get(ResearcherSessionRow, token_hash):
        return True
    return db.scalar(select(StudyRow.facilitator_hash).where(StudyRow.id == study_id)) == token_hash


def consent(tx: Transaction, person: ParticipantRow, text: str) -> None:
    """Records that the person agreed to this text, and goes on to the instructions.

    Args:
        tx: the transaction.
        person: who agrees.
        text: everything that they agree to, as it was shown. Each version is stored once.
    """
    if person.outcome is None and person.stage == "consent":
        person.consented_at = tx.now
        person.consent_sha256 = sha256 = hashlib.sha256(text.encode()).hexdigest()
        if tx.db.get(ConsentTextRow, (tx.study.id, sha256)) is None:
            tx.db.add(ConsentTextRow(study_id=tx.study.id, sha256=sha256, text=text))
        tx.log("consented", actor="participant", person=person, sha256=person.consent_sha256)
        _stage(tx, person, "instructions")


def read_instructions(tx: Transaction, person: ParticipantRow) -> None:
    """Goes on from the instructions: to the comprehension check, or where there is none to wait."""
    if person.outcome is None and person.stage == "instructions":
        if tx.config.checks:
            _stage(tx, person, "check")
        else:
            lobby.enter(tx, person)


def answer_check(tx: Transaction, person: ParticipantRow, answers: Sequence[int | None]) -> bool:
    """Whether every answer (counted from 1) is right; after the last attempt the part ends."""
    if person.outcome is not None or person.stage != "check":
        return True
    right = [check.answer for check in tx.config.checks] == list(answers)
    person.n_check_attempts += 1
    tx.log("check answered", actor="participant", person=person, right=right)
    if right:
        lobby.enter(tx, person)
    elif person.n_check_attempts >= tx.config.check_attempts:
        rounds.end(tx, person, "failed_check")
    return right


def leave(
    tx: Transaction, person: ParticipantRow, *, outcome: str = "left", actor: str = ""
) -> None:
    """Ends the person's part, as ``rounds.end`` says; the group goes on without them."""
    if person.outcome is not None:
        return
    group = tx.db.get(GroupRow, person.group_id) if person.group_id else None
    rounds.end(tx, person, outcome, actor=actor or "participant")
    if group is not None:
        machine.advance(tx, group)


def more_time(tx: Transaction, person: ParticipantRow, *, actor: str = "participant") -> bool:
    """Whether a deadline was put off: the group's by ``timings_seconds.extension``; that of the
    instructions or the check begins anew.
    """
    if person.outcome is not None or person.n_extensions >= MAX_EXTENSIONS:
        return False
    group = tx.db.get(GroupRow, person.group_id) if person.group_id else None
    if group is not None and group.stage in machine.EXTENDABLE:
        rounds.put_off(group, tx.config.timings_seconds.extension, tx.now)
        tx.touch(group)
    elif person.stage in ("instructions", "check"):
        person.stage_since = tx.now
    else:
        return False
    person.n_extensions += 1
    tx.log("more time", actor=actor, group=group, person=person)
    return True


def is_fresh(tx: Transaction, person: ParticipantRow) -> bool:
    """Whether the person was noted as there so lately that it need not be noted again."""
    return abs(tx.now - person.last_seen_at) < FRESH_SECONDS


def saw(tx: Transaction, person: ParticipantRow) -> None:
    """Notes that the person is there, and moves the group where its time has come."""
    person.last_seen_at = tx.now
    if person.outcome is None and person.stage == "lobby":
        tx.db.flush()
        lobby.match(tx)
        lobby.come_back(tx, person)
    if person.group_id is not None and person.outcome is None:
        machine.advance(tx, tx.db.get_one(GroupRow, person.group_id))


def _stage(tx: Transaction, person: ParticipantRow, stage: str) -> None:
    person.stage, person.stage_since = stage, tx.now
