"""What a participant has beside the page that comes now: their data, another device, leaving, and
the result to keep.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from commonweal.study.domain import people, privacy
from commonweal.study.domain.keeping import (
    Outcome,
    group_of_result,
    kept_until,
    outcomes_of,
    result_token,
)
from commonweal.study.storage.tables import Group
from commonweal.study.storage.transaction import Turn
from commonweal.study.web.app import Site
from commonweal.study.web.formats import qr_svg
from commonweal.study.web.person import COOKIE, DONE_COOKIE, message, person_of
from commonweal.study.web.saving import plain_result, table_of
from commonweal.study.web.visit import FORM_COOKIE, Handler, RefusedError, Visit, endpoint

_ONWARD = re.compile(r"/(join(\?[^\\\s]{0,2000})?|i/[\w-]{1,100})", re.ASCII)
"""Where somebody may come from whose browser was another's: no address of another site."""


def routes(site: Site) -> list[Route]:
    """The addresses of these pages."""

    def route(path: str, method: str, handler: Handler) -> Route:
        return Route(path, endpoint(site, handler, cookie=COOKIE), methods=[method])

    found = [
        route("/here/data", "GET", data),
        route("/here/data.json", "GET", data_file),
        route("/here/device", "GET", device),
        route("/here/device", "POST", new_device),
        route("/here/leave", "GET", leave_page),
        route("/here/finish", "GET", finish_page),
        route("/here/finish", "POST", finish),
    ]
    if site.kind == "quick":
        found += [
            Route("/r/{token}", endpoint(site, result), methods=["GET"]),
            Route("/r/{token}/result.txt", endpoint(site, result_file), methods=["GET"]),
            Route("/r/{token}/result.csv", endpoint(site, result_table), methods=["GET"]),
        ]
    return found


def data(visit: Visit) -> Response:
    """Everything about the person, and the form to delete it."""
    with visit.site.store.read() as db:
        turn = visit.site.reading(db)
        person = person_of(visit, turn)
        return visit.page("data.html.j2", data=privacy.data_of(turn, person))


def data_file(visit: Visit) -> Response:
    """The same as JSON."""
    with visit.site.store.read() as db:
        turn = visit.site.reading(db)
        found = privacy.data_of(turn, person_of(visit, turn))
    return Response(
        json.dumps(found, ensure_ascii=False, indent=2) + "\n",
        media_type="application/json",
        headers={"Content-Disposition": 'attachment; filename="my-data.json"'},
    )


def device(visit: Visit) -> Response:
    """Offers a private link for another device."""
    with visit.site.store.read() as db:
        is_over = person_of(visit, visit.site.reading(db)).outcome is not None
    return visit.page("device.html.j2", address="", qr="", is_over=is_over)


def new_device(visit: Visit) -> Response:
    """A private link for another device; shown now and never again."""
    with visit.site.store.turn(visit.site.study_id) as turn:
        person = person_of(visit, turn)
        token, is_over = people.new_link(turn, person), person.outcome is not None
    address = visit.url(f"/i/{token}")
    return visit.page("device.html.j2", address=address, qr=qr_svg(address), is_over=is_over)


def leave_page(visit: Visit) -> Response:
    """Asks once more before somebody leaves."""
    with visit.site.store.read() as db:
        person = person_of(visit, visit.site.reading(db))
        return visit.page("leave.html.j2", n_rounds=person.n_rounds_completed)


def finish_page(visit: Visit) -> Response:
    """Asks once more before this browser forgets somebody."""
    with visit.site.store.read() as db:
        person = person_of(visit, visit.site.reading(db))
        return visit.page("finish.html.j2", is_over=person.outcome is not None, is_done=False)


def finish(visit: Visit) -> Response:
    """Has this browser forget whose it was, so that the next person can use it."""
    with visit.site.store.turn(visit.site.study_id) as turn:
        people.stand_up(turn, visit.token)
    for name in (COOKIE, DONE_COOKIE, FORM_COOKIE, "cw_language"):
        visit.set_cookie(name, None)
    onward = visit.text("onward")
    if _ONWARD.fullmatch(onward):
        return visit.go(onward)
    answer = visit.page("finish.html.j2", is_over=True, is_done=True)
    # Over TLS alone, and without it the page's script does what it can.
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


def kept_result(visit: Visit, turn: Turn, group: Group | None) -> dict[str, Any] | None:
    """What a page says of the result to keep: how all came out, the link and until when it works;
    None where there is nothing to keep.
    """
    until = kept_until(turn, group) if group is not None and visit.site.kind == "quick" else None
    if group is None or until is None:
        return None
    path = f"/r/{result_token(turn, group)}"
    return {
        "outcomes": outcomes_of(turn, group),
        "path": path,
        "address": visit.url(path),
        "until": until,
    }


def result(visit: Visit) -> Response:
    """The result of a session, for everybody who has the link, as long as it works."""
    with visit.site.store.read() as db:
        turn = visit.site.reading(db)
        group, until = _of_link(visit, turn)
        if until <= turn.now:
            return message(visit, "kept.over_title", "kept.over", status=410)
        return visit.page(
            "kept.html.j2",
            kept=kept_result(visit, turn, group),
            qr=qr_svg(visit.url(visit.request.url.path)),
            now=turn.now,
        )


def result_file(visit: Visit) -> Response:
    """The same as a text, to be kept after the link is over."""
    t = visit.site.speaker(visit.language)
    return _saved(visit, "txt", lambda found: plain_result(t, found, visit.language))


def result_table(visit: Visit) -> Response:
    """The same as a table, for a spreadsheet or another program."""
    # A spreadsheet takes the file for UTF-8 by its first character alone.
    return _saved(visit, "csv", lambda found: "\ufeff" + table_of(found))


def _saved(visit: Visit, kind: str, write: Callable[[list[Outcome]], str]) -> Response:
    with visit.site.store.read() as db:
        turn = visit.site.reading(db)
        group, until = _of_link(visit, turn)
        outcomes: list[Outcome] = outcomes_of(turn, group) if until > turn.now else []
        if not outcomes:
            raise RefusedError(410, "kept.over")
        text = write(outcomes)
    media_type = {"txt": "text/plain", "csv": "text/csv"}[kind]
    return Response(
        text,
        media_type=f"{media_type}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="result.{kind}"'},
    )


def _of_link(visit: Visit, turn: Turn) -> tuple[Group, float]:
    """The group of the result's link, and until when it works.

    Raises:
        RefusedError: there is none.
    """
    group = group_of_result(turn, visit.request.path_params["token"])
    until = kept_until(turn, group) if group is not None else None
    if group is None or until is None:
        raise RefusedError(404, "error.not_found")
    return group, until
