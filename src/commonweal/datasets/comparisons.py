"""Comparisons from ratings, as frames of bounded size.

Three kinds, of others' statements alone:

- *within-person pairs*: one person rated ``chosen_id`` above ``rejected_id`` (paper 3.4 step 3);
- *same-statement pairs*: ``agreed_id`` agreed with a statement and ``disagreed_id`` disagreed;
- *crossed quadruples*: ``person_a`` agreed with ``candidate_1`` and disagreed with ``candidate_2``,
  and ``person_b`` the reverse. Liked statements and lenient people cancel out.

People agree above the scale's neutral point and disagree below it; neutral is neither. Pairs are
numbered and worked out from their number, so that memory does not grow with how many there are, and
nothing that is tied is ever built.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.datasets.agreements import agreements, matrices
from commonweal.datasets.dataset import Dataset
from commonweal.errors import InputError
from commonweal.frames import pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

    IntArray = NDArray[np.int64]

CHUNK_ROWS = 250_000
"""Rows of a frame, at most."""

_ENUMERATED = 4
"""With a cap of k: up to 4 k are all listed and k of them kept; of more, 2 k + 16 are drawn."""


def within_person_pairs(
    dataset: Dataset,
    *,
    strict: bool = False,
    with_opinion: bool = True,
    cap: int | None = None,
    seed: int = 0,
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[pl.DataFrame]:
    """Frames of round_id, participant_id, chosen_id, rejected_id, margin (on the dataset's scale).

    All C(k, 2) pairs within a person and round, less those rated the same (paper 3.4 step 3).

    Args:
        dataset: with ratings.
        strict: only pairs of a statement agreed with and one disagreed with.
        with_opinion: leave out people without an opinion.
        cap: at most so many of a person and round, drawn by ``seed``.
        seed: the same seed and ``chunk_rows``, the same pairs.
        chunk_rows: rows of a frame, at most.
    """
    pairs = _Pairs.within_person(dataset, strict=strict, with_opinion=with_opinion)
    rows = pairs.rows
    for high, low in pairs.chunks(cap, np.random.default_rng(seed), chunk_rows):
        yield pl.DataFrame(
            {
                "round_id": rows["round_id"].gather(high),
                "participant_id": rows["participant_id"].gather(high),
                "chosen_id": rows["candidate_id"].gather(high),
                "rejected_id": rows["candidate_id"].gather(low),
                "margin": rows["agreement"].gather(high) - rows["agreement"].gather(low),
            }
        )


def same_statement_pairs(
    dataset: Dataset,
    *,
    with_opinion: bool = True,
    cap: int | None = None,
    seed: int = 0,
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[pl.DataFrame]:
    """Frames of round_id, candidate_id, agreed_id, disagreed_id (two participants).

    Args: as for ``within_person_pairs``; ``cap`` holds for each statement.
    """
    pairs = _Pairs.same_statement(dataset, with_opinion=with_opinion)
    rows = pairs.rows
    for high, low in pairs.chunks(cap, np.random.default_rng(seed), chunk_rows):
        yield pl.DataFrame(
            {
                "round_id": rows["round_id"].gather(high),
                "candidate_id": rows["candidate_id"].gather(high),
                "agreed_id": rows["participant_id"].gather(high),
                "disagreed_id": rows["participant_id"].gather(low),
            }
        )


def crossed_quadruples(
    dataset: Dataset,
    *,
    with_opinion: bool = True,
    cap: int | None = None,
    seed: int = 0,
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[pl.DataFrame]:
    """Frames of round_id, person_a, person_b, candidate_1, candidate_2.

    Each quadruple comes once, with ``candidate_1`` before ``candidate_2`` in the dataset.

    Args: as for ``within_person_pairs``; ``cap`` holds for each pair of statements. Without one,
        expect as many as ``count_comparisons`` says: easily billions.
    """
    _check(cap, chunk_rows)
    rng = np.random.default_rng(seed)
    for matrix in matrices(dataset, with_opinion=with_opinion):
        people = pl.Series(matrix.participant_ids, dtype=pl.String)
        candidates = pl.Series(matrix.candidate_ids, dtype=pl.String)
        signs = _signs(matrix.agreement, dataset.about.scale.neutral)
        for a, b, first, second in _gathered(_crossed(signs, cap, rng, chunk_rows), chunk_rows):
            yield pl.DataFrame(
                {
                    "person_a": people.gather(a),
                    "person_b": people.gather(b),
                    "candidate_1": candidates.gather(first),
                    "candidate_2": candidates.gather(second),
                }
            ).select(pl.lit(matrix.round_id).alias("round_id"), pl.all())


def count_comparisons(
    dataset: Dataset, *, with_opinion: bool = True, cap: int | None = None
) -> dict[str, int]:
    """How many comparisons there are, and what they were made from; none is built.

    With a ``cap`` also how many within-person pairs it leaves.
    """
    _check(cap, CHUNK_ROWS)
    within = _Pairs.within_person(dataset, strict=False, with_opinion=with_opinion)
    strict = _Pairs.within_person(dataset, strict=True, with_opinion=with_opinion)
    sizes = within.segment_rows
    n_all = int((sizes * (sizes - 1) // 2).sum())
    return {
        **within.counts,
        "pairs within a person and round": n_all,
        "pairs dropped: rated the same": n_all - within.total,
        "within-person pairs": within.total,
        **({} if cap is None else {f"of them at most {cap:,} a person": within.capped(cap)}),
        "of them agreed against disagreed": strict.total,
        "same-statement pairs": _Pairs.same_statement(dataset, with_opinion=with_opinion).total,
        "crossed quadruples": sum(
            _n_crossed(_signs(matrix.agreement, dataset.about.scale.neutral))
            for matrix in matrices(dataset, with_opinion=with_opinion)
        ),
    }


# ---------------------------------------------------------------------------- pairs by their number


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Ratings in segments, by rising agreement; each is paired with the lower ones of its segment.

    Pair number g belongs to the rating ``high`` with ``before[high] <= g < before[high + 1]``.

    Attributes:
        rows: ratings sorted by segment and agreement.
        first: int64 [n_ratings], the first rating of each rating's segment.
        before: int64 [n_ratings + 1], how many pairs the ratings before it have.
        bounds: int64 [n_segments + 1], where each segment begins in ``rows``.
        counts: of ``agreements``.
    """

    rows: pl.DataFrame
    first: IntArray
    before: IntArray
    bounds: IntArray
    counts: dict[str, int]

    @classmethod
    def within_person(cls, dataset: Dataset, *, strict: bool, with_opinion: bool) -> _Pairs:
        return cls._of(dataset, "participant_id", strict=strict, with_opinion=with_opinion)

    @classmethod
    def same_statement(cls, dataset: Dataset, *, with_opinion: bool) -> _Pairs:
        return cls._of(dataset, "candidate_id", strict=True, with_opinion=with_opinion)

    @classmethod
    def _of(cls, dataset: Dataset, name: str, *, strict: bool, with_opinion: bool) -> _Pairs:
        rated = agreements(dataset, with_opinion=with_opinion)
        # Stable, so that which pairs a seed draws does not hang on the sort.
        rows = rated.rows.sort("round_id", name, "agreement", maintain_order=True)
        value = rows["agreement"].to_numpy()
        new = _is_new(rows.select("round_id", name))
        bounds = np.append(np.flatnonzero(new), rows.height)
        first = np.repeat(bounds[:-1], np.diff(bounds))
        if strict:
            neutral = dataset.about.scale.neutral
            n_disagreed = (
                np.add.reduceat((value < neutral).astype(np.int64), bounds[:-1])
                if rows.height
                else bounds
            )
            n_lower = np.repeat(n_disagreed[: len(bounds) - 1], np.diff(bounds))
            n_lower = np.where(value > neutral, n_lower, 0)
        else:
            new_value = new | np.append(True, value[1:] != value[:-1])[: rows.height]
            starts = np.flatnonzero(new_value)
            n_lower = np.repeat(starts, np.diff(np.append(starts, rows.height))) - first
        before = np.concatenate([[0], np.cumsum(n_lower, dtype=np.int64)])
        return cls(rows, first, before, bounds, rated.counts)

    @property
    def total(self) -> int:
        return int(self.before[-1])

    def capped(self, cap: int) -> int:
        """How many are left of at most ``cap`` of each segment."""
        return int(np.minimum(np.diff(self.before[self.bounds]), cap).sum())

    @property
    def segment_rows(self) -> IntArray:
        return np.diff(self.bounds)

    def chunks(
        self, cap: int | None, rng: np.random.Generator, chunk_rows: int
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """(high, low): positions in ``rows``, at most ``chunk_rows`` at a time."""
        _check(cap, chunk_rows)
        starts = self.before[self.bounds]
        for numbers in _numbers(np.diff(starts), starts[:-1], cap, rng, chunk_rows):
            high = np.searchsorted(self.before, numbers, side="right") - 1
            yield high, self.first[high] + numbers - self.before[high]


def _is_new(keys: pl.DataFrame) -> NDArray[np.bool_]:
    """Whether each row differs from the one before it, bool [n_rows]."""
    differs = (pl.all() != pl.all().shift(1)).fill_null(True)
    return keys.select(pl.any_horizontal(differs)).to_series().to_numpy()


def _check(cap: int | None, chunk_rows: int) -> None:
    for name, value in (("cap", cap), ("chunk_rows", chunk_rows)):
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}, expected at least 1")


def _numbers(
    sizes: IntArray,
    starts: IntArray,
    cap: int | None,
    rng: np.random.Generator,
    chunk_rows: int,
) -> Iterator[IntArray]:
    """Numbers of items, rising: all of them, or at most ``cap`` of each segment, drawn evenly.

    Segment s holds the numbers from ``starts[s]`` to ``starts[s] + sizes[s] - 1``; the segments
    follow each other without a gap.
    """
    if cap is None:
        total = int(sizes.sum())
        for start in range(0, total, chunk_rows):
            yield np.arange(start, min(start + chunk_rows, total))
        return
    # As many segments at a time as need no more room than a chunk.
    needs = np.cumsum(np.where(sizes <= _ENUMERATED * cap, sizes, 2 * cap + 16))
    start = 0
    while start < len(sizes):
        done = needs[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(needs, done + chunk_rows, side="right")))
        drawn = _drawn(sizes[start:stop], starts[start:stop], cap, rng)
        for low in range(0, len(drawn), chunk_rows):
            yield drawn[low : low + chunk_rows]
        start = stop


