"""A quick session by forms alone: joining, beginning, closing, the report."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from sqlalchemy import select
from starlette.testclient import TestClient
from study_making import OPINION, ScriptedWriter

from commonweal.errors import InputError
from commonweal.study.domain.quick import open_session, quick_study
from commonweal.study.simulation.bots import Browser
from commonweal.study.storage.clock import ManualClock
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import EventRow
from commonweal.study.web.app import App
from commonweal.study.web.routes import asgi

QUESTIONS = ["Should buses be free?"]


@pytest.fixture
def session(tmp_path, request):
    store = Store(f"sqlite:///{tmp_path}/quick.db", clock=ManualClock())
    study_id, token = open_session(store, quick_study(getattr(request, "param", QUESTIONS)))
    app = App(store, study_id, writer=ScriptedWriter(), base_url="http://here", in_background=False)
    facilitator = Browser(TestClient(asgi(app)))
    facilitator.get(f"/f/{token}")
    yield app, facilitator
    store.close()


def joined(app, n):
    found = [Browser(TestClient(asgi(app))) for _ in range(n)]
    for each in found:
        each.get("/join")
        each.send("/join", button="agree")
    return found


def test_a_whole_session(session):
    app, facilitator = session
    assert "http://here/join" in facilitator.html
    assert "<svg" in facilitator.html
    assert "/facilitator/start" not in facilitator.forms
    people = joined(app, 3)
    assert people[0].headings == ["Should buses be free?"]
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/start")
    late = joined(app, 1)[0]
    assert "nobody can join them now" in late.html
    for n, each in enumerate(people[:2]):
        each.get("/here")
        each.send("/here/opinion", text=f"{OPINION} Person {n}.")
    facilitator.get("/facilitator")
    assert "Opinions: 2 of 3" in facilitator.html
    # The third has written nothing: kept all the same, and may rate. Closing asks first.
    facilitator.send("/facilitator/close")
    assert "Person 3 is not done yet." in facilitator.html
    people[2].get("/here")
    assert people[2].headings == ["What do you think?"]
    facilitator.send("/facilitator/close")
    app.worker.run_once()
    for each in people:
        each.get("/here")
        for _ in range(3):
            each.send("/here/rate", agreement="6", quality="5")
    facilitator.get("/facilitator")
    assert "the 3 who rated it agree" in facilitator.html
    facilitator.get("/facilitator/report")
    assert f"{OPINION} Person 0." in facilitator.html
    assert "People who took part: 3. Opinions: 2." in facilitator.html
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/close")
    people[0].get("/here")
    assert people[0].key == "end-complete"
    # Whoever came late is told so, and is not kept for ever.
    late.get("/here")
    assert late.key == "end-no_group"
    assert late.headings == ["The session is over"]
    other = Browser(TestClient(asgi(app)))
    other.get("/join")
    assert other.headings == ["This session is over"]


@pytest.mark.parametrize(
    "session", [["Should buses be free?", "Should shops be shut on Sundays?"]], indirect=True
)
def test_a_session_of_two_questions(session):
    app, facilitator = session
    first = Browser(TestClient(asgi(app)))
    first.get("/join")
    assert "Should shops be shut on Sundays?" in first.html
    people = joined(app, 3)
    assert people[0].headings == ["Should buses be free? (+1)"]
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/start")
    (late,) = joined(app, 1)
    for number, question in enumerate(("Should buses be free?", "Should shops be shut"), start=1):
        facilitator.get("/facilitator")
        assert facilitator.headings[0].startswith(question)
        assert f"Question {number} of 2" in facilitator.html
        assert ("/facilitator/report" in facilitator.html) == (number > 1)
        for n, each in enumerate(people):
            each.get("/here")
            assert f"Round {number} of 2" in each.html
            each.send("/here/opinion", text=f"{OPINION} Person {n} on question {number}.")
        app.worker.run_once()
        for each in people:
            each.get("/here")
            for _ in range(3):
                each.send("/here/rate", agreement="6", quality="5")
        facilitator.get("/facilitator")
        assert "the 3 who rated it agree" in facilitator.html
        # Who has read the result waits for the others; the facilitator need not.
        people[0].get("/here")
        people[0].send("/here/continue")
        assert ("End the session" if number == 2 else "Next question") in facilitator.html
        facilitator.send("/facilitator/close")
        late.get("/here")
        assert late.key.startswith("lobby" if number == 1 else "end-no_group")
    for each in people:
        each.get("/here")
        assert each.key == "end-complete"
    facilitator.get("/facilitator/report")
    for number in (1, 2):
        assert f"Person 0 on question {number}." in facilitator.html
    assert facilitator.html.count("People who took part: 3. Opinions: 3.") == 2
    assert "This session is over" in Browser(TestClient(asgi(app))).get("/join").text


def test_a_session_that_ends_by_itself_closes_and_lets_those_go_who_came_late(session):
    app, facilitator = session
    people = joined(app, 2)
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/start")
    (late,) = joined(app, 1)
    reading = Browser(TestClient(asgi(app)))
    reading.get("/join")
    for each in people:
        each.get("/here/leave")
        each.send("/here/leave")
    app.sweep()
    late.get("/here")
    assert late.key == "end-no_group"
    reading.send("/join", button="agree")
    assert reading.headings == ["This session is over"]


def test_the_report_shows_no_text_that_the_screen_rejected(session):
    app, facilitator = session
    people = joined(app, 3)
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/start")
    for n, each in enumerate(people):
        each.get("/here")
        each.send("/here/opinion", text=OPINION + (" They should be shot." if n == 0 else ""))
    app.worker.run_once()
    for each in people:
        each.get("/here")
        for _ in range(3):
            each.send("/here/rate", agreement="6", quality="5")
    facilitator.get("/facilitator/report")
    assert facilitator.html.count(OPINION) == 2
    assert "shot" not in facilitator.html
    assert "Opinions: 3. The filter held back 1 of them." in facilitator.html


def test_the_facilitator_is_named_in_what_is_logged(session):
    app, facilitator = session
    joined(app, 2)
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/start")
    with app.store.read() as db:
        (actor,) = db.scalars(select(EventRow.actor).where(EventRow.kind == "begun"))
    assert actor == "facilitator"


def test_the_facilitators_page_looks_again_without_a_script(session):
    _, facilitator = session
    assert '<meta http-equiv="refresh" content="15; url=/facilitator">' in facilitator.html


def test_opinions_are_not_closed_before_there_are_two(session):
    app, facilitator = session
    people = joined(app, 2)
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/start")
    people[0].get("/here")
    people[0].send("/here/opinion", text=OPINION)
    facilitator.get("/facilitator")
    assert "/facilitator/close" not in facilitator.forms
    csrf = facilitator.forms["/facilitator/pause"].fields["csrf"]
    form = {"csrf": csrf, "mark": "1-opinions", "sure": "yes"}
    facilitator.post("/facilitator/close", form)
    people[0].get("/here")
    assert people[0].headings[0] == "Waiting for the others"


def at_the_opinions(app, facilitator, n=3):
    people = joined(app, n)
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/start")
    return people


def write(people):
    for n, each in enumerate(people):
        each.get("/here")
        each.send("/here/opinion", text=f"{OPINION} Person {n}.")


def rate(people, agreements=(6, 6, 6)):
    for each, agreement in zip(people, agreements, strict=False):
        each.get("/here")
        for _ in range(3):
            each.send("/here/rate", agreement=str(agreement), quality="5")


def test_opinions_wait_beyond_their_time_until_there_are_two(session):
    app, facilitator = session
    people = at_the_opinions(app, facilitator)
    write(people[:1])
    app.store.clock.move_to(app.store.clock.now() + 5000)
    app.sweep()
    people[1].get("/here")
    assert people[1].headings == ["What do you think?"]
    # More time is time from now, although the deadline was over long ago.
    facilitator.get("/facilitator")
    assert "Opinions: 1 of 3" in facilitator.html
    facilitator.send("/facilitator/extend")
    write(people[1:2])
    facilitator.get("/facilitator")
    assert "Opinions: 2 of 3" in facilitator.html
    app.store.clock.move_to(app.store.clock.now() + 121)
    app.sweep()
    facilitator.get("/facilitator")
    assert "The program is writing statements" in facilitator.html


def test_nobody_is_promised_that_a_session_goes_on_by_itself_without_statements(session):
    app, facilitator = session
    people = at_the_opinions(app, facilitator)
    write(people)
    people[0].get("/here")
    assert people[0].headings[0] == "Statements are being written"
    assert "at the latest" not in people[0].html


def test_a_round_that_was_paused_while_everybody_finished_is_closed_stage_by_stage(session):
    app, facilitator = session
    people = at_the_opinions(app, facilitator)
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/pause")
    write(people)
    people[0].get("/here")
    assert "The next step begins after the pause" in people[0].html
    assert "in a moment" not in people[0].html
    facilitator.get("/facilitator")
    assert "The clock is paused. People can go on" in facilitator.html
    facilitator.send("/facilitator/close")
    assert "The program is writing statements" in facilitator.html
    app.worker.run_once()
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/pause")
    rate(people)
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/close")
    assert "the 3 who rated it agree" in facilitator.html
    people[0].get("/here")
    assert people[0].headings[0] == "How your group rated"


@pytest.mark.attack("at once", "a form sent twice")
def test_a_second_press_of_a_page_that_is_over_does_nothing(session):
    app, facilitator = session
    people = at_the_opinions(app, facilitator)
    facilitator.get("/facilitator")
    form = facilitator.forms["/facilitator/pause"].fields
    write(people)
    app.worker.run_once()
    facilitator.post("/facilitator/pause", form)
    facilitator.post("/facilitator/close", form | {"sure": "yes"})
    facilitator.get("/facilitator")
    assert "Ratings: 0 of 3 are done" in facilitator.html
    assert "The clock is paused" not in facilitator.html


def test_what_could_not_be_written_is_tried_again_with_everything_that_people_wrote(session):
    app, facilitator = session
    people = at_the_opinions(app, facilitator)
    writer = app.worker._writer
    writer.failures = ["connection refused"] * 3
    write(people)
    while app.worker.run_once():
        pass
    facilitator.get("/facilitator")
    assert "It says: connection refused" in facilitator.html
    people[0].get("/here")
    assert "Your opinion is kept." in people[0].html
    app.store.clock.move_to(app.store.clock.now() + 100_000)
    app.sweep()
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/again")  # and it fails once more
    app.worker.run_once()
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/again")
    app.worker.run_once()
    rate(people)
    facilitator.get("/facilitator")
    assert "the 3 who rated it agree" in facilitator.html
    assert [each.text.split()[-1] for each in writer.tasks[-1].opinions] == ["0.", "1.", "2."]
    assert len({task.seed for task in writer.tasks}) == len(writer.tasks)


def test_another_model_may_write_of_those_that_are_offered_and_no_other(session):
    app, facilitator = session
    app.spare_models = ("openai:http://127.0.0.1:9/v1#other",)
    people = at_the_opinions(app, facilitator)
    writer = app.worker._writer
    writer.failures = ["dead"] * 2
    write(people)
    while app.worker.run_once():
        pass
    facilitator.get("/facilitator")
    # A key must not be sent to an address that somebody types into a page.
    facilitator.send("/facilitator/again", model="openai:http://192.0.2.1/v1#mine")
    assert "It says: dead" in facilitator.html
    facilitator.send("/facilitator/again", model="openai:http://127.0.0.1:9/v1#other")
    app.worker.run_once()
    (task,) = writer.tasks[2:]
    assert task.arm.model == "openai:http://127.0.0.1:9/v1#other"
    assert task.arm.policy == "zero_shot"  # what fits a model behind a server


def test_a_round_can_go_on_without_statements(session):
    app, facilitator = session
    people = at_the_opinions(app, facilitator)
    app.worker._writer.failures = ["dead"] * 2
    write(people)
    while app.worker.run_once():
        pass
    facilitator.get("/facilitator")
    facilitator.send("/facilitator/without")
    assert "The program could not write a statement" in facilitator.html


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("agreements", "says"),
    [
        ((6, 6, 6, 2, 2), "Agree: 3 of 5."),
        ((6, 6, 2, 2, 2), "Agree with the one that came closest: 2 of the 5 people"),
        ((6, 6, 3), "Too few agree with the one that came closest"),
        ((7,), "Only one person has rated."),
        ((6, 6, 2, 2), "does not agree on a statement"),
    ],
)
def test_a_statement_is_the_groups_only_where_people_agree(session, agreements, says):
    app, facilitator = session
    people = at_the_opinions(app, facilitator, 4 if agreements == (6, 6, 2, 2) else 5)
    write(people)
    app.worker.run_once()
    rate(people, agreements)
    facilitator.get("/facilitator")
    if "/facilitator/close" in facilitator.forms and len(agreements) < 4:
        facilitator.send("/facilitator/close")
        assert "not done yet" in facilitator.html
        facilitator.send("/facilitator/close")
    assert says in facilitator.html
    facilitator.get("/facilitator/report")
    assert says in facilitator.html
    people[0].get("/here")
    assert says in people[0].html
    assert ("this came closest" in people[0].html) == (says != "Agree: 3 of 5.")
    is_one = len(agreements) == 1  # what a single person gave is nobody else's business
    assert people[0].html.count("That rating is not shown") == is_one
    assert is_one <= ("who rated it agree" not in people[0].html)


@pytest.mark.attack("access", "the facilitator's pages, by somebody else")
def test_nobody_else_is_the_facilitator(session):
    app, _ = session
    (person,) = joined(app, 1)
    for path in ("/facilitator", "/facilitator/report", "/f/" + "a" * 43):
        assert person.get(path).status_code == 404
    assert person.get("/facilitator/events").status_code == 204


@pytest.mark.parametrize(
    ("questions", "says"),
    [
        ([""], "1 to 1,000"),
        (["Why?", "  "], "1 to 1,000"),
        (["x" * 1001], "1 to 1,000"),
        ([], "got 0 questions"),
        (["Free buses?", "free  BUSES"], "that are different"),
        ([f"Plan {n}?" for n in range(21)], "1 to 20"),
    ],
)
def test_questions_that_cannot_be_asked(questions, says):
    with pytest.raises(InputError, match=says):
        quick_study(questions)
