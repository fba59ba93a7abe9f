"""The minority's own sentence in studies and quick sessions: whose it is, and that it is shown."""

from __future__ import annotations

import csv
import io
import re

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from sqlalchemy import delete, select
from starlette.testclient import TestClient
from study_making import OPINION, Place, ScriptedWriter, small_study

from commonweal.datasets.dataset import read_dataset
from commonweal.study.domain import answers, minority, privacy
from commonweal.study.domain.quick import open_session, quick_study
from commonweal.study.export.dataset import export_study
from commonweal.study.simulation.bots import Browser
from commonweal.study.simulation.simulate import STEADY, simulate
from commonweal.study.simulation.stock import StockWriter
from commonweal.study.storage.clock import ManualClock
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import (
    GroupRow,
    JobRow,
    MinorityRow,
    OpinionRow,
    ParticipantRow,
    PredictionRow,
    PresentationRow,
    RatingRow,
    RoundRow,
    StatementRow,
)
from commonweal.study.web.app import App
from commonweal.study.web.routes import asgi
from commonweal.study.writing.held_texts import decide, waiting_texts
from commonweal.study.writing.jobs import Worker

SIX = {"size": 6, "minimum": 3}


def place_of(tmp_path, **changes):
    config = small_study(
        **{
            "group": SIX,
            "rounds": {"count": 1, "passes": 1, "minority": True},
            "arms": [{"name": "first", "candidates": 4, "shown": 1}],
        }
        | changes
    )
    return Place(f"sqlite:///{tmp_path}/study.db", config)


def act_until(place, ids, kind, writer, agreements=None):
    """Everybody acts until all are on such a page; ``agreements`` by person, else 6."""
    worker, ranks = Worker(place.store, place.study_id, writer), {}
    for _ in range(60):
        for person in ids:
            page = place.page(person)
            # Nobody is ever sent back.
            assert page.rank >= ranks.get(person, page.rank)
            ranks[person] = page.rank
            if page.kind != kind:
                place.act(person, agreement=(agreements or {}).get(person, 6))
        if all(place.page(person).kind == kind for person in ids):
            return
        worker.run_once()
    raise AssertionError([place.page(person).kind for person in ids])


def kept(place):
    with place.store.read() as db:
        found = db.scalars(select(MinorityRow)).one()
        db.expunge_all()
        return found


def names_of(place, ids):
    with place.store.read() as db:
        found = select(OpinionRow.name).where(OpinionRow.participant_id.in_(ids))
        return sorted(db.scalars(found))


def test_it_is_written_from_those_found_to_disagree_and_from_nobody_else(tmp_path):
    place, writer = place_of(tmp_path), ScriptedWriter()
    ids = place.join(6)
    against = dict.fromkeys(ids[:2], 2)
    act_until(place, ids, "result", writer, against)
    task = writer.tasks[-1]
    assert task.for_minority
    assert len(writer.tasks) == 2
    assert sorted(each.id for each in task.opinions) == names_of(place, ids[:2])
    found = place.page(ids[0]).outcome
    assert found.is_agreed
    assert found.rated[0].n_disagree == 2
    assert (found.may_speak, found.minority.basis) == (True, "found")
    # The best of eight, which the scripted writer predicts last.
    assert found.minority.text == "We agree on plan 7 of first."
    export_study(place.store, place.study_id, tmp_path / "data")
    rounds = read_dataset(tmp_path / "data").rounds
    assert rounds["x_minority_statement"].to_list() == [found.minority.text]
    assert rounds["x_minority_basis"].to_list() == ["found"]
    # It is no candidate: nobody rates it, and no evaluation counts it.
    assert read_dataset(tmp_path / "data").candidates.height == 4
    place.store.close()


@pytest.mark.parametrize("n_against", [1, 6])
def test_one_alone_is_not_told_and_all_may_be(tmp_path, n_against):
    place, writer = place_of(tmp_path), ScriptedWriter()
    ids = place.join(6)
    act_until(place, ids, "result", writer, dict.fromkeys(ids[:n_against], 1))
    # The scripted predictions are all below neutral: of one alone everybody's opinion is taken.
    assert kept(place).basis == ("predicted" if n_against == 1 else "found")
    assert sorted(kept(place).included) == names_of(place, ids)
    place.store.close()


def test_four_are_too_few_for_ratings_to_say_whose_it_is(tmp_path):
    place = place_of(tmp_path, group={"size": 4, "minimum": 3})
    ids = place.join(4)
    act_until(place, ids, "result", ScriptedWriter(), dict.fromkeys(ids[:2], 1))
    assert kept(place).basis == "predicted"
    place.store.close()


