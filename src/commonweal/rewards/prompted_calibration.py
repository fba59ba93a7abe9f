"""How far to trust a language model's ratings: fitted to what people said, and stored.

A calibration belongs to one engine, one prompt and one way of asking, and is found again by the
hash of the three. It lies in the user's data folder as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import InputError
from commonweal.files import data_folder, write_whole
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.types import RATING_MAX, RATING_MIN

if TYPE_CHECKING:
    from commonweal.types import FloatArray

SCHEMA_VERSION = 1

SHARE = 0.5
"""Of the ratings, between the two ends of a range (``GivesRanges``)."""

MIN_IN_BIN = 40
"""Ratings for one bin of a range."""

MAX_BINS = 7

UNFITTED_POINTS = 2.0
"""To each side of an expected rating where nothing was fitted: a prediction of 6 may then mean
agreement and one of 5 means nothing yet. Our choice."""

# At 4 it is 4, with slope 1; at the ends 6.3 and 1.7: nobody is certain of another's view.
_CAUTIOUS = LogisticCalibration(
    2 / 3, -8 / 3, "nothing: what the engine said, a little nearer to 4"
)


@dataclass(frozen=True, slots=True)
class ReadingCalibration:
    """From an engine's ratings to expected ratings, and how wide people are around these.

    Attributes:
        agreement: from its ratings of agreement.
        quality: from its ratings of quality.
        interval: for each bin: expected rating, how far below and above it ratings lay (``SHARE``
            of them), [n_bins][3].
        fitted_to: in words.
        questions: those that it was fitted to.
    """

    agreement: LogisticCalibration
    quality: LogisticCalibration
    interval: tuple[tuple[float, float, float], ...]
    fitted_to: str
    questions: tuple[str, ...] = field(default=())

    def ranges(self, expected: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Low and high for expected ratings, each of their shape, from 1 to 7."""
        middle, below, above = np.array(self.interval).T
        low = expected - np.interp(expected, middle, below)
        high = expected + np.interp(expected, middle, above)
        return np.clip(low, RATING_MIN, RATING_MAX), np.clip(high, RATING_MIN, RATING_MAX)


UNCALIBRATED = ReadingCalibration(
    _CAUTIOUS, _CAUTIOUS, ((4.0, UNFITTED_POINTS, UNFITTED_POINTS),), "nothing"
)
"""What holds where nothing was fitted."""


def calibrations_folder() -> Path:
    """Where all calibrations lie, or would."""
    return data_folder() / "calibrations"


def calibration_path(weights_hash: str) -> Path:
    """Where the calibration of this engine, prompt and way of asking lies, or would."""
    return calibrations_folder() / f"{weights_hash[:32]}.json"


def read_calibration(path: Path) -> ReadingCalibration | None:
    """The stored calibration; None where there is none.

    Raises:
        InputError: the file is not one.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields["schema"] != SCHEMA_VERSION:
            raise ValueError(f"its schema is {fields['schema']!r}, not {SCHEMA_VERSION}")
        interval = tuple((float(a), float(b), float(c)) for a, b, c in fields["interval"])
        if not interval or not np.isfinite(interval).all():
            raise ValueError("its interval holds no numbers")
        return ReadingCalibration(
            LogisticCalibration(**fields["agreement"]),
            LogisticCalibration(**fields["quality"]),
            interval,
            str(fields["fitted_to"]),
            tuple(map(str, fields["questions"])),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a calibration ({error}); expected what `commonweal reward calibrate` "
            "wrote: run it again, or delete the file"
        ) from error


def write_calibration(path: Path, calibration: ReadingCalibration, about: dict[str, Any]) -> None:
    """Writes it as JSON, with what else should be known of it.

    Raises:
        InputError: the file cannot be written.
    """
    fields = {
        "schema": SCHEMA_VERSION,
        **about,
        "agreement": _plain(calibration.agreement),
        "quality": _plain(calibration.quality),
        "interval": calibration.interval,
        "fitted_to": calibration.fitted_to,
        "questions": calibration.questions,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make {path.parent} ({error}); set COMMONWEAL_DATA to a folder that you may "
            "write to"
        ) from error
    write_whole(path, json.dumps(fields, ensure_ascii=False, indent=2) + "\n")


def _plain(one: LogisticCalibration) -> dict[str, Any]:
    return {"slope": one.slope, "intercept": one.intercept, "fitted_to": one.fitted_to}


def interval_of(
    expected: Sequence[float] | FloatArray, ratings: Sequence[float] | FloatArray
) -> tuple[tuple[float, float, float], ...]:
    """How far below and above expected ratings the middle ``SHARE`` of ratings lay, by bins.

    Bins hold equally many ratings, at least ``MIN_IN_BIN`` each where there are as many.

    Args:
        expected: calibrated, [n].
        ratings: on the 7-point scale, [n].
    """
    expected, ratings = np.asarray(expected, np.float64), np.asarray(ratings, np.float64)
    n_bins = max(1, min(MAX_BINS, expected.size // MIN_IN_BIN))
    intervals = []
    for part in np.array_split(np.argsort(expected, kind="stable"), n_bins):
        low, high = np.quantile(ratings[part] - expected[part], [(1 - SHARE) / 2, (1 + SHARE) / 2])
        intervals.append(
            (float(expected[part].mean()), max(0.0, -float(low)), max(0.0, float(high)))
        )
    return tuple(intervals)
