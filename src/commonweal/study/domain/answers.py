"""What people submit in a round. Each names what it answers; what is not asked now changes nothing.

So a form sent twice, from a second tab, or from a page that the browser kept, does no harm.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Boolean, bindparam, func, select, update
from sqlalchemy.orm import Session

from commonweal.study.domain import machine
from commonweal.study.domain.screening import flags_of, screen_opinion
from commonweal.study.storage.tables import (
    CritiqueRow,
    DraftRow,
    GroupRow,
    MemberRow,
    OpinionRow,
    ParticipantRow,
    PresentationRow,
    RatingRow,
    StatementRow,
)
from commonweal.study.storage.transaction import Transaction
from commonweal.types import RATING_MAX, RATING_MIN

MAX_CHANGES = 10**6
"""Nobody changes an answer more often; what a page's script says beyond it is not kept."""
# What every page asks is put together once, here and in the files beside: that takes longer than
# the answer of the database.
_NEXT = (
    select(PresentationRow, StatementRow)  # the statement is read with it: it is what comes next
    .outerjoin(RatingRow)
    .outerjoin(StatementRow)
    .where(
        PresentationRow.round_id == bindparam("round_id"),
        PresentationRow.participant_id == bindparam("participant_id"),
        RatingRow.presentation_id.is_(None),
        (PresentationRow.pass_index < 0) == bindparam("of_position", type_=Boolean),
    )
    .order_by(PresentationRow.pass_index, PresentationRow.place)
    .limit(1)
)
_SHOWN = (
    update(PresentationRow)
    .where(PresentationRow.id == bindparam("shown"), PresentationRow.shown_at.is_(None))
    .values(shown_at=bindparam("now"))
)
_RESULT_SHOWN = (
    update(MemberRow)
    .where(
        MemberRow.round_id == bindparam("round"),
        MemberRow.participant_id == bindparam("participant"),
        MemberRow.result_shown_at.is_(None),
    )
    .values(result_shown_at=bindparam("now"))
)


@dataclass(frozen=True, slots=True)
class Handled:
    """How an answer came, as the page's script saw it; None without a script."""

    first_input_at: float | None = None
    n_changes: int | None = None


