"""Whose page it is, and a page that says one thing."""

from __future__ import annotations

from starlette.responses import Response

from commonweal.study import people
from commonweal.study.store import Turn
from commonweal.study.tables import Participant
from commonweal.study.web.visit import RefusedError, Visit

COOKIE = "cw_here"


def person_of(visit: Visit, turn: Turn) -> Participant:
    """The participant whose cookie it is.

    Raises:
        RefusedError: nobody's.
    """
    person = people.of_cookie(turn.db, turn.study.id, visit.token)
    if person is None:
        raise RefusedError(401, "link.lost")
    if person.consented_at is not None:
        visit.language = person.language
    return person


def is_somebody(visit: Visit) -> bool:
    """Whether the browser is that of a participant."""
    token = visit.request.cookies.get(COOKIE, "")
    with visit.site.store.read() as db:
        return bool(token) and people.of_cookie(db, visit.site.study_id, token) is not None


def message(visit: Visit, title: str, text: str, *, status: int = 200) -> Response:
    """A page of a title and a text, both by their names."""
    return visit.page("message.html.j2", status=status, title=title, text=text)
