"""Who has a kappa, and who is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from rounds_making import small_dataset

from commonweal.datasets.dataset import completed
from commonweal.datasets.reliability import drop_unreliable, reliability
from commonweal.errors import InputError
from commonweal.measures.raters import quadratic_kappa


def with_ratings(people: dict[str, list[tuple[int | None, int | None]]]):
    """The small dataset with these (first, second) ratings of statements c0, c1, ..."""
    rows = [
        {
            "round_id": "r1",
            "participant_id": person,
            "candidate_id": f"c{n}",
            "pass_index": again,
            "agreement": value,
            "quality": 8 - value if value else None,
        }
        for person, pairs in people.items()
        for n, pair in enumerate(pairs)
        for again, value in enumerate(pair)
    ]
    return replace(small_dataset(), ratings=completed("ratings", pl.DataFrame(rows)))


PEOPLE = {
    "steady": [(1, 1), (7, 6), (4, 4), (2, 2), (6, 7)],
    "random": [(1, 7), (7, 1), (4, 2), (2, 6), (6, 2)],
    "flat": [(5, 5)] * 5,
    "flat-once": [(5, 1), (5, 7), (5, 3), (5, 5)],
    "short": [(1, 7), (7, 1), (1, 7)],
    "gaps": [(1, 7), (7, 1), (1, 7), (None, 3), (3, None)],
}


def test_each_person_has_a_verdict():
    found = reliability(with_ratings(PEOPLE))
    assert dict(found.select("participant_id", "verdict").iter_rows()) == {
        "steady": "reliable",
        "random": "unreliable",
        "flat": "one rating throughout",
        "flat-once": "unreliable",
        "short": "too few repeated",
        "gaps": "too few repeated",
    }
    for row in found.iter_rows(named=True):
        pairs = [pair for pair in PEOPLE[row["participant_id"]] if None not in pair]
        (expected,) = quadratic_kappa(*zip(*pairs, strict=True))
        assert row["n_repeated"] == len(pairs)
        if np.isnan(expected):
            assert row["kappa"] is None
        else:
            assert row["kappa"] == pytest.approx(expected)
            assert row["kappa_quality"] == pytest.approx(expected)  # quality mirrors agreement


def test_only_the_unreliable_are_left_out_and_counted():
    dataset = with_ratings(PEOPLE)
    kept = drop_unreliable(dataset)
    assert set(kept.ratings["participant_id"]) == {"steady", "flat", "short", "gaps"}
    assert kept.opinions.equals(dataset.opinions)
    (step,) = kept.about.steps
    assert step.counts == {
        "people: reliable": 1,
        "people: unreliable": 2,
        "people: too few repeated": 2,
        "people: one rating throughout": 1,
        "ratings dropped: of unreliable people": 18,
        "ratings": dataset.ratings.height - 18,
    }


def test_the_threshold_and_the_number_of_repetitions_are_the_callers():
    dataset = with_ratings(PEOPLE)
    loose = drop_unreliable(dataset, threshold=-1)
    assert loose.ratings.height == dataset.ratings.height
    strict = drop_unreliable(dataset, min_repeated=3)
    assert set(strict.ratings["participant_id"]) == {"steady", "flat"}


def test_one_pass_says_nothing_about_anybody():
    dataset = with_ratings(PEOPLE)
    once = replace(dataset, ratings=dataset.ratings.filter(pl.col("pass_index") == 0))
    assert set(reliability(once)["verdict"]) == {"too few repeated"}
    assert drop_unreliable(once).ratings.equals(once.ratings)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"threshold": 2}, "threshold is 2, expected a kappa from -1 to 1"),
        ({"min_repeated": 1}, "min_repeated is 1, expected at least 2"),
    ],
)
def test_wrong_options_are_named(options, expected):
    with pytest.raises(InputError, match=expected):
        drop_unreliable(with_ratings(PEOPLE), **options)


def test_leaving_out_everybody_is_refused():
    with pytest.raises(InputError, match="the kappa of all 1 people is below"):
        drop_unreliable(with_ratings({"random": PEOPLE["random"]}))


def test_ones_own_statement_is_no_test_of_repeating_oneself():
    pairs = [(1, 1), (7, 6), (4, 4), (2, 2), (1, 7)]
    dataset = with_ratings({"ana": pairs})
    others = reliability(with_ratings({"ana": pairs[:4]}))
    rows = [
        {"round_id": "r1", "candidate_id": f"c{n}", "text": "A text.", "policy": "human",
         "shown": True, "author_id": "ana" if n == 4 else "ben"}
        for n in range(5)
    ]  # fmt: skip
    found = reliability(replace(dataset, candidates=completed("candidates", pl.DataFrame(rows))))
    assert found.row(0, named=True) == others.row(0, named=True)
