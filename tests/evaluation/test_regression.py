"""The linear model: against statsmodels, a naive twin, and known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from known_truth import simulate_study
from scipy import linalg, stats

from commonweal.datasets.dataset import About, Dataset, frame
from commonweal.datasets.schema import LIKERT_7
from commonweal.errors import InputError
from commonweal.evaluation.evaluate import evaluate
from commonweal.evaluation.rounds.rated import rated
from commonweal.evaluation.statistics.regression import (
    least_squares_cr2,
    policy_effects,
    rating_rows,
)

POLICIES = ("sft_base", "sft_utilitarian")


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def study():
    dataset, _ = simulate_study(
        rng(),
        n_groups=12,
        n_rounds_per_group=2,
        group_size=(2, 5),
        missing_share=0.6,
        length_effect=0.3,
        policy_words={"sft_base": 8},
        sd_slope_group=0.3,
    )
    return dataset


def in_full(dataset, *, length):
    """y, regressors, a dummy for each person in each round, and the groups: nothing demeaned."""
    rows = rating_rows(dataset, "agreement").drop_nulls()
    rows = rows.filter(pl.col("policy").n_unique().over("round_id", "participant_id") > 1)
    columns = [(rows["policy"] == name).cast(float).to_numpy() for name in POLICIES]
    if length:
        columns.append(rows["words"].to_numpy() / 10)
    person = (rows["round_id"] + rows["participant_id"]).to_dummies().to_numpy().astype(float)
    groups = rows["group_id"].rank("dense").to_numpy() - 1
    return rows["outcome"].to_numpy(), np.column_stack([*columns, person]), groups


# --------------------------------------------------------------------------------- other software


@pytest.mark.parametrize("length", [False, True])
def test_estimates_are_those_of_statsmodels_with_a_dummy_for_every_person(study, length):
    y, x, groups = in_full(study, length=length)
    fitted = sm.OLS(y, x).fit(cov_type="cluster", cov_kwds={"groups": groups})
    found = policy_effects(study, baseline="zero_shot", control_length=length)
    effects = [*found.effects, *([found.length] if found.length else [])]
    assert [e.estimate for e in effects] == pytest.approx(fitted.params[: len(effects)])
    # Another correction for few clusters, so the errors are near and not the same.
    assert [e.standard_error for e in effects] == pytest.approx(fitted.bse[: len(effects)], rel=0.2)
    assert found.n_ratings == len(y)


def test_errors_are_cr2_as_it_is_defined(study):
    """The whole hat matrix, dummies in, and matrix square roots: Bell and McCaffrey (2002)."""
    y, x, groups = in_full(study, length=True)
    bread = np.linalg.inv(x.T @ x)
    residuals = y - x @ (bread @ x.T @ y)
    meat = np.zeros_like(bread)
    for g in np.unique(groups):
        mine = x[groups == g]
        left = np.eye(len(mine)) - mine @ bread @ mine.T
        values, vectors = linalg.eigh(left)
        kept = values > 1e-8
        adjust = (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T
        score = mine.T @ adjust @ residuals[groups == g]
        meat += np.outer(score, score)
    expected = np.sqrt(np.diag(bread @ meat @ bread))[:3]
    found = policy_effects(study, baseline="zero_shot", control_length=True)
    assert [e.standard_error for e in found.effects] == pytest.approx(expected[:2])
    assert found.length is not None
    assert found.length.standard_error == pytest.approx(expected[2])


def test_in_a_balanced_design_cr2_is_statsmodels_times_g_over_g_less_one():
    x = np.tile(rng().normal(size=(8, 3)), (12, 1))
    y = rng(2).normal(size=96)
    groups = np.repeat(np.arange(12), 8)
    fitted = sm.OLS(y, x).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    estimates, covariance = least_squares_cr2(x, y, groups)
    assert estimates == pytest.approx(fitted.params)
    assert covariance == pytest.approx(fitted.cov_params() * 12 / 11)


def test_intervals_and_p_values_belong_together(study):
    found = policy_effects(study, baseline="zero_shot")
    assert found.degrees_of_freedom == found.n_groups - 1
    for effect in found.effects:
        t = stats.t(found.degrees_of_freedom)
        half = t.ppf(0.975) * effect.standard_error
        assert (effect.low, effect.high) == pytest.approx(
            (effect.estimate - half, effect.estimate + half)
        )
        p_value = 2 * t.sf(abs(effect.estimate) / effect.standard_error)
        assert effect.p_value == pytest.approx(p_value)


# ------------------------------------------------------------------------------------ the rows


@pytest.mark.parametrize("first_pass", [False, True])
def test_rows_are_those_gathered_by_hand(study, first_pass):
    given: dict = {}
    for row in study.ratings.sort("pass_index").to_dicts():
        key = (row["round_id"], row["participant_id"], row["candidate_id"])
        given.setdefault(key, []).append(row["agreement"])
    words = {
        (row["round_id"], row["candidate_id"]): len(row["text"].split())
        for row in study.candidates.to_dicts()
    }
    rows = rating_rows(study, "agrees", first_pass=first_pass)
    assert rows.height == len(given)
    assert rows["outcome"].null_count() > 0
    for row in rows.to_dicts():
        key = (row["round_id"], row["participant_id"], row["candidate_id"])
        agrees = [value > 4 for value in given[key] if value is not None]
        expected = None if not agrees else agrees[0] if first_pass else np.mean(agrees)
        assert row["outcome"] == expected
        assert row["words"] == words[row["round_id"], row["candidate_id"]]


def test_missing_and_uncomparable_ratings_are_counted(study):
    found = policy_effects(study, baseline="zero_shot")
    rows = rating_rows(study, "agreement")
    assert found.n_missing == rows["outcome"].null_count()
    assert found.n_ratings < rows["outcome"].drop_nulls().len()
    assert found.n_groups <= 12


def test_order_and_names_do_not_matter(study):
    mixed = replace(
        study,
        ratings=study.ratings.sample(fraction=1, shuffle=True, seed=3),
        candidates=study.candidates.sample(fraction=1, shuffle=True, seed=4),
    )
    renamed = {
        name: table.with_columns(participant_id="z" + pl.col("participant_id").str.reverse())
        for name, table in (("ratings", mixed.ratings), ("opinions", mixed.opinions))
    }
    first, second = (
        policy_effects(each, baseline="zero_shot", control_length=True)
        for each in (study, replace(mixed, **renamed))
    )
    for a, b in zip(first.effects, second.effects, strict=True):
        assert (a.estimate, a.low, a.p_value) == pytest.approx((b.estimate, b.low, b.p_value))


# ---------------------------------------------------------------------------------- known truth


def test_known_effects_are_recovered():
    """Latent effects, where the scale's ends are out of reach."""
    dataset, _ = simulate_study(
        rng(),
        n_groups=300,
        intercept=4.0,
        sd_participant=0.3,
        sd_question=0.3,
        policy_quality={"sft_base": 0.5},
        length_effect=0.2,
        policy_words={"sft_base": 10},
    )
    plain = policy_effects(dataset, baseline="zero_shot")
    held = policy_effects(dataset, baseline="zero_shot", control_length=True)
    quality = policy_effects(dataset, baseline="zero_shot", outcome="quality")
    for found, expected in (
        (plain.effects, {"sft_base": 0.3 + 0.2, "sft_utilitarian": 0.6}),
        (held.effects, {"sft_base": 0.3, "sft_utilitarian": 0.6}),
        ((held.length,), {"length": 0.2}),
        (quality.effects, {"sft_base": 0.5, "sft_utilitarian": 0.0}),
    ):
        for effect in found:
            assert abs(effect.estimate - expected[effect.name]) < 4 * effect.standard_error
            assert effect.standard_error < 0.05


