"""A calibration of a language model's ratings, fitted to what people said."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError
from commonweal.rewards.calibration import ReverseRewardError, fit_logistic_calibration
from commonweal.rewards.prompted_calibration import UNCALIBRATED, ReadingCalibration
from commonweal.rewards.ranges import interval_of
from commonweal.rewards.scoring import SEED, rated_rounds, rng_of
from commonweal.types import RewardInput, RewardModel

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset


def fit_reading(
    model: RewardModel,
    dataset: Dataset,
    *,
    max_people: int,
    on_done: Callable[[int, int], None] | None = None,
) -> ReadingCalibration:
    """The calibration of this model's ratings to the dataset's; quality stays as it is.

    Each rating counts the same; pairs that the model does not rate are left out.

    Args:
        model: rates from 1 to 7.
        dataset: rounds with ratings.
        max_people: people of one round; of more, as many are drawn.
        on_done: called with (n_pairs_rated, n_pairs).

    Raises:
        InputError: too few ratings, or ratings that fall as the model's rise.
    """
    inputs, answers = [], []
    rounds = rated_rounds(dataset)
    for round_ in rounds:
        rated = round_.of_raters(max_people, rng_of(SEED, "people", round_.round_id))
        rows, columns = np.nonzero(np.isfinite(rated.ratings))
        for row, column in zip(rows, columns, strict=True):
            given = RewardInput(rated.question, rated.opinions[row], rated.statements[column])
            inputs.append(given)
        answers.append(rated.scale.seven_points(rated.ratings[rows, columns]))
    report = None if on_done is None else lambda n: on_done(n, len(inputs))
    rewards = model.rewards(inputs, on_done=report)
    known = np.isfinite(rewards)
    rewards, ratings = rewards[known], np.concatenate(answers)[known]
    fitted_to = f"{len(ratings):,} ratings of {dataset.about.name} ({dataset.about.people})"
    try:
        fitted = fit_logistic_calibration(rewards, ratings, fitted_to=fitted_to)
    except ReverseRewardError as error:
        raise InputError(
            f"{model.name} rates the reverse of what people said in {dataset.about.name}, so it "
            "cannot be calibrated; use another engine"
        ) from error
    return ReadingCalibration(
        agreement=fitted,
        quality=UNCALIBRATED.quality,
        interval=interval_of(fitted.expected_rating(rewards), ratings),
        fitted_to=fitted_to,
        questions=tuple(dict.fromkeys(round_.question for round_ in rounds)),
    )
