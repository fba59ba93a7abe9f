"""The model card says what was measured, and nothing else."""

import dataclasses
import json
import math

import numpy as np
import pytest
from votes_making import made_rounds, some_votes, table_model

from commonweal.datasets.schema import LIKERT_5
from commonweal.errors import InputError
from commonweal.measures.intervals import Estimate
from commonweal.rewards.baselines import ConstantRewardModel
from commonweal.rewards.card import (
    CardText,
    as_dict,
    render_card,
    signed,
    verdict,
    with_interval,
    write_card,
)
from commonweal.rewards.measurement_plot import plot_measurement
from commonweal.rewards.measuring import measure

TEXT = CardText(
    written_by="the test",
    what_it_is="It looks up what it was told.",
    how_made=("By rule, with *seed 0*.",),
    licences=("None.",),
    knowing=("It was made for a test.",),
    cannot=("Do anything else.",),
)


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    both = {key: some_votes(rng, 20, 30, missing=0.1) for key in ("r1", "r2")}
    data = made_rounds({key: votes for key, (votes, _) in both.items()})
    noisy = {key: scores + 2 * rng.normal(size=scores.shape) for key, (_, scores) in both.items()}
    return table_model(noisy), data


@pytest.fixture(scope="module")
def measured(made):
    model, data = made
    return [measure(one, data, n_draws=50) for one in (ConstantRewardModel(), model)]


def test_every_table_is_whole_and_every_figure_is_the_measured_one(made, measured):
    card = render_card(made[0], measured, TEXT, plots=("plot.svg", "other.svg"))
    own = measured[1]
    for estimate in (
        own.own.crossed,
        own.swapped.within_person,
        own.leniency,
        own.reliability.error,
        own.by_length.longer_agreed,
        own.selection.picks["own"]["rawlsian"].minimum,
        own.selection.best.mean,
    ):
        assert with_interval(estimate) in card
    assert signed(own.swapped_drop.crossed) in card
    assert made[0].weights_hash in card
    assert "](plot.svg)" in card
    assert "](other.svg)" in card
    assert "replayed" in card
    for sentence in (TEXT.what_it_is, *TEXT.how_made, *TEXT.knowing, *TEXT.cannot, *TEXT.licences):
        assert sentence in " ".join(card.split())
    width = None
    for line in card.splitlines():
        if line.startswith("|"):
            assert width in (None, line.count("|")), line
            width = line.count("|")
        else:
            width = None
            assert len(line) <= 100
    assert "{{" not in card
    assert "nan" not in card.lower().replace("tenant", "")
    assert "\n\n\n" not in card


def test_a_card_of_data_without_groups_or_pairs_says_so(made):
    rng = np.random.default_rng(1)
    ratings = np.full((20, 20), np.nan)
    ratings[np.arange(20), np.arange(20)] = rng.integers(1, 6, 20)  # one rating a person
    model = table_model({"r1": rng.normal(size=(20, 20))})
    got = measure(model, made_rounds({"r1": ratings}, scale=LIKERT_5), n_draws=50)
    card = render_card(model, [got], TEXT)
    assert "Not measured: in no data set did five people" in " ".join(card.split())
    assert "Rank correlation of reward and rating within a question" in card
    assert "It was not measured whether it matches opinions" in " ".join(card.split())
    assert "likert-5" in card


def test_figures_of_other_weights_or_another_model_are_refused(made, measured):
    changed = [dataclasses.replace(measured[1], weights_hash="0" * 64)]
    with pytest.raises(InputError, match="measure it again"):
        render_card(made[0], changed, TEXT)
    with pytest.raises(InputError, match="needs figures of it; got those of constant"):
        render_card(made[0], measured[:1], TEXT)


def test_it_is_written_whole(made, measured, tmp_path):
    path = tmp_path / "card.md"
    write_card(path, made[0], measured, TEXT)
    assert path.read_text(encoding="utf-8") == render_card(made[0], measured, TEXT)
    with pytest.raises(InputError, match="no folder"):
        write_card(tmp_path / "no" / "such" / "card.md", made[0], measured, TEXT)


