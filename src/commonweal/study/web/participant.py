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
from commonweal.study.storage.tables import Event, Participant
from commonweal.study.storage.transaction import Turn
from commonweal.study.web import beside, entering
from commonweal.study.web.app import Site
from commonweal.study.web.live import LOBBY
from commonweal.study.web.person import COOKIE, message, person_of
from commonweal.study.web.visit import Handler, RefusedError, Visit, endpoint, stream
from commonweal.types import RATING_MAX, RATING_MIN

STALE = "stale"
"""An answer to a page that is over, or one sent twice: it changes nothing, and they are told."""

DELETED = "deleted"
"""An answer to somebody whose data have just been deleted."""


def routes(site: Site) -> list[Route]:
    """The participants' addresses."""

    def route(path: str, method: str, handler: Handler) -> Route:
        return Route(path, endpoint(site, handler, cookie=COOKIE), methods=[method])

    return [
        route("/", "GET", lambda visit: visit.go("/join")),
        *entering.routes(site),
        route("/here", "GET", here),
        Route("/here/events", stream(site, COOKIE, _whose_events), methods=["GET"]),
        *beside.routes(site),
        route("/here/{action}", "POST", act),
        # Where a form came back with something missing, a reload of its address finds the page.
        route("/here/{action}", "GET", lambda visit: visit.go("/here")),
    ]


# ------------------------------------------------------------------------------------- the page


def here(visit: Visit) -> Response:
    """What the person is to do now. Written to only where there is something to note."""
    store, study_id = visit.site.store, visit.site.study_id
    with store.read() as db:
        turn = visit.site.reading(db)
        person = person_of(visit, turn)
        page = current_page(turn, person)
        due = page.group is not None and page.group.deadline <= turn.now and not page.is_paused
        comes_back = page.kind == "lobby" and visit.site.kind == "quick" and group_of(turn)
        stands = people.is_fresh(turn, person) and not due and not comes_back
        if stands and page.unseen is None:
            return _show(visit, turn, page)
    # The reading connection is given back first: everybody who waits to write would hold one.
    if stands and page.unseen is not None:
        with store.write() as writing:
            answers.show(writing, page.unseen, turn.now)
        return _show(visit, turn, page)
    with store.turn(study_id) as turn:
        person = person_of(visit, turn)
        people.saw(turn, person)
        turn.db.flush()
        page = current_page(turn, person)
        if page.unseen is not None:
            answers.show(turn.db, page.unseen, turn.now)
        return _show(visit, turn, page)


def _show(
    visit: Visit, turn: Turn, page: Page, *, status: int = 200, problem: str = ""
) -> Response:
    if page.kind == "consent":
        return entering.consent_page(visit, "/here/consent", status=status, problem=problem)
    asked = page.presentation.id if page.presentation else None
    return visit.page(
        f"{page.kind}.html.j2",
        status=status,
        page=page,
        problem=problem,
        now=turn.now,
        kind=visit.site.kind,
        values=range(RATING_MIN, RATING_MAX + 1),
        chosen=visit.form if visit.whole("presentation") == asked else {},
        code=turn.config.code(page.person.outcome) if page.person.outcome else "",
        ending=(ending := _ending(turn, page.person)),
        kept=beside.kept_result(visit, turn, page.group) if ending in _KEEP else None,
        entry_until=page.person.stage_since + turn.config.timings_seconds.entry,
        session=_session(visit, turn, page),
        quote=quote,
        version=page.group.version if page.group else turn.study.lobby_version,
        stale="stale" in visit.request.query_params,
        can_extend=page.person.n_extensions < people.MAX_EXTENSIONS,
    )


def _session(visit: Visit, turn: Turn, page: Page) -> str:
    """Names the text for who waits in a quick session."""
    is_late = visit.site.kind == "quick" and page.kind == "lobby" and group_of(turn) is not None
    return "running" if is_late else "facilitated"


_KEEP = ("complete", "partial", "partial_released")
"""How a person's part ends who was there to the end."""


def _ending(turn: Turn, person: Participant) -> str:
    """Names the texts that say how the person's part ended; "" while it goes on."""
    if person.outcome != "partial":
        return person.outcome or ""
    ended = select(Event.actor).where(Event.participant_id == person.id, Event.kind == "ended")
    who = turn.db.scalars(ended).first()
    return {"machine": "partial", "participant": "partial_left"}.get(who or "", "partial_released")


