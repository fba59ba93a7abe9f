"""`commonweal study quick` with a scripted writer, as a process that a test may end.

Run as a program: quick_session.py PORT [OPTION...]. It asks no model, and prints as the command.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx


@dataclass
class Begun:
    """A session that runs: its process, address, the link to join with and the facilitator's."""

    process: subprocess.Popen
    address: str
    link: str
    facilitator: str


def launch(folder: Path, *more: str, **environment: str) -> tuple[subprocess.Popen, int]:
    """The process of a quick session whose files are in ``folder``, and its port."""
    from serving import free_port

    port = free_port()
    process = subprocess.Popen(
        [sys.executable, __file__, str(port), *more],
        env={
            **os.environ,
            "TMPDIR": str(folder),
            "COMMONWEAL_DATA": str(folder / "data"),
            **environment,
        },
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return process, port


def begin(folder: Path, *more: str) -> Begun:
    """A quick session in a process of its own, once it answers; its files are in ``folder``."""
    process, port = launch(folder, *more)
    address = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 90
    while True:
        try:
            httpx.get(f"{address}/health", timeout=10)
            break
        except httpx.TransportError:
            assert process.poll() is None, "the session ended"
            assert time.monotonic() < until
            time.sleep(0.05)
    said = {}
    for line in process.stdout:
        what, _, link = line.partition(": ")
        said[what] = link.strip()
        if what.startswith("You"):
            break
    return Begun(process, address, said["People join"], said["You (keep secret)"])


def main() -> None:
    from study_making import ScriptedWriter

    from commonweal.cli import main as commonweal
    from commonweal.cli import study_quick

    def ready_writer(*_given, **_named):
        time.sleep(float(os.environ.get("LOADS_SECONDS", "0")))  # as a model does
        return ScriptedWriter()

    study_quick.ready_writer = ready_writer
    port, *more = sys.argv[1:]
    asked = ["study", "quick", "Should buses be free?", "--host", "127.0.0.1", "--port", port]
    sys.argv = ["commonweal", *asked, *more]
    sys.exit(commonweal())


if __name__ == "__main__":
    main()
