"""A server of its own process, with a scripted writer: what a test may kill.

Its process is forked from one that has loaded everything, since a test that kills a hundred servers
would else spend its time with loading.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import httpx

import forking

START_SECONDS = 120


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Server:
    """A server's process: ``kill`` is kill -9."""

    def __init__(self, *options) -> None:
        self.process = forking.processes.Process(target=serve, args=options, daemon=True)
        self.process.start()

    def kill(self) -> None:
        self.process.kill()

    def wait(self) -> None:
        self.process.join()


def start(url: str, port: int, writing_seconds: float = 0.2, size: int = 4) -> Server:
    """The server, once it answers."""
    server = Server(url, port, writing_seconds, size)
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        with suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/health", timeout=5)
            return server
        assert server.process.is_alive(), "the server ended"
        time.sleep(0.05)
    server.kill()
    raise AssertionError("the server did not start")


def serve(url: str, port: int, writing_seconds: float, size: int) -> None:
    """What the process does."""
    from study_making import ScriptedWriter, small_study

    from commonweal.study.storage.store import Store
    from commonweal.study.web import server
    from commonweal.study.web.app import App
    from commonweal.study.writing import jobs

    jobs.LEASE_SECONDS = 2.0  # a job of a killed server is taken up after this

    class Slow(ScriptedWriter):
        def write(self, task, *, timeout_seconds):
            time.sleep(writing_seconds)
            return super().write(task, timeout_seconds=timeout_seconds)

    store = Store(url)
    study = small_study(group={"size": size, "minimum": min(size, 3)})
    app = App(store, store.open_study(study), writer=Slow())
    server.serve(app, server.bound("127.0.0.1", port))
