"""How many groups a study needs to tell a win rate from a coin toss.

Studies are simulated, and each is judged as the evaluation judges it (``bootstrap``): by whether
the 95 % interval of its win rate, from resampling whole groups, lies above 0.5. Groups come from a
pilot study, or from a few assumptions that are written down (docs/power.md).

A resampled win rate is above 0.5 exactly where its groups' wins less losses add up to more than 0.
The distribution of that sum is a convolution power of the study's own distribution over groups, so
the share of resamples on the wrong side is computed and not drawn: the bootstrap with infinitely
many resamples, for thousands of studies at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError
from commonweal.evaluation.statistics.group_outcomes import (
    Assumptions,
    GroupOutcomes,
    at_win_rate,
    mirrored,
)
from commonweal.measures.intervals import MIN_CLUSTERS, tail
from commonweal.types import no_progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray, Progress

    BoolArray = NDArray[np.bool_]
    ComplexArray = NDArray[np.complex128]

MAX_GROUPS = 5000
"""More are not simulated."""
FEW_GROUPS = 10
"""A pilot of fewer says little on how groups differ."""
GRID = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3, 1.5)
"""Numbers of groups that are simulated, as shares of a first guess."""
_NORMAL = NormalDist()
_TAIL = 0.025
_MAX_CELLS = 2**20


@dataclass(frozen=True, slots=True)
class PowerAt:
    """The power of studies with this many groups, with its Monte-Carlo 95 % interval (Wilson)."""

    n_groups: int
    power: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Power:
    """How many groups are needed.

    Attributes:
        win_rate: the true win rate that is to be detected.
        target: the power asked for.
        n_groups: the smallest number of groups that reaches it, by the fitted curve.
        n_groups_low: lower end of its Monte-Carlo 95 % interval.
        n_groups_high: upper end.
        table: what was simulated, by number of groups.
        false_alarms: how often a study of ``n_groups`` says that either policy wins more than
            half, where the true win rate is 0.5; 0.05 is right. None where a pilot's groups cannot
            stand for 0.5: all of them win more than half, or all less.
        n_simulations: studies a row of the table.
        seed: the same seed, the same result.
        warnings: what a reader should know before believing it, in sentences.
    """

    win_rate: float
    target: float
    n_groups: int
    n_groups_low: int
    n_groups_high: int
    table: tuple[PowerAt, ...]
    false_alarms: float | None
    n_simulations: int
    seed: int
    warnings: tuple[str, ...]


def groups_needed(
    groups: GroupOutcomes | Assumptions | None = None,
    *,
    win_rate: float,
    target: float = 0.8,
    n_simulations: int = 4000,
    seed: int = 0,
    on_progress: Progress = no_progress,
) -> Power:
    """The number of groups with which a study tells ``win_rate`` from 0.5 this often.

    Args:
        groups: a pilot's groups (``pilot_groups``), or what to assume.
        win_rate: the true win rate, ties left out; below 0.5 is the mirror of above.
        target: the power wanted.
        n_simulations: studies simulated for each number of groups.
        seed: of the simulation.
        on_progress: told of each simulated number of groups, in the stage "simulate".

    Raises:
        InputError: a value is out of its range, or more than 5,000 groups are needed.
    """
    if not 0 < win_rate < 1 or abs(win_rate - 0.5) < 0.005:
        raise InputError(
            f"the win rate is {win_rate}, expected between 0 and 1 and at least 0.005 away from "
            "0.5: what hardly differs from a coin toss takes too many groups to simulate"
        )
    if not 0.05 < target < 0.995:
        raise InputError(f"the power is {target}, expected above 0.05 and below 0.995")
    if n_simulations < 100:
        raise InputError(f"n_simulations is {n_simulations}, expected at least 100")
    groups = Assumptions() if groups is None else groups
    mirror = win_rate < 0.5
    at_rate = at_win_rate(groups, max(win_rate, 1 - win_rate), mirror=mirror)
    rng = np.random.default_rng(seed)
    guess = _first_guess(at_rate, target)
    for _ in range(5):  # a poor first guess is moved and tried again
        if guess > MAX_GROUPS:
            raise InputError(
                f"a win rate of {win_rate} needs more than {MAX_GROUPS:,} groups for a power of "
                f"{target:.0%}; expected a larger difference from 0.5, or a lower power"
            )
        sizes = np.unique([max(MIN_CLUSTERS, round(guess * share)) for share in GRID])
        powers = []
        for n_done, size in enumerate(sizes, start=1):
            powers.append(simulated_power(at_rate, int(size), n_simulations, rng))
            on_progress("simulate", n_done, len(sizes) + 1)
        needed = float(_size_at(sizes, np.array(powers)[None], n_simulations, target)[0])
        if needed <= sizes[-1] and (needed >= sizes[0] or sizes[0] == MIN_CLUSTERS):
            break
        guess = min(max(needed, guess / 4), guess * 4)
    else:
        raise InputError(
            f"no number of groups was found that gives a power of {target:.0%} at a win rate of "
            f"{win_rate}: the last tried were {sizes[0]} to {sizes[-1]} groups, with powers of "
            f"{powers[0]:.1%} to {powers[-1]:.1%}. Studies whose groups all win have no interval; "
            "expected a win rate further from 0 and 1"
        )
    redrawn = rng.binomial(n_simulations, powers, (2000, len(powers))) / n_simulations
    low, high = np.quantile(_size_at(sizes, redrawn, n_simulations, target), [_TAIL, 1 - _TAIL])
    n_groups = max(MIN_CLUSTERS, math.ceil(needed))
    warnings = _warnings(at_rate, n_groups)
    false_alarms = None
    try:
        at_half = at_win_rate(groups, 0.5, mirror=mirror)
    except InputError as error:
        warnings += (f"False alarms were not simulated: {error}.",)
    else:
        sides = (at_half, mirrored(at_half))
        false_alarms = sum(simulated_power(side, n_groups, n_simulations, rng) for side in sides)
    on_progress("simulate", len(sizes) + 1, len(sizes) + 1)
    return Power(
        win_rate=win_rate,
        target=target,
        n_groups=n_groups,
        n_groups_low=max(MIN_CLUSTERS, math.ceil(low)),
        n_groups_high=max(MIN_CLUSTERS, math.ceil(high)),
        table=tuple(
            PowerAt(int(size), power, *wilson(power, n_simulations))
            for size, power in zip(sizes, powers, strict=True)
        ),
        false_alarms=false_alarms,
        n_simulations=n_simulations,
        seed=seed,
        warnings=warnings,
    )


# ------------------------------------------------------------------------------------ simulation


def simulated_power(
    groups: GroupOutcomes, n_groups: int, n_simulations: int, rng: np.random.Generator
) -> float:
    """The share of simulated studies whose interval lies above 0.5.

    Args:
        groups: what a group is likely to bring.
        n_groups: groups of each study.
        n_simulations: studies.
        rng: what draws them.
    """
    kinds, kind = np.unique(np.stack([groups.wins, groups.losses]), axis=1, return_inverse=True)
    probability = np.bincount(kind.ravel(), weights=groups.probability)
    studies = rng.multinomial(n_groups, probability / probability.sum(), n_simulations)
    return float(detects(studies.astype(np.float64), *kinds).mean())


def detects(studies: FloatArray, wins: FloatArray, losses: FloatArray) -> BoolArray:
    """Whether the 95 % interval of each study's win rate lies above 0.5 [n_studies].

    As the evaluation has it, there is no interval, and so nothing is detected, with fewer than six
    groups that decide, or where all of them have the same win rate.

    Args:
        studies: groups of each kind in each study [n_studies, n_kinds], as many in each study.
        wins: rounds that a group of the kind wins [n_kinds].
        losses: rounds that it loses [n_kinds].
    """
    deciding = wins + losses > 0
    n_deciding = studies[:, deciding].sum(axis=1).astype(np.intp)
    rate = wins[deciding] / (wins + losses)[deciding]
    here = studies[:, deciding] > 0
    highest = np.where(here, rate, -np.inf).max(axis=1, initial=-np.inf)
    lowest = np.where(here, rate, np.inf).min(axis=1, initial=np.inf)
    allowed = np.zeros(studies.shape[0])
    for n in np.unique(n_deciding[n_deciding >= MIN_CLUSTERS]):
        allowed[n_deciding == n] = tail(int(n))
    is_detected: BoolArray = (bootstrap_tail(studies, wins - losses) < allowed) & (highest > lowest)
    return is_detected


def bootstrap_tail(studies: FloatArray, steps: FloatArray) -> FloatArray:
    """The share of bootstrap resamples whose steps add up to 0 or less [n_studies].

    With infinitely many resamples: the sum of n draws from a study's groups has the n-th power of
    their characteristic function, and the share is one sum over its values (a discrete Fourier
    transform, read at one place).

    Args:
        studies: groups of each kind in each study [n_studies, n_kinds], as many in each study.
        steps: wins less losses of each kind, whole numbers [n_kinds].
    """
    steps, same = np.unique(steps, return_inverse=True)  # kinds of one step are as good as one
    studies = studies @ np.eye(len(steps))[same.ravel()]
    n_groups = round(float(studies[0].sum()))
    lowest = n_groups * int(np.abs(steps).max())
    length = 2 * lowest + 1
    # Sums from -lowest to lowest are all that can be, and so many frequencies tell them apart. The
    # negative ones are the conjugates of the positive.
    frequency = 2 * np.pi / length * np.arange(lowest + 1)
    waves = np.exp(1j * np.outer(steps, frequency)) / n_groups
    # Adds up the probabilities of the sums from -lowest to 0: a geometric series.
    read = np.full(lowest + 1, lowest + 1, dtype=np.complex128)
    turn = np.exp(1j * frequency[1:])
    read[1:] = 2 * (1 - turn ** (lowest + 1)) / (1 - turn)
    tails = np.empty(len(studies))
    batch = max(1, _MAX_CELLS // len(frequency))
    for start in range(0, len(studies), batch):
        values = np.asarray(studies[start : start + batch] @ waves, dtype=np.complex128)
        # Most frequencies die out in the power; what is left of them is below rounding.
        alive = np.abs(values).max(axis=0) ** n_groups > 1e-15
        part = _power(values[:, alive], n_groups)
        tails[start : start + batch] = (part @ read[alive]).real / length
    return tails


def _power(values: ComplexArray, exponent: int) -> ComplexArray:
    """``values ** exponent`` by squaring: several times faster than numpy's for complex numbers."""
    result = np.ones_like(values)
    while exponent:
        if exponent % 2:
            result *= values
        values = values * values
        exponent //= 2
    return result


