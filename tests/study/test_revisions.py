"""What people would change about a statement, and its revisions: in studies and quick sessions."""

from __future__ import annotations

import csv
import io
import re

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

import polars as pl
from sqlalchemy import func, select
from starlette.testclient import TestClient
from study_making import CRITIQUE, OPINION, Place, ScriptedWriter, small_study
from web_making import Served, logged_in

from commonweal.datasets.dataset import read_dataset
from commonweal.evaluation.evaluate import evaluate
from commonweal.study.domain import answers, machine, minority, privacy
from commonweal.study.domain.outcome import RoundOutcome, outcome_of, so_far
from commonweal.study.domain.quick import open_session, quick_study
from commonweal.study.domain.results import RatedStatement
from commonweal.study.domain.revisions import EDITED
from commonweal.study.export.dataset import export_study
from commonweal.study.simulation.bots import Browser
from commonweal.study.simulation.simulate import STEADY, simulate
from commonweal.study.simulation.stock import StockWriter
from commonweal.study.storage.clock import ManualClock
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import (
    CritiqueRow,
    GroupRow,
    JobRow,
    MemberRow,
    ParticipantRow,
    PresentationRow,
    RoundRow,
    StatementRow,
)
from commonweal.study.web.app import App
from commonweal.study.web.routes import asgi
from commonweal.study.web.saving import plain_result, table_of
from commonweal.study.web.translation import translator
from commonweal.study.writing.jobs import Worker


@pytest.fixture
def place(tmp_path):
    config = small_study(rounds={"count": 1, "passes": 1, "revise": 1, "revisions": 2})
    made = Place(f"sqlite:///{tmp_path}/study.db", config)
    yield made
    made.store.close()


def act_until(place, ids, kind, writer=None, limit=60):
    """Everybody acts in turn until all are on a page of this kind."""
    worker = Worker(place.store, place.study_id, writer or ScriptedWriter())
    for _ in range(limit):
        if all(place.page(person).kind == kind for person in ids):
            return
        for person in ids:
            if place.page(person).kind != kind:
                place.act(person)
        worker.run_once()
    raise AssertionError([place.page(person).kind for person in ids])


def rows(place, what, *where):
    with place.store.read() as db:
        return list(db.scalars(select(what).where(*where).order_by(what.id)))


def test_a_study_revises_what_the_ratings_chose(place):
    ids, writer = place.join(4), ScriptedWriter()
    act_until(place, ids, "critique", writer)
    first, second = rows(place, RoundRow)
    page = place.page(ids[0])
    assert (second.revises_id, second.first_id, second.number) == (first.id, first.id, 1)
    assert page.statement.id == first.statement_id
    assert page.outcome.rated[0].statement.id == first.statement_id
    act_until(place, ids, "result", writer)
    task = writer.tasks[-1]
    # One task, for the arm whose statement it is: from its words and the two who said something.
    assert len(writer.tasks) == 3
    assert task.revises.statement.text == page.statement.text
    assert task.arm.name == page.statement.arm
    assert [each.text for each in task.revises.critiques] == [CRITIQUE] * 2
    assert {each.participant_id for each in task.revises.critiques} <= {
        each.id for each in task.opinions
    }
    shown = rows(place, StatementRow, StatementRow.round_id == second.id, StatementRow.shown)
    assert [each.text for each in shown if each.same_as_id] == [page.statement.text]
    assert len(shown) == 3
    with place.transaction() as tx:
        found = outcome_of(tx, tx.db.get(RoundRow, second.id))
        assert (found.n_critics, found.n_heard, found.stands) == (2, 4, "")
        assert found.before.rated[0].statement.id == first.statement_id
        assert any(part.kind == "in" for part in found.changed)
    act_until(place, ids, "end", writer)
    with place.store.read() as db:
        people = list(db.scalars(select(ParticipantRow)))
        # A revision is no further round: of one round everybody has done one.
        assert {(each.outcome, each.n_rounds_completed) for each in people} == {("complete", 1)}


