"""The map from a reward to an expected rating, so that utilities have a unit (docs/decisions/001).

A reward trained on comparisons is known only up to a shift and a scale, and the welfare functions
need positive inputs in one unit for everybody. A calibration gives both: expected agreement on the
7-point scale. It is monotone, so it never changes what one person is predicted to prefer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError
from commonweal.measures.logistic import logistic
from commonweal.types import RATING_MAX, RATING_MIN

if TYPE_CHECKING:
    from commonweal.types import FloatArray

_LOWEST = float(np.nextafter(RATING_MIN, RATING_MAX))
_HIGHEST = float(np.nextafter(RATING_MAX, RATING_MIN))
_SPAN = RATING_MAX - RATING_MIN


class ReverseRewardError(InputError):
    """A reward model whose rewards rise where people's ratings fall: it must not choose."""


@dataclass(frozen=True, slots=True)
class LogisticCalibration:
    """Expected rating = 1 + 6 · sigmoid(slope · reward + intercept).

    Attributes:
        slope: above 0, so that a higher reward is a higher expected rating.
        intercept: the reward 0 is expected to be rated 1 + 6 · sigmoid(intercept).
        fitted_to: in words, what the ratings were that it was fitted to.
    """

    slope: float
    intercept: float
    fitted_to: str

    def __post_init__(self) -> None:
        if not 0 < self.slope < np.inf or not np.isfinite(self.intercept):
            raise InputError(
                f"LogisticCalibration has slope {self.slope} and intercept {self.intercept}: "
                "expected a finite slope above 0 and a finite intercept; fit it again"
            )

    def expected_rating(self, rewards: FloatArray) -> FloatArray:
        """Expected agreement on the 7-point scale, strictly between 1 and 7, of the same shape.

        Raises:
            InputError: a reward is not finite.
        """
        rewards = np.asarray(rewards, dtype=np.float64)
        if not np.isfinite(rewards).all():
            raise InputError(
                f"{int((~np.isfinite(rewards)).sum())} of {rewards.size} rewards are not finite; "
                "expected finite numbers only: the reward model or its weights are broken"
            )
        with np.errstate(over="ignore"):  # slope · 1e308 may be infinite: the clip below is for it
            logits = self.slope * rewards + self.intercept
        # tanh does not overflow, and far out the rating rounds to 1 or 7 exactly: both are outside
        # the open interval that the welfare functions are promised.
        rating = RATING_MIN + _SPAN * (0.5 + 0.5 * np.tanh(0.5 * logits))
        clipped: FloatArray = np.clip(rating, _LOWEST, _HIGHEST)
        return clipped


def fit_logistic_calibration(
    rewards: FloatArray,
    ratings: FloatArray,
    *,
    fitted_to: str,
    weights: FloatArray | None = None,
) -> LogisticCalibration:
    """The logistic calibration whose expected ratings come closest to these ratings.

    Fractional logistic regression (Papke & Wooldridge 1996) of (rating - 1) / 6 on the reward
    (``measures.logistic``): its mean is right whatever the spread of the ratings.

    Args:
        rewards: raw rewards, [n].
        ratings: agreement from 1 to 7, not necessarily whole, [n].
        fitted_to: in words, what the ratings are.
        weights: how much each of them counts, [n]; None counts all the same.

    Raises:
        InputError: fewer than two different rewards or ratings, or ratings that fall as rewards
            rise.
    """
    rewards, ratings = np.asarray(rewards, np.float64), np.asarray(ratings, np.float64)
    weights = np.ones_like(rewards) if weights is None else np.asarray(weights, np.float64)
    if not rewards.shape == ratings.shape == weights.shape or rewards.ndim != 1:
        raise InputError(
            f"calibration got rewards {rewards.shape}, ratings {ratings.shape} and weights "
            f"{weights.shape}: expected one dimension and equal lengths"
        )
    if np.unique(rewards).size < 2 or np.unique(ratings).size < 2:
        raise InputError(
            f"calibration got {np.unique(rewards).size} different rewards and "
            f"{np.unique(ratings).size} different ratings: expected at least 2 of each"
        )
    if ratings.min() < RATING_MIN or ratings.max() > RATING_MAX:
        raise InputError(
            f"calibration got ratings from {ratings.min():g} to {ratings.max():g}: expected "
            f"{RATING_MIN} to {RATING_MAX}"
        )
    # A ridge this small moves nothing, and keeps the slope finite where the rewards separate
    # ratings of 1 from ratings of 7 without a fault.
    fit = logistic(rewards, (ratings - RATING_MIN) / _SPAN, weights=weights, ridge=1e-6)
    if fit is None:
        raise InputError(
            f"calibration found no finite slope for {rewards.size} rewards from {rewards.min():g} "
            f"to {rewards.max():g}: expected rewards that differ by more than rounding"
        )
    intercept, slope = fit
    if slope <= 0:
        raise ReverseRewardError(
            f"calibration found slope {slope:.3g}: these ratings fall as the rewards rise, so the "
            "reward model predicts the reverse of agreement here; train it again before fitting"
        )
    return LogisticCalibration(slope, intercept, fitted_to)
