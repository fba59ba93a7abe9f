"""What people keep of a quick session: how its questions came out, under a link for a set time."""

from __future__ import annotations

import hashlib
import hmac

from sqlalchemy import select

from commonweal.study.domain.outcome import RoundOutcome, outcome_of, so_far
from commonweal.study.domain.quick import group_of
from commonweal.study.storage.tables import GroupRow, RoundRow
from commonweal.study.storage.transaction import Transaction

__all__ = [
    "RESULT_DAYS",
    "RoundOutcome",
    "group_of_result",
    "kept_until",
    "outcome_of",
    "outcomes_of",
    "result_token",
    "so_far",
]

RESULT_DAYS = 7
"""How long after the last question the link to the result works, where the session is served."""


def outcomes_of(tx: Transaction, group: GroupRow) -> list[RoundOutcome]:
    """How each question came out that the group is done with, in order: its last round."""
    last = {row.number: row for row in _ended(tx, group)}
    return [outcome_of(tx, row) for row in last.values()]


def kept_until(tx: Transaction, group: GroupRow) -> float | None:
    """Until when the link to the group's result works; None where there is no result yet."""
    ended = [row.ended_at for row in _ended(tx, group) if row.ended_at is not None]
    return ended[-1] + 86_400 * RESULT_DAYS if ended else None


def result_token(tx: Transaction, group: GroupRow) -> str:
    """The secret of the link to the group's result, which all of its people share: 80 bits, short
    enough for a code on a screen.

    Made from the hash of the facilitator's secret, which is in no page and no export.
    """
    key = (tx.study.facilitator_hash or "").encode()
    return hmac.new(key, f"result:{group.public_id}".encode(), hashlib.sha256).hexdigest()[:20]


def group_of_result(tx: Transaction, token: str) -> GroupRow | None:
    """The group whose result the link shows; None where it shows none."""
    group = group_of(tx)
    if group is None or not tx.study.facilitator_hash:
        return None
    given = token.encode("utf-8", "replace")
    return group if hmac.compare_digest(given, result_token(tx, group).encode()) else None


def _ended(tx: Transaction, group: GroupRow) -> list[RoundRow]:
    return list(
        tx.db.scalars(
            select(RoundRow)
            .where(RoundRow.group_id == group.id, RoundRow.ended_at.is_not(None))
            .order_by(RoundRow.number, RoundRow.revision)
        )
    )
