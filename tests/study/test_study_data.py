"""Export, payment, deletion: what leaves the study, and what does not."""

from __future__ import annotations

import csv
import io

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from sqlalchemy import func, inspect, select
from study_making import OPINION, Place, small_study
from test_machine import outcomes, play

from commonweal.datasets.dataset import read_dataset
from commonweal.study.domain import people, privacy
from commonweal.study.export.dataset import export_study
from commonweal.study.export.payments import payments, safe_cell
from commonweal.study.storage.tables import (
    Base,
    EventRow,
    OpinionRow,
    ParticipantRow,
    PresentationRow,
    RatingRow,
    RecruiterIdsRow,
)

RECRUITED = small_study(recruiter={"participant": "PROLIFIC_PID"})


@pytest.fixture
def place(database_url):
    made = Place(database_url, RECRUITED)
    yield made
    made.store.close()


def recruited(place, n=4):
    return [place.join(1, recruiter={"participant": f"=recruit{i}"})[0] for i in range(n)]


@pytest.mark.heavy
def test_an_export_is_a_dataset_of_people(place, tmp_path):
    ids = recruited(place)
    play(place, ids)
    export_study(place.store, place.study_id, tmp_path / "data")
    dataset = read_dataset(tmp_path / "data")
    assert dataset.about.people == "human"
    assert dataset.rounds.height == 2
    assert dataset.opinions.height == 8
    assert set(dataset.opinions["text"]) == {OPINION}
    assert dataset.candidates.height == 16
    assert dataset.candidates["shown"].sum() == 6
    assert dataset.ratings.height == 48
    assert dataset.ratings["agreement"].null_count() == 0
    assert set(dataset.ratings["pass_index"]) == {0, 1}
    assert dataset.position_ratings.height == 8
    assert dataset.predictions.height == 2 * 8 * 4
    (step,) = dataset.about.steps
    assert step.counts["outcome_complete"] == 4
    text = (tmp_path / "data" / "data_dictionary.md").read_text(encoding="utf-8")
    assert "ratings.parquet: 48 rows" in text


@pytest.mark.heavy
@pytest.mark.attack("payments", "a recruiter's numbers looked for in an export")
def test_nothing_in_an_export_names_a_person(place, tmp_path):
    ids = recruited(place)
    play(place, ids)
    export_study(place.store, place.study_id, tmp_path / "data")
    for path in (tmp_path / "data").iterdir():
        assert b"recruit" not in path.read_bytes().replace(b"recruiter", b""), path
    with place.store.read() as db:
        names = set(db.scalars(select(ParticipantRow.public_id)))
    assert all(len(name) >= 20 for name in names)


@pytest.mark.heavy
def test_one_simulated_person_makes_it_simulated(place, tmp_path):
    ids = [*place.join(3), *place.join(1, is_simulated=True)]
    play(place, ids)
    dataset = export_study(place.store, place.study_id, tmp_path / "data")
    assert dataset.about.people == "simulated"
    assert "SIMULATED" in (tmp_path / "data/data_dictionary.md").read_text(encoding="utf-8")


def test_what_was_shown_and_not_answered_is_null(place, tmp_path):
    ids = recruited(place)
    play(place, ids, until="rate")
    place.page(ids[0])
    dataset = export_study(place.store, place.study_id, tmp_path / "data")
    assert dataset.ratings["agreement"].null_count() >= 1


@pytest.mark.heavy
def test_payments_are_apart_and_safe_for_spreadsheets(place):
    ids = recruited(place)
    play(place, ids)
    rows = list(csv.DictReader(io.StringIO(payments(place.store, place.study_id))))
    assert [row["recruiter_participant"] for row in rows] == [f"'=recruit{i}" for i in range(4)]
    assert {row["code"] for row in rows} == {"BUSES-COMPLETE"}


@pytest.mark.attack("payments", "ids that a spreadsheet would calculate, in any of its languages")
@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@a", "\t=1", " =1", "'=1", "\r=1"])
def test_formulas_are_shown_and_not_calculated(cell):
    assert safe_cell(cell) == f"'{cell}"
    assert safe_cell("plain") == "plain"


@pytest.mark.heavy
def test_deleting_takes_everything_of_a_person_and_nothing_else(place, tmp_path):
    ids = recruited(place)
    play(place, ids, until="rate")
    for person in ids:
        place.act(person)
    with place.store.read() as db:
        before = {
            table: db.scalar(select(func.count()).select_from(table))
            for table in (OpinionRow, RatingRow, PresentationRow, RecruiterIdsRow)
        }
    with place.transaction() as tx:
        person = tx.db.get(ParticipantRow, ids[0])
        mine = privacy.data_of(tx, person)
        privacy.delete_data(tx, person)
    assert mine["opinions"][0]["text"] == OPINION
    assert mine["recruiter_participant"] == "=recruit0"
    with place.store.read() as db:
        for mapper in Base.registry.mappers:
            columns = inspect(mapper.class_).columns
            if "participant_id" in columns:
                column = columns["participant_id"]
                assert not db.scalars(select(column).where(column == ids[0])).all(), mapper
        assert db.scalar(select(func.count()).select_from(OpinionRow)) == before[OpinionRow] - 1
        assert db.scalar(select(func.count()).select_from(RecruiterIdsRow)) == 3
        assert db.scalars(select(EventRow).where(EventRow.kind == "data deleted")).one()
    play(place, ids[1:])
    assert outcomes(place, ids[1:]) == ["complete"] * 3
    dataset = export_study(place.store, place.study_id, tmp_path / "data")
    first = dataset.candidates.filter(dataset.candidates["included_opinion_ids"].is_null())
    assert first.height == 8  # of the round that the deleted opinion was in
    (step,) = dataset.about.steps
    assert step.counts["participants_who_deleted_their_data"] == 1


def test_an_id_is_never_given_again(place):
    (last,) = place.join(1)
    with place.transaction() as tx:
        privacy.delete_data(tx, tx.db.get(ParticipantRow, last))
    assert place.join(1) > [last]


def test_withdrawing_keeps_what_was_given(place):
    ids = recruited(place)
    play(place, ids, until="rate")
    with place.transaction() as tx:
        person = tx.db.get(ParticipantRow, ids[0])
        privacy.withdraw(tx, person)
        assert len(privacy.data_of(tx, person)["opinions"]) == 1
        assert person.outcome == "left"
        people.leave(tx, person, outcome="removed")
        assert person.outcome == "left"  # an end is an end
