"""Ranks and their correlation against scipy's."""

import numpy as np
import pytest
from scipy import stats

from commonweal.measures.intervals import resample
from commonweal.measures.ranks import mid_ranks, rank_correlation, rank_correlations


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_ranks_within_items_are_scipys_up_to_a_shift(rng):
    values, item = rng.integers(0, 4, 60).astype(float), rng.integers(0, 5, 60)
    found = mid_ranks(values, item)
    for one in range(5):
        expected = stats.rankdata(values[item == one])
        assert found[item == one] - found[item == one].min() == pytest.approx(
            expected - expected.min()
        )


def test_correlations_within_items_are_scipys(rng):
    x, y = rng.integers(0, 4, 60).astype(float), rng.normal(size=60)
    item = np.concatenate([rng.integers(0, 4, 58), [4, 4]])
    found = rank_correlations(x, y, item, 5)
    for one in range(4):
        expected = stats.spearmanr(x[item == one], y[item == one]).statistic
        assert found[one] == pytest.approx(expected)
    assert np.isnan(found[4])  # of two


def test_rank_correlation_with_ties():
    # Ranks 1.5 1.5 3 and 1 2 3: covariance 1.5, variances 1.5 and 2 (sums of squares).
    x, y = np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])
    assert rank_correlations(x, y, np.zeros(3, int), 1) == pytest.approx([1.5 / np.sqrt(3)])


def test_items_of_a_cluster_are_drawn_together(rng):
    x, y, cluster = rng.normal(size=30), rng.normal(size=30), np.repeat(np.arange(6), 5)
    times = resample(6, rng, 20)
    together = rank_correlation(x, y, times, cluster)
    apart = rank_correlation(x, y, times[:, cluster])
    assert together.draws == pytest.approx(apart.draws)
    assert (together.n_clusters, apart.n_clusters) == (6, 30)


def test_rank_correlation_is_scipys(rng):
    for _ in range(10):
        x, y = rng.integers(0, 6, 40).astype(float), rng.normal(size=40)
        got = rank_correlation(x, y, np.ones((1, 40)))
        expected = stats.spearmanr(x, y).statistic
        assert got.value == pytest.approx(expected)
        assert got.draws[0] == pytest.approx(expected)


def test_an_item_that_counts_twice_weighs_twice(rng):
    x, y = rng.normal(size=12), rng.normal(size=12)
    times = resample(12, rng, 5)
    got = rank_correlation(x, y, times)
    ranks = stats.rankdata(x), stats.rankdata(y)
    for draw, drawn in zip(got.draws, times.astype(int), strict=True):
        repeated = [np.repeat(one, drawn) for one in ranks]
        assert draw == pytest.approx(stats.pearsonr(*repeated).statistic)


def test_no_correlation_with_what_is_the_same_for_all(rng):
    assert np.isnan(rank_correlation(np.ones(9), rng.normal(size=9), np.ones((1, 9))).value)
    assert rank_correlation(np.arange(2.0), np.arange(2.0), np.ones((1, 2))).n_comparisons == 0
