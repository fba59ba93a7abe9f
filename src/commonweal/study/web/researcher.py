"""The researcher's pages: live groups, what can be done to them, moderation, audit. In English."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, get_args

from sqlalchemy import func, select
from starlette.responses import Response
from starlette.routing import Route

from commonweal.study.domain import machine, researchers
from commonweal.study.domain.keeping import so_far
from commonweal.study.domain.pages import companions
from commonweal.study.domain.quick import use_model
from commonweal.study.export import files as export_files
from commonweal.study.storage.tables import (
    Critique,
    Event,
    Group,
    Job,
    Opinion,
    Participant,
    Researcher,
    Round,
    Statement,
)
from commonweal.study.storage.transaction import Turn
from commonweal.study.web.app import Site
from commonweal.study.web.limits import FewAtOnce
from commonweal.study.web.visit import RefusedError, Visit, as_whole, endpoint
from commonweal.study.writing import held_texts
from commonweal.study.writing.jobs import failed_jobs

COOKIE = "cw_researcher"
MAX_GUESSES = 8
"""Wrong passwords for one name from one address in a minute."""
_HASHING = FewAtOnce(at_once=2, waiting=8)
"""A password costs 64 MB and a tenth of a second of a core to try."""
N_EVENTS = 200


def routes(site: Site) -> list[Route]:
    """The researchers' addresses."""
    wrap = partial(endpoint, site, cookie=COOKIE)
    return [
        Route("/researcher/login", endpoint(site, login_page), methods=["GET"]),
        Route("/researcher/login", endpoint(site, login), methods=["POST"]),
        Route("/researcher/logout", wrap(logout), methods=["POST"]),
        Route("/researcher", wrap(dashboard), methods=["GET"]),
        Route("/researcher/audit", wrap(audit), methods=["GET"]),
        Route("/researcher/export", wrap(export), methods=["POST"]),
        Route("/researcher/moderation", wrap(moderation), methods=["GET"]),
        Route("/researcher/moderation", wrap(decide), methods=["POST"]),
        Route("/researcher/groups/{group}", wrap(group_page), methods=["GET"]),
        Route("/researcher/groups/{group}/{action}", wrap(act), methods=["POST"]),
    ]


def login_page(visit: Visit) -> Response:
    """Name and password."""
    return visit.page("login.html.j2", problem="", name="")


def login(visit: Visit) -> Response:
    """Checks them; a few a minute are enough."""
    limits, name = visit.site.limits, researchers.plain_name(visit.text("name"))[:100]
    # Counted before anything is tried: many at once would all be tried first. By name and address
    # together: wrong guesses from elsewhere must not lock out whose name it is.
    of_name = f"login {visit.address} {name}"
    limits.count(f"login {visit.address}", limits.failures)
    limits.count(of_name, MAX_GUESSES)
    with _HASHING:
        token = researchers.log_in(visit.site.store, name, visit.text("password"))
    with visit.site.store.turn(visit.site.study_id) as turn:
        # A name that nobody has may be a password in the wrong field: it is not kept.
        known = turn.db.scalar(select(Researcher.name).where(Researcher.name == name))
        turn.log("logged in" if token else "login refused", actor=known or "nobody known")
    if token is None:
        problem = "Name and password do not belong together."
        return visit.page("login.html.j2", status=403, problem=problem, name=name)
    limits.forget(of_name, MAX_GUESSES)
    visit.set_cookie(COOKIE, token)
    return visit.go("/researcher")


def logout(visit: Visit) -> Response:
    """Ends the sitting."""
    researchers.log_out(visit.site.store, visit.token)
    visit.set_cookie(COOKIE, None)
    return visit.go("/researcher/login")


def _who(visit: Visit, turn: Turn, *, moderators: bool = False) -> Researcher:
    """Who is logged in.

    Raises:
        RefusedError: nobody, or somebody whose role does not allow this page.
    """
    found = researchers.of_cookie(turn.db, visit.token, turn.now)
    if found is None or (found.role == "moderator" and not moderators):
        raise RefusedError(403 if found else 404, "error.not_found")
    return found


