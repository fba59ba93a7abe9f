"""The paper's three studies and its loop: the walk-through in the docs, command by command.

Latent people of known truth take part through the pages; what writes is a stand-in that puts the
bank's arguments together, of one side, of both, or the best of 16. Networks are not trained here.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from typer.testing import CliRunner

from commonweal.cli.app import app
from commonweal.datasets.dataset import read_dataset
from commonweal.errors import InputError
from commonweal.evaluation.evaluate import evaluate
from commonweal.models.scripted import ScriptedModel
from commonweal.participants.considerations import load_bank
from commonweal.participants.latent import LatentCrowd, LatentSettings, agreement_of
from commonweal.rewards import LogisticCalibration
from commonweal.study.truth import true_win_rates
from commonweal.study.writer import opinions_of, written_by
from commonweal.training.config import read_config
from commonweal.training.loop import stages
from commonweal.training.loop.people import check_arms
from commonweal.training.loop.plan import IteratePlan
from commonweal.types import Candidate, Generation

pytestmark = pytest.mark.timeout(900)  # the whole walk is one fixture

ROOT = Path(__file__).parents[2]
BANK = {each.asked.question.text: each for each in load_bank()}
CROWD = LatentCrowd(3, LatentSettings(noise=0.2, leniency=0.2, unreliability=0.0))


class Arguments:
    """A policy without a model: arguments of the bank, of one side or of both."""

    def __init__(self, name, both):
        self.name, self.both = name, both
        self.model = ScriptedModel([])
        self.model.model_id = "arguments"

    def generate(self, question, opinions, *, n_candidates, rng, on_done=None):
        bank = BANK[question.text]
        candidates = []
        for number in range(1, n_candidates + 1):
            rows = rng.permutation(len(bank.considerations))[:3]
            side = int(rng.integers(2))
            sides = (0, 1) if self.both else (side,)
            said = [bank.considerations[r].arguments[s] for r in rows for s in sides]
            text = " ".join(each[int(rng.integers(len(each)))] for each in said)
            candidates.append(
                Candidate(
                    f"c{number:02d}", text, tuple(o.id for o in opinions), self.name,
                    "arguments", "0" * 16, number,
                )
            )  # fmt: skip
        return Generation(tuple(candidates), (), n_candidates, n_candidates)


class AtTheirWord:
    """A reward model that takes opinions at their word, as the crowd's reader reads them."""

    name = "at their word"
    weights_hash = "0" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: made for the tests")

    def rewards(self, inputs, *, on_done=None):
        return np.array([self._reward(each) for each in inputs])

    def _reward(self, one):
        said, heard = (
            CROWD.reader.read(BANK[one.question], text) for text in (one.opinion, one.statement)
        )
        position = said[:, 0].astype(float) - said[:, 1]
        return agreement_of(position, heard, tolerance=0.5) - 4


class Writers:
    """Prompted arms argue one side; fine-tuned ones both."""

    def write(self, task, *, timeout_seconds):
        if task.arm.plan == "opinions":
            return opinions_of(task)
        policy = Arguments(task.arm.name, both=task.arm.name.startswith("sft"))
        return written_by(task, policy, None if task.arm.reward == "none" else AtTheirWord())

    def try_out(self, arm, *, timeout_seconds):
        return "I am ready."

    def close(self):
        pass


