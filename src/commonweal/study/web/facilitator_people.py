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
from commonweal.study.storage.tables import ParticipantRow
from commonweal.study.storage.transaction import Transaction
from commonweal.study.web.app import App
from commonweal.study.web.facilitator_texts import COOKIE, facilitator_of
from commonweal.study.web.request import PageRequest, endpoint

CROWD = 4
"""So many from one address, and more than from all others but those alike, are worth a look."""


def routes(app: App) -> list[Route]:
    """The addresses of these pages."""
    wrap = partial(endpoint, app, cookie=COOKIE)
    return [
        Route("/facilitator/people", wrap(people_page), methods=["GET"]),
        Route("/facilitator/people", wrap(decide), methods=["POST"]),
    ]


def people_page(request: PageRequest) -> Response:
    """Everybody who takes part or waits. A page for the facilitator alone."""
    with request.app.store.read() as db:
        tx = facilitator_of(request, request.app.reading(db))
        group = group_of(tx)
        networks, alone = _networks(request, tx)
        asked = request.http.query_params.get("sure", "")
        return request.page(
            "session_people.html.j2",
            networks=networks,
            alone=alone,
            n_people=sum(len(people) for _, people in networks) + len(alone),
            away=[each["seat"] for each in _all(networks, alone) if not each["is_here"]],
            has_begun=group is not None,
            sure=int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 0,
            is_shut=tx.study.is_shut,
            link=_link(request, tx),
            has_door=request.app.has_door,
        )


def decide(request: PageRequest) -> Response:
    """Removes somebody, or all of one address, or all who are away; shuts or opens the door."""
    with request.app.store.transaction(request.app.study_id) as tx:
        facilitator_of(request, tx)
        networks, alone = _networks(request, tx)
        what, value = request.text("what"), request.text("value")
        if what in ("shut", "open"):
            door.shut(tx, what == "shut", actor="facilitator")
        elif what == "code":
            door.change(tx, actor="facilitator")
        elif what == "person" and group_of(tx) is not None and request.text("sure") != "yes":
            return request.go(f"/facilitator/people?sure={value if value.isdigit() else 0}")
        else:
            # The seats that the button stood for: since then people came, went, or were removed.
            chosen = [each for each in _all(networks, alone) if str(each["seat"]) in value.split()]
            if what == "away":
                chosen = [each for each in chosen if not each["is_here"]]
            # Who is away while the group works may be on the way back: they are asked one by one.
            if what == "person" or (what in ("network", "away") and group_of(tx) is None):
                for each in chosen:
                    remove(tx, each["row"], actor="facilitator")
    return request.go("/facilitator/people")


def crowd(request: PageRequest, people: Sequence[ParticipantRow]) -> int:
    """How many of these came from one address, where that is odd: most others came alone. 0 where
    nothing is odd. In a room behind one address everybody comes from there.
    """
    came = Counter(request.app.came_from.get(person.id, "") for person in people)
    came.pop("", None)
    (most, *others) = sorted(came.values(), reverse=True) or [0]
    return most if most >= CROWD and others and most > 2 * max(others) else 0


def _networks(
    request: PageRequest, tx: Transaction
) -> tuple[list[tuple[str, list[dict[str, Any]]]], list[dict[str, Any]]]:
    """Those who came from one address together, the most first, each under a letter; and those who
    came alone, or of whom it is not known.
    """
    participants = tx.db.scalars(
        select(ParticipantRow)
        .where(
            ParticipantRow.study_id == tx.study.id,
            ParticipantRow.outcome.is_(None),
            ParticipantRow.stage.in_(("lobby", "group")),
        )
        .order_by(ParticipantRow.seat, ParticipantRow.id)
    )
    by_address: dict[str, list[dict[str, Any]]] = {}
    alone: list[dict[str, Any]] = []
    for person in participants:
        one = {
            "row": person,
            "seat": person.seat,
            "is_here": person.last_seen_at >= tx.now - ROOM_SECONDS,
            "joined_at": person.joined_at,
            "is_waiting": person.stage == "lobby",
        }
        address = request.app.came_from.get(person.id, "")
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


def _link(request: PageRequest, tx: Transaction) -> str:
    """The address to send to people who do not see the screen."""
    path = f"/join?code={door.link_code(tx)}" if request.app.has_door else "/join"
    return request.url(path)
