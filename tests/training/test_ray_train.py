"""Training in several processes of a Ray cluster learns what one process learns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `train`: make test-train")
pytest.importorskip("ray", reason="needs the extra `scale`")

from tiny_models import write_encoder, write_rounds

from commonweal.training import run_folder
from commonweal.training.config import RewardConfig, read_config
from commonweal.training.reward.fitting import fit_reward_model
from ray_nodes import cluster_of, wait

pytestmark = [pytest.mark.slow, pytest.mark.train, pytest.mark.timeout(1200)]

RECIPE = Path(__file__).parents[2] / "recipes" / "ray" / "train.py"
CONFIG = """
name = "tiny"
out = "{out}"
data.datasets = ["rounds"]
model = {{ backbone = "{encoder}", max_tokens = 32 }}
training = {{ max_steps = {steps}, eval_steps = 10, batch_size = {batch_size}, \
learning_rate = 2e-3, patience = 1000 }}
"""


def put_data(folder: Path) -> None:
    write_rounds(folder / "rounds")
    write_encoder(folder / "encoder")


def put_config(folder: Path, name: str, *, steps: int, batch_size: int) -> Path:
    path = folder / f"{name}.toml"
    encoder = folder / "encoder"
    path.write_text(CONFIG.format(out=name, encoder=encoder, steps=steps, batch_size=batch_size))
    return path


def losses_alone(folder: Path, steps: int) -> list[float]:
    """What one process learns, with as many rows a step as two have together."""
    one = read_config(put_config(folder, "one", steps=steps, batch_size=16), RewardConfig)
    one.out.mkdir()
    return [entry["loss"] for entry in fit_reward_model(one).history if "loss" in entry]


def losses_of(out: Path) -> list[float]:
    """What was logged in a run's folder."""
    lines = (out / run_folder.METRICS).read_text().splitlines()
    return [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]


def command(config: Path, *more: str) -> list[str]:
    return [sys.executable, str(RECIPE), "reward", str(config), "--workers", "2", *more]


@pytest.fixture(autouse=True)
def one_thread_each(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


def test_two_processes_of_ray_train_learn_what_one_does(tmp_path):
    put_data(tmp_path)
    expected = losses_alone(tmp_path, 20)
    config = put_config(tmp_path, "two", steps=20, batch_size=8)
    done = subprocess.run(command(config), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    losses = losses_of(tmp_path / "two")
    assert len(losses) == 20
    assert np.allclose(losses, expected, rtol=1e-4)
    assert (tmp_path / "two" / "runtime").is_dir()


@pytest.fixture
def two_nodes(tmp_path_factory):
    with cluster_of(2, tmp_path_factory.mktemp("r")) as made:
        yield made


def test_a_process_on_each_of_two_nodes_of_which_one_is_killed(two_nodes, tmp_path):
    """It goes on from the last checkpoint, and comes to what was never broken off."""
    address, nodes = two_nodes
    put_data(tmp_path)
    whole = put_config(tmp_path, "whole", steps=200, batch_size=8)
    done = subprocess.run(command(whole, "--ray", address), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]

    said = tmp_path / "said"
    config = put_config(tmp_path, "killed", steps=200, batch_size=8)
    out = tmp_path / "killed"
    with said.open("w") as file:
        driver = subprocess.Popen(
            command(config, "--ray", address), stdout=file, stderr=subprocess.STDOUT
        )

    def is_on_its_way() -> bool:
        assert driver.poll() is None, said.read_text()[-3000:]
        return run_folder.last_checkpoint(out) is not None

    wait(is_on_its_way, 300)
    there = [node.workers("RayTrainWorker") for node in nodes]
    assert [len(each) for each in there] == [0, 1, 1]
    nodes[2].kill()
    kept = run_folder.last_checkpoint(out)
    nodes[2].start()
    nodes[2].wait()
    wait(lambda: [len(node.workers("RayTrainWorker")) for node in nodes] == [0, 1, 1], 300)
    again = [node.workers("RayTrainWorker") for node in nodes]
    assert not {pid for each in again for pid in each} & {pid for each in there for pid in each}
    assert driver.wait(600) == 0, said.read_text()[-3000:]

    assert kept is not None
    assert int(kept.name.split("-")[1]) < 200, "it was done before the node was killed"
    losses = losses_of(out)
    assert len(losses) == 200
    assert np.allclose(losses, losses_of(tmp_path / "whole"), rtol=1e-6)
    # Later, rounding alone leads elsewhere.
    assert np.allclose(losses[:10], losses_alone(tmp_path, 200)[:10], rtol=1e-4)
    assert (out / "runtime").is_dir()
