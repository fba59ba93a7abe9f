"""The waiting room: groups are made of those who are there, first come first."""

from __future__ import annotations

from sqlalchemy import select

from commonweal.study import rounds
from commonweal.study.store import Turn, new_public_id
from commonweal.study.tables import Group, Participant

PRESENT_SECONDS = 90
"""Whoever was seen no longer ago than this is there: only they are put into a new group."""


def enter(turn: Turn, person: Participant) -> None:
    """Puts the person into the waiting room, and makes a group where there are enough."""
    person.group_id = None
    person.stage, person.stage_since = "lobby", turn.now
    turn.touch(None)
    turn.db.flush()
    match(turn)


def match(turn: Turn) -> None:
    """Makes groups of the people who wait, first come first; releases those whose time is up.

    At somebody's deadline a smaller group will do, down to the study's minimum.
    """
    settings = turn.config.group
    if settings.start == "facilitator":
        _release_lobby(turn)
        return
    while len(there := _there(turn)) >= settings.size:
        if not _found_group(turn, there[: settings.size]):
            break
    expired = turn.now - turn.config.timings_seconds.lobby
    if any(person.stage_since <= expired for person in there) and len(there) >= settings.minimum:
        _found_group(turn, there[: settings.size])
    _release_lobby(turn)


def start_by_facilitator(turn: Turn) -> bool:
    """Whether a group of everybody who waits was made, up to the study's size."""
    waiting = _waiting(turn)[: turn.config.group.size]
    return len(waiting) >= turn.config.group.minimum and _found_group(turn, waiting)


def _waiting(turn: Turn) -> list[Participant]:
    return list(
        turn.db.scalars(
            select(Participant)
            .where(
                Participant.study_id == turn.study.id,
                Participant.stage == "lobby",
                Participant.outcome.is_(None),
            )
            .order_by(Participant.stage_since, Participant.id)
        )
    )


def _there(turn: Turn) -> list[Participant]:
    """Those who wait and have the page open: somebody who is gone would hold a group up."""
    return [
        person for person in _waiting(turn) if person.last_seen_at >= turn.now - PRESENT_SECONDS
    ]


def _release_lobby(turn: Turn) -> None:
    for person in _waiting(turn):
        if person.stage_since <= turn.now - turn.config.timings_seconds.lobby:
            rounds.end(turn, person, "partial" if person.n_rounds_completed else "no_group")


def _found_group(turn: Turn, people: list[Participant]) -> bool:
    """Whether a group was made: there must be a question that none of them has had."""
    if not rounds.fresh_questions(turn, people):
        return False
    group = Group(
        study_id=turn.study.id,
        public_id=new_public_id("g"),
        stage="forming",
        stage_since=turn.now,
        deadline=turn.now,
        created_at=turn.now,
    )
    turn.db.add(group)
    turn.db.flush()
    for seat, person in enumerate(people, start=1):
        person.group_id, person.seat = group.id, seat
        person.stage, person.stage_since = "group", turn.now
        person.n_extensions = 0
    turn.log("group formed", group=group, n_people=len(people))
    turn.touch(None)
    turn.db.flush()
    rounds.next_round(turn, group)
    return True
