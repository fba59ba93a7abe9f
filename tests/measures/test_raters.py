"""Kappa against scikit-learn's, alpha against the krippendorff package and its author's example."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from commonweal.errors import InputError
from commonweal.measures.raters import coincidences, krippendorff_alpha, quadratic_kappa

RATINGS = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=2, max_size=30)


@settings(max_examples=100)
@given(RATINGS)
def test_kappa_is_scikit_learns(pairs):
    first, second = zip(*pairs, strict=True)
    (found,) = quadratic_kappa(first, second)
    if len({*first, *second}) == 1:
        assert np.isnan(found)
        return
    labels = list(range(1, 8))
    assert found == pytest.approx(
        cohen_kappa_score(first, second, labels=labels, weights="quadratic")
    )


def test_kappa_of_nothing_is_refused():
    with pytest.raises(InputError, match=r"shapes \(2,\) and \(3,\)"):
        quadratic_kappa([1, 2], [1, 2, 3])


def test_each_person_has_their_own_kappa_and_gaps_do_not_count():
    first, second = [1, 7, 4, 2, 5, np.nan], [1, 6, 4, 3, 5, 2]
    found = quadratic_kappa(first, second, np.array([0, 0, 0, 2, 2, 2]))
    assert found[[0, 2]] == pytest.approx(
        [*quadratic_kappa(first[:3], second[:3]), *quadratic_kappa([2, 5], [3, 5])]
    )
    assert np.isnan(found[1])


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.integers(1, 7), min_size=0, max_size=6), min_size=2, max_size=12),
    st.sampled_from(["ordinal", "interval"]),
)
def test_alpha_is_that_of_the_krippendorff_package(units, metric):
    counts = np.array([[unit.count(point) for point in range(1, 8)] for unit in units], dtype=float)
    usable = [unit for unit in units if len(unit) > 1]
    table = coincidences(counts, np.zeros(len(units), dtype=np.int64), 1)[0]
    ours = krippendorff_alpha(table, metric)
    if len({value for unit in usable for value in unit}) < 2:
        assert np.isnan(ours)  # the package raises or divides by nothing
        return
    theirs = krippendorff.alpha(
        value_counts=counts, level_of_measurement=metric, value_domain=range(1, 8)
    )
    assert ours == pytest.approx(theirs)


def test_krippendorffs_own_example():
    """Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", C: interval 0.849, ordinal
    0.815 (four observers, twelve units, values missing).
    """
    nan = np.nan
    table = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
            [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
        ]
    )
    counts = np.stack([(table == point).sum(axis=0) for point in range(1, 6)], axis=1).astype(float)
    sums = coincidences(counts, np.zeros(12, dtype=np.int64), 1)[0]
    assert krippendorff_alpha(sums, "interval") == pytest.approx(0.849, abs=5e-4)
    assert krippendorff_alpha(sums, "ordinal") == pytest.approx(0.815, abs=5e-4)
