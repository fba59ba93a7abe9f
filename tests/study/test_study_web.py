"""The pages without a browser: forms that work without scripts, and attacks on them."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from sqlalchemy import func, select
from starlette.testclient import TestClient
from study_making import OPINION, Place, ScriptedWriter, small_study

from commonweal.errors import InputError
from commonweal.study.bots import Browser
from commonweal.study.researchers import log_in, set_researcher
from commonweal.study.tables import Opinion, Participant, Rating, RecruiterIds, Sitting
from commonweal.study.web.app import Site
from commonweal.study.web.limits import CONTENT_SECURITY_POLICY
from commonweal.study.web.live import LOBBY
from commonweal.study.web.texts import catalogue, check_texts
from commonweal.study.web.visit import MAX_BODY_BYTES

HOSTILE = """<script>window.ran=1</script>"><img src=x onerror=alert(1)> {{ 7*7 }} {csrf}
'; DROP TABLE opinions; -- \x00\ud800 <|im_end|> </textarea></blockquote> %s ${7*7}"""
PASSWORD = "correct horse battery staple"


class Served:
    """A site with its place, and as many browsers as are wanted."""

    def __init__(self, tmp_path, config=None, kind="study"):
        self.place = Place(f"sqlite:///{tmp_path}/study.db", config, kind)
        self.site = Site(
            self.place.store, self.place.study_id, writer=ScriptedWriter(), in_background=False
        )

    def client(self, **headers):
        return TestClient(self.site.app, headers=headers, raise_server_exceptions=True)

    def browser(self, **headers):
        return Browser(self.client(**headers))

    def joined(self, n=1, path="/join"):
        """Browsers of people who are in the waiting room, or beyond it."""
        browsers = [self.browser() for _ in range(n)]
        for each in browsers:
            each.get(path)
            each.send("/join", button="agree")
            each.send("/here/instructions")
            each.send("/here/check", answer0="2")
        return browsers

    def count(self, what):
        with self.place.store.read() as db:
            return db.scalar(select(func.count()).select_from(what))


@pytest.fixture
def served(tmp_path):
    made = Served(tmp_path)
    yield made
    made.place.store.close()


def to_opinions(browsers):
    for each in browsers:
        each.get("/here")
        each.send("/here/rate", agreement="5")


def to_ratings(served, browsers):
    to_opinions(browsers)
    for each in browsers:
        each.send("/here/opinion", text=OPINION)
    served.site.worker.run_once()
    for each in browsers:
        each.get("/here")


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
    from pathlib import Path

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


# ----------------------------------------------------------------------------------- attacks


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


# ------------------------------------------------------------------------- the researcher's pages


def logged_in(served, role="owner"):
    set_researcher(served.place.store, role, PASSWORD, role)
    browser = served.browser()
    browser.get("/researcher/login")
    browser.send("/researcher/login", name=role, password=PASSWORD)
    return browser


def test_nobody_comes_in_without_a_password(served):
    browser = served.browser()
    for path in ("/researcher/audit", "/researcher/moderation", "/researcher/groups/g-1"):
        assert browser.get(path).status_code == 404
    browser.get("/researcher")
    assert browser.headings == ["Log in"]
    for name, password in (("", ""), ("ada", ""), ("ada", PASSWORD)):
        browser.send("/researcher/login", name=name, password=password)
        assert browser.status == 403
    with pytest.raises(InputError, match="at least 12"):
        set_researcher(served.place.store, "ada", "short", "owner")


def test_passwords_are_argon2_and_guesses_are_few(served):
    set_researcher(served.place.store, "ada", PASSWORD, "owner")
    assert log_in(served.place.store, "ada", PASSWORD)
    assert log_in(served.place.store, "ada", PASSWORD + "!") is None
    browser = served.browser()
    browser.get("/researcher/login")
    csrf = browser.forms["/researcher/login"].fields["csrf"]
    statuses = []
    for _ in range(10):
        browser.post("/researcher/login", {"csrf": csrf, "name": "ada", "password": "wrong"})
        statuses.append(browser.status)
    assert statuses == [403] * 8 + [429] * 2
    browser.post("/researcher/login", {"csrf": csrf, "name": "ada", "password": PASSWORD})
    assert browser.status == 429


def test_pause_extend_message_remove_release_are_done_and_audited(served):
    people = served.joined(4)
    owner = logged_in(served)
    owner.get("/researcher")
    (path,) = set(re.findall(r"/researcher/groups/g-\w+", owner.html))
    for action, says in (
        ("pause", "The study is paused"),
        ("resume", "Time until"),
        ("message", "Message from the team"),
    ):
        owner.get(path)
        fields = {"text": "Hello <b>all</b>"} if action == "message" else {}
        owner.send(f"{path}/{action}", **fields)
        people[0].get("/here")
        assert says in people[0].html
    assert "Hello &lt;b&gt;all&lt;/b&gt;" in people[0].html
    owner.get(path)
    owner.send(f"{path}/extend")
    owner.send(f"{path}/remove")
    owner.get(path)
    owner.send(f"{path}/release", sure="yes")
    ends = []
    for each in people:
        each.get("/here")
        ends.append(each.key)
    assert sorted(ends) == ["end-partial"] * 3 + ["end-removed"]
    owner.get("/researcher/audit")
    for kind in ("paused", "resumed", "extended", "message", "released"):
        assert f"<td>{kind}</td>" in owner.html


def test_a_moderator_moderates_and_nothing_else(tmp_path):
    served = Served(tmp_path, small_study(moderation={"mode": "review"}))
    people = served.joined(4)
    to_opinions(people)
    for each in people[1:]:
        each.send("/here/opinion", text=OPINION)
    people[0].send("/here/opinion", text=f"{OPINION} Write to me at jane@example.org, please.")
    people[0].get("/here")
    assert people[0].headings[0] == "A person is looking at an opinion"
    moderator = logged_in(served, "moderator")
    moderator.get("/researcher")
    assert moderator.headings[0] == "Moderation"
    assert "personal data" in moderator.headings[1]
    assert moderator.get("/researcher/audit").status_code == 403
    moderator.get("/researcher/moderation")
    moderator.send("/researcher/moderation", button="rejected")
    served.site.worker.run_once()
    writer = served.site.worker._writer
    assert len(writer.tasks[0].omit) == 1
    people[0].get("/here")
    assert people[0].headings[0] == "A person is looking at the statements"
    for _ in range(3):
        moderator.get("/researcher/moderation")
        moderator.send("/researcher/moderation", button="approved")
    people[0].get("/here")
    assert people[0].headings[0] == "Statement 1 of 6"


def test_what_is_offensive_is_not_shown(tmp_path):
    served = Served(tmp_path)
    served.site.worker._writer.text = "They should be shot, says plan {n} of {arm}."
    browsers = served.joined(4)
    to_ratings(served, browsers)
    assert browsers[0].headings[0] == "No statement this time"
    assert "shot" not in browsers[0].html
