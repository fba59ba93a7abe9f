"""Real browsers: four people, two rounds; one drops out, one reloads always, one has no script."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from browsing import ShiftedClock, Somebody, check, press_in_room
from sqlalchemy import func, select
from study_making import OPINION, small_study

from commonweal.study.domain.quick import open_session, quick_study
from commonweal.study.simulation.simulate import served
from commonweal.study.simulation.stock import StockWriter
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import ParticipantRow, RatingRow
from commonweal.study.web.app import App


@pytest.fixture
def app(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/study.db", clock=ShiftedClock())
    study = small_study(contact="Ada", arms=[{"name": "one", "candidates": 4, "shown": 2}])
    made = App(store, store.open_study(study), writer=StockWriter())
    yield made
    store.close()


@pytest.mark.slow
def test_four_people_two_rounds(chromium, app):
    with served(app) as address:
        people = [
            Somebody(chromium, address, checks=True),
            Somebody(chromium, address, reloads=True),
            Somebody(chromium, address, script=False),
            Somebody(chromium, address),
        ]
        for each in people:
            each.join()
        for each in people:
            each.write()
        for each in people:
            each.rate(4)
        for each in people:
            each.wait_for("How your group rated")
            assert "the 4 who rated it agree" in each.page.text_content("main")
            each.press("form[action='/here/continue'] button")
        # One drops out in the second round: the others wait until the deadline, and no longer.
        people.pop().context.close()
        for each in people:
            each.write()
        for each in people:
            each.wait_for("Waiting for the others")
        app.store.clock.put_forward(app, 481)
        for each in people:
            each.rate(4)
        for each in people:
            each.wait_for("How your group rated")
            assert "the 3 who rated it agree" in each.page.text_content("main")
            each.press("form[action='/here/continue'] button")
        for each in people:
            each.wait_for("Thank you: you are done")
            assert "BUSES-COMPLETE" in each.page.text_content("main")
            for path in ("/here/data", "/here/device", "/here/leave"):
                if each.checks:
                    each.page.goto(address + path)
                    check(each.page)
            assert each.faults == []
            each.context.close()
    with app.store.read() as db:
        assert sorted(db.scalars(select(ParticipantRow.outcome))) == ["complete"] * 3 + ["partial"]
        assert db.scalar(select(func.count()).select_from(RatingRow)) == 4 * 5 + 3 * 5 - 0
        timed = db.scalars(select(RatingRow).where(RatingRow.first_input_at.is_not(None))).all()
        # Those with a script tell when they began to answer; the others need not.
        assert len(timed) >= 10
        assert all(each.shown_at <= each.first_input_at <= each.submitted_at for each in timed)


@pytest.mark.heavy
def test_a_quick_session(chromium, tmp_path):
    store = Store(f"sqlite:///{tmp_path}/quick.db")
    questions = ["Should local buses be free for everyone?", "Should shops be shut on Sundays?"]
    study_id, token = open_session(store, quick_study(questions))
    app = App(store, study_id, writer=StockWriter())
    with served(app) as address:
        facilitator = chromium.new_context(viewport={"width": 1000, "height": 700}).new_page()
        facilitator.goto(f"{address}/f/{token}")
        check(facilitator)
        people = [Somebody(chromium, address) for _ in range(2)]
        for each in people:
            each.page.goto(f"{address}/join")
            check(each.page)
            each.press("button[value=agree]")
        facilitator.wait_for_selector("text=Begin with 2 people", timeout=20_000)
        check(facilitator)
        press_in_room(facilitator, "Begin with 2 people")
        for number, question in enumerate(questions, start=1):
            # The session's title begins with the first question: the heading is to be it alone.
            facilitator.wait_for_selector(f"h1:text-is('{question}')", timeout=20_000)
            for each in people:
                each.wait_for("What do you think?")
                each.page.fill("textarea", OPINION)
                each.press("form[action='/here/opinion'] button")
            for each in people:
                each.rate(3)
            facilitator.wait_for_selector("text=the 2 who rated it agree", timeout=20_000)
            check(facilitator)
            if number < len(questions):
                press_in_room(facilitator, "Next question")
        facilitator.click("main a.button")
        check(facilitator)
        assert OPINION in facilitator.text_content("main")
    store.close()
