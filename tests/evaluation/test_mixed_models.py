"""The mixed models: what they refuse, what they are, and (slow) real fits against known truth."""

from __future__ import annotations

import math
import sys
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from known_truth import simulate_study

from commonweal.errors import InputError
from commonweal.evaluation import mixed_models
from commonweal.evaluation.convergence import Diagnostics, NotConvergedError, diagnose
from commonweal.evaluation.mixed_models import fit_mixed_model, random_effects

GOOD = Diagnostics(1.004, 900.0, 700.0, 0, 4000, 4, "policy")
CALM = np.zeros((4, 1000), dtype=bool)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def rows_of(**design) -> pl.DataFrame:
    """What ``random_effects`` looks at."""
    dataset, _ = simulate_study(rng(), **design)
    return (
        dataset.ratings.filter(pass_index=0)
        .join(dataset.candidates, on=["round_id", "candidate_id"])
        .join(dataset.rounds, on="round_id")
        .select(
            "policy",
            participant="participant_id",
            question="question_id",
            group="group_id",
            statement=pl.col("round_id") + pl.col("candidate_id"),
        )
    )


# ---------------------------------------------------------------------------------- convergence


@pytest.mark.train
def test_chains_of_the_same_distribution_are_content():
    draws = {
        "policy": rng().normal(size=(4, 1000, 2)),
        "1|group_sigma": rng(2).gamma(3, size=(4, 1000)),
    }
    found = diagnose(draws, CALM)
    assert found.problems() == ()
    assert found.max_r_hat < 1.01
    assert found.min_ess_bulk > 3000  # independent draws count in full
    assert (found.n_draws, found.n_chains) == (4000, 4)


@pytest.mark.train
def test_a_chain_elsewhere_is_found_and_named():
    apart = rng().normal(size=(4, 1000, 2))
    apart[3, :, 1] += 1
    found = diagnose({"1|group_sigma": rng(2).normal(size=(4, 1000)), "policy": apart}, CALM)
    assert found.worst == "policy"
    assert any("R-hat of policy is" in problem for problem in found.problems())


@pytest.mark.train
def test_draws_that_hang_together_are_found():
    steps = rng().normal(size=(4, 1000))
    slow = np.empty_like(steps)
    slow[:, 0] = steps[:, 0] * 5
    for i in range(1, 1000):  # an autoregression of 0.98: about 1 in 100 draws is worth one
        slow[:, i] = 0.98 * slow[:, i - 1] + steps[:, i]
    found = diagnose({"policy": slow}, CALM)
    assert found.min_ess_bulk < 150
    assert any("bulk effective sample size" in problem for problem in found.problems())


@pytest.mark.train
@pytest.mark.parametrize("value", [1.0, math.nan])
def test_a_chain_that_never_moved_is_a_problem(value):
    """Also where a parameter that moves comes after it."""
    stuck = {"policy": np.full((4, 1000), value), "other": rng().normal(size=(4, 1000))}
    found = diagnose(stuck, CALM)
    assert found.worst == "policy"
    assert any("R-hat of policy is nan" in problem for problem in found.problems())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"max_r_hat": 1.02}, "R-hat of policy is 1.020"),
        ({"max_r_hat": math.nan}, "R-hat of policy is nan"),
        ({"min_ess_bulk": 399.0}, "smallest bulk effective sample size is 399"),
        ({"min_ess_tail": math.nan}, "smallest tail effective sample size is nan"),
        ({"n_divergent": 5}, "5 of 4000 draws diverged, expected at most 0.1%"),
    ],
)
def test_each_limit_is_a_problem_of_its_own(change, expected):
    assert GOOD.problems() == ()
    assert replace(GOOD, n_divergent=4).problems() == ()
    (problem,) = replace(GOOD, **change).problems()
    assert expected in problem


# ------------------------------------------------------------------------------- the largest model


def test_the_largest_model_has_all_random_effects():
    terms, why = random_effects(rows_of(n_groups=20, n_questions=10))
    assert terms == (
        "participant",
        "question",
        "group",
        "statement",
        "participant:policy",
        "question:policy",
        "group:policy",
    )
    assert why == ()


def test_what_a_design_cannot_tell_apart_is_left_out_and_said():
    terms, why = random_effects(rows_of(n_groups=20, n_rounds_per_group=1))
    assert "group" not in terms
    assert "group:policy" not in terms
    assert "No random effect of group: in this study it cannot be told from question" in why[0]

    terms, why = random_effects(rows_of(n_groups=20, n_questions=4))
    assert not any(term.startswith("question") for term in terms)
    (reason,) = why
    assert reason.startswith("No random effect of question: there are 4,")

    one_each = rows_of(n_groups=20, n_rounds_per_group=1, n_statements=1, n_questions=10)
    terms, why = random_effects(one_each)
    assert "participant:policy" not in terms
    assert any("300 for 300 ratings, too many to tell from the noise" in each for each in why)
    assert any("group:policy: in this study it cannot be told from statement" in e for e in why)


def test_without_any_random_effect_there_is_no_mixed_model():
    rows = rows_of(
        n_groups=2,
        group_size=2,
        n_rounds_per_group=1,
        policies={"a": 0.0, "b": 0.0},
        n_statements=1,
    )
    with pytest.raises(InputError, match="Use the linear model"):
        random_effects(rows)


# ------------------------------------------------------------------------------ what it refuses


