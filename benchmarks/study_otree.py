"""A study's rating page beside oTree's: pages a second with a p95 under 200 ms, in one run.

    python3 -m venv /tmp/otree && /tmp/otree/bin/pip install otree
    python benchmarks/study_otree.py --otree /tmp/otree/bin/python

oTree has pinned versions of what we use too, so it lives in an environment of its own. Without
``--otree`` only our side is measured. Both sides serve one statement, two questions on seven
points, and a button that leads to the next statement: one server process each
(`otree prodserver1of2`, production mode), an SQLite file each, written to the disk. oTree's page is
the lighter one: without a deadline, a stored order, a time at which it was shown, or a form token.

The same client drives both. Participants answer without a pause; their number is raised in steps
until half of the pages take over 200 ms: on a busy machine one bad step says little. A page is the
form sent, the redirect and the page that comes next, fetched. The rate of a round is the highest of
the steps with a p95 under 200 ms; the most pages a second at any p95 are told beside it.
Rounds alternate: ours, oTree, ours, oTree. Processor time a page is told as well, for other work on
the machine hardly changes it. At the end of a round the ratings in the database are counted: each
page that was counted must be there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from study_load import free_port, prepare, processor_seconds, start_server, wait_for

STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
N_STATEMENTS = 20
LIMIT_MS = 200.0

SETTINGS = """
SESSION_CONFIGS = [dict(name="rating", app_sequence=["rating"], num_demo_participants=1)]
SESSION_CONFIG_DEFAULTS = dict(real_world_currency_per_point=1.0, participation_fee=0.0, doc="")
PARTICIPANT_FIELDS = []
SESSION_FIELDS = []
LANGUAGE_CODE = "en"
REAL_WORLD_CURRENCY_CODE = "GBP"
USE_POINTS = False
ADMIN_USERNAME = "admin"
ADMIN_PASSWORD = "only for this measurement"
SECRET_KEY = "only for this measurement"
"""
APP = f"""
from otree.api import *

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]

class C(BaseConstants):
    NAME_IN_URL = "rating"
    PLAYERS_PER_GROUP = None
    NUM_ROUNDS = {N_STATEMENTS}

class Subsession(BaseSubsession):
    pass

class Group(BaseGroup):
    pass

def scale(label):
    return models.IntegerField(
        label=label, choices=[1, 2, 3, 4, 5, 6, 7], widget=widgets.RadioSelectHorizontal
    )

class Player(BasePlayer):
    agreement = scale("How much do you agree with the statement?")
    quality = scale("How good is the statement?")

class Rate(Page):
    form_model = "player"
    form_fields = ["agreement", "quality"]

    @staticmethod
    def vars_for_template(player):
        plan = WORDS[(player.round_number - 1) % 10]
        return dict(statement=f"We agree on plan {{plan}}, for buses.")

page_sequence = [Rate]
"""
PAGE = """
{{ block title }}Statement {{ player.round_number }} of {{ C.NUM_ROUNDS }}{{ endblock }}
{{ block content }}
<p>Please read the statement and answer both questions.</p>
<p>Should buses be free?</p>
<blockquote><p>{{ statement }}</p></blockquote>
{{ formfields }}
{{ next_button }}
{{ endblock }}
"""


@dataclass
class Person:
    """Somebody who rates: where they begin, and the page that they are at."""

    address: str
    cookie: str
    action: str  # where the form is sent; "" is the page's own address
    page: httpx.Response | None = None
    n_left: int = N_STATEMENTS - 1  # the last one would lead to another kind of page


@dataclass
class Server:
    """A server of one side. ``counter`` is the query of its ratings."""

    port: int
    pid: int
    people: deque[Person]
    database: Path
    counter: str


@dataclass
class Round:
    """What one round of one side found."""

    rate: float = 0.0  # pages a second, the most with a p95 under the limit
    most: float = 0.0  # pages a second, the most at any p95
    cpu_ms: float = float("nan")  # processor time of the server for one page


@contextmanager
def ours(n_people: int) -> Iterator[Server]:
    """Our server, with people who are at their first statement."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "study.db"
        cookies = prepare(f"sqlite:///{database}", "load", n_people)
        people = deque(Person("/here", f"cw_here={cookie}", "/here/rate") for cookie in cookies)
        with start_server(f"sqlite:///{database}", "load") as (port, pid):
            yield Server(port, pid, people, database, "SELECT COUNT(*) FROM ratings")


