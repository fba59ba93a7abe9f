"""The simulated studies have the moments that they promise, and keep the record format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from known_figures import figures
from known_truth import Design, simulate_study

from commonweal.datasets.validation import problems

PLAIN = {
    "sd_participant": 0.0,
    "sd_question": 0.0,
    "sd_group": 0.0,
    "sd_statement": 0.0,
    "sd_participant_statement": 0.0,
    "sd_slant": 0.0,
}
"""No random effect: a rating depends on its policy and noise alone."""


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def shares(mean: float, scale: float) -> np.ndarray:
    """The seven ratings' shares by the cumulative logit model."""
    below = 1 / (1 + np.exp(-(np.arange(1.5, 7) - mean) / scale))
    return np.diff([0, *below, 1])


def with_policy(dataset):
    policy = dataset.candidates.select("round_id", "candidate_id", "policy", "text", "author_id")
    rounds = dataset.rounds.select("round_id", "group_id", "question_id")
    return dataset.ratings.join(policy, on=["round_id", "candidate_id"]).join(rounds, on="round_id")


@pytest.mark.parametrize(
    "design",
    [
        {},
        {"group_size": (2, 6), "human_effect": -0.3, "missing_share": 0.2, "n_unshown": 2},
        {"policies": {"only": 0.0}, "n_passes": 1, "sd_prediction": None, "n_questions": 7},
        {"group_size": 1, "n_groups": 2, "n_rounds_per_group": 1},
    ],
)
def test_a_study_keeps_the_format(design):
    dataset, _ = simulate_study(rng(), **design)
    assert list(problems(dataset, Path("d"))) == []
    assert dataset.about.people == "simulated"


def test_the_same_seed_is_the_same_study():
    first, second, other = (simulate_study(rng(s), n_groups=5)[0] for s in (1, 1, 2))
    assert first.ratings.equals(second.ratings)
    assert not first.ratings.equals(other.ratings)


def test_the_sizes_are_those_asked_for():
    dataset, _ = simulate_study(
        rng(), n_groups=11, group_size=4, n_rounds_per_group=2, n_statements=3, n_unshown=1
    )
    assert dataset.rounds.height == 22
    assert dataset.candidates.height == 22 * 3 * 4
    assert dataset.candidates["shown"].sum() == 22 * 3 * 3
    assert dataset.ratings.height == 22 * 4 * 9 * 2
    assert dataset.predictions.height == 22 * 4 * 12


def test_ratings_follow_the_cumulative_logit_model():
    effects = {"a": 1.0, "b": 0.0}
    dataset, _ = simulate_study(
        rng(), n_groups=1000, policies=effects, intercept=4.2, noise_scale=0.7, **PLAIN
    )
    rows = with_policy(dataset)
    for name, effect in effects.items():
        got = rows.filter(policy=name)["agreement"].to_numpy()
        expected = shares(4.2 + effect, 0.7)
        found = np.bincount(got, minlength=8)[1:] / len(got)
        assert found == pytest.approx(expected, abs=5 * np.sqrt(0.25 / len(got)))


def test_variances_are_those_asked_for():
    """By covariances of ratings: rounding adds to a variance, and not to a covariance."""
    sds = {
        "sd_group": 0.5,
        "sd_participant": 0.6,
        "sd_question": 0.4,
        "sd_statement": 0.3,
        "sd_participant_statement": 0.5,
    }
    dataset, _ = simulate_study(
        rng(), n_groups=3000, n_rounds_per_group=2, policies={"a": 0.0}, n_questions=500,
        intercept=4.0, noise_scale=0.1, sd_slant=0.0, **sds,
    )  # fmt: skip
    # [group, round, person, statement, pass]
    x = dataset.ratings["agreement"].to_numpy().reshape(3000, 2, 5, 2, 2) - 4.0

    def cov(a, b):
        return float((a * b).mean())

    group = cov(x[:, 0, 0], x[:, 1, 1])
    person = cov(x[:, 0, :, 0, 0], x[:, 1, :, 0, 0]) - group
    question = cov(x[:, :, 0, 0, 0], x[:, :, 1, 1, 0]) - group
    statement = cov(x[:, :, 0, 0, 0], x[:, :, 1, 0, 0]) - group - question
    both_passes = cov(x[..., 0], x[..., 1])
    person_statement = both_passes - group - person - question - statement
    found = [group, person, question, statement, person_statement]
    assert np.sqrt(found) == pytest.approx([0.5, 0.6, 0.4, 0.3, 0.5], abs=0.04)


def test_slopes_differ_by_group_and_policy():
    dataset, _ = simulate_study(
        rng(), n_groups=2000, policies={"a": 0.0, "b": 0.0}, intercept=4.0, noise_scale=0.1,
        **PLAIN, sd_slope_group=0.5,
    )  # fmt: skip
    x = dataset.ratings["agreement"].to_numpy().reshape(2000, 3, 5, 4, 2) - 4.0
    assert float((x[:, 0, 0, 0, 0] * x[:, 1, 1, 1, 0]).mean()) == pytest.approx(0.25, abs=0.03)
    assert float((x[:, 0, 0, 0, 0] * x[:, 1, 1, 2, 0]).mean()) == pytest.approx(0, abs=0.03)


