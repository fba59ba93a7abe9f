"""What small groups give away: no numbers of a few, no results that tell what was deleted."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from sqlalchemy import select
from starlette.testclient import TestClient
from study_making import OPINION, Place, ScriptedWriter, small_study

from commonweal.datasets.dataset import read_dataset
from commonweal.study.domain import answers, privacy
from commonweal.study.domain.people import start_login_session
from commonweal.study.domain.quick import open_session, quick_study
from commonweal.study.domain.results import SMALL
from commonweal.study.export.dataset import export_study
from commonweal.study.simulation.bots import Browser
from commonweal.study.storage.clock import ManualClock
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import EventRow, GroupRow, OpinionRow, ParticipantRow, RoundRow
from commonweal.study.web.app import App
from commonweal.study.web.routes import asgi
from commonweal.study.writing import jobs


def rated(place, ratings, *, texts=None):
    """A group that has rated its one statement so, by its members' order; its people's ids."""
    ids = place.join(len(ratings))
    for n, person in enumerate(ids):
        page = place.page(person)
        with place.transaction() as tx:
            text = texts[n] if texts else f"{OPINION} {n}"
            row = tx.db.get_one(ParticipantRow, person)
            assert answers.write_opinion(tx, row, page.round.id, text) is None
    jobs.Worker(place.store, place.study_id, ScriptedWriter()).run_once()
    for person, rating in zip(ids, ratings, strict=True):
        assert place.act(person, agreement=rating) == "rate"
    return ids


def one_statement(n):
    return small_study(
        checks=[],
        group={"size": n, "minimum": 2, "shortfall": "release"},
        rounds={"count": 1, "passes": 1},
        questions=[{"text": "Should buses be free?"}],
        arms=[{"name": "one", "candidates": 2}],
    )


@pytest.mark.attack("small groups", "one's own rating and the result give the other's")
@pytest.mark.parametrize("ratings", [(7, 1), (6, 6), (7, 2, 4), (1, 1, 7, 7)])
def test_a_few_see_no_numbers(tmp_path, ratings):
    place = Place(f"sqlite:///{tmp_path}/study.db", one_statement(len(ratings)))
    (person, *_) = rated(place, ratings)
    app = App(place.store, place.study_id, in_background=False)
    with place.transaction() as tx:
        cookie = start_login_session(tx, tx.db.get_one(ParticipantRow, person))
    client = TestClient(asgi(app))
    client.cookies.set("cw_here", cookie)
    html = re.sub(r"<[^>]*>", " ", client.get("/here").text.partition("<main")[2])
    assert f"the {len(ratings)} who rated it" in html
    assert not re.search(r"\d\.\d|\d of \d agree|(Agree|Disagree|Neutral): \d|mean", html)
    place.store.close()


def test_five_see_numbers(tmp_path):
    place = Place(f"sqlite:///{tmp_path}/study.db", one_statement(SMALL))
    person = rated(place, (7, 7, 6, 4, 1))[0]
    (best,) = place.page(person).results
    assert (best.n, best.n_agree, best.n_neutral, best.n_disagree) == (5, 3, 1, 1)
    assert not best.is_small
    place.store.close()


@pytest.mark.attack("small groups", "results before and after a deletion")
def test_a_result_does_not_change_when_somebody_deletes_their_data(database_url):
    place = Place(database_url, one_statement(6))
    ids = rated(place, (6, 3, 5, 5, 2, 7))
    before = place.page(ids[0]).results
    with place.transaction() as tx:
        privacy.delete_data(tx, tx.db.get_one(ParticipantRow, ids[1]))
    after = place.page(ids[0])
    assert [(each.n, each.mean, each.n_agree) for each in after.results] == [
        (each.n, each.mean, each.n_agree) for each in before
    ]
    assert after.n_asked == 6
    with place.store.read() as db:
        kept = str(db.scalars(select(RoundRow.result)).one())
        assert not any(f"'{name}'" in kept for name in ("participant", "agreement", "ratings"))
    place.store.close()


@pytest.mark.heavy
@pytest.mark.attack("small groups", "the order of opinions in report, export and names")
def test_nothing_stands_in_the_order_of_sending(tmp_path, record_property):
    texts = [f"Opinion number {n}, as long as an opinion is to be in this study." for n in range(9)]
    orders = {"report": set(), "names": set(), "rows": set()}
    for run in range(4):
        store = Store(f"sqlite:///{tmp_path}/{run}.db", clock=ManualClock())
        study_id, token = open_session(store, quick_study(["Should buses be free?"]))
        app = App(store, study_id, writer=ScriptedWriter(), in_background=False)
        facilitator = Browser(TestClient(asgi(app)))
        facilitator.get(f"/f/{token}")
        people = [Browser(TestClient(asgi(app))) for _ in texts]
        for each in people:
            each.get("/join")
            each.send("/join", button="agree")
        facilitator.get("/facilitator")
        facilitator.send("/facilitator/start")
        for each, text in zip(people, texts, strict=True):
            each.get("/here")
            each.send("/here/opinion", text=text)
        app.worker.run_once()
        for each in people:
            each.get("/here")
            for _ in range(3):
                each.send("/here/rate", agreement="6", quality="5")
        facilitator.get("/facilitator/report")
        said = re.findall(r"Opinion number (\d)", facilitator.html)
        facilitator.get("/facilitator/report")
        assert said == re.findall(r"Opinion number (\d)", facilitator.html)
        orders["report"].add(tuple(said))
        with store.read() as db:
            orders["names"].add(tuple(db.scalars(select(OpinionRow.name).order_by(OpinionRow.id))))
        export_study(store, study_id, tmp_path / f"data{run}")
        data = read_dataset(tmp_path / f"data{run}")
        orders["rows"].add(tuple(data.opinions["text"]))
        store.close()
    sent = {
        "report": tuple("012345678"),
        "names": tuple(f"o{n}" for n in range(1, 10)),
        "rows": tuple(texts),
    }
    for name, found in orders.items():
        assert len(found) > 1, name
        assert sent[name] not in found, name
    record_property("tried", 12)


@pytest.mark.attack("small groups", "ids seen on a screen, looked up in the export")
def test_an_id_of_a_screen_is_in_no_export(tmp_path):
    place = Place(f"sqlite:///{tmp_path}/study.db", one_statement(4))
    rated(place, (6, 3, 5, 5))
    with place.store.read() as db:
        shown = [
            *db.scalars(select(ParticipantRow.public_id)),
            *db.scalars(select(GroupRow.public_id)),
        ]
        shown += list(db.scalars(select(RoundRow.public_id)))
    names = []
    for run in range(2):
        export_study(place.store, place.study_id, tmp_path / f"data{run}")
        data = read_dataset(tmp_path / f"data{run}")
        everything = "".join(str(table.to_dicts()) for table in data.tables().values())
        assert not [each for each in shown if each in everything]
        names.append(sorted(data.opinions["participant_id"]))
    assert names[0] == names[1]
    assert len(set(names[0])) == 4
    place.store.close()


@pytest.mark.attack("small groups", "the audit's times of what somebody did")
def test_the_audit_knows_minutes_of_people(tmp_path):
    place = Place(f"sqlite:///{tmp_path}/study.db", one_statement(4))
    place.clock.move_to(place.clock.now() + 12.3)
    rated(place, (6, 3, 5, 5))
    with place.store.read() as db:
        times = db.scalars(select(EventRow.at).where(EventRow.participant_id.is_not(None))).all()
        assert times
        assert all(at % 60 == 0 for at in times)
    place.store.close()
