"""The queue of texts that a person decides on before others see them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select

from commonweal.study.domain import machine
from commonweal.study.storage.tables import Critique, Group, Minority, Opinion, Round, Statement
from commonweal.study.storage.transaction import Turn
from commonweal.study.writing.statements import replace_rejected

Text = Opinion | Critique | Statement | Minority


def waiting_texts(turn: Turn) -> list[tuple[str, Text, Group]]:
    """What waits for a person: ("opinion", "critique", "statement" or "minority", the row, its
    group), oldest first.

    What a group is past is decided: nothing of it was used, and nobody need look at it.
    """
    opinions = _held(turn, Opinion, ("opinions", "opinion_check"))
    critiques = _held(turn, Critique, ("critique", "critique_check"))
    statements = _held(turn, Statement, ("statement_check",), Statement.pick.is_not(None))
    return [
        *(("opinion", text, group) for text, group in opinions),
        *(("critique", text, group) for text, group in critiques),
        *(("statement", text, group) for text, group in statements),
        *(("minority", text, group) for text, group in _held(turn, Minority, ("statement_check",))),
    ]


def _held(
    turn: Turn,
    kind: type[Opinion] | type[Critique] | type[Statement] | type[Minority],
    stages: Sequence[str],
    *more: ColumnElement[bool],
) -> list[tuple[Text, Group]]:
    """Texts of one kind that wait, with their groups, where these are in such a stage."""
    found: Iterable[Any] = turn.db.execute(
        select(kind, Group)
        .join(Round, kind.round_id == Round.id)
        .join(Group, Round.group_id == Group.id)
        .where(
            Group.study_id == turn.study.id,
            Group.round_id == Round.id,
            Group.stage.in_(stages),
            kind.screening == "held",
            *more,
        )
        .order_by(kind.id)
    )
    return [(text, group) for text, group in found]


def decide(turn: Turn, kind: str, row_id: int, decision: str, *, actor: str) -> bool:
    """Whether a held text of this study was approved or rejected by this; a second time is not.

    In place of a rejected statement the next best is put into the queue.
    """
    if decision not in ("approved", "rejected"):
        return False
    for found_kind, row, group in waiting_texts(turn):
        if found_kind == kind and row.id == row_id:
            row.screening = decision
            turn.log(f"{kind} {decision}", actor=actor, group=group, id=row_id)
            if isinstance(row, Statement) and decision == "rejected":
                _show_another(turn, row, group)
            machine.advance(turn, group)
            return True
    return False


def _show_another(turn: Turn, rejected: Statement, group: Group) -> None:
    found = replace_rejected(turn, rejected)
    if found is not None:
        turn.log("statement replaced", group=group, id=rejected.id, by=found.id)
        turn.touch(group)
        turn.db.flush()
