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
from commonweal.study.domain.quick import models_before, use_model
from commonweal.study.export import files as export_files
from commonweal.study.storage.tables import (
    CritiqueRow,
    EventRow,
    GroupRow,
    JobRow,
    MinorityRow,
    OpinionRow,
    ParticipantRow,
    ResearcherRow,
    RoundRow,
    StatementRow,
)
from commonweal.study.storage.transaction import Transaction
from commonweal.study.web.app import App
from commonweal.study.web.limits import FewAtOnce
from commonweal.study.web.request import PageRequest, RefusedError, as_integer, endpoint
from commonweal.study.writing import held_texts
from commonweal.study.writing.jobs import failed_jobs, unattended

COOKIE = "cw_researcher"
MAX_GUESSES = 8
"""Wrong passwords for one name from one address in a minute."""
_HASHING = FewAtOnce(at_once=2, waiting=8)
"""A password costs 64 MB and a tenth of a second of a core to try."""
N_EVENTS = 200


def routes(app: App) -> list[Route]:
    """The researchers' addresses."""
    wrap = partial(endpoint, app, cookie=COOKIE)
    return [
        Route("/researcher/login", endpoint(app, login_page), methods=["GET"]),
        Route("/researcher/login", endpoint(app, login), methods=["POST"]),
        Route("/researcher/logout", wrap(logout), methods=["POST"]),
        Route("/researcher", wrap(dashboard), methods=["GET"]),
        Route("/researcher/audit", wrap(audit), methods=["GET"]),
        Route("/researcher/export", wrap(export), methods=["POST"]),
        Route("/researcher/moderation", wrap(moderation), methods=["GET"]),
        Route("/researcher/moderation", wrap(decide), methods=["POST"]),
        Route("/researcher/groups/{group}", wrap(group_page), methods=["GET"]),
        Route("/researcher/groups/{group}/{action}", wrap(act), methods=["POST"]),
    ]


def login_page(request: PageRequest) -> Response:
    """Name and password."""
    return request.page("login.html.j2", problem="", name="")


def login(request: PageRequest) -> Response:
    """Checks them; a few a minute are enough."""
    limits, name = request.app.limits, researchers.plain_name(request.text("name"))[:100]
    # Counted before anything is tried: many at once would all be tried first. By name and address
    # together: wrong guesses from elsewhere must not lock out whose name it is.
    of_name = f"login {request.address} {name}"
    limits.count(f"login {request.address}", limits.failures)
    limits.count(of_name, MAX_GUESSES)
    with _HASHING:
        token = researchers.log_in(request.app.store, name, request.text("password"))
    with request.app.store.transaction(request.app.study_id) as tx:
        # A name that nobody has may be a password in the wrong field: it is not kept.
        known = tx.db.scalar(select(ResearcherRow.name).where(ResearcherRow.name == name))
        tx.log("logged in" if token else "login refused", actor=known or "nobody known")
    if token is None:
        problem = "Wrong name or password."
        return request.page("login.html.j2", status=403, problem=problem, name=name)
    limits.forget(of_name, MAX_GUESSES)
    request.set_cookie(COOKIE, token)
    return request.go("/researcher")


def logout(request: PageRequest) -> Response:
    """Ends the login session."""
    researchers.log_out(request.app.store, request.token)
    request.set_cookie(COOKIE, None)
    return request.go("/researcher/login")


def _who(request: PageRequest, tx: Transaction, *, moderators: bool = False) -> ResearcherRow:
    """Who is logged in.

    Raises:
        RefusedError: nobody, or somebody whose role does not allow this page.
    """
    researcher = researchers.of_cookie(tx.db, request.token, tx.now)
    if researcher is None or (researcher.role == "moderator" and not moderators):
        raise RefusedError(403 if researcher else 404, "error.not_found")
    return researcher