def _drawn(sizes: IntArray, starts: IntArray, cap: int, rng: np.random.Generator) -> IntArray:
    """At most ``cap`` numbers of each segment, each as likely as the others, rising."""
    few = sizes <= _ENUMERATED * cap
    n_each = sizes[few]
    listed = np.repeat(starts[few] - _before(n_each), n_each) + np.arange(n_each.sum())
    order = np.lexsort((rng.random(len(listed)), np.repeat(np.arange(len(n_each)), n_each)))
    rank = np.arange(len(listed)) - np.repeat(_before(n_each), n_each)

    # Of 2 cap + 16 draws out of over 4 cap, more than cap are distinct.
    many = sizes[~few][:, None]
    draws = np.sort(rng.integers(0, many, size=(len(many), 2 * cap + 16)), axis=1)
    keys = rng.random(draws.shape)
    keys[:, 1:][draws[:, 1:] == draws[:, :-1]] = 2  # behind all that are there once
    kept = np.argpartition(keys, cap - 1, axis=1)[:, :cap]
    chosen = np.take_along_axis(draws, kept, axis=1) + starts[~few][:, None]
    return np.sort(np.concatenate([listed[order[rank < cap]], chosen.ravel()]))


def _before(sizes: IntArray) -> IntArray:
    """How many items the segments before each hold."""
    return np.cumsum(sizes) - sizes


