"""What must not change a figure: the order of rows, people's names, whole copies of a group."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from known_truth import simulate_study

from commonweal.datasets.dataset import Dataset
from commonweal.evaluation.evaluate import Evaluation, evaluate

pytestmark = pytest.mark.usefixtures("quick_power")
quickly = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@cache
def study() -> Dataset:
    return simulate_study(
        np.random.default_rng(21),
        n_groups=9,
        human_effect=-0.2,
        group_size=(3, 5),
        n_unshown=1,
        missing_share=0.15,
        unreliable_share=0.1,
    )[0]


@cache
def found() -> Evaluation:
    return evaluate(study(), n_resamples=1000)


def assert_same(one: Evaluation, other: Evaluation) -> None:
    assert one.figures.keys() == other.figures.keys()
    for key, figure in one.figures.items():
        again = other.figures[key]
        for field in ("value", "low", "high", "p_value"):
            assert getattr(again, field) == pytest.approx(getattr(figure, field), abs=1e-7), key
        assert (again.n, again.n_groups) == (figure.n, figure.n_groups), key


@pytest.mark.heavy
@quickly
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing(quick_power, seed):
    shuffled = {
        name: table.sample(fraction=1, shuffle=True, seed=seed)
        for name, table in study().tables().items()
    }
    assert_same(found(), evaluate(replace(study(), **shuffled), n_resamples=1000))


@pytest.mark.heavy
@quickly
@given(st.randoms(use_true_random=False))
def test_the_names_of_people_change_nothing(quick_power, random):
    dataset = study()
    people = dataset.opinions["participant_id"].unique().sort().to_list()
    renamed = list(people)
    random.shuffle(renamed)
    names = dict(zip(people, renamed, strict=True))

    def rename(table: pl.DataFrame) -> pl.DataFrame:
        columns = [c for c in ("participant_id", "author_id") if c in table.columns]
        return table.with_columns(pl.col(columns).replace(names))

    other = replace(dataset, **{name: rename(t) for name, t in dataset.tables().items()})
    assert_same(found(), evaluate(other, n_resamples=1000))


def test_twice_the_same_groups_are_the_same_figures():
    dataset = study()

    def doubled(table: pl.DataFrame, *columns: str) -> pl.DataFrame:
        present = [c for c in columns if c in table.columns]
        return pl.concat([table, table.with_columns(pl.col(present) + "-again")])

    columns = ("round_id", "group_id", "participant_id", "author_id")
    other = replace(dataset, **{n: doubled(t, *columns) for n, t in dataset.tables().items()})
    twice = evaluate(other, n_resamples=1000)
    for key, figure in found().figures.items():
        if key.startswith(("power/", "krippendorff/")) or figure.value is None:
            continue  # alpha has a small-sample correction
        assert twice.figures[key].value == pytest.approx(figure.value, abs=1e-6), key


def test_another_seed_changes_intervals_and_no_value():
    other = evaluate(study(), n_resamples=1000, seed=1)
    for key, figure in found().figures.items():
        if not key.startswith("power/"):
            assert other.figures[key].value == figure.value
    key = "win_rate/person/all/sft_base/zero_shot"
    assert other.figures[key].low != found().figures[key].low
