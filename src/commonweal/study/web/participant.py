"""A participant's pages. There is one address, /here, and it shows what comes now."""

from __future__ import annotations

from urllib.parse import quote

from sqlalchemy import select
from starlette.responses import Response
from starlette.routing import Route

from commonweal.study.domain import answers, people, privacy
from commonweal.study.domain.pages import Page, current_page
from commonweal.study.domain.quick import group_of
from commonweal.study.domain.screening import flags_of
from commonweal.study.storage.tables import EventRow, ParticipantRow
from commonweal.study.storage.transaction import Transaction
from commonweal.study.web import beside, entering
from commonweal.study.web.app import App
from commonweal.study.web.live import LOBBY
from commonweal.study.web.person import COOKIE, message, person_of
from commonweal.study.web.request import Handler, PageRequest, RefusedError, endpoint, stream
from commonweal.types import RATING_MAX, RATING_MIN

STALE = "stale"
"""An answer to a page that is over, or one sent twice: it changes nothing, and they are told."""

DELETED = "deleted"
"""An answer to somebody whose data have just been deleted."""


def routes(app: App) -> list[Route]:
    """The participants' addresses."""

    def route(path: str, method: str, handler: Handler) -> Route:
        return Route(path, endpoint(app, handler, cookie=COOKIE), methods=[method])

    return [
        route("/", "GET", lambda request: request.go("/join")),
        *entering.routes(app),
        route("/here", "GET", here),
        Route("/here/events", stream(app, COOKIE, _whose_events), methods=["GET"]),
        *beside.routes(app),
        route("/here/{action}", "POST", act),
        # Where a form came back with something missing, a reload of its address finds the page.
        route("/here/{action}", "GET", lambda request: request.go("/here")),
    ]


# ------------------------------------------------------------------------------------- the page


def here(request: PageRequest) -> Response:
    """What the person is to do now. Written to only where there is something to note."""
    store, study_id = request.app.store, request.app.study_id
    with store.read() as db:
        tx = request.app.reading(db)
        person = person_of(request, tx)
        page = current_page(tx, person)
        due = page.group is not None and page.group.deadline <= tx.now and not page.is_paused
        comes_back = page.kind == "lobby" and request.app.kind == "quick" and group_of(tx)
        stands = people.is_fresh(tx, person) and not due and not comes_back
        if stands and page.unseen is None:
            return _show(request, tx, page)
    # The reading connection is given back first: everybody who waits to write would hold one.
    if stands and page.unseen is not None:
        with store.write() as writing:
            answers.show(writing, page.unseen, tx.now)
        return _show(request, tx, page)
    with store.transaction(study_id) as tx:
        person = person_of(request, tx)
        people.saw(tx, person)
        tx.db.flush()
        page = current_page(tx, person)
        if page.unseen is not None:
            answers.show(tx.db, page.unseen, tx.now)
        return _show(request, tx, page)


def _show(
    request: PageRequest, tx: Transaction, page: Page, *, status: int = 200, problem: str = ""
) -> Response:
    if page.kind == "consent":
        return entering.consent_page(request, "/here/consent", status=status, problem=problem)
    asked = page.presentation.id if page.presentation else None
    return request.page(
        f"{page.kind}.html.j2",
        status=status,
        page=page,
        problem=problem,
        now=tx.now,
        kind=request.app.kind,
        values=range(RATING_MIN, RATING_MAX + 1),
        chosen=request.form if request.integer("presentation") == asked else {},
        code=tx.config.code(page.person.outcome) if page.person.outcome else "",
        ending=(ending := _ending(tx, page.person)),
        kept=beside.kept_result(request, tx, page.group) if ending in _KEEP else None,
        entry_until=page.person.stage_since + tx.config.timings_seconds.entry,
        session=_session(request, tx, page),
        quote=quote,
        version=page.group.version if page.group else tx.study.lobby_version,
        stale="stale" in request.http.query_params,
        can_extend=page.person.n_extensions < people.MAX_EXTENSIONS,
    )


def _session(request: PageRequest, tx: Transaction, page: Page) -> str:
    """Names the text for who waits in a quick session."""
    is_late = request.app.kind == "quick" and page.kind == "lobby" and group_of(tx) is not None
    return "running" if is_late else "facilitated"


_KEEP = ("complete", "partial", "partial_released")
"""How a person's part ends who was there to the end."""


def _ending(tx: Transaction, person: ParticipantRow) -> str:
    """Names the texts that say how the person's part ended; "" while it goes on."""
    if person.outcome != "partial":
        return person.outcome or ""
    ended = select(EventRow.actor).where(
        EventRow.participant_id == person.id, EventRow.kind == "ended"
    )
    who = tx.db.scalars(ended).first()
    return {"machine": "partial", "participant": "partial_left"}.get(who or "", "partial_released")


