"""A real cluster of Ray on this machine: a head and nodes by ``ray start``, which can be killed."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

RAY = str(Path(sys.executable).parent / "ray")


def _port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _children() -> dict[int, tuple[int, str]]:
    """Of each process its parent and its name."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int(re.search(r"PPid:\t(\d+)", (folder / "status").read_text())[1])
            found[int(folder.name)] = parent, (folder / "cmdline").read_text()
    return found


def below(pid: int) -> list[tuple[int, str]]:
    """The processes that this one has started, theirs too, with their names."""
    there = _children()
    found, parents = [], [pid]
    while parents:
        parent = parents.pop()
        children = [(child, name) for child, (of, name) in there.items() if of == parent]
        found += children
        parents += [child for child, _ in children]
    return found


class Node:
    """A node of a cluster: ``ray start`` and all that it starts."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self.start()

    def start(self) -> None:
        """Starts the node; ``wait`` returns once it is part of the cluster."""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the node
        self.process = subprocess.Popen(
            [RAY, "start", "--block", "--disable-usage-stats", *self._arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
        )

    def wait(self) -> None:
        """Returns once the node has joined.

        A node whose agents take longer than 15 s to start ends itself (ray-project/ray#65983), as
        happens where the machine has much else to do. It is then started again.
        """

        def look() -> bool:
            if self.process.poll() is not None:
                self.kill()
                self.start()
            self._said.seek(0)
            return b"Ray runtime started" in self._said.read()

        wait(look, 600)

    def workers(self, name: str = "_Worker") -> list[int]:
        """The processes of actors of this class on the node."""
        return [pid for pid, it in below(self.process.pid) if it.startswith(f"ray::{name}")]

    def kill(self) -> None:
        """Ends all of it at once, as when a machine loses its power."""
        doomed = [pid for pid, _ in below(self.process.pid)]
        for pid in (self.process.pid, *doomed):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)


def wait(look: Callable[[], object], seconds: float = 120) -> None:
    """Returns once it does not return False, nor finds a file missing."""
    until = time.monotonic() + seconds
    while True:
        try:
            if look() is not False:
                return
        except OSError:
            pass
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.1)


@contextlib.contextmanager
def cluster_of(n_nodes: int, place: Path) -> Iterator[tuple[str, list[Node]]]:
    """A head without processors, and nodes with one each, who know each other by a token.

    Args:
        n_nodes: beside the head.
        place: an empty folder whose name no other cluster has.

    Yields:
        The address, and the nodes, the head first.
    """
    import ray

    port = _port()
    # Ray itself takes the network's address for 127.0.0.1, and waits there.
    address = f"{ray.util.get_node_ip_address()}:{port}"
    store = ("--object-store-memory", "80000000")
    nodes: list[Node] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_AUTH_MODE", "token")
        patched.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        try:
            nodes.append(
                Node(
                    *("--head", "--port", str(port), "--num-cpus", "0"),
                    # A short path: sockets lie in it.
                    *("--include-dashboard", "false", "--temp-dir", f"/tmp/{place.name}-{port}"),
                    *store,
                )
            )
            nodes[0].wait()
            nodes += [Node("--address", address, "--num-cpus", "1", *store) for _ in range(n_nodes)]
            for node in nodes:
                node.wait()
            yield address, nodes
        finally:
            for node in reversed(nodes):
                node.kill()
