"""95 % intervals by resampling whole groups: one set of resamples for every figure.

Groups are drawn with replacement, and all rounds, statements and people of a group go along
(docs/decisions/018, 021). A figure is a function of sums over groups, so a resample is a
weighted sum: how often each group was drawn times what the group adds. Thousands of resamples of
hundreds of figures are one matrix product, and memory does not grow with the number of rounds.

The same resamples serve all figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import InputError
from commonweal.measures.intervals import MIN_CLUSTERS, Estimate, interval, ratio, t_critical
from commonweal.measures.logistic import logistic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

    IntArray = NDArray[np.int64]

MIN_RESAMPLES = 1000

_CHUNK_CELLS = 1 << 21


class Resampler:
    """``n_resamples`` draws of ``n_groups`` groups with replacement.

    Args:
        n_groups: groups, at least 1.
        n_resamples: draws, at least 1,000.
        rng: where the draws come from.

    Raises:
        InputError: too few resamples.
    """

    def __init__(self, n_groups: int, n_resamples: int, rng: np.random.Generator) -> None:
        if n_resamples < MIN_RESAMPLES:
            raise InputError(
                f"{n_resamples:,} resamples, expected at least {MIN_RESAMPLES:,}: the ends of a "
                "95 % interval rest on a fortieth of them"
            )
        self.n_groups = n_groups
        self.n_resamples = n_resamples
        # One byte each: the chance that a group is drawn more than 255 times is below 1 / 255!.
        self._times = np.empty((n_resamples, n_groups), dtype=np.uint8)
        self._step = max(1, _CHUNK_CELLS // n_groups)
        for rows in self._chunks():
            n = rows.stop - rows.start
            drawn = rng.integers(0, n_groups, size=(n, n_groups))
            drawn += np.arange(n)[:, None] * n_groups
            counts = np.bincount(drawn.ravel(), minlength=n * n_groups)
            self._times[rows] = counts.reshape(n, n_groups)

    def _chunks(self) -> list[slice]:
        return [
            slice(start, min(start + self._step, self.n_resamples))
            for start in range(0, self.n_resamples, self._step)
        ]

    def estimate(
        self,
        per_group: FloatArray,
        function: Callable[[FloatArray], FloatArray],
        adds: NDArray[np.bool_],
    ) -> list[Estimate]:
        """The metrics ``function(sums)``, each with its interval.

        Args:
            per_group: what each group adds, float64 [n_groups, n_sums].
            function: sums [..., n_sums] to metrics [..., n_metrics]; nan where undefined.
            adds: whether the group adds anything to the metric, bool [n_groups, n_metrics].
        """
        values = function(per_group.sum(axis=0))
        n_groups = adds.sum(axis=0)
        draws = np.full((self.n_resamples, len(values)), np.nan)
        if (n_groups >= MIN_CLUSTERS).any():
            for rows in self._chunks():
                draws[rows] = function(self._times[rows].astype(np.float64) @ per_group)
        draws.sort(axis=0)  # nan last
        return [
            interval(float(value), column, int(n))
            for value, column, n in zip(values, draws.T, n_groups, strict=True)
        ]

    def jackknife(
        self,
        per_group: FloatArray,
        function: Callable[[FloatArray], FloatArray],
        adds: NDArray[np.bool_],
        *,
        in_log_odds: bool = False,
    ) -> list[Estimate]:
        """The metrics ``function(sums)``, with intervals from leaving out each group in turn.

        For figures that resamples put off centre: a group drawn twice agrees with itself, so
        resampled groups look more alike than groups are; and shares near 1, of which some rounds
        have none. The interval is symmetric, with Student's t (Efron and Stein 1981;
        docs/evaluation.md has its coverage). No p values.

        Args:
            per_group: what each group adds, float64 [n_groups, n_sums].
            function: as in ``estimate``.
            adds: likewise.
            in_log_odds: the figures are shares, and the intervals symmetric in their log-odds.
        """
        from scipy.special import expit, logit

        total = per_group.sum(axis=0)
        without = function(total - per_group)
        estimates = []
        for value, left, mine in zip(function(total), without.T, adds.T, strict=True):
            n, half = int(mine.sum()), math.nan
            if n >= MIN_CLUSTERS:
                half = t_critical(n - 1) * math.sqrt((n - 1) * float(left[mine].var()))
            ends = value + np.array([-half, half])
            if in_log_odds and 0 < value < 1:
                ends = expit(logit(value) + (ends - value) / (value * (1 - value)))
            # As the whole range of the resamples, for the reasons to give no interval.
            one = interval(float(value), ends, n)
            if not one.no_interval:
                one = one._replace(low=float(ends[0]), high=float(ends[1]), p_value=math.nan)
            estimates.append(one)
        return estimates

    def jackknife_shares(self, above: FloatArray, below: FloatArray) -> list[Estimate]:
        """As ``ratios``, of shares, with intervals of ``jackknife`` in log-odds."""
        sums = np.concatenate([above, below], axis=1)
        return self.jackknife(sums, _ratio_of_halves, np.asarray(below != 0), in_log_odds=True)

    def ratios(self, above: FloatArray, below: FloatArray) -> list[Estimate]:
        """The ratios of two sums: means, shares, win rates.

        Args:
            above: what each group adds to the numerators, float64 [n_groups, n_metrics].
            below: likewise to the denominators; a group adds where it is not 0.
        """
        return self.estimate(
            np.concatenate([above, below], axis=1), _ratio_of_halves, np.asarray(below != 0)
        )

    def means(self, values: FloatArray, item_group: IntArray) -> list[tuple[Estimate, int]]:
        """The mean of each column over what is not nan, and how many that is.

        Args:
            values: float64 [n_items, n_figures].
            item_group: the group of each item [n_items].
        """
        known = ~np.isnan(values)
        sums = (by_group(each, item_group, self.n_groups) for each in (values, known))
        return list(zip(self.ratios(*sums), known.sum(axis=0).tolist(), strict=True))

    def at_zero(self, x: FloatArray, y: FloatArray, item_group: IntArray) -> list[Estimate]:
        """The share of ``y`` where ``x`` is 0, by logistic regressions of ``y`` on ``x``.

        A resample takes one Newton step from the fit to all items, which needs sums over groups
        only: the one-step bootstrap of an estimator that solves a score equation.

        Args:
            x: float64 [n_items, n_metrics].
            y: likewise, 0 or 1; nan where there is no such item, in either.
            item_group: the group of each item [n_items].

        Returns:
            Nan where all ``x`` are the same, or ``x`` tells ``y`` without fail.
        """
        from scipy.special import expit

        n_metrics = x.shape[1]
        known = ~(np.isnan(x) | np.isnan(y))
        starts = np.full(n_metrics, np.nan)
        per_group = np.zeros((self.n_groups, n_metrics, 5))
        for i in range(n_metrics):
            at, outcome = x[known[:, i], i], y[known[:, i], i]
            fit = logistic(at, outcome)
            if fit is None:
                continue
            starts[i] = fit[0]
            share = expit(fit[0] + fit[1] * at)
            weight, rest = share * (1 - share), outcome - share
            terms = np.stack([rest, rest * at, weight, weight * at, weight * at * at], axis=1)
            per_group[:, i] = by_group(terms, item_group[known[:, i]], self.n_groups)

        def shares(sums: FloatArray) -> FloatArray:
            s0, s1, h00, h01, h11 = np.moveaxis(sums.reshape(*sums.shape[:-1], n_metrics, 5), -1, 0)
            step = ratio(h11 * s0 - h01 * s1, h00 * h11 - h01 * h01)
            at_zero: FloatArray = expit(starts + step)
            return at_zero

        adds = by_group(known, item_group, self.n_groups) > 0
        return self.estimate(per_group.reshape(self.n_groups, -1), shares, adds)


def by_group(values: NDArray[Any], item_group: IntArray, n_groups: int) -> FloatArray:
    """Sums over the items of each group, float64 [n_groups, n_columns]; nan adds nothing.

    Args:
        values: float64 or bool [n_items, n_columns].
        item_group: the group of each item [n_items].
        n_groups: groups, also those without items.
    """
    columns = [
        np.bincount(item_group, weights=np.nan_to_num(column), minlength=n_groups)
        for column in np.asarray(values, dtype=np.float64).T
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((n_groups, 0))


def _ratio_of_halves(sums: FloatArray) -> FloatArray:
    half = sums.shape[-1] // 2
    return ratio(sums[..., :half], sums[..., half:])
