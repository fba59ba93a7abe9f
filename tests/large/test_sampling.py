"""Everybody's chance is what it is said to be: against simulation and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal.large.sampling import MOST_BOOST, chances, stratified, systematic

SIZES = st.lists(st.integers(1, 400), min_size=1, max_size=6).map(np.array)


@given(SIZES, st.integers(1, 40))
def test_chances_sum_to_the_places_and_small_groups_have_the_better_ones(sizes, n):
    found = chances(sizes, n)
    assert ((found > 0) & (found <= 1)).all()
    assert found @ sizes == pytest.approx(min(n, sizes.sum()))
    order = np.argsort(sizes, kind="stable")
    assert (np.diff(found[order]) <= 1e-12).all()


def test_by_hand():
    # Of 16 places 8 go by size and 8 evenly: 8 * 0.9 + 4 and 8 * 0.1 + 4.
    np.testing.assert_allclose(chances(np.array([900, 100]), 16) * [900, 100], [11.2, 4.8])
    # One person in a thousand gets no more than ten times a fair share of the even places.
    lone = chances(np.array([999, 1]), 16)[1]
    assert lone <= 16 / 1000 * (1 + MOST_BOOST)


@pytest.mark.parametrize("with_floor", [True, False])
def test_everybody_is_drawn_as_often_as_was_said(with_floor):
    labels = np.repeat([0, 1, 2], [60, 25, 3])
    n, n_draws = 16, 6000
    rng = np.random.default_rng(0)
    times = np.zeros(len(labels))
    for _ in range(n_draws):
        drawn = stratified(labels, n, rng, with_floor=with_floor)
        assert len(set(drawn.tolist())) == len(drawn) == n
        times[drawn] += 1
    said = chances(np.bincount(labels), n)[labels] if with_floor else np.full(len(labels), n / 88)
    errors = np.sqrt(said * (1 - said) / n_draws)
    assert (np.abs(times / n_draws - said) <= 4.5 * errors + 1e-9).all()


def test_each_group_has_its_share_to_within_one():
    labels = np.repeat([0, 1, 2], [600, 250, 30])
    rng = np.random.default_rng(1)
    for _ in range(50):
        counts = np.bincount(labels[stratified(labels, 100, rng, with_floor=False)], minlength=3)
        assert (np.abs(counts - np.array([600, 250, 30]) / 8.8) < 1).all()


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=30), st.integers(0, 99))
def test_a_systematic_draw_has_the_expected_number_to_within_one(chance, seed):
    chance = np.array(chance)
    drawn = systematic(chance, np.random.default_rng(seed))
    assert abs(len(drawn) - chance.sum()) < 1 + 1e-6
    assert len(set(drawn.tolist())) == len(drawn)


def test_all_are_drawn_where_there_are_no_more():
    drawn = stratified(np.array([0, 0, 1]), 5, np.random.default_rng(0), with_floor=True)
    assert sorted(drawn.tolist()) == [0, 1, 2]
