"""What choosing the best of n by predicted welfare brings, from stored candidates (paper 3.4).

Nothing is generated. Of N stored candidates of a policy in a round, the best of n is the best of a
random n of them; its average over all such subsets has a closed form: the candidate ranked j by
predicted welfare is the best of C(N - j, n - 1) of the C(N, n) subsets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from commonweal.evaluation.metrics import VALUE, Metric, MetricTable, Subject, Whole, metric, shown
from commonweal.evaluation.plotting.canvas import COLOURS, MARKERS, Canvas, short
from commonweal.evaluation.rounds.rated import SAME, Rated
from commonweal.evaluation.section import Section
from commonweal.measures.bootstrap import Resampler, by_group

if TYPE_CHECKING:
    from commonweal.evaluation.rounds.predicted import Predicted
    from commonweal.evaluation.rounds.rated import IntArray
    from commonweal.showing import Plot
    from commonweal.types import FloatArray

CRITERIA = {0.0: ("utilitarian", "mean"), math.inf: ("rawlsian", "min")}
"""Alpha to its name and the statistic of the group's ratings that it is after."""
_TITLES = {"mean": "mean", "min": "minimum"}


@dataclass(frozen=True)
class BestOf(Subject):
    """The best of n of a policy: "realised" by people's ratings, or "predicted"."""

    policy: str
    n: int
    statistic: str
    by: str
    form = "best_of_n/{by}/{statistic}/{policy}/{n}"


@dataclass(frozen=True)
class BestOfWinRate(Subject):
    """How often the best of n of a policy is above one more draw."""

    policy: str
    n: int
    statistic: str
    form = "best_of_n/win_rate/{statistic}/{policy}/{n}"

    @property
    def bounds(self) -> tuple[float, float]:
        """The highest win rate that is possible, and the most KL, in nats."""
        return win_rate_bound(self.n), kl_bound(self.n)

    def as_text(self) -> dict[str, str]:
        """With its bounds."""
        most, kl = self.bounds
        return super().as_text() | {"bound_win_rate": f"{most:.4f}", "bound_kl_nats": f"{kl:.2f}"}


def win_rate_bound(n: int) -> float:
    """The highest win rate that the best of n can have over one more draw: n / (n + 1)."""
    return n / (n + 1)


def kl_bound(n: int) -> float:
    """The most that best of n differs from its policy, KL divergence in nats: log n - (n - 1) / n.

    Example:
        >>> kl_bound(1), round(kl_bound(16), 3)
        (0.0, 1.835)
    """
    return math.log(n) - (n - 1) / n


def best_of_n(rated: Rated, predicted: Predicted | None, resampler: Resampler) -> Section:
    """Realised welfare and win rate of the best of n by people's ratings, and the predicted one.

    Args:
        rated: the rounds.
        predicted: the predictions of the reward model that selects; None without any.
        resampler: of its groups.
    """
    realised: list[Metric[Subject]] = []
    wins: list[Metric[BestOfWinRate]] = []
    own: list[Metric[BestOf]] = []
    if predicted is not None:
        for policy, alpha in product(rated.machine_policies, CRITERIA):
            by_people = _of_policy(rated, predicted, policy, alpha, by_people=True)
            says = "of the group's ratings of it"
            realised += _expected(by_people, rated, resampler, policy, alpha, "realised", says)
            wins += _wins(by_people, rated, resampler, policy, alpha)
            by_model = _of_policy(rated, predicted, policy, alpha, by_people=False)
            says = f"of the ratings that {predicted.reward_model}, which selects, expects"
            own += _expected(by_model, rated, resampler, policy, alpha, "predicted", says)
    if not realised:
        reason = (
            "the dataset holds no calibrated predictions, so nothing could have been picked"
            if predicted is None
            else "no policy has rounds with two candidates that have predictions and ratings"
        )
        realised = [Whole("best_of_n").unavailable("Best of n", reason)]
    tables = [
        MetricTable(
            "Realised by people's ratings",
            tuple(realised),
            "Candidates that were chosen to be shown are not a random draw from the policy; the "
            "figure then shows what a second choice among them adds.",
        )
    ]
    if wins:
        tables.append(
            MetricTable(
                "Win rate over one more draw",
                tuple(wins),
                "The bound holds for a perfect selector and independent draws. With few rounds the "
                "figure may lie above it by chance.",
                "At most: a win rate of n / (n + 1) and a KL divergence of log n - "
                "(n - 1) / n from the policy. One candidate is left over to be "
                "compared with, so n stops below the number stored; the best of one wins half the "
                "time, whatever the ratings.",
            )
        )
    if own:
        tables.append(
            MetricTable(
                "As the selector sees it",
                tuple(own),
                "The selector is the grader here: this is the reward model's own score of its own "
                "choice. It must rise with n, whether or not people agree more.",
            )
        )
    by_whom = f" Selected by {predicted.reward_model}." if predicted else ""
    return Section(
        "best_of_n",
        "Best of n",
        "Paper 3.4",
        "The best of n candidates of one policy by predicted welfare, averaged over all choices of "
        "n among the stored ones, in rounds with at least the policy's median number of "
        f"candidates.{by_whom}",
        tuple(tables),
        extra={
            "bounds": {
                str(n): {"win_rate": win_rate_bound(n), "kl_nats": kl_bound(n)}
                for n in (1, 2, 4, 8, 16)
            }
        },
        draw=_plots,
    )