def to_revisions(place):
    """A group whose critiques are written from, and which is to rate what came of them."""
    ids = place.join(4)
    act_until(place, ids, "critique")
    for person in ids:
        place.act(person)
    Worker(place.store, place.study_id, ScriptedWriter()).run_once()
    return ids


def test_the_old_statement_wins_where_it_is_rated_higher(place):
    ids = to_revisions(place)
    for person in ids:
        while (page := place.page(person)).kind == "rate":
            place.act(person, agreement=7 if page.statement.same_as_id else 2)
    with place.transaction() as tx:
        found = outcome_of(tx, tx.db.scalars(select(RoundRow).order_by(RoundRow.id.desc())).first())
    assert found.is_kept
    assert found.rated[0].statement.same_as_id is not None


def test_where_nobody_would_change_anything_the_statement_stands(place):
    ids = place.join(4)
    act_until(place, ids, "critique")
    for person in ids:
        with place.transaction() as tx:
            row = tx.db.get(ParticipantRow, person)
            number = tx.db.get(GroupRow, row.group_id).round_id
            assert answers.write_critique(tx, row, number, "  ") is None
            assert answers.write_critique(tx, row, number, "late") == "not_asked"
    page = place.page(ids[0])
    assert (page.kind, page.outcome.stands, page.outcome.n_critics) == ("result", "nobody", 0)
    assert page.results == page.outcome.before.results
    assert len(rows(place, JobRow)) == 1


def test_a_critique_that_the_screen_rejects_is_not_written_from(place):
    ids = place.join(4)
    act_until(place, ids, "critique")
    for person in ids:
        with place.transaction() as tx:
            row = tx.db.get(ParticipantRow, person)
            number = tx.db.get(GroupRow, row.group_id).round_id
            assert answers.write_critique(tx, row, number, "Write to me@home.org first") is None
    page = place.page(ids[0])
    assert (page.kind, page.outcome.stands) == ("result", "nothing")
    assert page.outcome.n_critics == 4


def test_who_does_not_answer_in_time_holds_nobody_up(place):
    ids = place.join(4)
    act_until(place, ids, "critique")
    place.act(ids[0])
    place.clock.move_to(place.clock.now() + 1000)
    assert place.page(ids[0]).waiting_for == "generating"
    with place.store.read() as db:
        assert db.get(ParticipantRow, ids[1]).outcome == "timed_out"


def test_a_writer_that_cannot_revise_leaves_the_statement(place):
    ids = place.join(4)
    act_until(place, ids, "critique")
    act_until(place, ids, "result", ScriptedWriter(["dead"] * 9))
    page = place.page(ids[0])
    assert (page.outcome.stands, page.outcome.n_critics) == ("nothing", 2)
    assert page.results


def test_a_revision_that_nobody_rates_leaves_the_statement(place):
    ids = to_revisions(place)
    first, second = rows(place, RoundRow)
    assert place.page(ids[0]).kind == "rate"
    place.clock.move_to(place.clock.now() + 1000)
    with place.transaction() as tx:
        machine.sweep(tx)
        found = outcome_of(tx, tx.db.get(RoundRow, second.id))
        assert found.stands == "unrated"
        assert found.rated[0].statement.id == first.statement_id
        assert found.rated == found.before.rated
        assert minority.about(tx.db, tx.db.get(RoundRow, second.id)).id == first.statement_id
        # Researchers see what was shown, as of that round.
        assert [each.n for each in so_far(tx, tx.db.get(RoundRow, second.id)).results] == [0, 0, 0]
    text = plain_result(translator(place.config, "en"), [found], "en")
    assert "Nobody rated the revisions, so the statement stays as it was." in text
    assert "This revision was rated highest" not in text
    assert found.rated[0].statement.text in text


