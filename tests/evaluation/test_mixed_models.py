"""The mixed models: what they refuse, real fits by likelihood, and (slow) sampled ones."""

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
from scipy.optimize import minimize
from scipy.special import expit

from commonweal.errors import InputError
from commonweal.evaluation.sections.effects import effects
from commonweal.evaluation.sections.win_rates import Pair
from commonweal.evaluation.statistics import (
    cumulative,
    mixed_likelihood,
    mixed_models,
    mixed_posterior,
)
from commonweal.evaluation.statistics.convergence import Diagnostics, NotConvergedError, diagnose
from commonweal.evaluation.statistics.cumulative import NoFitError, fit_cumulative
from commonweal.evaluation.statistics.mixed_likelihood import fit_likelihood
from commonweal.evaluation.statistics.mixed_models import random_effects, ratings_of, sum_to_zero
from commonweal.evaluation.statistics.mixed_posterior import fit_posterior, prior_in_words

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


@pytest.mark.parametrize("fit", [fit_likelihood, fit_posterior])
def test_what_cannot_be_fitted_is_refused(fit):
    one, _ = simulate_study(rng(), n_groups=3, policies={"only": 0.0})
    with pytest.raises(InputError, match="at least two policies, and what is rated is by only"):
        fit(one, kind="logistic")
    dataset, _ = simulate_study(rng(), n_groups=3)
    all_agree = dataset.ratings.with_columns(
        agreement=pl.when(pl.col("agreement") < 5).then(5).otherwise("agreement")
    )
    with pytest.raises(InputError, match="all ratings are the same"):
        fit(replace(dataset, ratings=all_agree), kind="logistic")


def test_chains_are_compared():
    with pytest.raises(InputError, match="n_chains is 1, expected at least 2"):
        fit_posterior(small(), kind="logistic", n_chains=1)


def test_without_bambi_the_way_out_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "bambi", None)  # what Python itself does where there is none
    with pytest.raises(InputError, match=r'pip install "commonweal\[stats\]"'):
        fit_posterior(small(), kind="logistic")


def test_few_groups_are_said_as_they_are():
    """With two the variance between groups is not in the model."""
    rows = rows_of(n_groups=2)
    terms, _ = random_effects(rows)
    assert not any(term.startswith("group") for term in terms)
    (note,) = mixed_models._few_groups(rows, terms)
    assert "not in the interval" in note
    (note,) = mixed_models._few_groups(rows_of(n_groups=8), ("participant", "group"))
    assert "hardly known" in note
    with pytest.raises(InputError, match="there is one group"):
        mixed_models._few_groups(rows_of(n_groups=1), ("participant",))


# ------------------------------------------------------------------------- no policy is special


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_coding_gives_every_policy_and_every_pair_the_same_prior(n):
    coding = sum_to_zero(n)
    assert coding.sum(axis=0) == pytest.approx(np.zeros(n - 1))
    covariance = coding @ coding.T
    assert np.diag(covariance) == pytest.approx(np.full(n, 1 - 1 / n))
    differences = [coding[i] - coding[j] for i in range(n) for j in range(i)]
    assert [d @ d for d in differences] == pytest.approx([2.0] * len(differences))


def test_the_prior_is_printed():
    said = prior_in_words("ordinal")
    assert "between any two policies normal (0, 2)" in said
    assert "half-normal (2.5)" in said
    assert "thresholds" in said
    assert "intercept" in prior_in_words("logistic")


# ------------------------------------------------------------------------- by their likelihood


def small():
    return simulate_study(rng(7), n_groups=10, n_rounds_per_group=1, group_size=4)[0]


@pytest.mark.heavy
def test_the_same_contrast_from_two_baselines_is_equal():
    dataset = small()
    found = {}
    for baseline, other in (("zero_shot", "sft_base"), ("sft_base", "zero_shot")):
        pairs = [Pair("sft_utilitarian", baseline), Pair(other, baseline)]
        pairs.append(Pair("sft_utilitarian", other))
        section = effects(dataset, baseline, pairs)
        found[baseline] = {one.key: one for one in section.figures}
    for kind in ("logistic", "ordinal"):
        one = found["zero_shot"][f"mixed/{kind}/sft_base"]
        turned = found["sft_base"][f"mixed/{kind}/zero_shot"]
        assert one.value is not None
        assert (one.value, one.low, one.high) == (-turned.value, -turned.high, -turned.low)
        over_base = found["zero_shot"][f"mixed/{kind}/sft_utilitarian/over/sft_base"]
        again = found["sft_base"][f"mixed/{kind}/sft_utilitarian"]
        assert (over_base.value, over_base.low) == (again.value, again.low)
        third = found["zero_shot"][f"mixed/{kind}/sft_utilitarian"].value
        assert third - one.value == pytest.approx(over_base.value)


