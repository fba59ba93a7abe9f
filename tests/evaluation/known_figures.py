"""Figures of the population that a simulated study is a sample of.

They have no closed form: the thresholds, the ties, medians and minima are in the way. So they come
from one very large study (60,000 rounds, fixed seed), by code that shares nothing with the
package's: numpy on rectangular arrays. The standard error with which each is known is beside it.

What is counted: shown statements only. A person's rating of a statement is the mean of that
person's passes, missing ones left out. Unreliable people are in, as they are in the study.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, permutations

import numpy as np
from known_truth import Design, Drawn, draw

SEED, N_ROUNDS, N_BATCHES = 20221128, 60_000, 20
STATISTICS = ("mean", "min", "median")


@dataclass(frozen=True)
class Figure:
    """A figure of the population, and the standard error with which it is known."""

    value: float
    error: float


@lru_cache
def figures(design: Design) -> dict[tuple[str, ...], Figure]:
    """The population's figures by name.

    ("mean", policy), ("mean_quality", policy): the mean rating, every pass counted.
    ("share", policy, "5"): the share of ratings that are a 5; ("agrees", policy): 5 or more.
    ("win", "median", a, b): of the rounds where a's and b's average over their statements of the
        group's median differ, the share where a's is higher; likewise mean, min.
    ("tie", "median", a, b): the share of rounds where they do not differ.
    ("person_win", a, b): the same of each person's own mean rating, person-rounds counted.
    ("against_human", "mean", a): of the person-rounds where they differ, the share where the
        person's mean rating of a is above that of the others' opinions; "best": maximum against
        maximum.
    ("inclusion", "agreement"): over statements with both, the mean of the median rating of those
        whose opinion the policy saw, minus the median of those whose it did not; also "quality".
    ("accuracy",): over pairs of statements that one person rated differently on average, the share
        that the reward orders the same way; mean over a round's people, then over rounds;
        statements of policies only.
    ("crossed",): of two people who take opposite sides on two statements, how often the reward's
        lean to one statement is the stronger for the person who takes its side; mean over each two
        people of a round, then over rounds.
    ("less_divisive",), ("unanimous",): of statements that everybody who rated the position rated.
    ("kappa",): with two passes, the mean over people of their quadratic-weighted kappa.
    ("alpha", "agreement", "ordinal"): Krippendorff's, of first ratings; also quality and interval.
    ("best_of", policy): the group's mean rating of the better of two drawn by predicted mean.
    ("best_of_wins", policy): how often that one is rated above a third.
    ("bias",): the mean of predicted minus given rating, statements of policies only.
    """
    n_groups = N_ROUNDS // design.n_rounds_per_group // N_BATCHES
    large = replace(design, n_groups=n_groups, n_questions=None)
    rng = np.random.default_rng(SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means of nothing are left out below
        batches = [_of(large, draw(rng, large)) for _ in range(N_BATCHES)]
    return {
        name: Figure(
            float(np.mean([batch[name] for batch in batches])),
            float(np.std([batch[name] for batch in batches], ddof=1) / np.sqrt(N_BATCHES)),
        )
        for name in batches[0]
    }


def _of(d: Design, x: Drawn) -> dict[tuple[str, ...], float]:
    given = x.rates[..., None] & ~x.missing
    agreement = np.where(given, x.agreement, np.nan)
    quality = np.where(given, x.quality, np.nan)
    policies = np.array(d.statement_policies)
    of = {name: d.shown & (policies == name) for name in d.effects}
    found: dict[tuple[str, ...], float] = {}

    for name, mine in of.items():
        ratings = agreement[..., mine, :]
        ratings = ratings[~np.isnan(ratings)]
        found["mean", name] = float(ratings.mean())
        found["agrees", name] = float((ratings >= 5).mean())
        found["mean_quality", name] = float(np.nanmean(quality[..., mine, :]))
        for point in range(1, 8):
            found["share", name, str(point)] = float((ratings == point).mean())

    by_person = np.nanmean(agreement, axis=-1)  # [g, r, p, s]
    statistics = {
        "mean": np.nanmean(by_person, axis=2),
        "min": np.nanmin(by_person, axis=2),
        "median": _median(by_person, 2),
    }
    own_mean = {name: np.nanmean(by_person[..., mine], axis=-1) for name, mine in of.items()}
    for a, b in permutations((name for name in of if name != "human"), 2):
        for statistic, values in statistics.items():
            difference = np.nanmean(values[..., of[a]], -1) - np.nanmean(values[..., of[b]], -1)
            found["win", statistic, a, b] = _wins(difference)
            found["tie", statistic, a, b] = float((_sign(difference) == 0).mean())
        found["person_win", a, b] = _wins(own_mean[a] - own_mean[b])

    if "human" in of:
        best = {name: np.nanmax(by_person[..., mine], axis=-1) for name, mine in of.items()}
        for a in (name for name in of if name != "human"):
            found["against_human", "mean", a] = _wins(own_mean[a] - own_mean["human"])
            found["against_human", "best", a] = _wins(best[a] - best["human"])

    shown = d.shown & (policies != "human")
    included = x.included[..., shown]
    for name, values in (("agreement", by_person), ("quality", np.nanmean(quality, axis=-1))):
        values = values[..., shown]
        with_, without = (
            _median(np.where(included == flag, values, np.nan), 2) for flag in (True, False)
        )
        found["inclusion", name] = float(np.nanmean(with_ - without))

    if x.reward is not None and x.expected is not None:
        ratings, reward = by_person[..., shown], x.reward[..., shown]
        right, pairs = np.zeros((2, *ratings.shape[:-1]))  # [g, r, p]
        for i in range(ratings.shape[-1]):
            for j in range(i):
                sign = _sign(ratings[..., i] - ratings[..., j])
                ordered = np.sign(reward[..., i] - reward[..., j])
                right += sign * ordered == 1
                pairs += np.abs(sign) == 1
        found["accuracy",] = _mean_of_rounds(right, pairs, (2,))
        found["crossed",] = _crossed(ratings, reward)
        there = x.there[:, None, :, None]
        welfare = np.nanmean(np.where(there, x.expected, np.nan), axis=2)
        for name, mine in of.items():
            if name != "human" and d.n_statements == 3:
                found.update(_best_of_two(name, welfare[..., mine], statistics["mean"][..., mine]))
        found["bias",] = float(np.nanmean(x.expected[..., shown] - ratings))
    found.update(_divisive(d, x, by_person[..., shown]))
    if d.n_passes < 2:
        return found
    found["kappa",] = _kappa(agreement)
    for name, values in (("agreement", agreement), ("quality", quality)):
        first = np.where(np.isnan(values[..., 0]), values[..., 1], values[..., 0])
        for metric in ("ordinal", "interval"):
            found["alpha", name, metric] = _alpha(first[..., d.shown], metric)
    return found


def _crossed(ratings: np.ndarray, reward: np.ndarray) -> float:
    n_groups, n_rounds, n_people, n_statements = ratings.shape
    right, n = np.zeros((2, n_groups, n_rounds, n_people, n_people))
    for i, j in combinations(range(n_statements), 2):
        lean = reward[..., i] - reward[..., j]
        first = (ratings[..., i] > 4) & (ratings[..., j] < 4)  # [g, r, p]
        second = (ratings[..., i] < 4) & (ratings[..., j] > 4)
        both = first[..., :, None] & second[..., None, :]
        right += both & (lean[..., :, None] > lean[..., None, :])
        n += both
    # Two people are one unit, whichever of them is for the first statement.
    upper = np.triu(np.ones((n_people, n_people), dtype=bool))
    right, n = (np.where(upper, each + each.swapaxes(-1, -2), 0) for each in (right, n))
    return _mean_of_rounds(right, n, (2, 3))


def _mean_of_rounds(right: np.ndarray, n: np.ndarray, units: tuple[int, ...]) -> float:
    """The mean over rounds of the mean over units of right / n, those without left out."""
    some = n > 0
    share = np.where(some, right / np.where(some, n, 1), 0).sum(units)
    n_units = some.sum(units)
    return float((share[n_units > 0] / n_units[n_units > 0]).mean()) if some.any() else float("nan")


def _best_of_two(
    name: str, welfare: np.ndarray, realised: np.ndarray
) -> dict[tuple[str, ...], float]:
    """Of three statements [g, r, 3], two at a time."""
    best, won, lost = [], 0, 0
    for i, j, other in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        better = np.where(welfare[..., i] > welfare[..., j], realised[..., i], realised[..., j])
        best.append(better)
        sign = _sign(better - realised[..., other])
        won, lost = won + int((sign == 1).sum()), lost + int((sign == -1).sum())
    return {("best_of", name): float(np.mean(best)), ("best_of_wins", name): won / (won + lost)}


def _divisive(d: Design, x: Drawn, by_person: np.ndarray) -> dict[tuple[str, ...], float]:
    there = np.broadcast_to(x.there[:, None, :], x.position.shape)
    n = there.sum(-1)

    def smaller(values: np.ndarray, axis: int) -> np.ndarray:
        return np.minimum((values > 4).sum(axis), (values < 4).sum(axis))

    position = smaller(np.where(there, x.position, np.nan), 2)
    complete = (~np.isnan(by_person)).sum(2) == n[..., None]  # [g, r, s]
    less = smaller(by_person, 2) < position[..., None]
    counted = complete & (position > 0)[..., None]
    unanimous = (complete & ((by_person >= 5).sum(2) == n[..., None])).any(-1)
    whole = complete.all(-1) & (position > 0)
    return {
        ("less_divisive",): float(less[counted].mean()),
        ("unanimous",): float(unanimous[whole].mean()),
    }


def _kappa(agreement: np.ndarray) -> float:
    """1 - mean((a - b)^2) / (var a + var b + (mean a - mean b)^2), for each person."""
    both = ~np.isnan(agreement[..., :2]).any(-1)
    n_groups, _, n_people, _ = both.shape
    a, b = (  # [group, person, all that the person rated twice]
        np.where(both, agreement[..., k], np.nan).swapaxes(1, 2).reshape(n_groups, n_people, -1)
        for k in (0, 1)
    )
    chance = np.nanvar(a, -1) + np.nanvar(b, -1) + (np.nanmean(a, -1) - np.nanmean(b, -1)) ** 2
    chance = np.where(chance > 0, chance, np.nan)
    return float(np.nanmean(1 - np.nanmean((a - b) ** 2, -1) / chance))


def _alpha(first: np.ndarray, metric: str) -> float:
    """1 - observed / expected disagreement: ratings [g, r, p, s], a statement's people a unit."""
    units = np.moveaxis(first, 2, -1).reshape(-1, first.shape[2])
    units = units[(~np.isnan(units)).sum(-1) > 1]
    n_each = np.array([(units == point).sum() for point in range(1, 8)], dtype=float)
    # Ordinal: a point stands at the middle of its ratings in the order of all.
    middle = np.cumsum(n_each) - n_each / 2
    place = middle if metric == "ordinal" else np.arange(1.0, 8.0)
    at = np.where(np.isnan(units), np.nan, place[np.nan_to_num(units, nan=1).astype(int) - 1])
    # Of all pairs in a unit, the mean squared distance is twice the variance.
    observed = np.average(2 * np.nanvar(at, -1, ddof=1), weights=(~np.isnan(at)).sum(-1))
    expected = 2 * np.nanvar(at, ddof=1)
    return float(1 - observed / expected)


def _sign(difference: np.ndarray) -> np.ndarray:
    """-1, 0 or 1; what differs by rounding is a tie."""
    return np.sign(np.where(np.abs(difference) < 1e-9, 0, difference))


def _wins(difference: np.ndarray) -> float:
    sign = _sign(difference)
    return float((sign == 1).sum() / (np.abs(sign) == 1).sum())


def _median(values: np.ndarray, axis: int) -> np.ndarray:
    """The median along a short axis, NaN left out; NaN where nothing is left."""
    ordered = np.moveaxis(np.sort(values, axis=axis), axis, -1)  # NaN last
    n = (~np.isnan(ordered)).sum(-1)
    low = np.take_along_axis(ordered, ((n - 1) // 2).clip(0, None)[..., None], -1)
    high = np.take_along_axis(ordered, (n // 2).clip(None, ordered.shape[-1] - 1)[..., None], -1)
    return np.where(n > 0, ((low + high) / 2)[..., 0], np.nan)