@contextmanager
def otree(python: Path, n_people: int) -> Iterator[Server]:
    """oTree's production server on a project that is made here."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rating").mkdir()
        (folder / "_static").mkdir()
        (folder / "settings.py").write_text(SETTINGS, encoding="utf-8")
        (folder / "rating" / "__init__.py").write_text(APP, encoding="utf-8")
        (folder / "rating" / "Rate.html").write_text(PAGE, encoding="utf-8")
        # prodserver1of2 starts its program for timeouts by name.
        env = {
            **{key: value for key, value in os.environ.items() if key != "DATABASE_URL"},
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            "OTREE_PRODUCTION": "1",
        }
        port, log = free_port(), folder / "log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [python.parent / "otree", "prodserver1of2", f"127.0.0.1:{port}"],
                cwd=folder,
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,  # so that its program for timeouts ends with it
            )
        try:
            try:
                wait_for(f"http://127.0.0.1:{port}/api/otree_version", process)
            except SystemExit as ended:
                raise SystemExit(f"{log.read_text()[-2000:]}\n{ended}") from None
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
                made = client.post(
                    "/api/sessions",
                    json={"session_config_name": "rating", "num_participants": n_people},
                ).raise_for_status()
                session = client.request("GET", f"/api/sessions/{made.json()['code']}", json={})
                codes = [each["code"] for each in session.raise_for_status().json()["participants"]]
            people = deque(Person(f"/InitializeParticipant/{code}", "", "") for code in codes)
            counter = "SELECT COUNT(*) FROM rating_player WHERE quality IS NOT NULL"
            yield Server(port, process.pid, people, folder / "db.sqlite3", counter)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


async def fetch(
    client: httpx.AsyncClient,
    person: Person,
    method: str,
    address: str,
    form: dict[str, str] | None = None,
) -> httpx.Response:
    """The page that a request leads to. httpx would drop the cookie on a redirect."""
    headers = {"cookie": person.cookie} if person.cookie else {}
    answer = await client.request(method, address, headers=headers, data=form)
    while answer.is_redirect:
        answer = await client.get(answer.headers["location"], headers=headers)
    return answer


async def open_page(client: httpx.AsyncClient, person: Person) -> None:
    """The person's first statement."""
    person.page = await fetch(client, person, "GET", person.address)


async def rate(client: httpx.AsyncClient, person: Person) -> float:
    """The seconds from the sent form to the page that came next."""
    before = person.page
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', before.text))
    fields |= {"agreement": "5", "quality": "6"}
    began = time.monotonic()
    page = await fetch(client, person, "POST", person.action or str(before.url), fields)
    took = time.monotonic() - began
    if page.status_code != 200 or 'name="quality"' not in page.text or page.text == before.text:
        raise RuntimeError(f"a rating was not taken (status {page.status_code})")
    person.page = page
    person.n_left -= 1
    return took


async def step(server: Server, n_people: int, seconds: float) -> tuple[np.ndarray, float]:
    """The milliseconds of each page while ``n_people`` answered without a pause, and the seconds
    that all took together.
    """
    took: list[float] = []

    async def answer(client: httpx.AsyncClient, until: float) -> None:
        person: Person | None = None
        while time.monotonic() < until:
            if person is None:
                if not server.people:
                    raise SystemExit("all participants are through: give more with --people")
                person = server.people.popleft()
            if person.page is None:
                await open_page(client, person)
            took.append(await rate(client, person))
            if not person.n_left:
                person = None
        if person is not None:
            server.people.appendleft(person)

    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{server.port}",
        limits=httpx.Limits(max_connections=n_people, max_keepalive_connections=n_people),
        timeout=60,
    ) as client:
        # First pages are fetched before the clock starts: they are not what is measured.
        await asyncio.gather(
            *(open_page(client, each) for each in list(server.people)[:n_people] if not each.page)
        )
        began = time.monotonic()
        await asyncio.gather(*(answer(client, began + seconds) for _ in range(n_people)))
        return np.array(took) * 1000, time.monotonic() - began


