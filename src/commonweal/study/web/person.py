"""Whose page it is, and a page that says one thing."""

from __future__ import annotations

from starlette.responses import Response

from commonweal.study.domain import people
from commonweal.study.storage.tables import ParticipantRow
from commonweal.study.storage.transaction import Transaction
from commonweal.study.web.request import PageRequest, RefusedError, csrf_of

COOKIE = "cw_here"
DONE_COOKIE = "cw_done"
"""Says that this browser has shown the end of a part, so that its hour is not begun anew."""
DONE_SECONDS = 3600
"""How long a browser knows a person once it has shown them the end: others may use it."""


def person_of(request: PageRequest, tx: Transaction) -> ParticipantRow:
    """The participant whose cookie it is.

    Raises:
        RefusedError: nobody's.
    """
    person = people.of_cookie(tx, request.token)
    if person is None:
        raise RefusedError(401, "link.lost")
    if person.consented_at is not None:
        request.language = person.language
    if person.outcome is not None:
        _soon_forgotten(request)
    return person


def _soon_forgotten(request: PageRequest) -> None:
    mark = csrf_of(f"done {request.token}")
    if request.http.cookies.get(DONE_COOKIE) != mark:
        request.set_cookie(COOKIE, request.token, seconds=DONE_SECONDS)
        request.set_cookie(DONE_COOKIE, mark, seconds=DONE_SECONDS)


def who_is_here(request: PageRequest, tx: Transaction) -> ParticipantRow | None:
    """The participant whom the browser belongs to, on pages that are tied to another cookie."""
    token = request.http.cookies.get(COOKIE, "")
    return people.of_cookie(tx, token) if token else None


def message(request: PageRequest, title: str, text: str, *, status: int = 200) -> Response:
    """A page of a title and a text, both by their names."""
    return request.page("message.html.j2", status=status, title=title, text=text)
