"""The waiting room: groups are made of those who are there, first come first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import bindparam, func, select

from commonweal.study.domain import rounds
from commonweal.study.storage.tables import Group, Participant, Round
from commonweal.study.storage.tokens import new_public_id
from commonweal.study.storage.transaction import Turn

PRESENT_SECONDS = 90
"""Whoever was seen no longer ago than this is there: only they are put into a new group."""
ROOM_SECONDS = 45
"""The same where a facilitator begins: a page that is open is seen every 15 seconds."""

# Asked by every look of who waits: put together once.
_WAITING = (
    select(Participant)
    .where(
        Participant.study_id == bindparam("study"),
        Participant.stage == "lobby",
        Participant.outcome.is_(None),
    )
    .order_by(
        (Participant.n_rounds_entered > Participant.n_rounds_completed).desc(),  # was left
        Participant.stage_since,
        Participant.id,
    )
)


def enter(turn: Turn, person: Participant) -> None:
    """Puts the person into the waiting room, and makes a group where there are enough."""
    person.group_id = None
    person.stage, person.stage_since = "lobby", turn.now
    if turn.study.kind == "quick":
        # What the phone and the facilitator's list say while people wait stays theirs.
        last = select(func.max(Participant.seat)).where(Participant.study_id == turn.study.id)
        person.seat = (turn.db.scalar(last) or 0) + 1
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
        there = _there(turn)  # in each of the groups too
        while people := _matching(turn, there, settings.size, since=turn.now):
            _make_group(turn, people)
            there = _there(turn)
        while people := _matching(turn, there, settings.minimum, since=expired):
            _make_group(turn, people)
            there = _there(turn)
    _release_lobby(turn)


def in_the_room(turn: Turn) -> list[Participant]:
    """Those who wait with the page open, whoever came first first."""
    since = turn.now - ROOM_SECONDS
    return [person for person in _waiting(turn) if person.last_seen_at >= since]


def start_by_facilitator(turn: Turn, addresses: Mapping[int, str] | None = None) -> bool:
    """Whether a group of everybody who is there was made, up to the study's size.

    Args:
        turn: the transaction.
        addresses: where each person, by id, came from, as far as that is known. Of more people than
            there is room for one of each address is taken, then a second one, and so on: somebody
            who joins fifty times takes nobody's place.
    """
    there = in_the_room(turn)
    came: Counter[str] = Counter()
    place = {}
    for person in there:
        address = (addresses or {}).get(person.id, "")
        place[person.id] = came[address]
        came[address] += 1
    there.sort(key=lambda person: place[person.id])  # stable: who came first stays first
    chosen = there[: turn.config.group.size]
    if len(chosen) < turn.config.group.minimum:
        return False
    _make_group(turn, sorted(chosen, key=lambda person: person.seat))
    return True


def come_back(turn: Turn, person: Participant) -> bool:
    """Whether the person, whose phone slept when the facilitator began, was let in after all: while
    the group still writes on its first question.
    """
    if turn.study.kind != "quick" or person.stage != "lobby" or person.outcome is not None:
        return False
    group = turn.db.scalars(select(Group).where(Group.study_id == turn.study.id)).first()
    if group is None or group.stage != "opinions" or person.stage_since >= group.created_at:
        return False
    row = turn.db.get_one(Round, group.round_id)
    n_there = len(rounds.active(turn, group))
    if row.number != 1 or n_there >= turn.config.group.size:
        return False
    person.group_id = group.id
    person.stage, person.stage_since = "group", turn.now
    rounds.enter(turn, row, person)
    turn.log("came back", actor="participant", group=group, person=person)
    turn.touch(group)
    turn.db.flush()
    return True


def _matching(turn: Turn, there: list[Participant], n: int, *, since: float) -> list[Participant]:
    """At least ``n`` of these people, one of whom waits since then or longer, and a question that
    none of them has had; of all such groups the first come first served. Empty without one.

    Who has had what the others lack must not hold them up: people are taken question by question.
    """
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
    return list(turn.db.scalars(_WAITING, {"study": turn.study.id}))


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
        person.group_id = group.id
        if turn.study.kind != "quick":
            person.seat = seat
        person.stage, person.stage_since = "group", turn.now
        person.n_extensions = 0
    turn.log("group formed", group=group, n_people=len(people))
    turn.touch(None)
    turn.db.flush()
    rounds.next_round(turn, group)
