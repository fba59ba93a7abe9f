"""How resamples become an interval, and how figures of rounds are put together."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from commonweal.measures.accuracy import within_person_accuracy
from commonweal.measures.intervals import (
    MIN_CLUSTERS,
    Resampled,
    interval,
    mean_over_rounds,
    ratio,
    resample,
    t_critical,
    t_p_value,
    tail,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@given(st.integers(6, 400))
def test_the_tail_is_hesterbergs(n):
    assert tail(n) == pytest.approx(
        stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1)), rel=1e-6
    )
    assert tail(n) < 0.025


@pytest.mark.parametrize("df", [1, 2, 5, 30, 200, 5000])
def test_students_t_is_scipys(df):
    for t in (0, 0.1, 1, 2.5, 6):
        assert t_p_value(t, df) == pytest.approx(2 * stats.t.sf(t, df), rel=1e-9)
    assert t_critical(df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-9)


def test_a_ratio_of_nothing_is_nan():
    assert np.isnan(ratio(np.array([1.0]), np.array([0.0]))).all()


@pytest.mark.parametrize(
    ("what", "n", "why"),
    [
        ("people", 1, "rests on one person, and resampling people"),
        ("topics", MIN_CLUSTERS - 1, "rests on 5 topics, and resampling topics"),
    ],
)
def test_no_interval_names_what_there_is_too_little_of(what, n, why):
    found = interval(0.5, np.linspace(0, 1, 100), n, what)
    assert np.isnan(found.low)
    assert why in found.no_interval


# ------------------------------------------------------------------------------- means over rounds


def test_rounds_count_the_same_and_those_without_are_left_out(rng):
    parts = [
        Resampled(0.2, np.array([0.1, 0.3]), 5, 10),
        Resampled(math.nan, np.full(2, math.nan), 0, 0),
        Resampled(0.8, np.array([0.7, math.nan]), 7, 1000),
    ]
    got = mean_over_rounds(parts, np.array([[1.0, 5.0, 1.0], [2.0, 5.0, 1.0]]))
    assert got.value == pytest.approx(0.5)
    assert got.draws == pytest.approx([0.4, 0.3])
    assert (got.n_clusters, got.n_comparisons) == (12, 1010)


def test_clusters_widen_the_interval(rng):
    values = np.repeat(rng.integers(0, 2, 20), 50).astype(float)
    parts = [Resampled(value, np.full(1, value), 1, 1) for value in values]
    alone = mean_over_rounds(parts, resample(1000, rng)).estimate
    together = mean_over_rounds(parts, np.repeat(resample(20, rng), 50, axis=1), 20).estimate
    assert together.value == alone.value
    assert together.high - together.low > 3 * (alone.high - alone.low)
    assert (together.n_clusters, alone.n_clusters) == (20, 1000)


def test_the_difference_of_two_is_drawn_with_them(rng):
    answers, times = rng.choice([1.0, -1.0, 0.0, np.nan], (8, 20)), resample(8, rng, 50)
    one = within_person_accuracy(rng.normal(size=answers.shape), answers, times)
    same = one.minus(one)
    assert same.value == 0
    assert (same.draws == 0).all()
    assert "all people have the same value" in same.estimate.no_interval


def test_a_p_value_at_its_floor_is_said():
    draws = np.sort(np.random.default_rng(0).normal(3, 0.1, 10_000))
    found = interval(3.0, draws, 6)
    assert found.p_is_floor
    assert found.p_value == pytest.approx(0.019, abs=5e-4)
    assert not interval(3.0, np.sort(draws - 3), 6).p_is_floor
