"""Many forms of one person at the same moment, tabs of people who are gone, a disk that is full."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from sqlalchemy import event, select
from starlette.testclient import TestClient
from study_making import OPINION, small_study
from web_making import Served, to_opinions, to_ratings

from commonweal.study.domain import people
from commonweal.study.domain.researchers import remove
from commonweal.study.storage.tables import (
    DraftRow,
    EventRow,
    OpinionRow,
    ParticipantRow,
    RatingRow,
)
from commonweal.study.web import app
from commonweal.study.web.participant import _ACTIONS

SECRET = "Only Zebulon would ever say this about the buses of our town."


@pytest.fixture
def served(database_url):
    """An app on each kind of database: they lock in different ways."""
    made = Served(database_url)
    yield made
    made.place.store.close()


def tab(browser):
    """Another tab of the same browser; a fault is an answer with its status."""
    made = TestClient(browser._client.app, raise_server_exceptions=False)
    made.cookies.update(dict(browser._client.cookies))
    return made


def at_once(calls):
    """What each of these gave that were begun together."""
    with ThreadPoolExecutor(25) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]


def sends(client, path, form):
    return lambda: client.post(path, data=form, follow_redirects=False)


@pytest.mark.heavy
@pytest.mark.attack("at once", "50 tabs send one opinion, and one rating")
def test_fifty_tabs_send_once(served, record_property):
    browsers = served.joined(4)
    to_opinions(browsers)
    form = {**browsers[0].forms["/here/opinion"].fields, "text": OPINION}
    answers = at_once(sends(tab(browsers[0]), "/here/opinion", form) for _ in range(50))
    said = Counter(each.headers.get("location") for each in answers)
    assert said == {"/here": 1, "/here?stale=1": 49}
    assert served.count(OpinionRow) == 1
    for each in browsers[1:]:
        each.send("/here/opinion", text=OPINION)
    served.app.worker.run_once()
    before = served.count(RatingRow)
    browsers[0].get("/here")
    form = {**browsers[0].forms["/here/rate"].fields, "agreement": "7", "quality": "1"}
    answers = at_once(sends(tab(browsers[0]), "/here/rate", form) for _ in range(50))
    said = Counter(each.headers.get("location") for each in answers)
    assert said == {"/here": 1, "/here?stale=1": 49}
    assert served.count(RatingRow) == before + 1
    record_property("tried", 100)


@pytest.mark.attack("at once", "a private link from 10 tabs and 10 other browsers")
def test_a_link_is_one_browsers(served, record_property):
    with served.place.transaction() as tx:
        path = f"/i/{people.invite(tx)}"
    mine = served.browser()
    mine.get(path)
    calls = [sends(tab(mine), path, mine.forms[path].fields) for _ in range(10)]
    for _ in range(10):
        other = served.browser()
        other.get(path)
        calls.append(sends(tab(other), path, other.forms[path].fields))
    answers = at_once(calls)
    taken = [n for n, each in enumerate(answers) if each.status_code == 303]
    # All tabs of one browser, or a single other one: never two browsers.
    assert taken == list(range(10)) or (len(taken) == 1 and taken[0] >= 10)
    assert {each.status_code for n, each in enumerate(answers) if n not in taken} == {410}
    with served.place.store.read() as db:
        assert len(db.scalars(select(EventRow).where(EventRow.kind == "link used")).all()) == 1
    record_property("tried", 20)


@pytest.mark.heavy
@pytest.mark.attack("at once", "somebody sends, leaves, deletes and looks in 42 tabs")
def test_everything_at_once_is_no_fault(served, record_property):
    browsers = served.joined(4)
    to_opinions(browsers)
    form = {**browsers[0].forms["/here/opinion"].fields, "text": SECRET, "sure": "yes"}
    paths = ("opinion", "draft", "leave", "delete", "more-time", "device")
    calls = [sends(tab(browsers[0]), f"/here/{path}", form) for path in paths * 6]
    calls += [lambda: tab(browsers[0]).get("/here/data.json") for _ in range(6)]
    assert {each.status_code for each in at_once(calls)} <= {200, 204, 303, 401, 409}
    # Whatever came first: in the end the person is gone, with everything.
    assert served.count(ParticipantRow) == 3
    assert served.count(OpinionRow) == served.count(DraftRow) == 0
    record_property("tried", len(calls))


@pytest.mark.heavy
@pytest.mark.attack("at once", "the tab of somebody who was removed, left, or deleted their data")
@pytest.mark.parametrize("how", ["removed", "left", "deleted"])
@pytest.mark.parametrize("stage", ["opinions", "rating"])
def test_the_tab_of_somebody_who_is_gone_changes_nothing(served, how, stage):
    browsers = served.joined(4)
    (to_opinions if stage == "opinions" else lambda each: to_ratings(served, each))(browsers)
    stale, before = dict(next(iter(browsers[0].forms.values())).fields), tab(browsers[0])
    if how == "removed":
        with served.place.transaction() as tx:
            remove(tx, tx.db.scalars(select(ParticipantRow)).first(), actor="ada")
    else:
        path = "/here/leave" if how == "left" else "/here/data"
        browsers[0].get(path)
        browsers[0].send("/here/leave" if how == "left" else "/here/delete", sure="yes")
    counted = [served.count(each) for each in (OpinionRow, DraftRow, RatingRow, ParticipantRow)]
    stale |= {"text": OPINION, "agreement": "7", "quality": "7", "decision": "agree"}
    for action in _ACTIONS:
        answer = before.post(f"/here/{action}", data=stale, follow_redirects=False)
        assert answer.status_code in (200, 303, 401, 409), action
    assert counted == [
        served.count(each) for each in (OpinionRow, DraftRow, RatingRow, ParticipantRow)
    ]


# ------------------------------------------------------------------------------------ the machine


@pytest.mark.attack("full disk", "no answer is said to be kept that is not, and none is lost")
def test_a_full_disk_says_so_and_goes_on(tmp_path, caplog, record_property):
    served = Served(tmp_path, small_study(opinion={"max_characters": 10_000}))
    engine, is_full = served.place.store.engine, [False]

    @event.listens_for(engine, "begin")
    def fill(connection):
        pages = 1 if is_full[0] else 2**30
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    browsers = served.joined(4)
    to_opinions(browsers)
    client, form = tab(browsers[0]), browsers[0].forms["/here/opinion"].fields
    is_full[0] = True
    kept, refused = "", 0
    for n in range(20):
        text = f"{n} {OPINION * 90}"
        status = client.post("/here/draft", data={**form, "text": text}).status_code
        kept, refused = (text, refused) if status == 204 else (kept, refused + 1)
        with served.place.store.read() as db:
            assert (db.scalar(select(DraftRow.text)) or "") == kept
    text = OPINION * 110
    sent = client.post("/here/opinion", data={**form, "text": text}, follow_redirects=False)
    assert (sent.status_code, refused > 0) == (500, True)
    assert served.count(OpinionRow) == 0
    # Pages are there, and each refusal was one line that quotes nobody.
    assert client.get("/here").status_code == 200
    lines = [each for each in caplog.records if each.name == "commonweal.study"]
    assert len(lines) == refused + 1
    assert not any("Buses" in each.getMessage() or each.exc_info for each in lines)
    is_full[0] = False
    sent = client.post("/here/opinion", data={**form, "text": text}, follow_redirects=False)
    assert sent.headers["location"] == "/here"
    assert served.count(OpinionRow) == 1
    record_property("tried", 21)
    served.place.store.close()


@pytest.mark.attack("full disk", "what is done every second goes on, and says so in one line")
def test_what_fails_again_and_again_is_told_once(served, monkeypatch, caplog):
    monkeypatch.setattr(app, "SWEEP_SECONDS", 0.01)
    tried = []

    def fails():
        tried.append(1)
        raise sqlite3.OperationalError(f"there is no room for {SECRET!r}")

    monkeypatch.setattr(served.app, "sweep", fails)
    monkeypatch.setattr(served.app.worker, "run_once", fails)

    async def a_moment():
        sweep = asyncio.create_task(served.app._sweep())
        while len(tried) < 5:
            await asyncio.sleep(0.01)
        sweep.cancel()

    asyncio.run(asyncio.wait_for(a_moment(), 20))
    tried.clear()
    served.app.worker.start()
    until = time.monotonic() + 20
    while len(tried) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    served.app.worker.stop()
    lines = [each.getMessage() for each in caplog.records if each.name == "commonweal.study"]
    assert [each.partition(" goes on after an error: ")[0] for each in lines] == [
        "the sweep",
        "the worker",
    ]
    assert all(re.search(r"OperationalError in \w+\.py, line \d+$", each) for each in lines)
    assert not any(each.exc_info for each in caplog.records)


@pytest.mark.attack("deletion", "readers that relieve each other, so that one is always there")
def test_a_deletion_is_finished_between_readers_that_overlap(tmp_path):
    served = Served(tmp_path)
    browsers = served.joined(4)
    to_opinions(browsers)
    browsers[0].send("/here/opinion", text=SECRET)

    def reader():
        made = sqlite3.connect(tmp_path / "study.db")
        made.execute("BEGIN")
        made.execute("SELECT count(*) FROM opinions").fetchone()
        return made

    def traces():
        return [each.name for each in tmp_path.iterdir() if b"Zebulon" in each.read_bytes()]

    first = reader()
    browsers[0].get("/here/data")
    browsers[0].send("/here/delete", sure="yes")
    assert "a trace of your text stays" in browsers[0].html
    for _ in range(5):
        second = reader()
        first.close()
        first = second
        served.app.sweep()
        # What it says is true, whichever of them is in the way.
        assert served.place.store.has_traces or not traces()
    first.close()
    served.app.sweep()
    assert not served.place.store.has_traces
    assert traces() == []
    served.place.store.close()
