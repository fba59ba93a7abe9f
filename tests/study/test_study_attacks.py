"""Attacks on the pages: forged, stolen, oversized and hostile requests."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from urllib.parse import urlencode

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from sqlalchemy import select
from starlette.requests import Request
from starlette.testclient import TestClient
from study_making import OPINION, small_study
from web_making import PASSWORD, Served, logged_in, to_opinions, to_ratings

from commonweal.study.domain import answers
from commonweal.study.domain.screening import flags_of
from commonweal.study.simulation.bots import Browser
from commonweal.study.storage.tables import OpinionRow, ParticipantRow, RatingRow
from commonweal.study.web import participant, server
from commonweal.study.web.app import App
from commonweal.study.web.limits import CONTENT_SECURITY_POLICY, HEADERS
from commonweal.study.web.request import MAX_BODY_BYTES
from commonweal.study.web.routes import asgi

HOSTILE = """<script>window.ran=1</script>"><img src=x onerror=alert(1)> {{ 7*7 }} {csrf}
'; DROP TABLE opinions; -- \x00\ud800 <|im_end|> </textarea></blockquote> %s ${7*7}"""


@pytest.fixture
def on_each(database_url):
    """An app on each kind of database: for what reaches it, since PostgreSQL refuses some that
    SQLite takes.
    """
    made = Served(database_url)
    yield made
    made.place.store.close()


@pytest.mark.attack("pages", "headers that keep a page's content from doing anything")
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


@pytest.mark.attack("access", "cookies over TLS, for the server alone")
def test_cookies_are_for_the_server_alone_and_secure_behind_tls(served):
    client = TestClient(asgi(served.app), base_url="https://testserver")
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


@pytest.mark.attack("access", "cookies over TLS, for the server alone")
def test_cookies_are_secure_where_people_use_https_whatever_the_proxy_says(served):
    served.app.base_url = "https://talk.example.org"
    for path in ("/join", "/join?lang=de"):
        lines = served.client().get(path).headers.get_list("set-cookie")
        assert lines
        assert all("Secure" in line for line in lines)
    served.app.base_url = "http://192.0.2.7:8000"
    assert "Secure" not in served.client().get("/join").headers["set-cookie"]


@pytest.mark.attack("pages", "headers that keep a page's content from doing anything")
def test_the_page_of_a_fault_has_the_headers_too(served, monkeypatch, caplog):
    client = TestClient(asgi(served.app), raise_server_exceptions=False)
    client.get("/join")
    monkeypatch.setattr(served.app.store, "read", lambda: 1 / 0)
    secret = "a" * 43
    answer = client.get(f"/i/{secret}")
    assert answer.status_code == 500
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["cache-control"] == "no-store"
    assert "a fault at /i" in caplog.text
    assert secret not in caplog.text


@pytest.mark.heavy
@pytest.mark.attack("faults", "what is logged holds no link, cookie, password or opinion")
def test_nothing_secret_is_logged(on_each, caplog):
    caplog.set_level(logging.DEBUG)
    on_each.app.worker._writer.failures = ["no model"]
    browsers = on_each.joined(4)
    browsers[0].get("/here/device")
    browsers[0].send("/here/device")
    (link,) = set(re.findall(r"/i/([\w-]+)", browsers[0].html))
    to_ratings(on_each, browsers)
    browsers[0].get(f"/i/{link}x")
    secrets = [OPINION, link, browsers[0]._client.cookies["cw_here"]]
    browser = logged_in(on_each)
    browser.get("/researcher/login")
    browser.send("/researcher/login", name="owner", password="a wrong password")
    secrets += [PASSWORD, "a wrong password", browser._client.cookies["cw_researcher"]]
    # The test's own client writes what it asks for; the server's words are what is looked at.
    said = "\n".join(
        each.getMessage() for each in caplog.records if not each.name.startswith("httpx")
    )
    assert re.search(r"job \d+: arm \w+: EngineError", said)
    assert not [each for each in secrets if each in said]


@pytest.mark.attack("access", "a proxy's headers from somebody who is none")
def test_a_proxys_headers_are_believed_only_of_that_proxy(served):
    forwarded = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9"}
    for trusted, is_secure in (("", False), ("192.0.2.1", False), ("testclient", True)):
        app = configured(served.app, trusted_proxy=trusted).loaded_app
        answer = TestClient(app, headers=forwarded).get("/join")
        assert ("Secure" in answer.headers["set-cookie"]) == is_secure, trusted


def configured(app, **how):
    config = server.configuration(app, **how)
    config.load()
    return config


@pytest.mark.attack("one address", "more requests than one may make")
def test_one_address_may_ask_only_for_so_much(served):
    served.app.limits.per_address = 10
    statuses = [served.client().get("/join").status_code for _ in range(12)]
    assert statuses == [200] * 10 + [429] * 2


