"""A quick session by forms alone: joining, beginning, closing, the report."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from starlette.testclient import TestClient
from study_making import OPINION, ScriptedWriter

from commonweal.errors import InputError
from commonweal.study.bots import Browser
from commonweal.study.quick import open_session, quick_study
from commonweal.study.store import ManualClock, Store
from commonweal.study.web.app import Site


@pytest.fixture
def session(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/quick.db", clock=ManualClock())
    study_id, token = open_session(store, quick_study("Should buses be free?"))
    site = Site(
        store, study_id, writer=ScriptedWriter(), base_url="http://here", in_background=False
    )
    facilitator = Browser(TestClient(site.app))
    facilitator.get(f"/f/{token}")
    yield site, facilitator
    store.close()


def joined(site, n):
    found = [Browser(TestClient(site.app)) for _ in range(n)]
    for each in found:
        each.get("/join")
        each.send("/join", button="agree")
    return found


def test_a_whole_session(session):
    site, facilitator = session
    assert "http://here/join" in facilitator.html
    assert "<svg" in facilitator.html
    assert "/facilitator/start" not in facilitator.forms
    people = joined(site, 3)
    assert people[0].headings == ["Should buses be free?"]
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/start")
    late = joined(site, 1)[0]
    for n, each in enumerate(people[:2]):
        each.get("/here")
        each.send("/here/opinion", text=f"{OPINION} Person {n}.")
    facilitator.get("/facilitator")
    assert "Opinions: 2 of 3" in facilitator.html
    # The third has written nothing: kept all the same, and may rate.
    facilitator.send("/facilitator/close")
    site.worker.run_once()
    for each in people:
        each.get("/here")
        for _ in range(3):
            each.send("/here/rate", agreement="6", quality="5")
    facilitator.get("/facilitator")
    assert "3 of 3 agree" in facilitator.html
    facilitator.get("/facilitator/report")
    assert f"{OPINION} Person 0." in facilitator.html
    assert "3 people took part. 2 wrote an opinion." in facilitator.html
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/close")
    people[0].get("/here")
    assert people[0].key == "end-complete"
    late.get("/here")
    assert late.headings == ["Should buses be free?"]
    other = Browser(TestClient(site.app))
    other.get("/join")
    assert other.headings == ["This study is closed"]


def test_opinions_are_not_closed_before_there_are_two(session):
    site, facilitator = session
    people = joined(site, 2)
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/start")
    people[0].get("/here")
    people[0].send("/here/opinion", text=OPINION)
    facilitator.get("/facilitator")
    assert "/facilitator/close" not in facilitator.forms
    csrf = facilitator.forms["/facilitator/pause"].fields["csrf"]
    facilitator.post("/facilitator/close", {"csrf": csrf, "stage": "opinions"})
    people[0].get("/here")
    assert people[0].headings[0] == "Waiting for the others"


def test_nobody_else_is_the_facilitator(session):
    site, _ = session
    (person,) = joined(site, 1)
    for path in ("/facilitator", "/facilitator/report", "/f/" + "a" * 43):
        assert person.get(path).status_code == 404
    assert person.get("/facilitator/events").status_code == 204


@pytest.mark.parametrize("question", ["", "  ", "x" * 1001])
def test_a_question_that_cannot_be_asked(question):
    with pytest.raises(InputError, match="1 to 1,000"):
        quick_study(question)
