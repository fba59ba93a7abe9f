"""A whole training loop, networks and all, by the workers of a cluster: what one process makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `train`: make test-train")
pytest.importorskip("ray", reason="needs the extra `scale`")

from tiny_models import write_encoder
from tiny_policies import write_chatter

import plugin_making
from answering import Answering, answering
from commonweal.datasets.dataset import read_dataset
from ray_nodes import cluster_of, wait

pytestmark = [pytest.mark.slow, pytest.mark.train, pytest.mark.timeout(1800)]

COMMONWEAL = str(Path(sys.executable).parent / "commonweal")
TASTE = """
import numpy as np
from commonweal.rewards import LogisticCalibration

class Taster:
    name, weights_hash = "taste", "0" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: a test")
    def rewards(self, inputs, *, on_done=None):
        return np.array([(7 * len(x.opinion) + len(x.statement)) % 5 - 2.0 for x in inputs])

def taste():
    return Taster()
"""
PLAN = """
name = "tiny"
out = "{out}"
iterations = 1
people = {{ kind = "latent" }}
policy = {{ name = "zero_shot", model = "{model}" }}
groups = {{ n_groups = 4, group_size = 4, rounds_per_group = 3 }}
collection = {{ n_candidates = 4, n_shown = 4, omitted = [0] }}

[sft]
data = {{ min_quality = 1.0 }}
model = {{ base = "{chatter}", lora_rank = 0 }}
training = {{ max_steps = 2, eval_steps = 2, batch_size = 2 }}

[reward]
fallback = "taste"
model = {{ backbone = "{encoder}", max_tokens = 32 }}
training = {{ max_steps = 4, eval_steps = 4, batch_size = 8, learning_rate = 2e-3 }}

[evaluation]
n_groups = 3
rounds_per_group = 2
policies = ["zero_shot", "sft_base"]
n_candidates = 2
n_resamples = 1000
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    folder = tmp_path / "plugin"
    folder.mkdir()
    entry = "[commonweal.reward_models]\ntaste = taste_plugin:taste\n"
    plugin_making.install(folder, "taste-plugin", TASTE, entry)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def two_nodes(plugin, tmp_path_factory):
    with cluster_of(2, tmp_path_factory.mktemp("r")) as made:
        yield made


def put_plan(folder: Path, name: str, server: Answering) -> Path:
    path = folder / f"{name}.toml"
    text = PLAN.format(
        out=name,
        model=server.model,
        chatter=folder / "chatter",
        encoder=folder / "encoder",
    )
    path.write_text(text)
    return path


def n_lines(path: Path) -> int:
    return len(path.read_bytes().splitlines()) if path.is_file() else 0


def failures(stage: Path) -> dict[str, str]:
    """What could not be written, by round, without the loop's folder."""
    text = (stage / "journal.jsonl").read_text().replace(str(stage.parent), "")
    rounds = map(json.loads, text.splitlines())
    return {each["round_id"]: " ".join(each["failures"]) for each in rounds}


def test_a_loop_on_two_nodes_of_which_one_is_killed_is_that_of_one_process(two_nodes, tmp_path):
    address, nodes = two_nodes
    for name in ("chatter", "encoder"):
        (tmp_path / name).mkdir()
    write_chatter(tmp_path / "chatter")
    write_encoder(tmp_path / "encoder")
    with answering(0.5) as server:
        plan = put_plan(tmp_path, "alone", server)
        ran = subprocess.run(
            [COMMONWEAL, "iterate", str(plan), "--workers", "1"], capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr[-3000:]

        plan, out, said = put_plan(tmp_path, "nodes", server), tmp_path / "nodes", tmp_path / "said"
        command = [COMMONWEAL, "iterate", str(plan), "--ray", address, "--in-flight", "4"]
        with said.open("w") as file:
            driver = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)

        def has_kept(stage: str, n: int) -> bool:
            assert driver.poll() is None, said.read_text()[-3000:]
            return n_lines(out / stage / "journal.jsonl") >= n

        # A node goes while opinions become statements, and comes again; the loop goes on.
        wait(lambda: has_kept("0-generate", 1), 300)
        assert [len(node.workers()) for node in nodes] == [0, 1, 1]
        nodes[2].kill()
        nodes[2].start()
        nodes[2].wait()
        # The loop's own process goes while what it trained is compared; the same command goes on.
        wait(lambda: has_kept("evaluate", 1), 600)
        driver.kill()
        driver.wait(30)
        n_kept = n_lines(out / "evaluate" / "journal.jsonl")
        again = subprocess.run(command, capture_output=True, text=True)
        assert again.returncode == 0, again.stderr[-3000:]
    assert 1 <= n_kept < 6
    assert (out / "0-sft" / "run" / "policy").is_dir()
    for stage, folder in (("0-generate", "rounds"), ("0-rate", "rated"), ("evaluate", "rated")):
        one, two = (read_dataset(tmp_path / name / stage / folder) for name in ("alone", "nodes"))
        for table, rows in one.tables().items():
            assert rows.equals(two.tables()[table]), (stage, table)
        assert one.candidates.height > 0
    # Of the trained policy, a random network, nothing can be shown; each round says so.
    one, two = (failures(tmp_path / name / "evaluate") for name in ("alone", "nodes"))
    assert len(one) == 6
    assert one == two
    assert all("sft_base: none of 7 completions by hf:" in each for each in one.values())
    assert (out / "evaluate" / "report.html").is_file()