def test_where_nobody_disagrees_nothing_is_asked_and_that_is_said(tmp_path):
    place, writer = place_of(tmp_path), ScriptedWriter()
    ids = place.join(6)
    act_until(place, ids, "rate", writer)
    with place.transaction() as tx:
        tx.db.execute(delete(PredictionRow))
    act_until(place, ids, "result", ScriptedWriter(["never asked"]))
    found = place.page(ids[0]).outcome
    assert (found.may_speak, found.why_silent) == (False, "nobody")
    place.store.close()


def test_without_the_setting_there_is_none(tmp_path):
    place = place_of(tmp_path, rounds={"count": 1, "passes": 1})
    ids, writer = place.join(6), ScriptedWriter()
    act_until(place, ids, "result", writer, dict.fromkeys(ids, 1))
    assert place.page(ids[0]).outcome.minority is None
    assert len(writer.tasks) == 1
    place.store.close()


@pytest.mark.parametrize("decision", ["approved", "rejected", "deleted"])
def test_who_reviews_reads_it_first_and_holding_it_back_is_said(tmp_path, decision):
    place = place_of(tmp_path, moderation={"mode": "review"})
    ids, writer = place.join(6), ScriptedWriter()
    against = dict.fromkeys(ids[:3], 2)
    worker = Worker(place.store, place.study_id, writer)
    for _ in range(30):
        for person in ids:
            place.act(person, agreement=against.get(person, 6))
        worker.run_once()
        with place.transaction() as tx:
            waiting = waiting_texts(tx)
            if [kind for kind, *_ in waiting] == ["minority"]:
                break
            for kind, text, _ in waiting:
                assert decide(tx, kind, text.id, "approved", actor="tester")
    page = place.page(ids[0])
    assert (page.waiting_for, page.is_of_minority) == ("statement_check", True)
    if decision == "deleted":
        with place.transaction() as tx:
            minority.forget(tx.db, ids[0])
            assert waiting_texts(tx) == []
        assert place.page(ids[0]).waiting_for != "statement_check"
        return
    with place.transaction() as tx:
        ((kind, text, _),) = waiting_texts(tx)
        assert decide(tx, kind, text.id, decision, actor="tester")
        assert not decide(tx, kind, text.id, decision, actor="tester")
    found = place.page(ids[0]).outcome
    assert found.may_speak == (decision == "approved")
    assert found.why_silent == ("" if decision == "approved" else "held")
    place.store.close()


def test_what_the_screen_refuses_is_not_shown_and_the_next_is_taken(tmp_path):
    place = place_of(tmp_path)
    ids = place.join(6)
    act_until(place, ids, "rate", ScriptedWriter())
    for person in ids:
        place.act(person, agreement=2)
    worker = Worker(place.store, place.study_id, ScriptedWriter(text="Write to {n}@home.org."))
    worker.run_once()
    assert kept(place).why == "nothing"
    place.store.close()


def test_where_it_cannot_be_written_the_result_says_so(tmp_path):
    place = place_of(tmp_path)
    ids = place.join(6)
    act_until(place, ids, "rate", ScriptedWriter())
    act_until(place, ids, "result", ScriptedWriter(["dead"] * 9), dict.fromkeys(ids[:2], 2))
    found = place.page(ids[0]).outcome
    assert found.why_silent == "failed"
    assert found.rated[0].n == 6
    place.store.close()


def test_it_goes_with_the_data_of_one_whose_opinion_is_in_it(tmp_path):
    place = place_of(tmp_path)
    ids = place.join(6)
    act_until(place, ids, "result", ScriptedWriter(), dict.fromkeys(ids[:2], 2))
    with place.transaction() as tx:
        privacy.delete_data(tx, tx.db.get(ParticipantRow, ids[5]))
    assert kept(place).text
    with place.transaction() as tx:
        privacy.delete_data(tx, tx.db.get(ParticipantRow, ids[0]))
    assert (kept(place).text, kept(place).why) == ("", "deleted")
    place.store.close()


def test_nothing_is_written_and_nobody_waits_where_its_people_have_deleted_their_data(tmp_path):
    place, writer = place_of(tmp_path), ScriptedWriter()
    ids = place.join(6)
    act_until(place, ids, "rate", writer)
    for person in ids:
        place.act(person, agreement=2 if person in ids[:2] else 6)
    assert place.page(ids[2]).waiting_for == "generating"
    for person in ids[:2]:
        with place.transaction() as tx:
            privacy.delete_data(tx, tx.db.get(ParticipantRow, person))
    assert place.page(ids[2]).kind == "result"
    assert (kept(place).text, kept(place).why) == ("", "deleted")
    assert not Worker(place.store, place.study_id, writer).run_once()
    assert not any(task.for_minority for task in writer.tasks)
    place.store.close()


