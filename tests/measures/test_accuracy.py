"""The accuracy measures against plain loops, what a guess must get, and a process that is known."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from commonweal.measures.accuracy import (
    crossed_accuracy,
    leniency,
    same_statement_accuracy,
    within_person_accuracy,
)
from commonweal.measures.intervals import resample

N_PEOPLE, N_STATEMENTS = 6, 20
MEASURES = (crossed_accuracy, within_person_accuracy, same_statement_accuracy)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def _answers(rng, n_people=N_PEOPLE):
    return rng.choice([1.0, -1.0, 0.0, np.nan], (n_people, N_STATEMENTS))


def _right(difference):
    return 0.5 if abs(difference) < 1e-9 else float(difference > 0)


def plain_crossed(predictions, answers):
    shares, n = [], 0
    for a, b in itertools.combinations(range(len(answers)), 2):
        right = [
            _right(predictions[a, s] - predictions[a, t] - predictions[b, s] + predictions[b, t])
            for s, t in itertools.permutations(range(answers.shape[1]), 2)
            if (answers[a, s], answers[a, t], answers[b, s], answers[b, t]) == (1, -1, -1, 1)
        ]
        n += len(right)
        if right:
            shares.append(np.mean(right))
    return (np.mean(shares) if shares else math.nan), n


def plain_within(predictions, answers, gap=2):
    shares, n = [], 0
    for said, row in zip(answers, predictions, strict=True):
        right = [
            _right(row[s] - row[t])
            for s, t in itertools.permutations(range(len(said)), 2)
            if said[s] - said[t] >= gap
        ]
        n += len(right)
        if right:
            shares.append(np.mean(right))
    return (np.mean(shares) if shares else math.nan), n


def plain_same_statement(predictions, answers):
    shares, n = [], 0
    for said, column in zip(answers.T, predictions.T, strict=True):
        right = [
            _right(column[a] - column[b])
            for a, b in itertools.permutations(range(len(said)), 2)
            if (said[a], said[b]) == (1, -1)
        ]
        n += len(right)
        if right:
            shares.append(np.mean(right))
    return (np.mean(shares) if shares else math.nan), n


PLAIN = {
    crossed_accuracy: plain_crossed,
    within_person_accuracy: plain_within,
    same_statement_accuracy: plain_same_statement,
}


@pytest.mark.parametrize("measure", MEASURES)
def test_it_is_what_plain_loops_say(measure, rng):
    for _ in range(5):
        answers = _answers(rng)
        predictions = rng.choice([0.0, 0.5, 1.0, 2.0], answers.shape)  # with ties
        got = measure(predictions, answers, resample(N_PEOPLE, rng))
        value, n = PLAIN[measure](predictions, answers)
        assert got.value == pytest.approx(value, abs=1e-12)
        assert got.n_comparisons == n
        found = got.estimate
        if not found.no_interval:  # six people: too few to be in every draw
            assert found.low <= got.value <= found.high


@pytest.mark.parametrize("measure", MEASURES)
def test_a_draw_is_the_measure_of_the_people_drawn(measure, rng):
    # A person drawn twice is two people; nobody is compared with themselves.
    answers, times = _answers(rng), resample(N_PEOPLE, rng, 20)
    predictions = rng.normal(size=answers.shape)
    got = measure(predictions, answers, times)
    for draw, drawn in zip(got.draws, times, strict=True):
        people = np.repeat(np.arange(N_PEOPLE), drawn.astype(int))
        said, given_ = answers[people], predictions[people]
        if measure is crossed_accuracy:
            # Pairs count the same before and after, so their mean does too.
            value = plain_crossed(given_, said)[0]
        elif measure is within_person_accuracy:
            value = plain_within(given_, said)[0]
        else:
            value = plain_same_statement(given_, said)[0]
        assert draw == pytest.approx(value, nan_ok=True)


def test_any_difference_in_rating_is_a_comparison_with_the_smallest_gap(rng):
    ratings = rng.choice([1.0, 2.0, 5.0, 7.0, np.nan], (N_PEOPLE, N_STATEMENTS))
    predictions = rng.normal(size=ratings.shape)
    got = within_person_accuracy(predictions, ratings, resample(N_PEOPLE, rng), gap=1e-6)
    assert (got.value, got.n_comparisons) == pytest.approx(plain_within(predictions, ratings, 1e-6))


def test_only_allowed_pairs_are_compared(rng):
    answers, predictions = _answers(rng), rng.normal(size=(N_PEOPLE, N_STATEMENTS))
    allowed = rng.random((N_STATEMENTS, N_STATEMENTS)) < 0.4
    times = resample(N_PEOPLE, rng)
    parts = [
        within_person_accuracy(predictions, answers, times, allowed=mask)
        for mask in (allowed, ~allowed)
    ]
    whole = within_person_accuracy(predictions, answers, times)
    assert sum(part.n_comparisons for part in parts) == whole.n_comparisons
    right = [
        _right(row[s] - row[t])
        for row, said in zip(predictions[:1], answers[:1], strict=True)
        for s, t in itertools.permutations(range(N_STATEMENTS), 2)
        if said[s] == 1 and said[t] == -1 and allowed[s, t]
    ]
    one = within_person_accuracy(predictions[:1], answers[:1], np.ones((1, 1)), allowed=allowed)
    assert one.value == pytest.approx(np.mean(right))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_popularity_and_leniency_get_exactly_one_half_crossed(seed):
    rng = np.random.default_rng(seed)
    additive = rng.normal(size=(N_PEOPLE, 1)) + rng.normal(size=(1, N_STATEMENTS))
    got = crossed_accuracy(additive, _answers(rng), resample(N_PEOPLE, rng, 50))
    assert got.value == 0.5 or got.n_comparisons == 0
    assert set(got.draws[np.isfinite(got.draws)]) <= {0.5}


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_the_order_of_people_and_statements_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    answers = _answers(rng)
    predictions = rng.choice([0.0, 0.5, 1.0], answers.shape)
    times = resample(N_PEOPLE, rng, 10)
    people, columns = rng.permutation(N_PEOPLE), rng.permutation(N_STATEMENTS)
    cells = np.ix_(people, columns)
    for measure in MEASURES:
        one = measure(predictions, answers, times)
        other = measure(predictions[cells], answers[cells], times[:, people])
        assert one.value == pytest.approx(other.value, nan_ok=True)
        assert one.draws == pytest.approx(other.draws, nan_ok=True)
        assert one.n_comparisons == other.n_comparisons


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_the_opposite_prediction_is_right_where_the_first_was_wrong(seed):
    rng = np.random.default_rng(seed)
    answers = _answers(rng)
    predictions, times = rng.normal(size=answers.shape), resample(N_PEOPLE, rng, 10)
    for measure in MEASURES:
        one, other = (measure(sign * predictions, answers, times) for sign in (1, -1))
        assert one.value + other.value == pytest.approx(1, nan_ok=True)


@pytest.mark.parametrize("measure", MEASURES)
def test_predictions_that_are_the_answers_are_always_right(measure, rng):
    answers = _answers(rng)
    got = measure(np.nan_to_num(answers), answers, resample(N_PEOPLE, rng))
    assert got.value == 1
    assert set(got.draws[np.isfinite(got.draws)]) == {1}
    assert got.estimate.no_interval


@pytest.mark.parametrize("measure", MEASURES)
def test_nothing_to_compare_is_nan_and_counted(measure, rng):
    got = measure(np.zeros((2, 2)), np.ones((2, 2)), resample(2, rng)).estimate
    assert np.isnan(got.value)
    assert np.isnan(got.low)
    assert got.n_comparisons == 0


@pytest.mark.parametrize("measure", MEASURES)
def test_what_was_not_predicted_is_not_compared(measure, rng):
    answers, predictions = _answers(rng), rng.normal(size=(N_PEOPLE, N_STATEMENTS))
    predictions[:, ::2] = np.nan
    times = resample(N_PEOPLE, rng, 10)
    got = measure(predictions, answers, times)
    alone = measure(predictions[:, 1::2], answers[:, 1::2], times)
    assert (got.value, got.n_comparisons) == (alone.value, alone.n_comparisons)


def test_blocks_of_people_give_the_same_as_all_at_once(rng, monkeypatch):
    answers, predictions = _answers(rng, 12), rng.normal(size=(12, N_STATEMENTS))
    times = resample(12, rng, 10)
    whole = crossed_accuracy(predictions, answers, times)
    monkeypatch.setattr("commonweal.measures.accuracy._BLOCK", 1)
    parts = crossed_accuracy(predictions, answers, times)
    assert parts.value == whole.value
    assert (parts.draws == whole.draws).all()


# ------------------------------------------------------------------------------- a known process


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_a_noisy_view_of_the_true_utility_has_the_accuracy_that_theory_says(noise, rng):
    # Utilities are normal, people agree above 0, the score adds normal noise. A comparison is right
    # with chance Φ(sum of k half-normal gaps / its noise): k = 2 within a person, 4 crossed.
    n_people, n_statements = 120, 80
    utilities = rng.normal(size=(n_people, n_statements))
    scores = utilities + noise * rng.normal(size=utilities.shape)
    times = resample(n_people, rng, 200)
    gaps = np.abs(rng.normal(size=(4, 400_000)))
    for measure, k in ((within_person_accuracy, 2), (crossed_accuracy, 4)):
        expected = stats.norm.cdf(gaps[:k].sum(axis=0) / (noise * math.sqrt(k))).mean()
        got = measure(scores, np.sign(utilities), times)
        assert got.value == pytest.approx(expected, abs=0.012)
    expected = stats.norm.cdf(gaps[:2].sum(axis=0) / (noise * math.sqrt(2))).mean()
    got = same_statement_accuracy(scores, np.sign(utilities), times)
    assert got.value == pytest.approx(expected, abs=0.012)


def test_the_interval_covers_the_truth_about_as_often_as_it_says(rng):
    # The truth is 0.5 here: scores know nothing. Intervals of 95 % may miss it now and then.
    missed = 0
    for _ in range(60):
        answers, scores = rng.choice([1.0, -1.0], (25, 12)), rng.normal(size=(25, 12))
        low, high = within_person_accuracy(scores, answers, resample(25, rng, 200)).estimate[1:3]
        missed += not low <= 0.5 <= high
    assert missed <= 9


# -------------------------------------------------------------------------------------- leniency


def test_leniency_is_the_mean_of_the_other_ratings(rng):
    ratings = _answers(rng)
    ratings[0] = np.nan
    ratings[1] = [1.0] + [np.nan] * (N_STATEMENTS - 1)
    got = leniency(ratings)
    for person, row in enumerate(ratings):
        for column, said in enumerate(row):
            others = np.delete(row, column)
            others = others[~np.isnan(others)]
            expected = others.mean() if others.size and not np.isnan(said) else np.nan
            assert got[person, column] == pytest.approx(expected, nan_ok=True)


def test_leniency_helps_where_people_differ_in_it_and_not_where_they_do_not(rng):
    share = rng.uniform(0.1, 0.9, (80, 1))
    lenient = np.where(rng.random((80, 60)) < share, 1.0, -1.0)
    alike = np.where(rng.random((80, 60)) < 0.5, 1.0, -1.0)
    times = resample(80, rng, 50)
    assert same_statement_accuracy(leniency(lenient), lenient, times).value > 0.65
    # Nothing of a person's own vote leaks into what predicts it.
    assert same_statement_accuracy(leniency(alike), alike, times).value == pytest.approx(
        0.5, abs=0.02
    )
