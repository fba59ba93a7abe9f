"""Many opinions, kept on disk: memory does not grow with what people wrote."""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import IO, overload

import numpy as np

from commonweal.errors import InputError
from commonweal.groups import same_words
from commonweal.types import Opinion


class OpinionStore(Sequence[Opinion]):
    """Opinions in a temporary file, read back one by one; 24 bytes of memory for each.

    It is read like a tuple of ``Opinion``. The file is nameless, and gone with the store.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="opinions-")  # noqa: SIM115
        self._starts = array("Q")
        self._ids = array("Q")
        self._texts = array("Q")
        self._end = 0

    def add(self, opinion: Opinion) -> None:
        """Keeps one more."""
        line = json.dumps([opinion.id, opinion.text]).encode() + b"\n"
        self._starts.append(self._end)
        self._ids.append(_digest(opinion.id))
        self._texts.append(_digest(same_words(opinion.text)))
        self._file.write(line)
        self._end += len(line)

    def check_ids(self) -> None:
        """Raises where somebody appears twice.

        Raises:
            InputError: an id stands more than once; the message names it.
        """
        ids = np.frombuffer(self._ids, np.uint64) if self._ids else np.empty(0, np.uint64)
        order = np.argsort(ids, kind="stable")
        again = np.flatnonzero(ids[order][1:] == ids[order][:-1])
        if len(again):
            first, second = (int(row) for row in order[again[0] : again[0] + 2])
            more = f", and {len(again) - 1:,} ids more" if len(again) > 1 else ""
            raise InputError(
                f"participant id {self[first].id!r} appears more than once (opinions "
                f"{first + 1:,} and {second + 1:,}{more}); expected one opinion a participant, "
                "each with an id of its own"
            )

    @property
    def n_alike(self) -> int:
        """How many wrote the same words as somebody else."""
        _, counts = np.unique(np.frombuffer(self._texts, np.uint64), return_counts=True)
        return int(counts[counts > 1].sum())

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> Opinion: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Opinion]: ...
    def __getitem__(self, index: int | slice) -> Opinion | Sequence[Opinion]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        self._file.seek(self._starts[index])  # an index that is not there raises IndexError
        name, text = json.loads(self._file.readline())
        self._file.seek(0, 2)
        return Opinion(name, text)

    def __iter__(self) -> Iterator[Opinion]:
        return (self[i] for i in range(len(self)))


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