def dashboard(visit: Visit) -> Response:
    """Every group with its stage and people, the stuck ones first, and how people ended."""
    with visit.site.store.read() as db:
        turn = visit.site.reading(db)
        if researchers.of_cookie(db, visit.token, turn.now) is None:
            return visit.go("/researcher/login")
        who = _who(visit, turn, moderators=True)
        if who.role == "moderator":
            return visit.go("/researcher/moderation")
        groups = db.scalars(
            select(Group).where(Group.study_id == turn.study.id).order_by(Group.id.desc())
        ).all()
        failed = failed_jobs(db, turn.study.id)
        rows = [_row(turn, group, failed) for group in groups]
        people = db.execute(
            select(Participant.stage, Participant.outcome).where(
                Participant.study_id == turn.study.id
            )
        ).all()
        counts = Counter(outcome or f"now in the stage '{stage}'" for stage, outcome in people)
        return visit.page(
            "dashboard.html.j2",
            rows=sorted(rows, key=lambda row: (not row["alarm"], row["ended"])),
            counts=sorted(counts.items()),
            n_people=len(people),
            n_waiting=len(held_texts.waiting_texts(turn)),
            failed=[job for jobs in failed.values() for job in jobs],
            who=who,
            now=turn.now,
            join_address=visit.url("/join"),
        )


def _row(turn: Turn, group: Group, failed: dict[int, list[Job]]) -> dict[str, object]:
    row = turn.db.get(Round, group.round_id) if group.round_id else None
    ended = group.stage in machine.ENDED
    alarm = ""
    of_group = failed.get(group.id, [])
    job = next((job for job in of_group if job.round_id == group.round_id), None)
    if not ended and job is not None:
        alarm = f"writing failed: {job.error}"
    elif not ended and group.paused_at is None:
        if group.deadline < turn.now - 5:
            alarm = "past its deadline"
        elif group.stage.endswith("_check"):
            alarm = "waits for moderation"
    return {
        "group": group,
        "round": row,
        "people": companions(turn, group),
        "alarm": alarm,
        "ended": ended,
    }


def _events(visit: Visit, turn: Turn, group: Group | None = None) -> dict[str, Any]:
    """What the table of events shows: the newest, or those before the one that the address names,
    each with the public ids of its group and person.
    """
    found = (
        select(Event, Group.public_id, Participant.public_id)
        .outerjoin(Group, Event.group_id == Group.id)
        .outerjoin(Participant, Event.participant_id == Participant.id)
        .where(Event.study_id == turn.study.id)
        .order_by(Event.id.desc())
        .limit(N_EVENTS + 1)
    )
    if group is not None:
        found = found.where(Event.group_id == group.id)
    if before := as_whole(visit.request.query_params.get("before", "")):
        found = found.where(Event.id < before)
    rows = turn.db.execute(found).all()
    logged = rows[:N_EVENTS]
    return {"logged": logged, "older": logged[-1][0].id if len(rows) > N_EVENTS else None}


def group_page(visit: Visit) -> Response:
    """One group: its people, what can be done, what has happened."""
    with visit.site.store.read() as db:
        turn = visit.site.reading(db)
        who = _who(visit, turn)
        group = _group(visit, turn)
        return visit.page(
            "group.html.j2",
            row=_row(turn, group, failed_jobs(db, turn.study.id)),
            rounds=_as_they_come(turn, group),
            members=db.scalars(
                select(Participant)
                .where(Participant.group_id == group.id)
                .order_by(Participant.seat)
            ).all(),
            who=who,
            now=turn.now,
            failure=machine.why_held(turn, group),
            arms=turn.config.arms,
            models=_models(visit, turn),
            **_events(visit, turn, group),
        )


def _models(visit: Visit, turn: Turn) -> list[str]:
    """The models to choose from where writing has failed: those of the arms first."""
    named = (arm.model for arm in turn.config.arms if arm.plan != "opinions")
    return list(dict.fromkeys((*named, *visit.site.spare_models)))