def test_a_table_has_as_many_cells_where_no_histogram_was_kept():
    statement = StatementRow(text="We agree.", same_as_id=None, policy="few_shot")
    rated = RatedStatement(statement, 5, 5.0, 5.0, 4, 1, 0, 5.0)
    row = RoundRow(question="Should buses be free?", revision=0)
    (head, cells) = csv.reader(io.StringIO(table_of([RoundOutcome(row, (rated,), 5, None)])))
    assert len(cells) == len(head)
    assert cells[-8:] == ["5.00", *[""] * 7]


def test_a_deleted_critique_is_gone_and_the_group_goes_on(place):
    ids = place.join(4)
    act_until(place, ids, "critique")
    place.act(ids[0])
    with place.transaction() as tx:
        data = privacy.data_of(tx, tx.db.get(ParticipantRow, ids[0]))
        assert [each["text"] for each in data["critiques"]] == [CRITIQUE]
        assert len(data["stored"]["critiques"]) == 1
        privacy.delete_data(tx, tx.db.get(ParticipantRow, ids[0]))
    assert rows(place, CritiqueRow) == []
    act_until(place, ids[1:], "result")


def test_second_round_after_a_revision_is_on_another_question(tmp_path):
    config = small_study(rounds={"count": 2, "passes": 1, "revise": 2, "revisions": 1})
    place = Place(f"sqlite:///{tmp_path}/study.db", config)
    ids = place.join(4)
    act_until(place, ids, "end", limit=200)
    found = rows(place, RoundRow)
    assert [(each.number, each.revision) for each in found] == [
        (1, 0),
        (1, 1),
        (1, 2),
        (2, 0),
        (2, 1),
        (2, 2),
    ]
    assert len({each.question_id for each in found}) == 2
    assert all(each.first_id == found[0].id for each in found[1:3])
    with place.store.read() as db:
        assert db.scalar(select(func.count(MemberRow.round_id))) == 6 * 4
        # Nobody rates the position statement again.
        of_position = select(func.count(PresentationRow.id)).where(PresentationRow.pass_index < 0)
        assert db.scalar(of_position) == 2 * 4
    place.store.close()


# ------------------------------------------------------------------------------- quick sessions


@pytest.fixture
def session(tmp_path, request):
    store = Store(f"sqlite:///{tmp_path}/quick.db", clock=ManualClock())
    config = quick_study(["Should buses be free?"], **getattr(request, "param", {}))
    study_id, token = open_session(store, config)
    app = App(store, study_id, writer=ScriptedWriter(), base_url="http://here", in_background=False)
    facilitator = Browser(TestClient(asgi(app)))
    facilitator.get(f"/f/{token}")
    yield app, facilitator
    store.close()


def after_rating(app, facilitator, n):
    """``n`` people who have written and rated."""
    people = [Browser(TestClient(asgi(app))) for _ in range(n)]
    for each in people:
        each.get("/join")
        each.send("/join", button="agree")
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/start")
    for number, each in enumerate(people):
        each.get("/here")
        each.send("/here/opinion", text=f"{OPINION} Person {number}.")
    app.worker.run_once()
    for each in people:
        rate(each)
    return people


def rate(browser):
    browser.get("/here")
    while "/here/rate" in browser.forms:
        browser.send("/here/rate", agreement="6", quality="5")


@pytest.mark.heavy
def test_a_facilitator_asks_for_critiques_at_the_result(session):
    app, facilitator = session
    people = after_rating(app, facilitator, 6)
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/revise")
    assert "0 of 6 have answered" in facilitator.html
    old = facilitator.quotes[0]
    for n, each in enumerate(people):
        each.get("/here")
        assert each.headings[0] == "What would you change?"
        assert old == each.quotes[0]
        if n < 2:
            each.send("/here/critique", text="Say who pays.")
        elif n < 5:
            each.send("/here/stands")
    assert "Your answer is stored" in people[0].html
    facilitator.get("/facilitator/texts")
    assert facilitator.html.count("Say who pays.") == 2
    facilitator.get("/facilitator")
    assert "5 of 6 have answered" in facilitator.html
    facilitator.send("/facilitator/close")
    assert "Person 6 is not done yet." in facilitator.html
    facilitator.send("/facilitator/close")
    people[0].get("/here")
    assert "reading what all of you would change" in people[0].html
    app.worker.run_once()
    for each in people:
        rate(each)
    people[0].get("/here")
    assert "2 of the 5 who answered said what they would change." in people[0].html
    assert "<ins>" in people[0].html
    # Six people: bars of nobody in particular, the highest first.
    assert people[0].html.count("<rect") >= 6
    facilitator.get("/facilitator")
    assert "<ins>" in facilitator.html
    facilitator.get("/facilitator/report")
    assert "What people would change" in facilitator.html
    assert facilitator.html.count('<li dir="auto">Say who pays.</li>') == 2
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/close")
    people[0].get("/here")
    assert people[0].key == "end-complete"
    assert "<ins>" in people[0].html


