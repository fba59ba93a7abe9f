"""On whose ratings a trained reward model is calibrated: people that it has not learned from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from commonweal.datasets.agreements import agreements
from commonweal.datasets.dataset import Dataset
from commonweal.frames import pl
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.rewards.scoring import MAX_PEOPLE, SEED, fit_calibration, rated_rounds, rng_of
from commonweal.training.reward.data import RewardSplit
from commonweal.types import RewardModel

MIN_PEOPLE = 20
"""People who were not trained on that a calibration needs; with fewer it is fitted on all. Ours."""


@dataclass(frozen=True, slots=True, eq=False)
class Raters:
    """Who rated the questions kept back, and the rounds with the ratings to calibrate on.

    Attributes:
        n_people: who rated them and have an opinion.
        n_trained_on: of them, those whose other ratings the model has learned from.
        rounds: the datasets, cut to the ratings that are used.
    """

    n_people: int
    n_trained_on: int
    rounds: tuple[Dataset, ...]

    @property
    def are_new(self) -> bool:
        """Whether only people are used who were not trained on."""
        return self.n_people - self.n_trained_on >= MIN_PEOPLE

    @property
    def in_words(self) -> str:
        """Whose ratings they are."""
        n_new = self.n_people - self.n_trained_on
        if not self.n_trained_on:
            return f"{self.n_people} people, none of whom was trained on"
        if self.are_new:
            return (
                f"the {n_new} of {self.n_people} people who were not trained on with other "
                "questions"
            )
        return (
            f"{self.n_people} people, {self.n_trained_on} of whom were trained on with other "
            f"questions: the {n_new} others are fewer than {MIN_PEOPLE}"
        )


def raters_of(split: RewardSplit) -> Raters:
    """Who rated the questions kept back: those not trained on, or all where these are too few."""
    learned_from = split.training.rows
    new, n_people, n_new = [], 0, 0
    for number, dataset in enumerate(split.development.rounds):
        rows = learned_from.filter(pl.col("dataset") == number)
        trained_on = pl.concat([rows["participant_id"], rows["other_participant_id"]]).drop_nulls()
        rated = agreements(dataset).rows["participant_id"].unique()
        others = rated.filter(~rated.is_in(trained_on.implode()))
        n_people, n_new = n_people + len(rated), n_new + len(others)
        ratings = dataset.ratings.filter(pl.col("participant_id").is_in(others.implode()))
        new.append(replace(dataset, ratings=ratings))
    return Raters(
        n_people,
        n_people - n_new,
        tuple(new) if n_new >= MIN_PEOPLE else split.development.rounds,
    )


def calibrated_on(model: RewardModel, raters: Raters) -> LogisticCalibration:
    """The calibration to what these people said of questions that were not trained on.

    Each person of a round counts the same, however many statements they rated.

    Raises:
        ReverseRewardError: their ratings fall as the rewards rise.
        InputError: there are too few ratings, or all are the same.
    """
    rounds = [dataset for dataset in raters.rounds if not agreements(dataset).rows.is_empty()]
    rated = [
        one.of_raters(MAX_PEOPLE, rng_of(SEED, "people", one.round_id))
        for dataset in rounds
        for one in rated_rounds(dataset)
    ]
    units = sorted({dataset.about.scale.as_seven_points for dataset in rounds})
    return fit_calibration(
        model.rewards,
        [rated],
        fitted_to=f"ratings of questions that were kept back, by {raters.in_words} "
        f"({'; '.join(units)})",
        by_person=True,
    )
