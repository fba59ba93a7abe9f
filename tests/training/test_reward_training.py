"""Reward models on tiny networks: trained, broken off and gone on with, exported, calibrated."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

pytest.importorskip("torch", reason="needs the extra `train`: make test-train")

import torch
from accelerate import Accelerator
from tiny_models import WORDS, made_rounds, write_decoder, write_encoder, write_rounds
from transformers import ByT5Tokenizer

from commonweal.datasets.dataset import read_dataset, write_dataset
from commonweal.datasets.schema import LIKERT_7
from commonweal.errors import InputError, TrainingError
from commonweal.rewards import load_reward_model
from commonweal.rewards.calibration import ReverseRewardError
from commonweal.rewards.pair_text import PairText
from commonweal.training import run_folder
from commonweal.training.config import RewardConfig
from commonweal.training.reward import export
from commonweal.training.reward.data import as_tokens, inputs_of, read_split
from commonweal.training.reward.export import TorchScorer, order_agreement
from commonweal.training.reward.fitting import fit_reward_model
from commonweal.training.reward.run import _test_sets, run_reward
from commonweal.training.reward.trainer import COLUMNS, CrossedCollator, CrossedRewardTrainer
from commonweal.types import RewardInput

pytestmark = pytest.mark.train

QUESTION = "Which one?"
TOLD: list[tuple[str, int, int]] = []
"""What the finished run told of its progress."""


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rounds(tmp_path_factory.mktemp("data") / "made")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


def config(rounds: Path, backbone: Path, out: Path, **more: Any) -> RewardConfig:
    training = {"max_steps": 20, "eval_steps": 10, "batch_size": 16, "learning_rate": 2e-3}
    return RewardConfig.model_validate(
        {
            "name": "tiny",
            "out": out,
            "data": {"datasets": [rounds], **more.pop("data", {})},
            "model": {"backbone": str(backbone), "max_tokens": 32, **more.pop("model", {})},
            "training": training | more,
        }
    )


def fit(made: RewardConfig) -> Any:
    made.out.mkdir(parents=True, exist_ok=True)
    return fit_reward_model(made)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


N_STEPS = 600
"""With half as many the network has learned on one processor and is on its way on another, whose
sums are rounded in another order."""


@pytest.fixture(scope="module")
def finished(rounds, encoder, tmp_path_factory) -> tuple[Path, list[str]]:
    """A whole run, long enough to learn who wants what."""
    out = tmp_path_factory.mktemp("run") / "tiny"
    made = config(rounds, encoder, out, max_steps=N_STEPS, eval_steps=100)
    return out, list(run_reward(made, on_progress=lambda *told: TOLD.append(told)))


# --------------------------------------------------------------------------------- a whole run


def test_it_learns_whose_opinion_fits_which_statement(finished):
    out, _ = finished
    model = load_reward_model(str(out / "runtime"))
    for wanted in WORDS:
        opinion = f"We want more {wanted}"
        inputs = [RewardInput(QUESTION, opinion, f"We need {word}") for word in WORDS]
        ratings = model.calibration.expected_rating(model.rewards(inputs))
        assert WORDS[int(ratings.argmax())] == wanted
        assert ratings.max() > 4 > np.median(ratings)


def test_export_and_network_agree(finished, rounds, encoder):
    out, _ = finished
    dataset = read_dataset(rounds)
    texts = dataset.candidates["text"].unique().to_list()
    inputs = [
        RewardInput(QUESTION, opinion, text)
        for opinion in dataset.opinions["text"].unique()
        for text in texts
    ]
    network = TorchScorer(out / "model", PairText(max_tokens=32)).rewards(inputs)
    export = load_reward_model(str(out / "runtime")).rewards(inputs)
    assert order_agreement(network, export) >= 0.99
    # Eight bits for each weight: near, and not the same.
    assert np.abs(network - export).max() < 0.1 * np.ptp(network)


@pytest.mark.slow
def test_an_export_that_loses_the_order_takes_more_room(finished, tmp_path, monkeypatch):
    """With a demand that eight bits do not meet on this network, and sixteen do."""
    out, _ = finished
    opinions = [f"We want {a} more {b}" for a in WORDS for b in WORDS]
    # So many lie so close together that eight bits turn some round on every processor.
    statements = [f"We need {a} {b}, {c} and {d}" for a, b, c, d in product(WORDS, repeat=4)]
    inputs = [RewardInput(QUESTION, o, each) for o in opinions[::4] for each in statements]
    options = {"name": "t", "pair_text": PairText(max_tokens=32), "compare_on": inputs}
    small = export.export_reward_model(out / "model", tmp_path / "a", **options)
    assert small.weights == "int8"
    assert small.order_agreement < 1
    monkeypatch.setattr(export, "MIN_ORDER_AGREEMENT", (small.order_agreement + 1) / 2)
    with pytest.raises(TrainingError, match="int8 export orders"):
        export.export_reward_model(out / "model", tmp_path / "a", **options)
    large = export.export_smallest(out / "model", tmp_path / "b", **options)
    assert large.weights != "int8"
    assert large.order_agreement > small.order_agreement


def test_a_run_leaves_what_the_docs_say(finished, encoder):
    out, lines = finished
    names = {path.name for path in out.iterdir()} - {".lock"}
    assert names == {
        *("run.json", "comparisons.parquet", "metrics.jsonl", "fit.json", "checkpoints"),
        *("model", "runtime", "card.md", "pictures"),
    }
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert any("eval_crossed_accuracy" in entry for entry in metrics)
    card = (out / "card.md").read_text()
    assert str(out.parent) not in (out / "runtime" / "reward.json").read_text()
    assert str(encoder) not in card
    assert "made (simulated)" in card
    assert "made (ood_test)" in card
    assert any("made (ood_test): 1.000" in line for line in lines)
    (exported,) = (line for line in lines if line.startswith("Exported: "))
    assert "bits a weight" in exported
    joined = " ".join(card.split())
    assert exported in joined
    assert "people, none of whom was trained on" in joined
    assert "(pictures/1.svg)" in card
    assert (out / "pictures" / "1.svg").read_text().startswith("<?xml")


@pytest.mark.usefixtures("encoder_folder")
def test_its_card_has_what_it_has_to_beat(finished):
    """The baselines read the packaged all-MiniLM-L6-v2."""
    card = (finished[0] / "card.md").read_text()
    for name in ("statement only", "cosine of opinion and statement"):
        assert f"| made (ood_test) | {name} | " in card


@pytest.mark.usefixtures("finished")
def test_a_run_tells_how_far_it_is():
    for stage in ("train", "export", "measure"):
        n_done = [n / n_total for name, n, n_total in TOLD if name == stage]
        assert n_done == sorted(n_done)
        assert n_done[-1] == 1


def test_a_finished_run_is_not_repeated(finished, rounds, encoder):
    out, _ = finished
    again = run_reward(config(rounds, encoder, out, max_steps=N_STEPS, eval_steps=100))
    assert list(again) == [f"{out} is done already"]


# ------------------------------------------------------------------------------------ training


def test_the_same_seed_gives_the_same_weights(rounds, encoder, tmp_path):
    first, second = (fit(config(rounds, encoder, tmp_path / name)).model for name in "ab")
    one, two = weights(first), weights(second)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_killed_run_goes_on_to_the_same_weights(rounds, encoder, tmp_path):
    """kill -9 in the middle of the second checkpoint: the first is whole, and the run goes on."""
    whole = fit(config(rounds, encoder, tmp_path / "whole"))
    broken = config(rounds, encoder, tmp_path / "broken")
    broken.out.mkdir()
    code = (
        "import os, signal, sys\n"
        "import torch\n"
        "torch.set_num_threads(1)\n"
        "from commonweal.training import run_folder\n"
        "from commonweal.training.reward import fitting\n"
        "from commonweal.training.config import RewardConfig\n"
        "mark = run_folder.mark_whole\n"
        "def killed(checkpoint):\n"
        "    if checkpoint.name == 'checkpoint-20': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    mark(checkpoint)\n"
        "run_folder.mark_whole = killed\n"
        "fitting.fit_reward_model(RewardConfig.model_validate_json(sys.argv[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, broken.model_dump_json()], capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert (broken.out / "checkpoints" / "checkpoint-20").is_dir()
    assert run_folder.last_checkpoint(broken.out).name == "checkpoint-10"
    resumed = fit(broken)
    one, two = weights(whole.model), weights(resumed.model)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert [e.get("loss") for e in whole.history] == [e.get("loss") for e in resumed.history]


@pytest.mark.parametrize("fsdp", ["", pytest.param("full_shard auto_wrap", marks=pytest.mark.slow)])
def test_two_processes_learn_what_one_does(rounds, encoder, tmp_path, fsdp):
    """The same rows a step, in one process and in two under torchrun, whole or sharded."""
    one = fit(config(rounds, encoder, tmp_path / "one"))
    two = config(rounds, encoder, tmp_path / "two", batch_size=8, fsdp=fsdp)
    two.out.mkdir()
    code = tmp_path / "run.py"
    code.write_text(
        "import sys\n"
        "from commonweal.training.config import RewardConfig\n"
        "from commonweal.training.reward.fitting import fit_reward_model\n"
        "fit_reward_model(RewardConfig.model_validate_json(sys.argv[1]))\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"),
            *("--master-port=0", "--standalone", str(code), two.model_dump_json()),
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (two.out / "metrics.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    losses = [e["loss"] for e in one.history if "loss" in e]
    assert np.allclose(losses, [e["loss"] for e in logged if "loss" in e], rtol=1e-4)


def test_a_decoder_with_a_lora_adapter(rounds, tmp_path):
    decoder = write_decoder(tmp_path / "decoder")
    made = config(rounds, decoder, tmp_path / "out", model={"lora_rank": 4})
    lines = list(run_reward(made))
    assert any("Exported" in line for line in lines)
    inputs = [RewardInput(QUESTION, "We want more drums", f"We need {word}") for word in WORDS]
    assert np.isfinite(load_reward_model(str(made.out / "runtime")).rewards(inputs)).all()


# --------------------------------------------------------------------------------- the objective


class _Fixed(torch.nn.Module):
    """Gives each row the reward that its first token names."""

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        from types import SimpleNamespace

        return SimpleNamespace(logits=input_ids[:, :1].float())


@pytest.mark.parametrize("margin", [0.0, 3.0])
def test_the_loss_is_that_of_the_paper_plus_the_crossed_one(margin):
    """Worked out by hand from four rewards a crossed row and two a plain one."""
    rows = [
        ([5], [3], [2], [4], 0.5, 1.0, 0),  # A: 5 over 3, and B: 2 over 4
        ([1], [4], [], [], 0.25, 0.0, 1),
    ]
    batch = CrossedCollator(0)([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    trainer = CrossedRewardTrainer.__new__(CrossedRewardTrainer)
    trainer.model, trainer._crossed_weight, trainer._centre = _Fixed().eval(), 0.5, 0.1
    trainer._margin = margin
    trainer._metrics = {"eval": defaultdict(list)}
    trainer.accelerator = Accelerator(cpu=True)
    loss = trainer.compute_loss(trainer.model, batch)
    softplus = lambda x: np.log1p(np.exp(x))  # noqa: E731
    # Within: 5 over 3 (A), 1 over 4 (plain), 2 over 4 (B). Crossed: (5 - 3) + (2 - 4).
    # Ordinal targets: ahead by as much as the ratings lie apart (TRL: -logsigmoid(c - r - m)).
    within = np.mean(
        [
            softplus(-(5 - 3 - margin * 0.5)),
            softplus(-(1 - 4 - margin * 0.25)),
            softplus(-(2 - 4 - margin * 1.0)),
        ]
    )
    crossed = softplus(-((5 - 3) + (2 - 4)))
    centre = np.mean([(5 + 3) ** 2, (1 + 4) ** 2, (2 + 4) ** 2])
    assert loss.item() == pytest.approx(within + 0.5 * crossed + 0.1 * centre, rel=1e-6)
    assert trainer._metrics["eval"] == {
        "accuracy": [pytest.approx(1 / 3)],
        "margin": [pytest.approx((2 - 3 - 2) / 3)],
        "crossed_accuracy": [0.5],
    }


def test_a_loss_that_is_no_number_names_its_rows(rounds, encoder, tmp_path):
    with pytest.raises(TrainingError, match=r"the loss is .* on rows \d+, .* of comparisons"):
        fit(config(rounds, encoder, tmp_path / "out", learning_rate=1e30))


# -------------------------------------------------------------------------------------- the data


def test_no_question_is_trained_on_and_kept_back(rounds, encoder, tmp_path):
    made = config(rounds, encoder, tmp_path)
    split = read_split(made.data, seed=3)
    training = {q for d in split.training.rounds for q in d.rounds["question_id"]}
    assert training.isdisjoint(split.development_questions)
    assert len(training) + len(split.development_questions) == 6
    assert not any(q.startswith("ood") for q in training)


def test_rows_are_what_people_said(rounds, encoder, tmp_path):
    """Each row is a true comparison, and each crossed row an opposite pair of them."""
    split = read_split(config(rounds, encoder, tmp_path).data, seed=0)
    said = {
        (row["round_id"], row["participant_id"], row["candidate_id"]): row["agreement"]
        for row in read_dataset(rounds).ratings.iter_rows(named=True)
    }
    rows = split.training.rows.rows(named=True)
    for row in rows:
        at, one, two = row["round_id"], row["chosen_id"], row["rejected_id"]
        assert said[at, row["participant_id"], one] > said[at, row["participant_id"], two]
        if other := row["other_participant_id"]:
            assert said[at, other, one] < said[at, other, two]
    assert {row["other_participant_id"] is None for row in rows} == {True, False}
    assert len(inputs_of(split.training)) == len(set(inputs_of(split.training)))


def test_an_evaluation_reads_no_more_than_is_allowed(rounds, encoder, tmp_path):
    whole = read_split(config(rounds, encoder, tmp_path).data, seed=0)
    made = config(rounds, encoder, tmp_path, data={"max_development_comparisons": 25})
    few = read_split(made.data, seed=0)
    assert few.development.rows.height == 25 < whole.development.rows.height
    assert set(few.development.rows.iter_rows()) <= set(whole.development.rows.iter_rows())
    assert few.training.rows.equals(whole.training.rows)


def test_margins_are_how_far_apart_people_rated(rounds, encoder, tmp_path):
    """As a share of the scale, from ratings of 1 to 7 drawn at random."""
    from tokenizers import Tokenizer

    made = made_rounds()
    drawn = np.random.default_rng(0).integers(1, 8, made.ratings.height)
    about = replace(made.about, scale=LIKERT_7)
    ratings = made.ratings.with_columns(agreement=pl.Series(drawn))
    write_dataset(replace(made, about=about, ratings=ratings), tmp_path / "d")
    split = read_split(config(tmp_path / "d", encoder, tmp_path).data, seed=0)
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokens = as_tokens(split.training, tokenizer, PairText(max_tokens=32), margins=True)
    said = {
        (row["round_id"], row["participant_id"], row["candidate_id"]): row["agreement"]
        for row in ratings.iter_rows(named=True)
    }
    assert {round(6 * margin) for margin in tokens["margin"]} == {1, 2, 3, 4, 5, 6}
    for number, row in enumerate(split.training.rows.iter_rows(named=True)):
        at, one, two = row["round_id"], row["chosen_id"], row["rejected_id"]
        who, other = row["participant_id"], row["other_participant_id"]
        apart = said[at, who, one] - said[at, who, two]
        assert tokens["margin"][number] == pytest.approx(apart / 6)
        apart = said[at, other, two] - said[at, other, one] if other else 0
        assert tokens["other_margin"][number] == pytest.approx(apart / 6)


def test_who_contradicts_themselves_is_not_learned_from(encoder, tmp_path):
    """A quarter of the people say the reverse in their second pass."""
    made = made_rounds()
    turned = pl.col("participant_id").str.contains("p[369]$")
    second = made.ratings.with_columns(
        pass_index=pl.lit(1, dtype=made.ratings.schema["pass_index"]),
        agreement=pl.when(turned).then(-pl.col("agreement")).otherwise("agreement"),
    )
    write_dataset(replace(made, ratings=pl.concat([made.ratings, second])), tmp_path / "d")
    found = read_split(
        config(tmp_path / "d", encoder, tmp_path, data={"min_kappa": 0.4}).data, seed=0
    )
    people = set(found.training.rows["participant_id"])
    assert people
    assert not any(person[-2:] in {"p3", "p6", "p9"} for person in people)
    assert found.counts["people dropped: unreliable"] == 18


def test_tokens_are_those_of_the_runtime(rounds, encoder, tmp_path):
    from tokenizers import Tokenizer

    split = read_split(config(rounds, encoder, tmp_path).data, seed=0)
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    text = PairText(max_tokens=32)
    tokens = as_tokens(split.training, tokenizer, text)
    for number, row in enumerate(split.training.rows.head(20).rows(named=True)):
        dataset = split.training.rounds[row["dataset"]]
        opinion = dataset.opinions.filter(
            (pl.col("round_id") == row["round_id"])
            & (pl.col("participant_id") == row["participant_id"])
        )["text"].item()
        statement = f"We need {WORDS[int(row['chosen_id'][1:])]}"
        (ids,) = text.encode(tokenizer, [RewardInput(QUESTION, opinion, statement)])
        assert tokens[number]["chosen_ids"] == ids


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"development": ["nowhere"]}, "names the question 'nowhere', which is in no training"),
        ({"development_share": 0.99}, "there are 1?[0-9] training comparisons, expected .* 100"),
    ],
)
def test_too_little_data_is_named(encoder, tmp_path, data, expected):
    write_dataset(made_rounds(2, n_people=3), tmp_path / "few")
    made = config(tmp_path / "few", encoder, tmp_path / "out", data=data)
    with pytest.raises(InputError, match=expected):
        read_split(made.data, seed=0)


def test_data_without_splits_is_refused(encoder, tmp_path):
    dataset = made_rounds(2)
    blank = pl.lit(None, dtype=pl.String).alias("split")
    write_dataset(replace(dataset, rounds=dataset.rounds.with_columns(blank)), tmp_path / "d")
    with pytest.raises(InputError, match="no round is in the split 'train'; it has no splits"):
        read_split(config(tmp_path / "d", encoder, tmp_path / "out").data, seed=0)


def test_a_test_question_is_refused(rounds, encoder, tmp_path):
    questions = tmp_path / "questions.csv"
    questions.write_text("id,question,split\nx,which train1?,ood_test\n")
    made = config(rounds, encoder, tmp_path / "out", data={"question_split": questions})
    with pytest.raises(InputError, match="held out for testing"):
        read_split(made.data, seed=0)


# ------------------------------------------------------------------------------------ the folder


def test_two_runs_do_not_share_a_folder(rounds, encoder, tmp_path):
    made = config(rounds, encoder, tmp_path / "out")
    with (
        run_folder.opened(made.out, made),
        pytest.raises(InputError, match="another run is at work"),
    ):
        next(iter(run_reward(made)))


def test_another_config_does_not_take_over_a_run(rounds, encoder, tmp_path):
    made = config(rounds, encoder, tmp_path / "out")
    with run_folder.opened(made.out, made):
        (made.out / "metrics.jsonl").write_text("{}")
    other = config(rounds, encoder, tmp_path / "out", seed=1)
    with pytest.raises(InputError, match="begun with another config"):
        next(iter(run_reward(other)))
    with run_folder.opened(made.out, other, overwrite=True):
        assert not (made.out / "metrics.jsonl").exists()


def test_a_run_does_not_go_on_with_another_question_split(rounds, encoder, tmp_path):
    questions = tmp_path / "questions.csv"
    questions.write_text("id,question,split\nx,Which other?,ood_test\n")
    made = config(rounds, encoder, tmp_path / "out", data={"question_split": questions})
    with run_folder.opened(made.out, made, data=(rounds, questions)):
        pass
    questions.write_text("id,question,split\nx,Which another?,ood_test\n")
    with pytest.raises(InputError, match=r"begun with other data, .*questions\.csv"):
        next(iter(run_reward(made)))


def test_what_is_not_a_run_is_left_alone(rounds, encoder, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    made = config(rounds, encoder, tmp_path)
    with pytest.raises(InputError, match=r"holds thesis.txt and is not a training run"):
        next(iter(run_reward(made, overwrite=True)))


def test_a_stopped_run_stays_as_it_is(rounds, encoder, tmp_path, monkeypatch):
    """What comes after the fit failed: the same command does not train again."""
    made = config(rounds, encoder, tmp_path / "out")
    first = fit(made)
    before = weights(first.model)
    monkeypatch.setattr(CrossedRewardTrainer, "train", lambda *_, **__: pytest.fail("trained"))
    again = fit(made)
    assert (again.best_step, again.history) == (first.best_step, first.history)
    assert all(torch.equal(before[name], value) for name, value in weights(again.model).items())


def test_overwrite_deletes_what_a_run_made_and_nothing_else(rounds, encoder, tmp_path):
    made = config(rounds, encoder, tmp_path / "out")
    with run_folder.opened(made.out, made):
        (made.out / "metrics.jsonl").write_text("{}")
        (made.out / "my notes.txt").write_text("years of work")
    other = config(rounds, encoder, tmp_path / "out", seed=1)
    with run_folder.opened(made.out, other, overwrite=True):
        assert {path.name for path in made.out.iterdir()} == {".lock", "run.json", "my notes.txt"}
    with pytest.raises(InputError, match="is not a training run"):
        next(iter(run_reward(config(rounds, encoder, encoder), overwrite=True)))
    assert (encoder / "model.safetensors").is_file()


def test_a_question_that_another_dataset_tests_on_is_refused(rounds, encoder, tmp_path):
    # It has a round to train on too, or it would be refused for having none.
    both = made_rounds(3)
    kept = both.rounds.with_columns(
        split=pl.when(pl.col("round_id") == "train2")
        .then(pl.lit("train"))
        .otherwise(pl.lit("ood_test")),
        question_id=pl.lit("other ") + pl.col("question_id"),
    )
    write_dataset(replace(both, rounds=kept), tmp_path / "test")
    write_dataset(made_rounds(3), tmp_path / "train")
    made = config(rounds, encoder, tmp_path / "out")
    data = made.data.model_copy(update={"datasets": (tmp_path / "train", tmp_path / "test")})
    with pytest.raises(InputError, match="held out for testing"):
        read_split(data, seed=0)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"model": {"max_tokens": 999}}, "max_tokens is 999, .* reads at most 64"),
        ({"fsdp": "full_shard"}, "run it under torchrun"),
        ({"tracker": "nosuch"}, "the training settings do not work here: .*nosuch"),
    ],
)
def test_settings_that_do_not_go_together_are_named(rounds, encoder, tmp_path, more, expected):
    with pytest.raises(InputError, match=expected):
        fit(config(rounds, encoder, tmp_path / "out", **more))


def test_a_tokenizer_that_cannot_be_exported_is_named(rounds, encoder, tmp_path):
    """ByT5's is written in Python: it has no tokenizer.json."""
    shutil.copytree(encoder, tmp_path / "slow", ignore=shutil.ignore_patterns("tokenizer*"))
    ByT5Tokenizer().save_pretrained(tmp_path / "slow")
    with pytest.raises(InputError, match=r"its tokenizer \(ByT5Tokenizer\) has no tokenizer.json"):
        fit(config(rounds, tmp_path / "slow", tmp_path / "out"))