def clean(text: str) -> str:
    """The text with plain line ends, without control characters, blanks at its ends and what no
    database can hold.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(c if c in "\n\t" or c.isprintable() or ord(c) > 159 else " " for c in lines)
    return kept.encode("utf-8", "replace").decode("utf-8").strip()


def next_presentation(tx: Transaction, person: ParticipantRow) -> PresentationRow | None:
    """What the person is to rate now: the position statement, or a statement of the first pass,
    then of the second; None where nothing is left.
    """
    group = _group(tx, person)
    if group is None or group.stage not in ("opinions", "rating"):
        return None
    asked = {"round_id": group.round_id, "participant_id": person.id}
    asked["of_position"] = group.stage == "opinions"
    following = tx.db.execute(_NEXT, asked).one_or_none()
    return following[0] if following else None


def show(db: Session, shown: PresentationRow | MemberRow, now: float) -> None:
    """Notes when what a person is to rate, or their round's result, was first shown to them.

    Where somebody noted it meanwhile, or the person is gone, nothing changes: so the study need not
    be held.
    """
    if isinstance(shown, PresentationRow):
        db.connection().execute(_SHOWN, {"shown": shown.id, "now": now})
    else:
        key = {"round": shown.round_id, "participant": shown.participant_id}
        db.connection().execute(_RESULT_SHOWN, key | {"now": now})


def rate(
    tx: Transaction,
    person: ParticipantRow,
    presentation_id: int | None,
    agreement: int | None,
    quality: int | None,
    handled: Handled | None = None,
) -> str | None:
    """What is wrong with the rating: "not_asked" where it is not for what the person is shown now,
    "missing" or (of a position statement) "missing_one" where it is not whole; None where it was
    kept.
    """
    handled = handled or Handled()
    group, asked = _group(tx, person), next_presentation(tx, person)
    if group is None or asked is None or asked.id != presentation_id or asked.shown_at is None:
        return "not_asked"
    wants_quality = asked.pass_index >= 0
    for value in (agreement, quality) if wants_quality else (agreement,):
        if value is None or not RATING_MIN <= value <= RATING_MAX:
            return "missing" if wants_quality else "missing_one"
    first = handled.first_input_at
    tx.db.add(
        RatingRow(
            presentation_id=asked.id,
            agreement=agreement,
            quality=quality if wants_quality else None,
            shown_at=asked.shown_at,
            # A browser's clock may be wrong by anything: only what is possible is kept.
            first_input_at=first if first and asked.shown_at <= first <= tx.now else None,
            submitted_at=tx.now,
            n_changes=_possible_count(handled.n_changes),
        )
    )
    tx.db.flush()
    # The others see who is done, not how far somebody is: their pages need not look again.
    if next_presentation(tx, person) is None:
        tx.touch(group)
    machine.advance(tx, group)
    return None


def save_draft(tx: Transaction, person: ParticipantRow, round_id: int, text: str) -> bool:
    """Whether nothing is lost: the person is writing in this round and the draft was kept, or the
    text was sent while its last draft was still under way.
    """
    if not _is_writing(tx, person, round_id, None):
        return _has_written(tx, person, round_id)
    text = text.encode("utf-8", "replace").decode().replace("\x00", " ")[:20_000]
    draft = tx.db.get(DraftRow, (round_id, person.id))
    if draft is None:
        tx.db.add(DraftRow(round_id=round_id, participant_id=person.id, text=text, saved_at=tx.now))
    else:
        draft.text, draft.saved_at = text, tx.now
    return True


def write_opinion(
    tx: Transaction,
    person: ParticipantRow,
    round_id: int,
    text: str,
    flags: list[str] | None = None,
) -> str | None:
    """What is wrong with the opinion ("too_short", "too_long"), or "not_asked"; None where it was
    kept. One of the wrong length stays as a draft.

    Args:
        tx: the transaction.
        person: who wrote it.
        round_id: the round that it was written for.
        text: as it was sent.
        flags: what the screen found in ``clean(text)``, where it was asked before the transaction:
            everybody waits for that.
    """
    if not _is_writing(tx, person, round_id):
        return "not_asked"
    text = clean(text)
    limits = tx.config.opinion
    if not limits.min_characters <= len(text) <= limits.max_characters:
        save_draft(tx, person, round_id, text)
        return "too_short" if len(text) < limits.min_characters else "too_long"
    # A number at random, and not the next: those who watched would know who sent first.
    taken = {
        int(name[1:])
        for name in tx.db.scalars(select(OpinionRow.name).where(OpinionRow.round_id == round_id))
    }
    members = select(func.count()).select_from(MemberRow).where(MemberRow.round_id == round_id)
    n_names = max(tx.db.scalar(members) or 0, len(taken) + 1)
    number = secrets.choice([n for n in range(1, n_names + 1) if n not in taken])
    flags = flags_of(text) if flags is None else flags
    tx.db.add(
        OpinionRow(
            round_id=round_id,
            participant_id=person.id,
            name=f"o{number}",
            text=text,
            submitted_at=tx.now,
            screening=screen_opinion(tx.config, flags),
            flags=flags,
        )
    )
    _sent(tx, person, round_id)
    return None


def write_critique(
    tx: Transaction,
    person: ParticipantRow,
    round_id: int,
    text: str,
    flags: list[str] | None = None,
) -> str | None:
    """What is wrong with the critique ("too_long"), or "not_asked"; None where it was kept.

    Args:
        tx: the transaction.
        person: who wrote it.
        round_id: the round that it was written for.
        text: as it was sent; a blank one says that they would change nothing.
        flags: as of ``write_opinion``.
    """
    if not _is_writing(tx, person, round_id, "critique"):
        return "not_asked"
    text = clean(text)
    if len(text) > tx.config.opinion.max_characters:
        save_draft(tx, person, round_id, text)
        return "too_long"
    flags = flags_of(text) if flags is None else flags
    tx.db.add(
        CritiqueRow(
            round_id=round_id,
            participant_id=person.id,
            text=text,
            submitted_at=tx.now,
            screening=screen_opinion(tx.config, flags),
            flags=flags,
        )
    )
    _sent(tx, person, round_id)
    return None


def _sent(tx: Transaction, person: ParticipantRow, round_id: int) -> None:
    """What was sent needs no draft any more, and may be the last that the group waits for."""
    draft = tx.db.get(DraftRow, (round_id, person.id))
    if draft is not None:
        tx.db.delete(draft)
    _moved(tx, tx.db.get_one(GroupRow, person.group_id))


def leave_result(tx: Transaction, person: ParticipantRow, round_id: int) -> bool:
    """Whether the person has now read this round's result."""
    group = _group(tx, person)
    if group is None or group.stage != "result" or group.round_id != round_id:
        return False
    member = tx.db.get(MemberRow, (round_id, person.id))
    if member is None or member.result_left_at is not None:
        return False
    member.result_left_at = tx.now
    _moved(tx, group)
    return True


def _possible_count(n: int | None) -> int | None:
    return n if n is not None and 0 <= n <= MAX_CHANGES else None


def _is_writing(
    tx: Transaction, person: ParticipantRow, round_id: int, stage: str | None = "opinions"
) -> bool:
    """Whether the person is asked for a text in this round; ``stage`` None is either kind."""
    group = _group(tx, person)
    return (
        group is not None
        and group.round_id == round_id
        and group.stage in (("opinions", "critique") if stage is None else (stage,))
        and next_presentation(tx, person) is None
        and not _has_written(tx, person, round_id)
    )


def _has_written(tx: Transaction, person: ParticipantRow, round_id: int) -> bool:
    return any(
        tx.db.scalar(
            select(kind.id).where(kind.round_id == round_id, kind.participant_id == person.id)
        )
        is not None
        for kind in (OpinionRow, CritiqueRow)
    )


def _group(tx: Transaction, person: ParticipantRow) -> GroupRow | None:
    if person.outcome is not None or person.group_id is None:
        return None
    return tx.db.get_one(GroupRow, person.group_id)


def _moved(tx: Transaction, group: GroupRow) -> None:
    tx.touch(group)
    machine.advance(tx, group)