def test_agreeing_is_a_difference_of_shares():
    dataset, _ = simulate_study(rng(), n_groups=40)
    rows = rating_rows(dataset, "agrees")
    shares = dict(rows.group_by("policy").agg(pl.col("outcome").mean()).iter_rows())
    found = policy_effects(dataset, baseline="zero_shot", outcome="agrees")
    for effect in found.effects:
        assert effect.estimate == pytest.approx(shares[effect.name] - shares["zero_shot"])


@pytest.mark.slow
@pytest.mark.parametrize("n_groups", [10, 40])
def test_intervals_cover_the_truth_in_95_of_100_studies(n_groups):
    """500 studies with slopes that differ by group, so that errors by rating would be too small."""
    n, covered = 500, 0
    for seed in range(n):
        dataset, _ = simulate_study(
            rng(seed),
            n_groups=n_groups,
            policies={"a": 0.4, "b": 0.0},
            intercept=3.8,
            sd_participant=0.3,
            sd_question=0.3,
            sd_slope_group=0.4,
            group_size=(2, 5),
        )
        (effect,) = policy_effects(dataset, baseline="b").effects
        covered += effect.low <= 0.4 <= effect.high
    assert covered / n == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / n))


# ------------------------------------------------------------------------- what cannot be done


def test_one_policy_has_nothing_to_be_compared_with():
    dataset, _ = simulate_study(rng(), n_groups=3, policies={"only": 0.0})
    with pytest.raises(InputError, match="all rated statements are by 'only'"):
        policy_effects(dataset, baseline="only")
    with pytest.raises(InputError, match="by the baseline 'other'; expected one of only"):
        policy_effects(dataset, baseline="other")