@pytest.mark.parametrize("n_categories", [2, 5])
def test_a_fit_agrees_with_the_likelihood_integrated_by_quadrature(n_categories):
    """One random effect: the integral is exact with 40 nodes, so is the maximum."""
    generator = rng(3)
    cluster = np.repeat(np.arange(80), 8)
    x = generator.integers(0, 2, (640, 1)).astype(float)
    latent = 0.8 * x[:, 0] + 1.2 * generator.normal(size=80)[cluster]
    cuts = np.linspace(-1.5, 1.5, n_categories - 1) if n_categories > 2 else np.zeros(1)
    y = (generator.random(640)[:, None] > expit(cuts - latent[:, None])).sum(axis=1)
    found = fit_cumulative(y, x, [cluster])
    effect, spread = _by_quadrature(y, x[:, 0], cluster)
    assert found.effects[0] == pytest.approx(effect, abs=0.012)  # a tenth of its standard error
    assert found.spreads[0] == pytest.approx(spread, abs=0.05)


def _by_quadrature(y, x, cluster):
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    k = y.max()

    def minus(parameters):
        cuts = np.cumsum(np.r_[parameters[0], np.exp(parameters[1:k])])
        latent = (parameters[k] * x)[:, None] + np.exp(parameters[-1]) * nodes
        above = np.where((y == k)[:, None], 1, expit(np.r_[cuts, 0][y][:, None] - latent))
        below = np.where((y == 0)[:, None], 0, expit(np.r_[0, cuts][y][:, None] - latent))
        by_cluster = np.zeros((cluster.max() + 1, len(nodes)))
        np.add.at(by_cluster, cluster, np.log(np.maximum(above - below, 1e-300)))
        return -np.log(np.exp(by_cluster) @ weights).sum()

    start = np.r_[-1.0, np.zeros(k - 1), 0.0, -0.5]
    best = minimize(minus, start, method="BFGS", options={"gtol": 1e-3}).x
    return best[k], np.exp(best[-1])


def test_without_random_effects_it_is_the_ordinal_model_of_statsmodels():
    """Ratings that do not hang together: the spread goes to 0, and their fit is ours."""
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    generator = rng(5)
    x = generator.integers(0, 2, (600, 2)).astype(float)
    latent = x @ [0.9, -0.4] + generator.logistic(size=600)
    y = np.searchsorted([-1.0, 0.0, 1.2], latent)
    level = np.tile(np.arange(30), 20)  # any 20 of them; their means differ no more than by chance
    found = fit_cumulative(y, x, [level])
    theirs = OrderedModel(y, x, distr="logit").fit(disp=False, method="bfgs")
    assert found.spreads[0] < 0.15
    assert found.effects == pytest.approx(theirs.params[:2], abs=0.02)
    errors = np.sqrt(np.diag(found.covariance))
    assert errors == pytest.approx(theirs.bse[:2], rel=0.03)


@pytest.mark.parametrize("kind", ["logistic", "ordinal"])
def test_a_policy_all_of_whose_ratings_are_the_highest_has_no_bound(kind):
    dataset = small()
    best = dataset.candidates.filter(policy="sft_base").select("round_id", "candidate_id", x=True)
    ratings = (
        dataset.ratings.join(best, on=["round_id", "candidate_id"], how="left")
        .with_columns(agreement=pl.when("x").then(7).otherwise("agreement"))
        .drop("x")
    )
    with pytest.raises(InputError, match=r"all ratings of sft_base .* no bound"):
        fit_likelihood(replace(dataset, ratings=ratings), kind=kind)


def test_a_likelihood_does_not_depend_on_what_was_asked_before():
    """Thresholds once changed places on the way from far spreads, and no maximum was found."""
    generator = rng(10)
    levels = [np.repeat(np.arange(25), 12), np.tile(np.arange(60), 5)]
    latent = 1.5 * generator.normal(size=25)[levels[0]] + generator.logistic(size=300)
    y = np.searchsorted([-4.0, -2.0, -1.0, 0.0, 1.0, 3.0], latent)
    x = generator.integers(0, 2, (300, 1)).astype(float)
    model = cumulative._Model(y, x, levels)
    for exponents in generator.uniform(math.log(0.01), math.log(20), (12, 2)):
        spreads = np.exp(exponents)
        afresh = cumulative._Model(y, x, levels).restricted(spreads)
        assert model.restricted(spreads) == pytest.approx(afresh, abs=1e-3)


@pytest.mark.heavy
def test_a_study_of_forty_groups_is_fitted():
    """On the way some steps go to spreads of 20."""
    dataset, truth = simulate_study(rng(4), n_groups=40, n_rounds_per_group=1, **EASY)
    one = fit_likelihood(dataset, kind="ordinal").over("a", "b")
    assert one.low < 1.0 / truth.design.noise_scale < one.high


