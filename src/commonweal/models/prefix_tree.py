"""Sequences of tokens that share beginnings, laid out so that a shared beginning is computed once.

A batch computes its rows side by side, all at the same position. The sequences are cut at common
positions into slices. In a slice a row stands for all sequences that agree up to its end, and
continues the row of the slice before that held its beginning. So no row is padded but at its own
end, and nothing is computed twice but what a cut left out would have saved for less than its cost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise, takewhile
from typing import NamedTuple

Tokens = tuple[int, ...]


class Slice(NamedTuple):
    """What one step computes: tokens ``start`` to ``stop`` of some rows.

    Attributes:
        start: position of the first token.
        stop: position after the last one; a row may end before.
        rows: for each row the index of a sequence that holds all of its tokens.
        parents: for each row its number in the slice before (0 in the first slice).
        row_of: the row of each sequence longer than ``start``, by index.
    """

    start: int
    stop: int
    rows: list[int]
    parents: list[int]
    row_of: dict[int, int]


def chunks(sequences: Sequence[Tokens], max_tokens: int) -> Iterator[list[Tokens]]:
    """The distinct sequences in order, in chunks of at most so many rows times longest row.

    In order of their tokens those that share a beginning stand side by side.
    """
    chunk: list[Tokens] = []
    longest = 0
    for sequence in sorted(set(sequences)):
        longest = max(longest, len(sequence))
        if chunk and (len(chunk) + 1) * longest > max_tokens:
            yield chunk
            chunk, longest = [], len(sequence)
        chunk.append(sequence)
    if chunk:
        yield chunk


def slices(ordered: Sequence[Tokens], *, overhead: int, max_tokens: int) -> list[Slice]:
    """The slices that compute these sequences at the least cost.

    A slice costs its rows times its width, and ``overhead`` more: reading the weights once costs
    about as much as so many tokens.

    Args:
        ordered: distinct sequences, none empty, in order.
        overhead: tokens.
        max_tokens: most rows times width in a slice; a row alone may be cut for it, too.
    """
    shared = [_n_shared(a, b) for a, b in pairwise(ordered)]
    edges = sorted({0, *shared, *map(len, ordered)})
    best: list[float] = [0.0] + [float("inf")] * (len(edges) - 1)
    came_from = [0] * len(edges)
    for i, start in enumerate(edges[:-1]):
        splits = _splits(ordered, shared, start)
        for j in range(i + 1, len(edges)):
            n_rows = 1 + bisect_left(splits, edges[j])
            cost = best[i] + overhead + n_rows * (edges[j] - start)
            if cost < best[j]:
                best[j], came_from[j] = cost, i
    cuts, at = [], len(edges) - 1
    while at:
        cuts.append((edges[came_from[at]], edges[at]))
        at = came_from[at]
    sliced: list[Slice] = []
    for start, stop in reversed(cuts):
        n_rows = 1 + bisect_left(_splits(ordered, shared, start), stop)
        width = max(1, max_tokens // n_rows)
        for left in range(start, stop, width):
            sliced.append(_slice(ordered, shared, left, min(left + width, stop), sliced))
    return sliced


def _n_shared(a: Tokens, b: Tokens) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def _alive(ordered: Sequence[Tokens], shared: Sequence[int], start: int) -> Iterator[list[int]]:
    """[index, tokens shared with the one before] of each sequence longer than ``start``."""
    with_before = 0
    for index, sequence in enumerate(ordered):
        if index:
            with_before = min(with_before, shared[index - 1])
        if len(sequence) > start:
            yield [index, with_before]
            with_before = len(sequence)


def _splits(ordered: Sequence[Tokens], shared: Sequence[int], start: int) -> list[int]:
    """Where neighbours longer than ``start`` part: stop > split makes them two rows. Ascending."""
    splits, before = [], -1
    for index, with_before in _alive(ordered, shared, start):
        # The whole of the one before, as the beginning of this one, needs no row of its own.
        if before >= 0 and with_before < len(ordered[before]):
            splits.append(with_before)
        before = index
    return sorted(splits)


def _slice(
    ordered: Sequence[Tokens],
    shared: Sequence[int],
    start: int,
    stop: int,
    earlier: Sequence[Slice],
) -> Slice:
    rows: list[int] = []
    row_of: dict[int, int] = {}
    before = -1
    for index, with_before in _alive(ordered, shared, start):
        if before >= 0 and with_before >= min(stop, len(ordered[before])):
            rows[-1] = index  # the last of them is the longest
        else:
            rows.append(index)
        row_of[index] = len(rows) - 1
        before = index
    parents = [earlier[-1].row_of[index] if earlier else 0 for index in rows]
    return Slice(start, stop, rows, parents, row_of)
