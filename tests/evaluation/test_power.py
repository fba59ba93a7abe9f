"""The number of groups: against the sign test, brute force, the real bootstrap, and known truth."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import product
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_figures import figures
from known_truth import simulate_study
from scipy import stats

from commonweal.errors import InputError
from commonweal.evaluation.statistics.group_outcomes import (
    Assumptions,
    GroupOutcomes,
    assumed_groups,
    pilot_groups,
    tilted,
)
from commonweal.evaluation.statistics.power import (
    bootstrap_tail,
    detects,
    groups_needed,
    simulated_power,
    wilson,
)
from commonweal.measures.bootstrap import Resampler
from commonweal.measures.intervals import tail

UNCLUSTERED = Assumptions(rounds_per_group=1, tie_share=0, icc=0)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


# ------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("win_rate", [0.6, 0.65, 0.7])
def test_without_clustering_it_is_the_sign_tests_sample_size(win_rate):
    z = NormalDist().inv_cdf
    spread = math.sqrt(win_rate * (1 - win_rate))
    expected = ((z(0.975) * 0.5 + z(0.8) * spread) / (win_rate - 0.5)) ** 2
    found = groups_needed(UNCLUSTERED, win_rate=win_rate)
    assert found.n_groups == pytest.approx(expected, rel=0.06)
    assert found.n_groups_low <= found.n_groups <= found.n_groups_high
    assert found.n_groups_high - found.n_groups_low < 0.1 * found.n_groups


@pytest.mark.parametrize(("n", "win_rate"), [(30, 0.7), (87, 0.65), (12, 0.8)])
def test_power_is_that_of_the_enumerated_binomial(n, win_rate):
    """Every study there is, with its probability, each judged by its own binomial bootstrap."""
    wins = np.arange(n + 1)
    detected = (stats.binom.cdf(n / 2, n, wins / n) < tail(n)) & (wins < n)
    expected = stats.binom.pmf(wins, n, win_rate)[detected].sum()
    found = simulated_power(assumed_groups(UNCLUSTERED, win_rate), n, 40_000, rng())
    assert found == pytest.approx(expected, abs=4.5 * math.sqrt(0.25 / 40_000))


def test_clustering_costs_the_design_effect():
    """Four rounds a group with correlation 0.2 are worth 1 / (1 + 3 * 0.2) of as many alone."""
    alone = groups_needed(UNCLUSTERED, win_rate=0.6).n_groups
    together = groups_needed(Assumptions(4, 0, 0.2), win_rate=0.6).n_groups
    assert together == pytest.approx(alone / 4 * 1.6, rel=0.08)
    tied = groups_needed(Assumptions(1, 0.5, 0), win_rate=0.6).n_groups
    assert tied == pytest.approx(2 * alone, rel=0.08)


def test_below_half_is_the_mirror_of_above():
    up, down = (groups_needed(win_rate=rate, seed=3) for rate in (0.7, 0.3))
    assert up.n_groups == down.n_groups
    assert up.table == down.table


def test_the_false_alarms_are_five_in_a_hundred():
    found = groups_needed(win_rate=0.6, n_simulations=10_000)
    assert found.false_alarms == pytest.approx(0.05, abs=0.01)


# --------------------------------------------------------------------------------- the bootstrap


def study(differences):
    """Each group a kind of its own, one of each."""
    return np.ones((1, len(differences))), np.array(differences, dtype=float)


@settings(max_examples=30)
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=5).filter(any))
def test_the_tail_is_that_of_all_resamples(differences):
    resamples = [sum(drawn) for drawn in product(differences, repeat=len(differences))]
    expected = np.mean(np.array(resamples) <= 0)
    assert bootstrap_tail(*study(differences))[0] == pytest.approx(expected, abs=1e-9)


def test_a_study_is_judged_as_the_evaluation_judges_it():
    """By the evaluation's own interval with 20,000 resamples; where it is not on the edge."""
    n_checked = n_detected = 0
    for seed in range(60):
        draw = rng(seed)
        n = int(draw.integers(5, 30))
        wins = draw.binomial(3, 0.6, n).astype(float)
        losses = draw.binomial(3 - wins.astype(int), 0.8).astype(float)
        found = detects(np.ones((1, n)), wins, losses)[0]
        (estimate,) = Resampler(n, 20_000, draw).ratios(wins[:, None], (wins + losses)[:, None])
        if abs(estimate.low - 0.5) > 0.01 or np.isnan(estimate.low):
            n_checked += 1
            n_detected += found
            assert found == (estimate.low > 0.5)
    assert n_checked > 30
    assert 5 < n_detected < n_checked - 5


def test_groups_that_are_all_alike_or_too_few_have_no_interval():
    wins, losses = np.array([3.0, 2.0, 0.0]), np.array([0.0, 1.0, 0.0])
    alike, mixed, few = np.array([[40.0, 0, 0]]), np.array([[36.0, 4, 0]]), np.array([[4.0, 1, 35]])
    assert [detects(each, wins, losses)[0] for each in (alike, mixed, few)] == [False, True, False]


