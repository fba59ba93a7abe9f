"""The facilitator's pages of a quick session: join code, progress, the report."""

from __future__ import annotations

import hmac
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from starlette.responses import Response
from starlette.routing import Route

from commonweal.study import lobby, machine
from commonweal.study.pages import companions
from commonweal.study.quick import MINIMUM, close_stage, group_of, is_last
from commonweal.study.results import rated_statements
from commonweal.study.store import Turn, hashed
from commonweal.study.tables import Member, Opinion, Participant, Round, Statement
from commonweal.study.web.formats import qr_svg
from commonweal.study.web.live import LOBBY
from commonweal.study.web.visit import RefusedError, Visit, endpoint, stream

if TYPE_CHECKING:
    from commonweal.study.web.app import Site

COOKIE = "cw_facilitator"


def routes(site: Site) -> list[Route]:
    """The facilitator's addresses."""
    wrap = partial(endpoint, site, cookie=COOKIE)
    return [
        Route("/f/{token}", wrap(enter), methods=["GET"]),
        Route("/facilitator", wrap(session), methods=["GET"]),
        Route("/facilitator/report", wrap(report), methods=["GET"]),
        Route("/facilitator/events", stream(site, COOKIE, _whose_events), methods=["GET"]),
        Route("/facilitator/{action}", wrap(act), methods=["POST"]),
    ]


def enter(visit: Visit) -> Response:
    """The facilitator's private link: a cookie, and on to the session."""
    visit.site.limits.check(f"failures {visit.address}", visit.site.limits.failures)
    token = visit.request.path_params["token"]
    with visit.site.store.read() as db:
        turn = visit.site.reading(db)
        if not _is_facilitator(turn, token):
            visit.site.limits.count(f"failures {visit.address}", visit.site.limits.failures)
            raise RefusedError(404, "error.not_found")
    visit.set_cookie(COOKIE, token)
    return visit.go("/facilitator")


def session(visit: Visit) -> Response:
    """What the facilitator shows and does."""
    with visit.site.store.read() as db:
        turn = _checked(visit, visit.site.reading(db))
        group = group_of(turn)
        people = companions(turn, group) if group else ()
        n_waiting = turn.db.scalar(
            select(func.count(Participant.id)).where(
                Participant.study_id == turn.study.id,
                Participant.stage == "lobby",
                Participant.outcome.is_(None),
            )
        )
        row = turn.db.get(Round, group.round_id) if group and group.round_id else None
        address = visit.url("/join")
        welfare = turn.config.rounds.welfare
        return visit.page(
            "session.html.j2",
            group=group,
            version=group.version if group else turn.study.lobby_version,
            stage=group.stage if group else "lobby",
            n_people=len(people) if group else n_waiting or 0,
            n_done=sum(each.is_done for each in people),
            minimum=MINIMUM,
            address=address,
            qr=qr_svg(address),
            results=rated_statements(turn.db, row.id, welfare) if row and row.ended_at else [],
            question=row.question if row else turn.config.title,
            round_number=row.number if row else 0,
            n_rounds=turn.config.rounds.count,
            has_report=row is not None and (row.number > 1 or row.ended_at is not None),
            is_last=group is not None and group.round_id is not None and is_last(turn, group),
            now=turn.now,
        )


def act(visit: Visit) -> Response:
    """Begin, close a stage, pause, go on."""
    action = visit.request.path_params["action"]
    with visit.site.store.turn(visit.site.study_id) as turn:
        _checked(visit, turn)
        group = group_of(turn)
        if action == "start" and group is None:
            if lobby.start_by_facilitator(turn):
                turn.log("begun", actor="facilitator", group=group_of(turn))
        elif group is None:
            pass
        elif action == "close" and visit.text("stage") == group.stage:
            close_stage(turn, group)
        elif action == "pause":
            machine.pause(turn, group, actor="facilitator")
        elif action == "resume":
            machine.resume(turn, group, actor="facilitator")
    return visit.go("/facilitator")


def report(visit: Visit) -> Response:
    """For each question that is done: the statement, how it was rated, everything else that was
    said. A page to print.
    """
    with visit.site.store.read() as db:
        turn = _checked(visit, visit.site.reading(db))
        group = group_of(turn)
        rows = turn.db.scalars(
            select(Round)
            .where(Round.group_id == (group.id if group else 0), Round.ended_at.is_not(None))
            .order_by(Round.number)
        ).all()
        if not rows:
            return visit.go("/facilitator")
        return visit.page("session_report.html.j2", parts=[_part(turn, row) for row in rows])


def _part(turn: Turn, row: Round) -> dict[str, Any]:
    """What the report says of one question."""
    statements = turn.db.scalars(select(Statement).where(Statement.round_id == row.id)).all()
    opinions = turn.db.scalars(
        select(Opinion).where(Opinion.round_id == row.id).order_by(Opinion.id)
    ).all()
    return {
        "row": row,
        "results": rated_statements(turn.db, row.id, turn.config.rounds.welfare),
        # What the screen has rejected is shown to nobody.
        "opinions": [each for each in opinions if each.screening in ("clear", "approved")],
        "n_opinions": len(opinions),
        "n_people": turn.db.scalar(
            select(func.count()).select_from(Member).where(Member.round_id == row.id)
        ),
        "n_candidates": len(statements),
        "n_shown": sum(each.shown for each in statements),
        "model": statements[0].model if statements else "–",
    }


def _whose_events(turn: Turn, token: str) -> tuple[int, None] | None:
    """What the facilitator's stream is about."""
    if not _is_facilitator(turn, token):
        return None
    group = group_of(turn)
    return (group.id if group else LOBBY), None


def _is_facilitator(turn: Turn, token: str) -> bool:
    return hmac.compare_digest(hashed(token), turn.study.facilitator_hash or "")


def _checked(visit: Visit, turn: Turn) -> Turn:
    if not _is_facilitator(turn, visit.token):
        raise RefusedError(404, "error.not_found")
    return turn
