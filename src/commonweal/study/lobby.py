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
    if settings.start == "full":
        expired = turn.now - turn.config.timings_seconds.lobby
        while people := _matching(turn, settings.size, since=turn.now):
            _make_group(turn, people)
        while people := _matching(turn, settings.minimum, since=expired):
            _make_group(turn, people)
    _release_lobby(turn)


def start_by_facilitator(turn: Turn) -> bool:
    """Whether a group of everybody who waits was made, up to the study's size."""
    waiting = _waiting(turn)[: turn.config.group.size]
    if len(waiting) < turn.config.group.minimum:
        return False
    _make_group(turn, waiting)
    return True


def _matching(turn: Turn, n: int, *, since: float) -> list[Participant]:
    """At least ``n`` people, one of whom waits since then or longer, and a question that none of
    them has had; of all such groups the one that is first come first served. Empty without one.

    Who has had what the others lack must not hold them up: people are taken question by question.
    """
    there = _there(turn)  # in each of the groups too
    if len(there) < n or min(person.stage_since for person in there) > since:
        return []
    had = rounds.questions_had(turn, there)
    size = turn.config.group.size
    found: list[list[int]] = []
    for question in turn.config.questions:
        places = [i for i, person in enumerate(there) if (person.id, question.key) not in had]
        if len(places) >= n and any(there[i].stage_since <= since for i in places[:size]):
            found.append(places[:size])
    # Of two groups that begin alike the larger.
    best = min(found, key=lambda places: [*places, len(there)], default=[])
    return [there[place] for place in best]


def _waiting(turn: Turn) -> list[Participant]:
    """Who waits: who was left by others before all who came later, then who waits longest."""
    was_left = Participant.n_rounds_entered > Participant.n_rounds_completed
    return list(
        turn.db.scalars(
            select(Participant)
            .where(
                Participant.study_id == turn.study.id,
                Participant.stage == "lobby",
                Participant.outcome.is_(None),
            )
            .order_by(was_left.desc(), Participant.stage_since, Participant.id)
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
            # Whoever was in a group before did a part, also where it fell short in the first round.
            rounds.end(turn, person, "partial" if person.n_rounds_entered else "no_group")


def _make_group(turn: Turn, people: list[Participant]) -> None:
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