@pytest.mark.attack("one address", "more requests than one may make")
def test_one_browser_may_fetch_only_so_much(served):
    (browser,) = served.joined(1)
    served.app.limits.per_token = 4
    statuses = [browser.get("/here/data").status_code for _ in range(30)]
    assert statuses[-1] == 429
    assert 10 <= statuses.count(200) <= 20


@pytest.mark.attack("hostile texts", "no page has a script or style of its own")
def test_no_page_has_inline_script_or_style(served):
    browsers = served.joined(4)
    to_ratings(served, browsers)
    for path in ("/here", "/here/data", "/here/leave", "/join", "/researcher/login"):
        html = browsers[0].get(path).text
        assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html), path


@pytest.mark.attack("forged forms", "no token, a wrong one, another's")
def test_no_form_without_its_token(served, record_property):
    browsers = served.joined(4)
    browsers[0].get("/here")
    fields = dict(browsers[0].forms["/here/rate"].fields, agreement="5")
    fields.pop("csrf")
    for csrf in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": "é"}):
        for path in ("/here/rate", "/here/leave", "/here/delete", "/join", "/researcher/login"):
            browsers[0].post(path, {**fields, **csrf, "sure": "yes"})
            assert browsers[0].status == 403, (path, csrf)
    record_property("tried", 20)
    assert served.count(RatingRow) == 0
    assert served.count(ParticipantRow) == 4


@pytest.mark.attack("forged forms", "from another site, of another kind")
def test_no_form_from_another_site_or_of_another_kind(served):
    (browser,) = served.joined(1)
    browser.get("/here/leave")
    fields = browser.forms["/here/leave"].fields
    client = browser._client
    sent = client.post("/here/leave", data=fields, headers={"sec-fetch-site": "cross-site"})
    assert sent.status_code == 403
    assert client.post("/here/leave", json=fields).status_code == 415
    assert client.post("/here/leave", files={"a": b"b"}, data=fields).status_code == 415


@pytest.mark.attack("forged forms", "no token, a wrong one, another's")
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
    assert served.count(RatingRow) == 0


@pytest.mark.heavy
@pytest.mark.attack("access", "made-up cookies and links")
@pytest.mark.parametrize("cookie", ["", "x", "a" * 43, "../../etc", "' OR 1=1 --", "a" * 5000])
def test_forged_cookies_and_links_are_nobodys(on_each, cookie):
    on_each.joined(4)
    client = on_each.client(cookie=f"cw_here={cookie}; cw_researcher={cookie}")
    for path in ("/here", "/here/data", "/here/data.json", "/here/device"):
        assert client.get(path).status_code == 401
    assert client.get("/here/events").status_code == 204
    assert client.get("/researcher/audit").status_code == 404
    assert client.get("/researcher/moderation").status_code == 404
    if cookie.isalnum():
        assert client.get(f"/i/{cookie}").status_code == 404


@pytest.mark.attack("access", "guesses at links and streams")
def test_tokens_cannot_be_guessed_at_leisure(served):
    client = served.client()
    answers = [client.get(f"/i/guess{n:040d}").status_code for n in range(25)]
    assert answers[:20] == [404] * 20
    assert answers[20:] == [429] * 5


@pytest.mark.attack("one address", "more requests than one may make")
def test_one_browser_may_send_only_so_much(served):
    (browser,) = served.joined(1)
    served.app.limits.per_token = 10
    fields = {"csrf": next(iter(browser.forms.values()), None) or ""}
    statuses = {browser._client.post("/here/draft", data=fields).status_code for _ in range(30)}
    assert 429 in statuses


@pytest.mark.attack("access", "guesses at links and streams")
def test_streams_are_few_for_each_browser_and_cannot_be_guessed(served):
    (browser,) = served.joined(1)
    token = browser._client.cookies["cw_here"]
    limits = served.app.limits
    endpoint = next(
        route.endpoint
        for route in participant.routes(served.app)
        if getattr(route, "path", "") == "/here/events"
    )

    def asked(cookie, address="192.0.2.5"):
        headers = [(b"cookie", f"cw_here={cookie}".encode())]
        scope = {"type": "http", "method": "GET", "path": "/here/events", "query_string": b""}
        return Request({**scope, "headers": headers, "client": (address, 1)})

    async def held():
        opened, statuses = [], []
        for _ in range(9):
            answer = await endpoint(asked(token))
            statuses.append(answer.status_code)
            if answer.status_code == 200:
                opened.append(answer.body_iterator)
                await anext(answer.body_iterator)
        await opened.pop().aclose()
        statuses.append((await endpoint(asked(token))).status_code)
        for each in opened:
            await each.aclose()
        return statuses

    assert asyncio.run(held()) == [200] * 6 + [429] * 3 + [200]
    assert not limits._held

    async def guessed():
        return [(await endpoint(asked("a" * 43, "192.0.2.6"))).status_code for _ in range(25)]

    assert asyncio.run(guessed()) == [204] * 20 + [429] * 5


