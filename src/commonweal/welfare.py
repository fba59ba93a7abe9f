"""Social welfare: from a utility profile to one number a candidate, and the choice among them.

The isoelastic family of the paper (3.3, eq. 1), for utilities u_i > 0 and inequality aversion α:

    W_α(u) = ( mean_i u_i^(1-α) )^(1/(1-α))     α ≥ 0, α ≠ 1
    W_1(u) = exp( mean_i log u_i )               the Bernoulli-Nash welfare, the limit at 1
    W_∞(u) = min_i u_i                           the Rawlsian welfare, the limit at infinity

This power mean is the paper's eq. 1. It is in the unit of the utilities (expected agreement, 1 to
7) for every α, so that one may read it and compare across groups of different sizes
(docs/decisions/002-welfare.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from commonweal.errors import WelfareDomainError

# Not for type checkers alone: typing.get_type_hints looks for them in this module.
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

WELFARE_FUNCTIONS: dict[str, float] = {
    "utilitarian": 0.0,
    "bernoulli_nash": 1.0,
    "rawlsian": math.inf,
}
"""The named members of the family and their α."""

TIE_TOLERANCE = 1e-12
"""Two welfares within this relative distance are tied: nearer than rounding can tell apart."""


def welfare_name(alpha: float) -> str:
    """The name of the welfare function with this α: "rawlsian", or "isoelastic, α = 2".

    Example:
        >>> welfare_name(1), welfare_name(2.5)
        ('bernoulli_nash', 'isoelastic, α = 2.5')
    """
    for name, known in WELFARE_FUNCTIONS.items():
        if alpha == known:
            return name
    return f"isoelastic, α = {alpha:g}"


@runtime_checkable
class WelfareRule(Protocol):
    """A way to choose for a group, as a value that can be stored: its name, and α if it has one."""

    @property
    def name(self) -> str:
        """The name under which it is chosen and recorded."""
        ...

    @property
    def alpha(self) -> float | None:
        """The inequality aversion of a rule of the isoelastic family; None for any other rule."""
        ...

    def welfare(self, utilities: FloatArray) -> FloatArray:
        """The welfare of each candidate, float64 [n_candidates], higher is better.

        Args:
            utilities: float64 [n_participants, n_candidates], expected ratings in (1, 7).
        """
        ...


@dataclass(frozen=True, slots=True)
class Isoelastic:
    """The rule of the isoelastic family with this α (paper 3.3, eq. 1).

    Raises:
        WelfareDomainError: ``alpha`` is negative or not a number.
    """

    alpha: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", _checked_alpha(self.alpha))

    @property
    def name(self) -> str:
        """As ``welfare_name`` says it."""
        return welfare_name(self.alpha)

    def welfare(self, utilities: FloatArray) -> FloatArray:
        """The welfare of each candidate, [n_candidates], in the unit of the utilities.

        Raises:
            WelfareDomainError: a utility is not above 0.
        """
        return isoelastic(utilities, self.alpha)


def isoelastic(
    utilities: ArrayLike, alpha: float, *, present: ArrayLike | None = None
) -> FloatArray:
    """The isoelastic welfare W_α of each candidate, shape [...], same unit as the utilities.

    Args:
        utilities: [..., n_participants, n_candidates], finite and above 0.
        alpha: inequality aversion, at least 0; ``math.inf`` is the Rawlsian case.
        present: booleans that broadcast to ``utilities``; False marks a missing utility, which is
            left out of the mean (its value is never looked at). All present by default.

    Returns:
        [..., n_candidates]. NaN where nobody's utility is present: there is no welfare without
        people, and ``rank`` refuses it.

    Raises:
        WelfareDomainError: ``alpha`` or a present utility lies outside the domain.

    Source: paper 3.3, eq. 1. Computed from differences to the dominant log-utility, so that no
    finite α overflows, and with expm1/log1p, so that it is smooth through α = 1.

    Example:
        >>> isoelastic([[2.0, 6.0], [5.0, 1.5]], alpha=0)
        array([3.5 , 3.75])
        >>> isoelastic([[2.0, 6.0], [5.0, 1.5]], alpha=math.inf)
        array([2. , 1.5])
    """
    alpha = _checked_alpha(alpha)
    u, mask = _checked_profile(utilities, present)
    n_participants, n_candidates = u.shape[-2:]
    rounds = u.reshape(-1, n_participants, n_candidates)
    masks = None if mask is None else mask.reshape(rounds.shape)
    result = np.empty((len(rounds), n_candidates))
    # A block at a time, so that the steps in between stay in the processor's cache.
    n_rounds = max(1, _BLOCK_ELEMENTS // max(1, n_participants * n_candidates))
    for start in range(0, len(rounds), n_rounds):
        block = slice(start, start + n_rounds)
        try:
            result[block] = _power_mean(
                rounds[block], None if masks is None else masks[block], alpha
            )
        except _OutsideDomainError:
            raise _domain_error(u, mask) from None
    return result.reshape(*u.shape[:-2], n_candidates)


_BLOCK_ELEMENTS = 1 << 16


def _power_mean(u: FloatArray, mask: BoolArray | None, alpha: float) -> FloatArray:
    """W_α over axis 1 of [n_rounds, n_participants, n_candidates]; NaN where nobody is present."""
    # People first, each person's numbers in one piece: numpy reduces that several times as fast.
    u = np.ascontiguousarray(u.transpose(1, 0, 2))
    n_people = len(u)
    n_present: IntArray | int = n_people
    if mask is not None:
        mask = mask.transpose(1, 0, 2)
        n_present = mask.sum(axis=0)
    low = (u if mask is None else np.where(mask, u, np.inf)).min(axis=0)
    known = u if mask is None else np.where(mask, u, 0.0)
    high = known.max(axis=0)
    # Not a number fails both comparisons, as it should.
    if not ((low > 0) & (high < math.inf)).all():
        raise _OutsideDomainError
    if alpha == math.inf:
        return low if mask is None else np.where(n_present > 0, low, np.nan)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        if alpha == 0:
            # Divided before they are added: the sum of huge utilities would overflow.
            result = (known * (1 / n_people)).sum(axis=0) * (n_people / n_present)
        elif alpha == 1:
            logs = np.log(u if mask is None else np.where(mask, u, 1.0))
            result = np.exp(logs.sum(axis=0) / n_present)
        else:
            # Relative to the utility that dominates the mean: the smallest for α > 1, else the
            # largest. So no power overflows. Who is missing takes its place, and adds 1 - 1 = 0.
            dominant = low if alpha > 1 else high
            if mask is not None:
                u = np.where(mask, u, dominant)
            exponents = np.log(u)
            exponents -= np.log(dominant)
            exponents *= 1 - alpha
            if abs(1 - alpha) < _NEAR_ONE:
                mean_less_one = np.expm1(exponents, out=exponents).sum(axis=0) / n_present
            else:
                mean_less_one = (
                    np.exp(exponents, out=exponents).sum(axis=0) - n_people
                ) / n_present
            steps = np.log1p(mean_less_one) / (1 - alpha)  # from the dominant utility, in logs
            result = dominant * np.exp(steps)
            if (far := np.abs(steps) > _FAR).any():  # the factor alone leaves floating point
                result = np.where(far, np.exp(np.log(dominant) + steps), result)
    # A mean lies between its extremes; rounding must not carry it past them.
    result = np.minimum(np.maximum(result, low), high)
    return result if mask is None else np.where(n_present > 0, result, np.nan)


_FAR = 700.0
"""exp() of more overflows, of less than its negative it is 0."""

_NEAR_ONE = 0.1
"""Within this of α = 1 the plain exponential loses digits and expm1, slower, is used instead."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates in the order of their welfare.

    Attributes:
        order: [n_candidates] indices, best first; ties in the order of generation.
        ranks: [n_candidates] rank of each candidate, 1 for the best; tied candidates share the
            better rank ("1, 1, 3").
        tied_best: indices of all candidates that share the best welfare, as generated.
    """

    order: tuple[int, ...]
    ranks: tuple[int, ...]
    tied_best: tuple[int, ...]

    @property
    def best(self) -> int:
        """The index of the chosen candidate: of those that tie, the one generated first."""
        return self.tied_best[0]

    @property
    def is_tie(self) -> bool:
        """Whether another candidate has the same welfare as the best."""
        return len(self.tied_best) > 1


def rank(welfare: ArrayLike) -> Ranking:
    """The candidates of one round ranked by welfare [n_candidates], ties to the first generated.

    Welfares are tied where they differ by less than ``TIE_TOLERANCE``, relatively, from the
    highest of their tie.

    Raises:
        WelfareDomainError: no candidates, or one without a welfare.

    Example:
        >>> rank([3.5, 5.0, 5.0]).ranks
        (3, 1, 1)
    """
    values = np.asarray(welfare, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise WelfareDomainError(
            f"got welfare of shape {values.shape}, expected [n_candidates] with at least one"
        )
    missing = np.flatnonzero(np.isnan(values))
    if missing.size:
        raise WelfareDomainError(
            f"candidate {missing[0]} (counting from 0) has no welfare: nobody's utility is present"
        )
    # Sorted by value, then each run of near-equal values back into the order of generation.
    runs: list[list[int]] = []
    for index in np.argsort(-values, kind="stable"):
        head = values[runs[-1][0]] if runs else math.inf
        if runs and head - values[index] <= TIE_TOLERANCE * abs(head):
            runs[-1].append(int(index))
        else:
            runs.append([int(index)])
    ranks = [0] * values.size
    order: list[int] = []
    for run in runs:
        for index in run:
            ranks[index] = len(order) + 1
        order.extend(sorted(run))
    return Ranking(tuple(order), tuple(ranks), tuple(sorted(runs[0])))


def best(welfare: ArrayLike) -> IntArray:
    """The index of the best candidate of each round, [...] from welfare [..., n_candidates].

    Ties go to the candidate generated first, as in ``rank``.

    Raises:
        WelfareDomainError: no candidates, or one without a welfare.

    Example:
        >>> best([[3.0, 5.0, 5.0], [4.0, 1.0, 2.0]])
        array([1, 0])
    """
    values = np.asarray(welfare, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise WelfareDomainError(
            f"got welfare of shape {values.shape}, expected [..., n_candidates] with at least one"
        )
    if np.isnan(values).any():
        where = tuple(int(i) for i in np.argwhere(np.isnan(values))[0])
        raise WelfareDomainError(f"no welfare at index {where}: nobody's utility is present")
    highest = values.max(axis=-1, keepdims=True)
    # argmax of booleans is the first True: the first generated of those that tie.
    indices: IntArray = np.argmax(highest - values <= TIE_TOLERANCE * np.abs(highest), axis=-1)
    return indices


def _checked_alpha(alpha: float) -> float:
    try:
        value = float(alpha)
    except (TypeError, ValueError):
        value = math.nan
    if math.isnan(value) or value < 0:
        raise WelfareDomainError(
            f"alpha is {alpha!r}, expected a number from 0 (utilitarian) up to inf (rawlsian)"
        )
    return value


def _checked_profile(
    utilities: ArrayLike, present: ArrayLike | None
) -> tuple[FloatArray, BoolArray | None]:
    try:
        u = np.asarray(utilities, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise WelfareDomainError(
            f"utilities are not an array of finite numbers: {error}; expected "
            "[n_participants, n_candidates], each finite and above 0"
        ) from None
    if u.ndim < 2 or 0 in u.shape[-2:]:
        raise WelfareDomainError(
            f"got utilities of shape {u.shape}, expected [..., n_participants, n_candidates] "
            "with at least one participant and one candidate"
        )
    return u, None if present is None else _checked_mask(present, u.shape)


class _OutsideDomainError(Exception):
    """Some utility is outside the domain; which one is sought only then."""


def _domain_error(u: FloatArray, mask: BoolArray | None) -> WelfareDomainError:
    bad = ~((u > 0) & np.isfinite(u))
    where = tuple(int(i) for i in np.argwhere(bad if mask is None else bad & mask)[0])
    return WelfareDomainError(
        f"utility at index {where} is {u[where]}, expected a finite number above 0; mark it as "
        "missing with `present` if it is unknown"
    )


def _checked_mask(present: ArrayLike, shape: tuple[int, ...]) -> BoolArray:
    given = np.asarray(present)
    if given.dtype != np.bool_:
        raise WelfareDomainError(f"present has type {given.dtype}, expected booleans")
    try:
        return np.broadcast_to(given, shape)
    except ValueError:
        raise WelfareDomainError(
            f"present has shape {given.shape}, which does not fit utilities of {shape}"
        ) from None
