"""A study's pages without a browser, for tests: an app, and browsers that have no scripts."""

from __future__ import annotations

from sqlalchemy import func, select
from starlette.testclient import TestClient
from study_making import OPINION, Place, ScriptedWriter

from commonweal.study.domain.researchers import set_researcher
from commonweal.study.simulation.bots import Browser
from commonweal.study.web.app import App
from commonweal.study.web.limits import Limits
from commonweal.study.web.routes import asgi

PASSWORD = "correct horse battery staple"


class Served:
    """An app with its place, and as many browsers as are wanted."""

    def __init__(self, where, config=None, kind="study"):
        url = where if isinstance(where, str) else f"sqlite:///{where}/study.db"
        self.place = Place(url, config, kind)
        self.app = App(
            self.place.store, self.place.study_id, writer=ScriptedWriter(), in_background=False
        )
        # What is counted in a minute is: on a slow machine a test may go from one into the next.
        self.app.limits = Limits(clock=lambda: 0.0)

    def client(self, **headers):
        return TestClient(asgi(self.app), headers=headers, raise_server_exceptions=True)

    def browser(self, **headers):
        return Browser(self.client(**headers))

    def joined(self, n=1, path="/join"):
        """Browsers of people who are in the waiting room, or beyond it."""
        browsers = [self.browser() for _ in range(n)]
        for each in browsers:
            each.get(path)
            each.send("/join", button="agree")
            each.send("/here/instructions")
            each.send("/here/check", answer0="2")
        return browsers

    def count(self, what):
        with self.place.store.read() as db:
            return db.scalar(select(func.count()).select_from(what))


def to_opinions(browsers):
    for each in browsers:
        each.get("/here")
        each.send("/here/rate", agreement="5")


def to_ratings(served, browsers):
    to_opinions(browsers)
    for each in browsers:
        each.send("/here/opinion", text=OPINION)
    served.app.worker.run_once()
    for each in browsers:
        each.get("/here")


def logged_in(served, role="owner"):
    set_researcher(served.place.store, role, PASSWORD, role)
    browser = served.browser()
    browser.get("/researcher/login")
    browser.send("/researcher/login", name=role, password=PASSWORD)
    return browser