@pytest.mark.heavy
@pytest.mark.attack("bodies", "numbers that no database holds")
@pytest.mark.parametrize("number", ["99999999999999", "2147483648", "9999999999"])
def test_numbers_that_no_database_holds_are_none(on_each, number):
    browsers = on_each.joined(4)
    browsers[0].get("/here")
    fields = browsers[0].forms["/here/rate"].fields
    csrf = {"csrf": fields["csrf"]}
    for path in ("/here/draft", "/here/opinion", "/here/continue", "/here/more-time", "/here/rate"):
        browsers[0].post(path, {**csrf, "round": number, "presentation": number, "text": "a"})
        assert browsers[0].status < 500, path
    browsers[0].post("/here/rate", {**fields, "agreement": "5", "n_changes": number})
    assert browsers[0].status == 200
    with on_each.place.store.read() as db:
        assert db.scalars(select(RatingRow.n_changes)).one() is None


@pytest.mark.heavy
@pytest.mark.attack("hostile texts", "in names, ids, drafts, opinions and statements")
def test_hostile_names_ids_and_drafts_are_texts(database_url):
    served = Served(
        database_url, small_study(recruiter={"participant": "PID", "session": "SESSION"})
    )
    hostile = HOSTILE.replace("\ud800", "")
    path = f"/join?{urlencode({'PID': hostile, 'SESSION': hostile})}"
    browsers = served.joined(1, path) + served.joined(3)
    browsers[0].get("/here/data")
    assert "<script>window" not in browsers[0].html
    assert "&lt;script&gt;window" in browsers[0].html
    to_opinions(browsers)
    form = browsers[0].forms["/here/opinion"].fields
    assert (
        browsers[0]._client.post("/here/draft", data={**form, "text": hostile}).status_code == 204
    )
    browsers[0].get("/here")
    assert "<script>window" not in browsers[0].html
    assert browsers[0].forms["/here/opinion"].fields["text"] == hostile.replace("\0", " ")
    owner = logged_in(served)
    (group,) = set(re.findall(r"/researcher/groups/g-\w+", owner.get("/researcher").text))
    owner.get(group)
    owner.send(f"{group}/message", text=hostile)
    assert owner.status == 200
    for page in (browsers[0].get("/here"), owner.get(group), owner.get("/researcher/audit")):
        assert "<script>window" not in page.text
        assert "&lt;script&gt;window" in page.text
    assert owner.get("/researcher/groups/%00").status_code == 404
    nobody = served.browser()
    nobody.get("/researcher/login")
    nobody.send("/researcher/login", name=hostile, password=hostile)
    assert nobody.status == 403
    assert "<script>window" not in nobody.html
    assert served.count(ParticipantRow) == 4
    served.place.store.close()


@pytest.mark.attack("bodies", "forms that are too large")
def test_oversized_bodies_are_refused(served):
    (browser,) = served.joined(1)
    browser.get("/here/leave")
    csrf = browser.forms["/here/leave"].fields["csrf"]
    browser.post("/here/opinion", {"csrf": csrf, "text": "x" * (MAX_BODY_BYTES + 1)})
    assert browser.status == 413
    browser.post("/here/opinion", {"csrf": csrf} | {f"f{n}": "1" for n in range(100)})
    assert browser.status == 400


@pytest.mark.attack("hostile texts", "in names, ids, drafts, opinions and statements")
def test_hostile_texts_come_back_as_texts(on_each):
    browsers = on_each.joined(4)
    to_opinions(browsers)
    text = (HOSTILE + " Buses are good for people who have none, and that is all I say.").replace(
        "\ud800", "�"
    )
    browsers[0].send("/here/opinion", text=text)
    browsers[0].get("/here/data")
    assert "<script>window" not in browsers[0].html
    assert "onerror=alert" not in re.sub(r"&lt;img[^<]*", "", browsers[0].html)
    with on_each.place.store.read() as db:
        kept = db.scalars(select(OpinionRow.text)).one()
    assert "DROP TABLE" in kept
    assert "\x00" not in kept
    assert "49" not in kept.replace("7*7", "")


@pytest.mark.attack("hostile texts", "in names, ids, drafts, opinions and statements")
def test_hostile_statements_come_back_as_texts(tmp_path):
    served = Served(tmp_path)
    text = 'We agree <script>x</script> {n} on "><b>this</b> plan {arm}.'
    served.app.worker._writer.text = text
    browsers = served.joined(4)
    to_ratings(served, browsers)
    assert "<script>x" not in browsers[0].html
    assert browsers[0].quotes[0].startswith("We agree <script>x</script>")


