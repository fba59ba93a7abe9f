"""Simulated studies with known truth: each figure finds it, and reliability tells who is who."""

from __future__ import annotations

import math

import numpy as np
import pytest
from known_figures import figures as true_figures
from known_truth import Design, simulate_study

from commonweal.datasets.reliability import reliability
from commonweal.evaluation.evaluate import Evaluation, evaluate

pytestmark = pytest.mark.usefixtures("quick_power")

NEAR = 4.0
"""Standard errors that a figure may be from the truth: one in 16,000 is further by chance."""


def truth_of(key: str) -> tuple[str, ...] | None:
    """The name in ``known_figures`` of the figure with this key."""
    match key.split("/"):
        case ["win_rate", "person", "all", a, b]:
            return ("person_win", a, b)
        case ["win_rate", statistic, "all", a, b]:
            return ("win", statistic, a, b)
        case ["agreement", "mean", policy]:
            return ("mean", policy)
        case ["distribution", policy, "agree"]:
            return ("agrees", policy)
        case ["distribution", policy, point]:
            return ("share", policy, point)
        case ["against_human", how, "all", policy]:
            return ("against_human", how, policy)
        case ["inclusion", outcome] if outcome in ("agreement", "quality"):
            return ("inclusion", outcome)
        case ["accuracy", "within", _]:
            return ("accuracy",)
        case ["calibration", "bias", _]:
            return ("bias",)
    return None


def check_recovered(found: Evaluation, design: Design, *, skip: tuple[str, ...] = ()) -> int:
    expected = true_figures(design)
    n_checked = 0
    for key, figure in found.figures.items():
        name = truth_of(key)
        if name is None or name[0] in skip or figure.low is None or figure.high is None:
            continue
        truth = expected[name]
        error = math.hypot((figure.high - figure.low) / 3.92, truth.error)
        distance = abs(figure.value - truth.value) / error
        assert distance < NEAR, (
            f"{key}: {figure.value} against {truth.value}, {distance:.1f} errors"
        )
        n_checked += 1
    return n_checked


@pytest.mark.heavy
def test_policy_effects_are_found():
    design = Design(n_groups=300, inclusion_effect_agreement=0.5, inclusion_effect_quality=0.1)
    dataset, _ = simulate_study(np.random.default_rng(11), **vars(design))
    # Nobody is unreliable here; a kappa that is low by chance leaves nobody out.
    found = evaluate(dataset, threshold=-1, n_resamples=2000)
    assert check_recovered(found, design) >= 40
    # It is the effect on the median of five people, which is near the effect on each.
    assert found.figures["inclusion/agreement_minus_quality"].p_value < 0.01


@pytest.mark.heavy
def test_human_opinions_are_found_with_missing_ratings_and_groups_of_different_sizes():
    design = Design(n_groups=250, human_effect=-0.4, group_size=(3, 6), missing_share=0.1)
    dataset, _ = simulate_study(np.random.default_rng(12), **vars(design))
    found = evaluate(dataset, threshold=-1, n_resamples=2000)
    # The reward model is judged on people's statements too here, and not in the known figures.
    assert check_recovered(found, design, skip=("accuracy", "bias")) >= 45


def test_no_effect_is_not_found():
    design = Design(n_groups=200, policies=(("sft_base", 0.0), ("zero_shot", 0.0)))
    dataset, _ = simulate_study(np.random.default_rng(13), **vars(design))
    figures = evaluate(dataset, threshold=-1, n_resamples=2000).figures
    assert abs(figures["win_rate/mean/all/sft_base/zero_shot"].value - 0.5) < 0.08
    assert abs(figures["inclusion/agreement"].value) < 0.15


def test_unreliable_people_are_told_apart():
    dataset, truth = simulate_study(
        np.random.default_rng(14), n_groups=80, unreliable_share=0.2, n_rounds_per_group=4
    )
    verdicts = dict(reliability(dataset).select("participant_id", "verdict").iter_rows())
    out = {person for person, verdict in verdicts.items() if verdict == "unreliable"}
    # 24 answers at random have a kappa of 0 with a standard error of 0.2; the threshold is 0.2.
    assert len(out & truth.unreliable) >= 0.75 * len(truth.unreliable)
    assert len(out - truth.unreliable) <= 0.05 * len(verdicts)
    figures = evaluate(dataset, n_resamples=1000).figures
    assert figures["unreliable"].value == pytest.approx(len(out) / len(verdicts))


def test_divisive_rounds_are_those_that_were_made_so():
    dataset, truth = simulate_study(np.random.default_rng(15), n_groups=50, divisive_share=0.4)
    found = evaluate(dataset, n_resamples=1000)
    section = next(s for s in found.sections if s.key == "divisiveness")
    # A group of five whose two unreliable people are left out may not be divisive any more.
    assert section.extra["n_rounds_divisive"] == pytest.approx(len(truth.divisive_rounds), abs=2)


def test_length_is_found_and_taken_out():
    """A policy liked for its length alone: its win rate is high, and 50 % at equal length."""
    dataset, _ = simulate_study(
        np.random.default_rng(16),
        n_groups=300,
        policies={"long": 0.0, "zero_shot": 0.0},
        policy_words={"long": 10},
        length_effect=0.8,
    )
    figures = evaluate(dataset, n_resamples=2000).figures
    assert figures["win_rate/mean/all/long/zero_shot"].low > 0.65
    equal = figures["confound/length/win_rate/long/zero_shot"]
    assert abs(equal.value - 0.5) < NEAR * (equal.high - equal.low) / 3.92
    assert equal.value < 0.6


def test_quality_is_found_and_taken_out():
    dataset, _ = simulate_study(
        np.random.default_rng(17), n_groups=150, policy_quality={"sft_utilitarian": 1.0}
    )
    figures = evaluate(dataset, n_resamples=1000).figures
    # Quality and agreement are drawn apart here, so holding quality equal changes nothing much.
    for policy in ("sft_utilitarian", "sft_base"):
        plain = figures[f"win_rate/mean/all/{policy}/zero_shot"]
        equal = figures[f"confound/quality/win_rate/{policy}/zero_shot"]
        assert abs(plain.value - equal.value) < 0.12


def test_a_selector_that_knows_gains_with_n_and_a_blind_one_does_not():
    knowing, blind = (
        evaluate(
            simulate_study(
                np.random.default_rng(18),
                n_groups=100,
                policies={"zero_shot": 0.0},
                n_statements=4,
                sd_prediction=noise,
            )[0],
            n_resamples=1000,
        ).figures
        for noise in (0.1, 50.0)
    )
    key = "best_of_n/realised/mean/zero_shot"
    assert knowing[f"{key}/1"].value < knowing[f"{key}/2"].value < knowing[f"{key}/4"].value
    assert knowing[f"{key}/4"].low > knowing[f"{key}/1"].high
    assert abs(blind[f"{key}/4"].value - blind[f"{key}/1"].value) < 0.1
    wins = knowing["best_of_n/win_rate/mean/zero_shot/2"]
    assert 0.58 < wins.value <= 2 / 3 + 0.01
    assert 0.42 < blind["best_of_n/win_rate/mean/zero_shot/2"].value < 0.58
