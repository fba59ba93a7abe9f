"""A server of its own process, with a scripted writer: what a test may kill.

Run as a program: serving.py URL PORT SECONDS-OF-WRITING GROUP-SIZE.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(url: str, port: int, writing_seconds: float = 0.2, size: int = 4) -> subprocess.Popen:
    """The server's process, once it answers."""
    options = (url, str(port), str(writing_seconds), str(size))
    process = subprocess.Popen([sys.executable, str(Path(__file__)), *options])
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            httpx.get(f"http://127.0.0.1:{port}/health", timeout=5)
        except httpx.TransportError:
            assert process.poll() is None, "the server ended"
            time.sleep(0.05)
        else:
            return process
    process.kill()
    raise AssertionError("the server did not start")


def main() -> None:
    from study_making import ScriptedWriter, small_study

    from commonweal.study import jobs, server
    from commonweal.study.store import Store
    from commonweal.study.web.app import Site

    url, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    group = {"size": int(sys.argv[4]), "minimum": min(int(sys.argv[4]), 3)}
    jobs.LEASE_SECONDS = 2.0  # a job of a killed server is taken up after this

    class Slow(ScriptedWriter):
        def write(self, task, *, timeout_seconds):
            time.sleep(seconds)
            return super().write(task, timeout_seconds=timeout_seconds)

    store = Store(url)
    site = Site(store, store.open_study(small_study(group=group)), writer=Slow())
    server.serve(site, host="127.0.0.1", port=port)


if __name__ == "__main__":
    main()