def dashboard(request: PageRequest) -> Response:
    """Every group with its stage and people, the stuck ones first, and how people ended."""
    with request.app.store.read() as db:
        tx = request.app.reading(db)
        if researchers.of_cookie(db, request.token, tx.now) is None:
            return request.go("/researcher/login")
        who = _who(request, tx, moderators=True)
        if who.role == "moderator":
            return request.go("/researcher/moderation")
        groups = db.scalars(
            select(GroupRow).where(GroupRow.study_id == tx.study.id).order_by(GroupRow.id.desc())
        ).all()
        failed = failed_jobs(db, tx.study.id)
        unwritten = unattended(db, tx.study.id, tx.now)
        rows = [_row(tx, group, failed, unwritten) for group in groups]
        people = db.execute(
            select(ParticipantRow.stage, ParticipantRow.outcome).where(
                ParticipantRow.study_id == tx.study.id
            )
        ).all()
        counts = Counter(outcome or f"now in the stage '{stage}'" for stage, outcome in people)
        return request.page(
            "dashboard.html.j2",
            rows=sorted(rows, key=lambda row: (not row["alarm"], row["ended"])),
            counts=sorted(counts.items()),
            n_people=len(people),
            n_waiting=len(held_texts.waiting_texts(tx)),
            failed=[job for jobs in failed.values() for job in jobs],
            n_unwritten=len(unwritten),
            who=who,
            now=tx.now,
            join_address=request.url("/join"),
        )


def _row(
    tx: Transaction, group: GroupRow, failed: dict[int, list[JobRow]], unwritten: set[int]
) -> dict[str, object]:
    row = tx.db.get(RoundRow, group.round_id) if group.round_id else None
    ended = group.stage in machine.ENDED
    alarm = ""
    of_group = failed.get(group.id, [])
    job = next((job for job in of_group if job.round_id == group.round_id), None)
    if not ended and job is not None:
        alarm = f"writing failed: {job.error}"
    elif not ended and group.round_id in unwritten:
        alarm = "nobody writes for it"
    elif not ended and group.paused_at is None:
        if group.deadline < tx.now - 5:
            alarm = "past its deadline"
        elif group.stage.endswith("_check"):
            alarm = "waits for moderation"
    return {
        "group": group,
        "round": row,
        "people": companions(tx, group),
        "alarm": alarm,
        "ended": ended,
    }


def _events(request: PageRequest, tx: Transaction, group: GroupRow | None = None) -> dict[str, Any]:
    """What the table of events shows: the newest, or those before the one that the address names,
    each with the public ids of its group and person.
    """
    events = (
        select(EventRow, GroupRow.public_id, ParticipantRow.public_id)
        .outerjoin(GroupRow, EventRow.group_id == GroupRow.id)
        .outerjoin(ParticipantRow, EventRow.participant_id == ParticipantRow.id)
        .where(EventRow.study_id == tx.study.id)
        .order_by(EventRow.id.desc())
        .limit(N_EVENTS + 1)
    )
    if group is not None:
        events = events.where(EventRow.group_id == group.id)
    if before := as_integer(request.http.query_params.get("before", "")):
        events = events.where(EventRow.id < before)
    rows = tx.db.execute(events).all()
    logged = rows[:N_EVENTS]
    return {"logged": logged, "older": logged[-1][0].id if len(rows) > N_EVENTS else None}


def group_page(request: PageRequest) -> Response:
    """One group: its people, what can be done, what has happened."""
    with request.app.store.read() as db:
        tx = request.app.reading(db)
        who = _who(request, tx)
        group = _group(request, tx)
        return request.page(
            "group.html.j2",
            row=_row(tx, group, failed_jobs(db, tx.study.id), unattended(db, tx.study.id, tx.now)),
            rounds=_as_they_come(tx, group),
            members=db.scalars(
                select(ParticipantRow)
                .where(ParticipantRow.group_id == group.id)
                .order_by(ParticipantRow.seat)
            ).all(),
            who=who,
            now=tx.now,
            failure=machine.why_held(tx, group),
            for_minority=group.round_id is not None
            and db.get(MinorityRow, group.round_id) is not None,
            arms=tx.config.arms,
            models=_models(request, tx),
            **_events(request, tx, group),
        )


def _models(request: PageRequest, tx: Transaction) -> list[str]:
    """The models to choose from where writing has failed: those of the arms first."""
    named = (arm.model for arm in tx.config.arms if arm.plan != "opinions")
    return list(dict.fromkeys((*named, *models_before(tx), *request.app.spare_models)))


