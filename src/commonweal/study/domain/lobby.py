"""The waiting room: groups are made of those who are there, first come first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import bindparam, func, select

from commonweal.study.domain import rounds
from commonweal.study.storage.tables import GroupRow, ParticipantRow, RoundRow
from commonweal.study.storage.tokens import new_public_id
from commonweal.study.storage.transaction import Transaction

PRESENT_SECONDS = 90
"""Whoever was seen no longer ago than this is there: only they are put into a new group."""
ROOM_SECONDS = 45
"""The same where a facilitator begins: a page that is open is seen every 15 seconds."""

# Asked by every look of who waits: put together once.
_WAITING = (
    select(ParticipantRow)
    .where(
        ParticipantRow.study_id == bindparam("study"),
        ParticipantRow.stage == "lobby",
        ParticipantRow.outcome.is_(None),
    )
    .order_by(
        (ParticipantRow.n_rounds_entered > ParticipantRow.n_rounds_completed).desc(),  # was left
        ParticipantRow.stage_since,
        ParticipantRow.id,
    )
)


def enter(tx: Transaction, person: ParticipantRow) -> None:
    """Puts the person into the waiting room, and makes a group where there are enough."""
    person.group_id = None
    person.stage, person.stage_since = "lobby", tx.now
    if tx.study.kind == "quick":
        # What the phone and the facilitator's list say while people wait stays theirs.
        last = select(func.max(ParticipantRow.seat)).where(ParticipantRow.study_id == tx.study.id)
        person.seat = (tx.db.scalar(last) or 0) + 1
    tx.touch(None)
    tx.db.flush()
    match(tx)


def match(tx: Transaction) -> None:
    """Makes groups of the people who wait, first come first; releases those whose time is up.

    At somebody's deadline a smaller group will do, down to the study's minimum.
    """
    settings = tx.config.group
    if settings.start == "full":
        expired = tx.now - tx.config.timings_seconds.lobby
        there = _there(tx)  # in each of the groups too
        while people := _matching(tx, there, settings.size, since=tx.now):
            _make_group(tx, people)
            there = _there(tx)
        while people := _matching(tx, there, settings.minimum, since=expired):
            _make_group(tx, people)
            there = _there(tx)
    _release_lobby(tx)


def in_the_room(tx: Transaction) -> list[ParticipantRow]:
    """Those who wait with the page open, whoever came first first."""
    since = tx.now - ROOM_SECONDS
    return [person for person in _waiting(tx) if person.last_seen_at >= since]


def start_by_facilitator(tx: Transaction, addresses: Mapping[int, str] | None = None) -> bool:
    """Whether a group of everybody who is there was made, up to the study's size.

    Args:
        tx: the transaction.
        addresses: where each person, by id, came from, as far as that is known. Of more people than
            there is room for one of each address is taken, then a second one, and so on: somebody
            who joins fifty times takes nobody's place.
    """
    there = in_the_room(tx)
    came: Counter[str] = Counter()
    place = {}
    for person in there:
        address = (addresses or {}).get(person.id, "")
        place[person.id] = came[address]
        came[address] += 1
    there.sort(key=lambda person: place[person.id])  # stable: who came first stays first
    chosen = there[: tx.config.group.size]
    if len(chosen) < tx.config.group.minimum:
        return False
    _make_group(tx, sorted(chosen, key=lambda person: person.seat))
    return True


def come_back(tx: Transaction, person: ParticipantRow) -> bool:
    """Whether the person, whose phone slept when the facilitator began, was let in after all: while
    the group still writes on its first question.
    """
    if tx.study.kind != "quick" or person.stage != "lobby" or person.outcome is not None:
        return False
    group = tx.db.scalars(select(GroupRow).where(GroupRow.study_id == tx.study.id)).first()
    if group is None or group.stage != "opinions" or person.stage_since >= group.created_at:
        return False
    row = tx.db.get_one(RoundRow, group.round_id)
    n_there = len(rounds.active(tx, group))
    if row.number != 1 or n_there >= tx.config.group.size:
        return False
    person.group_id = group.id
    person.stage, person.stage_since = "group", tx.now
    rounds.enter(tx, row, person)
    tx.log("came back", actor="participant", group=group, person=person)
    tx.touch(group)
    tx.db.flush()
    return True


def _matching(
    tx: Transaction, there: list[ParticipantRow], n: int, *, since: float
) -> list[ParticipantRow]:
    """At least ``n`` of these people, one of whom waits since then or longer, and a question that
    none of them has had; of all such groups the first come first served. Empty without one.

    Who has had what the others lack must not hold them up: people are taken question by question.
    """
    if len(there) < n or min(person.stage_since for person in there) > since:
        return []
    had = rounds.questions_had(tx, there)
    size = tx.config.group.size
    groups: list[list[int]] = []
    for question in tx.config.questions:
        places = [i for i, person in enumerate(there) if (person.id, question.key) not in had]
        if len(places) >= n and any(there[i].stage_since <= since for i in places[:size]):
            groups.append(places[:size])
    # Of two groups that begin alike the larger.
    best = min(groups, key=lambda places: [*places, len(there)], default=[])
    return [there[place] for place in best]


def _waiting(tx: Transaction) -> list[ParticipantRow]:
    """Who waits: who was left by others before all who came later, then who waits longest."""
    return list(tx.db.scalars(_WAITING, {"study": tx.study.id}))


def _there(tx: Transaction) -> list[ParticipantRow]:
    """Those who wait and have the page open: somebody who is gone would hold a group up."""
    return [person for person in _waiting(tx) if person.last_seen_at >= tx.now - PRESENT_SECONDS]


def _release_lobby(tx: Transaction) -> None:
    for person in _waiting(tx):
        if person.stage_since <= tx.now - tx.config.timings_seconds.lobby:
            # Whoever was in a group before did a part, also where it fell short in the first round.
            rounds.end(tx, person, "partial" if person.n_rounds_entered else "no_group")


def _make_group(tx: Transaction, people: list[ParticipantRow]) -> None:
    group = GroupRow(
        study_id=tx.study.id,
        public_id=new_public_id("g"),
        stage="forming",
        stage_since=tx.now,
        deadline=tx.now,
        created_at=tx.now,
    )
    tx.db.add(group)
    tx.db.flush()
    for seat, person in enumerate(people, start=1):
        person.group_id = group.id
        if tx.study.kind != "quick":
            person.seat = seat
        person.stage, person.stage_since = "group", tx.now
        person.n_extensions = 0
    tx.log("group formed", group=group, n_people=len(people))
    tx.touch(None)
    tx.db.flush()
    rounds.next_round(tx, group)