# ----------------------------------------------------------------------------------- assumptions


@pytest.mark.parametrize("assumptions", [Assumptions(), Assumptions(3, 0, 0), Assumptions(5, 0.3)])
def test_assumed_groups_have_the_moments_that_are_assumed(assumptions):
    groups = assumed_groups(assumptions, 0.65)
    n, p = assumptions.rounds_per_group, groups.probability
    assert p.sum() == pytest.approx(1)
    assert groups.win_rate == pytest.approx(0.65)
    assert p @ (groups.wins + groups.losses) == pytest.approx(n * (1 - assumptions.tie_share))
    # Two rounds of one group are both won with probability p^2 + icc p (1 - p), if both decide.
    pairs = p @ (groups.wins * (groups.wins - 1)) / (n * (n - 1) * (1 - assumptions.tie_share) ** 2)
    assert pairs == pytest.approx(0.65**2 + assumptions.icc * 0.65 * 0.35)


def test_more_groups_have_more_power():
    groups = assumed_groups(Assumptions(), 0.65)
    powers = [simulated_power(groups, n, 4000, rng()) for n in (10, 20, 40, 80)]
    assert powers == sorted(powers)
    assert powers[-1] > 0.95


def test_the_same_seed_is_the_same_answer():
    assert groups_needed(win_rate=0.7, seed=5) == groups_needed(win_rate=0.7, seed=5)


# ----------------------------------------------------------------------------------------- pilot


def brute_outcomes(dataset, policy, baseline, statistic):
    """Wins and losses by group, with loops."""
    function = {"mean": np.mean, "min": np.min, "median": np.median}[statistic]
    policies = {
        (row["round_id"], row["candidate_id"]): row["policy"]
        for row in dataset.candidates.to_dicts()
    }
    by_person = {}
    for row in dataset.ratings.to_dicts():
        if row["agreement"] is not None:
            key = (row["round_id"], row["candidate_id"], row["participant_id"])
            by_person.setdefault(key, []).append(row["agreement"])
    by_statement = {}
    for (r, c, _), values in by_person.items():
        by_statement.setdefault((r, c), []).append(np.mean(values))
    found = {}
    for r, group in dataset.rounds.select("round_id", "group_id").iter_rows():
        of = {
            name: [
                function(values)
                for key, values in by_statement.items()
                if key[0] == r and policies[key] == name
            ]
            for name in (policy, baseline)
        }
        wins, losses = found.setdefault(group, [0, 0])
        difference = np.mean(of[policy]) - np.mean(of[baseline])
        found[group] = [wins + (difference > 1e-9), losses + (difference < -1e-9)]
    return np.array([found[group] for group in sorted(found)], dtype=float).T


@pytest.mark.parametrize("statistic", ["mean", "min", "median"])
def test_a_pilots_groups_are_those_counted_by_hand(statistic):
    dataset, _ = simulate_study(rng(), n_groups=12, missing_share=0.1)
    groups = pilot_groups(dataset, policy="sft_base", baseline="zero_shot", statistic=statistic)
    wins, losses = brute_outcomes(dataset, "sft_base", "zero_shot", statistic)
    assert groups.wins.tolist() == wins.tolist()
    assert groups.losses.tolist() == losses.tolist()
    assert groups.n_pilot_groups == 12


def test_a_pilots_revisions_are_no_rounds_of_it():
    dataset, _ = simulate_study(rng(), n_groups=12)
    names = {"policy": "sft_base", "baseline": "zero_shot"}
    ids = dataset.rounds["round_id"].to_list()
    revises = pl.when(pl.col("round_id").is_in(ids[1::2])).then(pl.lit(ids[0]))
    mixed = replace(dataset, rounds=dataset.rounds.with_columns(revises_round_id=revises))
    found = pilot_groups(mixed, **names)
    alone = pilot_groups(dataset.of_rounds(ids[::2]), **names)
    assert (found.wins.tolist(), found.losses.tolist()) == (
        alone.wins.tolist(),
        alone.losses.tolist(),
    )


@pytest.mark.heavy
def test_a_pilots_win_rate_is_the_known_one():
    dataset, truth = simulate_study(rng(), n_groups=800)
    groups = pilot_groups(dataset, policy="sft_utilitarian", baseline="zero_shot")
    known = figures(truth.design)["win", "median", "sft_utilitarian", "zero_shot"].value
    assert groups.win_rate == pytest.approx(known, abs=0.03)


@pytest.mark.heavy
def test_power_from_a_pilot_is_that_of_studies_simulated_from_people_up():
    """Ratings of new studies of the size that is said to be needed, tested one by one."""
    names = {"policy": "a", "baseline": "b"}
    design = {"policies": {"a": 0.25, "b": 0.0}, "sd_slope_group": 0.3, "n_statements": 1}
    pilot, _ = simulate_study(rng(), n_groups=1000, **design)
    groups = pilot_groups(pilot, **names)
    needed = groups_needed(groups, win_rate=groups.win_rate).n_groups
    large, _ = simulate_study(rng(2), n_groups=200 * needed, **design)
    new = pilot_groups(large, **names)
    detected = [
        detects(np.ones((1, needed)), wins, losses)[0]
        for wins, losses in zip(np.split(new.wins, 200), np.split(new.losses, 200), strict=True)
    ]
    assert np.mean(detected) == pytest.approx(0.8, abs=0.1)


