"""The calibration is fitted on people who were not trained on, where there are enough."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from tiny_models import made_rounds

from commonweal.datasets.dataset import write_dataset
from commonweal.training.config import RewardData
from commonweal.training.reward.calibration import MIN_PEOPLE, raters_of
from commonweal.training.reward.data import read_split


def split_of(folder: Path, n_people: int, n_returning: int):
    """Four training rounds and one kept back, in which so many of the first round rate again."""
    made = made_rounds(5, n_people=n_people)
    again = {f"train4-p{number}": f"train0-p{number}" for number in range(n_returning)}
    renamed = {
        name: getattr(made, name).with_columns(pl.col("participant_id").replace(again))
        for name in ("opinions", "ratings")
    }
    write_dataset(replace(made, **renamed), folder)
    data = RewardData(datasets=(folder,), development=("train4",))
    return read_split(data, seed=0)


@pytest.mark.parametrize("n_returning", [0, 7])
def test_who_was_trained_on_is_left_out_where_enough_others_are(tmp_path, n_returning):
    raters = raters_of(split_of(tmp_path / "d", MIN_PEOPLE + 7, n_returning))
    assert (raters.n_people, raters.n_trained_on) == (MIN_PEOPLE + 7, n_returning)
    used = {person for dataset in raters.rounds for person in dataset.ratings["participant_id"]}
    expected = {f"train4-p{number}" for number in range(n_returning, MIN_PEOPLE + 7)}
    assert used == expected
    said = f"the {MIN_PEOPLE} of {MIN_PEOPLE + 7} people who were not trained on"
    assert (said in raters.in_words) == (n_returning == 7)


def test_with_too_few_others_all_are_used_and_it_says_so(tmp_path):
    raters = raters_of(split_of(tmp_path / "d", MIN_PEOPLE + 7, 8))
    (dataset,) = raters.rounds
    assert dataset.ratings["participant_id"].n_unique() == MIN_PEOPLE + 7
    assert raters.in_words == (
        f"{MIN_PEOPLE + 7} people, 8 of whom were trained on with other questions: the "
        f"{MIN_PEOPLE - 1} others are fewer than {MIN_PEOPLE}"
    )
