"""A study with simulated people: a real server, real forms, a clock that need not wait.

Events come in the order of simulated time; between two of them the clock is moved on. So an hour
of sixty people takes seconds, and the same seed gives the same order of events.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import numpy as np
import uvicorn
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from commonweal.errors import CommonwealError
from commonweal.participants.latent import PREFIX, LatentCrowd
from commonweal.study.export.dataset import ExportNames
from commonweal.study.simulation.bots import Bot, Browser, seed_of
from commonweal.study.storage.clock import ManualClock
from commonweal.study.storage.tables import (
    CritiqueRow,
    JobRow,
    OpinionRow,
    ParticipantRow,
    PresentationRow,
    RatingRow,
    RoundRow,
    StatementRow,
    StudyRow,
)
from commonweal.study.web.app import App
from commonweal.study.web.routes import asgi
from commonweal.study.writing.jobs import WROTE_NOTHING
from commonweal.study.writing.writer import ArmOutput, Task, TaskWriter
from commonweal.types import Progress, Question, no_progress

LATENCY_SECONDS = {
    "consent": 25.0,
    "instructions": 30.0,
    "check": 20.0,
    "opinion": 100.0,
    "critique": 45.0,
    "rate": 12.0,
    "result": 15.0,
    "waiting": 20.0,
}
"""The median time that people take on a page; on a waiting page, until they look again."""


TICK_SECONDS = 10.0
"""How often the sweep runs and jobs are done, in simulated time."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How people are: chances for each page that is not a waiting page, and their pace.

    Attributes:
        vanish: closes the page and never comes back.
        away: is gone for half a minute to five minutes.
        leave: leaves by the link.
        reload: loads the page again before acting.
        twice: sends the last rating a second time.
        spread: standard deviation of the log of the times.
        arrival_seconds: people come within this time.
    """

    vanish: float = 0.005
    away: float = 0.02
    leave: float = 0.003
    reload: float = 0.1
    twice: float = 0.05
    spread: float = 0.5
    arrival_seconds: float = 300.0


STEADY = Profile(vanish=0, away=0, leave=0)
PROFILES = {
    "usual": Profile(),
    "steady": STEADY,
    "bad line": Profile(vanish=0.02, away=0.05, leave=0.01, reload=0.3, twice=0.15, spread=0.9),
}


@dataclass
class Report:
    """What came of a simulation.

    Attributes:
        outcomes: how many people ended how.
        n_rounds: rounds that were begun.
        n_opinions: opinions held.
        n_critiques: answers held to what people would change, "nothing" too.
        n_ratings: ratings held, those of position statements too.
        n_position_ratings: of these, those of position statements.
        n_written: by arm, in how many rounds it wrote.
        failures: for each round in which an arm wrote nothing, which did, and why.
        n_requests: page loads and forms sent.
        simulated_seconds, wall_seconds: how long it took there and here.
        lost: what the server had acknowledged and does not hold; should be empty.
        stuck: people without an end; should be empty.
        truths: by (round, participant, candidate), as the export names them: the agreement of a
            latent person before noise, 1 to 7.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    n_rounds: int = 0
    n_opinions: int = 0
    n_critiques: int = 0
    n_ratings: int = 0
    n_position_ratings: int = 0
    n_written: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    n_requests: int = 0
    simulated_seconds: float = 0.0
    wall_seconds: float = 0.0
    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    truths: dict[tuple[str, str, str], float] = field(default_factory=dict)


class TellingWriter:
    """A writer that says how far a simulation's writing is.

    Args:
        writer: what writes.
        n_expected: how many writings there will be, about.
        on_progress: called with ("write", n_done, n_total) after each arm's writing.
    """

    def __init__(self, writer: TaskWriter, n_expected: int, on_progress: Progress) -> None:
        self._writer, self._n_expected, self._on_progress = writer, n_expected, on_progress
        self._n_done = 0

    def write(self, task: Task, *, timeout_seconds: float) -> ArmOutput:
        """The statements for this task.

        Raises:
            CommonwealError: as the writer.
        """
        written = self._writer.write(task, timeout_seconds=timeout_seconds)
        self._n_done += 1
        self._on_progress("write", self._n_done, max(self._n_done, self._n_expected))
        return written


