"""What a group brings to a comparison of two policies: rounds won and rounds lost.

From the groups of a pilot study, or from a few assumptions (reasons: docs/power.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError
from commonweal.evaluation.rounds.rated import rated, sign
from commonweal.measures.bootstrap import by_group

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.types import FloatArray


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is assumed of a study where there is no pilot. Reasons: docs/power.md.

    Attributes:
        rounds_per_group: questions that each group takes.
        tie_share: rounds where the two policies come out even, and which are left out.
        icc: intraclass correlation of winning within a group: 0, rounds of a group are as
            different as rounds of different groups; 1, a group always decides the same way.
    """

    rounds_per_group: int = 3
    tie_share: float = 0.1
    icc: float = 0.1

    def __post_init__(self) -> None:
        for name, ok, expected in (
            ("rounds_per_group", 1 <= self.rounds_per_group <= 20, "from 1 to 20"),
            ("tie_share", 0 <= self.tie_share < 1, "at least 0 and below 1"),
            ("icc", 0 <= self.icc < 1, "at least 0 and below 1"),
        ):
            if not ok:
                raise InputError(f"{name} is {getattr(self, name)}, expected {expected}")


@dataclass(frozen=True, slots=True, eq=False)
class GroupOutcomes:
    """What a group is likely to bring, as a distribution over kinds of groups.

    Attributes:
        probability: of each kind [n_kinds], sums to 1.
        wins: rounds that such a group wins [n_kinds].
        losses: rounds that it loses [n_kinds]; ties are in neither.
        n_pilot_groups: groups of the pilot behind it; None without a pilot.
    """

    probability: FloatArray
    wins: FloatArray
    losses: FloatArray
    n_pilot_groups: int | None = None

    @property
    def win_rate(self) -> float:
        """The share of decided rounds that are won."""
        won, lost = self.probability @ self.wins, self.probability @ self.losses
        return float(won / (won + lost))


def at_win_rate(
    groups: GroupOutcomes | Assumptions, win_rate: float, *, mirror: bool
) -> GroupOutcomes:
    """Groups of this win rate; mirrored, a pilot's losses count as its wins."""
    if isinstance(groups, Assumptions):
        return assumed_groups(groups, win_rate)
    return tilted(mirrored(groups) if mirror else groups, win_rate)


def mirrored(groups: GroupOutcomes) -> GroupOutcomes:
    """The same groups from the other policy's side."""
    return replace(groups, wins=groups.losses, losses=groups.wins)


def assumed_groups(assumptions: Assumptions, win_rate: float) -> GroupOutcomes:
    """Groups whose own win rates follow a beta distribution with this mean and correlation."""
    n = assumptions.rounds_per_group
    kinds = [(w, lost) for w in range(n + 1) for lost in range(n + 1 - w)]
    log_p = []
    for w, lost in kinds:
        tied = n - w - lost
        if tied and not assumptions.tie_share:
            log_p.append(-math.inf)
            continue
        ways = math.lgamma(n + 1) - sum(math.lgamma(k + 1) for k in (w, lost, tied))
        share = tied * math.log(assumptions.tie_share) if tied else 0.0
        share += (w + lost) * math.log1p(-assumptions.tie_share)
        log_p.append(ways + share + _log_decided(w, lost, win_rate, assumptions.icc))
    wins, losses = np.array(kinds, dtype=float).T
    return GroupOutcomes(np.exp(log_p), wins, losses)


def _log_decided(wins: int, losses: int, win_rate: float, icc: float) -> float:
    """Log-probability of these wins and losses in this order, beta-binomial."""
    if icc == 0:
        return wins * math.log(win_rate) + losses * math.log1p(-win_rate)
    a, b = (share * (1 - icc) / icc for share in (win_rate, 1 - win_rate))

    def log_beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    return log_beta(a + wins, b + losses) - log_beta(a, b)


def pilot_groups(
    dataset: Dataset, *, policy: str, baseline: str, statistic: str = "mean"
) -> GroupOutcomes:
    """The groups of a pilot study, each as likely: how many rounds ``policy`` won and lost.

    A round is won where the average over the policy's statements of the group's agreement
    (``statistic``: mean, min or median over people, each person's passes averaged) is higher.

    Raises:
        InputError: one of the policies is not there, or no round decides between them.
    """
    if statistic not in ("mean", "min", "median"):
        raise InputError(f"the statistic is {statistic!r}, expected mean, min or median")
    of_pilot = rated(dataset.first_rounds())
    for name in (policy, baseline):
        if name not in of_pilot.policies:
            raise InputError(
                f"no rated statement is by {name!r}; expected one of {', '.join(of_pilot.policies)}"
            )
    if policy == baseline:
        raise InputError(f"the policy and the baseline are both {policy!r}; expected two policies")
    by_policy = of_pilot.by_round(statistic)
    ours, theirs = (by_policy[:, of_pilot.policies.index(name)] for name in (policy, baseline))
    outcome = sign(ours - theirs)  # nan where one has no ratings
    counted = by_group(
        np.stack([outcome == 1, outcome == -1, ~np.isnan(outcome)], axis=1),
        of_pilot.round_group,
        of_pilot.n_groups,
    )
    wins, losses, compared = counted[counted[:, 2] > 0].T
    if not (wins + losses).any():
        raise InputError(
            f"no round of the pilot decides between {policy!r} and {baseline!r}: expected rounds "
            "with rated statements of both that do not come out even"
        )
    n = len(compared)
    return GroupOutcomes(np.full(n, 1 / n), wins, losses, n_pilot_groups=n)


def tilted(groups: GroupOutcomes, win_rate: float) -> GroupOutcomes:
    """The same groups, those that win more often made likelier until this is the win rate.

    The exponential tilt: of all reweightings that have the win rate, the nearest to the groups as
    they were (in Kullback-Leibler divergence). What groups are like, ties and clustering, stays.

    Raises:
        InputError: no reweighting of these groups has it.
    """
    surplus = groups.wins - win_rate * (groups.wins + groups.losses)
    if not (surplus > 1e-12).any() or not (surplus < -1e-12).any():
        raise InputError(
            f"the pilot's groups cannot stand for a win rate of {win_rate:.3g}: "
            f"{'none wins' if (surplus <= 1e-12).all() else 'each wins'} more often than that; "
            "expected a pilot with groups on both sides, or no pilot"
        )

    def weights(tilt: float) -> FloatArray:
        exponent = tilt * surplus
        raw = groups.probability * np.exp(exponent - exponent.max())
        normal: FloatArray = raw / raw.sum()
        return normal

    low, high = -1.0, 1.0
    while weights(low) @ surplus > 0:
        low *= 2
    while weights(high) @ surplus < 0:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if weights(middle) @ surplus < 0 else (low, middle)
    return replace(groups, probability=weights(high))
