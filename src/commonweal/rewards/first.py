"""The first opinion-conditional reward model: fine-tuned sentence vectors and a small head.

An opinion and a statement each become one vector of 384 numbers. The reward of a statement for a
person is how well the two vectors fit (their cosine and a learned low-rank product, which depend on
the opinion) plus how welcome the statement is to most people (which does not). So each text is
embedded once, however many pairs it is part of. The question is not read: all the statements of a
round share it, and reading it with each text made held-out accuracy worse, because then all texts
of a round are alike.

What it was fitted to and how good it is: ``first_card.md``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import CommonwealError, WeightsError
from commonweal.files import sha256_of
from commonweal.models.fitted import fitted_arrays
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.types import RewardInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

    FloatArray32 = NDArray[np.float32]

ENCODER_WEIGHTS = "all-minilm-l6-v2"
"""The packaged weights that opinions and statements are read with."""

HEAD_PATH = Path(__file__).with_name("first.npz")
SCHEMA_VERSION = 1
ENCODER_FILES = ("model.safetensors", "tokenizer.json")
_DOWN, _UP = "encoder.down/", "encoder.up/"
_BLOCK = 4096


@dataclass(frozen=True)
class Head:
    """Everything that was fitted, as it is stored beside this module.

    Attributes:
        opinion_projection: float64 [384, rank].
        statement_projection: float64 [384, rank].
        welcome: float64 [384], what makes a statement welcome to anybody.
        similarity: how much the cosine of the two vectors counts.
        encoder_updates: what fine-tuning adds to the encoder's weights: name to a pair
            (up [n_out, rank], down [rank, n_in]) whose product is added (Hu et al. 2021).
        calibration: from rewards to expected ratings.
        metadata: how it was made; ``encoder_sha256`` names the encoder files that it belongs to.
    """

    opinion_projection: FloatArray
    statement_projection: FloatArray
    welcome: FloatArray
    similarity: float
    encoder_updates: Mapping[str, tuple[FloatArray32, FloatArray32]]
    calibration: LogisticCalibration
    metadata: Mapping[str, Any]

    def save(self, path: Path) -> None:
        """Writes the head; fitted arrays as float16, which moves no reward that matters."""
        arrays: dict[str, Any] = {
            "schema_version": np.array(SCHEMA_VERSION),
            "metadata": np.array(json.dumps(dict(self.metadata), ensure_ascii=False)),
            "calibration": np.array([self.calibration.slope, self.calibration.intercept]),
            "calibration_fitted_to": np.array(self.calibration.fitted_to),
            "similarity": np.array(self.similarity),
            "opinion_projection": self.opinion_projection.astype(np.float16),
            "statement_projection": self.statement_projection.astype(np.float16),
            "welcome": self.welcome.astype(np.float16),
        }
        for name, (up, down) in self.encoder_updates.items():
            arrays[_UP + name] = up.astype(np.float16)
            arrays[_DOWN + name] = down.astype(np.float16)
        np.savez_compressed(path, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path = HEAD_PATH) -> Head:
        """The head in this file, every part of it checked.

        Raises:
            WeightsError: the file is missing, truncated, changed, or of another schema.
        """
        with fitted_arrays(
            path,
            what="reward head",
            schema=SCHEMA_VERSION,
            recipe="recipes/first_reward/train.py",
        ) as arrays:
            return cls._from_arrays(arrays)

    @classmethod
    def _from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Head:
        opinion = arrays["opinion_projection"].astype(np.float64)
        statement = arrays["statement_projection"].astype(np.float64)
        welcome = arrays["welcome"].astype(np.float64)
        if (
            opinion.ndim != 2
            or statement.shape != opinion.shape
            or welcome.shape != opinion.shape[:1]
        ):
            raise ValueError(
                f"projections {opinion.shape} and {statement.shape} and welcome {welcome.shape} "
                "do not fit together"
            )
        slope, intercept = (float(value) for value in arrays["calibration"])
        metadata = json.loads(str(arrays["metadata"]))
        if set(metadata["encoder_sha256"]) != set(ENCODER_FILES):
            raise ValueError(f"it does not name the sha256 of {' and '.join(ENCODER_FILES)}")
        return cls(
            opinion_projection=opinion,
            statement_projection=statement,
            welcome=welcome,
            similarity=float(arrays["similarity"]),
            encoder_updates={
                name.removeprefix(_UP): (
                    array.astype(np.float32),
                    arrays[_DOWN + name.removeprefix(_UP)].astype(np.float32),
                )
                for name, array in arrays.items()
                if name.startswith(_UP)
            },
            calibration=LogisticCalibration(slope, intercept, str(arrays["calibration_fitted_to"])),
            metadata=metadata,
        )

    def updates(self) -> dict[str, FloatArray32]:
        """What is added to the encoder's weights, by tensor name."""
        return {name: up @ down for name, (up, down) in self.encoder_updates.items()}

    def score(self, opinions: FloatArray, statements: FloatArray) -> FloatArray:
        """Rewards of row i of ``statements`` for row i of ``opinions`` ([n, 384] both): [n]."""
        learned = (opinions @ self.opinion_projection) * (statements @ self.statement_projection)
        cosine = (opinions * statements).sum(axis=1)
        rewards: FloatArray = (
            self.similarity * cosine + learned.sum(axis=1) + statements @ self.welcome
        )
        return rewards


