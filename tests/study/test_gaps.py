"""Clocks that jump, servers that were away: nobody loses time, no duration is untrue."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from sqlalchemy import select, text
from study_making import OPINION, Place, ScriptedWriter
from web_making import Served, to_opinions

from commonweal.datasets.dataset import read_dataset
from commonweal.study.domain import machine, people
from commonweal.study.export.dataset import LEFT_OUT, export_study
from commonweal.study.storage import gaps
from commonweal.study.storage.clock import SystemClock
from commonweal.study.storage.tables import GroupRow, JobRow, ParticipantRow, RatingRow
from commonweal.study.writing import jobs


class Jumping:
    """A clock that may be set back."""

    def __init__(self, start):
        self.at = start

    def now(self):
        return self.at

    def behind(self):
        return 0.0


def jumping(place):
    clock = Jumping(place.clock.now())
    place.clock = place.store.clock = clock
    return clock


def beat(place):
    with place.transaction() as tx:
        gaps.beat(tx)
        machine.sweep(tx)


def left(place):
    """Seconds that the group's stage goes on, and the seconds of the worker's lease."""
    with place.store.read() as db:
        return db.scalars(select(GroupRow.deadline)).one() - place.clock.now()


def outcomes(place):
    with place.store.read() as db:
        return list(db.scalars(select(ParticipantRow.outcome).order_by(ParticipantRow.id)))


@pytest.mark.attack("clock", "the machine's clock is set while the server runs")
def test_a_set_clock_is_not_noticed(monkeypatch):
    clock = SystemClock()
    before = clock.now()
    monkeypatch.setattr(time, "time", lambda: before - 3600)
    assert 0 <= clock.now() - before < 5
    assert clock.behind() == pytest.approx(-3600, abs=5)  # what is shown is the machine's time


@pytest.mark.heavy
@pytest.mark.attack("clock", "set back between two starts: the study is exported all the same")
@pytest.mark.parametrize("seconds", [2, 3600])
def test_a_clock_that_was_set_back_leaves_the_study_exportable(database_url, tmp_path, seconds):
    place = Place(database_url)
    clock = jumping(place)
    ids = place.join(4)
    beat(place)
    for person in ids:
        place.act(person)
        place.act(person)
    jobs.Worker(place.store, place.study_id, ScriptedWriter()).run_once()
    for person in ids:
        place.page(person)  # shown
    clock.at -= seconds
    for person in ids:
        place.act(person)
        clock.at += 7
    for person in ids:
        place.act(person)
    export_study(place.store, place.study_id, tmp_path / "data")
    data = read_dataset(tmp_path / "data")
    durations = data.ratings.filter(~data.ratings["agreement"].is_null())["duration_seconds"]
    assert all(each is None or each >= 0 for each in durations)
    n_unknown = data.about.steps[0].counts["ratings_without_a_duration"]
    assert n_unknown == durations.null_count() >= 1
    assert len(durations) == 8
    place.store.close()


@pytest.mark.attack("clock", "a row that breaks the format does not keep the rest from export")
def test_a_row_that_breaks_the_format_is_left_out_and_counted(tmp_path):
    place = Place(f"sqlite:///{tmp_path}/study.db")
    ids = place.join(4)
    for person in ids:
        place.act(person)
        place.act(person)
    jobs.Worker(place.store, place.study_id, ScriptedWriter()).run_once()
    for person in ids:
        place.act(person)
    with place.store.write() as db:
        db.execute(text("UPDATE predictions SET expected_rating = 9 WHERE statement_id = 1"))
        db.execute(text("UPDATE statements SET text = ' ' WHERE id = 2"))
    export_study(place.store, place.study_id, tmp_path / "data")
    data = read_dataset(tmp_path / "data")
    (step,) = [each for each in data.about.steps if each.what == LEFT_OUT]
    # Four predictions of the one; of the other the candidate and what refers to it.
    assert step.counts["candidates"] == 1
    assert step.counts["predictions"] == 8
    assert data.candidates.height == 7
    place.store.close()


@pytest.mark.attack("clock", "set back an hour and a crash: no job waits for it")
@pytest.mark.parametrize("beats", [True, False])
def test_a_lease_of_before_the_clock_was_set_back_is_over(tmp_path, beats):
    place = Place(f"sqlite:///{tmp_path}/study.db")
    clock = jumping(place)
    ids = place.join(4)
    if beats:
        beat(place)
    for person in ids:
        place.act(person)
        place.act(person)
    with place.transaction() as tx:
        assert jobs.claim(tx) is not None  # of a worker that dies now
    clock.at -= 3600
    if beats:
        beat(place)
        clock.at += jobs.LEASE_SECONDS + 1
    assert jobs.Worker(place.store, place.study_id, ScriptedWriter()).run_once()
    with place.store.read() as db:
        assert db.scalars(select(JobRow.status)).one() == "done"
    place.store.close()


@pytest.mark.attack("downtime", "away for longer than the time that people had left")
@pytest.mark.parametrize("gap", [27, 600, 86_400, -3600])
def test_a_gap_takes_nobodys_time(database_url, gap):
    place = Place(database_url)
    clock = jumping(place)
    ids = place.join(4)
    beat(place)
    for person in ids:
        place.act(person)
    with place.transaction() as tx:
        tx.db.scalars(select(GroupRow)).one().deadline = tx.now + 25
    before = left(place)
    clock.at += gap
    with place.transaction() as tx:  # whoever comes first: a page, a form, the sweep
        people.saw(tx, tx.db.get_one(ParticipantRow, ids[0]))
    assert left(place) == pytest.approx(before)
    beat(place)
    assert outcomes(place) == [None] * 4
    assert place.page(ids[0]).kind == "opinion"
    clock.at += 10  # no gap: this time is theirs
    beat(place)
    assert left(place) == pytest.approx(before - 10)
    place.store.close()


@pytest.mark.attack("downtime", "a pause, the waiting room and instructions across a gap")
def test_a_gap_in_a_pause_or_before_the_group(tmp_path):
    place = Place(f"sqlite:///{tmp_path}/study.db")
    clock = jumping(place)
    place.join(4)
    waiting = place.join(1)[0]
    reading = place.join(1, upto="instructions")[0]
    beat(place)
    with place.transaction() as tx:
        machine.pause(tx, tx.db.scalars(select(GroupRow)).one(), actor="ada")
    before = left(place)
    clock.at += 5000
    beat(place)
    assert outcomes(place) == [None] * 6
    assert place.page(waiting).kind == "lobby"
    assert place.page(reading).kind == "instructions"
    with place.transaction() as tx:
        machine.resume(tx, tx.db.scalars(select(GroupRow)).one(), actor="ada")
    assert left(place) == pytest.approx(before)
    place.store.close()


@pytest.mark.attack("downtime", "a rating during which the server was away has no duration")
def test_a_duration_across_a_gap_is_not_known(tmp_path):
    place = Place(f"sqlite:///{tmp_path}/study.db")
    clock = jumping(place)
    ids = place.join(4)
    beat(place)
    for person in ids:
        place.act(person)
        place.act(person)
    jobs.Worker(place.store, place.study_id, ScriptedWriter()).run_once()
    for person in ids:
        place.page(person)
    clock.at += 300
    for person in ids:
        place.act(person)
    for _ in range(2):
        clock.at += 8
        beat(place)
    for person in ids:
        place.page(person)
        clock.at += 1
        place.act(person)
    export_study(place.store, place.study_id, tmp_path / "data")
    data = read_dataset(tmp_path / "data")
    rated = data.ratings.filter(~data.ratings["agreement"].is_null())
    assert rated["duration_seconds"].to_list().count(None) == 4
    with place.store.read() as db:
        assert len(db.scalars(select(RatingRow.presentation_id)).all()) == 12  # 4 of positions
    place.store.close()


@pytest.mark.attack("downtime", "a draft outlives the deadline and is offered")
def test_a_draft_is_offered_to_who_was_too_late(tmp_path):
    served = Served(tmp_path)
    browsers = served.joined(4)
    to_opinions(browsers)
    for each in browsers[1:]:
        each.send("/here/opinion", text=OPINION)
    form = browsers[0].forms["/here/opinion"].fields
    browsers[0]._client.post("/here/draft", data={**form, "text": "I had nearly <b>said</b> it"})
    served.place.clock.move_to(served.place.clock.now() + 500)
    served.app.sweep()
    browsers[0].get("/here")
    assert browsers[0].key == "end-timed_out"
    assert "I had nearly &lt;b&gt;said&lt;/b&gt; it" in browsers[0].html
    served.place.store.close()


@pytest.mark.heavy
@pytest.mark.attack("clock", "set ahead and back between two answers of one person, by any amount")
@pytest.mark.parametrize(
    ("jumps", "n_known"),
    # Time stands until a clock that went back a little is where it was: what is then known is less.
    [((3600, -3600), 2), ((-3600, 3600), 2), ((-2, 2), 2), ((86_400 * 400, -7), 1)],
)
def test_a_clock_that_jumps_between_two_answers_makes_no_untrue_duration(tmp_path, jumps, n_known):
    place = Place(f"sqlite:///{tmp_path}/study.db")
    clock = jumping(place)
    ids = place.join(4)
    beat(place)
    for person in ids:
        place.act(person)
        place.act(person)
    jobs.Worker(place.store, place.study_id, ScriptedWriter()).run_once()
    before = left(place)
    for jump in jumps:
        place.page(ids[0])  # shown
        clock.at += 4
        beat(place)
        clock.at += jump
        beat(place)
        place.act(ids[0])
        place.page(ids[0])
        clock.at += 3
        place.act(ids[0])
    # Nobody lost or won more time than passed, but for what is no gap yet.
    assert abs(before - left(place) - 14) <= len(jumps) * gaps.GAP_SECONDS
    assert outcomes(place) == [None] * 4
    export_study(place.store, place.study_id, tmp_path / "data")
    data = read_dataset(tmp_path / "data")
    found = data.ratings.filter(~data.ratings["agreement"].is_null())["duration_seconds"]
    # Two across a jump, which are unknown or no longer than what really passed; the others known.
    assert len(found) == 4
    assert all(each is None or 0 <= each <= 4 + gaps.GAP_SECONDS for each in found)
    assert sum(each == 3 for each in found) == n_known
    place.store.close()


@pytest.mark.heavy
@pytest.mark.attack(
    "clock", "a job claimed while the clock was ahead, and a crash before it is back"
)
@pytest.mark.parametrize("ahead", [10, 17, 3600, 86_400 * 400])
@pytest.mark.parametrize("beats", [True, False])
def test_a_lease_of_while_the_clock_was_ahead_is_over_soon(tmp_path, ahead, beats):
    place = Place(f"sqlite:///{tmp_path}/study.db")
    clock = jumping(place)
    ids = place.join(4)
    if beats:
        beat(place)
    for person in ids:
        place.act(person)
        place.act(person)
    clock.at += ahead
    if beats:
        beat(place)
    with place.transaction() as tx:
        assert jobs.claim(tx) is not None  # of a worker that dies now
    clock.at -= ahead
    worker, seconds = jobs.Worker(place.store, place.study_id, ScriptedWriter()), 0
    while not worker.run_once():
        clock.at += 1
        seconds += 1
        if beats:
            beat(place)
        # A lease, and a jump that is too small to be told from a slow machine.
        assert seconds <= 2 * jobs.LEASE_SECONDS + gaps.GAP_SECONDS
    with place.store.read() as db:
        assert db.scalars(select(JobRow.status)).one() == "done"
    place.store.close()