@pytest.mark.parametrize("session", [{"revise": True, "language": "de"}], indirect=True)
def test_a_session_that_always_revises_in_german(session):
    app, facilitator = session
    people = after_rating(app, facilitator, 2)
    for each in people:
        each.get("/here")
        assert each.headings[0] == "Was würden Sie ändern?"
    people[0].send("/here/critique", text=" ")
    assert people[0].status == 422
    people[0].send("/here/critique", text="Sagen, wer das bezahlt.")
    people[1].send("/here/stands")
    app.worker.run_once()
    for each in people:
        rate(each)
    people[0].get("/here")
    assert "Manche von Ihnen wollten etwas ändern." in people[0].html
    # Of two people no numbers, and no bars.
    assert "<rect" not in people[0].html


def test_the_export_carries_the_chain(place, tmp_path):
    ids = place.join(4)
    act_until(place, ids, "end")
    export_study(place.store, place.study_id, tmp_path / "data")
    dataset = read_dataset(tmp_path / "data")
    (first,) = dataset.rounds.filter(pl.col("revises_round_id").is_null())["round_id"]
    (revision,) = dataset.rounds.filter(pl.col("revises_round_id") == first)["round_id"]
    texts = {
        (row["round_id"], row["candidate_id"]): row["text"]
        for row in dataset.candidates.iter_rows(named=True)
    }
    ((old, same_as),) = (
        dataset.candidates.drop_nulls("same_as_candidate_id")
        .select("candidate_id", "same_as_candidate_id")
        .iter_rows()
    )
    assert texts[revision, old] == texts[first, same_as]
    # Everybody's opinion stands with both rounds: the reward model read it for both.
    counts = dataset.opinions.group_by("round_id").len().sort("len")["len"].to_list()
    assert counts == [4, 4]
    said = dataset.critiques.select("round_id", "text", "used").sort("text", nulls_last=True)
    assert said.rows() == [(revision, CRITIQUE, True)] * 2 + [(revision, None, None)] * 2
    assert set(dataset.ratings["round_id"]) == {first, revision}
    assert set(dataset.predictions["round_id"]) == {first, revision}
    found = evaluate(dataset, n_resamples=1000, threshold=-1)
    assert found.figures["revision/gain/agreement/all"].n == 4
    assert found.figures["revision/gain/agreement/critics"].n == 2
    assert found.counts["rounds"] == 1


def test_researchers_see_the_revision_with_what_was_said(tmp_path):
    config = small_study(rounds={"count": 1, "passes": 1, "revise": 1})
    served = Served(tmp_path, config)
    act_until(served.place, served.place.join(4), "result")
    browser = logged_in(served)
    (group,) = rows(served.place, GroupRow)
    browser.get(f"/researcher/groups/{group.public_id}")
    assert [each for each in browser.headings if each.startswith("Round")] == [
        f"Round 1, revision 1: {rows(served.place, RoundRow)[0].question}",
        f"Round 1: {rows(served.place, RoundRow)[0].question}",
    ]
    assert "What people would change: 2 of 4 who answered" in browser.html
    assert browser.html.count(CRITIQUE) == 2
    assert ", as it was</td>" in browser.html
    served.place.store.close()


