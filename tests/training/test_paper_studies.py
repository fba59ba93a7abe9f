"""The paper's three studies and its loop: the walk-through in the docs, command by command.

What stands in for models and training: paper_studies_making.py.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from paper_studies_making import CROWD, copied, walk

from commonweal.datasets.dataset import read_dataset
from commonweal.errors import InputError
from commonweal.evaluation.evaluate import evaluate
from commonweal.study.simulation.truth import true_win_rates
from commonweal.training.config import read_config
from commonweal.training.loop.people import check_arms
from commonweal.training.loop.plan import IteratePlan

pytestmark = pytest.mark.timeout(900)  # the whole walk is one fixture


@pytest.fixture(scope="module")
def walked(tmp_path_factory, encoder_folder):
    """The folder in which every command of the page was given, and what each printed."""
    top = tmp_path_factory.mktemp("paper")
    copied(top)
    plan = top / "recipes" / "paper.toml"
    text = plan.read_text(encoding="utf-8")
    plan.write_text(
        text.replace("[evaluation] ", "[evaluation]\nn_resamples = 1000 "), encoding="utf-8"
    )
    for study in (top / "recipes" / "paper_studies").glob("*/study.toml"):
        text = study.read_text(encoding="utf-8")
        for long, short in (
            ("count = 3", "count = 1"),
            ("passes = 2", "passes = 1"),
            ("= 16", "= 4"),
        ):
            text = text.replace(long, short)
        study.write_text(text, encoding="utf-8")
    return top, [(command, " ".join(said.split())) for command, said in walk(top, crowd=CROWD)]


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
