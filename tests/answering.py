"""A server whose texts follow from prompt and seed, or that fails; and groups to ask about."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

WORDS = ["fares", "drivers", "routes", "evenings", "villages", "taxes", "students", "snow"]

STATEMENT = "We settle {} together before anything else is done."


class Answering(ThreadingHTTPServer):
    """Answers each request after a while.

    Attributes:
        latency_seconds: of each answer.
        says: what it says, with words for {}.
        broken: words; a prompt with one of them is answered with an error.
        asked: how often each prompt and seed was answered well.
        towns: how often each number of a bus was asked about.
        n_most: requests under way at once, at most.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, latency_seconds: float, says: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.latency_seconds, self.says = latency_seconds, says
        self.broken: set[str] = set()
        self.asked: dict[str, int] = {}
        self.towns: Counter[str] = Counter()
        self.n_now = self.n_most = 0
        self.lock = threading.Lock()

    def handle_error(self, request, client_address) -> None:
        """Nothing: clients are killed."""

    @property
    def model(self) -> str:
        return f"openai:http://127.0.0.1:{self.server_port}/v1#words?max_attempts=1"


class _Handler(BaseHTTPRequestHandler):
    server: Answering
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = " ".join(message["content"] for message in asked["messages"])
        with self.server.lock:
            self.server.n_now += 1
            self.server.n_most = max(self.server.n_most, self.server.n_now)
        try:
            time.sleep(self.server.latency_seconds)
            if any(word in prompt for word in self.server.broken):
                self._say(503, {"error": {"message": "overloaded"}})
                return
            name = hashlib.sha256(f"{prompt} {asked.get('seed')}".encode()).hexdigest()
            with self.server.lock:
                self.server.asked[name] = self.server.asked.get(name, 0) + 1
                self.server.towns.update(re.findall(r"bus number (\d+)", prompt)[:1])
            order = np.random.default_rng(int(name[:8], 16)).permutation(WORDS)[:5]
            text = self.server.says.format(" and ".join(order))
            choice = {"index": 0, "finish_reason": "stop", "message": {"content": text}}
            usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": 20}
            self._say(200, {"choices": [choice], "usage": usage})
        finally:
            with self.server.lock:
                self.server.n_now -= 1

    def _say(self, status: int, told: object) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@contextmanager
def answering(latency_seconds: float = 0.0, says: str = STATEMENT) -> Iterator[Answering]:
    with Answering(latency_seconds, says) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def put_groups(path: Path, n: int, **others: str) -> Path:
    """A file with so many groups, and more: name to question."""
    asked = {f"town-{i}": f"Should bus number {i} be free?" for i in range(n)} | others
    lines = [
        json.dumps(
            {
                "id": name,
                "question": question,
                "opinions": [
                    f"Free for all, since {name} is poor.",
                    "Somebody has to pay for it.",
                    "Only for the young.",
                ],
            }
        )
        for name, question in asked.items()
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a finished batch with its bytes, but for its lock."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != ".lock"
    }
