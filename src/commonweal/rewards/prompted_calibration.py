"""How far to trust a language model's ratings: fitted to what people said, and stored.

A calibration belongs to one engine, one prompt and one way of asking, and is found again by the
hash of the three. It lies in the user's data folder as JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import InputError
from commonweal.files import data_folder, write_whole
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.rewards.ranges import around

if TYPE_CHECKING:
    from commonweal.types import FloatArray

SCHEMA_VERSION = 1

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
        interval: as of ``ranges.interval_of``.
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
        return around(expected, self.interval)


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
