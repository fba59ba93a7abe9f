"""Samples in which everybody's chance to be drawn is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

    IntArray = NDArray[np.int64]

EVEN_SHARE = 0.5
"""Of the places in a prompt, the share that goes to opinion groups evenly, not by size."""

MOST_BOOST = 10.0
"""How many times its share of the people a group gets of the even places at most: a floor for
minorities, not a loudspeaker for one person."""


def chances(sizes: IntArray, n: int) -> FloatArray:
    """The chance of each group's members to be in a sample of ``n``, float64 [n_groups], up to 1.

    Half of the places go to groups by their size, half evenly, so that a small group has more than
    its share; what a group of few people cannot fill goes to the others.

    Args:
        sizes: people in each group, [n_groups], at least 1 each.
        n: places; the chances times the sizes sum to it, or to everybody where these are fewer.
    """
    sizes = np.asarray(sizes, np.float64)
    n_people = sizes.sum()
    if n >= n_people:
        return np.ones(len(sizes))
    shares = sizes / n_people
    even = np.minimum(1 / len(sizes), MOST_BOOST * shares)
    wanted = (1 - EVEN_SHARE) * shares + EVEN_SHARE * even / even.sum()
    chance = np.zeros(len(sizes))
    full = np.zeros(len(sizes), dtype=bool)
    while True:
        left = n - sizes[full].sum()
        chance[full] = 1.0
        chance[~full] = left * wanted[~full] / wanted[~full].sum() / sizes[~full]
        over = (chance > 1) & ~full
        if not over.any():
            return chance
        full |= over


def systematic(chance: FloatArray, rng: np.random.Generator) -> IntArray:
    """The places that are drawn, int64, in their order: each i with probability ``chance[i]``.

    Systematic sampling with one random start (Madow 1949): of neighbours whose chances sum to s,
    at least floor(s) and at most ceil(s) are drawn.

    Args:
        chance: float64 [n], from 0 to 1.
        rng: draws the start.
    """
    ends = np.cumsum(chance)
    ends[-1] = round(float(ends[-1]), 6)  # a sum of many fractions that is meant to be whole
    start = rng.random()
    marks = np.arange(start, ends[-1], 1.0)
    drawn: IntArray = np.searchsorted(ends, marks, side="right")
    return np.unique(np.minimum(drawn, len(chance) - 1))


def stratified(labels: IntArray, n: int, rng: np.random.Generator, *, with_floor: bool) -> IntArray:
    """The rows of a stratified sample, int64 [about n], in a random order.

    Args:
        labels: each row's group, int [n_rows], from 0; every group has rows.
        n: places.
        rng: of all chance.
        with_floor: small groups get more than their share (``chances``), else everybody has the
            same chance, and each group its share to within one.
    """
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    if with_floor:
        per_group = chances(np.bincount(labels), n)
        chance = per_group[labels[order]]
    else:
        chance = np.full(len(labels), min(1.0, n / len(labels)))
    return rng.permutation(order[systematic(chance, rng)])
