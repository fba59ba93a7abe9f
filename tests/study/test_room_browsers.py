"""The room in real browsers: phones of 375 pixels, a projector of 1920; the line breaks."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

import uvicorn
from browsing import Somebody, check, press_in_room
from serving import free_port
from starlette.testclient import TestClient
from study_making import OPINION

from commonweal.study.domain.quick import open_session, quick_study
from commonweal.study.simulation.bots import Browser
from commonweal.study.simulation.stock import StockWriter
from commonweal.study.storage.store import Store
from commonweal.study.web.app import App
from commonweal.study.web.routes import asgi

PROJECTOR = {"width": 1920, "height": 1080}
PHONE = {"width": 375, "height": 667}


@contextmanager
def on_port(port, url, study_id, **options):
    """A server of its own on this database and port, stopped at the end; another may follow."""
    store = Store(url)
    app = App(store, study_id, writer=StockWriter(), **options)
    config = uvicorn.Config(
        asgi(app), host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < until
        time.sleep(0.02)
    try:
        yield app
    finally:
        app.live.close()
        server.should_exit = True
        thread.join(timeout=15)
        store.close()


def session(tmp_path, **options):
    """Where a session is stored, its study's id and its facilitator's token."""
    url = f"sqlite:///{tmp_path}/quick.db"
    store = Store(url)
    study_id, token = open_session(store, quick_study(["Should buses be free?"], **options))
    store.close()
    return url, study_id, token


def screen(chromium, address, token):
    """The facilitator's page on the screen of the room."""
    page = chromium.new_context(viewport=PROJECTOR).new_page()
    page.goto(f"{address}/f/{token}")
    return page


def phone(chromium, address):
    somebody = Somebody(chromium, address)
    somebody.page.set_viewport_size(PHONE)
    somebody.page.goto(f"{address}/join")
    somebody.press("button[value=agree]")
    return somebody


@pytest.mark.slow
def test_the_line_breaks_while_people_write(chromium, tmp_path):
    url, study_id, token = session(tmp_path)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with on_port(port, url, study_id):
        room = screen(chromium, address, token)
        check(room)
        # From the last row: the code takes half of the screen's height.
        assert room.locator(".qr svg").bounding_box()["height"] >= 540
        people = [phone(chromium, address) for _ in range(2)]
        press_in_room(room, "Begin with 2 people")
        for each in people:
            each.wait_for("What do you think?")
        first, second = (each.page for each in people)
        first.fill("textarea", OPINION)
    # The server is gone. What is sent stays on the phone, which says so.
    first.click("form[action='/here/opinion'] button:not([formaction])")
    first.wait_for_selector("text=Not sent yet", timeout=20_000)
    first.wait_for_selector("text=Connection lost", timeout=20_000)
    assert first.input_value("textarea") == OPINION
    check(first)
    second.fill("textarea", OPINION)
    second.wait_for_selector("text=Not saved yet", timeout=20_000)
    room.wait_for_selector("text=Connection lost", timeout=20_000)
    with on_port(port, url, study_id):
        # Nobody touches anything: it is sent, and everybody's page goes on.
        first.wait_for_selector("text=Waiting for the others", timeout=30_000)
        second.wait_for_selector("text=Draft saved", timeout=30_000)
        room.wait_for_selector("text=Opinions: 1 of 2", timeout=30_000)
        second.wait_for_selector("text=Connection lost", state="hidden", timeout=30_000)
        for page in (first, second, room):
            assert not page.locator("#lost").is_visible()
    # A phone that was reloaded before its last words were saved has them in its own tab.
    second.evaluate(
        "text => { const area = document.querySelector('textarea'); area.value = text;"
        " area.dispatchEvent(new Event('input')); }",
        OPINION + " And more.",
    )
    with on_port(port, url, study_id):
        second.reload()
        assert second.input_value("textarea") == OPINION + " And more."
        people[1].press("form[action='/here/opinion'] button")
        for each in people:
            each.rate(3)
        room.wait_for_selector("text=The result is ready", timeout=20_000)
        check(room)
        press_in_room(room, "End the session")
        room.wait_for_selector("text=Everybody can save the result", timeout=20_000)
        check(room)
        for each in people:
            each.wait_for("Thank you")
            check(each.page)
            link = each.page.locator("a[href^='/r/']").first.inner_text()
        stranger = chromium.new_context(viewport=PHONE).new_page()
        stranger.goto(link)
        check(stranger)
        assert "the 2 who rated it" in stranger.text_content("main")
    for each in people:
        # The browser itself says when it cannot reach a server: nothing else may have gone wrong.
        assert [one for one in each.faults if "net::ERR" not in one] == []