class FirstRewardModel:
    """Predicts from a person's own opinion how far they would agree with a statement.

    Safe to share between threads.

    Args:
        encoder_folder: holds all-MiniLM-L6-v2 (``model.safetensors``, ``tokenizer.json``).
        head_path: the fitted head.

    Raises:
        WeightsError: the head or the encoder is missing, damaged, or the two do not belong
            together.
    """

    name = "first"

    def __init__(self, encoder_folder: Path, *, head_path: Path = HEAD_PATH) -> None:
        # Imported here: importing commonweal must not load the encoder's runtime.
        from commonweal.models.encoder import SentenceEncoder

        self._head = Head.load(head_path)
        expected = self._head.metadata["encoder_sha256"]
        for file_name in ENCODER_FILES:
            got = _sha256(encoder_folder / file_name)
            if got != expected[file_name]:
                raise WeightsError(
                    f"{encoder_folder / file_name} has sha256 {got}, and this reward head was "
                    f"fitted to {expected[file_name]}; run `commonweal models verify`, then "
                    "`commonweal models pull all-minilm-l6-v2`"
                )
        digest = hashlib.sha256(_sha256(head_path).encode())
        for file_name in ENCODER_FILES:
            digest.update(expected[file_name].encode())
        self._weights_hash = digest.hexdigest()
        self._encoder = SentenceEncoder(
            encoder_folder,
            updates=self._head.updates(),
        )

    @classmethod
    def from_spec(cls, *, encoder_folder: Path | None = None) -> FirstRewardModel:
        """The model with the encoder in this folder; by default the weights store's.

        Raises:
            WeightsError: the encoder's weights are missing or damaged.
        """
        if encoder_folder is None:
            from commonweal.models import store

            encoder_folder = store.require(ENCODER_WEIGHTS)
        return cls(encoder_folder)

    @property
    def weights_hash(self) -> str:
        """The sha256, in hex, over the hashes of the head and of the encoder's files."""
        return self._weights_hash

    @property
    def calibration(self) -> LogisticCalibration:
        """The map to expected ratings that was fitted with the head."""
        return self._head.calibration

    @property
    def metadata(self) -> Mapping[str, Any]:
        """How the head was made: data, seed, settings."""
        return self._head.metadata

    def rewards(
        self, inputs: Sequence[RewardInput], *, on_done: Callable[[int], None] | None = None
    ) -> FloatArray:
        """Raw rewards, float64 [n_inputs], higher is more agreement; no unit of their own.

        Deterministic, and the same for an input whatever else is in the batch (to rounding).
        ``on_done`` is called with the number of inputs scored: as texts are embedded, their share
        of the inputs, and at the end all.

        Raises:
            CommonwealError: a reward came out that is not a finite number.
        """
        if not inputs:
            return np.zeros(0)
        unique = list(
            dict.fromkeys(text for one in inputs for text in (one.opinion, one.statement))
        )
        row = {text: index for index, text in enumerate(unique)}

        def on_embedded(n_windows: int) -> None:
            # A long text is several windows, so the count may pass the number of texts.
            if on_done is not None:
                on_done(len(inputs) * min(n_windows, len(unique) - 1) // len(unique))

        vectors = self._encoder.encode(unique, on_done=on_embedded).astype(np.float64)
        rewards = np.zeros(len(inputs))
        for start in range(0, len(inputs), _BLOCK):  # or memory would grow with the pairs
            block = inputs[start : start + _BLOCK]
            rewards[start : start + _BLOCK] = self._head.score(
                vectors[[row[one.opinion] for one in block]],
                vectors[[row[one.statement] for one in block]],
            )
        if not np.isfinite(rewards).all():
            raise CommonwealError(
                f"{int((~np.isfinite(rewards)).sum())} of {len(inputs)} rewards are not finite; "
                "expected finite numbers only: run `commonweal models verify`"
            )
        if on_done is not None:
            on_done(len(inputs))
        return rewards


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise WeightsError(
            f"cannot read {path} ({error.strerror}); run `commonweal models pull all-minilm-l6-v2`"
        ) from error