def sizes(n_candidates: int) -> list[int]:
    """The n that are looked at: powers of two, and all there are."""
    powers = [1 << k for k in range(n_candidates.bit_length()) if 1 << k < n_candidates]
    return [*powers, n_candidates]


@cache
def best_probabilities(n_candidates: int, n: int) -> tuple[float, ...]:
    """With which probability each is the best of n drawn, by rank, best first.

    Example:
        >>> best_probabilities(3, 2)
        (0.6666666666666666, 0.3333333333333333, 0.0)
    """
    all_subsets = math.comb(n_candidates, n)
    return tuple(
        math.comb(n_candidates - rank, n - 1) / all_subsets for rank in range(1, n_candidates + 1)
    )


def expected_best(values: FloatArray, n: int) -> FloatArray:
    """The mean value of the best of n, [n_rounds]; values [n_rounds, N] by rank, best first."""
    result: FloatArray = values @ np.array(best_probabilities(values.shape[1], n))
    return result


def won_and_lost(values: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    """How often the best of n has more, and less, than one of the others: two of [n_rounds].

    Averaged over all n of the N and each one that is left over; values [n_rounds, N] by rank.
    """
    n_candidates = values.shape[1]
    weight = np.zeros((n_candidates, n_candidates))  # [the best, the other one]
    chances = np.array(best_probabilities(n_candidates - 1, n)) / n_candidates
    for other in range(n_candidates):
        weight[np.arange(n_candidates) != other, other] = chances
    gap = values[:, :, None] - values[:, None, :]
    return (
        np.einsum("rjk,jk->r", (gap > SAME).astype(np.float64), weight),
        np.einsum("rjk,jk->r", (gap < -SAME).astype(np.float64), weight),
    )


# ---------------------------------------------------------------------------------- from a study


def ranked(
    predicted: FloatArray, values: FloatArray, item_round: IntArray
) -> dict[int, tuple[IntArray, FloatArray]]:
    """By number of candidates N: the rounds, and their values [n_rounds, N] by rank, best first.

    Args:
        predicted: what is maximised, one a candidate; of ties the first in the order given.
        values: one a candidate.
        item_round: int, rising.
    """
    order = np.lexsort((-predicted, item_round))
    item_round, values = item_round[order], values[order]
    rounds, starts, counts = np.unique(item_round, return_index=True, return_counts=True)
    return {
        int(n): (rounds[counts == n], values[starts[counts == n][:, None] + np.arange(n)])
        for n in np.unique(counts)
    }


def _of_policy(
    rated: Rated, predicted: Predicted, policy: str, alpha: float, *, by_people: bool
) -> dict[int, tuple[IntArray, FloatArray]]:
    """``ranked`` for this policy, in rounds with at least the median number of candidates."""
    welfare = predicted.welfare(alpha)
    mine = np.array([name == policy for name in predicted.policy], dtype=bool) & ~np.isnan(welfare)
    values = welfare
    if by_people:
        statistic = rated.group_agreement[CRITERIA[alpha][1]]
        values = np.where(predicted.statement >= 0, statistic[predicted.statement], np.nan)
        mine &= ~np.isnan(values)
    by_size = ranked(welfare[mine], values[mine], predicted.round[mine])
    counts = np.concatenate(
        [np.full(len(rounds), n) for n, (rounds, _) in by_size.items()] or [np.zeros(1, int)]
    )
    enough = max(2, int(np.quantile(counts, 0.5, method="lower")))
    return {n: found for n, found in by_size.items() if n >= enough}


def _by_group(parts: Sequence[tuple[IntArray, FloatArray]], rated: Rated) -> FloatArray:
    """Sums over the rounds of each group, [n_groups, n_columns], of parts (rounds, columns)."""
    return sum(
        (by_group(columns, rated.round_group[rounds], rated.n_groups) for rounds, columns in parts),
        start=np.zeros((rated.n_groups, parts[0][1].shape[1])),
    )


def _expected(
    by_size: dict[int, tuple[IntArray, FloatArray]],
    rated: Rated,
    resampler: Resampler,
    policy: str,
    alpha: float,
    by: str,
    says: str,
) -> list[Metric[BestOf]]:
    if not by_size:
        return []
    name, statistic = CRITERIA[alpha]
    ns = sizes(min(by_size))
    parts = [
        (rounds, np.stack([expected_best(values, n) for n in ns], axis=1))
        for rounds, values in by_size.values()
    ]
    ones = [(rounds, np.ones_like(columns)) for rounds, columns in parts]
    estimates = resampler.ratios(_by_group(parts, rated), _by_group(ones, rated))
    n_rounds = sum(len(rounds) for rounds, _ in parts)
    return [
        metric(
            estimate,
            BestOf(policy, n, statistic, by),
            f"{policy}, best of {n}, {name}: {by} {_TITLES[statistic]}",
            kind="points",
            n=n_rounds,
            unit="rounds",
            says=(
                f"Of {n} candidates of {policy} the best by {name} welfare has"
                if n > 1
                else f"A candidate of {policy} drawn by lot has"
            )
            + f" {VALUE} as the {_TITLES[statistic]} {says}.",
            nothing="there are no rounds",
        )
        for n, estimate in zip(ns, estimates, strict=True)
    ]


def _wins(
    by_size: dict[int, tuple[IntArray, FloatArray]],
    rated: Rated,
    resampler: Resampler,
    policy: str,
    alpha: float,
) -> list[Metric[BestOfWinRate]]:
    # Against one more draw the best of one wins half the time, whatever the ratings.
    ns = [n for n in sizes(min(by_size, default=1) - 1) if n > 1]
    if not ns:
        return []
    name, statistic = CRITERIA[alpha]
    won, decided = [], []
    for rounds, values in by_size.values():
        both = [won_and_lost(values, n) for n in ns]
        won.append((rounds, np.stack([w for w, _ in both], axis=1)))
        decided.append((rounds, np.stack([w + lost for w, lost in both], axis=1)))
    estimates = resampler.ratios(_by_group(won, rated), _by_group(decided, rated))
    n_rounds = sum(len(rounds) for rounds, _ in won)
    return [
        metric(
            estimate,
            BestOfWinRate(policy, n, statistic),
            f"{policy}, best of {n} over one more, {name}",
            kind="share",
            n=n_rounds,
            unit="rounds",
            says=f"The best of {n} by {name} welfare has a higher {_TITLES[statistic]} rating than "
            f"another candidate of {policy} in {VALUE} of choices that are not even; at most "
            f"{shown(win_rate_bound(n), 'share')} is possible, at a KL divergence of at most "
            f"{kl_bound(n):.2f} nats.",
            nothing=f"all candidates of {policy} are even in their rounds",
        )
        for n, estimate in zip(ns, estimates, strict=True)
    ]


def _plots(section: Section, canvas: Canvas) -> list[Plot | None]:
    return [
        _curves(canvas, section.having(BestOf)),
        _bounds(canvas, section.having(BestOfWinRate)),
    ]


def _curves(canvas: Canvas, metrics: Sequence[Metric[BestOf]]) -> Plot:
    """Realised and predicted welfare of the best of n, by n."""
    kinds = (("realised", "people's ratings"), ("predicted", "selector's own score"))
    figure, axes = canvas.axes(7, 2)
    for ax, statistic, title in zip(axes, ("mean", "min"), ("Mean", "Minimum"), strict=True):
        for kind, style in zip(kinds, ("-", ":"), strict=True):
            wanted = kind[0], statistic
            chosen = [one for one in metrics if (one.subject.by, one.subject.statistic) == wanted]
            for i, policy in enumerate(dict.fromkeys(one.subject.policy for one in chosen)):
                mine = [one for one in chosen if one.subject.policy == policy]
                ax.plot(
                    [one.subject.n for one in mine],
                    [one.value or 0.0 for one in mine],
                    marker=MARKERS[i % len(MARKERS)],
                    color=COLOURS[i % len(COLOURS)],
                    linestyle=style,
                    markerfacecolor="white" if style == ":" else None,
                    label=f"{short(policy)}, {kind[1]}",
                )
                for one in mine if style == "-" else ():
                    if one.low is not None:
                        n = one.subject.n
                        ax.plot([n, n], [one.low, one.high], color=COLOURS[i % len(COLOURS)])
        ns = sorted({one.subject.n for one in metrics})
        canvas.by_n(ax, ns, [str(n) for n in ns])
        ax.set_xlabel("Best of n")
        ax.set_ylabel(f"{title} of the group's ratings")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False
    )
    return canvas.plot(
        figure,
        "The best of n, by people's ratings (solid) and by the selector's own score (dotted), "
        "which must rise.",
    )


