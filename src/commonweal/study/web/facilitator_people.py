"""Who is in a quick session: for the facilitator to see, to remove, and to shut the door."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import select
from starlette.responses import Response
from starlette.routing import Route

from commonweal.study.domain import door
from commonweal.study.domain.lobby import ROOM_SECONDS
from commonweal.study.domain.quick import group_of
from commonweal.study.domain.researchers import remove
from commonweal.study.storage.tables import Participant
from commonweal.study.storage.transaction import Turn
from commonweal.study.web.app import Site
from commonweal.study.web.facilitator_texts import COOKIE, facilitator_of
from commonweal.study.web.visit import Visit, endpoint

CROWD = 4
"""So many from one address, and more than from all others but those alike, are worth a look."""


def routes(site: Site) -> list[Route]:
    """The addresses of these pages."""
    wrap = partial(endpoint, site, cookie=COOKIE)
    return [
        Route("/facilitator/people", wrap(people_page), methods=["GET"]),
        Route("/facilitator/people", wrap(decide), methods=["POST"]),
    ]


def people_page(visit: Visit) -> Response:
    """Everybody who takes part or waits. A page for the facilitator alone."""
    with visit.site.store.read() as db:
        turn = facilitator_of(visit, visit.site.reading(db))
        group = group_of(turn)
        networks, alone = _networks(visit, turn)
        asked = visit.request.query_params.get("sure", "")
        return visit.page(
            "session_people.html.j2",
            networks=networks,
            alone=alone,
            n_people=sum(len(people) for _, people in networks) + len(alone),
            n_away=sum(not each["is_here"] for each in _all(networks, alone)),
            has_begun=group is not None,
            sure=int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 0,
            is_shut=turn.study.is_shut,
            link=_link(visit, turn),
            has_door=visit.site.has_door,
        )


def decide(visit: Visit) -> Response:
    """Removes somebody, or all of one address, or all who are away; shuts or opens the door."""
    with visit.site.store.turn(visit.site.study_id) as turn:
        facilitator_of(visit, turn)
        networks, alone = _networks(visit, turn)
        what, value = visit.text("what"), visit.text("value")
        if what in ("shut", "open"):
            door.shut(turn, what == "shut", actor="facilitator")
        elif what == "code":
            door.change(turn, actor="facilitator")
        elif what == "person" and group_of(turn) is not None and visit.text("sure") != "yes":
            return visit.go(f"/facilitator/people?sure={value if value.isdigit() else 0}")
        else:
            chosen = {
                "person": [each for each in _all(networks, alone) if str(each["seat"]) == value],
                "network": [each for name, found in networks if name == value for each in found],
                "away": [each for each in _all(networks, alone) if not each["is_here"]],
            }.get(what, [])
            # Who is away while the group works may be on the way back: they are asked one by one.
            if what == "person" or group_of(turn) is None:
                for each in chosen:
                    remove(turn, each["row"], actor="facilitator")
    return visit.go("/facilitator/people")


def crowd(visit: Visit, people: Sequence[Participant]) -> int:
    """How many of these came from one address, where that is odd: most others came alone. 0 where
    nothing is odd. In a room behind one address everybody comes from there.
    """
    came = Counter(visit.site.came_from.get(person.id, "") for person in people)
    came.pop("", None)
    (most, *others) = sorted(came.values(), reverse=True) or [0]
    return most if most >= CROWD and others and most > 2 * max(others) else 0


def _networks(
    visit: Visit, turn: Turn
) -> tuple[list[tuple[str, list[dict[str, Any]]]], list[dict[str, Any]]]:
    """Those who came from one address together, the most first, each under a letter; and those who
    came alone, or of whom it is not known.
    """
    found = turn.db.scalars(
        select(Participant)
        .where(
            Participant.study_id == turn.study.id,
            Participant.outcome.is_(None),
            Participant.stage.in_(("lobby", "group")),
        )
        .order_by(Participant.seat, Participant.id)
    )
    by_address: dict[str, list[dict[str, Any]]] = {}
    alone: list[dict[str, Any]] = []
    for person in found:
        one = {
            "row": person,
            "seat": person.seat,
            "is_here": person.last_seen_at >= turn.now - ROOM_SECONDS,
            "joined_at": person.joined_at,
            "is_waiting": person.stage == "lobby",
        }
        address = visit.site.came_from.get(person.id, "")
        (by_address.setdefault(address, []) if address else alone).append(one)
    together = sorted(by_address.values(), key=lambda people: (-len(people), people[0]["seat"]))
    alone += [people[0] for people in together if len(people) == 1]
    several = [people for people in together if len(people) > 1]
    return (
        [(_letter(n), people) for n, people in enumerate(several)],
        sorted(alone, key=lambda each: each["seat"]),
    )


def _all(
    networks: Sequence[tuple[str, list[dict[str, Any]]]], alone: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    return [*(each for _, people in networks for each in people), *alone]


def _letter(n: int) -> str:
    """A, B, ..., Z, A1, B1, ..."""
    return f"{chr(ord('A') + n % 26)}{n // 26 or ''}"


def _link(visit: Visit, turn: Turn) -> str:
    """The address to send to people who do not see the screen."""
    path = f"/join?code={door.link_code(turn)}" if visit.site.has_door else "/join"
    return visit.url(path)
