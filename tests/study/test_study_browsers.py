"""Real browsers: four people, two rounds; one drops out, one reloads always, one has no script."""

from __future__ import annotations

import re
import shutil
import time

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import sync_playwright
from sqlalchemy import func, select
from study_making import OPINION, small_study

from commonweal.study import machine
from commonweal.study.quick import open_session, quick_study
from commonweal.study.researchers import set_researcher
from commonweal.study.simulate import served
from commonweal.study.stock import StockWriter
from commonweal.study.store import Store
from commonweal.study.tables import Group, Participant, Rating
from commonweal.study.web.app import Site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class ShiftedClock:
    """The machine's clock, put forward by the test."""

    shift = 0.0

    def now(self):
        return time.time() + self.shift


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Somebody:
    """A person with a browser of their own."""

    def __init__(self, chromium, address, *, reloads=False, script=True, checks=False):
        self.context = chromium.new_context(
            viewport={"width": 320, "height": 640}, java_script_enabled=script, locale="en-GB"
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.address, self.reloads, self.script, self.checks = address, reloads, script, checks
        self.faults, self.checked = [], set()
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on(
            "console",
            lambda message: message.type == "error" and self.faults.append(message.text),
        )

    def look(self):
        """Waits for nothing; reloads and checks the page, where this person does."""
        if self.reloads:
            self.insist(self.page.reload)
        if not self.script:
            self.insist(self.page.goto, f"{self.address}/here")
        heading = re.sub(r"\d+", "n", self.page.text_content("h1"))
        if self.checks and heading not in self.checked:
            self.checked.add(heading)
            check(self.page)
        return heading

    def insist(self, move, *where):
        """A person's reload or address, again where the page was just on its way to another: the
        browser then lets go of the first of the two, whichever that is.
        """
        until = time.monotonic() + 40
        while True:
            try:
                return move(*where)
            except BrowserError as error:
                under_way = re.search(r"Not attached|interrupted|ERR_ABORTED", str(error))
                if not under_way or time.monotonic() > until:
                    raise
                self.page.wait_for_timeout(100)

    def press(self, selector="main form button"):
        with self.page.expect_navigation():  # a reload before it begins would take it back
            self.page.locator(selector).last.click()

    def wait_for(self, heading):
        until = time.monotonic() + 40
        while self.look() != heading:
            assert time.monotonic() < until, f"{self.page.text_content('h1')}, not {heading}"
            self.page.wait_for_timeout(200)

    def join(self):
        self.page.goto(f"{self.address}/join")
        self.press("button[value=agree]")
        self.look()
        self.press()
        self.look()
        # By keyboard alone: into the group of radios, down to the second, and send.
        if self.script:
            self.page.focus("input[name=answer0]")
            self.page.keyboard.press("ArrowDown")
            with self.page.expect_navigation():
                self.page.keyboard.press("Enter")
        else:
            self.page.check("input[name=answer0][value='2']")
            self.press()

    def write(self):
        self.wait_for("First, a statement to rate")
        self.page.check("input[name=agreement][value='5']")
        self.press("form[data-rating] button")
        self.wait_for("What do you think?")
        self.page.fill("textarea", OPINION)
        if self.reloads:  # the draft is kept by the server
            self.page.wait_for_selector("text=Draft saved")
            self.insist(self.page.reload)
            assert self.page.input_value("textarea") == OPINION
        self.press("form[action='/here/opinion'] button")

    def rate(self, n):
        self.wait_for("Statement n of n")
        for place in range(1, n + 1):
            if self.script:
                self.page.wait_for_selector(f"text=Statement {place} of {n}")
            self.look()
            self.page.check("input[name=agreement][value='6']")
            self.page.check("input[name=quality][value='5']")
            self.press("form[data-rating] button")


def check(page):
    """Nothing for axe to find, and nothing that must be scrolled sideways."""
    found = Axe().run(page, options={"runOnly": STANDARDS}).response["violations"]
    assert not found, [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), page.url


@pytest.fixture
def site(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/study.db", clock=ShiftedClock())
    study = small_study(contact="Ada", arms=[{"name": "one", "candidates": 4, "shown": 2}])
    set_researcher(store, "ada", "correct horse battery", "owner")
    made = Site(store, store.open_study(study), writer=StockWriter())
    yield made
    store.close()


def test_four_people_two_rounds(chromium, site):
    with served(site) as address:
        people = [
            Somebody(chromium, address, checks=True),
            Somebody(chromium, address, reloads=True),
            Somebody(chromium, address, script=False),
            Somebody(chromium, address),
        ]
        for each in people:
            each.join()
        for each in people:
            each.write()
        for each in people:
            each.rate(4)
        for each in people:
            each.wait_for("How your group rated")
            assert "4 of 4 agree" in each.page.text_content("main")
            each.press("form[action='/here/continue'] button")
        # One drops out in the second round: the others wait until the deadline, and no longer.
        people.pop().context.close()
        for each in people:
            each.write()
        for each in people:
            each.wait_for("Waiting for the others")
        site.store.clock.shift += 481
        for each in people:
            each.rate(4)
        for each in people:
            each.wait_for("How your group rated")
            assert "3 of 3 agree" in each.page.text_content("main")
            each.press("form[action='/here/continue'] button")
        for each in people:
            each.wait_for("Thank you: you are done")
            assert "BUSES-COMPLETE" in each.page.text_content("main")
            for path in ("/here/data", "/here/device", "/here/leave"):
                if each.checks:
                    each.page.goto(address + path)
                    check(each.page)
            assert each.faults == []
            each.context.close()
    with site.store.read() as db:
        assert sorted(db.scalars(select(Participant.outcome))) == ["complete"] * 3 + ["timed_out"]
        assert db.scalar(select(func.count()).select_from(Rating)) == 4 * 5 + 3 * 5 - 0
        timed = db.scalars(select(Rating).where(Rating.first_input_at.is_not(None))).all()
        # Those with a script tell when they began to answer; the others need not.
        assert len(timed) >= 10
        assert all(each.shown_at <= each.first_input_at <= each.submitted_at for each in timed)


@pytest.mark.slow
def test_the_researchers_pages(chromium, site):
    with served(site) as address:
        for _ in range(4):
            each = Somebody(chromium, address)
            each.join()
        page = chromium.new_context(viewport={"width": 1000, "height": 700}).new_page()
        page.goto(f"{address}/researcher")
        check(page)
        page.fill("#name", "ada")
        page.fill("#password", "correct horse battery")
        page.click("main button")
        check(page)
        page.click("main table a")
        check(page)
        page.click("text=Pause")
        assert "paused" in page.text_content("h1")
        for path in ("/researcher/audit", "/researcher/moderation"):
            page.goto(address + path)
            check(page)
        with site.store.turn(site.study_id) as turn:
            machine.resume(turn, turn.db.scalars(select(Group)).one(), actor="ada")


@pytest.mark.slow
def test_a_quick_session(chromium, tmp_path):
    store = Store(f"sqlite:///{tmp_path}/quick.db")
    questions = ["Should local buses be free for everyone?", "Should shops be shut on Sundays?"]
    study_id, token = open_session(store, quick_study(questions))
    site = Site(store, study_id, writer=StockWriter())
    with served(site) as address:
        facilitator = chromium.new_context(viewport={"width": 1000, "height": 700}).new_page()
        facilitator.goto(f"{address}/f/{token}")
        check(facilitator)
        people = [Somebody(chromium, address) for _ in range(2)]
        for each in people:
            each.page.goto(f"{address}/join")
            check(each.page)
            each.press("button[value=agree]")
        facilitator.wait_for_selector("text=Begin with 2 people", timeout=20_000)
        check(facilitator)
        facilitator.click("text=Begin with 2 people")
        for number, question in enumerate(questions, start=1):
            facilitator.wait_for_selector(f"text={question}", timeout=20_000)
            for each in people:
                each.wait_for("What do you think?")
                each.page.fill("textarea", OPINION)
                each.press("form[action='/here/opinion'] button")
            for each in people:
                each.rate(3)
            facilitator.wait_for_selector("text=2 of 2 agree", timeout=20_000)
            check(facilitator)
            if number < len(questions):
                facilitator.click("text=Next question")
        facilitator.click("main a.button")
        check(facilitator)
        assert OPINION in facilitator.text_content("main")
    store.close()
