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
    RoundOutcome,
    group_of_result,
    kept_until,
    outcomes_of,
    result_token,
)
from commonweal.study.storage.tables import GroupRow
from commonweal.study.storage.transaction import Transaction
from commonweal.study.web.app import App
from commonweal.study.web.formats import qr_svg
from commonweal.study.web.person import COOKIE, DONE_COOKIE, message, person_of
from commonweal.study.web.request import FORM_COOKIE, Handler, PageRequest, RefusedError, endpoint
from commonweal.study.web.saving import plain_result, table_of

_ONWARD = re.compile(r"/(join(\?[^\\\s]{0,2000})?|i/[\w-]{1,100})", re.ASCII)
"""Where somebody may come from whose browser was another's: no address of another site."""


def routes(app: App) -> list[Route]:
    """The addresses of these pages."""

    def route(path: str, method: str, handler: Handler) -> Route:
        return Route(path, endpoint(app, handler, cookie=COOKIE), methods=[method])

    pages = [
        route("/here/data", "GET", data),
        route("/here/data.json", "GET", data_file),
        route("/here/device", "GET", device),
        route("/here/device", "POST", new_device),
        route("/here/leave", "GET", leave_page),
        route("/here/finish", "GET", finish_page),
        route("/here/finish", "POST", finish),
    ]
    if app.kind == "quick":
        pages += [
            Route("/r/{token}", endpoint(app, result), methods=["GET"]),
            Route("/r/{token}/result.txt", endpoint(app, result_file), methods=["GET"]),
            Route("/r/{token}/result.csv", endpoint(app, result_table), methods=["GET"]),
        ]
    return pages


def data(request: PageRequest) -> Response:
    """Everything about the person, and the form to delete it."""
    with request.app.store.read() as db:
        tx = request.app.reading(db)
        person = person_of(request, tx)
        return request.page("data.html.j2", data=privacy.data_of(tx, person))


def data_file(request: PageRequest) -> Response:
    """The same as JSON."""
    with request.app.store.read() as db:
        tx = request.app.reading(db)
        theirs = privacy.data_of(tx, person_of(request, tx))
    return Response(
        json.dumps(theirs, ensure_ascii=False, indent=2) + "\n",
        media_type="application/json",
        headers={"Content-Disposition": 'attachment; filename="my-data.json"'},
    )


def device(request: PageRequest) -> Response:
    """Offers a private link for another device."""
    with request.app.store.read() as db:
        is_over = person_of(request, request.app.reading(db)).outcome is not None
    return request.page("device.html.j2", address="", qr="", is_over=is_over)


def new_device(request: PageRequest) -> Response:
    """A private link for another device; shown now and never again."""
    with request.app.store.transaction(request.app.study_id) as tx:
        person = person_of(request, tx)
        token, is_over = people.new_link(tx, person), person.outcome is not None
    address = request.url(f"/i/{token}")
    return request.page("device.html.j2", address=address, qr=qr_svg(address), is_over=is_over)


def leave_page(request: PageRequest) -> Response:
    """Asks once more before somebody leaves."""
    with request.app.store.read() as db:
        person = person_of(request, request.app.reading(db))
        return request.page("leave.html.j2", n_rounds=person.n_rounds_completed)


def finish_page(request: PageRequest) -> Response:
    """Asks once more before this browser forgets somebody."""
    with request.app.store.read() as db:
        person = person_of(request, request.app.reading(db))
        return request.page("finish.html.j2", is_over=person.outcome is not None, is_done=False)


def finish(request: PageRequest) -> Response:
    """Has this browser forget whose it was, so that the next person can use it."""
    with request.app.store.transaction(request.app.study_id) as tx:
        people.end_login_session(tx, request.token)
    for name in (COOKIE, DONE_COOKIE, FORM_COOKIE, "cw_language"):
        request.set_cookie(name, None)
    onward = request.text("onward")
    if _ONWARD.fullmatch(onward):
        return request.go(onward)
    answer = request.page("finish.html.j2", is_over=True, is_done=True)
    # Over TLS alone, and without it the page's script does what it can.
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


def kept_result(
    request: PageRequest, tx: Transaction, group: GroupRow | None
) -> dict[str, Any] | None:
    """What a page says of the result to keep: how all came out, the link and until when it works;
    None where there is nothing to keep.
    """
    until = kept_until(tx, group) if group is not None and request.app.kind == "quick" else None
    if group is None or until is None:
        return None
    path = f"/r/{result_token(tx, group)}"
    return {
        "outcomes": outcomes_of(tx, group),
        "path": path,
        "address": request.url(path),
        "until": until,
    }


def result(request: PageRequest) -> Response:
    """The result of a session, for everybody who has the link, as long as it works."""
    with request.app.store.read() as db:
        tx = request.app.reading(db)
        group, until = _of_link(request, tx)
        if until <= tx.now:
            return message(request, "kept.over_title", "kept.over", status=410)
        return request.page(
            "kept.html.j2",
            kept=kept_result(request, tx, group),
            qr=qr_svg(request.url(request.http.url.path)),
            now=tx.now,
        )


def result_file(request: PageRequest) -> Response:
    """The same as a text, to be kept after the link is over."""
    t = request.app.translator(request.language)
    return _saved(request, "txt", lambda outcomes: plain_result(t, outcomes, request.language))


def result_table(request: PageRequest) -> Response:
    """The same as a table, for a spreadsheet or another program."""
    # A spreadsheet takes the file for UTF-8 by its first character alone.
    return _saved(request, "csv", lambda outcomes: "\ufeff" + table_of(outcomes))


def _saved(request: PageRequest, kind: str, write: Callable[[list[RoundOutcome]], str]) -> Response:
    with request.app.store.read() as db:
        tx = request.app.reading(db)
        group, until = _of_link(request, tx)
        outcomes: list[RoundOutcome] = outcomes_of(tx, group) if until > tx.now else []
        if not outcomes:
            raise RefusedError(410, "kept.over")
        text = write(outcomes)
    media_type = {"txt": "text/plain", "csv": "text/csv"}[kind]
    return Response(
        text,
        media_type=f"{media_type}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="result.{kind}"'},
    )


def _of_link(request: PageRequest, tx: Transaction) -> tuple[GroupRow, float]:
    """The group of the result's link, and until when it works.

    Raises:
        RefusedError: there is none.
    """
    group = group_of_result(tx, request.http.path_params["token"])
    until = kept_until(tx, group) if group is not None else None
    if group is None or until is None:
        raise RefusedError(404, "error.not_found")
    return group, until
