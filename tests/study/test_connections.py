"""Half-sent requests: they hold no place for long, and nobody else is kept out."""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

import httpx
import uvicorn

from commonweal.study.web import server
from commonweal.study.web.connections import Unfinished, allow_many_files

HALF = b"GET /join HTTP/1.1\r\nHost: here\r\nX-Slow: "
BODY = (
    b"POST /join HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\ndecision=agree"
)


@contextmanager
def running(app, unfinished):
    """The port of a server as people get it, with the times of the test."""
    config = server.configuration(app, trusted_proxy="", unfinished=unfinished)
    made = uvicorn.Server(config)
    found = socket.create_server(("127.0.0.1", 0), backlog=2048)
    thread = threading.Thread(target=made.run, kwargs={"sockets": [found]}, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not made.started and time.monotonic() < until:
        time.sleep(0.01)
    yield found.getsockname()[1]
    made.should_exit = True
    thread.join(20)


def opened(stack, port, n, sends):
    found = []
    for _ in range(n):
        one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        if sends:
            one.sendall(sends)
        found.append(one)
    return found


def trickle(one, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        one.sendall(b"x")
        time.sleep(0.05)


def is_closed(one, seconds):
    """Whether the server has hung up within so many seconds, and answered nothing."""
    one.settimeout(seconds)
    try:
        return one.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.attack("slowloris", "1,100 half-sent requests of one address")
def test_half_sent_requests_shut_nobody_out(served, record_property):
    allow_many_files()
    unfinished = Unfinished()
    with running(served.app, unfinished) as port, ExitStack() as stack:
        opened(stack, port, 1100, HALF)
        began = time.monotonic()
        for _ in range(5):
            assert httpx.get(f"http://127.0.0.1:{port}/join", timeout=20).status_code == 200
        seconds = time.monotonic() - began
        assert len(unfinished._timers) <= unfinished.per_address
    record_property("tried", 1100)
    record_property("figure", f"5 pages meanwhile in {seconds:.1f} s")


@pytest.mark.attack("slowloris", "headers, bodies and silence that never end")
@pytest.mark.parametrize(
    "sends", [b"", b"\r\n", HALF, BODY], ids=["nothing", "a line end", "headers", "a body"]
)
def test_a_request_that_does_not_come_whole_is_closed(served, sends, caplog):
    unfinished = Unfinished(header_seconds=0.3, body_seconds=0.3)
    with (
        caplog.at_level(logging.WARNING),
        running(served.app, unfinished) as port,
        ExitStack() as stack,
    ):
        (one,) = opened(stack, port, 1, sends)
        assert is_closed(one, 10)
        until = time.monotonic() + 10
        while unfinished._timers and time.monotonic() < until:
            time.sleep(0.01)
        assert not unfinished._timers
        assert not unfinished._by_address
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


@pytest.mark.attack("slowloris", "a byte now and then, and a line end after an answer")
def test_what_trickles_gets_no_more_time(served):
    with (
        running(served.app, Unfinished(header_seconds=0.6)) as port,
        ExitStack() as stack,
    ):
        slow, idle = opened(stack, port, 2, b"")
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")
        assert idle.recv(4096).startswith(b"HTTP/1.1 200")
        idle.sendall(b"\r\n")  # uvicorn takes this for a sign of life
        began = time.monotonic()
        slow.sendall(HALF)
        with pytest.raises(OSError):  # noqa: PT011 - which one depends on what was under way
            trickle(slow, 20)
        assert time.monotonic() - began < 10
        assert is_closed(idle, 10)


def test_a_stream_and_a_slow_answer_are_left_alone(served):
    (browser,) = served.joined(1)
    cookie = f"cw_here={browser._client.cookies['cw_here']}".encode()
    asked = b"GET /here/events HTTP/1.1\r\nHost: here\r\nCookie: " + cookie + b"\r\n\r\n"
    unfinished = Unfinished(header_seconds=0.2, body_seconds=0.2)
    with running(served.app, unfinished) as port, ExitStack() as stack:
        (one,) = opened(stack, port, 1, asked)
        said = b""
        while b"event: ready" not in said:
            said += one.recv(4096)
        assert not is_closed(one, 1.0)
