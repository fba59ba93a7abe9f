"""Runs that are broken off: they go on to what a run that was never broken off comes to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra `train`: make test-train")

import torch
from safetensors.torch import load_file
from tiny_models import write_encoder, write_rounds
from tiny_policies import write_chatter, write_quality_rounds
from transformers import PreTrainedModel

from commonweal.training import run_folder
from commonweal.training.config import RewardConfig, SftConfig
from commonweal.training.reward.fitting import fit_reward_model
from commonweal.training.sft import fitting
from commonweal.training.sft.fitting import fit_policy

pytestmark = pytest.mark.train

TRAINING = {"max_steps": 8, "eval_steps": 2, "batch_size": 8}


def reward_run(folder: Path) -> tuple[Callable[..., Any], Callable[..., RewardConfig]]:
    model = {"backbone": str(write_encoder(folder / "encoder")), "max_tokens": 32}
    return fit_reward_model, tiny(RewardConfig, write_rounds(folder / "rounds"), model)


def policy_run(folder: Path) -> tuple[Callable[..., Any], Callable[..., SftConfig]]:
    model = {"base": str(write_chatter(folder / "chatter")), "lora_rank": 4}
    return fit_policy, tiny(SftConfig, write_quality_rounds(folder / "rounds"), model)


def tiny(kind: Any, rounds: Path, model: dict[str, Any]) -> Callable[..., Any]:
    """Makes configs of this kind: from a new folder and other fields of training."""

    def config(out: Path, **training: Any) -> Any:
        out.mkdir()
        return kind.model_validate(
            {
                "name": "tiny",
                "out": out,
                "data": {"datasets": [rounds]},
                "model": model,
                "training": TRAINING | training,
            }
        )

    return config


def weights(out: Path) -> dict[str, torch.Tensor]:
    (file,) = (out / run_folder.MODEL).glob("*.safetensors")
    return load_file(file)


class BrokenOffError(Exception):
    """As if the process ended here."""


def breaks_off(save: Callable[..., None]) -> Callable[..., None]:
    """``save``, but not into the folder of the trained network."""

    def saved(of: Any, folder: Any = None, *more: Any, **options: Any) -> None:
        if folder is not None and Path(folder).name == run_folder.MODEL:
            raise BrokenOffError
        save(of, folder, *more, **options)

    return saved


# Rates that rise from 0 to this make the loss worse: patience of 1 is used up before the last step.
TOO_FAST = {"patience": 1, "learning_rate": 1.0, "warmup_share": 0.9, "eval_steps": 1}


@pytest.mark.parametrize("training", [TOO_FAST, {"patience": 5}])
@pytest.mark.parametrize("kind", [reward_run, policy_run])
def test_what_was_trained_to_its_end_is_not_trained_on(kind, training, tmp_path, monkeypatch):
    """Broken off after the last checkpoint, with the network not yet written down."""
    fit, config = kind(tmp_path)
    whole = fit(config(tmp_path / "whole", **training))
    steps = [entry["step"] for entry in whole.history if "eval_loss" in entry]
    assert (steps[-1] < TRAINING["max_steps"]) == (training["patience"] == 1)
    broken = config(tmp_path / "broken", **training)
    with monkeypatch.context() as patched:
        for owner, name in ((PreTrainedModel, "save_pretrained"), (fitting._Trainer, "save_model")):
            patched.setattr(owner, name, breaks_off(getattr(owner, name)))
        with pytest.raises(BrokenOffError):
            fit(broken)
    assert not (broken.out / run_folder.FIT).exists()
    resumed = fit(broken)
    assert resumed.best_step == whole.best_step
    one, two = weights(tmp_path / "whole"), weights(broken.out)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert [e["step"] for e in resumed.history if "eval_loss" in e] == steps


def test_a_full_disk_keeps_the_last_whole_checkpoint(tmp_path):
    """No file may grow beyond a limit that holds the network and not the optimiser's state.

    The limit is the kernel's own, set after the first checkpoint.
    """
    _, config = reward_run(tmp_path)
    made = config(tmp_path / "out")
    code = (
        "import resource, sys\n"
        "import torch\n"
        "torch.set_num_threads(1)\n"
        "from commonweal.training import run_folder\n"
        "from commonweal.training.reward import fitting\n"
        "from commonweal.training.config import RewardConfig\n"
        "mark = run_folder.mark_whole\n"
        "def then_full(checkpoint):\n"
        "    mark(checkpoint)\n"
        "    n = (checkpoint / 'model.safetensors').stat().st_size * 3 // 2\n"
        "    assert n < (checkpoint / 'optimizer.pt').stat().st_size\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))\n"
        "run_folder.mark_whole = then_full\n"
        "try:\n"
        "    fitting.fit_reward_model(RewardConfig.model_validate_json(sys.argv[1]))\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, made.model_dump_json()], capture_output=True, text=True
    )
    assert ran.stdout.startswith("TrainingError training in"), (ran.stdout, ran.stderr[-2000:])
    assert "checkpoint-2 is kept. If the disk is full, make room" in ran.stdout
    assert len(ran.stdout.splitlines()) == 1
    assert run_folder.last_checkpoint(made.out).name == "checkpoint-2"
    assert fit_reward_model(made).history[-1]["step"] == TRAINING["max_steps"]
