"""What is held back before others see it: an automatic screen, then people."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources

from sqlalchemy import select

from commonweal.study import machine
from commonweal.study.config import StudyConfig
from commonweal.study.store import Turn
from commonweal.study.tables import Group, Opinion, Round, Statement


def flags_of(text: str) -> list[str]:
    """The names of what the screen finds in a text (``screen.toml``), each once."""
    return [name for name, patterns in _rules() if any(each.search(text) for each in patterns)]


def screen_opinion(config: StudyConfig, flags: list[str]) -> str:
    """Whether an opinion may go into a prompt: clear, rejected, or held for a person."""
    if not flags or config.moderation.mode == "off":
        return "clear"
    return "rejected" if config.moderation.mode == "automatic" else "held"


def screen_statement(config: StudyConfig, flags: list[str]) -> str:
    """Whether a statement may be shown: clear, rejected, or held for a person."""
    if config.moderation.mode == "review":
        return "held"
    return "rejected" if flags and config.moderation.mode == "automatic" else "clear"


def waiting_texts(turn_or_db: Turn) -> list[tuple[str, Opinion | Statement, Group]]:
    """What waits for a person: ("opinion" or "statement", the row, its group), oldest first."""
    db, study_id = turn_or_db.db, turn_or_db.study.id
    found: list[tuple[str, Opinion | Statement, Group]] = []
    for opinion, group in db.execute(
        select(Opinion, Group)
        .join(Round, Opinion.round_id == Round.id)
        .join(Group, Round.group_id == Group.id)
        .where(Group.study_id == study_id, Opinion.screening == "held")
        .order_by(Opinion.id)
    ):
        found.append(("opinion", opinion, group))
    for statement, group in db.execute(
        select(Statement, Group)
        .join(Round, Statement.round_id == Round.id)
        .join(Group, Round.group_id == Group.id)
        .where(
            Group.study_id == study_id,
            Statement.screening == "held",
            Statement.pick.is_not(None),
            Group.stage == "statement_check",
        )
        .order_by(Statement.id)
    ):
        found.append(("statement", statement, group))
    return found


def decide(turn: Turn, kind: str, row_id: int, decision: str, *, actor: str) -> bool:
    """Whether a held text of this study was approved or rejected by this; a second time is not."""
    if decision not in ("approved", "rejected"):
        return False
    for found_kind, row, group in waiting_texts(turn):
        if found_kind == kind and row.id == row_id:
            row.screening = decision
            turn.log(f"{kind} {decision}", actor=actor, group=group, id=row_id)
            machine.advance(turn, group)
            return True
    return False


@cache
def _rules() -> tuple[tuple[str, tuple[re.Pattern[str], ...]], ...]:
    text = (resources.files("commonweal.study") / "screen.toml").read_text(encoding="utf-8")
    return tuple(
        (flag["name"], tuple(re.compile(each, re.IGNORECASE) for each in flag["patterns"]))
        for flag in tomllib.loads(text)["flags"]
    )
