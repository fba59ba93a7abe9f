"""The accuracy measures against plain loops, and what a guess must get."""

import itertools

import numpy as np
import pytest

from commonweal.rewards.accuracy import clustered_mean, crossed_accuracy, within_person_accuracy


@pytest.fixture
def rng():
    return np.random.default_rng(0)


N_PEOPLE, N_STATEMENTS = 6, 20


def _answers(rng):
    return rng.choice([1.0, -1.0, 0.0, np.nan], (N_PEOPLE, N_STATEMENTS))


def test_crossed_accuracy_is_what_plain_loops_say(rng):
    answers, predictions = _answers(rng), rng.normal(size=(N_PEOPLE, N_STATEMENTS))
    shares, n = [], 0
    for a, b in itertools.combinations(range(N_PEOPLE), 2):
        right = [
            predictions[a, s] - predictions[a, t] - predictions[b, s] + predictions[b, t] > 0
            for s, t in itertools.permutations(range(N_STATEMENTS), 2)
            if (answers[a, s], answers[a, t], answers[b, s], answers[b, t]) == (1, -1, -1, 1)
        ]
        n += len(right)
        if right:
            shares.append(np.mean(right))
    got = crossed_accuracy(predictions, answers, rng)
    assert got.value == pytest.approx(np.mean(shares))
    assert got.n_comparisons == n
    assert got.low <= got.value <= got.high


def test_within_person_accuracy_is_what_plain_loops_say(rng):
    answers, predictions = _answers(rng), rng.normal(size=(N_PEOPLE, N_STATEMENTS))
    shares = []
    for said, row in zip(answers, predictions, strict=True):
        right = [
            row[s] > row[t]
            for s, t in itertools.permutations(range(N_STATEMENTS), 2)
            if said[s] == 1 and said[t] == -1
        ]
        if right:
            shares.append(np.mean(right))
    assert within_person_accuracy(predictions, answers, rng).value == pytest.approx(np.mean(shares))


def test_popularity_and_leniency_get_exactly_one_half_crossed(rng):
    additive = rng.normal(size=(N_PEOPLE, 1)) + rng.normal(size=(1, N_STATEMENTS))
    assert crossed_accuracy(additive, _answers(rng), rng).value == 0.5


def test_predictions_that_are_the_answers_are_always_right(rng):
    answers = _answers(rng)
    predictions = np.nan_to_num(answers)
    assert crossed_accuracy(predictions, answers, rng)[:3] == (1, 1, 1)
    assert within_person_accuracy(predictions, answers, rng)[:3] == (1, 1, 1)


def test_nothing_to_compare_is_nan_and_counted(rng):
    got = crossed_accuracy(np.zeros((2, 2)), np.ones((2, 2)), rng)
    assert np.isnan(got.value)
    assert got.n_comparisons == 0
    assert np.isnan(within_person_accuracy(np.zeros((2, 2)), np.ones((2, 2)), rng).value)


def test_clusters_widen_the_interval(rng):
    right = np.repeat(rng.integers(0, 2, 20), 50)
    alone = clustered_mean(right, np.arange(1000), rng)
    together = clustered_mean(right, np.repeat(np.arange(20), 50), rng)
    assert together.value == alone.value
    assert together.high - together.low > 3 * (alone.high - alone.low)
    assert (together.n_clusters, alone.n_clusters) == (20, 1000)
