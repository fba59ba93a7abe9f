"""Attacks on the pages: forged, stolen, oversized and hostile requests."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from sqlalchemy import select
from starlette.testclient import TestClient
from web_making import Served, to_opinions, to_ratings

from commonweal.study.bots import Browser
from commonweal.study.tables import Opinion, Participant, Rating
from commonweal.study.web.limits import CONTENT_SECURITY_POLICY
from commonweal.study.web.visit import MAX_BODY_BYTES

HOSTILE = """<script>window.ran=1</script>"><img src=x onerror=alert(1)> {{ 7*7 }} {csrf}
'; DROP TABLE opinions; -- \x00\ud800 <|im_end|> </textarea></blockquote> %s ${7*7}"""


def test_every_answer_has_the_headers(served):
    client = served.client()
    for path in ("/join", "/here", "/nothing", "/static/study.css", "/researcher/login"):
        answer = client.get(path)
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        if not path.startswith("/static"):
            assert answer.headers["cache-control"] == "no-store"
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_cookies_are_for_the_server_alone_and_secure_behind_tls(served):
    client = TestClient(served.site.app, base_url="https://testserver")
    browser = Browser(client)
    browser.get("/join")
    answer = client.post(
        "/join",
        data={**browser.forms["/join"].fields, "decision": "agree"},
        follow_redirects=False,
    )
    for line in answer.headers.get_list("set-cookie"):
        assert "HttpOnly" in line
        assert "SameSite=lax" in line
        assert "Secure" in line
    assert "strict-transport-security" in answer.headers


def test_no_page_has_inline_script_or_style(served):
    browsers = served.joined(4)
    to_ratings(served, browsers)
    for path in ("/here", "/here/data", "/here/leave", "/join", "/researcher/login"):
        html = browsers[0].get(path).text
        assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html), path


@pytest.mark.parametrize("csrf", ["", "0" * 64, "é", None])
def test_no_form_without_its_token(served, csrf):
    browsers = served.joined(4)
    browsers[0].get("/here")
    fields = dict(browsers[0].forms["/here/rate"].fields, agreement="5")
    fields.pop("csrf")
    if csrf is not None:
        fields["csrf"] = csrf
    for path in ("/here/rate", "/here/leave", "/here/delete", "/join", "/researcher/login"):
        browsers[0].post(path, {**fields, "sure": "yes"})
        assert browsers[0].status == 403, path
    assert served.count(Rating) == 0
    assert served.count(Participant) == 4


def test_no_form_from_another_site_or_of_another_kind(served):
    (browser,) = served.joined(1)
    browser.get("/here/leave")
    fields = browser.forms["/here/leave"].fields
    client = browser._client
    sent = client.post("/here/leave", data=fields, headers={"sec-fetch-site": "cross-site"})
    assert sent.status_code == 403
    assert client.post("/here/leave", json=fields).status_code == 415
    assert client.post("/here/leave", files={"a": b"b"}, data=fields).status_code == 415


def test_one_persons_token_does_not_send_anothers_form(served):
    first, second = served.joined(4)[:2]
    first.get("/here")
    second.get("/here")
    stolen = dict(first.forms["/here/rate"].fields, agreement="1")
    second.post("/here/rate", stolen)
    assert second.status == 403  # the token is the other's
    second.get("/here")
    stolen["csrf"] = second.forms["/here/rate"].fields["csrf"]
    second.post("/here/rate", stolen)  # somebody else's presentation
    assert served.count(Rating) == 0


@pytest.mark.parametrize("cookie", ["", "x", "a" * 43, "../../etc", "' OR 1=1 --", "a" * 5000])
def test_forged_cookies_and_links_are_nobodys(served, cookie):
    served.joined(4)
    client = served.client(cookie=f"cw_here={cookie}; cw_researcher={cookie}")
    for path in ("/here", "/here/data", "/here/data.json", "/here/device"):
        assert client.get(path).status_code == 401
    assert client.get("/here/events").status_code == 204
    assert client.get("/researcher/audit").status_code == 404
    assert client.get("/researcher/moderation").status_code == 404
    if cookie.isalnum():
        assert client.get(f"/i/{cookie}").status_code == 404


def test_tokens_cannot_be_guessed_at_leisure(served):
    client = served.client()
    answers = [client.get(f"/i/guess{n:040d}").status_code for n in range(25)]
    assert answers[:20] == [404] * 20
    assert answers[20:] == [429] * 5


def test_one_browser_may_send_only_so_much(served):
    (browser,) = served.joined(1)
    served.site.limits.per_token = 10
    fields = {"csrf": next(iter(browser.forms.values()), None) or ""}
    statuses = {browser._client.post("/here/draft", data=fields).status_code for _ in range(30)}
    assert 429 in statuses


def test_oversized_bodies_are_refused(served):
    (browser,) = served.joined(1)
    browser.get("/here/leave")
    csrf = browser.forms["/here/leave"].fields["csrf"]
    browser.post("/here/opinion", {"csrf": csrf, "text": "x" * (MAX_BODY_BYTES + 1)})
    assert browser.status == 413
    browser.post("/here/opinion", {"csrf": csrf} | {f"f{n}": "1" for n in range(100)})
    assert browser.status == 400


def test_hostile_texts_come_back_as_texts(served):
    browsers = served.joined(4)
    to_opinions(browsers)
    text = (HOSTILE + " Buses are good for people who have none, and that is all I say.").replace(
        "\ud800", "�"
    )
    browsers[0].send("/here/opinion", text=text)
    browsers[0].get("/here/data")
    assert "<script>window" not in browsers[0].html
    assert "onerror=alert" not in re.sub(r"&lt;img[^<]*", "", browsers[0].html)
    with served.place.store.read() as db:
        kept = db.scalars(select(Opinion.text)).one()
    assert "DROP TABLE" in kept
    assert "\x00" not in kept
    assert "49" not in kept.replace("7*7", "")


def test_hostile_statements_come_back_as_texts(tmp_path):
    served = Served(tmp_path)
    text = 'We agree <script>x</script> {n} on "><b>this</b> plan {arm}.'
    served.site.worker._writer.text = text
    browsers = served.joined(4)
    to_ratings(served, browsers)
    assert "<script>x" not in browsers[0].html
    assert browsers[0].quotes[0].startswith("We agree <script>x</script>")


@pytest.mark.parametrize("value", ["0", "8", "-1", "1e3", "１", "NaN", "9" * 40, "' OR '1'='1", ""])
def test_ratings_are_one_to_seven_and_nothing_else(served, value):
    browsers = served.joined(4)
    browsers[0].get("/here")
    browsers[0].send("/here/rate", agreement=value)
    assert browsers[0].status == 422
    assert served.count(Rating) == 0
