"""A hundred phones behind one address, neighbours that flood it, guesses at a login."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

import httpx
from serving import free_port, start
from sqlalchemy import select
from study_making import OPINION
from web_making import PASSWORD, logged_in, to_opinions

from commonweal.errors import InputError
from commonweal.study.domain import researchers
from commonweal.study.domain.researchers import log_in, set_researcher
from commonweal.study.simulation.bots import Browser
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import ParticipantRow
from commonweal.study.web import researcher
from commonweal.study.web.limits import FewAtOnce, Limits, TooMuchError, network_of

ROOM = "192.0.2.7"


def behind(served, address=ROOM):
    """A client at an address of its own."""
    client = served.client()
    client._transport.client = (address, 5000)
    return client


def flooded(served):
    """A neighbour of the room has used up what the address may ask for."""
    neighbour = behind(served)
    served.app.limits.per_address = 30
    for _ in range(40):
        neighbour.cookies.clear()
        answer = neighbour.get("/here")
    assert answer.status_code == 429


@pytest.mark.attack("one address", "a neighbour's flood: those who take part notice nothing")
def test_a_neighbours_flood_turns_nobody_out_who_is_known(served, record_property):
    browsers = served.joined(4)
    owner = logged_in(served)
    for each in (*browsers, owner):
        each._client._transport.client = (ROOM, 5000)
    flooded(served)
    for each in browsers:
        assert each.get("/here").status_code == 200
        each.send("/here/rate", agreement="5")
        assert each.status == 200
        each.send("/here/opinion", text=OPINION)
        assert each.status == 200
    assert owner.get("/researcher").status_code == 200
    record_property("tried", 40)


@pytest.mark.attack("one address", "a neighbour's flood: who comes new is let in at the second try")
def test_a_newcomer_comes_in_at_the_second_try(served):
    flooded(served)
    newcomer = behind(served)
    first = newcomer.get("/join")
    assert (first.status_code, first.headers["refresh"]) == (429, "3")
    assert newcomer.get("/join").status_code == 200
    made_up = behind(served)
    made_up.cookies.set("cw_form", "a" * 64)
    assert [made_up.get("/join").status_code for _ in range(1)] == [429]


@pytest.mark.attack("one address", "wrong links and streams of a neighbour spoil nobody's")
def test_wrong_links_of_a_neighbour_spoil_nobodys(served):
    browsers = served.joined(4)
    form = browsers[0].get("/here/device") and browsers[0].forms["/here/device"].fields
    answer = browsers[0]._client.post("/here/device", data=form)
    link = answer.text.partition("/i/")[2][:43]
    neighbour = behind(served)
    for _ in range(30):
        neighbour.cookies.clear()
        neighbour.get("/i/" + "x" * 43)
        neighbour.get("/here/events", headers={"cookie": "cw_here=" + "x" * 43})
    person = behind(served)
    assert person.get(f"/i/{link}").status_code == 200


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.attack("one address", "110 phones join, each looks whenever another has come")
def test_110_phones_behind_one_address(tmp_path, record_property):
    """A server of its own process, and more requests than the address of a stranger may send."""
    url, port = f"sqlite:///{tmp_path}/study.db", free_port()
    server = start(url, port, size=50)
    # A browser asks again where the server has just closed an idle connection; httpx does not.
    idle = httpx.Limits(keepalive_expiry=2)
    clients = [
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, limits=idle)
        for _ in range(110)
    ]
    phones, statuses, seconds = [Browser(client) for client in clients], Counter(), []
    began = time.monotonic()

    def look(client):
        at = time.monotonic()
        status = client.get("/here").status_code
        return status, time.monotonic() - at

    try:
        with ThreadPoolExecutor(4) as pool:
            for n, phone in enumerate(phones):
                statuses[phone.get("/join").status_code] += 1
                statuses[phone.send("/join", button="agree").status_code] += 1
                statuses[phone.send("/here/instructions").status_code] += 1
                statuses[phone.send("/here/check", answer0="2").status_code] += 1
                for status, took in pool.map(look, clients[: n + 1]):
                    statuses[status] += 1
                    seconds.append(took)
        assert {phone.headings[0] for phone in phones} <= {
            "Waiting for your group",
            "First, a statement to rate",
        }
    finally:
        server.kill()
        server.wait()
        for client in clients:
            client.close()
    store = Store(url)
    with store.read() as db:
        assert len(db.scalars(select(ParticipantRow.id)).all()) == 110
    store.close()
    assert set(statuses) == {200}
    assert statuses.total() > 6000
    p95 = sorted(seconds)[int(0.95 * len(seconds))]
    record_property("tried", 110)
    record_property(
        "figure",
        f"{statuses.total():,} requests in {time.monotonic() - began:.0f} s, none refused, "
        f"p95 of a look {1000 * p95:.0f} ms",
    )


@pytest.mark.heavy
def test_a_hundred_and_ten_phones_in_brief(served):
    browsers = [served.browser() for _ in range(110)]
    for each in browsers:
        each._client._transport.client = (ROOM, 5000)
        each.get("/join")
        each.send("/join", button="agree")
        assert each.status == 200
    assert served.count(ParticipantRow) == 110


@pytest.mark.attack("one address", "a script that joins again and again")
def test_joins_of_one_address_are_bounded(served, record_property):
    served.app.limits.joins = 5
    statuses = []
    for _ in range(12):
        client = behind(served)
        page = client.get("/join").text
        csrf = page.partition('name="csrf" value="')[2][:64]
        sent = client.post(
            "/join", data={"csrf": csrf, "decision": "agree"}, follow_redirects=False
        )
        statuses.append(sent.status_code)
    assert statuses == [303] * 5 + [429] * 7
    assert served.count(ParticipantRow) == 5
    record_property("tried", 12)


# ------------------------------------------------------------------------------------ the login


class Counting:
    """Argon2, counted: how often, and how often at once."""

    def __init__(self, hasher):
        self.hasher, self.lock = hasher, threading.Lock()
        self.n = self.now = self.most = 0

    def hash(self, password):
        return self.hasher.hash(password)

    def verify(self, *given):
        with self.lock:
            self.n, self.now = self.n + 1, self.now + 1
            self.most = max(self.most, self.now)
        try:
            time.sleep(0.02)
            return self.hasher.verify(*given)
        finally:
            with self.lock:
                self.now -= 1


def guess(client, name, password):
    page = client.get("/researcher/login").text
    csrf = page.partition('name="csrf" value="')[2][:64]
    fields = {"csrf": csrf, "name": name, "password": password}
    return client.post("/researcher/login", data=fields, follow_redirects=False).status_code


@pytest.mark.attack("login", "60 guesses at once from one address")
def test_parallel_guesses_are_counted_before_they_are_tried(served, monkeypatch, record_property):
    set_researcher(served.place.store, "ada", PASSWORD, "owner")
    counting = Counting(researchers._hasher)
    monkeypatch.setattr(researchers, "_hasher", counting)
    with ThreadPoolExecutor(30) as pool:
        statuses = list(pool.map(lambda n: guess(behind(served), "ada", f"wrong {n}"), range(60)))
    assert set(statuses) <= {403, 429}
    assert counting.n <= researcher.MAX_GUESSES
    assert counting.most <= 2
    record_property("tried", 60)
    record_property("figure", f"{counting.n} tested, {counting.most} at a time")


@pytest.mark.attack("login", "guesses from elsewhere do not lock out whose name it is")
def test_guesses_from_elsewhere_lock_nobody_out(served, record_property):
    set_researcher(served.place.store, "ada", PASSWORD, "owner")
    for n in range(30):
        guess(behind(served, f"198.51.100.{n % 3}"), "ada", "wrong")
    assert guess(behind(served, "203.0.113.5"), "ada", PASSWORD) == 303
    record_property("tried", 30)


@pytest.mark.attack("login", "guesses at many names from one address")
def test_guesses_at_many_names_are_few(served, monkeypatch, record_property):
    counting = Counting(researchers._hasher)
    monkeypatch.setattr(researchers, "_hasher", counting)
    statuses = [guess(behind(served), f"name{n}", "wrong") for n in range(40)]
    assert statuses == [403] * 20 + [429] * 20
    assert counting.n == 20
    record_property("tried", 40)


@pytest.mark.attack("login", "an address of IPv6 is a network of them")
def test_neighbours_in_ipv6_are_one():
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1")
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("testclient") == "testclient"


@pytest.mark.attack("login", "100,000 names fill the limiter: it turns strangers away")
def test_a_full_limiter_lets_nobody_through(record_property):
    now = [0.0]
    limits = Limits(clock=lambda: now[0])
    refused = 0
    for n in range(100_000):
        try:
            limits.count(f"login {n}", 8)
        except TooMuchError:
            refused += 1
    assert refused == 50_000
    for _ in range(8 - 1):
        limits.count("login 5", 8)
    with pytest.raises(TooMuchError):
        limits.count("login 5", 8)
    limits.count_token("GET", "somebody who is known")
    now[0] = 61.0
    limits.count("login 99999", 8)
    record_property("tried", 100_000)


@pytest.mark.attack("clock", "a clock that is set back does not prolong a limit")
def test_limits_do_not_follow_the_machines_clock(monkeypatch):
    limits = Limits()
    limits.count("a", 1)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    with pytest.raises(TooMuchError):
        limits.count("a", 1)


def test_what_is_dear_is_done_a_few_at_a_time():
    few = FewAtOnce(at_once=1, waiting=1)
    inside, go_on = threading.Event(), threading.Event()

    def work():
        with few:
            inside.set()
            go_on.wait(10)

    threads = [threading.Thread(target=work) for _ in range(2)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    until = time.monotonic() + 10
    while few._places._value and time.monotonic() < until:
        time.sleep(0.01)
    with pytest.raises(TooMuchError), few:
        pass
    go_on.set()
    for thread in threads:
        thread.join(10)
    with few:
        pass


@pytest.mark.attack("login", "names with blanks around them")
@pytest.mark.parametrize("name", [" eve ", "eve\t", "\u00a0eve"])
def test_a_name_with_blanks_can_log_in(served, name):
    set_researcher(served.place.store, name, PASSWORD, "owner")
    assert log_in(served.place.store, "eve", PASSWORD)
    assert guess(behind(served), name, PASSWORD) == 303


@pytest.mark.attack("login", "names and passwords as other keyboards and copied texts spell them")
@pytest.mark.parametrize(
    ("made", "typed"),
    [
        ("Jose\u0301", "José"),
        ("José", "Jose\u0301"),
        ("\u200beve", "eve"),
        ("eve", "eve\u200b\n"),
        ("ｅｖｅ", "eve"),
        ("eve\ufeff", "\teve\r\n"),
    ],
)
def test_however_a_name_is_spelt_it_can_log_in(served, made, typed):
    set_researcher(served.place.store, made, PASSWORD + " é\0", "owner")
    assert guess(behind(served), typed, PASSWORD + " e\u0301\0") == 303
    # One name to the limits too, however it is spelt.
    statuses = [guess(behind(served, "192.0.2.99"), each, "wrong") for each in (made, typed) * 6]
    assert statuses == [403] * researcher.MAX_GUESSES + [429] * (12 - researcher.MAX_GUESSES)


@pytest.mark.attack("login", "names that look like another's: Cyrillic, Greek, other cases")
@pytest.mark.parametrize("name", ["еve", "eνe", "EVE", "eve.", "e ve", "eve' --", "", "\u200b"])
def test_a_name_that_looks_alike_is_somebody_elses(served, name):
    set_researcher(served.place.store, "eve", PASSWORD, "owner")
    assert guess(behind(served), name, PASSWORD) == 403
    assert log_in(served.place.store, name, PASSWORD) is None


def test_a_password_that_cannot_be_sent_is_not_taken(served):
    with pytest.raises(InputError, match="1,001 characters, expected at most 1,000"):
        set_researcher(served.place.store, "eve", "x" * 1001, "owner")
    set_researcher(served.place.store, "eve", "ü" * 1000, "owner")
    assert guess(behind(served), "eve", "ü" * 1000) == 303
    assert guess(behind(served), "eve", "ü" * 1001) == 403
    assert guess(behind(served), "eve\u0301" * 3000, "é" * 9000) == 403


@pytest.mark.attack("drafts", "what refuses a draft is no page that says it was kept")
def test_a_refused_draft_is_no_success(served):
    browsers = served.joined(4)
    to_opinions(browsers)
    form = browsers[0].forms["/here/opinion"].fields
    client = browsers[0]._client
    served.app.limits.per_token = 3
    answers = [client.post("/here/draft", data={**form, "text": f"{n}"}) for n in range(6)]
    assert [each.status_code for each in answers[-3:]] == [429] * 3
    assert not any(each.status_code == 204 for each in answers[-3:])
