"""Writing that fails: which arms are kept, what is said of it and where; one faulty group."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy import select
from study_making import OPINION, Place, ScriptedWriter, small_study
from test_machine import count

from commonweal.errors import EngineError
from commonweal.study.domain import machine, privacy, researchers
from commonweal.study.storage.tables import (
    EventRow,
    GroupRow,
    JobRow,
    ParticipantRow,
    PredictionRow,
    RoundRow,
    StatementRow,
)
from commonweal.study.writing.jobs import Worker, claim, failed_jobs, release, renew


class OneBadArm(ScriptedWriter):
    """The arm "first" fails so many times, with a message that quotes what people wrote."""

    def __init__(self, n_failures=100):
        super().__init__()
        self.n_failures = n_failures

    def write(self, task, *, timeout_seconds):
        if task.arm.name == "first" and self.n_failures:
            self.tasks.append(task)
            self.n_failures -= 1
            raise EngineError(f"400 from the server: {task.opinions[0].text}")
        return super().write(task, timeout_seconds=timeout_seconds)


@pytest.fixture
def place(tmp_path):
    made = Place(f"sqlite:///{tmp_path}/study.db")
    yield made
    made.store.close()


def written(place, n=4):
    """Ids of people who have all written: their job is open."""
    ids = place.join(n)
    for person in ids:
        place.act(person)
        place.act(person)
    return ids


def arms(writer):
    return [task.arm.name for task in writer.tasks]


def failed(place):
    with place.store.read() as db:
        return failed_jobs(db, place.study_id)


def test_a_bad_arm_leaves_the_others_their_statements(place):
    ids = written(place)
    writer = OneBadArm()
    worker = Worker(place.store, place.study_id, writer)
    assert worker.run_once()
    assert place.page(ids[0]).waiting_for == "generating"
    assert worker.run_once()
    # The second arm writes once: what it wrote is kept for the next attempt.
    assert arms(writer) == ["first", "second", "first"]
    assert place.page(ids[0]).kind == "rate"
    with place.store.read() as db:
        assert {each.arm for each in db.scalars(select(StatementRow))} == {"second"}
        row = db.scalars(select(RoundRow)).one()
        assert row.notes == ["first: wrote nothing (EngineError)"]
        (job,) = failed_jobs(db, place.study_id)[row.group_id]
        assert job.status == "done"
        assert job.error.startswith("first: 400 from the server")


def test_an_arm_that_writes_at_the_second_attempt_is_there_as_if_at_the_first(place):
    written(place)
    worker = Worker(place.store, place.study_id, OneBadArm(1))
    assert worker.run_once()
    assert [job.status for job in next(iter(failed(place).values()))] == ["queued"]
    assert worker.run_once()
    assert failed(place) == {}
    assert count(place, StatementRow) == 8


def test_after_a_deletion_everything_is_written_anew(place):
    ids = written(place)
    writer = OneBadArm(1)
    worker = Worker(place.store, place.study_id, writer)
    assert worker.run_once()
    with place.transaction() as tx:
        privacy.delete_data(tx, tx.db.get(ParticipantRow, ids[1]))
    assert worker.run_once()
    assert arms(writer) == ["first", "second", "first", "second"]
    with place.store.read() as db:
        # The scripted predictions rise with the opinion's place: o3 is now the second.
        for person, place_of_opinion in ((ids[0], 0), (ids[2], 1), (ids[3], 2)):
            lowest = min(
                db.scalars(
                    select(PredictionRow.expected_rating).where(
                        PredictionRow.participant_id == person
                    )
                )
            )
            assert lowest == pytest.approx(3.0 + 0.01 * place_of_opinion)


def test_what_people_wrote_stands_in_no_log_and_no_event(place, caplog):
    ids = written(place)
    worker = Worker(place.store, place.study_id, OneBadArm())
    with caplog.at_level(logging.DEBUG):
        worker.run_once()
        worker.run_once()
    assert "arm first: EngineError" in caplog.text
    assert OPINION not in caplog.text
    with place.store.read() as db:
        assert not any(OPINION in str(each.details) for each in db.scalars(select(EventRow)))
        assert OPINION in db.scalars(select(JobRow.error)).one()  # the dashboard's, until
    with place.transaction() as tx:
        privacy.delete_data(tx, tx.db.get(ParticipantRow, ids[0]))
    with place.store.read() as db:
        assert db.scalars(select(JobRow.error)).one() == ""


def test_who_deletes_while_a_model_writes_is_not_quoted_afterwards(place):
    ids = written(place)

    class Meanwhile(OneBadArm):
        def write(self, task, *, timeout_seconds):
            if task.arm.name == "first":
                with place.transaction() as tx:
                    privacy.delete_data(tx, tx.db.get(ParticipantRow, ids[0]))
            return super().write(task, timeout_seconds=timeout_seconds)

    assert Worker(place.store, place.study_id, Meanwhile(1)).run_once()
    with place.store.read() as db:
        assert db.scalars(select(JobRow.error)).one() == "first: EngineError"


def test_nothing_is_written_for_a_group_that_was_released(place):
    written(place)
    with place.transaction() as tx:
        researchers.release(tx, tx.db.scalars(select(GroupRow)).one(), actor="ada")
    writer = ScriptedWriter()
    assert not Worker(place.store, place.study_id, writer).run_once()
    assert writer.tasks == []


def stages(place):
    with place.store.read() as db:
        return db.execute(select(GroupRow.stage, GroupRow.deadline).order_by(GroupRow.id)).all()


def test_time_in_the_queue_is_no_time_of_writing(place):
    first, second = written(place), written(place)
    (_, deadline), _ = stages(place)
    place.clock.move_to(deadline - 100)
    with place.store.beside(place.study_id) as tx:
        claimed = claim(tx)
    place.clock.move_to(deadline + 1)
    with place.transaction() as tx:
        assert renew(tx, claimed)
        machine.sweep(tx)
    # The first has 100 s less than in the beginning; the second waits for its worker.
    (one, until), (other, later) = stages(place)
    assert (one, other) == ("generating", "generating")
    assert until > deadline + 1
    assert later > until
    worker = Worker(place.store, place.study_id, ScriptedWriter())
    with place.transaction() as tx:
        release(tx, claimed)
    assert worker.run_once()
    assert worker.run_once()
    assert [place.page(ids[0]).kind for ids in (first, second)] == ["rate", "rate"]


def test_a_job_that_its_worker_holds_for_ever_is_given_up(place):
    ids = written(place)
    with place.store.beside(place.study_id) as tx:
        claimed = claim(tx)
    for _ in range(200):
        place.clock.move_to(place.clock.now() + 10)
        with place.transaction() as tx:
            renew(tx, claimed)
            machine.sweep(tx)
    assert place.page(ids[0]).kind == "end"
    with place.store.read() as db:
        assert db.scalars(select(JobRow.status)).one() == "failed"


def test_one_faulty_group_does_not_stop_the_sweep(place, monkeypatch, caplog):
    faulty, good = place.join(4), place.join(4)
    with place.store.read() as db:
        bad_id = db.get(ParticipantRow, faulty[0]).group_id
    for ids in (faulty, good):
        for person in ids[:3]:
            place.act(person)
            place.act(person)
    steps = dict(machine._STEPS)

    def opinions(tx, group, active):
        if group.id == bad_id:
            group.message = "half done"
            raise RuntimeError("a fault")
        return steps["opinions"](tx, group, active)

    monkeypatch.setitem(machine._STEPS, "opinions", opinions)
    place.clock.move_to(place.clock.now() + 481)
    with place.transaction() as tx:
        machine.sweep(tx)
    assert "goes on without the group" in caplog.text
    assert place.page(good[0]).waiting_for == "generating"
    with place.store.read() as db:
        stuck = db.get(GroupRow, bad_id)
        assert (stuck.stage, stuck.message) == ("opinions", "")  # undone, and to be tried again


def test_a_model_that_cannot_be_is_refused_before_people_are_there():
    for model, says in (
        ("embeded", "did you mean 'embedded'"),
        ("openai:", "expected openai:SPEC, as embedded"),
        ("openai:127.0.0.1#m", "BASE_URL needs"),
        ("embedded:/nowhere/at/all.gguf", "no model at"),
        ("hf:/nowhere/at/all.gguf", r"no such \.gguf file"),
    ):
        with pytest.raises(ValueError, match=says):
            small_study(arms=[{"name": "one", "model": model}])
    small_study(arms=[{"name": "one", "model": "openai:http://127.0.0.1:9/v1#m"}])
