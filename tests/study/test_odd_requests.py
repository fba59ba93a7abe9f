"""Requests that no browser sends: endless, of other kinds, with other people's addresses."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack, suppress

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

import httpx
from starlette.testclient import TestClient
from test_connections import opened, running
from web_making import Served, to_opinions

from commonweal.study.storage.tables import OpinionRow, ParticipantRow
from commonweal.study.web import server
from commonweal.study.web.connections import MAX_HEAD_BYTES, MAX_REQUEST_BYTES, Unfinished
from commonweal.study.web.request import MAX_BODY_BYTES

START = b"GET /join HTTP/1.1\r\nHost: here\r\n"
FORM = (
    b"POST /join HTTP/1.1\r\nHost: here\r\nContent-Length: 100000000\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
)
PIECE = 64 * 1024


def flood(one, start, piece, n_bytes):
    """Sends without end, and says how much the server took before it hung up."""
    one.settimeout(20)
    taken = 0
    with suppress(OSError):
        one.sendall(start)
        while taken < n_bytes:
            one.sendall(piece)
            taken += len(piece)
    return taken


@pytest.mark.attack("bodies", "headers, addresses and forms without end, of 100 MB")
@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (START + b"X-Long: ", b"y" * PIECE),
        (START, b"a: b\r\n" * 10_000),
        (b"GET /join?", b"x" * PIECE),
        (FORM, b"a" * PIECE),
        (FORM.replace(b"POST /join", b"GET /health"), b"a" * PIECE),
        (
            FORM.replace(b"Content-Length: 100000000", b"Transfer-Encoding: chunked"),
            b"%x\r\n" % PIECE + b"a" * PIECE + b"\r\n",
        ),
        (
            FORM.replace(b"Content-Length: 100000000", b"Transfer-Encoding: chunked") + b"0\r\n",
            b"a: b\r\n" * 10_000,  # after the body
        ),
    ],
    ids=["a header", "headers", "an address", "a form", "a body of GET", "chunks", "trailers"],
)
def test_what_has_no_end_is_cut_off(served, start, piece):
    with running(served.app, Unfinished()) as port, ExitStack() as stack:
        (one,) = opened(stack, port, 1, b"")
        taken = flood(one, start, piece, 100_000_000)
        # What stands in the system's buffers was taken by nobody.
        assert taken < 20_000_000
        assert httpx.get(f"http://127.0.0.1:{port}/join", timeout=20).status_code == 200


def test_what_is_as_large_as_may_be_is_answered(served):
    """The limits are above what is asked for: a large form is told so, a large cookie is none."""
    with running(served.app, Unfinished()) as port:
        address = f"http://127.0.0.1:{port}"
        cookie = {"cookie": f"other={'x' * (MAX_HEAD_BYTES // 2)}"}
        assert httpx.get(f"{address}/join", headers=cookie).status_code == 200
        form = {"csrf": "x" * (MAX_BODY_BYTES + 1)}
        assert httpx.post(f"{address}/join", data=form).status_code == 413
        assert MAX_REQUEST_BYTES > MAX_BODY_BYTES + MAX_HEAD_BYTES
        with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
            one.sendall(START + b"X-Long: " + b"y" * 2 * MAX_HEAD_BYTES)
            with suppress(OSError):  # the answer may be overtaken by the end of the connection
                assert one.recv(100).startswith((b"HTTP/1.1 431", b""))
        # Many small requests in one piece are many requests.
        with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
            one.sendall((START.replace(b"/join", b"/health") + b"\r\n") * 4000)
            said = b""
            while said.count(b"200 OK") < 4000:
                piece = one.recv(PIECE)
                assert piece, said.count(b"200 OK")
                said += piece


@pytest.mark.heavy
@pytest.mark.attack("pages", "other methods than GET and POST, on every page")
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "ODD"])
def test_other_methods_change_nothing(served, method):
    browsers = served.joined(4)
    to_opinions(browsers)
    form = {**browsers[0].forms["/here/opinion"].fields, "sure": "yes", "decision": "agree"}
    client = browsers[0]._client
    for path in ("/join", "/here", "/here/opinion", "/here/delete", "/here/leave", "/here/data"):
        answer = client.request(method, path, data=form, follow_redirects=False)
        assert answer.status_code == (200 if method == "HEAD" else 405) or (
            method == "HEAD" and answer.status_code in (303, 405)
        )
    assert (served.count(ParticipantRow), served.count(OpinionRow)) == (4, 0)
    assert client.get("/here").status_code == 200


@pytest.mark.heavy
@pytest.mark.attack("pages", "queries of 60,000 characters, and odd ones")
@pytest.mark.parametrize(
    "query",
    [
        f"lang={'x' * 60_000}",
        f"code={'9' * 60_000}",
        f"before={'9' * 5000}",
        "lang=%ff%00",
        "stale=1&stale=2&lang=de&lang=xx",
        "%",
        "&".join("a=1" for _ in range(10_000)),
        "PID=%0d%0aSet-Cookie:%20cw_here=x",
    ],
    ids=lambda query: query[:12],
)
def test_odd_queries_are_answered_with_pages(served, query):
    (browser,) = served.joined(1)
    for path in ("/join", "/here", "/here/data", "/researcher/login", "/researcher/audit", "/i/x"):
        answer = browser._client.get(f"{path}?{query}", follow_redirects=False)
        assert answer.status_code < 500
        assert "cw_here=x" not in str(answer.headers)
        assert len(answer.content) < 200_000


@pytest.mark.attack("pages", "files beside the static ones, and thousands of ranges of one")
def test_static_files_are_all_that_is_served(served):
    client = served.client()
    for path in (
        *("../app.py", "%2e%2e/app.py", "..%2f..%2fstore.py", "%2fetc/passwd", "%00", "..\\app.py"),
        *("study.js/../../app.py", ".", ""),
    ):
        assert client.get(f"/static/{path}").status_code == 404, path
    ranges = ",".join(f"{n}-{n + 1}" for n in range(0, 9000, 3))
    for asked in (f"bytes={ranges}", "bytes=99999999999-", "bytes=-0", "bytes=a-b", "bytes=0-0"):
        answer = client.get("/static/study.js", headers={"range": asked})
        assert answer.status_code in (200, 206, 400, 416)
        assert len(answer.content) < 2_000_000


@pytest.mark.heavy
@pytest.mark.attack("links", "Host headers that are none, with ports, paths and quotes")
@pytest.mark.parametrize(
    "host", ["testserver:99999", "[", "[::1", "a/b?c=", "evil@x", "", "x" * 9000, '"><b>', "a b"]
)
def test_no_host_header_is_a_fault_or_a_link(served, host):
    (browser,) = served.joined(1)
    form = browser.get("/here/device") and browser.forms["/here/device"].fields
    client, headers = browser._client, {"host": host}
    answer = client.post("/here/device", data=form, headers=headers)
    assert re.search(r"http://testserver/i/[\w-]{43}\b", answer.text)
    assert "<b>" not in answer.text
    for path in ("/join", "/here", "/nothing", "/i/x", "/here/data.json"):
        assert client.get(path, headers=headers).status_code in (200, 404)


def behind_proxy(served, **headers):
    """A client of a server that believes the proxy that the client is."""
    config = server.configuration(served.app, trusted_proxy="testclient, 192.0.2.1")
    config.load()
    return TestClient(config.loaded_app, headers=headers)


@pytest.mark.attack("one address", "X-Forwarded-For: made up, behind a proxy and without one")
def test_nobody_chooses_their_own_address(served):
    served.app.limits.per_address = 5
    # Without a proxy that is trusted it says nothing.
    spoofed = [
        served.client(**{"x-forwarded-for": f"203.0.113.{n}", "forwarded": f"for=203.0.113.{n}"})
        for n in range(8)
    ]
    assert [each.get("/join").status_code for each in spoofed] == [200] * 5 + [429] * 3
    # A proxy appends the address that it sees to what the client made up.
    made_up = [f"203.0.113.{n}, 198.51.100.7" for n in range(8)]
    answers = [behind_proxy(served, **{"x-forwarded-for": each}).get("/join") for each in made_up]
    assert [each.status_code for each in answers] == [200] * 5 + [429] * 3
    other = behind_proxy(served, **{"x-forwarded-for": "198.51.100.7, 198.51.100.8"})
    assert other.get("/join").status_code == 200


@pytest.mark.attack("shared devices", "cookies of another study on the same host name")
def test_another_studys_cookies_are_nobodys_here(served, tmp_path):
    (tmp_path / "other").mkdir()
    other = Served(tmp_path / "other")
    mine, theirs = served.joined(1)[0], other.joined(1)[0]
    cookies = dict(theirs._client.cookies)  # a browser knows hosts, and no ports
    mine._client.cookies.clear()
    mine._client.cookies.update(cookies)
    assert mine._client.get("/here").status_code == 401
    # Whoever comes so can still join, and is nobody else.
    mine.get("/join")
    mine.send("/join", button="agree")
    assert mine.headings == ["How it works"]
    assert served.count(ParticipantRow) == 2
    other.place.store.close()
