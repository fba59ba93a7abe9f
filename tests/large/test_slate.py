"""Slates against all slates there are, and against the definitions."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal.errors import InputError
from commonweal.large import slate as slates

PROFILES = st.integers(0, 10_000).map(
    lambda seed: (
        np.random.default_rng(seed).random((int(seed % 9) + 2, int(seed % 5) + 2))
        < 0.15 + 0.6 * np.random.default_rng(seed + 1).random()
    )
)


def justly_represented(approves, slate, k) -> bool:
    """By the definition: every n / k people with a statement in common have one of their own."""
    n = len(approves)
    for size in range(1, n + 1):
        if size * k < n:
            continue
        for people in combinations(range(n), size):
            rows = approves[list(people)]
            if rows.all(axis=0).any() and not rows[:, list(slate)].any():
                return False
    return True


def pav_score(approves, slate) -> float:
    return sum(sum(1 / (i + 1) for i in range(int(row[list(slate)].sum()))) for row in approves)


@given(PROFILES, st.integers(1, 4))
def test_greedy_gives_justified_representation(approves, k):
    slate = slates.greedy(approves, k)
    assert len(set(slate)) == len(slate) == min(k, approves.shape[1])
    assert justly_represented(approves, slate, k)
    assert slates.unrepresented(approves, slate, k) == 0


@given(PROFILES, st.integers(1, 4))
def test_what_is_said_to_be_unrepresented_is(approves, k):
    for slate in combinations(range(approves.shape[1]), min(k, approves.shape[1])):
        assert (slates.unrepresented(approves, slate, k) == 0) == justly_represented(
            approves, slate, k
        )


@given(PROFILES, st.integers(1, 4))
def test_pav_has_the_highest_score_of_all_slates(approves, k):
    k = min(k, approves.shape[1])
    best = max(pav_score(approves, each) for each in combinations(range(approves.shape[1]), k))
    assert pav_score(approves, slates.proportional(approves, k)) == pytest.approx(best)


def test_swaps_better_greedy_where_there_are_too_many_slates(monkeypatch):
    approves = np.random.default_rng(3).random((60, 14)) < 0.3
    exact = pav_score(approves, slates.proportional(approves, 4))
    monkeypatch.setattr(slates, "MOST_ENUMERATED", 0)
    found = pav_score(approves, slates.proportional(approves, 4))
    assert found >= pav_score(approves, slates.greedy(approves, 4))
    assert found == pytest.approx(exact, rel=0.02)


def test_a_minority_has_a_statement_where_the_most_liked_are_all_the_majoritys():
    # 70 people like the first three, 30 the fourth: one in three must find theirs.
    approves = np.zeros((100, 4), dtype=bool)
    approves[:66, :3] = True
    approves[66:, 3] = True
    assert slates.top(approves, 3) == (0, 1, 2)
    assert slates.unrepresented(approves, (0, 1, 2), 3) == 34
    assert 3 in slates.greedy(approves, 3)
    assert 3 in slates.proportional(approves, 3)


def test_refusals():
    with pytest.raises(InputError, match="slate of 0"):
        slates.greedy(np.ones((2, 2), dtype=bool), 0)
    with pytest.raises(InputError, match="shape"):
        slates.proportional(np.ones((0, 2), dtype=bool), 1)
