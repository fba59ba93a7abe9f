"""Single screens in a real browser: axe, the keyboard alone, going back, a lost connection."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from browsing import ShiftedClock, Somebody, check
from sqlalchemy import select
from study_making import OPINION, small_study

from commonweal.study.domain import machine, people
from commonweal.study.domain.researchers import release, send_message, set_researcher
from commonweal.study.simulation.simulate import served
from commonweal.study.simulation.stock import StockWriter
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import GroupRow, OpinionRow, ParticipantRow, RatingRow
from commonweal.study.web.app import App

PASSWORD = "correct horse battery"


@pytest.fixture
def app(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/study.db", clock=ShiftedClock())
    study = small_study(
        contact="Ada",
        group={"size": 2, "minimum": 2},
        arms=[{"name": "one", "candidates": 2, "shown": 1}],
    )
    set_researcher(store, "ada", PASSWORD, "owner")
    made = App(store, store.open_study(study), writer=StockWriter())
    yield made
    store.close()


def enter(app, who):
    """Puts somebody's browser into the waiting room, or into a group."""
    with app.store.transaction(app.study_id) as tx:
        person = people.join(tx)
        people.consent(tx, person, "the text")
        people.read_instructions(tx, person)
        people.answer_check(tx, person, [2])
        cookie = people.start_login_session(tx, person)
    who.context.add_cookies([{"name": "cw_here", "value": cookie, "url": who.address}])
    who.page.goto(f"{who.address}/here")


def in_a_group(chromium, address, app):
    both = [Somebody(chromium, address) for _ in range(2)]
    for each in both:
        enter(app, each)
    both[0].page.goto(f"{address}/here")
    return both


def to_opinion(who):
    who.page.check("input[name=agreement][value='5']")
    who.press("form[data-rating] button")


def with_group(app, act, *given, **named):
    with app.store.transaction(app.study_id) as tx:
        act(tx, tx.db.scalars(select(GroupRow)).one(), *given, **named)


def count(app, what):
    with app.store.read() as db:
        return len(db.scalars(select(what)).all())


@pytest.mark.slow
def test_axe_finds_nothing_from_the_link_to_a_paused_group(chromium, app):
    with served(app) as address:
        first = Somebody(chromium, address)
        page = first.page
        page.goto(f"{address}/join?lang=de")
        check(page)
        first.press("button[value=agree]")
        check(page)
        first.press()
        page.check("input[name=answer0][value='1']")
        first.press()
        assert "Nicht alles war richtig" in page.text_content("main")
        check(page)
        page.check("input[name=answer0][value='2']")
        first.press()
        check(page)  # the waiting room
        page.goto(f"{address}/here/device")
        first.press()
        check(page)  # with its QR code
        other = Somebody(chromium, address)
        other.page.goto(page.text_content(".address"))
        check(other.page)
        enter(app, other)
        page.goto(f"{address}/here")
        to_opinion(first)
        check(page)
        assert page.text_content("h1") == "Was denken Sie?"
        page.fill("textarea", "kurz")
        page.evaluate("document.querySelector('textarea').removeAttribute('minlength')")
        first.press("form[action='/here/opinion'] button")
        check(page)  # what is missing
        with_group(app, machine.pause, actor="ada")
        page.wait_for_selector("text=Die Studie macht Pause")
        check(page)
        page.goto(f"{address}/nothing")
        check(page)


@pytest.mark.slow
def test_axe_finds_nothing_on_the_researchers_pages(chromium, app):
    with served(app) as address:
        in_a_group(chromium, address, app)
        who = Somebody(chromium, address)
        page = who.page
        page.clock.install()
        page.goto(f"{address}/researcher")
        for password in ("a wrong password", PASSWORD):
            page.fill("#name", "ada")
            page.fill("#password", password)
            with page.expect_navigation():
                page.click("main button")
            check(page)
        with_group(app, machine.pause, actor="ada")
        page.clock.run_for(16_000)
        page.wait_for_selector("text=paused")  # by itself
        with page.expect_navigation():
            page.click("main table a")
        check(page)
        with page.expect_navigation():
            page.click("text=Resume")
        assert "paused" not in page.text_content("h1")
        for path in ("/researcher/audit", "/researcher/moderation"):
            page.goto(address + path)
            check(page)


