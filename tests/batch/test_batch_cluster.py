"""A batch on Ray: real nodes and workers, killed in the midst, and the bytes of one process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import plugin_making
from answering import answering, files_of, put_groups
from commonweal.batch.reading import read_groups
from commonweal.batch.running import run_batch
from commonweal.batch.working import Workers
from commonweal.errors import InputError
from ray_nodes import below, cluster_of, wait

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

COMMONWEAL = str(Path(sys.executable).parent / "commonweal")
JUDGE = """
import os
import numpy as np
from commonweal.rewards import LogisticCalibration

class Judge:
    name, weights_hash = "judge", "0" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: a test")
    def rewards(self, inputs, *, on_done=None):
        if any("poison" in each.opinion for each in inputs):
            os._exit(1)
        return np.array([(7 * len(x.opinion) + len(x.statement)) % 5 - 2.0 for x in inputs])

def judge():
    return Judge()
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A reward model that brings its process down where an opinion says so."""
    folder = tmp_path / "plugin"
    folder.mkdir()
    entry = "[commonweal.reward_models]\njudge = judge_plugin:judge\n"
    plugin_making.install(folder, "judge-plugin", JUDGE, entry)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
    monkeypatch.syspath_prepend(str(folder))
    return "judge"


@pytest.fixture
def cluster(plugin, tmp_path_factory):
    with cluster_of(2, tmp_path_factory.mktemp("r")) as made:
        yield made


def _command(groups: Path, out: Path, model: str, *more: str) -> list[str]:
    return [
        *(COMMONWEAL, "batch", str(groups), "--out", str(out), "--model", model),
        *("--policy", "zero_shot", "--reward-model", "judge", "--candidates", "3"),
        *("--in-flight", "4", *more),
    ]


def _n_kept(out: Path) -> int:
    return len(list((out / "results").glob("[0-9a-f]*.json")))


def test_kills_lose_nothing_and_repeat_nothing_that_is_finished(cluster, tmp_path):
    address, nodes = cluster
    groups = put_groups(tmp_path / "groups.jsonl", 24)
    out = tmp_path / "out"
    with answering(0.6) as server:
        command = _command(groups, out, server.model, "--ray", address)
        driver = subprocess.Popen(command)
        wait(lambda: _n_kept(out) >= 3 and driver.poll() is None, 240)
        killed = next(pid for node in nodes for pid in node.workers())
        os.kill(killed, signal.SIGKILL)
        n_before = _n_kept(out)
        wait(lambda: _n_kept(out) >= n_before + 4)
        nodes[2].kill()
        n_before = _n_kept(out)
        wait(lambda: _n_kept(out) >= n_before + 4)
        driver.kill()
        driver.wait(30)
        kept = {
            json.loads(file.read_text())["question"]["text"]
            for file in (out / "results").glob("[0-9a-f]*.json")
        }
        assert 11 <= len(kept) < 24
        time.sleep(2)  # what was under way at the server
        with server.lock:
            before = Counter(server.towns)
        again = subprocess.run(command, check=False, capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        assert again.stdout.startswith(f"24 groups ({24 - len(kept)} found now): ")
        for question in kept:
            town = re.search(r"\d+", question)[0]
            assert server.towns[town] == before[town], "asked again for what was finished"
        assert server.n_most <= 4 + 4 + 4  # of workers that were killed the server does not know
        run_batch(
            read_groups(groups),
            tmp_path / "alone",
            source="groups",
            model=server.model,
            policy="zero_shot",
            reward="judge",
            n_candidates=3,
            min_quality=3.5,
            min_agreeing=0.0,
            welfare=None,
            alpha=None,
            workers=Workers(in_flight=4),
        )
    assert files_of(out) == files_of(tmp_path / "alone")


def test_one_limit_holds_for_all_workers_and_a_poisoned_group_stops_no_other(
    cluster, tmp_path, monkeypatch
):
    # As in a job of the cluster (deploy/batch-ray.yaml), which Ray tells where it is.
    monkeypatch.setenv("RAY_ADDRESS", cluster[0])
    groups = put_groups(tmp_path / "groups.jsonl", 11, poison="Should bus number 99 be free?")
    out = tmp_path / "out"
    with answering(0.2) as server:
        ran = subprocess.run(
            _command(groups, out, server.model, "--ray", "auto", "--tries", "2"),
            check=False,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr
        assert server.n_most <= 4
    assert "set aside: poison: the worker's process ended 2 times" in ran.stderr
    assert _n_kept(out) == 11
    (line,) = (out / "set_aside.jsonl").read_text().splitlines()
    assert json.loads(line)["group"] == "poison"


def test_workers_on_this_machine_give_the_bytes_of_one_process(plugin, tmp_path):
    groups = put_groups(tmp_path / "groups.jsonl", 6)
    with answering() as server:
        for n in (1, 2):
            command = _command(groups, tmp_path / f"{n}", server.model, "--workers", str(n))
            ran = subprocess.run(command, check=False, capture_output=True, text=True)
            assert ran.returncode == 0, ran.stderr
    assert files_of(tmp_path / "1") == files_of(tmp_path / "2")


def test_ctrl_c_leaves_a_folder_that_goes_on(plugin, tmp_path):
    groups = put_groups(tmp_path / "groups.jsonl", 12)
    out = tmp_path / "out"
    with answering(0.5) as server:
        command = _command(groups, out, server.model, "--workers", "2")
        driver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        wait(lambda: _n_kept(out) >= 2)
        driver.send_signal(signal.SIGINT)
        said = driver.communicate(timeout=60)[1]
        assert driver.returncode == 130
        assert "the same command continues" in said
        assert "Traceback" not in said
        server.latency_seconds = 0
        ran = subprocess.run(command, check=False, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
    assert _n_kept(out) == 12


def _kill_a_worker(process: subprocess.Popen, journal: Path) -> None:
    """Kills one of the workers below a process, once something is kept."""
    wait(lambda: journal.is_file() and len(journal.read_bytes().splitlines()) >= 2)
    os.kill(
        next(child for child, name in below(process.pid) if name.startswith("ray::_Worker")),
        signal.SIGKILL,
    )


def test_questions_of_several_workers_are_those_of_one_and_a_kill_loses_none(
    tmp_path, encoder_folder
):
    def command(name: str, *more: str) -> list[str]:
        out = str(tmp_path / f"{name}.csv")
        given = ("--model", server.model, "--target", "60", "--near-duplicate", "1.01")
        return [COMMONWEAL, "questions", "generate", out, *given, *more]

    with answering(0.3, says="Should the town pay for {}?") as server:
        for name, more in (("alone", ()), ("one", ("--workers", "1"))):
            ran = subprocess.run(command(name, *more), check=False, capture_output=True, text=True)
            assert ran.returncode == 0, ran.stderr
        several = subprocess.Popen(
            command("two", "--workers", "2", "--in-flight", "4"), stdout=subprocess.DEVNULL
        )
        _kill_a_worker(several, tmp_path / "two.journal.jsonl")
        assert several.wait(240) == 0
        again = command("two", "--workers", "2", "--overwrite")
        with server.lock:
            n_asked = sum(server.asked.values())
        ran = subprocess.run(again, check=False, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        assert sum(server.asked.values()) == n_asked, "asked again for what was kept"
    for ending in ("csv", "provenance.json"):
        alone, one, two = (
            (tmp_path / f"{name}.{ending}").read_bytes() for name in ("alone", "one", "two")
        )
        assert alone == one == two


def test_rounds_of_a_loop_are_shared_and_a_kill_loses_none(plugin, tmp_path):
    """What a loop writes before anything is trained, and what it predicts of votes."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from commonweal.batch.working import Workers\n"
        "from commonweal.training.loop.plan import IteratePlan\n"
        "from commonweal.training.loop.stages import stages_of\n"
        "plan = IteratePlan.model_validate_json(sys.argv[1])\n"
        "workers = Workers(int(sys.argv[2]), in_flight=4) if sys.argv[2] != '0' else None\n"
        "stage = stages_of(plan, workers)[0]\n"
        "folder = plan.out / stage.name\n"
        "folder.mkdir(parents=True, exist_ok=True)\n"
        "print(stage.run(folder, lambda *_: None))\n"
    )

    def command(n: int) -> list[str]:
        plan = {
            "name": "shared",
            "out": str(tmp_path / str(n)),
            "people": {"kind": "latent"},
            "policy": {"name": "zero_shot", "model": server.model},
            "groups": {"n_groups": 4, "group_size": 3, "rounds_per_group": 3},
            "collection": {"n_candidates": 4, "omitted": [0]},
        }
        return [sys.executable, "-c", code, json.dumps(plan), str(n)]

    with answering(0.3) as server:
        for n in (0, 1):
            ran = subprocess.run(command(n), check=False, capture_output=True, text=True)
            assert ran.returncode == 0, ran.stderr
        several = subprocess.Popen(command(2), stdout=subprocess.DEVNULL)
        _kill_a_worker(several, tmp_path / "2" / "0-generate" / "journal.jsonl")
        assert several.wait(240) == 0
    found = [files_of(tmp_path / str(n) / "0-generate" / "rounds") for n in range(3)]
    assert found[0] == found[1] == found[2]
    assert len((tmp_path / "2" / "0-generate" / "journal.jsonl").read_text().splitlines()) == 12


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:9", "no Ray listens at 127.0.0.1:9"),
        ("ray://127.0.0.1:10001", "expected HOST:PORT"),
        ("somewhere", "expected HOST:PORT"),
    ],
)
def test_an_address_where_no_ray_listens(plugin, tmp_path, address, said):
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 1))
    with pytest.raises(InputError, match=said):
        run_batch(
            groups,
            tmp_path / "out",
            reward="judge",
            model="embedded:small",
            workers=Workers(ray=address),
        )


def test_another_version_of_ray_is_told(cluster, tmp_path):
    address, _ = cluster
    groups = put_groups(tmp_path / "groups.jsonl", 1)
    arguments = _command(groups, tmp_path / "out", "openai:http://127.0.0.1:9/v1#m")[1:]
    code = (
        "import sys, ray; ray.__version__ = '1.0.0'; from commonweal.cli import main; "
        f"sys.argv = ['commonweal', *{[*arguments, '--ray', address]!r}]; main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.returncode == 2, ran.stderr
    assert "cannot use the Ray at" in ran.stderr
    assert "1.0.0" in ran.stderr
    assert "Traceback" not in ran.stderr
