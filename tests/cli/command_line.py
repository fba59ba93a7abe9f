"""Runs the ``commonweal`` command, and a server that answers what it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import forking

COMMAND = str(Path(sys.executable).parent / "commonweal")
GROUPS = Path(__file__).parents[2] / "examples" / "groups"
WORDS = [
    "We want cheaper fares, and we differ on who should pay for them.",
    "Before anything else there must be more buses in the villages.",
    "Young riders could go free while all others pay something small.",
    "It would be best to try this out in one town first.",
]


def environment(**more: str) -> dict[str, str]:
    """That of this process without keys, plus what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return kept | {"COLUMNS": "100", "TERM": "dumb"} | more


def commonweal(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What the command said and how it ended, in a process forked from one that is loaded."""
    kept = environment(**(env or {}))
    return forking.command([*map(str, arguments)], env=kept, cwd=cwd, timeout=120)


def installed(
    *arguments: object, env: Mapping[str, str] | None = None, encoding: str = "utf-8", **options
) -> subprocess.CompletedProcess[str]:
    """The same of the installed command, which loads everything anew."""
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        capture_output=True,
        encoding=encoding,
        timeout=120,
        check=False,
        env=environment(**(env or {})),
        **options,
    )


def put_group(path: Path, opinions: list[str], question: str = "Should buses be free?") -> Path:
    people = [{"id": f"p{i + 1}", "text": text} for i, text in enumerate(opinions)]
    path.write_text(json.dumps({"question": question, "opinions": people}), encoding="utf-8")
    return path


class Server(ThreadingHTTPServer):
    """Answers each chat request with the next of its words, or, where told to hang, never."""

    daemon_threads = True
    words: list[str]
    hang = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.words = list(WORDS)
        self.asked = threading.Event()
        self.over = threading.Event()
        self.keys: list[str | None] = []
        self.lock = threading.Lock()

    @property
    def model(self) -> str:
        return f"openai:http://127.0.0.1:{self.server_port}/v1#words"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.keys.append(self.headers.get("Authorization"))
            words = self.server.words.pop(0) if self.server.words else ""
        self.server.asked.set()
        if self.server.hang:
            self.server.over.wait(60)
            return
        choice = {"index": 0, "finish_reason": "stop", "message": {"content": words}}
        body = json.dumps({"choices": [choice], "usage": {}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()