def test_who_deletes_while_it_is_written_is_not_in_it(tmp_path):
    place = place_of(tmp_path)
    ids = place.join(6)
    act_until(place, ids, "rate", ScriptedWriter())
    for person in ids:
        place.act(person, agreement=2 if person in ids[:2] else 6)
    assert place.page(ids[1]).waiting_for == "generating"

    class Slow(ScriptedWriter):
        def write(self, task, *, timeout_seconds):
            with place.transaction() as tx:
                privacy.delete_data(tx, tx.db.get(ParticipantRow, ids[0]))
            return super().write(task, timeout_seconds=timeout_seconds)

    Worker(place.store, place.study_id, Slow()).run_once()
    assert (kept(place).text, kept(place).why) == ("", "deleted")
    assert place.page(ids[1]).kind == "result"
    place.store.close()


def test_of_a_revision_that_nobody_asked_for_it_is_about_the_statement_that_stands(tmp_path):
    place = place_of(tmp_path, rounds={"count": 1, "passes": 1, "revise": 1, "minority": True})
    ids, writer = place.join(6), ScriptedWriter()
    against = dict.fromkeys(ids[:2], 2)
    act_until(place, ids, "critique", writer, against)
    for person in ids:
        with place.transaction() as tx:
            row = tx.db.get(ParticipantRow, person)
            number = tx.db.get(GroupRow, row.group_id).round_id
            assert answers.write_critique(tx, row, number, "") is None
    Worker(place.store, place.study_id, writer).run_once()
    page = place.page(ids[0])
    assert (page.kind, page.outcome.stands) == ("result", "nobody")
    assert (page.outcome.may_speak, page.outcome.minority.basis) == (True, "found")
    with place.store.read() as db:
        revised = db.get(RoundRow, db.get(RoundRow, page.round.id).revises_id)
        assert minority.about(db, page.round).id == revised.statement_id
        assert len(db.scalars(select(MinorityRow)).all()) == 1
        assert [each.what for each in db.scalars(select(JobRow).order_by(JobRow.id))] == [
            "statements",
            "minority",
        ]
    place.store.close()


@pytest.mark.heavy
def test_simulated_people_wait_for_it(tmp_path):
    config = small_study(group=SIX, rounds={"count": 2, "passes": 1, "revise": 1, "minority": True})
    clock = ManualClock()
    store = Store(f"sqlite:///{tmp_path}/study.db", clock=clock)
    app = App(
        store, store.open_study(config), writer=StockWriter(), in_background=False, simulated=True
    )
    report = simulate(app, clock, n_people=6, profile=STEADY, seed=3)
    assert (report.lost, report.stuck) == ([], [])
    assert report.outcomes == {"complete": 6}
    with store.read() as db:
        found = db.scalars(select(MinorityRow)).all()
        assert len(found) == 2  # of each question's last round
        texts = set(db.scalars(select(StatementRow.text)))
        assert all(each.text or each.why == "nobody" for each in found)
        assert any(each.text in texts for each in found)  # the stock is small
    store.close()


# ------------------------------------------------------------------------------- quick sessions


def results_of(db):
    """(id, what was given) of each statement that was rated, the highest mean first."""
    given = {}
    for statement_id, agreement in db.execute(
        select(PresentationRow.statement_id, RatingRow.agreement).join(RatingRow)
    ):
        given.setdefault(statement_id, []).append(agreement)
    return sorted(given.items(), key=lambda each: (-sum(each[1]), each[0]))