def act(visit: Visit) -> Response:
    """Whatever a form of the page sends."""
    action = visit.request.path_params["action"]
    if action not in _ACTIONS:
        raise RefusedError(404, "error.not_found")
    if action in ("opinion", "critique"):
        visit.flags = flags_of(answers.clean(visit.text("text")))
    with visit.site.store.turn(visit.site.study_id) as turn:
        person = person_of(visit, turn)
        if not people.is_fresh(turn, person):
            person.last_seen_at = turn.now
        answer = _ACTIONS[action](visit, turn, person)
        if answer == STALE:
            return visit.go("/here?stale=1")
        if isinstance(answer, str) and answer != DELETED:
            # The form again, with what is missing; what was written is kept.
            turn.db.flush()
            return _show(visit, turn, current_page(turn, person), status=422, problem=answer)
    if answer == DELETED:
        # Asked after the transaction: another process that reads may keep a trace for a while.
        text = "data.deleted_soon" if visit.site.store.has_traces else "data.deleted"
        return message(visit, "data.deleted_title", text)
    return answer if isinstance(answer, Response) else visit.go("/here")


def _consent(visit: Visit, turn: Turn, person: Participant) -> Response | None:
    if visit.text("decision") == "agree":
        entering.agree(visit, turn, person)
        return None
    if person.stage == "consent":
        privacy.delete_data(turn, person)
        visit.set_cookie(COOKIE, None)
        return message(visit, "consent.declined_title", "consent.declined")
    return None


def _check(visit: Visit, turn: Turn, person: Participant) -> str | None:
    given = [visit.whole(f"answer{n}") for n in range(len(turn.config.checks))]
    if person.stage == "check" and None in given:
        return "check.missing"
    right = people.answer_check(turn, person, given)
    return None if right or person.outcome is not None else "check.wrong"


def _rate(visit: Visit, turn: Turn, person: Participant) -> str | None:
    # The script says how long ago the first input was: the browser's clock is not needed.
    ago, changes = visit.whole("first_input_ago"), visit.whole("n_changes")
    handled = answers.Handled(turn.now - ago / 1000 if ago is not None else None, changes)
    number, agreement = visit.whole("presentation"), visit.whole("agreement")
    problem = answers.rate(turn, person, number, agreement, visit.whole("quality"), handled)
    return _problem("rate", problem)


def _opinion(visit: Visit, turn: Turn, person: Participant) -> str | None:
    number, text = visit.whole("round") or 0, visit.text("text")
    problem = answers.write_opinion(turn, person, number, text, visit.flags)
    return _problem("opinion", problem)


def _critique(visit: Visit, turn: Turn, person: Participant) -> str | None:
    number, text = visit.whole("round") or 0, visit.text("text")
    if not answers.clean(text):
        return "critique.missing"
    problem = answers.write_critique(turn, person, number, text, visit.flags)
    return _problem("critique", problem)


def _stands(visit: Visit, turn: Turn, person: Participant) -> str | None:
    """They would change nothing."""
    return _problem("critique", answers.write_critique(turn, person, visit.whole("round") or 0, ""))


def _problem(part: str, problem: str | None) -> str | None:
    if problem == "not_asked":
        return STALE
    return f"{part}.{problem}" if problem else None


def _draft(visit: Visit, turn: Turn, person: Participant) -> Response:
    kept = answers.save_draft(turn, person, visit.whole("round") or 0, visit.text("text"))
    return Response(status_code=204 if kept else 409)


def _continue(visit: Visit, turn: Turn, person: Participant) -> str | None:
    left = answers.leave_result(turn, person, visit.whole("round") or 0)
    return None if left else STALE


def _instructions(_visit: Visit, turn: Turn, person: Participant) -> None:
    people.read_instructions(turn, person)


def _more_time(visit: Visit, turn: Turn, person: Participant) -> Response | None:
    people.more_time(turn, person)
    # The page's form comes with it: nobody loses what they have written or chosen so far.
    if "text" in visit.form:
        answers.save_draft(turn, person, visit.whole("round") or 0, visit.text("text"))
    if not visit.form.keys() - {"csrf", "round", "presentation", "text"}:
        return None
    turn.db.flush()
    return _show(visit, turn, current_page(turn, person))


def _leave(_visit: Visit, turn: Turn, person: Participant) -> None:
    privacy.withdraw(turn, person)


def _delete(visit: Visit, turn: Turn, person: Participant) -> Response | str:
    if visit.text("sure") != "yes":
        return visit.go("/here/data")
    privacy.delete_data(turn, person)
    visit.set_cookie(COOKIE, None)
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


def _whose_events(turn: Turn, token: str) -> tuple[int, int] | None:
    """The group (or the waiting room) and the person that a stream is for."""
    person = people.of_cookie(turn, token)
    return None if person is None else (person.group_id or LOBBY, person.id)
