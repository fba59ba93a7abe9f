"""Rewards kept on disk, so that the same pair is never scored twice by the same weights."""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import InputError
from commonweal.types import Calibration, GivesRanges, JudgesQuality, RewardInput, RewardModel

if TYPE_CHECKING:
    from commonweal.types import FloatArray

_AT_ONCE = 900  # below SQLite's limit of placeholders in one query on old builds

_BLOCK = 2000
"""Pairs that are scored before they are kept: some minutes of a slow model, many of its batches."""


class RewardStore:
    """Numbers in a file, by the hash of all that they depend on; no text is kept.

    Safe to share between threads and processes.

    Args:
        path: an SQLite file; made where it is missing.

    Raises:
        InputError: the file cannot be written or is something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._connected() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS rewards (pair BLOB PRIMARY KEY, reward REAL NOT NULL)"
                " WITHOUT ROWID"
            )

    def known(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        """The numbers of those keys that are there."""
        rewards: dict[bytes, float] = {}
        distinct = list(dict.fromkeys(keys))
        with self._connected() as connection:
            for start in range(0, len(distinct), _AT_ONCE):
                part = distinct[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                query = f"SELECT pair, reward FROM rewards WHERE pair IN ({marks})"  # noqa: S608
                rewards.update(connection.execute(query, part))
        return rewards

    def keep(self, new: Mapping[bytes, float]) -> None:
        """Keeps these numbers; a missing one (nan) is not kept, so that it is asked for again."""
        rows = [(key, value) for key, value in new.items() if not math.isnan(value)]
        with self._connected() as connection:
            connection.executemany("INSERT OR REPLACE INTO rewards VALUES (?, ?)", rows)

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


def key_of(owner: str, texts: Sequence[str]) -> bytes:
    """The key of what ``owner`` (a weights hash, say) makes of these texts."""
    digest = hashlib.sha256(owner.encode())
    for text in texts:
        # The length first, so that moving words from one text to the next is another key.
        raw = text.encode("utf-8", errors="surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.digest()


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
        self._model, self._store = model, RewardStore(path)
        # From Python 3.12 on a protocol asks what an object holds, and not ``__getattr__``.
        if isinstance(model, JudgesQuality):
            self.qualities = model.qualities
        if isinstance(model, GivesRanges):
            self.ranges = model.ranges

    def __getattr__(self, name: str) -> Any:
        """What else the model has beyond a reward model's own: notes, metadata."""
        if name.startswith("_"):  # also while it is unpickled, and has no model yet
            raise AttributeError(name)
        return getattr(self._model, name)

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
        """Returns the model's rewards, [n_inputs]; only those not on disk are computed.

        They are kept block by block: what broke off goes on where it was.
        """
        keys = [key_of(self._model.weights_hash, given) for given in inputs]
        known = self._store.known(keys)
        missing = {key: given for key, given in zip(keys, inputs, strict=True) if key not in known}
        asked = list(missing)
        # A model that tells its cost tells it of all that is asked, and keeps each answer itself.
        step = max(1, len(asked)) if hasattr(self._model, "cost") else _BLOCK
        for start in range(0, len(asked), step):
            block = asked[start : start + step]
            report = _after(on_done, len(inputs) - len(asked) + start)
            rewards = self._model.rewards([missing[key] for key in block], on_done=report)
            new = dict(zip(block, map(float, rewards), strict=True))
            self._store.keep(new)
            known |= new
        if on_done is not None:
            on_done(len(inputs))
        return np.array([known[key] for key in keys], dtype=np.float64)


def _after(on_done: Callable[[int], None] | None, n_before: int) -> Callable[[int], None] | None:
    return None if on_done is None else lambda n: on_done(n_before + n)
