"""Warm predictions find who rates alike: people of known camps, ratings kept back."""

from __future__ import annotations

import numpy as np
import pytest

from commonweal.datasets.agreements import RoundMatrix
from commonweal.datasets.schema import LIKERT_7, VOTE
from commonweal.errors import InputError
from commonweal.rewards import ScriptedRewardModel
from commonweal.rewards.warm import MIN_RATINGS, warm_profile, warm_ratings


def camps(n_people: int = 60, n_statements: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Two camps that disagree on all but the last quarter of statements; a third is kept back."""
    rng = np.random.default_rng(0)
    side = rng.choice([-1.0, 1.0], n_people)
    stance = rng.choice([-1.0, 1.0], n_statements)
    votes = np.outer(side, stance)
    votes[:, -n_statements // 4 :] = 1.0
    flipped = rng.random(votes.shape) < 0.1
    return np.where(flipped, -votes, votes), rng.random(votes.shape) < 1 / 3


def test_camps_are_found_where_the_text_says_nothing():
    votes, hidden = camps()
    guess = warm_ratings(np.where(hidden, np.nan, votes), np.zeros_like(votes), VOTE)
    right = np.sign(guess[hidden]) == votes[hidden]
    assert right.mean() > 0.85  # one vote in ten is noise
    assert np.array_equal(guess[~hidden], votes[~hidden])


def test_a_statement_without_ratings_stays_as_the_text_has_it():
    votes, hidden = camps()
    seen = np.where(hidden, np.nan, votes)
    seen[:, 3] = np.nan
    cold = np.linspace(-0.5, 0.5, votes.size).reshape(votes.shape)
    guess = warm_ratings(seen, cold, VOTE)
    # Moved by how each person leans, and by nothing else.
    known = np.isfinite(seen)
    lean = np.where(known, seen - cold, 0).sum(axis=1) / (known.sum(axis=1) + 5)
    assert np.allclose(guess[:, 3], np.clip(cold[:, 3] + lean, -1, 1))


def test_without_ratings_it_is_the_cold_prediction():
    cold = np.array([[2.0, 5.0], [6.0, 3.0]])
    assert np.array_equal(warm_ratings(np.full((2, 2), np.nan), cold, LIKERT_7), cold)


def test_order_of_people_and_statements_does_not_matter_much():
    """The statements that explain another are drawn by place, so that a little may change."""
    votes, hidden = camps()
    seen, cold = np.where(hidden, np.nan, votes), np.zeros_like(votes)
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(60), rng.permutation(24)
    turned = warm_ratings(seen[np.ix_(rows, columns)], cold, VOTE)
    straight = warm_ratings(seen, cold, VOTE)[np.ix_(rows, columns)]
    assert np.corrcoef(turned.ravel(), straight.ravel())[0, 1] > 0.99


def test_the_same_seed_gives_the_same():
    votes, hidden = camps()
    seen, cold = np.where(hidden, np.nan, votes), np.zeros_like(votes)
    assert np.array_equal(
        warm_ratings(seen, cold, VOTE, seed=1), warm_ratings(seen, cold, VOTE, seed=1)
    )


def test_predictions_stay_on_the_scale():
    rng = np.random.default_rng(0)
    ratings = rng.integers(1, 8, (30, 12)).astype(float)
    ratings[rng.random(ratings.shape) < 0.5] = np.nan
    guess = warm_ratings(ratings, np.full_like(ratings, 4.0), LIKERT_7)
    assert guess.min() >= 1
    assert guess.max() <= 7


@pytest.mark.parametrize(
    ("ratings", "cold", "expected"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), "expected the same shape"),
        (np.zeros((2, 2)), np.full((2, 2), np.nan), "not finite"),
    ],
)
def test_what_does_not_fit_is_refused(ratings, cold, expected):
    with pytest.raises(InputError, match=expected):
        warm_ratings(ratings, cold, VOTE)


def matrix(opinions: tuple[str | None, ...], agreement: np.ndarray) -> RoundMatrix:
    n_people, n_statements = agreement.shape
    return RoundMatrix(
        "r",
        "Q?",
        tuple(f"p{n}" for n in range(n_people)),
        opinions,
        tuple(f"c{n}" for n in range(n_statements)),
        tuple(f"s{n}" for n in range(n_statements)),
        agreement,
    )


def test_a_round_starts_from_the_text_model():
    model = ScriptedRewardModel({("yes", "s0"): 3.0, ("yes", "s1"): -3.0})
    blank = np.full((2, 2), np.nan)
    guess = warm_profile(model, matrix(("yes", None), blank), VOTE)
    assert guess[0, 0] > 0 > guess[0, 1]
    assert np.array_equal(guess[1], guess[0])  # no opinion: the mean of the others
    assert warm_profile(model, matrix(("yes", None), blank), LIKERT_7).max() <= 7
    with pytest.raises(InputError, match="nobody has an opinion and nothing was rated"):
        warm_profile(model, matrix((None, None), blank), VOTE)


def test_votes_alone_suffice():
    """Nobody wrote an opinion: as from a text model that expects nothing of anybody."""
    votes, hidden = camps()
    seen = np.where(hidden, np.nan, votes)
    guess = warm_profile(ScriptedRewardModel({}), matrix((None,) * len(seen), seen), VOTE, seed=3)
    assert np.array_equal(guess, warm_ratings(seen, np.zeros_like(seen), VOTE, seed=3))
    assert (np.sign(guess[hidden]) == votes[hidden]).mean() > 0.85  # one vote in ten is noise


def test_few_ratings_teach_nothing():
    seen = np.full((MIN_RATINGS - 1, 3), 1.0)
    seen[0, 0] = np.nan
    guess = warm_ratings(seen, np.zeros_like(seen), VOTE)
    assert guess[0, 0] == pytest.approx(2 / 7)  # two ratings of 1, shrunk by five at 0