@pytest.mark.heavy
def test_the_facilitator_reads_before_the_group_sees(chromium, tmp_path):
    url, study_id, token = session(tmp_path, review=True)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with on_port(port, url, study_id):
        room = screen(chromium, address, token)
        people = [phone(chromium, address) for _ in range(2)]
        press_in_room(room, "Begin with 2 people")
        for each in people:
            each.wait_for("What do you think?")
            each.page.fill("textarea", OPINION)
            each.press("form[action='/here/opinion'] button")
        room.wait_for_selector("text=Texts that are waiting for you: 3", timeout=20_000)
        check(room)
        # A second screen with the same link: the texts stand there, and not on the projector.
        own = chromium.new_context(viewport=PHONE).new_page()
        own.goto(f"{address}/f/{token}")
        own.goto(f"{address}/facilitator/texts")
        own.wait_for_selector("text=Waiting for you")
        check(own)
        left_out = own.locator("blockquote").first.inner_text()
        assert left_out not in room.text_content("main")
        assert OPINION in own.text_content("main")
        with own.expect_navigation():
            own.get_by_role("button", name="Do not show it").first.click()
        shown = own.get_by_role("button", name="Show it", exact=True)
        while shown.count():
            with own.expect_navigation():
                shown.first.click()
        seen = []
        for each in people:
            each.wait_for("Statement n of n")
            seen.append(each.page.locator("blockquote").inner_text())
            check(each.page)
        assert left_out not in seen
        room.wait_for_selector("text=Ratings: 0 of 2", timeout=20_000)


@pytest.mark.slow
@pytest.mark.attack("a room", "a phone that has to wait at the door comes in by itself")
def test_a_phone_that_is_told_to_wait_comes_in_by_itself(chromium, tmp_path):
    url, study_id, token = session(tmp_path)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with on_port(port, url, study_id, has_door=True) as app:
        room = screen(chromium, address, token)
        page = chromium.new_context(viewport=PHONE).new_page()
        page.goto(f"{address}/join")
        check(page)
        page.fill("#code", room.locator(".join-code").inner_text())  # with its blank
        page.click("main button")
        for n in range(25):
            app.arrivals.admits("127.0.0.1", f"script {n}")
        page.click("button[value=agree]")
        page.wait_for_selector("text=Leave this page open")
        check(page)
        page.wait_for_selector("text=You are person 1", timeout=30_000)
        assert page.url == f"{address}/here"
        room.wait_for_selector("text=People: 1", timeout=20_000)
        check(room)
        room.goto(f"{address}/facilitator/people")
        check(room)
        room.click("text=Remove")
        page.wait_for_selector("text=Your part was ended", timeout=20_000)
        # On a device that others use too: the page of the data, and then nothing.
        page.goto(f"{address}/here/finish")
        check(page)
        page.click("main button")
        page.wait_for_selector("text=This device has forgotten you")
        assert page.evaluate("sessionStorage.length") == 0
        page.goto(f"{address}/here")
        page.wait_for_selector("text=Something is not right")


@pytest.mark.slow
def test_what_the_facilitator_types_stays_when_the_group_goes_on(chromium, tmp_path):
    url, study_id, token = session(tmp_path)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with on_port(port, url, study_id) as app:
        facilitator, *people = (Browser(TestClient(asgi(app))) for _ in range(3))
        facilitator.get(f"/f/{token}")
        for each in people:
            each.get("/join")
            each.send("/join", button="agree")
        facilitator.get("/facilitator")
        facilitator.send("/facilitator/start")
        for each in people:
            each.get("/here")
            each.send("/here/opinion", text=OPINION)
        for each in people:
            until = time.monotonic() + 30
            while "/here/rate" not in each.forms:
                assert time.monotonic() < until
                each.get("/here")
            while "/here/rate" in each.forms:
                each.send("/here/rate", agreement="6", quality="5")
        facilitator.get("/facilitator")
        facilitator.send("/facilitator/revise")
        own = chromium.new_context(viewport=PHONE).new_page()
        own.goto(f"{address}/f/{token}")
        own.goto(f"{address}/facilitator/texts")
        own.fill("textarea", "Buses are free, and the town pays.")
        for each in people:
            each.get("/here")
            each.send("/here/stands")
        own.wait_for_timeout(2000)  # the page has heard of it by now
        assert own.input_value("textarea") == "Buses are free, and the town pays."
        with own.expect_navigation():
            own.get_by_role("button", name="Let people rate it too").click()
        assert "This came too late" in own.text_content("main")
        assert "Buses are free, and the town pays." in own.text_content("blockquote")
        check(own)


@pytest.mark.slow
def test_what_is_refused_for_good_stays_with_the_reason(chromium, tmp_path):
    url, study_id, token = session(tmp_path)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with on_port(port, url, study_id):
        room = screen(chromium, address, token)
        first, _ = (phone(chromium, address) for _ in range(2))
        press_in_room(room, "Begin with 2 people")
        first.wait_for("What do you think?")
        page, asked = first.page, []
        # A draft of more than 64 KiB is sent all the same: each of these letters takes nine bytes.
        page.evaluate("document.querySelector('textarea').removeAttribute('maxlength')")
        page.fill("textarea", "\u6c34" * 8000)
        page.wait_for_selector("text=Draft saved", timeout=20_000)
        page.on("request", lambda one: one.method == "POST" and asked.append(one.url))
        page.evaluate("document.querySelector('input[name=csrf]').value = 'old'")
        page.fill("textarea", OPINION)
        asked.clear()
        page.click("form[action='/here/opinion'] button:not([formaction])")
        page.wait_for_selector("text=This form is too old", timeout=20_000)
        page.wait_for_timeout(6000)  # longer than it waits before it tries again
        assert asked.count(f"{address}/here/opinion") == 1
        assert page.input_value("textarea") == OPINION
