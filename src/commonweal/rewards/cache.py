"""Rewards kept on disk, so that the same pair is never scored twice by the same weights."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError
from commonweal.types import Calibration, RewardInput, RewardModel

if TYPE_CHECKING:
    from commonweal.types import FloatArray

_AT_ONCE = 900  # below SQLite's limit of placeholders in one query on old builds


class CachedRewardModel:
    """A reward model that looks in a file before it scores.

    A row is the hash of weights, question, opinion and statement, and the reward: no text is kept.

    Args:
        model: what scores the pairs that are not there yet.
        path: an SQLite file; made where it is missing.

    Raises:
        InputError: the file cannot be written or is something else.
    """

    def __init__(self, model: RewardModel, path: Path) -> None:
        self._model, self._path = model, path
        with self._connected() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS rewards (pair BLOB PRIMARY KEY, reward REAL NOT NULL)"
                " WITHOUT ROWID"
            )

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def weights_hash(self) -> str:
        """The model's weights hash."""
        return self._model.weights_hash

    @property
    def calibration(self) -> Calibration:
        """The model's calibration."""
        return self._model.calibration

    def rewards(
        self,
        inputs: Sequence[RewardInput],
        *,
        on_done: Callable[[int], None] | None = None,
    ) -> FloatArray:
        """Returns the model's rewards, [n_inputs]; only those not on disk are computed."""
        keys = [self._key(given) for given in inputs]
        with self._connected() as connection:
            known: dict[bytes, float] = {}
            distinct = list(dict.fromkeys(keys))
            for start in range(0, len(distinct), _AT_ONCE):
                part = distinct[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                query = f"SELECT pair, reward FROM rewards WHERE pair IN ({marks})"  # noqa: S608
                known.update(connection.execute(query, part))
            missing = {
                key: given for key, given in zip(keys, inputs, strict=True) if key not in known
            }
            n_there = len(inputs) - len(missing)
            if missing:
                report = None if on_done is None else lambda n: on_done(n_there + n)
                found = self._model.rewards(list(missing.values()), on_done=report)
                new = dict(zip(missing, map(float, found), strict=True))
                connection.executemany("INSERT OR REPLACE INTO rewards VALUES (?, ?)", new.items())
                known |= new
        if on_done is not None:
            on_done(len(inputs))
        return np.array([known[key] for key in keys], dtype=np.float64)

    def _key(self, given: RewardInput) -> bytes:
        digest = hashlib.sha256(self._model.weights_hash.encode())
        for text in given:
            # The length first, so that moving words from one text to the next is another pair.
            raw = text.encode("utf-8", errors="surrogatepass")
            digest.update(len(raw).to_bytes(8, "big") + raw)
        return digest.digest()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """The open file, committed and closed at the end."""
        try:
            with closing(sqlite3.connect(self._path, timeout=60)) as connection, connection:
                yield connection
        except sqlite3.Error as error:
            raise InputError(
                f"cannot use the reward cache {self._path}: {error}; expected a file that "
                "commonweal made, in a folder that may be written to: give another path, or "
                "delete it"
            ) from error