def test_no_ratings_and_one_group():
    dataset, _ = simulate_study(rng(), n_groups=1)
    with pytest.raises(InputError, match="from 1 group; expected at least 2"):
        policy_effects(dataset, baseline="zero_shot")
    with pytest.raises(InputError, match="nothing is rated"):
        policy_effects(replace(dataset, ratings=dataset.ratings.head(0)), baseline="zero_shot")


def test_policies_that_nobody_rated_together_are_named(study):
    """zero_shot in half of the rounds, the others in the other half."""
    odd = study.rounds["round_id"].gather_every(2).implode()
    theirs = pl.col("policy") == "zero_shot"
    shown = study.candidates.filter(theirs == pl.col("round_id").is_in(odd))
    apart = replace(
        study,
        candidates=shown,
        ratings=study.ratings.join(shown, on=["round_id", "candidate_id"], how="semi"),
    )
    with pytest.raises(InputError, match="nobody rated sft_base, sft_utilitarian and the baseline"):
        policy_effects(apart, baseline="zero_shot")


def test_lengths_that_do_not_differ_cannot_be_controlled_for(study):
    same = replace(study, candidates=study.candidates.with_columns(text=pl.lit("We agree.")))
    with pytest.raises(InputError, match="no length to control for"):
        policy_effects(same, baseline="zero_shot", control_length=True)


def test_few_groups_are_warned_of(study):
    few = study.of_rounds([r for r in study.rounds["round_id"] if r < "g05"])
    (warning,) = policy_effects(few, baseline="zero_shot").warnings
    assert "There are 4 groups only" in warning
    assert policy_effects(study, baseline="zero_shot").warnings == ()


def test_ratings_without_any_difference_have_no_effect():
    dataset, _ = simulate_study(rng(), n_groups=3)
    even = dataset.ratings.with_columns(agreement=pl.lit(5, dtype=pl.Int64))
    found = policy_effects(replace(dataset, ratings=even), baseline="zero_shot")
    assert all((e.low, e.estimate, e.high, e.p_value) == (0, 0, 0, 1) for e in found.effects)


def test_groups_that_say_the_same_leave_no_error_to_estimate_and_no_interval():
    """Two groups in which a policy adds the same: there is no interval, and no page that breaks."""
    drawn = rng(19)
    rounds, candidates, ratings = [], [], []
    for name in ("0", "1"):
        rounds.append(
            {"round_id": name, "group_id": name, "question_id": name, "question": f"Why {name}?"}
        )
        for n, policy in enumerate("abcd", start=2):
            candidates.append(
                {"round_id": name, "candidate_id": policy, "text": "word " * n,
                 "policy": policy, "shown": True}
            )  # fmt: skip
            ratings += [
                {"round_id": name, "participant_id": f"{name}{p}", "candidate_id": policy,
                 "pass_index": 0, "agreement": int(drawn.integers(1, 8)), "quality": 4}
                for p in range(5)
            ]  # fmt: skip
    made = Dataset(
        About("made", "simulated", LIKERT_7, "made by rule"),
        rounds=frame("rounds", rounds),
        candidates=frame("candidates", candidates),
        ratings=frame("ratings", ratings),
    )
    (effect,) = (e for e in policy_effects(made, baseline="a").effects if e.name == "c")
    assert effect.standard_error == pytest.approx(0, abs=1e-9)
    figure = evaluate(made, n_resamples=1000).figures["effect/agreement/c"]
    assert (figure.value, figure.low, figure.p_value) == (effect.estimate, None, None)
    assert "too much alike" in figure.no_interval


def test_words_are_counted_without_blanks_and_without_dashes(study):
    texts = {"zero_shot": "賛成です。", "sft_base": "We agree - on all of it."}
    text = pl.col("policy").replace_strict(texts, default="No.")
    dataset = replace(study, candidates=study.candidates.with_columns(text=text))
    rows = rating_rows(dataset, "agreement")
    n_of = dict(rows.select("policy", "words").unique().iter_rows())
    assert (n_of["zero_shot"], n_of["sft_base"]) == (4, 6)
    found = rated(dataset)
    of_policy = found.statement_policy == found.policies.index("zero_shot")
    assert set(found.words[of_policy]) == {4.0}
