"""What any reward model has to beat: the same for everybody, the statement alone, the cosine.

Each is a ``RewardModel``, so that it is measured as a model is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError
from commonweal.files import sha256_of
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.rewards.scoring import RatedRound, fit_calibration
from commonweal.types import Calibration, RewardInput, RewardModel

if TYPE_CHECKING:
    from commonweal.models.encoder import SentenceEncoder
    from commonweal.types import FloatArray

RIDGE = 3.0
MIN_RATINGS = 5
"""Ratings that a statement needs for its mean to be learned from."""


def baselines_for(encoder_folder: Path, fitted_on: Sequence[RatedRound]) -> list[RewardModel]:
    """Every baseline of this module, fitted on these rounds.

    Args:
        encoder_folder: holds all-MiniLM-L6-v2.
        fitted_on: rounds of other questions than they will be measured on.

    Raises:
        InputError: the rounds hold no statement with enough ratings.
    """
    return [
        ConstantRewardModel(),
        StatementOnlyRewardModel(encoder_folder, fitted_on),
        CosineRewardModel(encoder_folder, fitted_on),
    ]


class ConstantRewardModel:
    """The same reward for everything: what a figure is where nothing is known."""

    name = "constant"
    weights_hash = hashlib.sha256(b"constant").hexdigest()
    calibration: Calibration = LogisticCalibration(1.0, 0.0, "nothing: it is always 4")

    def rewards(
        self, inputs: Sequence[RewardInput], *, on_done: Callable[[int], None] | None = None
    ) -> FloatArray:
        """Zeros, float64 [n_inputs]."""
        if on_done is not None:
            on_done(len(inputs))
        return np.zeros(len(inputs))


class CosineRewardModel:
    """The cosine of opinion and statement in the frozen encoder.

    Args:
        encoder_folder: holds all-MiniLM-L6-v2.
        fitted_on: rounds that its calibration is fitted on; none leaves it uncalibrated.
    """

    name = "cosine of opinion and statement"

    def __init__(self, encoder_folder: Path, fitted_on: Sequence[RatedRound] = ()) -> None:
        self._encoder = _load(encoder_folder)
        self.weights_hash = _hash(encoder_folder, b"cosine")
        self.calibration = _calibrate(self, fitted_on)

    def rewards(
        self, inputs: Sequence[RewardInput], *, on_done: Callable[[int], None] | None = None
    ) -> FloatArray:
        """The cosines, float64 [n_inputs]."""
        opinions = _vectors(self._encoder, [given.opinion for given in inputs])
        statements = _vectors(self._encoder, [given.statement for given in inputs])
        if on_done is not None:
            on_done(len(inputs))
        cosines: FloatArray = (opinions * statements).sum(axis=1)
        return cosines


class StatementOnlyRewardModel:
    """How welcome a statement is to anybody, learned from other rounds: no opinion is read.

    Ridge regression of a statement's mean answer, less its round's mean, on its frozen vector.

    Args:
        encoder_folder: holds all-MiniLM-L6-v2.
        fitted_on: rounds of other questions than it will be measured on.

    Raises:
        InputError: they hold no statement with enough ratings.
    """

    name = "statement only"

    def __init__(self, encoder_folder: Path, fitted_on: Sequence[RatedRound]) -> None:
        self._encoder = _load(encoder_folder)
        self._weights = fit_welcome(fitted_on, self._encoder)
        self.weights_hash = _hash(encoder_folder, self._weights.tobytes())
        self.calibration = _calibrate(self, fitted_on)

    def rewards(
        self, inputs: Sequence[RewardInput], *, on_done: Callable[[int], None] | None = None
    ) -> FloatArray:
        """One number a statement, float64 [n_inputs]."""
        scores = _vectors(self._encoder, [given.statement for given in inputs]) @ self._weights
        if on_done is not None:
            on_done(len(inputs))
        return scores


def fit_welcome(rounds: Sequence[RatedRound], encoder: SentenceEncoder) -> FloatArray:
    """What makes a statement welcome to anybody, as weights [384] on its embedding.

    Raises:
        InputError: no statement has ``MIN_RATINGS`` ratings.
    """
    features, targets = [], []
    for rated in rounds:
        counts = np.isfinite(rated.answers).sum(axis=0)
        known = counts >= MIN_RATINGS
        if not known.any():
            continue
        means = np.nansum(rated.answers[:, known], axis=0) / counts[known]
        features.append(encoder.encode(np.array(rated.statements)[known].tolist()))
        targets.append(means - means.mean())
    if not features:
        raise InputError(
            f"the statement-only baseline got {len(rounds)} rounds without a statement that "
            f"{MIN_RATINGS} people rated; expected training rounds in which many rated the same"
        )
    x, y = np.concatenate(features).astype(np.float64), np.concatenate(targets)
    weights: FloatArray = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
    return weights


def _calibrate(
    model: CosineRewardModel | StatementOnlyRewardModel, rounds: Sequence[RatedRound]
) -> LogisticCalibration:
    """Fitted on these rounds, each counting the same."""
    if not rounds:
        return LogisticCalibration(1.0, 0.0, "nothing")
    return fit_calibration(
        model.rewards,
        [[rated] for rated in rounds],
        fitted_to=f"training rounds ({rounds[0].scale.as_seven_points})",
    )


def _vectors(encoder: SentenceEncoder, texts: list[str]) -> FloatArray:
    unique = list(dict.fromkeys(texts))
    place = {text: row for row, text in enumerate(unique)}
    vectors = encoder.encode(unique).astype(np.float64)
    return vectors[[place[text] for text in texts]]


def _load(folder: Path) -> SentenceEncoder:
    # Imported here: importing this module must not load the encoder's runtime.
    from commonweal.models.encoder import SentenceEncoder

    return SentenceEncoder(folder)


def _hash(folder: Path, more: bytes) -> str:
    digest = hashlib.sha256(sha256_of(folder / "model.safetensors").encode())
    digest.update(more)
    return digest.hexdigest()
