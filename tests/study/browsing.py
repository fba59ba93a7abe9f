"""Real browsers for tests: somebody with a phone, and what a page must be."""

from __future__ import annotations

import re
import time

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error as BrowserError
from study_making import OPINION

STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class ShiftedClock:
    """The machine's clock, put forward by the test."""

    shift = 0.0

    def now(self):
        return time.time() + self.shift

    def behind(self):
        return 0.0

    def put_forward(self, app, seconds):
        """Time passes, and the server was there all the while."""
        with app.store.transaction(app.study_id) as tx:
            if tx.study.beat_at is not None:
                tx.study.beat_at += seconds
            self.shift += seconds


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
        """Presses a form's own button, not the one for more time."""
        with self.page.expect_navigation():  # a reload before it begins would take it back
            self.page.locator(f"{selector}:not([formaction])").last.click()

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


def press_in_room(room, text):
    """Presses a button of the facilitator's page, once it is there and has been for a moment: what
    is pressed while the page changes was meant for the one before, and does nothing.
    """
    room.wait_for_selector(f"text={text}", timeout=20_000)
    room.wait_for_timeout(800)
    room.get_by_role("button", name=text).click()


def check(page):
    """Nothing for axe to find, and nothing that must be scrolled sideways."""
    found = Axe().run(page, options={"runOnly": STANDARDS}).response["violations"]
    assert not found, [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), page.url
