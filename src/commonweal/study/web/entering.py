"""How people come in: consent and joining, private links, and browsers that others have used."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from commonweal.study.config import StudyConfig
from commonweal.study.domain import answers, door, people
from commonweal.study.domain.results import SMALL
from commonweal.study.storage.sessions import KEPT_DAYS
from commonweal.study.storage.tables import Link, Participant, RecruiterIds
from commonweal.study.storage.tokens import hashed, new_token
from commonweal.study.storage.transaction import Turn
from commonweal.study.web.app import Site
from commonweal.study.web.person import COOKIE, message, who_is_here
from commonweal.study.web.visit import RefusedError, Visit, csrf_of, endpoint


def routes(site: Site) -> list[Route]:
    """The addresses of these pages: tied to a cookie that is there before the person's own."""
    return [
        Route("/join", endpoint(site, join_page), methods=["GET"]),
        Route("/join", endpoint(site, join), methods=["POST"]),
        Route("/i/{token}", endpoint(site, link_page), methods=["GET"]),
        Route("/i/{token}", endpoint(site, link), methods=["POST"]),
    ]


def consent_text(config: StudyConfig, visit: Visit, kind: str) -> tuple[str, str]:
    """(Everything that the person is told before they agree, the words that they agree with)."""
    if kind == "quick":
        asked = "\n\n".join(question.text for question in config.questions)
        told, agreed = visit.speak("quick.information", question=asked), visit.speak("quick.agree")
        told += "\n\n" + visit.speak(f"quick.kept_{visit.site.kept}", n=KEPT_DAYS)
    else:
        n = config.rounds.count
        questions = visit.speak("consent.one_question" if n == 1 else "consent.some_questions", n=n)
        told = visit.speak(
            "consent.information",
            title=config.title,
            n_questions=questions,
            who_reads=visit.speak(
                "consent.who_reads_shared" if config.shares_opinions else "consent.who_reads"
            ),
        )
        agreed = visit.speak("consent.agree")
    if kind == "quick" or config.rounds.revise:
        told += "\n\n" + visit.speak("consent.revise")
    if config.rounds.minority:
        told += "\n\n" + visit.speak("consent.minority")
    if config.group.minimum < SMALL:
        told += "\n\n" + visit.speak("consent.small_group", n=SMALL)
    if config.contact:
        told += "\n\n" + visit.speak("consent.contact", contact=config.contact)
    return told, agreed


def consent_page(
    visit: Visit,
    action: str,
    *,
    status: int = 200,
    problem: str = "",
    door_pass: str = "",
    is_crowd: bool = False,
) -> Response:
    """Information and consent.

    Args:
        visit: the request.
        action: where its form goes.
        status: of the answer.
        problem: what to say above the form.
        door_pass: what shows that the person came with the code of the room.
        is_crowd: whether they are to try again, since many are joining.
    """
    kind = visit.site.kind
    information, agreed = consent_text(visit.site.config, visit, kind)
    return visit.page(
        "consent.html.j2",
        status=status,
        information=information,
        agreed=agreed,
        kind=kind,
        action=action,
        problem=problem,
        recruiter=_recruiter(visit),
        once=new_token(),
        door_pass=door_pass,
        is_crowd=is_crowd,
    )


def join_page(visit: Visit) -> Response:
    """Information and consent, before anything is stored."""
    number = _recruiter(visit).get("participant", "")
    with visit.site.store.read() as db:
        turn = visit.site.reading(db)
        person = who_is_here(visit, turn)
        if person is not None:
            ids = db.get(RecruiterIds, person.id)
            is_another = bool(number) and (ids is None or ids.recruiter_participant != number)
            # Whoever comes to join where somebody is done may well be the next to sit there.
            if person.outcome is None and not is_another:
                return visit.go("/here")
            return _somebody_else(visit, person)
        if turn.study.closed_at is not None:
            return message(visit, "link.closed_title", "link.closed")
        if turn.study.is_shut:
            return message(visit, "door.shut_title", "door.shut")
        code = visit.request.query_params.get("code", "")
        if visit.site.has_door and not door.opens(turn, code):
            if code:
                visit.site.limits.count(f"codes {visit.address}", visit.site.limits.codes)
            problem = visit.speak("door.wrong") if code else ""
            return visit.page("door.html.j2", status=403 if code else 200, problem=problem)
        given = door.new_pass(turn, visit.token)
    return consent_page(visit, "/join", door_pass=given)


