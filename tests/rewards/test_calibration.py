"""The calibration: monotone, inside (1, 7), and recovered from data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal.errors import InputError
from commonweal.rewards.calibration import LogisticCalibration, fit_logistic_calibration

finite = st.floats(allow_nan=False, allow_infinity=False)
calibrations = st.builds(
    LogisticCalibration,
    slope=st.floats(1e-6, 1e6),
    intercept=st.floats(-1e6, 1e6),
    fitted_to=st.just("a test"),
)


@given(calibrations, st.lists(finite, min_size=1, max_size=20))
def test_ratings_stay_strictly_inside_the_scale(calibration, rewards):
    ratings = calibration.expected_rating(np.array(rewards))
    assert ((ratings > 1) & (ratings < 7)).all()


@given(calibrations, finite, finite)
def test_a_higher_reward_is_never_a_lower_rating(calibration, one, other):
    low, high = calibration.expected_rating(np.sort(np.array([one, other])))
    assert low <= high


def test_ratings_rise_strictly_where_floating_point_can_tell():
    ratings = LogisticCalibration(0.7, -0.2, "a test").expected_rating(np.linspace(-20, 20, 401))
    assert (np.diff(ratings) > 0).all()


def test_the_shape_is_kept_and_zero_intercept_is_neutral_at_zero():
    calibration = LogisticCalibration(1.0, 0.0, "a test")
    assert calibration.expected_rating(np.zeros((2, 3, 4))).shape == (2, 3, 4)
    assert calibration.expected_rating(np.zeros(1))[0] == 4
    assert calibration.expected_rating(np.zeros((0, 5))).shape == (0, 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rewards_that_are_not_finite_are_refused(bad):
    with pytest.raises(InputError, match="1 of 2 rewards are not finite"):
        LogisticCalibration(1.0, 0.0, "a test").expected_rating(np.array([0.0, bad]))


@pytest.mark.parametrize(("slope", "intercept"), [(0, 0), (-1, 0), (np.nan, 0), (1, np.inf)])
def test_a_calibration_that_cannot_be_monotone_is_refused(slope, intercept):
    with pytest.raises(InputError, match="slope above 0"):
        LogisticCalibration(slope, intercept, "a test")


def test_the_fit_recovers_what_made_the_ratings():
    rng = np.random.default_rng(0)
    made_by = LogisticCalibration(0.8, 0.3, "a test")
    rewards = rng.normal(3, 2, 5000)
    expected = made_by.expected_rating(rewards)
    ratings = 1 + rng.binomial(6, (expected - 1) / 6)
    fitted = fit_logistic_calibration(rewards, ratings, fitted_to="a test")
    assert fitted.expected_rating(rewards) == pytest.approx(expected, abs=0.1)


def test_weights_count_like_repetitions():
    rewards, ratings = np.array([0.0, 1.0, 2.0, 3.0]), np.array([2.0, 6.0, 2.0, 6.0])
    times = np.array([1, 3, 2, 4])
    weighted = fit_logistic_calibration(
        rewards, ratings, fitted_to="a test", weights=times.astype(float)
    )
    repeated = fit_logistic_calibration(
        np.repeat(rewards, times), np.repeat(ratings, times), fitted_to="a test"
    )
    assert weighted.expected_rating(rewards) == pytest.approx(
        repeated.expected_rating(rewards), abs=1e-4
    )


def test_the_fit_survives_perfect_separation():
    fitted = fit_logistic_calibration(
        np.array([-1.0, -1.0, 1.0, 1.0]), np.array([1.0, 1.0, 7.0, 7.0]), fitted_to="a test"
    )
    low, high = fitted.expected_rating(np.array([-1.0, 1.0]))
    assert low < 1.1
    assert high > 6.9


@pytest.mark.parametrize(
    ("rewards", "ratings", "message"),
    [
        ([1.0, 2.0, 3.0], [6.0, 4.0, 2.0], "fall as the rewards rise"),
        ([1.0, 1.0], [2.0, 6.0], "at least 2 of each"),
        ([1.0, 2.0], [4.0, 4.0], "at least 2 of each"),
        ([1.0, 2.0], [0.0, 6.0], "expected 1 to 7"),
        ([1.0, 2.0, 3.0], [2.0, 6.0], "equal lengths"),
    ],
)
def test_a_fit_that_would_mean_nothing_is_refused(rewards, ratings, message):
    with pytest.raises(InputError, match=message):
        fit_logistic_calibration(np.array(rewards), np.array(ratings), fitted_to="a test")
