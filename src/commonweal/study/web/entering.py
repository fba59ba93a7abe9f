"""How people come in: consent and joining, private links, and browsers that others have used."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from commonweal.study.config import StudyConfig
from commonweal.study.domain import answers, door, people
from commonweal.study.domain.results import SMALL
from commonweal.study.storage.sessions import KEPT_DAYS
from commonweal.study.storage.tables import LinkRow, ParticipantRow, RecruiterIdsRow
from commonweal.study.storage.tokens import hashed, new_token
from commonweal.study.storage.transaction import Transaction
from commonweal.study.web.app import App
from commonweal.study.web.person import COOKIE, message, who_is_here
from commonweal.study.web.request import PageRequest, RefusedError, csrf_of, endpoint


def routes(app: App) -> list[Route]:
    """The addresses of these pages: tied to a cookie that is there before the person's own."""
    return [
        Route("/join", endpoint(app, join_page), methods=["GET"]),
        Route("/join", endpoint(app, join), methods=["POST"]),
        Route("/i/{token}", endpoint(app, link_page), methods=["GET"]),
        Route("/i/{token}", endpoint(app, link), methods=["POST"]),
    ]


def consent_text(config: StudyConfig, request: PageRequest, kind: str) -> tuple[str, str]:
    """(Everything that the person is told before they agree, the words that they agree with)."""
    if kind == "quick":
        asked = "\n\n".join(question.text for question in config.questions)
        text, agreed = (
            request.translate("quick.information", question=asked),
            request.translate("quick.agree"),
        )
        text += "\n\n" + request.translate(f"quick.kept_{request.app.kept}", n=KEPT_DAYS)
    else:
        n = config.rounds.count
        questions = request.translate(
            "consent.one_question" if n == 1 else "consent.some_questions", n=n
        )
        text = request.translate(
            "consent.information",
            title=config.title,
            n_questions=questions,
            who_reads=request.translate(
                "consent.who_reads_shared" if config.shares_opinions else "consent.who_reads"
            ),
        )
        agreed = request.translate("consent.agree")
    if kind == "quick" or config.rounds.revise:
        text += "\n\n" + request.translate("consent.revise")
    if config.rounds.minority:
        text += "\n\n" + request.translate("consent.minority")
    if config.group.minimum < SMALL:
        text += "\n\n" + request.translate("consent.small_group", n=SMALL)
    if config.contact:
        text += "\n\n" + request.translate("consent.contact", contact=config.contact)
    return text, agreed


def consent_page(
    request: PageRequest,
    action: str,
    *,
    status: int = 200,
    problem: str = "",
    door_pass: str = "",
    is_crowd: bool = False,
) -> Response:
    """Information and consent.

    Args:
        request: the request.
        action: where its form goes.
        status: of the answer.
        problem: what to say above the form.
        door_pass: what shows that the person came with the code of the room.
        is_crowd: whether they are to try again, since many are joining.
    """
    kind = request.app.kind
    information, agreed = consent_text(request.app.config, request, kind)
    return request.page(
        "consent.html.j2",
        status=status,
        information=information,
        agreed=agreed,
        kind=kind,
        action=action,
        problem=problem,
        recruiter=_recruiter(request),
        once=new_token(),
        door_pass=door_pass,
        is_crowd=is_crowd,
    )


def join_page(request: PageRequest) -> Response:
    """Information and consent, before anything is stored."""
    number = _recruiter(request).get("participant", "")
    with request.app.store.read() as db:
        tx = request.app.reading(db)
        person = who_is_here(request, tx)
        if person is not None:
            ids = db.get(RecruiterIdsRow, person.id)
            is_another = bool(number) and (ids is None or ids.recruiter_participant != number)
            # Whoever comes to join where somebody is done may well be the next to sit there.
            if person.outcome is None and not is_another:
                return request.go("/here")
            return _somebody_else(request, person)
        if tx.study.closed_at is not None:
            return message(request, "link.closed_title", "link.closed")
        if tx.study.is_shut:
            return message(request, "door.shut_title", "door.shut")
        code = request.http.query_params.get("code", "")
        if request.app.has_door and not door.opens(tx, code):
            if code:
                request.app.limits.count(f"codes {request.address}", request.app.limits.codes)
            problem = request.translate("door.wrong") if code else ""
            return request.page("door.html.j2", status=403 if code else 200, problem=problem)
        given = door.new_pass(tx, request.token)
    return consent_page(request, "/join", door_pass=given)


