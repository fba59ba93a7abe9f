"""The facilitator's pages of a quick session: join code, progress, the report."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from commonweal.study.domain import door, lobby, machine, minority, revisions
from commonweal.study.domain.keeping import outcome_of
from commonweal.study.domain.pages import companions
from commonweal.study.domain.quick import (
    MINIMUM,
    close_stage,
    failure,
    group_of,
    is_last,
    missing,
    use_model,
)
from commonweal.study.domain.researchers import extend
from commonweal.study.storage.tables import GroupRow, RoundRow, StatementRow
from commonweal.study.storage.transaction import Transaction
from commonweal.study.web import facilitator_people, facilitator_texts
from commonweal.study.web.app import App
from commonweal.study.web.beside import kept_result
from commonweal.study.web.facilitator_texts import COOKIE, facilitator_of, is_facilitator
from commonweal.study.web.formats import qr_svg
from commonweal.study.web.live import LOBBY
from commonweal.study.web.request import PageRequest, RefusedError, endpoint, stream
from commonweal.study.writing.held_texts import waiting_texts

EXTENSION_SECONDS = 120.0
"""What the facilitator's "two more minutes" adds."""


def routes(app: App) -> list[Route]:
    """The facilitator's addresses."""
    wrap = partial(endpoint, app, cookie=COOKIE)
    return [
        Route("/f/{token}", wrap(enter), methods=["GET"]),
        Route("/facilitator", wrap(session), methods=["GET"]),
        *facilitator_texts.routes(app),
        *facilitator_people.routes(app),
        Route("/facilitator/events", stream(app, COOKIE, _whose_events), methods=["GET"]),
        Route("/facilitator/{action}", wrap(act), methods=["POST"]),
    ]


def enter(request: PageRequest) -> Response:
    """The facilitator's private link: a cookie, and on to the session."""
    token = request.http.path_params["token"]
    with request.app.store.read() as db:
        tx = request.app.reading(db)
        if not is_facilitator(tx, token):
            request.app.limits.count(f"failures {request.address}", request.app.limits.failures)
            raise RefusedError(404, "error.not_found")
    request.set_cookie(COOKIE, token)
    return request.go("/facilitator")


def session(request: PageRequest) -> Response:
    """What the facilitator shows and does."""
    with request.app.store.read() as db:
        tx = facilitator_of(request, request.app.reading(db))
        group = group_of(tx)
        people = companions(tx, group) if group else ()
        there = lobby.in_the_room(tx) if group is None else []
        row = tx.db.get(RoundRow, group.round_id) if group and group.round_id else None
        address = request.url("/join")
        code = door.code_now(tx) if request.app.has_door else ""
        is_done = group is not None and group.stage in machine.ENDED
        return request.page(
            "session.html.j2",
            group=group,
            version=group.version if group else tx.study.lobby_version,
            stage=group.stage if group else "lobby",
            n_people=len(people) if group else len(there),
            waiting=[person.seat for person in there],
            crowd=facilitator_people.crowd(request, there),
            is_shut=tx.study.is_shut,
            code=code,
            n_done=sum(each.is_done for each in people),
            minimum=MINIMUM,
            address=address,
            qr=qr_svg(f"{address}?code={code}" if code else address),
            **_result(tx, row if row and row.ended_at else None),
            revised=_revised(tx, row),
            for_minority=row is not None and minority.of(tx.db, row) is not None,
            can_revise=_can_revise(group, row),
            question=row.question if row else tx.config.title,
            round_number=row.number if row else 0,
            n_rounds=tx.config.rounds.count,
            has_report=row is not None
            and (row.number > 1 or row.revision > 0 or row.ended_at is not None),
            is_last=group is not None and group.round_id is not None and is_last(tx, group),
            now=tx.now,
            people=people,
            missing=missing(tx, group) if group else (),
            # Asked for the stage in which it was pressed: another one is another question.
            closing=request.http.query_params.get("closing", "") == _mark(tx, group),
            mark=_mark(tx, group),
            failure=failure(tx, group) if group else "",
            models=_models(request, tx),
            n_wait=len(waiting_texts(tx)),
            kept=(kept := kept_result(request, tx, group if is_done else None)),
            kept_qr=qr_svg(kept["address"]) if kept else "",
            progress=request.app.progress(),
        )


def _result(tx: Transaction, row: RoundRow | None) -> dict[str, Any]:
    """How the round's statements were rated, and by how many of those who were asked."""
    if row is None:
        return {"results": (), "asked": 0, "divisive": None, "round_outcome": None}
    outcome = outcome_of(tx, row)
    return {
        "results": outcome.results,
        "asked": outcome.n_asked,
        "divisive": outcome.divisive,
        "round_outcome": outcome,
    }


def _revised(tx: Transaction, row: RoundRow | None) -> StatementRow | None:
    """The statement that the round revises."""
    revised = revisions.revised_by(tx.db, row) if row is not None else None
    return None if revised is None else revised[1]


def _can_revise(group: GroupRow | None, row: RoundRow | None) -> bool:
    """Whether people can be asked now what they would change."""
    shows = group is not None and group.stage == "result"
    return shows and row is not None and revisions.can_begin(row)


def _mark(tx: Transaction, group: GroupRow | None) -> str:
    """Names the round and stage that a form was made for; of another one it does nothing."""
    if group is None or group.round_id is None:
        return "lobby"
    row = tx.db.get_one(RoundRow, group.round_id)
    return f"{row.number}{f'.{row.revision}' if row.revision else ''}-{group.stage}"


def _models(request: PageRequest, tx: Transaction) -> list[str]:
    """The models to choose from where writing has failed: that of the session first."""
    now = request.app.store.config_of(tx.study).arms[0].model
    return list(dict.fromkeys((now, *request.app.spare_models)))


def act(request: PageRequest) -> Response:
    """Begin, close a stage, pause, go on, write again. A form of a page that is over does nothing:
    so two people may press at once, and a second press does not end the next stage.
    """
    action = request.http.path_params["action"]
    with request.app.store.transaction(request.app.study_id) as tx:
        facilitator_of(request, tx)
        group = group_of(tx)
        if action == "start" and group is None:
            if lobby.start_by_facilitator(tx, request.app.came_from):
                tx.log("begun", actor="facilitator", group=group_of(tx))
        elif group is None or request.text("mark") != _mark(tx, group):
            pass
        elif action == "close":
            if missing(tx, group) and request.text("sure") != "yes":
                return request.go(f"/facilitator?closing={_mark(tx, group)}")
            close_stage(tx, group)
        elif action == "pause":
            machine.pause(tx, group, actor="facilitator")
        elif action == "resume":
            machine.resume(tx, group, actor="facilitator")
        elif action == "extend" and group.stage in machine.EXTENDABLE:
            extend(tx, group, EXTENSION_SECONDS, actor="facilitator")
        elif action == "again" and request.text("model") in ("", *_models(request, tx)):
            if machine.write_again(tx, group, actor="facilitator") and request.text("model"):
                use_model(tx, request.text("model"))
        elif action == "revise":
            machine.revise(tx, group, actor="facilitator")
        elif action == "without":
            machine.go_on_without(tx, group, actor="facilitator")
    return request.go("/facilitator")


def _whose_events(tx: Transaction, token: str) -> tuple[int, None] | None:
    """What the facilitator's stream is about."""
    if not is_facilitator(tx, token):
        return None
    group = group_of(tx)
    return (group.id if group else LOBBY), None
