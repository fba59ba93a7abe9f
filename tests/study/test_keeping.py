"""What people keep of a quick session: the result on their phones, and a link for a set time."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from starlette.testclient import TestClient
from study_making import OPINION, ScriptedWriter

from commonweal.study.domain.keeping import RESULT_DAYS
from commonweal.study.domain.quick import open_session, quick_study
from commonweal.study.simulation.bots import Browser
from commonweal.study.storage.clock import ManualClock
from commonweal.study.storage.store import Store
from commonweal.study.web.app import App
from commonweal.study.web.routes import asgi

QUESTIONS = ["Should buses be free?", "Should shops be shut?"]
RESEARCH = re.compile(r"\b(study|research\w*|round counts|paid|Studie|Forsch\w*)\b", re.IGNORECASE)


@pytest.fixture
def room(tmp_path):
    """(The app, its clock, the facilitator, three people) of a session that is over."""
    clock = ManualClock()
    store = Store(f"sqlite:///{tmp_path}/quick.db", clock=clock)
    study_id, token = open_session(store, quick_study(QUESTIONS))
    app = App(store, study_id, writer=ScriptedWriter(), base_url="http://here", in_background=False)
    facilitator = Browser(TestClient(asgi(app)))
    facilitator.get(f"/f/{token}")
    people = [Browser(TestClient(asgi(app))) for _ in range(3)]
    seen = []
    for each in people:
        each.get("/join")
        seen.append(each.html)
        each.send("/join", button="agree")
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/start")
    for _ in QUESTIONS:
        for each in people:
            each.get("/here")
            each.send("/here/opinion", text=OPINION)
            seen.append(each.html)
        app.worker.run_once()
        for each, agreement in zip(people, (6, 6, 2), strict=True):
            each.get("/here")
            for _ in range(3):
                seen.append(each.html)
                each.send("/here/rate", agreement=str(agreement), quality="5")
        facilitator.get("/facilitator")
        facilitator.send("/facilitator/close")
    for each in people:
        each.get("/here")
    for path in ("/here", "/here/data", "/here/device", "/here/leave"):
        people[0].get(path)
        seen.append(people[0].html)
    people[0].get("/here")
    yield app, clock, facilitator, people, seen
    store.close()


def address(person):
    return re.search(r"http://here(/r/[0-9a-f]{20})", person.html).group(1)


@pytest.mark.heavy
def test_the_result_stays_on_the_phones_and_under_a_link_for_a_set_time(room):
    app, clock, facilitator, people, _ = room
    for question in QUESTIONS:
        assert question in people[0].html
    assert people[0].html.count("the 3 who rated it are between agreement and disagreement") == 2
    path = address(people[0])
    assert {address(each) for each in people} == {path}
    assert f"http://here{path}" in facilitator.get("/facilitator").text
    # Somebody with no cookie at all, up to the last second and no longer.
    stranger = TestClient(asgi(app))
    clock.move_to(clock.now() + 86_400 * RESULT_DAYS - 1)
    page = stranger.get(path).text
    assert page.count("the 3 who rated it are between agreement and disagreement") == 2
    assert OPINION not in page
    text = stranger.get(f"{path}/result.txt")
    assert text.headers["content-disposition"].startswith("attachment")
    assert text.text.count("the 3 who rated it are between agreement and disagreement") == 6
    for question in QUESTIONS:
        assert question in text.text
    clock.move_to(clock.now() + 2)
    over = stranger.get(path)
    assert over.status_code == 410
    assert "This link has expired" in over.text
    assert stranger.get(f"{path}/result.txt").status_code == 410


@pytest.mark.attack("access", "guesses at links and streams")
def test_nobody_guesses_the_link(room):
    app, _, _, people, _ = room
    path = address(people[0])
    stranger = TestClient(asgi(app))
    for wrong in (path[:-1], path[:-1] + ("0" if path[-1] != "0" else "1"), "/r/x", "/r/é"):
        assert stranger.get(wrong).status_code == 404


@pytest.mark.heavy
def test_nothing_speaks_of_research_in_a_town_meeting(room):
    *_, seen = room
    for html in seen:
        body = re.sub(r'/static/\S+|class="study"', "", html)
        assert not (found := RESEARCH.search(body)), body[found.start() - 80 : found.end() + 20]
