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
from itertools import permutations

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
        that the reward orders the same way; statements of policies only.
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
        right = pairs = 0
        for i in range(ratings.shape[-1]):
            for j in range(i):
                sign = _sign(ratings[..., i] - ratings[..., j])
                ordered = np.sign(reward[..., i] - reward[..., j])
                right += int((sign * ordered == 1).sum())
                pairs += int((np.abs(sign) == 1).sum())
        found["accuracy",] = right / pairs
        found["bias",] = float(np.nanmean(x.expected[..., shown] - ratings))
    return found


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