@pytest.mark.heavy
def test_simulated_people_go_through_a_revision(tmp_path):
    config = small_study(rounds={"count": 1, "passes": 1, "revise": 1})
    clock = ManualClock()
    store = Store(f"sqlite:///{tmp_path}/study.db", clock=clock)
    app = App(
        store, store.open_study(config), writer=StockWriter(), in_background=False, simulated=True
    )
    report = simulate(app, clock, n_people=4, profile=STEADY, seed=3)
    assert (report.lost, report.stuck) == ([], [])
    assert report.outcomes == {"complete": 4}
    assert (report.n_rounds, report.n_opinions, report.n_critiques) == (2, 4, 4)
    store.close()


def test_a_version_by_hand_is_rated_beside_the_others(session):
    app, facilitator = session
    people = after_rating(app, facilitator, 5)
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/revise")
    (old,) = facilitator.quotes
    facilitator.get("/facilitator/texts")
    assert facilitator.forms["/facilitator/edit"].fields["text"] == old
    facilitator.send("/facilitator/edit")
    assert facilitator.status == 422
    assert "These are the words of the statement" in facilitator.html
    facilitator.send("/facilitator/edit", text="word " * 1200)
    assert facilitator.status == 422
    assert facilitator.forms["/facilitator/edit"].fields["text"].strip() == ("word " * 1200).strip()
    mine = f"{old} And the town pays."
    facilitator.send("/facilitator/edit", text=mine)
    assert "Your version is kept" in facilitator.html
    # Nobody has anything to say: the version by hand alone is new.
    for each in people:
        each.get("/here")
        each.send("/here/stands")
    app.worker.run_once()
    for each in people:
        each.get("/here")
        while "/here/rate" in each.forms:
            is_mine = mine in each.quotes[0]
            each.send("/here/rate", agreement="7" if is_mine else "4", quality="5")
    people[0].get("/here")
    assert people[0].quotes[0].strip() == mine
    assert "Your facilitator wrote this version by hand." in people[0].html
    assert "<ins>And the town pays.</ins>" in people[0].html
    with app.store.read() as db:
        edited = db.scalars(select(StatementRow).where(StatementRow.policy == EDITED)).one()
        assert (edited.shown, edited.text) == (True, mine)
    # An old page changes nothing any more, and loses nobody's words.
    facilitator.send("/facilitator/edit", text="Something else.")
    assert facilitator.status == 422
    assert "This came too late" in facilitator.html
    assert facilitator.quotes[0].strip() == "Something else."
    assert "data-events" not in facilitator.html
    with app.store.read() as db:
        assert db.scalars(select(RoundRow).order_by(RoundRow.id.desc())).first().edited == mine


@pytest.mark.heavy
def test_a_result_is_saved_as_a_table(session):
    app, facilitator = session
    people = after_rating(app, facilitator, 5)
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/revise")
    for n, each in enumerate(people):
        each.get("/here")
        each.send("/here/critique", text=f"=1+{n}") if n else each.send("/here/stands")
    app.worker.run_once()
    for each in people:
        rate(each)
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/close")
    people[0].get("/here")
    (path,) = set(re.findall(r'href="(/r/[^"]+/result\.csv)"', people[0].html))
    response = people[0].get(path)
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(response.text.removeprefix("\ufeff"))))
    assert [row["revision"] for row in rows] == ["0"] * 3 + ["1"] * 3
    for row in rows:
        given = [int(row[f"n_gave_{point}"]) for point in range(1, 8)]
        assert given == [0, 0, 0, 0, 0, 5, 0]
        assert (row["n_rated"], row["n_agree"], row["mean_agreement"]) == ("5", "5", "6.00")
    assert [row["is_the_statement_before"] for row in rows[:3]] == ["no"] * 3
    assert [row["is_the_one_rated_highest"] for row in rows].count("yes") == 2
    text = people[0].get(path.replace(".csv", ".txt")).text
    assert "Some of you said" not in text
    assert "4 of the 5 who answered said what they would change." in text
