"""The pages without a browser: forms that work without scripts, and coming back to them."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from pathlib import Path

from sqlalchemy import select
from starlette.testclient import TestClient
from study_making import small_study
from web_making import Served, to_opinions, to_ratings

from commonweal.errors import InputError
from commonweal.study.tables import Participant, Rating, RecruiterIds, Sitting
from commonweal.study.web.app import Site
from commonweal.study.web.live import LOBBY
from commonweal.study.web.texts import catalogue, check_texts

# ------------------------------------------------------------------------- without any script


def test_four_people_go_through_everything_with_forms_alone(served):
    browsers = served.joined(4)
    for round_number in (1, 2):
        to_ratings(served, browsers)
        for place in range(1, 7):
            for each in browsers:
                assert each.headings[0] == f"Statement {place} of 6"
                each.send("/here/rate", agreement="6", quality="4")
        for each in browsers:
            each.get("/here")
            assert "4 of 4 agree" in each.html
            assert f"Round {round_number} of 2" in each.html
        for each in browsers:
            each.send("/here/continue")
    for each in browsers:
        each.get("/here")
        assert "BUSES-COMPLETE" in each.html
    assert served.count(Rating) == 2 * (4 * 6 + 4)


def test_nothing_is_stored_of_who_declines(served):
    browser = served.browser()
    browser.get("/join")
    browser.send("/join", button="decline")
    assert browser.headings == ["You are not taking part"]
    assert served.count(Participant) == 0


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


def test_a_form_sent_twice_counts_once_and_says_so(served):
    browsers = served.joined(4)
    browsers[0].get("/here")
    form = dict(browsers[0].forms["/here/rate"].fields, agreement="5")
    browsers[0].post("/here/rate", form)
    browsers[0].post("/here/rate", dict(form, agreement="1"))
    assert "That answer was not needed any more" in browsers[0].html
    assert served.count(Rating) == 1


def test_german_from_the_browser_and_by_link(served):
    browser = served.browser(**{"accept-language": "de-AT,de;q=0.9,en;q=0.5"})
    browser.get("/join")
    assert '<html lang="de">' in browser.html
    assert browser.headings == ["Bevor Sie beginnen"]
    browser.get("/join?lang=en")
    browser.send("/join", button="agree")
    assert browser.headings == ["How it works"]


def test_catalogues_have_the_same_keys_and_blanks():
    blanks = [
        {key: sorted(re.findall(r"\{(\w+)\}", text)) for key, text in catalogue(each).items()}
        for each in ("en", "de")
    ]
    assert blanks[0] == blanks[1]


def test_a_text_that_there_is_not_cannot_be_replaced():
    with pytest.raises(InputError, match=r"consent\.informaton"):
        check_texts(small_study(texts={"en": {"consent.informaton": "x"}}))


def test_texts_of_the_study_replace_ours_and_are_escaped(tmp_path):
    served = Served(tmp_path, small_study(texts={"en": {"consent.title": "Hi <b>you</b>"}}))
    browser = served.browser()
    browser.get("/join")
    assert browser.headings == ["Hi <b>you</b>"]


# -------------------------------------------------------------------------------- coming back


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


def test_links_and_cookies_are_stored_as_hashes(served):
    (browser,) = served.joined(1)
    cookie = browser._client.cookies["cw_here"]
    assert len(cookie) >= 22  # 128 bits in base64
    with served.place.store.read() as db:
        stored = db.scalars(select(Sitting.token_hash)).all()
    assert cookie not in stored
    raw = (served.place.store.engine.url.database or "") + ""

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
        ids = db.scalars(select(RecruiterIds)).one()
    assert (ids.recruiter_participant, ids.recruiter_session) == ("abc123", "<s>")


def test_who_presses_twice_joins_once(served):
    browser = served.browser()
    browser.get("/join")
    fields = {**browser.forms["/join"].fields, "decision": "agree"}
    client = browser._client
    # Both are sent before the first answer has brought its cookie.
    for _ in range(2):
        client.cookies.pop("cw_here", None)
        client.post("/join", data=fields, follow_redirects=False)
    assert served.count(Participant) == 1
    browser.get("/here")
    assert browser.headings == ["How it works"]


def test_a_restart_resumes(tmp_path):
    served = Served(tmp_path)
    browsers = served.joined(4)
    to_opinions(browsers)
    cookie = browsers[0]._client.cookies["cw_here"]
    again = Site(served.place.store, served.place.study_id, in_background=False)
    client = TestClient(again.app, cookies={"cw_here": cookie})
    assert "What do you think?" in client.get("/here").text


def test_a_stream_begins_with_the_version_so_that_no_change_is_missed(served):
    served.joined(1)

    async def first():
        stream = served.site.live.stream(LOBBY, lambda: served.site.live.version(LOBBY))
        said = await anext(stream)
        await stream.aclose()
        return said

    (browser,) = served.joined(1)
    (shown,) = re.findall(r'data-version="(\d+)"', browser.html)
    assert f"event: ready\ndata: {shown}\n" in asyncio.run(first())
    served.joined(1)
    assert f"event: ready\ndata: {shown}\n" not in asyncio.run(first())


def test_an_idle_server_rests(served, monkeypatch):
    n_turns = 0
    turn = served.place.store.turn

    def counted(study_id):
        nonlocal n_turns
        n_turns += 1
        return turn(study_id)

    monkeypatch.setattr(served.place.store, "turn", counted)
    served.site.in_background = True
    with TestClient(served.site.app) as client:
        client.get("/health")
        time.sleep(2.5)
    assert 1 <= n_turns <= 6  # a sweep a second; a worker that wakes itself makes hundreds


def test_what_is_offensive_is_not_shown(tmp_path):
    served = Served(tmp_path)
    served.site.worker._writer.text = "They should be shot, says plan {n} of {arm}."
    browsers = served.joined(4)
    to_ratings(served, browsers)
    assert browsers[0].headings[0] == "No statement this time"
    assert "shot" not in browsers[0].html