def test_who_is_left_out_agrees_less_and_longer_statements_please():
    plain = PLAIN | {"sd_participant_statement": 0.3}
    dataset, _ = simulate_study(
        rng(), n_groups=1500, policies={"a": 0.0}, intercept=4.5, inclusion_effect_agreement=0.5,
        inclusion_effect_quality=0.2, length_effect=0.3, **plain,
    )  # fmt: skip
    seen = (
        dataset.candidates.select("round_id", "candidate_id", "included_opinion_ids")
        .explode("included_opinion_ids")
        .rename({"included_opinion_ids": "opinion_id"})
        .join(dataset.opinions, on=["round_id", "opinion_id"])
        .select("round_id", "candidate_id", "participant_id", included=pl.lit(1.0))
    )
    rows = (
        with_policy(dataset)
        .join(seen, on=["round_id", "candidate_id", "participant_id"], how="left")
        .with_columns(
            pl.col("included").fill_null(0),
            words=pl.col("text").str.split(" ").list.len().cast(int),
        )
    )
    assert rows["included"].mean() == pytest.approx(0.8, abs=0.01)  # one of five, on average
    x = np.column_stack([np.ones(rows.height), rows["included"], (rows["words"] - 40) / 10])
    agreement, *_ = np.linalg.lstsq(x, rows["agreement"].to_numpy(), rcond=None)
    quality, *_ = np.linalg.lstsq(x, rows["quality"].to_numpy(), rcond=None)
    assert agreement[1:] == pytest.approx([0.5, 0.3], abs=0.04)
    assert quality[1:] == pytest.approx([0.2, 0.0], abs=0.04)


def test_unreliable_people_and_missing_ratings():
    dataset, truth = simulate_study(
        rng(), n_groups=300, unreliable_share=0.2, missing_share=0.1, intercept=6.0
    )
    unreliable = pl.col("participant_id").is_in(list(truth.unreliable))
    assert len(truth.unreliable) / 1500 == pytest.approx(0.2, abs=0.05)
    assert dataset.ratings["agreement"].null_count() / dataset.ratings.height == pytest.approx(
        0.1, abs=0.01
    )
    assert dataset.ratings.filter(unreliable)["agreement"].mean() == pytest.approx(4.0, abs=0.1)
    assert dataset.ratings.filter(~unreliable)["agreement"].mean() > 5.5


def test_divisive_rounds_are_those_with_two_sides():
    dataset, truth = simulate_study(rng(), n_groups=200, divisive_share=0.3)
    sides = dataset.position_ratings.group_by("round_id").agg(
        against=(pl.col("agreement") < 4).sum(), people=pl.len()
    )
    assert set(sides.filter(pl.col("against") == 2)["round_id"]) == truth.divisive_rounds
    assert sides.filter(pl.col("against") > 0).height == len(truth.divisive_rounds)
    assert len(truth.divisive_rounds) / 600 == pytest.approx(0.3, abs=0.08)


def test_nobody_rates_the_own_opinion_and_positions_count_up():
    dataset, _ = simulate_study(rng(), n_groups=20, human_effect=0.0, group_size=(3, 5))
    rows = with_policy(dataset)
    assert rows.filter(pl.col("author_id") == pl.col("participant_id")).is_empty()
    human = rows.filter(pl.col("policy") == "human")
    n = human.group_by("round_id", "participant_id", "pass_index").len()["len"]
    assert (n.min(), n.max()) == (2, 4)
    shown = rows.group_by("round_id", "participant_id", "pass_index").agg(pl.col("position").sort())
    assert all(each.to_list() == list(range(len(each))) for each in shown["position"])


def test_the_figures_have_the_closed_forms_that_there_are():
    design = Design(policies=(("a", 0.5), ("b", 0.0)), intercept=4.2, **PLAIN)
    found = figures(design)
    points = np.arange(1, 8)
    for name, effect in design.policies:
        expected = shares(4.2 + effect, design.noise_scale)
        figure = found["mean", name]
        assert abs(figure.value - expected @ points) < 4.5 * figure.error
        assert abs(found["agrees", name].value - expected[4:].sum()) < 4.5 * 0.001
    one = replace(design, n_statements=1, n_passes=1, group_size=1, n_omitted=(0,))
    a, b = (shares(4.2 + effect, one.noise_scale) for effect in (0.5, 0.0))
    joint = np.outer(a, b)
    win, lose = np.tril(joint, -1).sum(), np.triu(joint, 1).sum()
    for statistic in ("mean", "min", "median"):
        figure = figures(one)["win", statistic, "a", "b"]
        assert abs(figure.value - win / (win + lose)) < 4.5 * figure.error
        tie = figures(one)["tie", statistic, "a", "b"]
        assert abs(tie.value - np.trace(joint)) < 4.5 * tie.error


@pytest.mark.heavy
def test_the_figures_are_those_of_a_study():
    """A study of 3,000 rounds, counted by polars, is near the population."""
    dataset, truth = simulate_study(rng(3), n_groups=1000, sd_prediction=0.5, missing_share=0.1)
    found = figures(truth.design)
    rows = with_policy(dataset)
    person = rows.group_by("round_id", "policy", "candidate_id", "participant_id").agg(
        pl.col("agreement").mean()
    )
    group = person.group_by("round_id", "policy", "candidate_id").agg(pl.col("agreement").median())
    wide = (
        group.group_by("round_id", "policy")
        .agg(pl.col("agreement").mean())
        .pivot("policy", index="round_id", values="agreement")
    )
    difference = wide["sft_utilitarian"] - wide["zero_shot"]
    rate = (difference > 0).sum() / ((difference > 0).sum() + (difference < 0).sum())
    expected = found["win", "median", "sft_utilitarian", "zero_shot"].value
    assert rate == pytest.approx(expected, abs=0.04)
    assert (difference == 0).mean() == pytest.approx(
        found["tie", "median", "sft_utilitarian", "zero_shot"].value, abs=0.02
    )
    predicted = dataset.predictions.join(
        person, on=["round_id", "candidate_id", "participant_id"]
    ).drop_nulls("agreement")
    bias = (predicted["expected_rating"] - predicted["agreement"]).mean()
    assert bias == pytest.approx(found["bias",].value, abs=0.03)
    assert abs(bias) < 0.05
