"""Silent traps: each is refused, or repaired with a note, and gives the figures that were meant."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from commonweal.datasets.dataset import Dataset, frame
from commonweal.datasets.reliability import reliability
from commonweal.datasets.repairs import repaired
from commonweal.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from known_truth import simulate_study


@pytest.fixture(scope="module")
def study() -> Dataset:
    return simulate_study(np.random.default_rng(3), n_groups=4, human_effect=0.0)[0]


def test_what_is_right_stays_as_it_is(study):
    assert repaired(study) == (study, ())


def test_passes_numbered_from_1_are_counted_from_0(study):
    moved = replace(study, ratings=study.ratings.with_columns(pl.col("pass_index") + 1))
    assert reliability(moved)["n_repeated"].sum() == 0  # no kappa, nobody left out
    found, (note,) = repaired(moved)
    assert found.ratings.equals(study.ratings)
    assert "Passes were numbered 1, 2" in note


def test_authors_are_found_by_their_opinion(study):
    own = pl.col("policy") == "human"
    opinions = study.opinions.with_columns(text=pl.format("{} of {}", "text", "participant_id"))
    texts = opinions.select("round_id", author_id="participant_id", words="text")
    candidates = (
        study.candidates.join(
            texts, on=["round_id", "author_id"], how="left", maintain_order="left"
        )
        .with_columns(text=pl.coalesce("words", "text"))
        .drop("words")
    )
    told = replace(study, opinions=opinions, candidates=candidates)
    silent = candidates.with_columns(author_id=pl.lit(None, pl.String))
    found, (note,) = repaired(replace(told, candidates=silent))
    assert found.candidates.equals(candidates)
    assert f"{candidates.filter(own).height:,} statements by people named no author" in note
    unknown = silent.with_columns(text=pl.lit("A text of nobody."))
    found, (note,) = repaired(replace(told, candidates=unknown))
    assert "by people whose author nobody knows, who may be among the raters" in note
    assert not found.candidates.filter(own)["shown"].any()


def test_what_is_no_rating_is_refused(study):
    half = study.ratings.with_columns(agreement=pl.col("agreement") - 0.5)
    with pytest.raises(InputError, match=r"ratings: agreement is \d\.5, expected a whole number"):
        repaired(replace(study, ratings=half))
    nought = study.ratings.with_columns(agreement=pl.col("agreement") - 1)
    with pytest.raises(InputError, match=r"agreement is 0, expected .* from 1 to 7"):
        repaired(replace(study, ratings=nought))
    nine = study.predictions.with_columns(expected_rating=pl.lit(9.0))
    with pytest.raises(InputError, match=r"expected_rating is 9\.0, .* from 1 to 7"):
        repaired(replace(study, predictions=nine))


@pytest.mark.parametrize("value", [4.5, "4.5", "many", float("inf"), np.float32(4.5)])
def test_a_row_keeps_no_half_of_a_rating(value):
    row = {"round_id": "r", "participant_id": "p", "candidate_id": "c", "pass_index": 0}
    with pytest.raises(InputError, match=r"row 2: agreement is .* expected a whole number"):
        frame("ratings", [row, row | {"agreement": value}])


def test_whole_numbers_with_gaps_as_pandas_writes_them_are_ratings(study):
    row = {"round_id": "r", "participant_id": "p", "candidate_id": "c", "pass_index": 0}
    given = [row | {"agreement": each} for each in (5.0, float("nan"), None, np.int64(6))]
    assert frame("ratings", given)["agreement"].to_list() == [5, None, None, 6]
    floats = study.ratings.with_columns(
        pl.col("agreement", "quality").cast(pl.Float64).fill_null(float("nan"))
    )
    found, notes = repaired(replace(study, ratings=floats))
    assert found.ratings.equals(study.ratings)
    assert notes == ()


def test_passes_that_begin_elsewhere_for_some_people_are_compared_all_the_same(study):
    people = study.ratings["participant_id"].unique().sort()
    late = pl.col("participant_id").is_in(people.gather_every(2).implode())
    for number in (
        pl.when(late).then(pl.col("pass_index") + 1).otherwise("pass_index"),
        pl.when(late).then(pl.col("pass_index") * 2 + 1).otherwise("pass_index"),
        pl.when(pl.col("pass_index") == 1).then("pass_index"),
    ):
        moved = replace(study, ratings=study.ratings.with_columns(number.alias("pass_index")))
        found, notes = repaired(moved)
        assert found.ratings.equals(study.ratings)
        assert notes


def test_people_are_found_under_another_spelling_of_human(study):
    spelled = study.candidates.with_columns(
        policy=pl.col("policy").replace({"human": " Human"}),
    )
    found, (note,) = repaired(replace(study, candidates=spelled))
    assert found.candidates.equals(study.candidates)
    assert "' Human'" in note


def test_people_under_another_name_and_unknown_authors_are_said(study):
    named = study.candidates.with_columns(policy=pl.col("policy").replace({"human": "people"}))
    _, (note,) = repaired(replace(study, candidates=named))
    assert "'people' named a rater as the author, and counted as a policy's" in note
    upper = study.candidates.with_columns(author_id=pl.col("author_id").str.to_uppercase())
    _, (note,) = repaired(replace(study, candidates=upper))
    assert "named an author who neither rated nor wrote anything here" in note


def test_five_points_that_are_called_seven_are_said(study):
    five = study.ratings.with_columns(pl.col("agreement", "quality").clip(1, 5))
    _, (note,) = repaired(replace(study, ratings=five))
    assert "No rating is above 5, on a scale to 7" in note


@pytest.mark.parametrize("table", ["rounds", "opinions", "candidates", "ratings"])
def test_rows_that_are_there_twice_are_refused(study, table):
    rows = getattr(study, table)
    with pytest.raises(InputError, match="is there already"):
        repaired(replace(study, **{table: pl.concat([rows, rows])}))


def test_ratings_of_what_is_not_there_are_refused(study):
    lost = study.ratings.with_columns(candidate_id=pl.format("no {}", "candidate_id"))
    with pytest.raises(InputError, match="candidate_id is 'no c01' in round"):
        repaired(replace(study, ratings=lost))