def test_what_cannot_be_fitted_is_refused_before_the_sampling():
    one, _ = simulate_study(rng(), n_groups=3, policies={"only": 0.0})
    with pytest.raises(InputError, match="all rated statements are by 'only'"):
        fit_mixed_model(one, kind="logistic", baseline="only")
    dataset, _ = simulate_study(rng(), n_groups=3)
    with pytest.raises(InputError, match="n_chains is 1, expected at least 2"):
        fit_mixed_model(dataset, kind="logistic", baseline="zero_shot", n_chains=1)
    all_agree = dataset.ratings.with_columns(
        agreement=pl.when(pl.col("agreement") < 5).then(5).otherwise("agreement")
    )
    with pytest.raises(InputError, match="all ratings are the same"):
        fit_mixed_model(replace(dataset, ratings=all_agree), kind="logistic", baseline="zero_shot")


def test_without_bambi_the_way_out_is_said(monkeypatch):
    dataset, _ = simulate_study(rng(), n_groups=8)
    monkeypatch.setitem(sys.modules, "bambi", None)  # what Python itself does where there is none
    with pytest.raises(InputError, match=r"pip install 'commonweal\[stats\]'"):
        fit_mixed_model(dataset, kind="logistic", baseline="zero_shot")


# ------------------------------------------------------------------------------------ real fits

EASY = {
    "policies": {"a": 1.0, "b": 0.0},
    "sd_participant": 0.6,
    "sd_question": 0.5,
    "sd_group": 0.0,
    "sd_statement": 0.3,
    "sd_participant_statement": 0.0,
    "sd_slant": 0.0,
    "noise_scale": 0.8,
    "intercept": 4.2,
    "n_passes": 1,
    "n_questions": 12,
}
"""Without an effect of person and statement the models' coefficient is 1.0 / 0.8 exactly."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["logistic", "ordinal"])
def test_a_fit_recovers_the_known_coefficient(kind):
    dataset, truth = simulate_study(rng(4), n_groups=40, n_rounds_per_group=1, **EASY)
    told = []
    found = fit_mixed_model(
        dataset,
        kind=kind,
        baseline="b",
        seed=1,
        n_draws=1500,
        on_progress=lambda *progress: told.append(progress),
    )
    (effect,) = found.effects
    expected = dict(truth.design.policies)["a"] / truth.design.noise_scale
    assert effect.policy == "a"
    assert effect.low < expected < effect.high
    assert effect.high - effect.low < 1.2
    assert effect.probability_above_zero > 0.99
    assert found.spreads["participant"] == pytest.approx(0.6 / 0.8, abs=0.35)
    assert found.diagnostics.problems() == ()
    assert found.n_levels["group"] == 40
    assert told[-1] == ("sample", 10_000, 10_000)


@pytest.mark.slow
def test_either_policy_may_be_the_baseline():
    dataset, _ = simulate_study(rng(4), n_groups=20, n_rounds_per_group=1, **EASY)
    of_a, of_b = (
        fit_mixed_model(dataset, kind="logistic", baseline=name, seed=1).effects[0]
        for name in ("b", "a")
    )
    assert (of_a.policy, of_b.policy) == ("a", "b")
    assert of_a.estimate == pytest.approx(-of_b.estimate, abs=0.1)
    assert of_a.low == pytest.approx(-of_b.high, abs=0.15)


@pytest.mark.slow
def test_too_few_draws_are_an_error_and_no_number():
    dataset, _ = simulate_study(rng(4), n_groups=12, n_rounds_per_group=1, **EASY)
    with pytest.raises(NotConvergedError, match=r"has no result: .*Try more draws") as raised:
        fit_mixed_model(dataset, kind="logistic", baseline="b", n_draws=50, n_tune=50, n_chains=2)
    assert raised.value.diagnostics.problems()


@pytest.mark.slow
def test_separation_is_warned_of():
    dataset, _ = simulate_study(rng(4), n_groups=15, n_rounds_per_group=1, **EASY)
    of_a = dataset.candidates.filter(policy="a").select("round_id", "candidate_id", x=True)
    ratings = (
        dataset.ratings.join(of_a, on=["round_id", "candidate_id"], how="left")
        .with_columns(agreement=pl.when("x").then(6).otherwise("agreement"))
        .drop("x")
    )
    found = fit_mixed_model(
        replace(dataset, ratings=ratings), kind="logistic", baseline="b", seed=1
    )
    assert any("All ratings of a are the same" in warning for warning in found.warnings)
    assert math.isfinite(found.effects[0].high)


def test_the_librarys_own_warnings_stay_out_of_the_terminal(monkeypatch):
    class BuiltError(Exception):
        pass

    def build(*args, **more):
        warnings.warn("The reference level is not what you think", UserWarning, stacklevel=2)
        raise BuiltError

    known = {"bambi": SimpleNamespace(Model=build, __version__="0"), "pandas": pd}
    monkeypatch.setattr(mixed_models, "library", known.__getitem__)
    dataset, _ = simulate_study(rng(), n_groups=12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BuiltError):
            fit_mixed_model(dataset, kind="ordinal", baseline="zero_shot")


def test_few_groups_are_said_as_they_are():
    """With two the variance between groups is not in the model, so no prior is spoken of."""
    rows = rows_of(n_groups=2)
    terms, _ = random_effects(rows)
    assert not any(term.startswith("group") for term in terms)
    (note,) = mixed_models._few_groups(rows, terms)
    assert "not in the interval" in note
    (note,) = mixed_models._few_groups(rows_of(n_groups=8), ("participant", "group"))
    assert "prior" in note
    with pytest.raises(InputError, match="there is one group"):
        mixed_models._few_groups(rows_of(n_groups=1), ("participant",))