def export(visit: Visit) -> Response:
    """The study's data as a file to take home."""
    kinds: dict[str, export_files.Kind] = {each: each for each in get_args(export_files.Kind)}
    kind = kinds.get(visit.text("kind"))
    with visit.site.store.read() as db:
        who = _who(visit, visit.site.reading(db))
        actor = who.name
    if kind is None:
        raise RefusedError(404, "error.not_found")
    content, name, media_type = export_files.export_file(
        visit.site.store, visit.site.study_id, kind, name=visit.site.config.name, actor=actor
    )
    return Response(
        content,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _as_they_come(turn: Turn, group: Group) -> list[dict[str, Any]]:
    """Each round of the group, the newest first: opinions, statements, ratings so far."""
    rounds = turn.db.scalars(
        select(Round)
        .where(Round.group_id == group.id)
        .order_by(Round.number.desc(), Round.revision.desc())
    )
    found = []
    for row in rounds.all():
        opinions = turn.db.execute(
            select(Participant.seat, Opinion)
            .join(Participant, Opinion.participant_id == Participant.id)
            .where(Opinion.round_id == row.id)
            .order_by(Opinion.id)
        ).all()
        critiques = turn.db.execute(
            select(Participant.seat, Critique)
            .join(Participant, Critique.participant_id == Participant.id)
            .where(Critique.round_id == row.id)
            .order_by(Critique.id)
        ).all()
        n_written = turn.db.scalar(
            select(func.count(Statement.id)).where(Statement.round_id == row.id)
        )
        found.append(
            {
                "row": row,
                "opinions": opinions,
                "critiques": critiques,
                "n_written": n_written,
                "found": so_far(turn, row),
            }
        )
    return found


def act(visit: Visit) -> Response:
    """Pause, resume, extend, message, release, remove, write again: each with its line in the
    audit.
    """
    action = visit.request.path_params["action"]
    with visit.site.store.turn(visit.site.study_id) as turn:
        actor = _who(visit, turn).name
        group = _group(visit, turn)
        if action == "pause":
            machine.pause(turn, group, actor=actor)
        elif action == "resume":
            machine.resume(turn, group, actor=actor)
        elif action == "extend":
            minutes = min(max(visit.whole("minutes") or 0, 0), 24 * 60)
            researchers.extend(turn, group, 60.0 * minutes, actor=actor)
        elif action == "message":
            researchers.send_message(turn, group, visit.text("text"), actor=actor)
        elif action == "release" and visit.text("sure") == "yes":
            researchers.release(turn, group, actor=actor)
        elif action == "again":
            arms = [arm.name for arm in turn.config.arms]
            arm, model = visit.text("arm"), visit.text("model")
            offered = arm in arms and model in _models(visit, turn)
            if machine.write_again(turn, group, actor=actor) and offered:
                use_model(turn, model, actor=actor, arm=arm)
        elif action == "without" and visit.text("sure") == "yes":
            machine.go_on_without(turn, group, actor=actor)
        elif action == "remove":
            person = turn.db.scalars(
                select(Participant).where(
                    Participant.group_id == group.id,
                    Participant.public_id == visit.text("person"),
                )
            ).one_or_none()
            if person is not None:
                researchers.remove(turn, person, actor=actor)
    return visit.go(f"/researcher/groups/{group.public_id}")


def moderation(visit: Visit) -> Response:
    """What waits for somebody to look at it."""
    with visit.site.store.read() as db:
        turn = visit.site.reading(db)
        who = _who(visit, turn, moderators=True)
        waiting = held_texts.waiting_texts(turn)
        return visit.page("moderation.html.j2", waiting=waiting, who=who, now=turn.now)


def decide(visit: Visit) -> Response:
    """Approves or rejects one text."""
    with visit.site.store.turn(visit.site.study_id) as turn:
        actor = _who(visit, turn, moderators=True).name
        kind, number = visit.text("kind"), visit.whole("id")
        held_texts.decide(turn, kind, number or 0, visit.text("decision"), actor=actor)
    return visit.go("/researcher/moderation")


def audit(visit: Visit) -> Response:
    """What happened in the study, the newest first."""
    with visit.site.store.read() as db:
        turn = visit.site.reading(db)
        who = _who(visit, turn)
        return visit.page("audit.html.j2", who=who, **_events(visit, turn))


def _group(visit: Visit, turn: Turn) -> Group:
    found = turn.db.scalars(
        select(Group).where(
            Group.study_id == turn.study.id,
            Group.public_id == visit.request.path_params["group"],
        )
    ).one_or_none()
    if found is None:
        raise RefusedError(404, "error.not_found")
    return found
