"""What deploy/compose.yaml starts, started without containers: its commands as processes here."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from serving import free_port

from answering import answering
from commonweal.datasets.dataset import read_dataset
from commonweal.study.simulation.bots import Bot, Browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"
COMMONWEAL = [sys.executable, "-m", "commonweal"]
N_PEOPLE, GROUP = 6, 3
SETTINGS = f"""
name = "deployed"
title = "Buses"
contact = "nobody"
purpose = "training"
languages = ["en"]
group = {{ size = {GROUP}, minimum = {GROUP} }}
rounds = {{ count = 1, passes = 1 }}
opinion = {{ min_characters = 20, max_characters = 1500 }}

[[questions]]
text = "Should local buses be free for everyone?"
position = "Local buses should be free for everyone."

[[arms]]
name = "one"
policy = "zero_shot"
model = "%s"
candidates = 3
shown = 2
"""


def wait_for(address: str, process: subprocess.Popen, seconds: float = 120) -> None:
    """Returns once the server answers."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/health", timeout=5).status_code == 200:
                return
        assert process.poll() is None, "a server ended"
        time.sleep(0.2)
    raise AssertionError("a server did not start")


def take_part(people: list[Bot], seconds: float) -> list[str]:
    """The page on which each one's part ended, each on their own server."""
    until = time.monotonic() + seconds
    for each in people:
        each.browser.get("/join")
    while time.monotonic() < until:
        left = [each for each in people if each.kind() != "end"]
        if not left:
            break
        for each in left:
            each.act()
        time.sleep(0.2)
    return [each.browser.key for each in people]


def test_the_commands_of_compose_lead_people_on_two_servers_to_their_statements(
    postgres_url, tmp_path
):
    """Members of one group are on different servers, the writing is the worker's."""
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    folder = tmp_path / "study"
    folder.mkdir()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "COMMONWEAL_DATABASE": postgres_url,
        "COMMONWEAL_OPENAI_API_KEY": "",
    }
    with ExitStack() as ending:
        server = ending.enter_context(answering(0.2))
        model = server.model.split("#")[0] + "#served"
        (folder / "study.toml").write_text(SETTINGS % model, encoding="utf-8")
        servers = {}
        for name in ("web-1", "web-2", "worker"):
            port = str(free_port())
            command = [
                {"/study": str(folder), "8000": port, "0.0.0.0": "127.0.0.1"}.get(word, word)
                for word in services[name]["command"][1:]
            ]
            if name != "worker":
                address = f"http://127.0.0.1:{port}"
                at = command.index("--base-url") + 1
                command[at] = address
            file = ending.enter_context((tmp_path / f"{name}.txt").open("w"))
            process = subprocess.Popen(
                [*COMMONWEAL, *command], env=environment, stdout=file, stderr=subprocess.STDOUT
            )
            if name != "worker":
                servers[address] = process
            ending.callback(process.wait, 60)
            ending.callback(process.terminate)
        for address, process in servers.items():
            wait_for(address, process)
        clients = [
            ending.enter_context(httpx.Client(base_url=address, timeout=60))
            for _, address in zip(range(N_PEOPLE), itertools.cycle(servers), strict=False)
        ]
        people = [
            Bot(Browser(client), np.random.default_rng(n)) for n, client in enumerate(clients)
        ]
        ended = take_part(people, seconds=300)
        said = {name: (tmp_path / f"{name}.txt").read_text() for name in ("web-1", "worker")}
        assert ended == ["end-complete"] * N_PEOPLE, said
        assert server.asked, "the model server wrote nothing"
        exported = subprocess.run(
            [*COMMONWEAL, "study", "export", str(folder), "--out", str(tmp_path / "out")],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert exported.returncode == 0, exported.stderr
    dataset = read_dataset(tmp_path / "out")
    assert dataset.rounds.height == N_PEOPLE // GROUP
    assert dataset.opinions.height == N_PEOPLE
    shown = dataset.candidates.filter(dataset.candidates["shown"])
    assert shown.height == 2 * dataset.rounds.height
    assert dataset.ratings.height >= shown.height * GROUP
