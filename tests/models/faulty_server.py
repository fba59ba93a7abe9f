"""A small OpenAI-compatible server on loopback that misbehaves as it is told.

A *fault* answers one request. The script's faults are used up one a request, in order; after them
every request gets ``ordinary``: a proper completion, or what a real server behind it answers.
"""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = Callable[["Exchange"], None]


class Exchange(BaseHTTPRequestHandler):
    """One request and the means to answer it."""

    server: FaultyServer
    body: dict[str, Any]
    protocol_version = "HTTP/1.1"
    inside = False

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault = self.server.arrive(self)
        try:
            fault(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self.server.leave(self)

    def send(self, status: int, content: bytes, **headers: str) -> None:
        """Sends a whole answer. ``Retry_After="1"`` becomes ``Retry-After: 1``."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.server.leave(self)  # first: the client's next request may be here before this returns
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Stays quiet."""


class FaultyServer(ThreadingHTTPServer):
    """The server, as a context manager. It keeps every request and the most it saw at once."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64  # with the usual 5, a burst of clients waits a second to be let in

    def __init__(self, *script: Fault, ordinary: Fault | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self._script = list(script)
        self._ordinary = ordinary or completion()
        self._lock = threading.Lock()
        self._n_inside = 0
        self.most_at_once = 0
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.arrived = threading.Event()
        self.hung_up = threading.Event()  # a client left before its answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def arrive(self, exchange: Exchange) -> Fault:
        with self._lock:
            self._n_inside += 1
            exchange.inside = True
            self.most_at_once = max(self.most_at_once, self._n_inside)
            self.bodies.append({"path": exchange.path, **exchange.body})
            self.headers.append({k.lower(): v for k, v in exchange.headers.items()})
            fault = self._script.pop(0) if self._script else self._ordinary
        self.arrived.set()
        return fault

    def leave(self, exchange: Exchange) -> None:
        with self._lock:
            self._n_inside -= exchange.inside
            exchange.inside = False

    def __enter__(self) -> FaultyServer:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()
        self.server_close()


def answer_body(text: str | None, finish_reason: str | None = "stop", **more: Any) -> bytes:
    """A chat completion as JSON; ``more`` adds to or replaces its fields."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return json.dumps({"object": "chat.completion", "choices": [choice], **more}).encode()


def completion(**more: Any) -> Fault:
    """No fault: the text tells the last message and the seed that were sent."""

    def fault(exchange: Exchange) -> None:
        text = f"{exchange.body['messages'][-1]['content']}/{exchange.body.get('seed')}"
        exchange.send(200, answer_body(text, **more))

    return fault


def says(content: bytes, status: int = 200, **headers: str) -> Fault:
    return lambda exchange: exchange.send(status, content, **headers)


def error(status: int, message: str = "", **more: Any) -> Fault:
    """An error as OpenAI words it; ``headers`` among ``more`` are sent as such."""
    headers = more.pop("headers", {})
    content = json.dumps({"error": {"message": message, **more}}).encode()
    return says(content, status, **headers)


def cut_off(content: bytes | None = None) -> Fault:
    """Promises the whole answer, sends half of it and hangs up."""

    def fault(exchange: Exchange) -> None:
        whole = content or answer_body("half of this goes missing")
        exchange.send_response(200)
        exchange.send_header("Content-Length", str(len(whole)))
        exchange.end_headers()
        exchange.wfile.write(whole[: len(whole) // 2])
        exchange.close_connection = True

    return fault


def reset(exchange: Exchange) -> None:
    """Hangs up without a word."""
    exchange.close_connection = True


def hang(exchange: Exchange) -> None:
    """Never answers; notices when the client hangs up."""
    exchange.connection.settimeout(60)
    try:
        if exchange.connection.recv(1) == b"":
            exchange.server.hung_up.set()
    except (TimeoutError, ConnectionResetError):
        exchange.server.hung_up.set()
    exchange.close_connection = True


def drip(exchange: Exchange) -> None:
    """Sends a byte now and then, for ever: no single wait is long."""
    exchange.send_response(200)
    exchange.send_header("Content-Length", "100000")
    exchange.end_headers()
    for _ in range(1000):
        exchange.wfile.write(b" ")
        time.sleep(0.02)


def huge(exchange: Exchange) -> None:
    """Sends an answer without an end."""
    exchange.send_response(200)
    exchange.send_header("Connection", "close")
    exchange.end_headers()
    exchange.close_connection = True
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    for _ in range(1000):
        exchange.wfile.write(b" " * (1 << 20))


def slow(seconds: float, then: Fault) -> Fault:
    def fault(exchange: Exchange) -> None:
        time.sleep(seconds)
        then(exchange)

    return fault


def forward(upstream: str) -> Fault:
    """Passes the request on to the server at ``upstream`` (its root) and its answer back."""

    def fault(exchange: Exchange) -> None:
        request = urllib.request.Request(
            upstream + exchange.path,
            json.dumps(exchange.body).encode(),
            {"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            status, content = refusal.code, refusal.read()
        exchange.send(status, content)

    return fault