def rated_in_a_room(tmp_path, language, n_against=2, each_rates=None):
    """A session of six, some of whom disagree, before the minority's sentence is written."""
    store = Store(f"sqlite:///{tmp_path}/quick.db", clock=ManualClock())
    config = quick_study(["Should buses be free?"], language=language, minority=True)
    study_id, token = open_session(store, config)
    app = App(store, study_id, writer=ScriptedWriter(), base_url="http://here", in_background=False)
    facilitator = Browser(TestClient(asgi(app)))
    facilitator.get(f"/f/{token}")
    people = [Browser(TestClient(asgi(app))) for _ in range(6)]
    for each in people:
        each.get("/join")
        # Before they agree they are told what is made of what they write.
        assert {"en": "what they would add", "de": "anmerken würden"}[language] in each.html
        each.send("/join", button="agree")
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/start")
    for number, each in enumerate(people):
        each.get("/here")
        each.send("/here/opinion", text=f"{OPINION} Person {number}.")
    app.worker.run_once()
    for number, each in enumerate(people):
        each.get("/here")
        while "/here/rate" in each.forms:
            agreement = 2 if number < n_against else 6
            if each_rates is not None and number >= 2:
                agreement = 6
            elif each_rates is not None:  # by the statement's place among the texts
                agreement = each_rates[int(re.search(r"plan (\d+)", each.quotes[0])[1]) % 3]
            each.send("/here/rate", agreement=str(agreement), quality="5")
    return app, facilitator, people


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("language", "waits", "title", "whose"),
    [
        (
            "en",
            "would add is being written",
            "What those who disagree would add",
            "lower than neutral",
        ),
        ("de", "wird geschrieben", "Was die anmerken würden, die nicht zustimmen", "unter neutral"),
    ],
)
def test_everybody_sees_it_beside_the_statement(tmp_path, language, waits, title, whose):
    app, facilitator, people = rated_in_a_room(tmp_path, language)
    people[0].get("/here")
    assert waits in people[0].headings[0]
    facilitator.get("/facilitator")
    assert title.lower() in facilitator.html.lower()
    app.worker.run_once()
    for browser, path in ((people[5], "/here"), (facilitator, "/facilitator")):
        browser.get(path)
        assert title in browser.headings
        assert whose in browser.html
        statement, theirs = browser.quotes[:2]
        assert statement != theirs
    facilitator.get("/facilitator/report")
    assert facilitator.quotes[:2] == [statement, theirs]
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/close")
    people[0].get("/here")
    (path,) = {each for each in people[0].html.split('"') if each.endswith("/result.csv")}
    people[0].get(path.removesuffix("/result.csv"))
    assert people[0].quotes[:2] == [statement, theirs]
    table = people[0].get(path).content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [each["statement"] for each in rows if each["is_of_the_minority"] == "yes"] == [
        theirs.strip()
    ]
    assert rows[-1]["n_rated"] == rows[-1]["mean_agreement"] == ""
    plain = people[0].get(path.replace(".csv", ".txt")).text
    places = [plain.index(each) for each in (statement.strip(), title, theirs.strip(), whose)]
    assert places == sorted(places)
    app.store.close()


@pytest.mark.heavy
@pytest.mark.parametrize(("language", "says"), [("en", "it argues"), ("de", "Das argumentiert")])
def test_the_facilitator_sees_what_to_look_at(tmp_path, language, says):
    app, facilitator, people = rated_in_a_room(tmp_path, language)
    facilitator.get("/facilitator/texts")
    assert says not in facilitator.html
    app._writer.text = "Obviously we all want plan {n} of {arm}."
    facilitator.get("/facilitator")
    app.worker.run_once()
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/revise")
    for each in people:
        each.get("/here")
        each.send("/here/critique", text="Say who pays.")
    app.worker.run_once()
    facilitator.get("/facilitator/texts")
    # Two revisions and the statement before, which does not argue.
    assert facilitator.html.count(says) == 2
    people[0].get("/here")
    assert says not in people[0].html
    app.store.close()


def test_a_facilitator_may_go_on_without_it_and_people_are_told(tmp_path):
    app, facilitator, people = rated_in_a_room(tmp_path, "en")
    app._writer.failures = ["dead"] * 9
    for _ in range(4):
        app.worker.run_once()
    facilitator.get("/facilitator")
    assert "Show the result without it" in facilitator.html
    facilitator.send("/facilitator/without")
    people[0].get("/here")
    assert "The program could not write it this time." in people[0].html
    assert people[0].headings[0] == "How your group rated"
    app.store.close()


@pytest.mark.parametrize("script", [(6, 6, 6), (6, 2, 6), (2, 6, 2)])
def test_a_result_names_what_is_shared_and_what_divides(tmp_path, script):
    """Three statements: what the first, second and third two of six people give to them."""
    app, facilitator, people = rated_in_a_room(tmp_path, "en", each_rates=script)
    app.worker.run_once()
    people[5].get("/here")
    with app.store.read() as db:
        rated = results_of(db)
    # From what was given, counted anew: shared is what all agree with, beside the best.
    n_shared = sum(set(given) == {6} for _, given in rated[1:])
    assert people[5].headings.count("What nobody disagrees with") == (n_shared > 0)
    divides = [each for each, given in rated if set(given) == {2, 6}]
    shown = bool(divides) and divides != [rated[0][0]]
    assert people[5].headings.count("What divides you most") == shown
    n_agree = sum(value > 4 for value in rated[0][1])
    both = divides[:1] == [rated[0][0]] and n_agree * 2 < len(rated[0][1])
    assert people[5].html.count("It is also what divides you most") == both
    facilitator.get("/facilitator")
    assert facilitator.headings.count("What nobody disagrees with") == (n_shared > 0)
    app.store.close()


@pytest.mark.parametrize(
    ("language", "title"), [("en", "No agreement this time"), ("de", "Diesmal keine Einigung")]
)
def test_a_group_that_does_not_agree_has_a_page_that_says_so(tmp_path, language, title):
    app, _, people = rated_in_a_room(tmp_path, language, n_against=4)
    app.worker.run_once()
    people[5].get("/here")
    assert people[5].headings[0] == title
    assert len(people[5].quotes) > 1
    app.store.close()