def export(request: PageRequest) -> Response:
    """The study's data as a file to take home."""
    kinds: dict[str, export_files.Kind] = {each: each for each in get_args(export_files.Kind)}
    kind = kinds.get(request.text("kind"))
    with request.app.store.read() as db:
        who = _who(request, request.app.reading(db))
        actor = who.name
    if kind is None:
        raise RefusedError(404, "error.not_found")
    content, name, media_type = export_files.export_file(
        request.app.store, request.app.study_id, kind, name=request.app.config.name, actor=actor
    )
    return Response(
        content,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _as_they_come(tx: Transaction, group: GroupRow) -> list[dict[str, Any]]:
    """Each round of the group, the newest first: opinions, statements, ratings so far."""
    rounds = tx.db.scalars(
        select(RoundRow)
        .where(RoundRow.group_id == group.id)
        .order_by(RoundRow.number.desc(), RoundRow.revision.desc())
    )
    shown = []
    for row in rounds.all():
        opinions, critiques = (
            tx.db.execute(
                select(ParticipantRow.seat, kind)
                .join(ParticipantRow, kind.participant_id == ParticipantRow.id)
                .where(kind.round_id == row.id)
                .order_by(kind.id)
            ).all()
            for kind in (OpinionRow, CritiqueRow)
        )
        n_written = tx.db.scalar(
            select(func.count(StatementRow.id)).where(StatementRow.round_id == row.id)
        )
        shown.append(
            {
                "row": row,
                "opinions": opinions,
                "critiques": critiques,
                "n_written": n_written,
                "outcome": so_far(tx, row),
            }
        )
    return shown


def act(request: PageRequest) -> Response:
    """Pause, resume, extend, message, release, remove, write again: each with its line in the
    audit.
    """
    action = request.http.path_params["action"]
    with request.app.store.transaction(request.app.study_id) as tx:
        actor = _who(request, tx).name
        group = _group(request, tx)
        if action == "pause":
            machine.pause(tx, group, actor=actor)
        elif action == "resume":
            machine.resume(tx, group, actor=actor)
        elif action == "extend":
            minutes = min(max(request.integer("minutes") or 0, 0), 24 * 60)
            researchers.extend(tx, group, 60.0 * minutes, actor=actor)
        elif action == "message":
            researchers.send_message(tx, group, request.text("text"), actor=actor)
        elif action == "release" and request.text("sure") == "yes":
            researchers.release(tx, group, actor=actor)
        elif action == "again":
            arms = [arm.name for arm in tx.config.arms]
            arm, model = request.text("arm"), request.text("model")
            offered = arm in arms and model in _models(request, tx)
            if machine.write_again(tx, group, actor=actor) and offered:
                use_model(tx, model, actor=actor, arm=arm)
        elif action == "without" and request.text("sure") == "yes":
            machine.go_on_without(tx, group, actor=actor)
        elif action == "remove":
            person = tx.db.scalars(
                select(ParticipantRow).where(
                    ParticipantRow.group_id == group.id,
                    ParticipantRow.public_id == request.text("person"),
                )
            ).one_or_none()
            if person is not None:
                researchers.remove(tx, person, actor=actor)
    return request.go(f"/researcher/groups/{group.public_id}")


def moderation(request: PageRequest) -> Response:
    """What waits for somebody to look at it."""
    with request.app.store.read() as db:
        tx = request.app.reading(db)
        who = _who(request, tx, moderators=True)
        waiting = held_texts.waiting_texts(tx)
        return request.page("moderation.html.j2", waiting=waiting, who=who, now=tx.now)


def decide(request: PageRequest) -> Response:
    """Approves or rejects one text."""
    with request.app.store.transaction(request.app.study_id) as tx:
        actor = _who(request, tx, moderators=True).name
        kind, number = request.text("kind"), request.integer("id")
        held_texts.decide(tx, kind, number or 0, request.text("decision"), actor=actor)
    return request.go("/researcher/moderation")


def audit(request: PageRequest) -> Response:
    """What happened in the study, the newest first."""
    with request.app.store.read() as db:
        tx = request.app.reading(db)
        who = _who(request, tx)
        return request.page("audit.html.j2", who=who, **_events(request, tx))


def _group(request: PageRequest, tx: Transaction) -> GroupRow:
    group = tx.db.scalars(
        select(GroupRow).where(
            GroupRow.study_id == tx.study.id,
            GroupRow.public_id == request.http.path_params["group"],
        )
    ).one_or_none()
    if group is None:
        raise RefusedError(404, "error.not_found")
    return group
