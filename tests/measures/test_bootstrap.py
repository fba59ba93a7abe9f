"""Intervals from resampled groups: against plain loops, t intervals and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from commonweal.errors import InputError
from commonweal.measures.bootstrap import Resampler, by_group
from commonweal.measures.intervals import MIN_CLUSTERS, tail
from commonweal.measures.logistic import logistic


def resampler(n_groups, n_resamples=1000, seed=0):
    return Resampler(n_groups, n_resamples, np.random.default_rng(seed))


def test_each_resample_draws_as_many_groups_as_there_are():
    made = resampler(7, 3000)
    times = made._times
    assert times.shape == (3000, 7)
    assert (times.sum(axis=1) == 7).all()
    # Multinomial: a group is drawn once on average, with variance (G - 1) / G.
    assert times.mean(axis=0) == pytest.approx(np.ones(7), abs=0.08)
    assert times.var(axis=0) == pytest.approx(np.full(7, 6 / 7), abs=0.1)


def test_ratios_are_those_of_a_loop_over_the_same_resamples():
    rng = np.random.default_rng(1)
    above, below = rng.normal(size=(9, 3)), rng.integers(1, 5, (9, 3)).astype(float)
    made = resampler(9)
    found = made.ratios(above, below)
    for column, estimate in enumerate(found):
        draws = []
        for counts in made._times:
            groups = [g for g, n in enumerate(counts) for _ in range(n)]
            draws.append(
                sum(above[g, column] for g in groups) / sum(below[g, column] for g in groups)
            )
        cut = stats.norm.cdf(-math.sqrt(9 / 8) * stats.t.ppf(0.975, 8))
        assert estimate.value == pytest.approx(above[:, column].sum() / below[:, column].sum())
        assert estimate.low == pytest.approx(np.quantile(draws, cut))
        assert estimate.high == pytest.approx(np.quantile(draws, 1 - cut))


def test_the_interval_of_a_mean_is_nearly_students():
    values = np.random.default_rng(2).normal(size=(25, 1))
    (found,) = resampler(25, 50_000).ratios(values, np.ones((25, 1)))
    t = stats.t.interval(0.95, 24, values.mean(), stats.sem(values[:, 0]))
    width = t[1] - t[0]
    assert (found.low, found.high) == pytest.approx(t, abs=0.06 * width)
    assert found.p_value == pytest.approx(stats.ttest_1samp(values[:, 0], 0).pvalue, abs=0.03)


@given(st.integers(0, 1000))
def test_the_p_value_is_below_five_per_cent_where_the_interval_leaves_out_zero(seed):
    values = np.random.default_rng(seed).normal(0.4, 1, (12, 1))
    (found,) = resampler(12, 4000, seed).ratios(values, np.ones((12, 1)))
    if abs(found.p_value - 0.05) > 0.005:  # nearer, the added one and interpolation decide
        assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)


def test_no_interval_where_all_groups_are_the_same():
    (found,) = resampler(10).ratios(np.full((10, 1), 3.0), np.ones((10, 1)))
    assert found.value == 3
    assert found.no_interval.startswith("all groups have the same value")


def test_no_interval_from_few_groups_and_it_says_why():
    values = np.arange(MIN_CLUSTERS - 1, dtype=float)[:, None]
    (found,) = resampler(MIN_CLUSTERS - 1).ratios(values, np.ones_like(values))
    assert found.value == 2
    assert math.isnan(found.low)
    assert "5 groups" in found.no_interval
    (one,) = resampler(1).ratios(np.ones((1, 1)), np.ones((1, 1)))
    assert one.value == 1
    assert "one group" in one.no_interval


def test_only_groups_that_add_something_count():
    above, below = np.ones((20, 1)), np.ones((20, 1))
    above[5:], below[5:] = 0, 0
    (found,) = resampler(20).ratios(above, below)
    assert found.n_clusters == 5
    assert "5 groups" in found.no_interval


def test_no_interval_where_most_resamples_have_nothing():
    above, below = np.zeros((60, 1)), np.zeros((60, 1))
    (found,) = resampler(60).ratios(above, below)
    assert math.isnan(found.value)
    assert "nothing to measure" in found.no_interval
    # All groups add, but what they add cancels out in half of the draws.
    per_group = np.tile([[1.0], [-1.0]], (10, 1))
    (found,) = resampler(20).estimate(
        per_group, lambda sums: np.where(sums >= 0, sums, np.nan), np.ones((20, 1), dtype=bool)
    )
    assert "of the resamples there is nothing to measure" in found.no_interval


def test_the_share_at_zero_is_that_of_a_logistic_regression():
    rng = np.random.default_rng(5)
    x = rng.normal(1, 1, (900, 2))
    y = (rng.random((900, 2)) < 1 / (1 + np.exp(-(0.4 + 0.8 * x)))).astype(float)
    x[:90, 1] = np.nan
    group = rng.integers(0, 60, 900)
    found = resampler(60, 4000).at_zero(x, y, group)
    for column, estimate in enumerate(found):
        known = ~np.isnan(x[:, column])
        design = statsmodels.api.add_constant(x[known, column])
        fit = statsmodels.api.Logit(y[known, column], design).fit(
            disp=0, cov_type="cluster", cov_kwds={"groups": group[known]}
        )
        assert estimate.value == pytest.approx(1 / (1 + np.exp(-fit.params[0])))
        # The one-step bootstrap's interval is that of errors clustered by group, nearly.
        ends = 1 / (1 + np.exp(-(fit.params[0] + np.array([-2.001, 2.001]) * fit.bse[0])))
        assert (estimate.low, estimate.high) == pytest.approx(ends, abs=0.1 * np.ptp(ends))


def test_one_newton_step_is_near_the_whole_fit():
    rng = np.random.default_rng(8)
    x = rng.normal(0.5, 1, 600)
    y = (rng.random(600) < 1 / (1 + np.exp(-0.7 * x))).astype(float)
    group = np.arange(600) % 40
    made = resampler(40)
    (found,) = made.at_zero(x[:, None], y[:, None], group)
    draws = []
    for counts in made._times:
        rows = np.concatenate(
            [np.flatnonzero(group == g) for g in range(40) for _ in range(counts[g])]
        )
        draws.append(1 / (1 + np.exp(-logistic(x[rows], y[rows])[0])))
    cut = tail(40)
    ends = np.quantile(draws, [cut, 1 - cut])
    assert (found.low, found.high) == pytest.approx(ends, abs=0.01)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([1, 1, 1, 1], [0, 1, 0, 1]),
        ([1, 2, 3, 4], [0, 0, 1, 1]),
        ([1, 2, 3, 4], [1, 1, 1, 1]),
        ([], []),
    ],
)
def test_no_share_at_zero_where_there_is_no_fit(x, y):
    assert logistic(np.array(x, dtype=float), np.array(y, dtype=float)) is None
    x, y = (np.array(each, dtype=float)[:, None] for each in (x, y))
    (found,) = resampler(8).at_zero(x, y, np.arange(len(x)))
    assert math.isnan(found.value)


def test_sums_by_group():
    values = np.array([[1.0, np.nan], [2.0, 5.0], [4.0, 1.0]])
    assert by_group(values, np.array([2, 0, 2]), 3).tolist() == [[2, 5], [0, 0], [5, 1]]
    assert by_group(np.zeros((3, 0)), np.array([0, 0, 0]), 2).shape == (2, 0)


def test_too_few_resamples():
    with pytest.raises(InputError, match="expected at least 1,000"):
        resampler(10, 999)


def test_the_same_seed_the_same_interval():
    values = np.random.default_rng(6).normal(size=(10, 1))
    one, again = (resampler(10).ratios(values, np.ones((10, 1)))[0] for _ in range(2))
    assert (one.low, one.high, one.p_value) == (again.low, again.high, again.p_value)
    other = resampler(10, seed=1).ratios(values, np.ones((10, 1)))[0]
    assert other.low != one.low


def test_the_jackknife_of_a_mean_is_students_t():
    values = np.random.default_rng(8).normal(5, 2, size=(12, 1))
    ones = np.ones((12, 1))
    sums = np.concatenate([values, ones], axis=1)
    (found,) = resampler(12).jackknife(
        sums, lambda s: s[..., :1] / s[..., 1:], np.ones((12, 1), bool)
    )
    expected = stats.t.interval(0.95, 11, values.mean(), stats.sem(values.ravel()))
    assert (found.low, found.high) == pytest.approx(expected)


def test_the_jackknife_of_a_share_stays_between_0_and_1():
    """The delta method by hand: sd of the log-odds is the share's over p (1 - p)."""
    won = np.array([[3.0], [3], [2], [3], [3], [3], [1], [3]])
    below = np.full((8, 1), 3.0)
    (found,) = resampler(8).jackknife_shares(won, below)
    share, error = 21 / 24, stats.sem(won.ravel() / 3)
    half = stats.t.ppf(0.975, 7) * error / (share * (1 - share))
    odds = math.log(share / (1 - share))
    expected = [1 / (1 + math.exp(-(odds + end))) for end in (-half, half)]
    assert [found.low, found.high] == pytest.approx(expected)
    assert found.high < 1
    (few,) = resampler(5).jackknife_shares(won[:5], below[:5])
    assert "5 groups" in few.no_interval
    (same,) = resampler(8).jackknife_shares(below, below)
    assert "all groups have the same value" in same.no_interval
