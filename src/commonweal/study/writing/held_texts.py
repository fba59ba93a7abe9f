"""The queue of texts that a person decides on before others see them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select

from commonweal.study.domain import machine
from commonweal.study.storage.tables import (
    CritiqueRow,
    GroupRow,
    MinorityRow,
    OpinionRow,
    RoundRow,
    StatementRow,
)
from commonweal.study.storage.transaction import Transaction
from commonweal.study.writing.statements import replace_rejected

Text = OpinionRow | CritiqueRow | StatementRow | MinorityRow


def waiting_texts(tx: Transaction) -> list[tuple[str, Text, GroupRow]]:
    """What waits for a person: ("opinion", "critique", "statement" or "minority", the row, its
    group), oldest first.

    What a group is past is decided: nothing of it was used, and nobody need look at it.
    """
    opinions = _held(tx, OpinionRow, ("opinions", "opinion_check"))
    critiques = _held(tx, CritiqueRow, ("critique", "critique_check"))
    statements = _held(tx, StatementRow, ("statement_check",), StatementRow.pick.is_not(None))
    return [
        *(("opinion", text, group) for text, group in opinions),
        *(("critique", text, group) for text, group in critiques),
        *(("statement", text, group) for text, group in statements),
        *(
            ("minority", text, group)
            for text, group in _held(tx, MinorityRow, ("statement_check",))
        ),
    ]


def _held(
    tx: Transaction,
    kind: type[OpinionRow] | type[CritiqueRow] | type[StatementRow] | type[MinorityRow],
    stages: Sequence[str],
    *more: ColumnElement[bool],
) -> list[tuple[Text, GroupRow]]:
    """Texts of one kind that wait, with their groups, where these are in such a stage."""
    held: Iterable[Any] = tx.db.execute(
        select(kind, GroupRow)
        .join(RoundRow, kind.round_id == RoundRow.id)
        .join(GroupRow, RoundRow.group_id == GroupRow.id)
        .where(
            GroupRow.study_id == tx.study.id,
            GroupRow.round_id == RoundRow.id,
            GroupRow.stage.in_(stages),
            kind.screening == "held",
            *more,
        )
        .order_by(kind.id)
    )
    return [(text, group) for text, group in held]


def decide(tx: Transaction, kind: str, row_id: int, decision: str, *, actor: str) -> bool:
    """Whether a held text of this study was approved or rejected by this; a second time is not.

    In place of a rejected statement the next best is put into the queue.
    """
    if decision not in ("approved", "rejected"):
        return False
    for found_kind, row, group in waiting_texts(tx):
        if found_kind == kind and row.id == row_id:
            row.screening = decision
            tx.log(f"{kind} {decision}", actor=actor, group=group, id=row_id)
            if isinstance(row, StatementRow) and decision == "rejected":
                _show_another(tx, row, group)
            machine.advance(tx, group)
            return True
    return False


def _show_another(tx: Transaction, rejected: StatementRow, group: GroupRow) -> None:
    replacement = replace_rejected(tx, rejected)
    if replacement is not None:
        tx.log("statement replaced", group=group, id=rejected.id, by=replacement.id)
        tx.touch(group)
        tx.db.flush()
