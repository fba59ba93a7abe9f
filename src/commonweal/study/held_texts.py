"""The queue of texts that a person decides on before others see them."""

from __future__ import annotations

from sqlalchemy import select

from commonweal.study import machine
from commonweal.study.statements import replace_rejected
from commonweal.study.store import Turn
from commonweal.study.tables import Critique, Group, Opinion, Round, Statement

Text = Opinion | Critique | Statement


def waiting_texts(turn: Turn) -> list[tuple[str, Text, Group]]:
    """What waits for a person: ("opinion", "critique" or "statement", the row, its group), oldest
    first.

    What a group is past is decided: nothing of it was used, and nobody need look at it.
    """
    db, study_id = turn.db, turn.study.id
    found: list[tuple[str, Text, Group]] = []
    for opinion, group in db.execute(
        select(Opinion, Group)
        .join(Round, Opinion.round_id == Round.id)
        .join(Group, Round.group_id == Group.id)
        .where(
            Group.study_id == study_id,
            Group.round_id == Round.id,
            Group.stage.in_(("opinions", "opinion_check")),
            Opinion.screening == "held",
        )
        .order_by(Opinion.id)
    ):
        found.append(("opinion", opinion, group))
    for critique, group in db.execute(
        select(Critique, Group)
        .join(Round, Critique.round_id == Round.id)
        .join(Group, Round.group_id == Group.id)
        .where(
            Group.study_id == study_id,
            Group.round_id == Round.id,
            Group.stage.in_(("critique", "critique_check")),
            Critique.screening == "held",
        )
        .order_by(Critique.id)
    ):
        found.append(("critique", critique, group))
    for statement, group in db.execute(
        select(Statement, Group)
        .join(Round, Statement.round_id == Round.id)
        .join(Group, Round.group_id == Group.id)
        .where(
            Group.study_id == study_id,
            Statement.screening == "held",
            Statement.pick.is_not(None),
            Group.round_id == Round.id,
            Group.stage == "statement_check",
        )
        .order_by(Statement.id)
    ):
        found.append(("statement", statement, group))
    return found


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
