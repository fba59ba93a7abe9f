"""What TRL and PEFT save by themselves loads as a reward model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `train`: make test-train")

import torch
from peft import AutoPeftModelForSequenceClassification, LoraConfig
from tiny_models import (
    WORDS,
    made_rounds,
    write_decoder,
    write_encoder,
    write_rounds,
    write_tokenizer,
)
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GPT2Config,
    GPT2ForSequenceClassification,
)
from trl import RewardConfig, RewardTrainer
from typer.testing import CliRunner

from commonweal.cli.app import app
from commonweal.errors import InputError
from commonweal.rewards import load_reward_model
from commonweal.rewards.calibration import ReverseRewardError
from commonweal.rewards.pair_text import PairText
from commonweal.training.reward.export import TorchScorer, export_trained
from commonweal.types import RewardInput
from datasets import Dataset as Rows

pytestmark = pytest.mark.train

TEMPLATE = "question : {question} opinion : {opinion} statement : {statement}"
WANTED = WORDS[0]
OPINION = f"We want more {WANTED}"


def trained_by_trl(folder: Path, *, lora: bool) -> Path:
    """A reward model by TRL alone: who wants apples agrees with the statement that wants them.

    That much any processor learns. Four things wanted by four kinds of people it learns on one and
    not on the next.
    """
    base = folder / "base"
    write_decoder(base)
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(base)
    network: Any = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=1, dtype=torch.float32
    )
    network.config.pad_token_id = tokenizer.pad_token_id

    def text(word: str) -> str:
        return PairText(TEMPLATE, 64).fill(RewardInput("Which?", OPINION, f"We need {word}"))

    rows = [{"chosen": text(WANTED), "rejected": text(word)} for word in WORDS if word != WANTED]
    config = LoraConfig(task_type="SEQ_CLS", r=8, target_modules="all-linear") if lora else None
    trainer = RewardTrainer(
        model=network,
        args=RewardConfig(
            output_dir=str(folder / "run"),
            max_steps=60,
            learning_rate=3e-3,
            per_device_train_batch_size=12,
            report_to="none",
            save_strategy="no",
            seed=0,
            use_cpu=True,
        ),
        train_dataset=Rows.from_list(rows * 16),
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
    rounds = made_rounds(all_want=WANTED)
    export_trained(folder, rounds, out, name="theirs", pair_text=text)
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
            float(
                network(
                    **tokenizer(text.fill(each) + tokenizer.eos_token, return_tensors="pt")
                ).logits
            )
            for each in inputs
        ]
    ours = model.rewards(inputs)
    assert np.abs(ours - theirs).max() < 0.1 * np.ptp(theirs)
    expected = model.calibration.expected_rating(ours)
    assert ((expected > 1) & (expected < 7)).all()
    # TRL trained on texts that it ended by a token of its own, and the reward is given there.
    asked = [RewardInput("Which?", OPINION, f"We need {word}") for word in WORDS]
    assert WORDS[int(model.rewards(asked).argmax())] == WANTED
    without = TorchScorer(folder, text).rewards(asked)
    assert np.abs(TorchScorer(folder, text, eos=True).rewards(asked) - without).max() > 0.1


def test_what_is_no_reward_model_is_said(tmp_path):
    with pytest.raises(InputError, match=r"neither config\.json nor adapter_config\.json"):
        export_trained(
            tmp_path / "nothing", made_rounds(), tmp_path / "o", name="n", pair_text=PairText()
        )
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
    rounds = write_rounds(tmp_path / "rounds", all_want=WANTED)
    arguments = ["reward", "export", str(folder), str(rounds), "--split", "train"]
    arguments += ["--template", TEMPLATE, "--max-tokens", "64", "--out", str(tmp_path / "mine")]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    assert "Calibrated on ratings of made" in found.output
    assert load_reward_model(str(tmp_path / "mine")).name == "trained"


def write_gpt2(folder: Path) -> Path:
    """A random GPT-2 that scores, which needs a pad token to find the end of a text."""
    tokenizer = write_tokenizer(folder)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=32,
        n_layer=1,
        n_head=2,
        n_positions=64,
        num_labels=1,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=2,
    )
    GPT2ForSequenceClassification(config).save_pretrained(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in the folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def turned(network: Path, folder: Path) -> Path:
    """The same network, whose rewards have the other sign."""
    shutil.copytree(network, folder)
    found = AutoModelForSequenceClassification.from_pretrained(network)
    with torch.no_grad():
        found.classifier.weight.neg_()
        found.classifier.bias.neg_()
    found.save_pretrained(folder)
    return folder


def test_an_export_that_fails_leaves_the_one_before(tmp_path):
    one = write_encoder(tmp_path / "one")
    other, out = turned(one, tmp_path / "other"), tmp_path / "mine"
    options = {"name": "n", "pair_text": PairText(TEMPLATE, 64)}
    try:  # of a random network and its reverse, one has the right sign
        export_trained(one, made_rounds(), out, **options)
        right, reverse = one, other
    except ReverseRewardError:
        assert not out.exists()
        export_trained(other, made_rounds(), out, **options)
        right, reverse = other, one
    before = contents(tmp_path)
    with pytest.raises(ReverseRewardError):
        export_trained(reverse, made_rounds(), out, **options)
    assert contents(tmp_path) == before
    export_trained(right, made_rounds(), out, **options | {"name": "again"})
    assert load_reward_model(str(out)).name == "again"


@pytest.mark.parametrize(
    ("out", "expected"),
    [
        ("network", "the network that is read"),
        ("network/runtime", "the network that is read"),
        ("rounds", "the dataset that is read"),
        (".", "the network that is read"),
        ("notes", "is not an exported reward model"),
        ("mixed", "it holds diary.txt"),
        ("a/b/c", "make it first"),
    ],
)
def test_no_folder_is_lost_but_an_earlier_export(out, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_encoder(tmp_path / "network")
    write_rounds(tmp_path / "rounds")
    for name in ("notes/diary.txt", "mixed/diary.txt", "mixed/reward.json"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("{}")
    before = contents(tmp_path)
    arguments = ["reward", "export", "network", "rounds", "--split", "train", "--overwrite"]
    found = CliRunner().invoke(app, [*arguments, "--out", out])
    assert isinstance(found.exception, InputError)
    assert expected in str(found.exception)
    assert contents(tmp_path) == before
    if out != "rounds":  # which the library knows as rows alone
        with pytest.raises(InputError, match=expected):
            export_trained(
                Path("network"), made_rounds(), Path(out), name="n", pair_text=PairText()
            )
        assert contents(tmp_path) == before


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()


def without_pad_token(folder: Path) -> None:
    for name in ("config.json", "tokenizer_config.json"):
        told = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(told | {"pad_token_id": None, "pad_token": None}))


def with_a_strange_pad_token(folder: Path) -> None:
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | {"pad_token_id": -1}))


def with_a_small_tokenizer(folder: Path) -> None:
    told = json.loads((folder / "tokenizer.json").read_text())
    words = dict(list(told["model"]["vocab"].items())[:5])
    told["model"]["vocab"] = words
    (folder / "tokenizer.json").write_text(json.dumps(told))


def with_a_broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"model": 1}')


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (without_tokenizer, r"there is no tokenizer .*save_pretrained"),
        (without_pad_token, "token to pad with is None, expected .* set pad_token_id in config"),
        (with_a_strange_pad_token, "token to pad with is -1, expected one of the network's 17"),
        (with_a_small_tokenizer, "knows 5 tokens and the network 17"),
        (with_a_broken_tokenizer, "cannot load its tokenizer"),
    ],
)
@pytest.mark.parametrize("write", [write_encoder, write_gpt2], ids=["encoder", "gpt2"])
def test_a_network_without_its_tokenizer_is_refused(write, spoil, expected, tmp_path):
    folder = write(tmp_path / "network")
    spoil(folder)
    with pytest.raises(InputError, match=expected):
        export_trained(
            folder, made_rounds(), tmp_path / "o", name="n", pair_text=PairText(TEMPLATE, 64)
        )
    assert not (tmp_path / "o").exists()


def test_a_tokenizers_pad_token_serves_a_network_that_names_none(tmp_path):
    """As TRL sets it; PEFT keeps no config of the network, so that an adapter's base may not."""
    folder = write_gpt2(tmp_path / "network")
    told = json.loads((folder / "config.json").read_text())
    named = TorchScorer(folder, PairText(TEMPLATE, 64))
    (folder / "config.json").write_text(json.dumps(told | {"pad_token_id": None}))
    unnamed = TorchScorer(folder, PairText(TEMPLATE, 64))
    inputs = [RewardInput("Which?", f"We want more {word}", "We need " + word) for word in WORDS]
    inputs.append(RewardInput("Which?", "We want more", "We need more apples " * 3))
    assert (named.rewards(inputs) == unnamed.rewards(inputs)).all()
