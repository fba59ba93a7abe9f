"""The welfare functions against a naive twin, their axioms, and cases worked by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from commonweal.errors import WelfareDomainError
from commonweal.welfare import (
    WELFARE_FUNCTIONS,
    Isoelastic,
    best,
    isoelastic,
    rank,
    welfare_name,
)

RATINGS = st.floats(1.0, 7.0, allow_nan=False)
ALPHAS = st.one_of(st.floats(0, 50), st.sampled_from([0.0, 1.0, math.inf, 1e3, 1e8, 1e300]))


def profiles(n_candidates: int | None = None) -> st.SearchStrategy[np.ndarray]:
    columns = st.just(n_candidates) if n_candidates else st.integers(1, 5)
    shapes = st.tuples(st.integers(1, 6), columns)
    return shapes.flatmap(lambda shape: hnp.arrays(np.float64, shape, elements=RATINGS))


def naive(column: list[float], alpha: float) -> float:
    """Eq. 1 of the paper as a power mean, written as it stands, one column of utilities."""
    if alpha == math.inf:
        return min(column)
    if alpha == 1:
        return math.prod(column) ** (1 / len(column))
    return (sum(u ** (1 - alpha) for u in column) / len(column)) ** (1 / (1 - alpha))


@given(
    profiles(), st.one_of(st.floats(0, 0.99), st.floats(1.01, 20), st.sampled_from([1, math.inf]))
)
def test_agrees_with_the_naive_twin(u: np.ndarray, alpha: float) -> None:
    expected = [naive(list(column), alpha) for column in u.T]
    np.testing.assert_allclose(isoelastic(u, alpha), expected, rtol=1e-10)


def test_agrees_with_exact_fractions() -> None:
    # α = 2 is the harmonic mean: rational arithmetic gives it without any rounding.
    u = [2, 3, 7, 5]
    exact = Fraction(len(u)) / sum(Fraction(1, x) for x in u)
    assert isoelastic(np.array(u)[:, None], 2)[0] == pytest.approx(float(exact), rel=1e-15)


@given(profiles(), ALPHAS, st.randoms(use_true_random=False))
def test_symmetric_in_participants(u: np.ndarray, alpha: float, random: object) -> None:
    order = list(range(len(u)))
    random.shuffle(order)  # type: ignore[attr-defined]
    np.testing.assert_allclose(isoelastic(u[order], alpha), isoelastic(u, alpha), rtol=1e-12)


@given(profiles(1), ALPHAS, st.data())
def test_monotone_in_each_participant(u: np.ndarray, alpha: float, data: st.DataObject) -> None:
    raised = u.copy()
    raised[data.draw(st.integers(0, len(u) - 1)), 0] += data.draw(st.floats(0, 3))
    assert isoelastic(raised, alpha)[0] >= isoelastic(u, alpha)[0] * (1 - 1e-12)


@given(profiles(), ALPHAS, st.floats(1e-3, 1e3))
def test_homogeneous_of_degree_one(u: np.ndarray, alpha: float, factor: float) -> None:
    np.testing.assert_allclose(
        isoelastic(u * factor, alpha), isoelastic(u, alpha) * factor, rtol=1e-9
    )


@given(profiles())
def test_continuous_at_one(u: np.ndarray) -> None:
    for step in (1e-4, 1e-8, 1e-12, 1e-15):
        for alpha in (1 - step, 1 + step):
            np.testing.assert_allclose(
                isoelastic(u, alpha), isoelastic(u, 1), rtol=10 * step + 1e-13
            )


@given(profiles())
def test_continuous_towards_infinity(u: np.ndarray) -> None:
    # W_α - min lies within the factor n^(1/(α-1)) of the power mean's own bound.
    for alpha in (1e2, 1e4, 1e8, 1e16, 1e300):
        ratio = isoelastic(u, alpha) / isoelastic(u, math.inf)
        assert (ratio >= 1).all()
        assert (ratio <= len(u) ** (1 / (alpha - 1)) + 1e-12).all()


@given(profiles(1), st.floats(0.05, 30), st.data())
def test_pigou_dalton_transfer_raises_welfare(
    u: np.ndarray, alpha: float, data: st.DataObject
) -> None:
    """Taking from a better-off person for a worse-off one, without swapping them, is better."""
    assume(len(u) >= 2)
    rich, poor = int(u[:, 0].argmax()), int(u[:, 0].argmin())
    gap = u[rich, 0] - u[poor, 0]
    assume(gap > 0.5)
    amount = data.draw(st.floats(0.1, 0.5)) * gap
    moved = u.copy()
    moved[rich, 0] -= amount
    moved[poor, 0] += amount
    assert isoelastic(moved, alpha)[0] > isoelastic(u, alpha)[0]
    assert isoelastic(moved, 0)[0] == pytest.approx(isoelastic(u, 0)[0], rel=1e-12)


@given(profiles(), ALPHAS, ALPHAS)
def test_falls_as_inequality_aversion_rises(u: np.ndarray, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert (isoelastic(u, low) >= isoelastic(u, high) * (1 - 1e-12)).all()


@given(profiles())
def test_named_cases_are_ordered_and_within_the_extremes(u: np.ndarray) -> None:
    w0, w1, winf = (isoelastic(u, alpha) for alpha in (0, 1, math.inf))
    assert (w0 >= w1 * (1 - 1e-14)).all()
    assert (w1 >= winf).all()
    assert (winf == u.min(axis=0)).all()
    assert (w0 <= u.max(axis=0)).all()


@given(hnp.arrays(np.float64, (3, 2, 4, 5), elements=RATINGS), ALPHAS)
def test_vectorised_over_leading_axes(u: np.ndarray, alpha: float) -> None:
    whole = isoelastic(u, alpha)
    assert whole.shape == (3, 2, 5)
    for i in range(3):
        for j in range(2):
            np.testing.assert_allclose(whole[i, j], isoelastic(u[i, j], alpha), rtol=1e-15)


@pytest.mark.parametrize("alpha", [0, 0.5, 0.95, 1, 3, math.inf])
def test_many_rounds_are_as_one_at_a_time(alpha: float) -> None:
    """Enough of them for several threads; one bad utility among them is found and named."""
    u = np.random.default_rng(3).uniform(1, 7, (30_000, 5, 4))
    whole = isoelastic(u, alpha)
    for i in (0, 1, 14_999, 29_999):
        np.testing.assert_allclose(whole[i], isoelastic(u[i], alpha), rtol=1e-14)
    np.testing.assert_allclose(whole[::1000], [isoelastic(each, alpha) for each in u[::1000]])
    u[20_001, 3, 2] = -1
    with pytest.raises(WelfareDomainError, match=r"index \(20001, 3, 2\)"):
        isoelastic(u, alpha)


@pytest.mark.parametrize("alpha", [0, 0.5, 1, 1.5, 40, 1e300, math.inf])
@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1, 1e150, 1e300])
def test_no_overflow_at_any_scale(alpha: float, scale: float) -> None:
    with np.errstate(all="raise", under="ignore"):
        value = isoelastic(np.array([[1.0], [2.0], [7.0]]) * scale, alpha)[0]
    assert scale * (1 - 1e-9) <= value <= 7 * scale * (1 + 1e-9)


@given(profiles(), ALPHAS, st.data())
def test_missing_utilities_are_left_out(u: np.ndarray, alpha: float, data: st.DataObject) -> None:
    mask = data.draw(hnp.arrays(np.bool_, u.shape))
    garbage = np.where(mask, u, data.draw(st.sampled_from([np.nan, -1.0, 0.0, np.inf])))
    result = isoelastic(garbage, alpha, present=mask)
    for c in range(u.shape[1]):
        kept = u[mask[:, c], c]
        if kept.size:
            assert result[c] == pytest.approx(isoelastic(kept[:, None], alpha)[0], rel=1e-12)
        else:
            assert math.isnan(result[c])


@pytest.mark.parametrize("bad", [0.0, -0.5, math.nan, math.inf, -math.inf])
def test_utilities_outside_the_domain_are_refused(bad: float) -> None:
    with pytest.raises(WelfareDomainError, match=r"index \(1, 0\)"):
        isoelastic([[2.0, 3.0], [bad, 4.0]], 0.5)


@pytest.mark.parametrize("bad", [-1e-9, -math.inf, math.nan, "many", None])
def test_alpha_outside_the_domain_is_refused(bad: object) -> None:
    with pytest.raises(WelfareDomainError, match="alpha"):
        isoelastic([[2.0]], bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("utilities", "present", "message"),
    [
        ([1.0, 2.0], None, "n_participants"),
        (np.ones((0, 3)), None, "at least one participant"),
        (np.ones((2, 3)), np.ones((2, 3)), "booleans"),
        (np.ones((2, 3)), np.ones((4, 3), dtype=bool), "does not fit"),
    ],
)
def test_shapes_are_checked(utilities: object, present: object, message: str) -> None:
    with pytest.raises(WelfareDomainError, match=message):
        isoelastic(utilities, 0, present=present)  # type: ignore[arg-type]


def test_names() -> None:
    assert [welfare_name(a) for a in (0, 1, math.inf)] == list(WELFARE_FUNCTIONS)
    with pytest.raises(WelfareDomainError):
        Isoelastic(-1)


def test_welfare_functions_can_disagree() -> None:
    """A case worked by hand: the mean prefers the first, the worst-off person the second."""
    u = np.array([[7.0, 4.0], [7.0, 4.0], [1.0, 4.0]])
    assert best(isoelastic(u, 0)) == 0  # means 5 and 4
    assert best(isoelastic(u, math.inf)) == 1  # minima 1 and 4
    assert best(isoelastic(u, 1)) == 1  # 49^(1/3) = 3.66 and 4


TIED = st.lists(st.sampled_from([1.0, 2.5, 2.5 * (1 + 1e-14), 4.0, 7.0]), min_size=1, max_size=9)


@given(TIED)
def test_ties_go_to_the_first_generated(values: list[float]) -> None:
    rounded = [round(v, 9) for v in values]
    result = rank(values)
    assert result.tied_best == tuple(i for i, v in enumerate(rounded) if v == max(rounded))
    assert result.best == rounded.index(max(rounded)) == best(values)
    assert result.is_tie == (rounded.count(max(rounded)) > 1)
    assert result.ranks == tuple(1 + sum(w > v for w in rounded) for v in rounded)
    assert result.order == tuple(sorted(range(len(values)), key=lambda i: (-rounded[i], i)))


@pytest.mark.parametrize("choose", [rank, best])
def test_no_choice_without_candidates_or_welfare(choose: object) -> None:
    for bad, message in (([], "at least one"), ([2.0, math.nan], "nobody")):
        with pytest.raises(WelfareDomainError, match=message):
            choose(bad)  # type: ignore[operator]


@pytest.mark.parametrize(
    "empty", [[], [[]], np.empty((3, 0)), np.empty((0, 3)), np.empty((2, 3, 0))]
)
def test_an_empty_profile_is_refused_by_its_shape(empty):
    with pytest.raises(WelfareDomainError, match="at least one participant and one candidate"):
        isoelastic(empty, 1)


def test_what_floating_point_does_not_hold_is_refused():
    for utilities in ([[10**400]], [["much"]], [[1.0], [1.0, 2.0]]):
        with pytest.raises(WelfareDomainError, match="not an array of finite numbers"):
            isoelastic(utilities, 0.5)


@pytest.mark.parametrize("alpha", [1 - 1e-12, 1.0, 1 + 1e-12])
def test_no_factor_overflows_near_one(alpha):
    """The root of 5e-324 * 1.7e308, by logarithms of whole numbers."""
    expected = math.exp((math.log(5e-324) + math.log(1.7e308)) / 2)
    assert isoelastic([[5e-324], [1.7e308]], alpha)[0] == pytest.approx(expected, rel=1e-5)
