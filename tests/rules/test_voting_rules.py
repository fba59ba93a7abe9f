"""Rules beside welfare, against their definitions by brute force and against published examples."""

from __future__ import annotations

from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonweal.errors import InputError, WelfareDomainError
from commonweal.rules import described, resolve_rule, stored_rule
from commonweal.rules.pairwise import (
    margins,
    maximal_lotteries,
    ranked_pairs,
    schulze,
    top_cycle,
    utilities_of_ranks,
)
from commonweal.rules.thresholds import Approval, Quantile, _has_flow, in_veto_core, veto_core
from commonweal.welfare import rank

PROFILES = st.integers(1, 5).flatmap(
    lambda n: st.integers(1, 4).flatmap(
        lambda m: st.lists(
            st.lists(st.integers(1, 4), min_size=m, max_size=m), min_size=n, max_size=n
        )
    )
)
"""Small and full of ties."""


def ballots(*groups: tuple[int, str]) -> np.ndarray:
    """Rankings such as (5, "ACBED"): five people who like A best; candidates in the alphabet's
    order.
    """
    names = sorted(groups[0][1])
    rows = [[order.index(name) + 1 for name in names] for n, order in groups for _ in range(n)]
    return utilities_of_ranks(rows)


def winners(welfare: np.ndarray, names: str) -> str:
    return "".join(names[i] for i in rank(welfare).tied_best)


# Schulze 2011, section 3.1 (45 people, 5 candidates).
SCHULZE_45 = ballots(
    *((5, "ACBED"), (5, "ADECB"), (8, "BEDAC"), (3, "CABED")),
    *((7, "CAEBD"), (2, "CBADE"), (7, "DCEBA"), (8, "EBADC")),
)
# The capital of Tennessee, the field's stock example: Memphis, Nashville, Chattanooga, Knoxville.
TENNESSEE = ballots((42, "MNCK"), (26, "NCKM"), (15, "CKNM"), (17, "KCNM"))


# ----------------------------------------------------------------------------- published examples


def test_schulzes_own_example_ends_e_a_c_b_d():
    welfare = schulze(SCHULZE_45)
    assert "".join("ABCDE"[i] for i in np.argsort(-welfare)) == "EACBD"
    np.testing.assert_array_equal(sorted(-welfare), range(5))


def test_the_capital_of_tennessee():
    names = "CKMN"
    for rule in (schulze, ranked_pairs):
        assert "".join(names[i] for i in np.argsort(-rule(TENNESSEE))) == "NCKM"
    np.testing.assert_array_equal(maximal_lotteries(TENNESSEE), [0, 0, 0, 1])
    assert top_cycle(TENNESSEE) == (3,)


def test_ranked_pairs_drops_the_smallest_majority_of_a_cycle():
    # B over C by 5, A over B by 3, C over A by 1: the last would close the cycle.
    cycle = ballots((4, "ABC"), (3, "BCA"), (2, "CAB"))
    m = margins(cycle)
    assert (m[0, 1], m[1, 2], m[2, 0]) == (3, 5, 1)
    assert top_cycle(cycle) == (0, 1, 2)
    np.testing.assert_array_equal(ranked_pairs(cycle), [0, -1, -2])
    np.testing.assert_array_equal(schulze(cycle), [0, -1, -2])


def test_the_lottery_of_a_cycle_of_three_goes_with_the_opposite_margins():
    # With margins x (A over B), y (B over C) and z (C over A) it is (y, z, x) / (x + y + z).
    cycle = ballots((4, "ABC"), (3, "BCA"), (2, "CAB"))
    np.testing.assert_allclose(maximal_lotteries(cycle), np.array([5, 1, 3]) / 9, atol=1e-9)


def test_two_people_who_want_the_opposite_are_left_with_the_middle():
    # Moulin 1981: with two people and three candidates each vetoes one.
    np.testing.assert_array_equal(in_veto_core(ballots((1, "ABC"), (1, "CBA"))), [0, 1, 0])
    # A majority of 51 in 100 vetoes 1 of 3; the 49 others veto one, too: A is not safe.
    assert not in_veto_core(ballots((51, "ABC"), (49, "CBA")))[0]
    # All want the same: everything else is blocked.
    np.testing.assert_array_equal(in_veto_core(ballots((7, "ABCD"))), [1, 0, 0, 0])


def test_ranks_further_apart_than_the_scale_do_not_lift_a_vetoed_candidate_over_the_core():
    """The first of 16 people and the last of one: that one may veto it, since 18 > 17."""
    others = [np.roll(np.arange(17.0, 0, -1), n) for n in range(17)]  # nobody else stands out
    u = np.array([[18, *each] for each in others[:16]] + [[1, *(others[16] + 1)]])
    assert not in_veto_core(u)[0]
    assert in_veto_core(u)[veto_core(u).argmax()]


# -------------------------------------------------------------------------------- by brute force


def naive_margins(u):
    n = len(u[0])
    return [[sum((p[a] > p[b]) - (p[b] > p[a]) for p in u) for b in range(n)] for a in range(n)]


def naive_schulze(u):
    """Every simple path by hand."""
    m, n = naive_margins(u), len(u[0])

    def strongest(a, b):
        best = 0
        others = [c for c in range(n) if c not in (a, b)]
        for k in range(len(others) + 1):
            for middle in permutations(others, k):
                path = [a, *middle, b]
                best = max(best, min(m[x][y] for x, y in pairwise(path)))
        return best

    return [-sum(strongest(b, a) > strongest(a, b) for b in range(n) if b != a) for a in range(n)]


