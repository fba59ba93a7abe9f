"""Silent traps: each is refused, or repaired with a note, and gives the figures that were meant."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from commonweal.datasets.dataset import Dataset, completed
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
    assert f"{candidates.filter(own).height:,} statements by people name no author" in note
    unknown = silent.with_columns(text=pl.lit("A text of nobody."))
    found, (note,) = repaired(replace(told, candidates=unknown))
    assert "are left out: their writers may be among their raters" in note
    assert not found.candidates.filter(own)["shown"].any()


def test_what_is_no_rating_is_refused(study):
    half = study.ratings.with_columns(agreement=pl.col("agreement") - 0.5)
    with pytest.raises(InputError, match=r"agreement is \d\.5 .* a whole number from 1 to 7"):
        repaired(replace(study, ratings=half))
    with pytest.raises(InputError, match=r"ratings: agreement is 4\.5, expected a whole number"):
        completed("ratings", half.with_columns(agreement=pl.lit(4.5)))
    nine = study.predictions.with_columns(expected_rating=pl.lit(9.0))
    with pytest.raises(InputError, match=r"expected_rating is 9\.0 .* from 1 to 7"):
        repaired(replace(study, predictions=nine))
