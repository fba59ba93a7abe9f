"""The pages without a browser: forms that work without scripts, and coming back to them."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from html import unescape

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from pathlib import Path

from sqlalchemy import select
from starlette.testclient import TestClient
from study_making import OPINION, small_study
from web_making import Served, to_opinions, to_ratings

from commonweal.errors import InputError
from commonweal.study.domain import machine, people
from commonweal.study.domain.pages import companions
from commonweal.study.storage.tables import (
    GroupRow,
    LoginSessionRow,
    ParticipantRow,
    RatingRow,
    RecruiterIdsRow,
)
from commonweal.study.web.app import App
from commonweal.study.web.live import LOBBY
from commonweal.study.web.routes import asgi
from commonweal.study.web.translation import catalogue, check_texts, translator

# ------------------------------------------------------------------------- without any script


def test_four_people_go_through_everything_with_forms_alone(database_url):
    served = Served(database_url)
    browsers = served.joined(4)
    for round_number in (1, 2):
        to_ratings(served, browsers)
        for place in range(1, 7):
            for each in browsers:
                assert each.headings[0] == f"Statement {place} of 6"
                each.send("/here/rate", agreement="6", quality="4")
        for each in browsers:
            each.get("/here")
            assert "the 4 who rated it agree" in each.html
            assert f"Round {round_number} of 2" in each.html
        for each in browsers:
            each.send("/here/continue")
    for each in browsers:
        each.get("/here")
        assert "BUSES-COMPLETE" in each.html
    assert served.count(RatingRow) == 2 * (4 * 6 + 4)
    served.place.store.close()


def test_nothing_is_stored_of_who_declines(served):
    browser = served.browser()
    browser.get("/join")
    browser.send("/join", button="decline")
    assert browser.headings == ["You are not taking part"]
    assert served.count(ParticipantRow) == 0


def test_the_check_ends_the_part_after_two_wrong_answers(served):
    browser = served.browser()
    browser.get("/join")
    browser.send("/join", button="agree")
    browser.send("/here/instructions")
    browser.send("/here/check")
    assert browser.status == 422
    assert "Please answer every question." in browser.html
    browser.send("/here/check", answer0="1")
    assert "Attempts left: 1." in browser.html
    browser.send("/here/check", answer0="1")
    assert "BUSES-FAILED_CHECK" in browser.html


def test_what_was_written_is_kept_where_it_is_too_short(served):
    browsers = served.joined(4)
    to_opinions(browsers)
    browsers[0].send("/here/opinion", text="Too short & <b>bold</b>")
    assert browsers[0].status == 422
    assert browsers[0].forms["/here/opinion"].fields["text"] == "Too short & <b>bold</b>"
    browsers[0].get("/here")
    assert browsers[0].forms["/here/opinion"].fields["text"] == "Too short & <b>bold</b>"


def test_a_missing_answer_is_asked_for(served):
    browsers = served.joined(4)
    to_ratings(served, browsers)
    browsers[0].send("/here/rate", agreement="5")
    assert browsers[0].status == 422
    assert "Please answer both questions." in browsers[0].html


@pytest.mark.attack("at once", "a form sent twice")
def test_a_form_sent_twice_counts_once_and_says_so(served):
    browsers = served.joined(4)
    browsers[0].get("/here")
    form = dict(browsers[0].forms["/here/rate"].fields, agreement="5")
    browsers[0].post("/here/rate", form)
    browsers[0].post("/here/rate", dict(form, agreement="1"))
    assert "That answer was no longer needed" in browsers[0].html
    assert served.count(RatingRow) == 1


def test_german_from_the_browser_and_by_link(served):
    browser = served.browser(**{"accept-language": "de-AT,de;q=0.9,en;q=0.5"})
    browser.get("/join")
    assert '<html lang="de">' in browser.html
    assert browser.headings == ["Bevor Sie beginnen"]
    browser.get("/join?lang=en")
    browser.send("/join", button="agree")
    assert browser.headings == ["How it works"]


def test_a_private_link_gives_the_language_that_was_read_at_consent(served):
    with served.place.transaction() as tx:
        tokens = [people.new_link(tx, people.join(tx)) for _ in range(3)]
    german = {"accept-language": "de-AT,de;q=0.9"}
    for token, headers, path, heading in (
        (tokens[0], german, "/here", "So geht es"),
        (tokens[1], {}, "/here?lang=de", "So geht es"),
        (tokens[2], german, "/here?lang=en", "How it works"),
    ):
        browser = served.browser(**headers)
        browser.get(f"/i/{token}")
        browser.send(f"/i/{token}")
        assert 'hreflang="' in browser.html
        browser.get(path)
        browser.send("/here/consent", button="agree")
        assert browser.headings == [heading]
    # Afterwards it is the person's, on every device.
    again = served.browser()
    again._client.cookies.set("cw_here", browser._client.cookies["cw_here"])
    again.get("/here")
    assert again.headings == ["How it works"]


def visible(html):
    """The text of the page between its first heading and its buttons."""
    inside = html.split("</h1>")[1].split("</main>")[0]
    inside = re.sub(r"<button.*?</button>", "", inside, flags=re.DOTALL)
    found = re.findall(r"<(?:p|strong)[^>]*>([^<]+)<", inside)
    return [unescape(text).strip() for text in found if text.strip()]


def test_the_hash_of_consent_is_of_everything_that_was_shown(tmp_path):
    served = Served(tmp_path, small_study(contact="Ada Lovelace <ada@example.org>"))
    for header, words in (("en", "18 or older"), ("de", "mindestens 18")):
        browser = served.browser(**{"accept-language": header})
        browser.get("/join")
        shown = visible(browser.html)
        assert words in shown[-1]
        assert "Ada Lovelace <ada@example.org>" in shown[-2]
        browser.send("/join", button="agree")
        stored = browser._client.get("/here/data.json").json()["consent_sha256"]
        assert stored == hashlib.sha256("\n\n".join(shown).encode()).hexdigest()
    # Also where another tab has changed the language meanwhile.
    browser = served.browser()
    browser.get("/join?lang=de")
    browser._client.get("/join?lang=en")
    browser.send("/join", button="agree")
    assert browser._client.get("/here/data.json").json()["consent_sha256"] == stored
    assert browser.headings == ["So geht es"]


def pressed_more_time(browser, action, **fields):
    """The second button of a form, as a browser without a script sends it."""
    assert 'formaction="/here/more-time" formnovalidate' in browser.html
    browser.post("/here/more-time", {**browser.forms[action].fields, **fields})


def checked(browser):
    return re.findall(r'name="(\w+)" value="(\d+)" required checked', browser.html)


def test_more_time_without_a_script_keeps_what_is_written_or_chosen(served):
    browsers = served.joined(4)
    first = browsers[0]
    first.get("/here")
    pressed_more_time(first, "/here/rate", agreement="3")
    assert (first.status, checked(first)) == (200, [("agreement", "3")])
    to_opinions(browsers)
    pressed_more_time(first, "/here/opinion", text="Half a <b> sentence")
    assert first.forms["/here/opinion"].fields["text"] == "Half a <b> sentence"
    assert first.key.split("-")[2] == "opinion"
    for each in browsers:
        each.send("/here/opinion", text=OPINION)
    served.app.worker.run_once()
    first.get("/here")
    before = served.place.page(1).deadline
    pressed_more_time(first, "/here/rate", quality="7")
    assert checked(first) == [("quality", "7")]
    assert served.place.page(1).deadline == before + 60
    # One answer is missing: the other stays. On another statement nothing is chosen.
    first.send("/here/rate", agreement="2")
    assert (first.status, checked(first)) == (422, [("agreement", "2")])
    old = dict(first.forms["/here/rate"].fields)
    first.send("/here/rate", agreement="2", quality="7")
    first.post("/here/more-time", {**old, "agreement": "2"})
    assert checked(first) == []


def test_the_time_to_begin_is_shown_and_can_be_put_off(served):
    browser = served.browser()
    browser.get("/join")
    browser.send("/join", button="agree")
    for kind in ("instructions", "check"):
        assert 'data-seconds-left="3600.0"' in browser.html
        served.place.clock.move_to(served.place.clock.now() + 3000)
        browser.get("/here")
        assert 'data-seconds-left="600.0"' in browser.html
        pressed_more_time(browser, f"/here/{kind}")
        assert 'data-seconds-left="3600.0"' in browser.html
        browser.send(f"/here/{kind}", answer0="2")
    assert browser.headings == ["Waiting for your group"]


def test_a_paused_page_keeps_a_place_for_the_time(served):
    browsers = served.joined(4)
    with served.place.transaction() as tx:
        machine.pause(tx, tx.db.scalars(select(GroupRow)).one(), actor="ada")
    browsers[0].get("/here")
    (time_part,) = re.findall(r'<p class="timebar" data-part="time"[^>]*>.*?</p>', browsers[0].html)
    assert time_part == '<p class="timebar" data-part="time"></p>'
    assert '<div data-part="notices" role="status">' in browsers[0].html


def test_who_leaves_after_a_round_is_not_told_that_there_were_too_few(tmp_path):
    served = Served(
        tmp_path,
        small_study(
            rounds={"count": 2, "passes": 1}, arms=[{"name": "a", "candidates": 2, "shown": 1}]
        ),
    )
    browsers = served.joined(4)
    browsers[0].get("/here/leave")
    assert "code for leaving early" in browsers[0].html
    to_ratings(served, browsers)
    for each in browsers:
        each.send("/here/rate", agreement="6", quality="5")
    for each in browsers:
        each.get("/here")
        each.send("/here/continue")
    browsers[0].get("/here/leave")
    assert "completion code for partial participation" in browsers[0].html
    browsers[0].send("/here/leave")
    assert browsers[0].headings[0] == "You have left the study"
    assert "BUSES-PARTIAL" in browsers[0].html
    # One more goes; the two who stay are fewer than the minimum.
    browsers[1].get("/here/leave")
    browsers[1].send("/here/leave")
    served.place.clock.move_to(served.place.clock.now() + 601)
    served.app.sweep()
    browsers[2].get("/here")
    assert "There were too few people to go on" in browsers[2].html


def test_catalogues_have_the_same_keys_and_blanks():
    blanks = [
        {key: sorted(re.findall(r"\{(\w+)\}", text)) for key, text in catalogue(each).items()}
        for each in ("en", "de")
    ]
    assert blanks[0] == blanks[1]


@pytest.mark.parametrize("language", ["en", "de"])
def test_texts_with_numbers_are_right_of_one(language):
    t = translator(small_study(), language)
    one = {"n": 1, "n_agree": 1, "asked": 5, "heard": 5, "n_opinions": 1, "mean": "4.0"}
    for key in (
        "result.unrated",
        "result.no_agreement_text",
        "result.mean",
        "revision.critics",
        "quick.report_intro",
    ):
        text = t(key, **one)
        assert not re.search(r"\b1 (\w+ ){0,6}(agree|took|haben|stimmen)\b", text), text


def test_a_text_that_there_is_not_cannot_be_replaced():
    with pytest.raises(InputError, match=r"consent\.informaton"):
        check_texts(small_study(texts={"en": {"consent.informaton": "x"}}))


def test_texts_of_the_study_replace_ours_and_are_escaped(tmp_path):
    served = Served(tmp_path, small_study(texts={"en": {"consent.title": "Hi <b>you</b>"}}))
    browser = served.browser()
    browser.get("/join")
    assert browser.headings == ["Hi <b>you</b>"]


# -------------------------------------------------------------------------------- coming back


@pytest.mark.attack("access", "a private link used again, from elsewhere")
def test_a_private_link_works_once_and_another_device_goes_on(served):
    (browser,) = served.joined(1)
    browser.get("/here/device")
    browser.send("/here/device")
    (path,) = set(re.findall(r"/i/[\w-]+", browser.html))
    other = served.browser()
    other.get(path)
    other.send(path)
    assert other.headings == browser.headings or other.headings[0] == "Waiting for your group"
    third = served.browser()
    third.get(path)
    assert third.status == 410
    third.get("/here")
    assert third.status == 401


@pytest.mark.attack("access", "links and cookies looked for in the database")
def test_links_and_cookies_are_stored_as_hashes(served):
    (browser,) = served.joined(1)
    cookie = browser._client.cookies["cw_here"]
    assert len(cookie) >= 22  # 128 bits in base64
    with served.place.store.read() as db:
        stored = db.scalars(select(LoginSessionRow.token_hash)).all()
    assert cookie not in stored
    raw = served.place.store.engine.url.database
    for part in ("", "-wal"):
        path = Path(raw + part)
        assert not path.exists() or cookie.encode() not in path.read_bytes()


def test_the_recruiters_participant_joins_once(tmp_path):
    config = small_study(
        recruiter={
            "participant": "PROLIFIC_PID",
            "session": "SESSION_ID",
            "return_url": "https://example.org/done?cc={code}",
        }
    )
    served = Served(tmp_path, config)
    path = "/join?PROLIFIC_PID=abc123&SESSION_ID=%3Cs%3E"
    served.joined(1, path)
    again = served.browser()
    again.get(path)
    again.send("/join", button="agree")
    assert again.status == 409
    with served.place.store.read() as db:
        ids = db.scalars(select(RecruiterIdsRow)).one()
    assert (ids.recruiter_participant, ids.recruiter_session) == ("abc123", "<s>")


@pytest.mark.attack("at once", "a form sent twice")
def test_who_presses_twice_joins_once(served):
    browser = served.browser()
    browser.get("/join")
    fields = {**browser.forms["/join"].fields, "decision": "agree"}
    client = browser._client
    # Both are sent before the first answer has brought its cookie.
    for _ in range(2):
        client.cookies.pop("cw_here", None)
        client.post("/join", data=fields, follow_redirects=False)
    assert served.count(ParticipantRow) == 1
    browser.get("/here")
    assert browser.headings == ["How it works"]


def test_a_restart_resumes(tmp_path):
    served = Served(tmp_path)
    browsers = served.joined(4)
    to_opinions(browsers)
    cookie = browsers[0]._client.cookies["cw_here"]
    again = App(served.place.store, served.place.study_id, in_background=False)
    client = TestClient(asgi(again), cookies={"cw_here": cookie})
    assert "What do you think?" in client.get("/here").text


def test_a_stream_begins_with_the_version_so_that_no_change_is_missed(served):
    served.joined(1)

    async def first():
        stream = served.app.live.stream(LOBBY, lambda: served.app.live.version(LOBBY))
        said = await anext(stream)
        await stream.aclose()
        return said

    (browser,) = served.joined(1)
    (shown,) = re.findall(r'data-version="(\d+)"', browser.html)
    assert f"event: ready\ndata: {shown}\n" in asyncio.run(first())
    served.joined(1)
    assert f"event: ready\ndata: {shown}\n" not in asyncio.run(first())


def test_pages_that_wait_hear_that_somebody_has_gone(served):
    served.joined(4)
    live, clock = served.app.live, served.place.clock

    async def woken():
        """Whether a beat wakes a page of the group."""
        mine = asyncio.Event()
        live._listeners[1].add(mine)
        await live.beat()
        live._listeners[1].discard(mine)
        return mine.is_set()

    asyncio.run(woken())
    assert not asyncio.run(woken())
    version = live.version(1)
    for seconds, present in ((60, {1, 2}), (31, {1, 2})):
        clock.move_to(clock.now() + seconds)
        live._present = set(present)
        # 91 s after they joined, two of the four have not been seen for 90.
        assert asyncio.run(woken()) == (seconds == 31)
    with served.place.transaction() as tx:
        there = [each.is_present for each in companions(tx, tx.db.get_one(GroupRow, 1))]
    assert there == [True, True, False, False]
    assert live.version(1) == version
    live._present = {1, 2, 3}
    assert asyncio.run(woken())


def test_an_idle_server_rests(served, monkeypatch):
    n_turns = 0
    tx = served.place.store.transaction

    def counted(study_id):
        nonlocal n_turns
        n_turns += 1
        return tx(study_id)

    monkeypatch.setattr(served.place.store, "transaction", counted)
    served.app.in_background = True
    with TestClient(asgi(served.app)) as client:
        client.get("/health")
        time.sleep(2.5)
    assert 1 <= n_turns <= 6  # a sweep a second; a worker that wakes itself makes hundreds


def test_what_is_offensive_is_not_shown(tmp_path):
    served = Served(tmp_path)
    served.app.worker._writer.text = "They should be shot, says plan {n} of {arm}."
    browsers = served.joined(4)
    to_ratings(served, browsers)
    assert browsers[0].headings[0] == "No statement this time"
    assert "shot" not in browsers[0].html
