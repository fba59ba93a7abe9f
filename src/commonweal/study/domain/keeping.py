"""What people keep of a quick session: how its questions came out, under a link for a set time."""

from __future__ import annotations

import hashlib
import hmac

from sqlalchemy import select

from commonweal.study.domain.outcome import Outcome, outcome_of, so_far
from commonweal.study.domain.quick import group_of
from commonweal.study.storage.tables import Group, Round
from commonweal.study.storage.transaction import Turn

__all__ = [
    "RESULT_DAYS",
    "Outcome",
    "group_of_result",
    "kept_until",
    "outcome_of",
    "outcomes_of",
    "result_token",
    "so_far",
]

RESULT_DAYS = 7
"""How long after the last question the link to the result works, where the session is served."""


def outcomes_of(turn: Turn, group: Group) -> list[Outcome]:
    """How each question came out that the group is done with, in order: its last round."""
    last = {row.number: row for row in _ended(turn, group)}
    return [outcome_of(turn, row) for row in last.values()]


def kept_until(turn: Turn, group: Group) -> float | None:
    """Until when the link to the group's result works; None where there is no result yet."""
    ended = [row.ended_at for row in _ended(turn, group) if row.ended_at is not None]
    return ended[-1] + 86_400 * RESULT_DAYS if ended else None


def result_token(turn: Turn, group: Group) -> str:
    """The secret of the link to the group's result, which all of its people share: 80 bits, short
    enough for a code on a screen.

    Made from the hash of the facilitator's secret, which is in no page and no export.
    """
    key = (turn.study.facilitator_hash or "").encode()
    return hmac.new(key, f"result:{group.public_id}".encode(), hashlib.sha256).hexdigest()[:20]


def group_of_result(turn: Turn, token: str) -> Group | None:
    """The group whose result the link shows; None where it shows none."""
    group = group_of(turn)
    if group is None or not turn.study.facilitator_hash:
        return None
    given = token.encode("utf-8", "replace")
    return group if hmac.compare_digest(given, result_token(turn, group).encode()) else None


def _ended(turn: Turn, group: Group) -> list[Round]:
    return list(
        turn.db.scalars(
            select(Round)
            .where(Round.group_id == group.id, Round.ended_at.is_not(None))
            .order_by(Round.number, Round.revision)
        )
    )
