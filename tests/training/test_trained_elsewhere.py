"""What TRL and PEFT save by themselves loads as a reward model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `train`: make test-train")

import torch
from peft import AutoPeftModelForSequenceClassification, LoraConfig
from tiny_models import WORDS, made_rounds, write_decoder, write_rounds
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import RewardConfig, RewardTrainer
from typer.testing import CliRunner

from commonweal.cli.app import app
from commonweal.errors import InputError
from commonweal.rewards import load_reward_model
from commonweal.rewards.pair_text import PairText
from commonweal.training.reward.export import export_trained
from commonweal.types import RewardInput
from datasets import Dataset as Rows

pytestmark = pytest.mark.train

TEMPLATE = "question : {question} opinion : {opinion} statement : {statement}"


def trained_by_trl(folder: Path, *, lora: bool) -> Path:
    """A reward model by TRL alone: who wants a thing agrees with the statement that wants it."""
    base = folder / "base"
    write_decoder(base)
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(base)
    network: Any = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=1, dtype=torch.float32
    )
    network.config.pad_token_id = tokenizer.pad_token_id

    def text(wanted: str, word: str) -> str:
        given = RewardInput("Which?", f"We want more {wanted}", f"We need {word}")
        return PairText(TEMPLATE, 64).fill(given)

    rows = [
        {"chosen": text(wanted, wanted), "rejected": text(wanted, other)}
        for wanted in WORDS
        for other in WORDS
        if other != wanted
    ]
    config = LoraConfig(task_type="SEQ_CLS", r=8, target_modules="all-linear") if lora else None
    trainer = RewardTrainer(
        model=network,
        args=RewardConfig(
            output_dir=str(folder / "run"),
            max_steps=60,
            learning_rate=2e-2 if lora else 2e-3,
            per_device_train_batch_size=12,
            report_to="none",
            save_strategy="no",
            seed=0,
            use_cpu=True,
        ),
        train_dataset=Rows.from_list(rows * 4),
        processing_class=tokenizer,
        peft_config=config,
    )
    trainer.train()
    trainer.save_model(str(folder / "trained"))
    return folder / "trained"


@pytest.mark.parametrize("lora", [False, True], ids=["whole", "adapter"])
def test_what_trls_reward_trainer_saves_is_a_reward_model(lora, tmp_path):
    folder = trained_by_trl(tmp_path, lora=lora)
    assert (folder / "adapter_config.json").is_file() == lora
    out = tmp_path / "runtime"
    text = PairText(TEMPLATE, 64)
    export_trained(folder, made_rounds(), out, name="theirs", pair_text=text)
    model = load_reward_model(str(out))
    kind = AutoPeftModelForSequenceClassification if lora else AutoModelForSequenceClassification
    network = kind.from_pretrained(folder, num_labels=1, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = [
        RewardInput("Which?", f"We want more {wanted}", f"We need {word}")
        for wanted in WORDS
        for word in WORDS
    ]
    with torch.inference_mode():
        theirs = [
            float(network(**tokenizer(text.fill(each), return_tensors="pt")).logits)
            for each in inputs
        ]
    ours = model.rewards(inputs)
    assert np.abs(ours - theirs).max() < 0.1 * np.ptp(theirs)
    expected = model.calibration.expected_rating(ours)
    assert ((expected > 1) & (expected < 7)).all()


def test_what_is_no_reward_model_is_said(tmp_path):
    with pytest.raises(InputError, match=r"neither config\.json nor adapter_config\.json"):
        export_trained(tmp_path, made_rounds(), tmp_path / "o", name="n", pair_text=PairText())
    torch.manual_seed(0)
    base = write_decoder(tmp_path / "base")
    two = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
    two.save_pretrained(tmp_path / "two")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "two")
    with pytest.raises(InputError, match="2 outputs, expected one"):
        export_trained(
            tmp_path / "two", made_rounds(), tmp_path / "o", name="n", pair_text=PairText()
        )


def test_the_command_exports_and_calibrates(tmp_path):
    folder = trained_by_trl(tmp_path, lora=True)
    rounds = write_rounds(tmp_path / "rounds")
    arguments = ["reward", "export", str(folder), str(rounds), "--split", "train"]
    arguments += ["--template", TEMPLATE, "--max-tokens", "64", "--out", str(tmp_path / "mine")]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    assert "Calibrated on ratings of made" in found.output
    assert load_reward_model(str(tmp_path / "mine")).name == "trained"
