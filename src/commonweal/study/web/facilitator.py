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
from commonweal.study.storage.tables import Group, Round, Statement
from commonweal.study.storage.transaction import Turn
from commonweal.study.web import facilitator_people, facilitator_texts
from commonweal.study.web.app import Site
from commonweal.study.web.beside import kept_result
from commonweal.study.web.facilitator_texts import COOKIE, facilitator_of, is_facilitator
from commonweal.study.web.formats import qr_svg
from commonweal.study.web.live import LOBBY
from commonweal.study.web.visit import RefusedError, Visit, endpoint, stream
from commonweal.study.writing.held_texts import waiting_texts

EXTENSION_SECONDS = 120.0
"""What the facilitator's "two more minutes" adds."""


def routes(site: Site) -> list[Route]:
    """The facilitator's addresses."""
    wrap = partial(endpoint, site, cookie=COOKIE)
    return [
        Route("/f/{token}", wrap(enter), methods=["GET"]),
        Route("/facilitator", wrap(session), methods=["GET"]),
        *facilitator_texts.routes(site),
        *facilitator_people.routes(site),
        Route("/facilitator/events", stream(site, COOKIE, _whose_events), methods=["GET"]),
        Route("/facilitator/{action}", wrap(act), methods=["POST"]),
    ]


def enter(visit: Visit) -> Response:
    """The facilitator's private link: a cookie, and on to the session."""
    token = visit.request.path_params["token"]
    with visit.site.store.read() as db:
        turn = visit.site.reading(db)
        if not is_facilitator(turn, token):
            visit.site.limits.count(f"failures {visit.address}", visit.site.limits.failures)
            raise RefusedError(404, "error.not_found")
    visit.set_cookie(COOKIE, token)
    return visit.go("/facilitator")


def session(visit: Visit) -> Response:
    """What the facilitator shows and does."""
    with visit.site.store.read() as db:
        turn = facilitator_of(visit, visit.site.reading(db))
        group = group_of(turn)
        people = companions(turn, group) if group else ()
        there = lobby.in_the_room(turn) if group is None else []
        row = turn.db.get(Round, group.round_id) if group and group.round_id else None
        address = visit.url("/join")
        code = door.code_now(turn) if visit.site.has_door else ""
        is_done = group is not None and group.stage in machine.ENDED
        return visit.page(
            "session.html.j2",
            group=group,
            version=group.version if group else turn.study.lobby_version,
            stage=group.stage if group else "lobby",
            n_people=len(people) if group else len(there),
            waiting=[person.seat for person in there],
            crowd=facilitator_people.crowd(visit, there),
            is_shut=turn.study.is_shut,
            code=code,
            n_done=sum(each.is_done for each in people),
            minimum=MINIMUM,
            address=address,
            qr=qr_svg(f"{address}?code={code}" if code else address),
            **_result(turn, row if row and row.ended_at else None),
            revised=_revised(turn, row),
            speaks=row is not None and minority.of(turn.db, row) is not None,
            can_revise=_can_revise(group, row),
            question=row.question if row else turn.config.title,
            round_number=row.number if row else 0,
            n_rounds=turn.config.rounds.count,
            has_report=row is not None
            and (row.number > 1 or row.revision > 0 or row.ended_at is not None),
            is_last=group is not None and group.round_id is not None and is_last(turn, group),
            now=turn.now,
            people=people,
            missing=missing(turn, group) if group else (),
            # Asked for the stage in which it was pressed: another one is another question.
            closing=visit.request.query_params.get("closing", "") == _mark(turn, group),
            mark=_mark(turn, group),
            failure=failure(turn, group) if group else "",
            models=_models(visit, turn),
            n_wait=len(waiting_texts(turn)),
            kept=(found := kept_result(visit, turn, group if is_done else None)),
            kept_qr=qr_svg(found["address"]) if found else "",
            progress=visit.site.progress(),
        )


def _result(turn: Turn, row: Round | None) -> dict[str, Any]:
    """How the round's statements were rated, and by how many of those who were asked."""
    if row is None:
        return {"results": (), "asked": 0, "divisive": None, "found": None}
    found = outcome_of(turn, row)
    return {
        "results": found.results,
        "asked": found.n_asked,
        "divisive": found.divisive,
        "found": found,
    }


def _revised(turn: Turn, row: Round | None) -> Statement | None:
    """The statement that the round revises."""
    found = revisions.revised_by(turn.db, row) if row is not None else None
    return None if found is None else found[1]


def _can_revise(group: Group | None, row: Round | None) -> bool:
    """Whether people can be asked now what they would change."""
    shows = group is not None and group.stage == "result"
    return shows and row is not None and revisions.can_begin(row)


def _mark(turn: Turn, group: Group | None) -> str:
    """Names the round and stage that a form was made for; of another one it does nothing."""
    if group is None or group.round_id is None:
        return "lobby"
    row = turn.db.get_one(Round, group.round_id)
    return f"{row.number}{f'.{row.revision}' if row.revision else ''}-{group.stage}"


def _models(visit: Visit, turn: Turn) -> list[str]:
    """The models to choose from where writing has failed: that of the session first."""
    now = visit.site.store.config_of(turn.study).arms[0].model
    return list(dict.fromkeys((now, *visit.site.spare_models)))


def act(visit: Visit) -> Response:
    """Begin, close a stage, pause, go on, write again. A form of a page that is over does nothing:
    so two people may press at once, and a second press does not end the next stage.
    """
    action = visit.request.path_params["action"]
    with visit.site.store.turn(visit.site.study_id) as turn:
        facilitator_of(visit, turn)
        group = group_of(turn)
        if action == "start" and group is None:
            if lobby.start_by_facilitator(turn, visit.site.came_from):
                turn.log("begun", actor="facilitator", group=group_of(turn))
        elif group is None or visit.text("mark") != _mark(turn, group):
            pass
        elif action == "close":
            if missing(turn, group) and visit.text("sure") != "yes":
                return visit.go(f"/facilitator?closing={_mark(turn, group)}")
            close_stage(turn, group)
        elif action == "pause":
            machine.pause(turn, group, actor="facilitator")
        elif action == "resume":
            machine.resume(turn, group, actor="facilitator")
        elif action == "extend" and group.stage in machine.EXTENDABLE:
            extend(turn, group, EXTENSION_SECONDS, actor="facilitator")
        elif action == "again" and visit.text("model") in ("", *_models(visit, turn)):
            if machine.write_again(turn, group, actor="facilitator") and visit.text("model"):
                use_model(turn, visit.text("model"))
        elif action == "revise":
            machine.revise(turn, group, actor="facilitator")
        elif action == "without":
            machine.go_on_without(turn, group, actor="facilitator")
    return visit.go("/facilitator")


def _whose_events(turn: Turn, token: str) -> tuple[int, None] | None:
    """What the facilitator's stream is about."""
    if not is_facilitator(turn, token):
        return None
    group = group_of(turn)
    return (group.id if group else LOBBY), None
