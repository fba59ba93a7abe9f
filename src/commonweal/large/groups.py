"""Opinion groups: people whose opinions, or whose votes, lie together.

k-means of SciPy (Lloyd 1982, k-means++ of Arthur & Vassilvitskii 2007), with the number of groups
that the silhouette likes best, as Polis chooses it (Small et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.extras import needs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray, Opinion

    IntArray = NDArray[np.int64]

MOST_GROUPS = 5
"""Polis's limit, too: a room can keep five apart."""

MOST_READ = 10_000
"""Opinions that are embedded. Of more, a simple random sample of as many: the standard error of
any share is then below half a per cent, and time no longer grows."""

MOST_CHARACTERS = 2_000
"""Of one opinion, what is embedded: its topic and stand are told by its beginning."""

_BLOCK = 1_000
_N_DIMENSIONS = 16
_N_STARTS = 3
_MOST_FITTED = 2_000
MIN_VOTES = 7
"""Votes of a person whose place is learned from; others only get a group (Polis's rule)."""

Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]
"""Texts in, unit vectors out, [n_texts, n_dimensions]."""


@dataclass(frozen=True, slots=True, eq=False)
class OpinionGroups:
    """Whom the groups hold.

    Attributes:
        rows: who has a group, int64 [n_read], in order: everybody, or a simple random sample.
        labels: whose group is which, int64 [n_read], from 0, the largest first.
        places: float64 [n_read, 2], for a map: people near each other wrote or voted alike.
        central: for each group the places in ``rows`` of the people nearest to its middle.
        source: "opinions" or "votes": what tells them apart.
    """

    rows: IntArray
    labels: IntArray
    places: FloatArray
    central: tuple[tuple[int, ...], ...]
    source: str

    @property
    def sizes(self) -> IntArray:
        """People who were read, in each group."""
        return np.bincount(self.labels)

    def without(self, rows: Sequence[int]) -> OpinionGroups:
        """The same without these people; a group that loses everybody is gone."""
        kept = ~np.isin(self.rows, rows)
        _, labels = np.unique(self.labels[kept], return_inverse=True)
        return OpinionGroups(self.rows[kept], labels, self.places[kept], (), self.source)


def groups_from_opinions(
    people: Sequence[Opinion],
    embed: Embed,
    rng: np.random.Generator,
    *,
    on_done: Callable[[int, int], None] | None = None,
) -> OpinionGroups:
    """Groups by what people wrote.

    Args:
        people: everybody; read block by block.
        embed: see ``Embed``.
        rng: of all chance.
        on_done: called with (n_read, n_to_read).
    """
    n = len(people)
    rows = np.arange(n)
    if n > MOST_READ:
        rows = np.sort(rng.choice(n, MOST_READ, replace=False))
    blocks = []
    for start in range(0, len(rows), _BLOCK):
        texts = [people[int(row)].text[:MOST_CHARACTERS] for row in rows[start : start + _BLOCK]]
        blocks.append(np.asarray(embed(texts), np.float32))
        if on_done is not None:
            on_done(start + len(texts), len(rows))
    return _grouped(rows, np.concatenate(blocks), rng, "opinions")


def groups_from_votes(votes: FloatArray, rng: np.random.Generator) -> OpinionGroups:
    """Groups by how people voted, everybody in a row of ``votes``.

    As Polis does it: missing votes stand at the statement's mean, and who has voted little is
    drawn less to the middle than that alone would draw them.

    Args:
        votes: float64 [n_people, n_statements], nan where there is none.
        rng: of all chance.
    """
    known = np.isfinite(votes)
    n_each = known.sum(axis=0)
    means = np.where(known, votes, 0).sum(axis=0) / np.maximum(n_each, 1)
    centred = np.where(known, votes - means, 0.0)
    n_cast = known.sum(axis=1)
    centred *= np.sqrt(votes.shape[1] / np.maximum(n_cast, 1))[:, None]
    learned = n_cast >= min(MIN_VOTES, int(n_cast.max(initial=0)))
    return _grouped(np.arange(len(votes)), centred, rng, "votes", learned=learned)


def _grouped(
    rows: IntArray,
    vectors: NDArray[np.floating],
    rng: np.random.Generator,
    source: str,
    *,
    learned: NDArray[np.bool_] | None = None,
) -> OpinionGroups:
    with needs("data", "grouping many opinions"):
        from scipy.cluster.vq import kmeans2

    pool = np.arange(len(rows)) if learned is None else np.flatnonzero(learned)
    fitted = pool if len(pool) <= _MOST_FITTED else np.sort(rng.choice(pool, _MOST_FITTED, False))
    flat = _principal(vectors, fitted, 2 if source == "votes" else _N_DIMENSIONS)
    points = flat[fitted]
    n_different = len(np.unique(np.round(points, 6), axis=0))
    best_centres, best = points.mean(axis=0, keepdims=True), -np.inf
    for k in range(2, min(MOST_GROUPS, n_different, len(points) // 2) + 1):
        starts = [
            kmeans2(points, k, iter=30, minit="++", missing="warn", rng=rng)[0]
            for _ in range(_N_STARTS)
        ]
        centres = min(starts, key=lambda each: float(_distances(points, each).min(axis=1).sum()))
        if (silhouette := _silhouette(points, centres)) > best:
            best_centres, best = centres, silhouette
    raw = _distances(flat, best_centres).argmin(axis=1)
    labels, used = _by_size(raw)
    near = _distances(flat, best_centres[used])
    central = []
    for group in range(len(used)):
        here = np.flatnonzero(labels == group)
        nearest = here[np.argsort(near[here, group], kind="stable")[:3]]
        central.append(tuple(int(place) for place in nearest))
    return OpinionGroups(rows, labels, flat[:, :2], tuple(central), source)


def _principal(vectors: NDArray[np.floating], fitted: IntArray, n: int) -> FloatArray:
    """Principal components, float64 [n_rows, n], learned from the rows ``fitted``."""
    sample = np.asarray(vectors[fitted], np.float64)
    middle = sample.mean(axis=0)
    _, _, axes = np.linalg.svd(sample - middle, full_matrices=False)
    flat = np.zeros((len(vectors), max(2, n)))
    projected = (vectors - middle) @ axes[:n].T
    flat[:, : projected.shape[1]] = projected
    return flat


def _distances(points: FloatArray, centres: FloatArray) -> FloatArray:
    """Squared distances, float64 [n_points, n_centres]."""
    difference = points[:, None, :] - centres[None, :, :]
    squared: FloatArray = (difference**2).sum(axis=2)
    return squared


def _silhouette(points: FloatArray, centres: FloatArray) -> float:
    """The mean simplified silhouette, -1 to 1: by distances to centres (Hruschka et al. 2004)."""
    distances = np.sqrt(_distances(points, centres))
    if len(np.unique(distances.argmin(axis=1))) < len(centres):
        return -np.inf  # a centre that nobody is nearest to
    distances.sort(axis=1)
    own, other = distances[:, 0], distances[:, 1]
    return float(((other - own) / np.maximum(other, 1e-12)).mean())


def _by_size(raw: IntArray) -> tuple[IntArray, IntArray]:
    """The labels from 0, the largest first, and which of the raw ones each was."""
    names, first, counts = np.unique(raw, return_index=True, return_counts=True)
    order = names[np.lexsort((first, -counts))]
    renamed = np.zeros(int(names.max()) + 1, dtype=np.int64)
    renamed[order] = np.arange(len(order))
    return renamed[raw], order
