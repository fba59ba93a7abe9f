"""Every vectorised figure equals its naive twin, on studies of many kinds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from known_truth import simulate_study
from naive_twin import twin

from commonweal.datasets.dataset import Dataset
from commonweal.datasets.reliability import drop_unreliable
from commonweal.datasets.schema import LIKERT_5, VOTE
from commonweal.evaluation.evaluate import evaluate

pytestmark = pytest.mark.usefixtures("quick_power")
APART = ("effect/", "mixed/", "power/", "kappa/", "unreliable", "unanimous_by/")
"""Figures compared elsewhere: ``test_raters_and_effects`` has them."""


def study(**design: object) -> Dataset:
    return simulate_study(np.random.default_rng(7), **{"n_groups": 8, **design})[0]


def on_votes(dataset: Dataset) -> Dataset:
    """The same answers as agree, pass and disagree."""
    vote = (pl.col("agreement") - 4).sign()
    return replace(
        dataset,
        about=replace(dataset.about, scale=VOTE),
        ratings=dataset.ratings.with_columns(vote, pl.lit(None, pl.Int64).alias("quality")),
        position_ratings=dataset.position_ratings.with_columns(vote),
    )


def on_five(dataset: Dataset) -> Dataset:
    five = pl.col("agreement").clip(1, 5)
    return replace(
        dataset,
        about=replace(dataset.about, scale=LIKERT_5),
        ratings=dataset.ratings.with_columns(five, pl.col("quality").clip(1, 5)),
        position_ratings=dataset.position_ratings.with_columns(five),
    )


def patchy(dataset: Dataset) -> Dataset:
    """Whole statements, people, positions and predictions are missing."""
    rng = np.random.default_rng(3)

    def some(table: pl.DataFrame, share: float) -> pl.DataFrame:
        return table.filter(pl.Series(rng.random(table.height) < share))

    return replace(
        dataset,
        ratings=some(dataset.ratings, 0.4),
        opinions=dataset.opinions,
        position_ratings=some(dataset.position_ratings, 0.6),
        predictions=some(dataset.predictions, 0.7),
    )


STUDIES = {
    "plain": lambda: study(),
    "human": lambda: study(human_effect=-0.3, group_size=(3, 6), missing_share=0.2),
    "unshown": lambda: study(n_statements=3, n_unshown=2, n_rounds_per_group=2),
    "unreliable": lambda: study(n_groups=12, unreliable_share=0.3, missing_share=0.1),
    "one policy": lambda: study(policies={"few_shot": 0.0}, human_effect=0.0),
    "one pass, no predictions": lambda: study(n_passes=1, sd_prediction=None),
    "votes": lambda: on_votes(study(human_effect=0.2)),
    "five points": lambda: on_five(study()),
    "patchy": lambda: patchy(study(human_effect=0.1, group_size=(2, 5), n_groups=10)),
    "one group": lambda: study(n_groups=1),
    "three passes": lambda: study(n_passes=3, n_groups=4),
    "two policies, equal length": lambda: equal_length(
        study(policies={"sft_base": 0.2, "other": 0.0})
    ),
}


def equal_length(dataset: Dataset) -> Dataset:
    same = dataset.candidates.with_columns(text=pl.lit("We agree on this."))
    return replace(dataset, candidates=same)


QUICK = ("plain", "human", "unreliable", "votes", "patchy", "one group")
"""The most unlike each other; the rest are as heavy again."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.heavy) for name in STUDIES],
)
def test_every_figure_equals_its_twin(name):
    dataset = STUDIES[name]()
    found = evaluate(dataset, n_resamples=1000)
    baseline = found.facts["baseline"]
    expected = twin(drop_unreliable(dataset), None if baseline == "none" else baseline)
    figures = {k: f for k, f in found.figures.items() if not k.startswith(APART)}
    compared = 0
    for key, figure in figures.items():
        if figure.value is None:
            assert figure.unavailable
            assert key not in expected or math.isnan(expected[key].value), key
            continue
        near = 1e-5 if key.startswith("confound/") else 1e-9  # the twin's optimiser stops there
        assert figure.value == pytest.approx(expected[key].value, abs=near), key
        compared += 1
    assert compared > 20
    there = {key for key, f in figures.items() if f.value is not None}
    for key, sample in expected.items():
        if key.startswith("best_of_n") and int(key.rsplit("/", 1)[1]) not in (1, 2, 4):
            continue  # only powers of two and all are shown
        if sample.rows and not math.isnan(sample.value):
            assert key in there, f"{key} could have been computed"


def test_the_twin_counts_as_the_figures_do():
    dataset = STUDIES["human"]()
    figures = evaluate(dataset, n_resamples=1000).figures
    expected = twin(drop_unreliable(dataset), "zero_shot")
    for key in (
        "win_rate/mean/all/sft_base/zero_shot",
        "win_rate/person/all/sft_base/zero_shot",
        "less_divisive/all",
        "unanimous/sft_base",
        "against_human/best/all/zero_shot",
        "inclusion/agreement",
        "accuracy/within/simulated",
        "accuracy/crossed/simulated",
        "distribution/human/4",
    ):
        assert figures[key].n == expected[key].n, key
        groups = {row[0] for row in expected[key].rows if row[2]}
        assert figures[key].n_groups == len(groups), key