def naive_ranked_pairs(u):
    m, n = naive_margins(u), len(u[0])
    locked = set()

    def leads(a, b, seen=()):
        return any(
            x == a and (y == b or (y not in seen and leads(y, b, (*seen, y)))) for x, y in locked
        )

    pairs = [(a, b) for a in range(n) for b in range(n) if m[a][b] > 0]
    for a, b in sorted(pairs, key=lambda p: (-m[p[0]][p[1]], p)):
        if not leads(b, a):
            locked.add((a, b))
    return [-sum(leads(b, a) for b in range(n) if b != a) for a in range(n)]


def naive_core(u):
    n_people, n = len(u), len(u[0])
    core = []
    for x in range(n):
        blocked = False
        for size in range(1, n_people + 1):
            vetoes = -(-n * size // n_people) - 1
            for coalition in combinations(u, size):
                better = [y for y in range(n) if all(p[y] > p[x] for p in coalition)]
                blocked |= len(better) >= n - vetoes
        core.append(not blocked)
    return core


@given(PROFILES)
@settings(deadline=None)
def test_each_is_what_its_definition_says(profile):
    u = np.array(profile, float)
    np.testing.assert_array_equal(margins(u), naive_margins(profile))
    np.testing.assert_array_equal(schulze(u), naive_schulze(profile))
    np.testing.assert_array_equal(ranked_pairs(u), naive_ranked_pairs(profile))
    np.testing.assert_array_equal(in_veto_core(u), naive_core(profile))
    np.testing.assert_array_equal([_has_flow(u, x) for x in range(u.shape[1])], naive_core(profile))
    np.testing.assert_array_equal(
        Approval().welfare(u), [sum(p[j] > 4 for p in profile) / len(u) for j in range(len(u[0]))]
    )


@given(PROFILES)
@settings(deadline=None, max_examples=40)
def test_no_lottery_beats_a_maximal_one(profile):
    p = maximal_lotteries(profile)
    assert p.sum() == pytest.approx(1)
    assert (p >= 0).all()
    assert (p @ margins(profile) >= -1e-7).all()


@given(PROFILES)
@settings(deadline=None)
def test_the_top_cycle_beats_all_others_and_nothing_smaller_does(profile):
    m, inside = margins(profile), top_cycle(profile)
    n = len(m)

    def dominates(some):
        return all(m[a, b] > 0 for a in some for b in range(n) if b not in some)

    smaller = (s for k in range(1, len(inside)) for s in combinations(range(n), k))
    assert dominates(inside)
    assert not any(dominates(some) for some in smaller)


@given(PROFILES)
@settings(deadline=None)
def test_winners_lie_in_the_top_cycle_and_the_core_is_never_empty(profile):
    inside = set(top_cycle(profile))
    assert set(rank(schulze(profile)).tied_best) <= inside
    assert set(rank(ranked_pairs(profile)).tied_best) <= inside
    assert {int(i) for i in np.flatnonzero(maximal_lotteries(profile) > 1e-6)} <= inside
    core = in_veto_core(profile)
    assert core.any()
    assert core[rank(veto_core(profile)).best]


@given(PROFILES, st.floats(0, 1))
def test_a_quantile_is_the_smallest_rating_that_this_share_do_not_exceed(profile, share):
    u = np.array(profile, float)
    for j, value in enumerate(Quantile(share).welfare(u)):
        below = [r for r in sorted(u[:, j]) if np.mean(u[:, j] <= r) >= share - 1e-9]
        assert value == below[0]
    np.testing.assert_array_equal(Quantile(0).welfare(u), u.min(axis=0))
    np.testing.assert_array_equal(Quantile(1).welfare(u), u.max(axis=0))


def test_many_profiles_at_once_are_each_profile_alone():
    u = np.random.default_rng(1).uniform(1, 7, (40, 5, 6)).round(1)
    for rule in (schulze, ranked_pairs, maximal_lotteries, veto_core, Approval().welfare):
        np.testing.assert_allclose(rule(u), [rule(one) for one in u], atol=1e-9)
    # People beyond the number up to which coalitions are listed: the flow agrees.
    crowd = np.random.default_rng(2).uniform(1, 7, (11, 4)).round(0)
    np.testing.assert_array_equal(in_veto_core(crowd), naive_core(crowd.tolist()))


# -------------------------------------------------------------------------------------- the door


def test_each_has_a_name_a_meaning_and_comes_back_from_a_record():
    u = np.random.default_rng(3).uniform(1, 7, (5, 8))
    names = ("schulze", "ranked_pairs", "maximal_lotteries", "veto_core", "approval", "quantile")
    for name in (*names, "approval:5", "quantile:0.1"):
        rule = resolve_rule(name)
        assert rule.name == name
        assert rule.alpha is None
        assert described(rule)
        np.testing.assert_array_equal(stored_rule(name, None).welfare(u), rule.welfare(u))
    np.testing.assert_array_equal(
        resolve_rule("quantile:0").welfare(u), resolve_rule("rawlsian").welfare(u)
    )


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("quantile:2", "expected a share from 0 to 1"),
        ("quantile:lots", "'lots' is not a number"),
        ("approval:nan", "is not a number"),
        ("schulze:3", "takes nothing after the colon"),
    ],
)
def test_parts_that_mean_nothing_are_refused(spec, said):
    with pytest.raises(InputError, match=said):
        resolve_rule(spec)


def test_what_is_no_profile_is_refused():
    for bad in ([1.0, 2.0], [[]], [[np.nan, 1.0]]):
        with pytest.raises(WelfareDomainError):
            schulze(bad)