def one_round(name: str, server: Server, seconds: float) -> Round:
    """Raises the number of participants until half of the pages take longer than the limit."""
    asyncio.run(step(server, 2, 1.0))  # both sides load templates and compile queries once
    found = Round()
    before = count(server)
    cpu = processor_seconds(server.pid)
    n_pages = 0
    for n_people in STEPS:
        took, seconds_spent = asyncio.run(step(server, n_people, seconds))
        n_pages += len(took)
        rate_here = len(took) / seconds_spent
        middle, p95 = np.quantile(took, [0.5, 0.95])
        print(
            f"  {name:6} {n_people:3} at once  {rate_here:6.1f} pages/s  "
            f"p50 {middle:5.0f} ms  p95 {p95:5.0f} ms",
            flush=True,
        )
        found.most = max(found.most, rate_here)
        if p95 <= LIMIT_MS:
            found.rate = max(found.rate, rate_here)
        if middle > LIMIT_MS:
            break
    found.cpu_ms = 1000 * (processor_seconds(server.pid) - cpu) / n_pages
    if (n_stored := count(server) - before) != n_pages:
        raise RuntimeError(f"{name}: {n_pages} pages were counted, {n_stored} ratings are stored")
    return found


def count(server: Server) -> int:
    """The ratings in the server's database."""
    connection = sqlite3.connect(f"file:{server.database}?mode=ro", uri=True, timeout=30)
    try:
        return int(connection.execute(server.counter).fetchone()[0])
    finally:
        connection.close()


def spread(values: list[float]) -> str:
    """Median, lowest and highest."""
    return f"{np.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--otree", type=Path, help="the Python of an environment with oTree")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each step")
    parser.add_argument("--people", type=int, default=200, help="prepared for each round")
    chosen = parser.parse_args()
    sides = {"ours": lambda: ours(chosen.people)}
    if chosen.otree is None:
        print(
            "the comparison with oTree is skipped: give --otree FOLDER/bin/python, made by "
            "python3 -m venv FOLDER && FOLDER/bin/pip install otree"
        )
    elif not (chosen.otree.parent / "otree").exists():
        sys.exit(f"{chosen.otree.parent} has no program otree: pip install otree with that Python")
    else:
        sides["oTree"] = lambda: otree(chosen.otree.absolute(), chosen.people)
    found: dict[str, list[Round]] = {name: [] for name in sides}
    loads = []
    for _ in range(chosen.rounds):
        for name, side in sides.items():
            loads.append(os.getloadavg()[0])
            with side() as server:
                found[name].append(one_round(name, server, chosen.seconds))
    n_cores = os.cpu_count() or 1
    print(f"\nload before each round {spread(loads)} on {n_cores} cores", end="")
    print(": the machine was busy with other work" if np.median(loads) > n_cores / 2 else "")
    for name, rounds in found.items():
        print(
            f"{name:6} pages/s with p95 under {LIMIT_MS:.0f} ms "
            f"{spread([r.rate for r in rounds])}, "
            f"at any p95 {spread([r.most for r in rounds])}, "
            f"ms of processor a page {spread([r.cpu_ms for r in rounds])}"
        )
    if "oTree" not in found:
        return
    pairs = list(zip(found["ours"], found["oTree"], strict=True))
    whole = [(a, b) for a, b in pairs if a.rate and b.rate]
    if whole:
        ratios = [a.rate / b.rate for a, b in whole]
        print(f"ours / oTree, pages/s with p95 under {LIMIT_MS:.0f} ms {spread(ratios)}")
    if len(whole) < len(pairs):
        n_without = len(pairs) - len(whole)
        print(f"in {n_without} of {len(pairs)} rounds one side or both had no step under it")
    print(f"ours / oTree, pages/s at any p95 {spread([a.most / b.most for a, b in pairs])}")
    print(f"oTree / ours, processor a page {spread([b.cpu_ms / a.cpu_ms for a, b in pairs])}")


if __name__ == "__main__":
    main()
