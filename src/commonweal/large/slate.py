"""Slates: k statements among which everybody should find one that is theirs.

Approval-based committees with statements in the place of people (Lackner & Skowron 2023). The
library `abcvoting` knows these rules, too, and wants a commercial solver; at a few dozen statements
these few lines are enough, and exact.
"""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    BoolArray = NDArray[np.bool_]

MOST_ENUMERATED = 20_000
"""Up to so many slates all are tried; above, statements are swapped as long as that helps."""


def greedy(approves: BoolArray, k: int) -> tuple[int, ...]:
    """The statements of the slate in the order of choice, each adding the most people.

    Adds the statement that most of those approve who have none yet (greedy Chamberlin-Courant).
    It gives justified representation (Aziz et al. 2017, theorem 1). Ties, and the rest once
    nobody more can be reached, go to who is approved by most, then to the first.

    Args:
        approves: [n_people, n_statements].
        k: statements; fewer where there are fewer.
    """
    _check(approves, k)
    totals = approves.sum(axis=0)
    without = np.ones(len(approves), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < min(k, approves.shape[1]):
        gains = approves[without].sum(axis=0)
        free = [j for j in range(approves.shape[1]) if j not in chosen]
        best = max(free, key=lambda j: (gains[j], totals[j], -j))
        chosen.append(best)
        without &= ~approves[:, best]
    return tuple(chosen)


def proportional(approves: BoolArray, k: int) -> tuple[int, ...]:
    """The slate of the highest PAV score (Thiele 1895), the statement of most approvals first.

    Somebody with m approved statements in the slate counts 1 + 1/2 + ... + 1/m. Exact up to
    ``MOST_ENUMERATED`` slates, above it the best that no swap betters, which still gives extended
    justified representation where a swap has to add n / k**2 (Aziz et al. 2018).

    Args:
        approves: [n_people, n_statements].
        k: statements; fewer where there are fewer.
    """
    _check(approves, k)
    n_statements = approves.shape[1]
    k = min(k, n_statements)
    worth = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, k + 1))])
    # Who approves of the same is counted once, as often as they are.
    kinds, counts = np.unique(approves, axis=0, return_counts=True)

    def score(slate: tuple[int, ...]) -> float:
        return float(counts @ worth[kinds[:, list(slate)].sum(axis=1)])

    if comb(n_statements, k) <= MOST_ENUMERATED:
        best = max(combinations(range(n_statements), k), key=score)
    else:
        best = _swapped(greedy(approves, k), n_statements, score)
    totals = approves.sum(axis=0)
    return tuple(sorted(best, key=lambda j: (-totals[j], j)))


def top(approves: BoolArray, k: int) -> tuple[int, ...]:
    """The k statements that most approve of: what a slate is compared with."""
    _check(approves, k)
    return tuple(int(j) for j in np.argsort(-approves.sum(axis=0), kind="stable")[:k])


def unrepresented(approves: BoolArray, slate: tuple[int, ...], k: int) -> int:
    """The size of the largest group that justified representation is denied to; 0 for none.

    That is at least n / k people who all approve of one statement, and of none in the slate.
    """
    without = ~approves[:, list(slate)].any(axis=1)
    largest = int(approves[without].sum(axis=0).max(initial=0))
    return largest if largest * k >= len(approves) and largest > 0 else 0


def _swapped(
    slate: tuple[int, ...], n_statements: int, score: Callable[[tuple[int, ...]], float]
) -> tuple[int, ...]:
    best = score(slate)
    while True:
        swaps = [
            (*slate[:i], j, *slate[i + 1 :])
            for i in range(len(slate))
            for j in range(n_statements)
            if j not in slate
        ]
        better = max(swaps, key=score, default=slate)
        if score(better) <= best + 1e-9:
            return slate
        slate, best = better, score(better)


def _check(approves: BoolArray, k: int) -> None:
    if approves.ndim != 2 or 0 in approves.shape:
        raise InputError(
            f"approvals have the shape {approves.shape}; expected at least one person and one "
            "statement"
        )
    if k < 1:
        raise InputError(f"a slate of {k} statements was asked for, expected at least 1")