@pytest.mark.attack("bodies", "ratings that are none")
def test_ratings_are_one_to_seven_and_nothing_else(served, record_property):
    browsers = served.joined(4)
    for value in ("0", "8", "-1", "1e3", "１", "NaN", "9" * 40, "' OR '1'='1", ""):
        browsers[0].get("/here")
        browsers[0].send("/here/rate", agreement=value)
        assert browsers[0].status == 422, value
        assert served.count(RatingRow) == 0, value
    record_property("tried", 9)


@pytest.mark.attack("faults", "an error in a page is one line, and quotes nobody")
def test_a_fault_is_one_line(served, caplog, monkeypatch):
    served.joined(4)

    def fails(*_given):
        raise RuntimeError(OPINION)

    monkeypatch.setattr(participant, "current_page", fails)
    (browser,) = served.joined(0) or [served.browser()]
    browser.get("/join")
    caplog.clear()
    browser.send("/join", button="agree")
    assert browser.status == 500
    lines = [each.getMessage() for each in caplog.records if not each.name.startswith("httpx")]
    assert len("\n".join(lines).splitlines()) == 1
    assert re.fullmatch(r"a fault at /here: RuntimeError in .*\.py, line \d+", lines[0])
    assert not any(each.exc_info for each in caplog.records)


@pytest.mark.attack("links", "a request that calls the server by another name")
def test_links_do_not_follow_the_host_header(served):
    (browser,) = served.joined(1)
    client = browser._client
    form = browser.get("/here/device") and browser.forms["/here/device"].fields
    for headers in ({"host": "evil.example"}, {"x-forwarded-host": "evil.example"}):
        answer = client.post("/here/device", data=form, headers=headers)
        assert "http://testserver/i/" in answer.text
        assert "evil.example" not in answer.text


@pytest.mark.attack("links", "behind TLS that a proxy ends, browsers are told to stay with it")
def test_a_base_url_over_https_has_hsts(served):
    app = App(
        served.place.store, served.place.study_id, base_url="https://talk", in_background=False
    )
    assert "max-age" in TestClient(asgi(app)).get("/join").headers["strict-transport-security"]
    assert "strict-transport-security" not in served.client().get("/join").headers


@pytest.mark.parametrize(
    "text",
    [
        "Nobody should die waiting for an ambulance.",
        "People should die with dignity.",
        "No child must die on this road.",
        "They kill all insects.",
        "We should burn all those old tyres.",
        "This retards progress.",
        "It costs 1 000 000 000 euros.",
        "It was so in the years 2019 2020 2021.",
    ],
)
def test_ordinary_sentences_are_not_dropped(text):
    assert flags_of(text) == []


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("I do not like them, they should be shot.", "threat"),
        ("Foreigners must die", "threat"),
        ("Kill all of them", "threat"),
        ("Burn those people.", "threat"),
        ("You retard", "slur"),
        ("Call 089 123 456 78", "personal data"),
        ("Call +1 234 567 890", "personal data"),
        ("Call 612 345 678", "personal data"),
    ],
)
def test_what_is_like_an_ordinary_sentence_is_still_found(text, flag):
    assert flags_of(text) == [flag]


@pytest.mark.attack("screen", "words and lines that make patterns slow")
@pytest.mark.parametrize(
    "part",
    [
        "a",
        "1",
        "a.",
        "a@",
        "a@a",
        "www.",
        "1 ",
        "A1",
        "AA11 ",
        "müssen ",
        "kill ",
        "http://",
        "(1-",
        "1 000 ",
        "2019 ",
        "no child should ",
    ],
)
def test_the_screen_does_not_take_longer_than_texts_are_long(part):
    def seconds(n):
        text = part * (n // len(part))
        began = time.process_time()
        flags_of(text)
        return time.process_time() - began

    flags_of("once, so that the patterns are there")
    assert min(seconds(20_000) for _ in range(2)) < 0.5


@pytest.mark.attack("screen", "it is asked before the lock that everybody waits for")
def test_the_screen_is_asked_outside_the_lock(served, monkeypatch):
    browsers = served.joined(4)
    to_opinions(browsers)
    locked = []

    def asked(text):
        locked.append(served.place.store._writer.locked())
        return []

    monkeypatch.setattr(participant, "flags_of", asked)
    monkeypatch.setattr(answers, "flags_of", asked)
    browsers[0].send("/here/opinion", text=OPINION)
    assert locked == [False]
    assert served.count(OpinionRow) == 1
    browsers[1].send("/here/opinion", text="x" * 20_001)
    assert browsers[1].status == 413