def _bounds(canvas: Canvas, wins: Sequence[Metric[BestOfWinRate]]) -> Plot | None:
    """Win rates of the best of n beside the highest that is possible, and the most KL."""
    if not wins:
        return None
    most = max(one.subject.n for one in wins)
    ns = [1 << k for k in range(most.bit_length()) if 1 << k <= most]
    ns = sorted({*ns, *(one.subject.n for one in wins)})
    figure, (ax,) = canvas.axes(7)
    ax.plot(ns, [win_rate_bound(n) for n in ns], "--", color="#1d2330", label="n / (n + 1)")
    series: dict[tuple[str, str], list[Metric[BestOfWinRate]]] = {}
    for one in wins:
        series.setdefault((one.subject.policy, one.subject.statistic), []).append(one)
    for i, ((policy, statistic), mine) in enumerate(series.items()):
        for one in mine:
            ends = None
            if one.low is not None and one.high is not None and one.value is not None:
                ends = [[one.value - one.low], [one.high - one.value]]
            # Side by side, or intervals of one n would lie on each other.
            ax.errorbar(
                one.subject.n * 1.05 ** (i - (len(series) - 1) / 2),
                one.value,
                yerr=ends,
                fmt=MARKERS[i % len(MARKERS)],
                color=COLOURS[i % len(COLOURS)],
                capsize=2.5,
                label=f"{short(policy)}, {statistic}" if one is mine[0] else None,
            )
    canvas.by_n(ax, ns, [f"{n}\nKL ≤ {kl_bound(n):.2f}" for n in ns])
    ax.set_xlabel("Best of n, and how far that can lead from the policy, in nats")
    ax.set_ylabel("Win rate over one more draw")
    canvas.in_percent(ax.yaxis)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False)
    return canvas.plot(
        figure, "Win rates of the best of n, and the highest that is possible (dashed)."
    )
