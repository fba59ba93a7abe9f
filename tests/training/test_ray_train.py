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

from commonweal.training.config import RewardConfig, read_config
from commonweal.training.reward.fitting import fit_reward_model

pytestmark = [pytest.mark.slow, pytest.mark.train, pytest.mark.timeout(1200)]

RECIPE = Path(__file__).parents[2] / "recipes" / "ray" / "train.py"
CONFIG = """
name = "tiny"
out = "{out}"
data.datasets = ["rounds"]
model = {{ backbone = "{encoder}", max_tokens = 32 }}
training = {{ max_steps = 20, eval_steps = 10, batch_size = {batch_size}, learning_rate = 2e-3 }}
"""


def test_two_processes_of_ray_train_learn_what_one_does(tmp_path):
    write_rounds(tmp_path / "rounds")
    encoder = write_encoder(tmp_path / "encoder")
    for name, size in (("one", 16), ("two", 8)):
        text = CONFIG.format(out=name, encoder=encoder, batch_size=size)
        (tmp_path / f"{name}.toml").write_text(text)
    one = read_config(tmp_path / "one.toml", RewardConfig)
    one.out.mkdir()
    alone = fit_reward_model(one)
    done = subprocess.run(
        [sys.executable, str(RECIPE), "reward", str(tmp_path / "two.toml"), "--workers", "2"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()
    losses = [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]
    expected = [entry["loss"] for entry in alone.history if "loss" in entry]
    assert len(losses) > 0
    assert np.allclose(losses, expected, rtol=1e-4)
    assert (tmp_path / "two" / "runtime").is_dir()
