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
from commonweal.study.domain.keeping import RoundOutcome, outcomes_of
from commonweal.study.domain.quick import group_of
from commonweal.study.storage.tables import (
    CritiqueRow,
    GroupRow,
    MemberRow,
    OpinionRow,
    RoundRow,
    StatementRow,
)
from commonweal.study.storage.tokens import hashed
from commonweal.study.storage.transaction import Transaction
from commonweal.study.web.app import App
from commonweal.study.web.beside import kept_result
from commonweal.study.web.request import PageRequest, RefusedError, endpoint
from commonweal.study.writing import held_texts

COOKIE = "cw_facilitator"


def routes(app: App) -> list[Route]:
    """The addresses of these pages."""
    wrap = partial(endpoint, app, cookie=COOKIE)
    return [
        Route("/facilitator/report", wrap(report), methods=["GET"]),
        Route("/facilitator/texts", wrap(texts), methods=["GET"]),
        Route("/facilitator/texts", wrap(decide), methods=["POST"]),
        Route("/facilitator/edit", wrap(edit), methods=["POST"]),
    ]


def texts(
    request: PageRequest, *, status: int = 200, problem: str = "", typed: str = ""
) -> Response:
    """The round's opinions and statements as they come, and what waits for a decision.

    A page for the facilitator alone, not for the screen of the room.

    Args:
        request: the request.
        status: of the answer.
        problem: what is wrong with the version by hand that was sent.
        typed: that version, which stands nowhere else.
    """
    with request.app.store.read() as db:
        tx = facilitator_of(request, request.app.reading(db))
        group = group_of(tx)
        round_id = group.round_id if group else None
        row = tx.db.get(RoundRow, round_id) if round_id else None
        waiting = held_texts.waiting_texts(tx)
        return request.page(
            "session_texts.html.j2",
            status=status,
            group=group,
            row=row,
            version=group.version if group else tx.study.lobby_version,
            waiting=waiting,
            marks=_marks(tx, row) if row else None,
            opinions=_opinions(tx, row) if row else [],
            critiques=_critiques(tx, row) if row else [],
            revised=_to_edit(tx, group, row),
            problem=problem,
            typed=typed,
            statements=_picked(tx, row) if row else [],
            now=tx.now,
        )


def _marks(tx: Transaction, row: RoundRow) -> Callable[[str], tuple[Flag, ...]]:
    """What to look at in a text before the group sees it, by what its people wrote."""
    wrote = select(OpinionRow.text).where(OpinionRow.round_id == row.opinions_id)
    chain = [each.id for each in revisions.chain(tx.db, row)]
    criticised = select(CritiqueRow.text).where(CritiqueRow.round_id.in_(chain))
    given = [*tx.db.scalars(wrote), *tx.db.scalars(criticised)]
    return lambda text: flags(row.question, given, text)


def decide(request: PageRequest) -> Response:
    """Lets a text through, or not."""
    with request.app.store.transaction(request.app.study_id) as tx:
        facilitator_of(request, tx)
        kind, number = request.text("kind"), request.integer("id") or 0
        held_texts.decide(tx, kind, number, request.text("decision"), actor="facilitator")
        if (group := group_of(tx)) is not None:
            tx.touch(group)
    return request.go("/facilitator/texts")


def edit(request: PageRequest) -> Response:
    """Takes a version of the statement that was written by hand, or the last one away."""
    with request.app.store.transaction(request.app.study_id) as tx:
        facilitator_of(request, tx)
        group, text = group_of(tx), answers.clean(request.text("text"))
        problem: str | None = "not_now"
        # Of a page that is over: another statement is another text to change.
        if group is not None and request.integer("round") == group.round_id:
            problem = revisions.edit(tx, group, text, actor="facilitator")
    if problem is not None:
        return texts(request, status=422, problem=f"quick.edit_{problem}", typed=text)
    return request.go("/facilitator/texts")


def _to_edit(tx: Transaction, group: GroupRow | None, row: RoundRow | None) -> StatementRow | None:
    """The statement that may be changed by hand now."""
    if group is None or row is None or group.stage != "critique":
        return None
    revised = revisions.revised_by(tx.db, row)
    return None if revised is None else revised[1]


def report(request: PageRequest) -> Response:
    """For each question that is done: the statement, how it was rated, everything else that was
    said. A page to print.
    """
    with request.app.store.read() as db:
        tx = facilitator_of(request, request.app.reading(db))
        group = group_of(tx)
        outcomes = outcomes_of(tx, group) if group else []
        if not outcomes:
            return request.go("/facilitator")
        return request.page(
            "session_report.html.j2",
            parts=[_part(tx, each) for each in outcomes],
            kept=kept_result(request, tx, group),
        )


def _part(tx: Transaction, outcome: RoundOutcome) -> dict[str, Any]:
    """What the report says of one question, with all rounds on it."""
    row = outcome.row
    rounds = revisions.chain(tx.db, row)
    ids = [each.id for each in rounds]
    statements = tx.db.scalars(
        select(StatementRow).where(
            StatementRow.round_id.in_(ids), StatementRow.same_as_id.is_(None)
        )
    ).all()
    opinions = _opinions(tx, row)
    critiques = [each for one in rounds for each in _critiques(tx, one)]
    # Whoever watched who sent first would know whose the first is.
    for texts in (opinions, critiques):
        random.Random(row.seed).shuffle(texts)  # noqa: S311 - the same order at each look
    return {
        "row": row,
        "outcome": outcome,
        "critiques": [each for each in critiques if each.screening in revisions.USABLE],
        "notes": [note for one in rounds for note in one.notes],
        "results": outcome.results,
        "asked": outcome.n_asked,
        "divisive": outcome.divisive,
        # What the screen has rejected is shown to nobody.
        "opinions": [each for each in opinions if each.screening in revisions.USABLE],
        "n_opinions": len(opinions),
        "n_people": tx.db.scalar(
            select(func.count()).select_from(MemberRow).where(MemberRow.round_id == row.opinions_id)
        ),
        "n_candidates": len(statements),
        "n_shown": sum(each.shown for each in statements),
        "model": statements[0].model if statements else "–",
    }


def _opinions(tx: Transaction, row: RoundRow) -> list[OpinionRow]:
    of_round = (
        select(OpinionRow).where(OpinionRow.round_id == row.opinions_id).order_by(OpinionRow.id)
    )
    return list(tx.db.scalars(of_round))


def _critiques(tx: Transaction, row: RoundRow) -> list[CritiqueRow]:
    """What people would change about the statement that it revises, without what is rejected."""
    return revisions.critiques_of(tx.db, row.id, [*revisions.USABLE, "held"])


def _picked(tx: Transaction, row: RoundRow) -> list[StatementRow]:
    """The statements that are shown, or will be where nobody holds them back."""
    picked = select(StatementRow).where(
        StatementRow.round_id == row.id, StatementRow.pick.is_not(None)
    )
    return [
        each
        for each in tx.db.scalars(picked.order_by(StatementRow.pick, StatementRow.id))
        if each.screening != "rejected"
    ]


def is_facilitator(tx: Transaction, token: str) -> bool:
    """Whether the token is that of the session's private link."""
    return hmac.compare_digest(hashed(token), tx.study.facilitator_hash or "")


def facilitator_of(request: PageRequest, tx: Transaction) -> Transaction:
    """The transaction, where the browser is the facilitator's.

    Raises:
        RefusedError: it is not.
    """
    if not is_facilitator(tx, request.token):
        raise RefusedError(404, "error.not_found")
    return tx
