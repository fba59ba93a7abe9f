"""Semantic near-duplicates: cosines between sentence vectors, by matrix products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray32 = NDArray[np.float32]
    Encode = Callable[[Sequence[str]], FloatArray32]
    """Texts to unit vectors, float32 [n_texts, n_dimensions]: ``SentenceEncoder.encode``."""

NEAR_DUPLICATE = 0.92
"""Two questions whose vectors have this cosine are one. Read on real debate questions: of 25 pairs
from 0.92 to 0.94, 21 ask the same and 4 the same of a wider or narrower matter
(docs/decisions/010-questions.md)."""

_BLOCK_ROWS = 2048


class SimilarPair(NamedTuple):
    """Two rows and the cosine between them."""

    cosine: float
    first: int
    second: int


class Neighbour(NamedTuple):
    """The row that is most like a vector, and the cosine with it."""

    row: int
    cosine: float


class SimilarityIndex:
    """Vectors that others are compared with, in memory that grows as they are added."""

    def __init__(self, n_dimensions: int) -> None:
        self._vectors = np.zeros((256, n_dimensions), dtype=np.float32)
        self._n = 0

    def add(self, vector: FloatArray32) -> None:
        """Adds a unit vector as the next row."""
        if self._n == len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
        self._vectors[self._n] = vector
        self._n += 1

    def nearest(self, vectors: FloatArray32) -> list[Neighbour]:
        """The row most like each of ``vectors`` and the cosine with it; some row must be there."""
        cosines = vectors @ self._vectors[: self._n].T
        rows = cosines.argmax(axis=1)
        return [Neighbour(int(row), float(cosines[i, row])) for i, row in enumerate(rows)]


def near_pairs(vectors: FloatArray32, threshold: float) -> list[SimilarPair]:
    """Every pair of rows with at least this cosine, the nearest first; ties by row.

    Memory is that of one block of rows against all, whatever the number of rows.
    """
    pairs: list[SimilarPair] = []
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = vectors[start : start + _BLOCK_ROWS]
        cosines = block @ vectors[start:].T
        rows, columns = np.nonzero(cosines >= threshold)
        pairs += [
            SimilarPair(float(cosines[row, column]), start + int(row), start + int(column))
            for row, column in zip(rows, columns, strict=True)
            if column > row
        ]
    return sorted(pairs, key=lambda pair: (-pair.cosine, pair.first, pair.second))


def nearest_across(ours: FloatArray32, theirs: FloatArray32) -> list[SimilarPair]:
    """Each row of ``ours`` with the row of ``theirs`` that is most like it, the nearest first."""
    if not len(ours) or not len(theirs):
        return []
    pairs: list[SimilarPair] = []
    for start in range(0, len(ours), _BLOCK_ROWS):
        cosines = ours[start : start + _BLOCK_ROWS] @ theirs.T
        best = cosines.argmax(axis=1)
        pairs += [
            SimilarPair(float(cosines[row, column]), start + row, int(column))
            for row, column in enumerate(best)
        ]
    return sorted(pairs, key=lambda pair: (-pair.cosine, pair.first, pair.second))