def test_a_model_of_the_reverse_gets_a_card_and_no_runtime(encoder, tmp_path):
    """What people wanted in training is what they reject in the questions kept back."""
    made = made_rounds()
    kept = pl.col("round_id").is_in(["train0", "train1"])
    ratings = made.ratings.with_columns(
        agreement=pl.when(kept).then(-pl.col("agreement")).otherwise("agreement")
    )
    write_dataset(replace(made, ratings=ratings), tmp_path / "d")
    made_config = config(
        tmp_path / "d",
        encoder,
        tmp_path / "out",
        max_steps=60,
        eval_steps=60,
        data={"development": ["train0", "train1"]},
    )
    with pytest.raises(ReverseRewardError, match="predicts the reverse of agreement"):
        list(run_reward(made_config))
    card = " ".join((tmp_path / "out" / "card.md").read_text().split())
    assert "**It predicts the reverse of agreement and must not be used**" in card
    assert not (tmp_path / "out" / "runtime").exists()
    with pytest.raises(ReverseRewardError, match=r"reverse of agreement: .*card\.md"):
        list(run_reward(made_config))


@pytest.mark.parametrize("n_usable", [1, 0])
def test_a_test_split_that_nobody_with_an_opinion_rated_is_not_measured(
    encoder, tmp_path, n_usable
):
    parts = [made_rounds(), made_rounds(2, split="iid_test"), made_rounds(2, split="ood_test")]
    for at in range(1 + n_usable, 3):
        parts[at] = replace(parts[at], opinions=parts[at].opinions.clear())
    tables = {
        name: pl.concat([getattr(part, name) for part in parts]) for name in parts[0].tables()
    }
    write_dataset(replace(parts[0], **tables), tmp_path / "d")
    made = config(tmp_path / "d", encoder, tmp_path / "out")
    tested, sets, left_out = _test_sets(made, SimpleNamespace(split=read_split(made.data, seed=0)))
    assert [name for name, _ in sets] == (["made (iid_test)"] if n_usable else ["made (kept back)"])
    assert "test splits of its datasets" in tested if n_usable else "kept back" in tested
    assert len(left_out) == 2 - n_usable
    assert left_out[-1].startswith("made (ood_test) was not measured: nobody who has an opinion")


def test_order_agreement_by_hand():
    one = np.array([1.0, 2.0, 2.0])
    assert order_agreement(one, one) == 1
    assert order_agreement(one, -one) == pytest.approx(1 / 3)  # the tie is one in both
    assert order_agreement(one, np.array([1.0, 2.0, 3.0])) == pytest.approx(2.5 / 3)