def _with_crossed(measured, value, low, **more):
    crossed = Estimate(value, low, value + 0.05, 20, 100)
    return dataclasses.replace(
        measured, own=dataclasses.replace(measured.own, crossed=crossed), **more
    )


@pytest.mark.parametrize(
    ("value", "low", "advice"),
    [
        (0.55, 0.52, "Do not trust a prediction about one person."),
        (0.65, 0.49, "Do not trust a prediction about one person."),
        (0.65, 0.6, "is a weak hint, and often wrong."),
        (0.75, 0.7, "is a hint, and no more."),
    ],
)
def test_the_advice_follows_the_figures(measured, value, low, advice):
    said = verdict([_with_crossed(measured[1], value, low)])
    assert advice in said
    assert f"{100 * value:.0f} of 100" in said


def test_only_a_mean_over_the_others_is_not_counted_beside_them(measured):
    """One conversation is above the guess; a set of 16 rounds is not, and it is no mean."""
    one = _with_crossed(measured[1], 0.75, 0.7, n_rounds=1, n_ratings=100)
    several = _with_crossed(measured[1], 0.75, 0.45, n_rounds=16, n_ratings=500)
    said = verdict([one, several])
    assert "In 1 of 2 held-out data sets" in said
    assert "and in 1 it includes 0.5" in said
    assert "Do not trust a prediction about one person." in said
    also = _with_crossed(measured[1], 0.75, 0.7, n_rounds=1, n_ratings=400)
    mean = _with_crossed(measured[1], 0.75, 0.45, n_rounds=2, n_ratings=500)
    said = verdict([one, also, mean])
    assert "In 2 of 2 held-out data sets" in said
    assert "is a hint, and no more." in said
    assert "In 0 of 1 held-out data sets" in verdict([several])
    # Of two sets neither is a mean over the other, however many ratings they have.
    same = _with_crossed(measured[1], 0.6, 0.45, n_rounds=2, n_ratings=100)
    assert "In 1 of 2 held-out data sets" in verdict([one, same])


def test_a_data_set_without_an_interval_says_so_and_does_not_lift_the_advice(measured):
    few = _with_crossed(measured[1], 0.75, math.nan, n_rounds=1)
    said = verdict([few, _with_crossed(measured[1], 0.75, 0.7, n_rounds=2, n_ratings=10**6)])
    assert "In 1 of 2 held-out data sets" in said
    assert "in 0 it includes 0.5, and 1 has too few people for an interval" in said
    assert "Do not trust a prediction about one person." in said


def test_what_nobody_rated_says_nothing_about_people(measured):
    made_up = _with_crossed(measured[1], 0.99, 0.98, people="simulated")
    assert "Do not trust" in verdict([made_up])
    real = _with_crossed(measured[1], 0.55, 0.52)
    assert "0.550" in verdict([made_up, real])


def test_figures_are_written_with_their_interval():
    assert with_interval(Estimate(0.5812, 0.54, 0.62, 20, 100)) == "0.581 (0.540 to 0.620)"
    assert with_interval(Estimate(0.5812, math.nan, math.nan, 20, 100)) == "0.581"
    assert with_interval(Estimate(math.nan, math.nan, math.nan, 0, 0)) == "not measured"
    assert signed(Estimate(-0.01, -0.2, 0.1, 20, 100)) == "-0.010 (-0.200 to +0.100)"


def test_json_has_every_figure_and_no_nan(measured):
    got = json.loads(json.dumps(as_dict(measured[1]), allow_nan=False))
    assert got["own"]["crossed"]["value"] == measured[1].own.crossed.value
    assert got["own"]["correlation"]["value"] is None
    assert got["selection"]["picks"]["own"]["rawlsian"]["mean_wins"]["n_comparisons"] > 0
    assert len(got["reliability"]["bins"]) == len(measured[1].reliability.bins)


def test_the_picture_is_the_same_each_time_and_names_what_it_shows(measured):
    one = plot_measurement(measured[1])
    assert one == plot_measurement(measured[1])
    for words in ("own opinion", "another person's opinion", "how often they agree", "replayed"):
        assert words in one