def act(request: PageRequest) -> Response:
    """Whatever a form of the page sends."""
    action = request.http.path_params["action"]
    if action not in _ACTIONS:
        raise RefusedError(404, "error.not_found")
    if action in ("opinion", "critique"):
        request.flags = flags_of(answers.clean(request.text("text")))
    with request.app.store.transaction(request.app.study_id) as tx:
        person = person_of(request, tx)
        if not people.is_fresh(tx, person):
            person.last_seen_at = tx.now
        answer = _ACTIONS[action](request, tx, person)
        if answer == STALE:
            return request.go("/here?stale=1")
        if isinstance(answer, str) and answer != DELETED:
            # The form again, with what is missing; what was written is kept.
            tx.db.flush()
            return _show(request, tx, current_page(tx, person), status=422, problem=answer)
    if answer == DELETED:
        # Asked after the transaction: another process that reads may keep a trace for a while.
        text = "data.deleted_soon" if request.app.store.has_traces else "data.deleted"
        return message(request, "data.deleted_title", text)
    return answer if isinstance(answer, Response) else request.go("/here")


def _consent(request: PageRequest, tx: Transaction, person: ParticipantRow) -> Response | None:
    if request.text("decision") == "agree":
        entering.agree(request, tx, person)
        return None
    if person.stage == "consent":
        privacy.delete_data(tx, person)
        request.set_cookie(COOKIE, None)
        return message(request, "consent.declined_title", "consent.declined")
    return None


def _check(request: PageRequest, tx: Transaction, person: ParticipantRow) -> str | None:
    given = [request.integer(f"answer{n}") for n in range(len(tx.config.checks))]
    if person.stage == "check" and None in given:
        return "check.missing"
    right = people.answer_check(tx, person, given)
    return None if right or person.outcome is not None else "check.wrong"


def _rate(request: PageRequest, tx: Transaction, person: ParticipantRow) -> str | None:
    # The script says how long ago the first input was: the browser's clock is not needed.
    ago, changes = request.integer("first_input_ago"), request.integer("n_changes")
    handled = answers.Handled(tx.now - ago / 1000 if ago is not None else None, changes)
    number, agreement = request.integer("presentation"), request.integer("agreement")
    problem = answers.rate(tx, person, number, agreement, request.integer("quality"), handled)
    return _problem("rate", problem)


def _opinion(request: PageRequest, tx: Transaction, person: ParticipantRow) -> str | None:
    number, text = request.integer("round") or 0, request.text("text")
    problem = answers.write_opinion(tx, person, number, text, request.flags)
    return _problem("opinion", problem)


def _critique(request: PageRequest, tx: Transaction, person: ParticipantRow) -> str | None:
    number, text = request.integer("round") or 0, request.text("text")
    if not answers.clean(text):
        return "critique.missing"
    problem = answers.write_critique(tx, person, number, text, request.flags)
    return _problem("critique", problem)


def _stands(request: PageRequest, tx: Transaction, person: ParticipantRow) -> str | None:
    """They would change nothing."""
    return _problem(
        "critique", answers.write_critique(tx, person, request.integer("round") or 0, "")
    )


def _problem(part: str, problem: str | None) -> str | None:
    if problem == "not_asked":
        return STALE
    return f"{part}.{problem}" if problem else None


def _draft(request: PageRequest, tx: Transaction, person: ParticipantRow) -> Response:
    kept = answers.save_draft(tx, person, request.integer("round") or 0, request.text("text"))
    return Response(status_code=204 if kept else 409)


def _continue(request: PageRequest, tx: Transaction, person: ParticipantRow) -> str | None:
    left = answers.leave_result(tx, person, request.integer("round") or 0)
    return None if left else STALE


def _instructions(_request: PageRequest, tx: Transaction, person: ParticipantRow) -> None:
    people.read_instructions(tx, person)


def _more_time(request: PageRequest, tx: Transaction, person: ParticipantRow) -> Response | None:
    people.more_time(tx, person)
    # The page's form comes with it: nobody loses what they have written or chosen so far.
    if "text" in request.form:
        answers.save_draft(tx, person, request.integer("round") or 0, request.text("text"))
    if not request.form.keys() - {"csrf", "round", "presentation", "text"}:
        return None
    tx.db.flush()
    return _show(request, tx, current_page(tx, person))


def _leave(_request: PageRequest, tx: Transaction, person: ParticipantRow) -> None:
    privacy.withdraw(tx, person)


def _delete(request: PageRequest, tx: Transaction, person: ParticipantRow) -> Response | str:
    if request.text("sure") != "yes":
        return request.go("/here/data")
    privacy.delete_data(tx, person)
    request.set_cookie(COOKIE, None)
    return DELETED


_ACTIONS = {
    "consent": _consent,
    "instructions": _instructions,
    "check": _check,
    "rate": _rate,
    "opinion": _opinion,
    "critique": _critique,
    "stands": _stands,
    "draft": _draft,
    "continue": _continue,
    "more-time": _more_time,
    "leave": _leave,
    "delete": _delete,
}


# ------------------------------------------------------------------------------ beside the page


def _whose_events(tx: Transaction, token: str) -> tuple[int, int] | None:
    """The group (or the waiting room) and the person that a stream is for."""
    person = people.of_cookie(tx, token)
    return None if person is None else (person.group_id or LOBBY, person.id)