def join(request: PageRequest) -> Response:
    """Somebody agrees, or does not, in which case nothing is stored."""
    if request.text("decision") != "agree":
        return message(request, "consent.declined_title", "consent.declined")
    app = request.app
    if app.has_door:
        # Before the queue: who did not come with the code takes nobody's place in it.
        with app.store.read() as db:
            if not door.is_pass(app.reading(db), request.text("door"), request.token):
                return request.page(
                    "door.html.j2", status=403, problem=request.translate("door.late")
                )
    if app.kind != "quick":
        app.limits.count(f"joins {request.address}", app.limits.joins)
    elif not app.arrivals.admits(request.address, request.token):
        answer = consent_page(
            request, "/join", status=429, door_pass=request.text("door"), is_crowd=True
        )
        answer.headers["Retry-After"] = "4"
        return answer
    # Both: a cookie may have been planted, and who planted it has not seen this page.
    once = request.text("once")
    is_known_form = not request.is_new and len(once) >= 20
    try:
        with app.store.transaction(app.study_id) as tx:
            if tx.study.closed_at is not None:
                return message(request, "link.closed_title", "link.closed")
            if tx.study.is_shut:
                return message(request, "door.shut_title", "door.shut")
            person = people.join(
                tx,
                language=request.language,
                recruiter=_recruiter(request),
                browser=f"{request.token} {once}" if is_known_form else "",
                is_sure=request.text("sure") == "yes",
                is_simulated=app.simulated,
            )
            agree(request, tx, person)
            cookie = people.start_login_session(tx, person)
            app.came_from[person.id] = request.address
    except people.AlreadyJoinedError:
        return request.page(
            "already.html.j2", status=409, recruiter=_recruiter(request), once=new_token()
        )
    request.set_cookie(COOKIE, cookie)
    return request.go("/here")


def agree(request: PageRequest, tx: Transaction, person: ParticipantRow) -> None:
    """Notes what the person agrees to."""
    # The language of the page that was read, whatever another tab has chosen since.
    if request.text("language") in request.app.config.languages:
        request.language = request.text("language")
    text = "\n\n".join(consent_text(request.app.config, request, request.app.kind))
    if person.stage == "consent":
        person.language = request.language
    people.consent(tx, person, text)
    if request.app.kind == "quick":
        people.read_instructions(tx, person)


def _recruiter(request: PageRequest) -> dict[str, str]:
    """The recruiter's ids, from the link, or from the form that the link's page made."""
    names = request.app.config.recruiter
    ids = {}
    for part in ("participant", "study", "session"):
        name = getattr(names, part)
        if name:
            value = request.text(part) or request.http.query_params.get(name, "")
            ids[part] = answers.clean(value)[:200]
    return ids


def link_page(request: PageRequest) -> Response:
    """A private link: a button first, so that a preview of the link does not use it up."""
    token = request.http.path_params["token"]
    with request.app.store.read() as db:
        tx = request.app.reading(db)
        link = db.get(LinkRow, hashed(token))
        person = who_is_here(request, tx)
        is_open = link is not None and people.is_open(link, _browser(request), tx.now)
    if link is None:
        request.app.limits.count(f"failures {request.address}", request.app.limits.failures)
        raise RefusedError(404, "error.not_found")
    if person is not None and person.id == link.participant_id:
        return request.go("/here")
    if not is_open:
        return message(request, "link.used_title", "link.used", status=410)
    if person is not None:
        return _somebody_else(request, person)
    return request.page("link.html.j2", token=token)


def link(request: PageRequest) -> Response:
    """Exchanges a private link for a cookie: once, or again where the answer was lost."""
    token = request.http.path_params["token"]
    with request.app.store.transaction(request.app.study_id) as tx:
        person = who_is_here(request, tx)
        private_link = tx.db.get(LinkRow, hashed(token))
        is_another = (
            person is not None
            and private_link is not None
            and person.id != private_link.participant_id
        )
        if person is not None and is_another:
            return _somebody_else(request, person)
        cookie = people.exchange(tx, token, browser=_browser(request))
    if cookie is None:
        request.app.limits.count(f"failures {request.address}", request.app.limits.failures)
        return message(request, "link.used_title", "link.used", status=410)
    request.set_cookie(COOKIE, cookie)
    return request.go("/here")


def _browser(request: PageRequest) -> str:
    return "" if request.is_new else request.token


def _somebody_else(request: PageRequest, person: ParticipantRow) -> Response:
    """Asks who sits there, where this browser is somebody's and another may have come."""
    query = urlencode(request.http.query_params)
    return request.page(
        "somebody_else.html.j2",
        is_over=person.outcome is not None,
        # Back to here, once the browser knows nobody.
        onward=f"{request.http.url.path}?{query}" if query else request.http.url.path,
        finish_csrf=csrf_of(request.http.cookies.get(COOKIE, "")),
    )