@pytest.mark.slow
def test_by_keyboard_alone(chromium, app):
    with served(app) as address:
        both = in_a_group(chromium, address, app)
        for each in both:
            each.page.reload()
            choose(each.page, "agreement", 3)
            with each.page.expect_navigation():
                each.page.keyboard.press("Enter")
            tab_to(each.page, "textarea")
            each.page.keyboard.type(OPINION)
            tab_to(each.page, "button")
            with each.page.expect_navigation():
                each.page.keyboard.press("Enter")
        for each in both:
            each.wait_for("Statement n of n")
            choose(each.page, "agreement", 6)
            choose(each.page, "quality", 5)
            tab_to(each.page, "button")
            with each.page.expect_navigation():
                each.page.keyboard.press("Space")
            each.page.wait_for_selector("text=Statement 2 of 2")
        with app.store.read() as db:
            found = db.execute(select(RatingRow.agreement, RatingRow.quality)).all()
        assert sorted(found, key=str) == [(3, None)] * 2 + [(6, 5)] * 2


def tab_to(page, wanted):
    for _ in range(25):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(`main ${wanted}`)", wanted):
            return
    raise AssertionError(f"no {wanted} comes with Tab")


def choose(page, name, value):
    tab_to(page, f"input[name={name}]")
    page.keyboard.press("Space")  # the first
    for _ in range(value - 1):
        page.keyboard.press("ArrowDown")


@pytest.mark.slow
def test_going_back_and_a_second_tab_do_no_harm(chromium, app):
    with served(app) as address:
        first, _ = in_a_group(chromium, address, app)
        page = first.page
        second = first.context.new_page()
        second.goto(f"{address}/here")
        # A third, without a script, does not hear that the statement has been rated.
        third = Somebody(chromium, address, script=False)
        third.context.add_cookies(first.context.cookies())
        third.page.goto(f"{address}/here")
        to_opinion(first)
        to_opinion(third)
        stale = "That answer was no longer needed"
        assert stale in third.page.text_content("main")
        second.wait_for_selector("h1:has-text('What do you think?')")
        second.goto(third.page.url)
        assert stale in second.text_content("main")
        second.reload()
        assert stale not in second.text_content("main")
        page.fill("textarea", OPINION)
        first.press("form[action='/here/opinion'] button")
        second.wait_for_selector("h1:has-text('Waiting for the others')")
        # An answer is sent in place, so that "back" leaves the study; who returns finds the same.
        page.go_back()
        page.go_forward()
        page.wait_for_selector("h1:has-text('Waiting for the others')")
        assert (count(app, RatingRow), count(app, OpinionRow)) == (1, 1)


@pytest.mark.slow
def test_a_lost_connection_loses_no_draft(chromium, app):
    with served(app) as address:
        first, _ = in_a_group(chromium, address, app)
        page = first.page
        to_opinion(first)
        first.context.set_offline(True)
        page.fill("textarea", OPINION)
        page.wait_for_selector("text=Not saved yet")
        first.context.set_offline(False)
        page.wait_for_selector("text=Draft saved")
        page.reload()
        assert page.input_value("textarea") == OPINION


@pytest.mark.slow
def test_a_page_that_stays_shows_pause_time_and_messages(chromium, app):
    with served(app) as address:
        first, _ = in_a_group(chromium, address, app)
        page = first.page
        to_opinion(first)
        page.fill("textarea", "Half a sentence")
        bar = page.locator("[data-seconds-left]")
        with_group(app, machine.pause, actor="ada")
        page.wait_for_selector("text=The study is paused")
        assert bar.count() == 0
        page.reload()
        page.fill("textarea", "Half a sentence more")
        with_group(app, machine.resume, actor="ada")
        page.wait_for_selector("text=Time until")
        assert bar.count() == 1
        assert "paused" not in page.text_content("main")
        until = float(bar.get_attribute("data-until"))
        with page.expect_response(re.compile("/here/more-time")):
            page.click("text=I need more time")
        page.wait_for_function(
            "until => +document.querySelector('[data-until]').dataset.until > until", arg=until
        )
        assert page.text_content("#live") == "The time was extended."
        assert page.input_value("textarea") == "Half a sentence more"
        # The region is there before the message, and stays: so it is read out.
        region = page.query_selector("[role=status][data-part=notices]")
        with_group(app, send_message, "Five more minutes", actor="ada")
        page.wait_for_selector("[role=status] >> text=Five more minutes")
        assert region.evaluate("each => each.isConnected && each.textContent.includes('Five')")
        # A page that comes by itself comes with its own footer: nobody leaves what is over.
        assert page.locator("footer >> text=Leave the study").count() == 1
        with_group(app, release, actor="ada")
        page.wait_for_selector("h1:has-text('Your group was ended')")
        assert page.locator("footer >> text=Leave the study").count() == 0
        check(page)
        assert first.faults == []
    with app.store.read() as db:
        assert (
            db.scalar(select(ParticipantRow.n_extensions).order_by(ParticipantRow.id).limit(1)) == 1
        )