def _first_guess(groups: GroupOutcomes, target: float) -> float:
    """The number of groups by the normal approximation."""
    steps = groups.wins - groups.losses
    mean = float(groups.probability @ steps)
    variance = float(groups.probability @ steps**2) - mean**2
    z = _NORMAL.inv_cdf(1 - _TAIL) + _NORMAL.inv_cdf(target)
    return max(MIN_CLUSTERS, z**2 * variance / mean**2)


def _size_at(
    sizes: np.ndarray[tuple[int], np.dtype[np.int_]], power: FloatArray, n: int, target: float
) -> FloatArray:
    """The sizes [n_curves] at which fitted curves reach the target.

    The curve is a probit in the square root of the number of groups, which the normal
    approximation has exactly; fitted by weighted least squares to ``power`` [n_curves, n_sizes].
    """
    inside = (power * n + 0.5) / (n + 1)  # never 0 or 1
    few, places = np.unique(inside, return_inverse=True)  # shares of n: most stand there often
    z = np.array([_NORMAL.inv_cdf(share) for share in few])[places].reshape(inside.shape)
    weight = np.exp(-(z**2)) / (inside * (1 - inside))
    x = np.sqrt(sizes)
    total = weight.sum(1)
    x_mean, z_mean = (weight @ x) / total, (weight * z).sum(1) / total
    slope = (weight * (x - x_mean[:, None]) * (z - z_mean[:, None])).sum(1) / np.maximum(
        (weight * (x - x_mean[:, None]) ** 2).sum(1), 1e-12
    )
    at = x_mean + (_NORMAL.inv_cdf(target) - z_mean) / np.maximum(slope, 1e-6)
    size: FloatArray = np.clip(at, 0, 1e3) ** 2
    return size


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of n."""
    z = _NORMAL.inv_cdf(1 - _TAIL)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def _warnings(groups: GroupOutcomes, n_groups: int) -> tuple[str, ...]:
    warnings = []
    n_effective = 1 / float((groups.probability**2).sum())
    if groups.n_pilot_groups is not None and n_effective < FEW_GROUPS:
        warnings.append(
            f"Of the pilot's {groups.n_pilot_groups} groups, as many as {n_effective:.1f} carry "
            "weight at the win rate asked for: how much groups differ, and with it the number "
            "needed, is hardly known from so few."
        )
    if n_groups < FEW_GROUPS:
        warnings.append(
            f"With fewer than {FEW_GROUPS} groups an interval from resampling groups is rough: "
            "look at the false alarms, where they are known."
        )
    return tuple(warnings)
