"""Judging by a sample: the welfare of each candidate, how sure it is, and when to stop.

A panel is drawn in which everybody has the same chance and each opinion group its share, so that a
rule applied to the panel estimates the rule applied to all. Of the panel all candidates are judged;
then those that may still win, by more and more people (successive halving, Karnin et al. 2013).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from commonweal.population import WelfareEstimate
from commonweal.rules import RAWLSIAN, resolve_rule
from commonweal.welfare import WelfareRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

    IntArray = NDArray[np.int64]

N_STAGES = 3
"""Times that more people are asked for at most."""

N_RESAMPLES = 400

CONFIDENCE = 0.95

LOWEST_SHARE = 0.05
"""What stands for the minimum where people are sampled: the rating that this share lies below."""


def for_samples(rule: WelfareRule) -> WelfareRule:
    """The rule itself, or the quantile that stands for the minimum where people are sampled.

    No sample bounds a minimum: the one person who was not drawn may be the least satisfied.
    """
    return resolve_rule(f"quantile:{LOWEST_SHARE}") if rule == RAWLSIAN else rule


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Utilities of sampled people.

    Attributes:
        utilities: float64 [n_people, n_candidates].
        labels: each one's opinion group, int64 [n_people].
        n_population: how many they stand for; as many as there are where everybody was asked.
    """

    utilities: FloatArray
    labels: IntArray
    n_population: int

    @property
    def shrink(self) -> float:
        """How much nearer a sample's figures are than with replacement: 0 for everybody."""
        return math.sqrt(max(0.0, 1 - len(self.labels) / self.n_population))

    def resampled(self, rule: WelfareRule, rng: np.random.Generator) -> FloatArray:
        """The welfare in each resample, within opinion groups, [N_RESAMPLES, n_candidates]."""
        order = np.argsort(self.labels, kind="stable")
        sizes = np.bincount(self.labels)
        sizes = sizes[sizes > 0]
        starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
        widths = np.repeat(sizes, sizes)
        draws = np.empty((N_RESAMPLES, self.utilities.shape[1]))
        for i in range(N_RESAMPLES):
            drawn = starts + (rng.random(len(starts)) * widths).astype(np.int64)
            draws[i] = rule.welfare(self.utilities[order[drawn]])
        return draws


def interval(value: FloatArray, draws: FloatArray, shrink: float) -> tuple[FloatArray, FloatArray]:
    """Low and high of the 95 % interval of each column (percentiles, for finite populations)."""
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return (
        np.minimum(value, value + (low - value) * shrink),
        np.maximum(value, value + (high - value) * shrink),
    )


def share_interval(agrees: NDArray[np.bool_], n_population: int) -> tuple[float, float, float]:
    """A share of people with its 95 % interval (Wilson 1927, for finite populations).

    Strata only make it narrower, so it is on the safe side.
    """
    n = len(agrees)
    value = float(agrees.mean())
    if n >= n_population:
        return value, value, value
    z2 = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) ** 2 * (1 - n / n_population)
    middle = (value + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * value * (1 - value) / n + z2**2 / (4 * n**2)) / (1 + z2 / n)
    return value, max(0.0, middle - half), min(1.0, middle + half)


def judge(
    base: Panel,
    rule: WelfareRule,
    *,
    allowed: Sequence[int],
    more: Callable[[int, Sequence[int]], tuple[FloatArray, IntArray]],
    n_more: int,
    rng: np.random.Generator,
) -> tuple[list[WelfareEstimate], FloatArray, int | None]:
    """Each candidate judged, by as many people as it takes: successive halving.

    After each stage a candidate is dropped where, all comparisons together, it is below the best
    with 95 % confidence; where more than half are left, the worse half, too, which may lose one
    that is nearly as good (``WelfareEstimate.dropped`` says which it was).

    Args:
        base: of all candidates.
        rule: what welfare is; works on a sample (``for_samples``).
        allowed: candidates that may win.
        more: utilities and groups of n more people for some of the candidates, [n, n_some] and [n].
        n_more: people that can still be asked for.
        rng: of the resamples.

    Returns:
        One a candidate; the utilities [n_people] of all who were asked for the best, and which it
        is (None where none may win).
    """
    n_candidates = base.utilities.shape[1]
    welfare = rule.welfare(base.utilities)
    draws = base.resampled(rule, rng)
    low, high = interval(welfare, draws, base.shrink)
    n_people = np.full(n_candidates, len(base.labels))
    dropped = [""] * n_candidates
    alive = list(allowed)
    panel, here = base, draws[:, alive]
    if alive:
        panel = Panel(base.utilities[:, alive], base.labels, base.n_population)
    budget = len(base.labels) * n_candidates // 2
    level = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / (N_STAGES + 1) / max(1, n_candidates - 1))
    ahead: dict[int, tuple[int, float]] = {}
    for stage in range(N_STAGES + 1):
        if len(alive) < 2:
            break
        at_once = rule.welfare(panel.utilities)
        best = int(np.argmax(at_once))
        gap = at_once - at_once[best]
        reach = level * (here - here[:, [best]]).std(axis=0) * panel.shrink
        lost = gap + reach < 0
        is_last = stage == N_STAGES or n_more < 1
        keep = [i for i in range(len(alive)) if not lost[i]]
        half = max(1, (len(alive) + 1) // 2)
        if not is_last and len(keep) > half:
            keep = sorted(sorted(keep, key=lambda i: -at_once[i])[:half])
        for i, candidate in enumerate(alive):
            if i not in keep:
                dropped[candidate] = "cannot win" if lost[i] else "halved"
                ahead[candidate] = (alive[best], float(-gap[i]))
        alive = [alive[i] for i in keep]
        panel = Panel(panel.utilities[:, keep], panel.labels, panel.n_population)
        here = here[:, keep]
        if is_last or len(alive) < 2:
            break
        n = min(n_more, max(1, budget // len(alive)))
        utilities, labels = more(n, alive)
        n_more -= len(labels)
        panel = Panel(
            np.concatenate([panel.utilities, utilities]),
            np.concatenate([panel.labels, labels]),
            base.n_population,
        )
        here = panel.resampled(rule, rng)
        n_people[alive] = len(panel.labels)
        welfare[alive] = rule.welfare(panel.utilities)
        low[alive], high[alive] = interval(welfare[alive], here, panel.shrink)
    # What was dropped keeps its distance to who was best when it was dropped: both were judged by
    # the same people then, and the best was judged by more since.
    if base.shrink > 0:
        for candidate, (leader, distance) in reversed(ahead.items()):
            welfare[candidate] = welfare[leader] - distance
    # Their intervals are those of the people who judged them, and hold the moved estimate, too.
    low, high = np.minimum(low, welfare), np.maximum(high, welfare)
    judged = [
        WelfareEstimate(int(n), float(w), float(a), float(b), why)
        for n, w, a, b, why in zip(n_people, welfare, low, high, dropped, strict=True)
    ]
    if not alive:
        return judged, np.empty(0), None
    winner = max(alive, key=lambda j: (welfare[j], -j))
    return judged, panel.utilities[:, alive.index(winner)], winner