def test_a_column_that_says_nothing_is_no_fit():
    y, level = np.tile([0, 1], 60), np.repeat(np.arange(12), 10)
    with pytest.raises(NoFitError, match="cannot be told apart"):
        fit_cumulative(y, np.zeros((120, 1)), [level])


def test_a_large_study_is_fitted_to_whole_groups_drawn_by_lot(monkeypatch):
    dataset = small()
    monkeypatch.setattr(mixed_likelihood, "MOST_RATINGS", 150)
    some, (note,) = mixed_likelihood._some_groups(dataset, seed=1)
    assert some.rounds["group_id"].n_unique() == 6  # 24 ratings each
    assert note.startswith("Fitted to 6 of 10 groups, drawn by lot")
    again, _ = mixed_likelihood._some_groups(dataset, seed=1)
    other, _ = mixed_likelihood._some_groups(dataset, seed=2)
    assert set(again.rounds["group_id"]) == set(some.rounds["group_id"])
    assert set(other.rounds["group_id"]) != set(some.rounds["group_id"])
    assert ratings_of(some, "ordinal").rows.height == 6 * 24


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
def test_a_likelihood_fit_holds_the_known_coefficient(kind):
    held = 0
    for seed in range(40):
        dataset, truth = simulate_study(rng(seed), n_groups=12, n_rounds_per_group=1, **EASY)
        one = fit_likelihood(dataset, kind=kind).over("a", "b")
        held += one.low < dict(truth.design.policies)["a"] / truth.design.noise_scale < one.high
    assert held >= 35  # of 40; 38 is 95 %


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.parametrize("kind", ["logistic", "ordinal"])
def test_a_sampled_fit_recovers_the_known_coefficient(kind):
    dataset, truth = simulate_study(rng(4), n_groups=40, n_rounds_per_group=1, **EASY)
    told = []
    found = fit_posterior(
        dataset,
        kind=kind,
        seed=1,
        n_draws=1500,
        on_progress=lambda *progress: told.append(progress),
    )
    effect = found.over("a", "b")
    expected = dict(truth.design.policies)["a"] / truth.design.noise_scale
    assert effect.low < expected < effect.high
    assert effect.high - effect.low < 1.2
    assert found.spreads["participant"] == pytest.approx(0.6 / 0.8, abs=0.35)
    assert found.diagnostics.problems() == ()
    assert found.n_levels["group"] == 40
    assert told[-1] == ("sample", 10_000, 10_000)
    quick = fit_likelihood(dataset, kind=kind).over("a", "b")
    assert quick.estimate == pytest.approx(effect.estimate, abs=0.1)
    assert quick.low == pytest.approx(effect.low, abs=0.15)


@pytest.mark.slow
@pytest.mark.train
def test_too_few_draws_are_an_error_and_no_number():
    dataset, _ = simulate_study(rng(4), n_groups=12, n_rounds_per_group=1, **EASY)
    with pytest.raises(NotConvergedError, match=r"has no result: .*Try more draws") as raised:
        fit_posterior(dataset, kind="logistic", n_draws=50, n_tune=50, n_chains=2)
    assert raised.value.diagnostics.problems()


@pytest.mark.slow
@pytest.mark.train
def test_separation_is_warned_of():
    dataset, _ = simulate_study(rng(4), n_groups=15, n_rounds_per_group=1, **EASY)
    of_a = dataset.candidates.filter(policy="a").select("round_id", "candidate_id", x=True)
    ratings = (
        dataset.ratings.join(of_a, on=["round_id", "candidate_id"], how="left")
        .with_columns(agreement=pl.when("x").then(6).otherwise("agreement"))
        .drop("x")
    )
    found = fit_posterior(replace(dataset, ratings=ratings), kind="logistic", seed=1)
    assert any("All ratings of a are the same" in warning for warning in found.warnings)
    assert math.isfinite(found.differences[0].high)


def test_the_librarys_own_warnings_stay_out_of_the_terminal(monkeypatch):
    class BuiltError(Exception):
        pass

    def build(*args, **more):
        warnings.warn("The reference level is not what you think", UserWarning, stacklevel=2)
        raise BuiltError

    known = {
        "bambi": SimpleNamespace(Model=build, Prior=lambda *_, **__: None, __version__="0"),
        "pandas": pd,
        "pymc.distributions.transforms": SimpleNamespace(ordered=None),
    }
    monkeypatch.setattr(mixed_posterior, "library", known.__getitem__)
    dataset, _ = simulate_study(rng(), n_groups=12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BuiltError):
            fit_posterior(dataset, kind="ordinal")
