"""What the facilitator reads: texts before the group sees them, and the report."""

from __future__ import annotations

import hmac
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import func, select
from starlette.responses import Response
from starlette.routing import Route

from commonweal.flagging import Flag, flags
from commonweal.study.domain import answers, revisions
from commonweal.study.domain.keeping import Outcome, outcomes_of
from commonweal.study.domain.quick import group_of
from commonweal.study.storage.tables import Critique, Group, Member, Opinion, Round, Statement
from commonweal.study.storage.tokens import hashed
from commonweal.study.storage.transaction import Turn
from commonweal.study.web.app import Site
from commonweal.study.web.beside import kept_result
from commonweal.study.web.visit import RefusedError, Visit, endpoint
from commonweal.study.writing import held_texts

COOKIE = "cw_facilitator"


def routes(site: Site) -> list[Route]:
    """The addresses of these pages."""
    wrap = partial(endpoint, site, cookie=COOKIE)
    return [
        Route("/facilitator/report", wrap(report), methods=["GET"]),
        Route("/facilitator/texts", wrap(texts), methods=["GET"]),
        Route("/facilitator/texts", wrap(decide), methods=["POST"]),
        Route("/facilitator/edit", wrap(edit), methods=["POST"]),
    ]


def texts(visit: Visit, *, status: int = 200, problem: str = "") -> Response:
    """The round's opinions and statements as they come, and what waits for a decision.

    A page for the facilitator alone, not for the screen of the room.
    """
    with visit.site.store.read() as db:
        turn = facilitator_of(visit, visit.site.reading(db))
        group = group_of(turn)
        round_id = group.round_id if group else None
        row = turn.db.get(Round, round_id) if round_id else None
        waiting = held_texts.waiting_texts(turn)
        return visit.page(
            "session_texts.html.j2",
            status=status,
            group=group,
            row=row,
            version=group.version if group else turn.study.lobby_version,
            waiting=waiting,
            marks=_marks(turn, row) if row else None,
            opinions=_opinions(turn, row) if row else [],
            critiques=_critiques(turn, row) if row else [],
            revised=_to_edit(turn, group, row),
            problem=problem,
            statements=_picked(turn, row) if row else [],
            now=turn.now,
        )


def _marks(turn: Turn, row: Round) -> Callable[[str], tuple[Flag, ...]]:
    """What to look at in a text before the group sees it, by what its people wrote."""
    wrote = select(Opinion.text).where(Opinion.round_id == row.opinions_id)
    chain = [each.id for each in revisions.chain(turn.db, row)]
    said = select(Critique.text).where(Critique.round_id.in_(chain))
    given = [*turn.db.scalars(wrote), *turn.db.scalars(said)]
    return lambda text: flags(row.question, given, text)


def decide(visit: Visit) -> Response:
    """Lets a text through, or not."""
    with visit.site.store.turn(visit.site.study_id) as turn:
        facilitator_of(visit, turn)
        kind, number = visit.text("kind"), visit.whole("id") or 0
        held_texts.decide(turn, kind, number, visit.text("decision"), actor="facilitator")
        if (group := group_of(turn)) is not None:
            turn.touch(group)
    return visit.go("/facilitator/texts")


def edit(visit: Visit) -> Response:
    """Takes a version of the statement that was written by hand, or the last one away."""
    with visit.site.store.turn(visit.site.study_id) as turn:
        facilitator_of(visit, turn)
        group, problem = group_of(turn), ""
        # Of a page that is over: another statement is another text to change.
        if group is not None and visit.whole("round") == group.round_id:
            text = answers.clean(visit.text("text"))
            problem = revisions.edit(turn, group, text, actor="facilitator") or ""
    if problem in ("same", "too_long"):
        return texts(visit, status=422, problem=f"quick.edit_{problem}")
    return visit.go("/facilitator/texts")


def _to_edit(turn: Turn, group: Group | None, row: Round | None) -> Statement | None:
    """The statement that may be changed by hand now."""
    if group is None or row is None or group.stage != "critique":
        return None
    found = revisions.revised_by(turn.db, row)
    return None if found is None else found[1]


def report(visit: Visit) -> Response:
    """For each question that is done: the statement, how it was rated, everything else that was
    said. A page to print.
    """
    with visit.site.store.read() as db:
        turn = facilitator_of(visit, visit.site.reading(db))
        group = group_of(turn)
        found = outcomes_of(turn, group) if group else []
        if not found:
            return visit.go("/facilitator")
        return visit.page(
            "session_report.html.j2",
            parts=[_part(turn, each) for each in found],
            kept=kept_result(visit, turn, group),
        )


def _part(turn: Turn, found: Outcome) -> dict[str, Any]:
    """What the report says of one question, with all rounds on it."""
    row = found.row
    rounds = revisions.chain(turn.db, row)
    ids = [each.id for each in rounds]
    statements = turn.db.scalars(
        select(Statement).where(Statement.round_id.in_(ids), Statement.same_as_id.is_(None))
    ).all()
    opinions = _opinions(turn, row)
    critiques = [each for one in rounds for each in _critiques(turn, one)]
    # Whoever watched who sent first would know whose the first is.
    for texts in (opinions, critiques):
        random.Random(row.seed).shuffle(texts)  # noqa: S311 - the same order at each look
    return {
        "row": row,
        "found": found,
        "critiques": [each for each in critiques if each.screening in revisions.USABLE],
        "notes": [note for one in rounds for note in one.notes],
        "results": found.results,
        "asked": found.n_asked,
        "divisive": found.divisive,
        # What the screen has rejected is shown to nobody.
        "opinions": [each for each in opinions if each.screening in revisions.USABLE],
        "n_opinions": len(opinions),
        "n_people": turn.db.scalar(
            select(func.count()).select_from(Member).where(Member.round_id == row.opinions_id)
        ),
        "n_candidates": len(statements),
        "n_shown": sum(each.shown for each in statements),
        "model": statements[0].model if statements else "–",
    }


def _opinions(turn: Turn, row: Round) -> list[Opinion]:
    found = select(Opinion).where(Opinion.round_id == row.opinions_id).order_by(Opinion.id)
    return list(turn.db.scalars(found))


def _critiques(turn: Turn, row: Round) -> list[Critique]:
    """What people would change about the statement that it revises, without what is rejected."""
    return revisions.said(turn.db, row.id, [*revisions.USABLE, "held"])


def _picked(turn: Turn, row: Round) -> list[Statement]:
    """The statements that are shown, or will be where nobody holds them back."""
    found = select(Statement).where(Statement.round_id == row.id, Statement.pick.is_not(None))
    return [
        each
        for each in turn.db.scalars(found.order_by(Statement.pick, Statement.id))
        if each.screening != "rejected"
    ]


def is_facilitator(turn: Turn, token: str) -> bool:
    """Whether the token is that of the session's private link."""
    return hmac.compare_digest(hashed(token), turn.study.facilitator_hash or "")


def facilitator_of(visit: Visit, turn: Turn) -> Turn:
    """The turn, where the browser is the facilitator's.

    Raises:
        RefusedError: it is not.
    """
    if not is_facilitator(turn, visit.token):
        raise RefusedError(404, "error.not_found")
    return turn