def test_tilting_changes_the_win_rate_and_as_little_else_as_can_be():
    groups = GroupOutcomes(np.full(4, 0.25), np.array([3.0, 2, 1, 0]), np.array([0.0, 1, 1, 2]))
    assert tilted(groups, groups.win_rate).probability == pytest.approx(groups.probability)
    for rate in (0.3, 0.5, 0.9):
        found = tilted(groups, rate)
        assert found.win_rate == pytest.approx(rate, abs=1e-9)
        surplus = groups.wins - rate * (groups.wins + groups.losses)
        slopes = np.diff(np.log(found.probability)) / np.diff(surplus)
        assert slopes == pytest.approx(np.full(3, slopes[0]))  # exponential in the surplus


# ---------------------------------------------------------------------------- what cannot be done


def test_what_cannot_be_done_is_said():
    dataset, _ = simulate_study(rng(), n_groups=3)
    with pytest.raises(InputError, match="no rated statement is by 'b'; expected one of sft_base"):
        pilot_groups(dataset, policy="sft_base", baseline="b")
    with pytest.raises(InputError, match="expected two policies"):
        pilot_groups(dataset, policy="sft_base", baseline="sft_base")
    with pytest.raises(InputError, match="expected mean, min or median"):
        pilot_groups(dataset, policy="sft_base", baseline="zero_shot", statistic="mode")
    even = dataset.ratings.with_columns(agreement=pl.lit(4, dtype=pl.Int64))
    with pytest.raises(InputError, match="no round of the pilot decides"):
        pilot_groups(replace(dataset, ratings=even), policy="sft_base", baseline="zero_shot")
    all_won = GroupOutcomes(np.ones(1), np.array([3.0]), np.array([0.0]), 1)
    with pytest.raises(InputError, match=r"cannot stand for a win rate of 0\.7: each wins more"):
        groups_needed(all_won, win_rate=0.7)
    with pytest.raises(InputError, match="needs more than 5,000 groups"):
        groups_needed(UNCLUSTERED, win_rate=0.51)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"win_rate": 0.5}, "the win rate is 0.5, expected"),
        ({"win_rate": 1.0}, "the win rate is 1.0, expected"),
        ({"win_rate": 0.6, "target": 1.0}, "the power is 1.0, expected"),
        ({"win_rate": 0.6, "n_simulations": 10}, "n_simulations is 10"),
    ],
)
def test_values_out_of_range_are_refused(options, expected):
    with pytest.raises(InputError, match=expected):
        groups_needed(**options)


@pytest.mark.parametrize("field", ["rounds_per_group", "tie_share", "icc"])
def test_assumptions_out_of_range_are_refused(field):
    with pytest.raises(InputError, match=field):
        Assumptions(**{field: -1})


def test_a_small_pilot_and_a_small_answer_are_remarked_on():
    groups = GroupOutcomes(np.full(4, 0.25), np.array([3.0, 2, 1, 0]), np.array([0.0, 1, 1, 2]), 4)
    pilot, few = groups_needed(groups, win_rate=0.9).warnings
    assert re.match(r"Of the pilot's 4 groups, as many as [12]\.\d carry weight", pilot)
    assert "fewer than 10 groups an interval from resampling groups is rough" in few


def test_wilson_is_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    for share, n in ((0.0, 50), (0.5, 100), (0.8, 4000), (1.0, 10)):
        expected = proportion_confint(round(share * n), n, method="wilson")
        assert wilson(share, n) == pytest.approx(expected, abs=1e-9)


def test_a_strong_pilot_needs_no_groups_that_lose():
    """Each group won 2 or 3 of 3: 0.8 can be stood for, 0.5 cannot, and only the alarms need it."""
    groups = GroupOutcomes(np.full(2, 0.5), np.array([3.0, 2]), np.array([0.0, 1]), 2)
    found = groups_needed(groups, win_rate=0.8, n_simulations=400)
    assert found.false_alarms is None
    assert any("False alarms were not simulated" in warning for warning in found.warnings)
    # The exact power of so many groups: those that win 3 of 3 are binomial.
    share = tilted(groups, 0.8).probability[0]
    n = found.table[-1].n_groups
    counts = np.array([[k, n - k] for k in range(n + 1)], dtype=float)
    exact = stats.binom.pmf(np.arange(n + 1), n, share) @ detects(
        counts, groups.wins, groups.losses
    )
    assert found.table[-1].low - 0.05 < exact < found.table[-1].high + 0.05
    with pytest.raises(InputError, match=r"cannot stand for a win rate of 0\.6"):
        groups_needed(groups, win_rate=0.6)