@contextmanager
def served(app: App) -> Iterator[str]:
    """The address of the app, served for as long as the context lasts."""
    config = uvicorn.Config(
        asgi(app), host="127.0.0.1", port=0, log_level="error", access_log=False, lifespan="on"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        if time.monotonic() > until or not thread.is_alive():
            raise CommonwealError("the server did not start in 20 seconds")
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def simulate(
    app: App,
    clock: ManualClock,
    *,
    n_people: int,
    profile: Profile,
    seed: int = 0,
    max_hours: float = 24.0,
    crowd: LatentCrowd | None = None,
    on_progress: Progress = no_progress,
) -> Report:
    """What becomes of ``n_people`` simulated people in this study.

    The app must have been made with this clock, ``in_background=False`` and ``simulated=True``.

    Args:
        app: the study.
        clock: its clock.
        n_people: how many join.
        profile: how they are.
        seed: the same seed, the same order of events.
        max_hours: after so long in simulated time it ends.
        crowd: whose people write and rate; None for the crude rule of ``bots``.
        on_progress: called with ("people", n_ended, n_people).

    Raises:
        InputError: the crowd does not know a question of the study.
    """
    questions = tuple(app.config.questions)
    if crowd is not None:
        for question in questions:
            crowd.question(Question(question.text))
    report, began = Report(), time.perf_counter()
    start = clock.now()
    rng = np.random.default_rng(seed)
    answers = tuple(check.answer for check in app.config.checks)
    # One address stands for sixty people here, each a hundred times as fast as people are.
    app.limits.per_address = app.limits.per_token = 10**9
    with served(app) as address:
        # A connection kept open may be closed by the server just as the next request is sent.
        anew = httpx.Limits(max_keepalive_connections=0)
        tls = httpx.create_ssl_context()  # asked for nothing, and slow to make for each of them
        clients = [
            httpx.Client(base_url=address, timeout=60, limits=anew, verify=tls)
            for _ in range(n_people)
        ]
        bots = [
            Bot(
                Browser(client),
                np.random.default_rng(seed_of(seed, n)),
                answers,
                questions,
                None if crowd is None else crowd.participant(f"{PREFIX}{seed}-{n:04d}"),
            )
            for n, client in enumerate(clients)
        ]
        order = itertools.count()
        queue = [
            (start + float(rng.uniform(0, profile.arrival_seconds)), next(order), bot)
            for bot in bots
        ]
        heapq.heapify(queue)
        n_ended, ticked = 0, start
        while queue and clock.now() < start + 3600 * max_hours:
            when, _, bot = heapq.heappop(queue)
            while clock.now() + TICK_SECONDS < when or clock.now() > ticked + TICK_SECONDS:
                clock.move_to(min(when, clock.now() + TICK_SECONDS))
                _background(app)
                ticked = clock.now()
            clock.move_to(when)
            delay = _step(bot, profile)
            report.n_requests += 1
            if delay is not None:
                heapq.heappush(queue, (clock.now() + delay, next(order), bot))
            else:
                n_ended += 1
                on_progress("people", n_ended, n_people)
        # Whoever vanished holds nobody up: deadlines end what they left open.
        while clock.now() < start + 3600 * max_hours and _n_open(app):
            clock.move_to(clock.now() + 30)
            _background(app)
        for client in clients:
            client.close()
    report.simulated_seconds = clock.now() - start
    report.wall_seconds = time.perf_counter() - began
    _count(app, bots, report)
    return report


def _n_open(app: App) -> int:
    with app.store.read() as db:
        return (
            db.scalar(
                select(func.count(ParticipantRow.id)).where(
                    ParticipantRow.study_id == app.study_id, ParticipantRow.outcome.is_(None)
                )
            )
            or 0
        )


def _background(app: App) -> None:
    app.sweep()
    while app.worker.run_once():
        pass


def _step(bot: Bot, profile: Profile) -> float | None:
    """Seconds until the bot acts again; None where it has ended or is gone for good."""
    rng = bot.rng
    if not bot.browser.status:
        bot.browser.get("/join")
        return float(rng.lognormal(np.log(LATENCY_SECONDS["consent"]), profile.spread))
    chance = rng.random() if bot.kind() != "waiting" else 1.0
    if chance < profile.vanish:
        return None
    if chance < profile.vanish + profile.away:
        return float(rng.uniform(30, 300))
    if chance < profile.vanish + profile.away + profile.leave:
        if bot.kind() == "consent":
            return None  # before joining there is nothing to leave
        bot.browser.get("/here/leave")
        if "/here/leave" in bot.browser.forms:
            bot.browser.send("/here/leave")
            return None
    if rng.random() < profile.reload and bot.kind() != "consent":
        bot.browser.get("/here")
    if rng.random() < profile.twice:
        bot.send_again()
    bot.act()
    kind = bot.kind()
    if kind == "end":
        return None
    return float(rng.lognormal(np.log(LATENCY_SECONDS[kind]), profile.spread))


def _count(app: App, bots: list[Bot], report: Report) -> None:
    with app.store.read() as db:
        people = db.scalars(
            select(ParticipantRow).where(ParticipantRow.study_id == app.study_id)
        ).all()
        report.outcomes = Counter(person.outcome or "none" for person in people)
        report.stuck = [
            f"{person.public_id} is in {person.stage}" for person in people if not person.outcome
        ]
        report.n_opinions = db.scalar(select(func.count(OpinionRow.id))) or 0
        held = {
            str(number): (agreement, quality)
            for number, agreement, quality in db.execute(
                select(PresentationRow.id, RatingRow.agreement, RatingRow.quality).join(RatingRow)
            )
        }
        report.n_ratings = len(held)
        report.n_position_ratings = (
            db.scalar(
                select(func.count(PresentationRow.id))
                .join(RatingRow)
                .where(PresentationRow.statement_id.is_(None))
            )
            or 0
        )
        report.n_rounds = db.scalar(select(func.count(RoundRow.id))) or 0
        for provenance in db.scalars(select(RoundRow.provenance)):
            report.n_written.update(list(provenance))
        report.failures = list(filter(None, _failures(db)))
        report.truths = _truths(db, app.study_id, bots)
        n_written = sum(len(bot.written) for bot in bots)
        if n_written != report.n_opinions:
            report.lost.append(f"{n_written} opinions were acknowledged, {report.n_opinions} held")
        n_sent = sum(len(bot.criticised) for bot in bots)
        report.n_critiques = db.scalar(select(func.count(CritiqueRow.id))) or 0
        if n_sent != report.n_critiques:
            report.lost.append(f"{n_sent} critiques were acknowledged, {report.n_critiques} held")
        for bot in bots:
            for number, fields in bot.sent:
                kept = held.get(number)
                quality = fields.get("quality")
                if kept != (int(fields["agreement"]), int(quality) if quality else None):
                    report.lost.append(f"rating {number}: sent {fields}, held {kept}")


def _failures(db: Session) -> Iterator[str]:
    """For each job what failed in the end. The minority's sentence is written as the same job, and
    then only the round's notes say what went wrong before.
    """
    jobs = select(JobRow.error, RoundRow.notes).join(RoundRow, JobRow.round_id == RoundRow.id)
    for error, notes in db.execute(jobs):
        yield error or "; ".join(note for note in notes if WROTE_NOTHING in note)


def _truths(db: Session, study_id: int, bots: list[Bot]) -> dict[tuple[str, str, str], float]:
    """What latent people would have given without noise, by the names of the export."""
    names = ExportNames(db.get_one(StudyRow, study_id).export_key)
    known = {number: truth for bot in bots for number, truth in bot.truths.items()}
    rows = db.execute(
        select(PresentationRow.id, RoundRow.public_id, ParticipantRow.public_id, StatementRow.name)
        .join(RoundRow, PresentationRow.round_id == RoundRow.id)
        .join(ParticipantRow, PresentationRow.participant_id == ParticipantRow.id)
        .join(StatementRow, PresentationRow.statement_id == StatementRow.id)
    )
    return {
        (names.of(round_id), names.of(person), candidate): known[str(number)]
        for number, round_id, person, candidate in rows
        if str(number) in known
    }
