"""What an estimate is, and the one rule by which resamples become a 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from commonweal.extras import needs

if TYPE_CHECKING:
    from commonweal.types import FloatArray

CONFIDENCE = 0.95
N_RESAMPLES = 10_000
MIN_CLUSTERS = 6
"""Below it there is no interval: even the whole range of G clusters' own values holds the true
median cluster with probability 1 - 2 / 2**G only, which is 94 % for five and 97 % for six."""
MIN_DEFINED = 0.95
"""Share of resamples in which a figure must be defined (something to compare) for an interval."""

_NORMAL = NormalDist()
_SAME = 1e-12


class Estimate(NamedTuple):
    """A figure, its 95 % interval, and what it rests on.

    Attributes:
        value: nan where there is nothing to measure.
        low: lower end of the interval; nan where there is none.
        high: upper end.
        n_clusters: what was resampled (groups, people, questions or topics), and adds to it.
        n_comparisons: comparisons in all; 0 where there are none, or where they are counted apart.
        no_interval: why there is no interval; empty where there is one.
        p_value: two-sided, of the value being 0, from the same resamples; nan without an interval.
        p_is_floor: no resample lies on the other side of 0, so that p is at most this.
    """

    value: float
    low: float
    high: float
    n_clusters: int
    n_comparisons: int = 0
    no_interval: str = ""
    p_value: float = math.nan
    p_is_floor: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """A figure and what it would have been in each resample.

    Figures that were drawn with the same ``times`` were drawn together, so their difference has an
    interval of its own.

    Attributes:
        draws: float64 [n_draws]; nan where a draw had nothing to compare.
        n_clusters: of ``what``, that were resampled.
        n_comparisons: comparisons in all.
        what: what is resampled, in the plural.
    """

    value: float
    draws: FloatArray
    n_clusters: int
    n_comparisons: int
    what: str = "people"

    @property
    def estimate(self) -> Estimate:
        """The figure with its interval; see ``interval``."""
        estimate = interval(self.value, np.sort(self.draws), self.n_clusters, self.what)
        return estimate._replace(n_comparisons=self.n_comparisons)

    def minus(self, other: Resampled) -> Resampled:
        """The difference, draw by draw; both must have been drawn with the same ``times``."""
        return Resampled(
            self.value - other.value,
            self.draws - other.draws,
            min(self.n_clusters, other.n_clusters),
            min(self.n_comparisons, other.n_comparisons),
            self.what,
        )


NOTHING = Resampled(np.nan, np.full(1, np.nan), 0, 0)
"""What there is where nothing can be compared."""


def mean_of(repeats: Sequence[Resampled]) -> Resampled:
    """The mean of one figure measured several times on the same comparisons, draw by draw."""
    if not repeats:
        return NOTHING
    return Resampled(
        float(np.mean([one.value for one in repeats])),
        np.mean([one.draws for one in repeats], axis=0),
        repeats[0].n_clusters,
        repeats[0].n_comparisons,
        repeats[0].what,
    )


def mean_over_rounds(
    parts: Sequence[Resampled],
    weights: FloatArray,
    n_clusters: int | None = None,
    what: str = "people",
) -> Resampled:
    """The mean of figures of several rounds, each counting the same; those without are left out.

    Args:
        parts: one a round.
        weights: float64 [n_draws, n_parts], how often each round counts in each draw.
        n_clusters: how many were resampled; by default the sum over the rounds.
        what: what was resampled.
    """
    known = [i for i, part in enumerate(parts) if np.isfinite(part.value)]
    if not known:
        return NOTHING
    n_draws = len(weights)
    draws = np.stack([np.broadcast_to(parts[i].draws, n_draws) for i in known], axis=1)
    counted = np.where(np.isfinite(draws), weights[:, known], 0.0)
    return Resampled(
        float(np.mean([parts[i].value for i in known])),
        ratio((counted * np.nan_to_num(draws)).sum(axis=1), counted.sum(axis=1)),
        sum(parts[i].n_clusters for i in known) if n_clusters is None else n_clusters,
        sum(parts[i].n_comparisons for i in known),
        what,
    )


def resample(n_clusters: int, rng: np.random.Generator, n_draws: int = N_RESAMPLES) -> FloatArray:
    """How often each cluster counts in each draw: float64 [n_draws, n_clusters], whole numbers."""
    if n_clusters == 0:
        return np.zeros((n_draws, 0))
    equal = np.full(n_clusters, 1 / n_clusters)
    return rng.multinomial(n_clusters, equal, size=n_draws).astype(np.float64)


def ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """``above / below``, nan where ``below`` is 0."""
    result = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=result, where=np.abs(below) > _SAME)
    return result


# -------------------------------------------------------------------------------------- intervals


def interval(value: float, draws: FloatArray, n_clusters: int, what: str = "groups") -> Estimate:
    """The figure with the *expanded percentile interval* of its resamples.

    The ends are the percentiles ``tail(n_clusters)`` and 1 - that (Hesterberg 2015, The American
    Statistician 69, section 4). There is none, and it says why, from fewer than ``MIN_CLUSTERS``
    clusters, where over 5 % of the resamples have nothing to measure, and where all are the same.

    Args:
        value: the figure.
        draws: float64 [n_draws], what it is in each resample, sorted, nan last.
        n_clusters: that were resampled and add to it.
        what: what they are, in the plural.
    """

    def without(why: str) -> Estimate:
        return Estimate(value, math.nan, math.nan, n_clusters, no_interval=why)

    if math.isnan(value):
        return without("there is nothing to measure")
    if n_clusters < MIN_CLUSTERS:
        singular = {"people": "person"}.get(what, what.removesuffix("s"))
        counted = f"one {singular}" if n_clusters == 1 else f"{n_clusters} {what}"
        return without(
            f"it rests on {counted}, and resampling {what} needs at least {MIN_CLUSTERS} for a "
            "95 % interval"
        )
    n_defined = int(np.searchsorted(np.isnan(draws), True))
    if n_defined < MIN_DEFINED * len(draws):
        return without(
            f"in {1 - n_defined / len(draws):.0%} of the resamples there is nothing to measure: "
            f"too few {what} have the data for it"
        )
    known = draws[:n_defined]
    if known[-1] - known[0] <= _SAME * max(1.0, abs(value)):
        return without(
            f"all {what} have the same value, and resampling them cannot tell how far that is "
            "chance"
        )
    cut = tail(n_clusters)
    low, high = np.quantile(known, [cut, 1 - cut])
    return Estimate(
        value,
        float(low),
        float(high),
        n_clusters,
        p_value=_p_value(known, n_clusters),
        p_is_floor=bool(known[0] > 0 or known[-1] < 0),
    )


@cache
def tail(n_clusters: int) -> float:
    """The share of resamples beyond either end of a 95 % interval of so many clusters.

    Smaller than 2.5 %: plain percentiles are too narrow with few clusters, by the factor
    sqrt((G - 1) / G) and by taking the normal distribution for Student's t.
    """
    return _NORMAL.cdf(-math.sqrt(n_clusters / (n_clusters - 1)) * t_critical(n_clusters - 1))


def t_critical(degrees_of_freedom: float, confidence: float = CONFIDENCE) -> float:
    """The t that Student's T stays within, either side of 0, with this probability."""
    with needs("data", "an interval"):
        from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, (1 + confidence) / 2))


def t_p_value(t: float, degrees_of_freedom: float) -> float:
    """The two-sided p-value of Student's t."""
    with needs("data", "a p-value"):
        from scipy.special import stdtr

    return float(2 * stdtr(degrees_of_freedom, -abs(t)))


def _p_value(draws: FloatArray, n_clusters: int) -> float:
    """One minus the confidence of the widest interval of this kind that leaves out 0."""
    at_most = np.searchsorted(draws, 0.0, side="right")
    at_least = len(draws) - np.searchsorted(draws, 0.0, side="left")
    # One is added, as if the figure itself were a resample: no finite number of them shows p = 0.
    share = min((min(int(at_most), int(at_least)) + 1) / (len(draws) + 1), 0.5)
    t = -_NORMAL.inv_cdf(share) / math.sqrt(n_clusters / (n_clusters - 1))
    return t_p_value(t, n_clusters - 1)