def commands():
    """Every command in the page's boxes, as arguments."""
    page = (ROOT / "docs" / "paper_studies.md").read_text(encoding="utf-8")
    boxes = re.findall(r"^```sh\n(.*?)^```$", page, re.M | re.S)
    return [shlex.split(line) for box in boxes for line in box.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def walked(tmp_path_factory, encoder_folder):
    """The folder in which every command of the page was given, and what each printed."""
    top = tmp_path_factory.mktemp("paper")
    shutil.copytree(ROOT / "recipes" / "paper_studies", top / "recipes" / "paper_studies")
    plan = (ROOT / "recipes" / "paper.toml").read_text(encoding="utf-8")
    plan = plan.replace("[evaluation] ", "[evaluation]\nn_resamples = 1000 ")
    (top / "recipes" / "paper.toml").write_text(plan, encoding="utf-8")
    for study in (top / "recipes" / "paper_studies").glob("*/study.toml"):
        text = study.read_text(encoding="utf-8")
        for long, short in (
            ("count = 3", "count = 1"),
            ("passes = 2", "passes = 1"),
            ("= 16", "= 4"),
        ):
            text = text.replace(long, short)
        study.write_text(text, encoding="utf-8")

    def train(file):
        def trained(plan, turn, folder, progress):
            assert all(read_dataset(p).ratings.height for p in stages._rated_so_far(plan, turn))
            (folder / file).parent.mkdir(parents=True)
            (folder / file).touch()
            return {"best step": 1}

        return trained

    said = []
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(top)
        patched.setattr("commonweal.study.writer.ProcessWriter", Writers)
        patched.setattr("commonweal.cli.study_simulate._crowd", lambda seed: CROWD)
        patched.setattr(stages, "_sft", train("run/policy/policy.json"))
        patched.setattr(stages, "_reward", train("run/runtime/reward.json"))
        for command in commands():
            ran = CliRunner().invoke(app, command[1:])
            assert ran.exit_code == 0, f"{command}: {ran.output[-2000:]}"
            said.append((" ".join(command), " ".join(ran.output.split())))
    return top, said


def export(walked, name):
    return read_dataset(walked[0] / "out" / name)


def differences(dataset, column, first, second):
    """By round, the mean of ``first`` less that of ``second``, one rating at a time."""
    policy = {
        (row["round_id"], row["candidate_id"]): row["policy"]
        for row in dataset.candidates.iter_rows(named=True)
    }
    by_arm = defaultdict(lambda: defaultdict(list))
    for row in dataset.ratings.iter_rows(named=True):
        by_arm[row["round_id"]][policy[row["round_id"], row["candidate_id"]]].append(row[column])
    return {r: np.mean(of[first]) - np.mean(of[second]) for r, of in by_arm.items()}


@pytest.mark.parametrize(
    ("name", "arm"), [("paper_study_1", "few_shot"), ("paper_study_2", "sft_1")]
)
def test_a_training_study_is_the_collection_plan(walked, name, arm):
    dataset = export(walked, name)
    assert set(dataset.candidates["policy"]) == {arm}
    assert set(dataset.rounds["split"]) == {"train"}
    left_out = 5 - dataset.candidates.filter("shown")["included_opinion_ids"].list.len()
    assert sorted(left_out) == [0, 0, 1, 1, 2, 2]
    alphas = dataset.candidates.filter("shown")["alpha"]
    assert alphas.null_count() == (6 if name == "paper_study_1" else 0)


def test_the_evaluation_gives_the_papers_contrasts_beside_the_truth(walked):
    dataset = export(walked, "paper_study_evaluation")
    assert set(dataset.rounds["split"]) == {"ood_test"}
    found = evaluate(dataset, n_resamples=1000)
    assert found.facts["baseline"] == "zero_shot"
    rates = {(rate.first, rate.second): rate for rate in true_win_rates(dataset)}
    assert {"sft_utilitarian", "sft_base", "few_shot", "zero_shot"} == {n for p in rates for n in p}
    for (first, second), rate in rates.items():
        truly = differences(dataset, "x_true_agreement", first, second)
        measured = differences(dataset, "agreement", first, second)
        assert all(truly[r] * measured[r] > 0 for r in truly if abs(truly[r]) > 1.2)
        figure = found.figures[f"win_rate/mean/all/{first}/{second}"]
        assert figure.value == (None if np.isnan(rate.measured) else rate.measured)
        assert (figure.low is None) == (rate.low is None)
    assert "against_human/mean/all/sft_utilitarian" in found.figures


def test_the_loop_waits_for_each_study_and_goes_on_to_the_evaluation(walked):
    top, said = walked
    loops = [text for command, text in said if command.startswith("commonweal iterate recipes")]
    first, second, last = loops
    assert "0-reward: " in first
    assert "1-rate: waiting for people: " in first
    assert "evaluate: waiting for people: " in second
    assert "evaluate: " in last
    assert "sft_utilitarian" in last
    # Nobody is called people who is not.
    assert "rated by simulated people" in first
    assert "rated by simulated people" in last
    report = (top / "out" / "paper" / "evaluate" / "report.html").read_text(encoding="utf-8")
    assert "sft_utilitarian" in report
    assert "what people wrote" in report


def test_a_rehearsal_prints_win_rates_beside_the_truth(walked):
    (said,) = [text for command, text in walked[1] if "paper_studies/evaluation" in command]
    for words in ("Win rate (mean agreement)", "True", "sft_utilitarian over zero_shot"):
        assert words in said


def test_an_evaluation_without_an_arm_that_the_plan_compares_is_refused(walked):
    dataset = export(walked, "paper_study_evaluation")
    policy = dataset.candidates["policy"].replace("sft_base", "x")
    other = replace(dataset, candidates=dataset.candidates.with_columns(policy=policy))
    plan = read_config(walked[0] / "recipes" / "paper.toml", IteratePlan)
    with pytest.raises(InputError, match=re.escape("the policy 'sft_base'")) as refused:
        check_arms(plan, other)
    assert "few_shot, human, sft_utilitarian, x, zero_shot" in str(refused.value)