def join(visit: Visit) -> Response:
    """Somebody agrees, or does not, in which case nothing is stored."""
    if visit.text("decision") != "agree":
        return message(visit, "consent.declined_title", "consent.declined")
    site = visit.site
    if site.has_door:
        # Before the queue: who did not come with the code takes nobody's place in it.
        with site.store.read() as db:
            if not door.is_pass(site.reading(db), visit.text("door"), visit.token):
                return visit.page("door.html.j2", status=403, problem=visit.speak("door.late"))
    if site.kind != "quick":
        site.limits.count(f"joins {visit.address}", site.limits.joins)
    elif not site.arrivals.admits(visit.address, visit.token):
        answer = consent_page(
            visit, "/join", status=429, door_pass=visit.text("door"), is_crowd=True
        )
        answer.headers["Retry-After"] = "4"
        return answer
    # Both: a cookie may have been planted, and who planted it has not seen this page.
    once = visit.text("once")
    is_known_form = not visit.is_new and len(once) >= 20
    try:
        with site.store.turn(site.study_id) as turn:
            if turn.study.closed_at is not None:
                return message(visit, "link.closed_title", "link.closed")
            if turn.study.is_shut:
                return message(visit, "door.shut_title", "door.shut")
            person = people.join(
                turn,
                language=visit.language,
                recruiter=_recruiter(visit),
                browser=f"{visit.token} {once}" if is_known_form else "",
                is_sure=visit.text("sure") == "yes",
                is_simulated=site.simulated,
            )
            agree(visit, turn, person)
            cookie = people.sit_down(turn, person)
            site.came_from[person.id] = visit.address
    except people.AlreadyJoinedError:
        return visit.page(
            "already.html.j2", status=409, recruiter=_recruiter(visit), once=new_token()
        )
    visit.set_cookie(COOKIE, cookie)
    return visit.go("/here")


def agree(visit: Visit, turn: Turn, person: Participant) -> None:
    """Notes what the person agrees to."""
    # The language of the page that was read, whatever another tab has chosen since.
    if visit.text("language") in visit.site.config.languages:
        visit.language = visit.text("language")
    text = "\n\n".join(consent_text(visit.site.config, visit, visit.site.kind))
    if person.stage == "consent":
        person.language = visit.language
    people.consent(turn, person, text)
    if visit.site.kind == "quick":
        people.read_instructions(turn, person)


def _recruiter(visit: Visit) -> dict[str, str]:
    """The recruiter's ids, from the link, or from the form that the link's page made."""
    names = visit.site.config.recruiter
    found = {}
    for part in ("participant", "study", "session"):
        name = getattr(names, part)
        if name:
            value = visit.text(part) or visit.request.query_params.get(name, "")
            found[part] = answers.clean(value)[:200]
    return found


def link_page(visit: Visit) -> Response:
    """A private link: a button first, so that a preview of the link does not use it up."""
    token = visit.request.path_params["token"]
    with visit.site.store.read() as db:
        turn = visit.site.reading(db)
        found = db.get(Link, hashed(token))
        person = who_is_here(visit, turn)
        is_open = found is not None and people.is_open(found, _browser(visit), turn.now)
    if found is None:
        visit.site.limits.count(f"failures {visit.address}", visit.site.limits.failures)
        raise RefusedError(404, "error.not_found")
    if person is not None and person.id == found.participant_id:
        return visit.go("/here")
    if not is_open:
        return message(visit, "link.used_title", "link.used", status=410)
    if person is not None:
        return _somebody_else(visit, person)
    return visit.page("link.html.j2", token=token)


def link(visit: Visit) -> Response:
    """Exchanges a private link for a cookie: once, or again where the answer was lost."""
    token = visit.request.path_params["token"]
    with visit.site.store.turn(visit.site.study_id) as turn:
        person = who_is_here(visit, turn)
        found = turn.db.get(Link, hashed(token))
        is_another = person is not None and found is not None and person.id != found.participant_id
        if person is not None and is_another:
            return _somebody_else(visit, person)
        cookie = people.exchange(turn, token, browser=_browser(visit))
    if cookie is None:
        visit.site.limits.count(f"failures {visit.address}", visit.site.limits.failures)
        return message(visit, "link.used_title", "link.used", status=410)
    visit.set_cookie(COOKIE, cookie)
    return visit.go("/here")


def _browser(visit: Visit) -> str:
    return "" if visit.is_new else visit.token


def _somebody_else(visit: Visit, person: Participant) -> Response:
    """Asks who sits there, where this browser is somebody's and another may have come."""
    query = urlencode(visit.request.query_params)
    return visit.page(
        "somebody_else.html.j2",
        is_over=person.outcome is not None,
        # Back to here, once the browser knows nobody.
        onward=f"{visit.request.url.path}?{query}" if query else visit.request.url.path,
        finish_csrf=csrf_of(visit.request.cookies.get(COOKIE, "")),
    )