# ------------------------------------------------------------------------------ crossed quadruples


def _signs(agreement: FloatArray, neutral: int) -> NDArray[np.int8]:
    """int8 [n_candidates, n_people]: 1 agrees, -1 disagrees, 0 neither or unknown."""
    return np.sign(np.nan_to_num(agreement.T - neutral)).astype(np.int8, order="C")


def _n_crossed(signs: NDArray[np.int8]) -> int:
    """How many quadruples there are: both ways of each pair of statements multiplied, summed."""
    agrees, disagrees = (signs == 1).astype(np.float32), (signs == -1).astype(np.float32)
    one_way = (agrees @ disagrees.T).astype(np.float64)  # float32 is exact below 2**24 people
    return int((one_way * one_way.T).sum()) // 2


def _crossed(
    signs: NDArray[np.int8], cap: int | None, rng: np.random.Generator, chunk_rows: int
) -> Iterator[tuple[IntArray, ...]]:
    """(person A, person B, candidate 1, candidate 2) as positions, one loop turn a statement."""
    for first in range(len(signs) - 1):
        rest = signs[first + 1 :]
        up, down = np.flatnonzero(signs[first] == 1), np.flatnonzero(signs[first] == -1)
        # Sorted by statement: people who are for the first and against it, and the reverse.
        a_statement, a_person = np.nonzero(rest[:, up] == -1)
        b_statement, b_person = np.nonzero(rest[:, down] == 1)
        n_a = np.bincount(a_statement, minlength=len(rest))
        n_b = np.bincount(b_statement, minlength=len(rest))
        starts = _before(n_a * n_b)
        for numbers in _numbers(n_a * n_b, starts, cap, rng, chunk_rows):
            # Empty segments share their start with the next: the last of them is the full one.
            second = np.searchsorted(starts, numbers, side="right") - 1
            within = numbers - starts[second]
            a = a_person[_before(n_a)[second] + within // n_b[second]]
            b = b_person[_before(n_b)[second] + within % n_b[second]]
            yield up[a], down[b], np.full(len(numbers), first), first + 1 + second


def _gathered(
    parts: Iterator[tuple[IntArray, ...]], chunk_rows: int
) -> Iterator[tuple[IntArray, ...]]:
    """Small parts put together, up to ``chunk_rows`` rows and never over."""
    held: list[tuple[IntArray, ...]] = []
    n_held = 0
    for part in parts:
        if n_held + len(part[0]) > chunk_rows:
            yield tuple(np.concatenate(column) for column in zip(*held, strict=True))
            held, n_held = [], 0
        held.append(part)
        n_held += len(part[0])
    if n_held:
        yield tuple(np.concatenate(column) for column in zip(*held, strict=True))
