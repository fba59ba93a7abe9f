"""``commonweal train``, through the installed command: mistakes are named, a run can be used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `train`: make test-train")

from command_line import commonweal

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from tiny_models import write_encoder, write_rounds

pytestmark = pytest.mark.train

CONFIG = """
name = "tiny"
out = "run"
[data]
datasets = ["{data}"]
[model]
backbone = "{backbone}"
max_tokens = 32
[training]
max_steps = 150
eval_steps = 75
learning_rate = 2e-3
batch_size = 16
"""


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, "no file"),
        ("name = 1", "field 'name'"),
        (CONFIG.format(data="nowhere", backbone="x"), "no dataset at"),
        (CONFIG.format(data="rounds", backbone="./nowhere"), "no model at "),
    ],
)
def test_mistakes_are_named(tmp_path, config, expected):
    write_rounds(tmp_path / "rounds")
    path = tmp_path / "c.toml"
    if config is not None:
        path.write_text(config)
    ran = commonweal("train", "reward", path, env={"OMP_NUM_THREADS": "1"})
    assert ran.returncode == 2, ran.stderr[-1000:]
    assert expected in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_run_says_what_it_did(tmp_path):
    write_rounds(tmp_path / "rounds")
    write_encoder(tmp_path / "encoder")
    path = tmp_path / "c.toml"
    path.write_text(CONFIG.format(data="rounds", backbone=tmp_path / "encoder"))
    ran = commonweal("train", "reward", path, env={"OMP_NUM_THREADS": "1"})
    assert ran.returncode == 0, ran.stderr[-1000:]
    for said in ("Trained: step", "Exported:", "Calibrated on", "made (ood_test):", "card.md"):
        assert said in ran.stdout
    again = commonweal("train", "reward", path, env={"OMP_NUM_THREADS": "1"})
    assert "is done already" in again.stdout
