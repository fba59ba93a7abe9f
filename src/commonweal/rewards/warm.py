"""Warm predictions: a conversation that has ratings already says more than any text.

Who rated alike so far will rate alike again, whatever they wrote. The reward model's expected
ratings (cold: from text alone) are where the prediction starts, and ratings are explained from
there: each statement's by Bayesian ridge regression on the others that go with it, round by round
(scikit-learn's ``IterativeImputer``, extra ``warm``; Buck 1960, MacKay 1992). Where a statement has
too few ratings nothing can be learned about it, and the cold prediction stays, moved by how far the
person's other ratings lie above or below theirs.

Measured, beside four other ways: ``benchmarks/reward_warm.py``, docs/LOG.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError
from commonweal.extras import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from commonweal.datasets.agreements import RoundMatrix
    from commonweal.datasets.schema import Scale
    from commonweal.types import FloatArray, RewardModel

MIN_RATINGS = 5
"""Ratings that a statement needs, and a person, to be learned from."""

N_NEIGHBOURS = 40
"""Statements that each statement is explained by, drawn by how well they go with it."""

N_TURNS = 4
"""Turns of the imputation. More moved nothing on the tuning conversations."""

_SHRINK = 5.0
"""Ratings of a person that weigh as much as the guess that they rate as the model expects."""


def warm_ratings(
    ratings: FloatArray, cold: FloatArray, scale: Scale, *, seed: int = 0
) -> FloatArray:
    """Expected ratings of everybody, float64 [n_people, n_statements], on ``scale``.

    What a person has rated is returned as it is.

    Args:
        ratings: what was rated so far, nan where there is none, [n_people, n_statements].
        cold: what the text model expects, of the same shape and on the same scale.
        scale: of the ratings.
        seed: the same seed, the same predictions.

    Raises:
        InputError: shapes differ, or ``cold`` is not finite.
        MissingExtraError: scikit-learn is not installed.
    """
    ratings, cold = np.asarray(ratings, np.float64), np.asarray(cold, np.float64)
    if ratings.shape != cold.shape or ratings.ndim != 2:
        raise InputError(
            f"ratings {ratings.shape} and cold predictions {cold.shape}: expected the same shape, "
            "people by statements"
        )
    if not np.isfinite(cold).all():
        raise InputError("cold predictions hold numbers that are not finite; expected finite ones")
    known = np.isfinite(ratings)
    residual = np.where(known, ratings - cold, np.nan)
    n_rated = known.sum(axis=1, keepdims=True)
    lean = np.nansum(residual, axis=1, keepdims=True) / (n_rated + _SHRINK)
    expected = cold + lean
    columns, rows = _enough(known)
    if len(columns) >= 2 and len(rows) >= 2:
        block = np.ix_(rows, columns)
        expected[block] = cold[block] + _imputed(residual[block], seed)
    result: FloatArray = np.where(known, ratings, expected.clip(scale.low, scale.high))
    return result


def warm_profile(
    model: RewardModel,
    matrix: RoundMatrix,
    scale: Scale,
    *,
    seed: int = 0,
    on_done: Callable[[int], None] | None = None,
) -> FloatArray:
    """Expected ratings on the dataset's scale of everybody in the round, [n_people, n_statements].

    People without an opinion start from the mean of what others are expected to say. Where nobody
    has one, everybody starts from the scale's neutral point, and ratings alone speak.

    Args:
        model: predicts from text, on the 7-point scale; brought to ``scale`` by the convention of
            ``Scale.seven_points``.
        matrix: the round, with the ratings so far.
        scale: of its ratings.
        seed: see ``warm_ratings``.
        on_done: called with the number of pairs of person and statement that the model scored.

    Raises:
        InputError: the round has neither an opinion nor a rating.
    """
    from commonweal.rewards import utility_profile
    from commonweal.types import RATING_NEUTRAL

    with_opinion = [row for row, text in enumerate(matrix.opinions) if text is not None]
    if not with_opinion:
        if not np.isfinite(matrix.agreement).any():
            raise InputError(
                f"round {matrix.round_id!r}: nobody has an opinion and nothing was rated, so that "
                "there is nothing to start from; expected opinions or ratings"
            )
        cold = np.full(matrix.agreement.shape, float(scale.neutral))
        return warm_ratings(matrix.agreement, cold, scale, seed=seed)
    texts = [matrix.opinions[row] or "" for row in with_opinion]
    points = utility_profile(model, matrix.question, texts, matrix.statements, on_done=on_done)
    # The way back from the convention by which the scale's ratings are read on seven points.
    low, high = scale.seven_points(np.array([scale.low, scale.high]))
    own = scale.neutral + (points - RATING_NEUTRAL) * (scale.high - scale.low) / (high - low)
    cold = np.tile(own.mean(axis=0), (len(matrix.opinions), 1))
    cold[with_opinion] = own
    return warm_ratings(matrix.agreement, cold.clip(scale.low, scale.high), scale, seed=seed)


def _enough(known: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Statements and people with ``MIN_RATINGS`` ratings each, of each other."""
    columns, rows = np.arange(known.shape[1]), np.arange(known.shape[0])
    while True:
        kept = columns[known[np.ix_(rows, columns)].sum(axis=0) >= MIN_RATINGS]
        left = rows[known[np.ix_(rows, kept)].sum(axis=1) >= MIN_RATINGS]
        if len(kept) == len(columns) and len(left) == len(rows):
            return kept, left
        columns, rows = kept, left


def _imputed(residual: FloatArray, seed: int) -> FloatArray:
    with needs("warm", "a prediction that learns from ratings"):
        from sklearn.experimental import enable_iterative_imputer  # noqa: F401
        from sklearn.impute import IterativeImputer
        from sklearn.linear_model import BayesianRidge
    import warnings

    imputer = IterativeImputer(
        BayesianRidge(),
        max_iter=N_TURNS,
        n_nearest_features=min(N_NEIGHBOURS, residual.shape[1] - 1),
        random_state=seed,
        keep_empty_features=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it did not settle: N_TURNS is meant
        filled: FloatArray = imputer.fit_transform(residual)
    return filled
