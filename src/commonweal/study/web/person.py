"""Whose page it is, and a page that says one thing."""

from __future__ import annotations

from starlette.responses import Response

from commonweal.study.domain import people
from commonweal.study.storage.tables import Participant
from commonweal.study.storage.transaction import Turn
from commonweal.study.web.visit import RefusedError, Visit, csrf_of

COOKIE = "cw_here"
DONE_COOKIE = "cw_done"
"""Says that this browser has shown the end of a part, so that its hour is not begun anew."""
DONE_SECONDS = 3600
"""How long a browser knows a person once it has shown them the end: others may use it."""


def person_of(visit: Visit, turn: Turn) -> Participant:
    """The participant whose cookie it is.

    Raises:
        RefusedError: nobody's.
    """
    person = people.of_cookie(turn, visit.token)
    if person is None:
        raise RefusedError(401, "link.lost")
    if person.consented_at is not None:
        visit.language = person.language
    if person.outcome is not None:
        _soon_forgotten(visit)
    return person


def _soon_forgotten(visit: Visit) -> None:
    mark = csrf_of(f"done {visit.token}")
    if visit.request.cookies.get(DONE_COOKIE) != mark:
        visit.set_cookie(COOKIE, visit.token, seconds=DONE_SECONDS)
        visit.set_cookie(DONE_COOKIE, mark, seconds=DONE_SECONDS)


def who_is_here(visit: Visit, turn: Turn) -> Participant | None:
    """The participant whom the browser belongs to, on pages that are tied to another cookie."""
    token = visit.request.cookies.get(COOKIE, "")
    return people.of_cookie(turn, token) if token else None


def message(visit: Visit, title: str, text: str, *, status: int = 200) -> Response:
    """A page of a title and a text, both by their names."""
    return visit.page("message.html.j2", status=status, title=title, text=text)
