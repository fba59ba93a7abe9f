"""Rules of thresholds: approval, quantiles, and what no coalition can veto.

Arrays may hold many profiles, [..., n_participants, n_candidates], of expected ratings from 1 to 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError
from commonweal.extras import needs
from commonweal.rules.pairwise import checked_profile
from commonweal.types import RATING_MAX, RATING_NEUTRAL

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from commonweal.rules.pairwise import BoolArray, FloatArray

MAX_ENUMERATED = 10
"""People up to which all coalitions are looked at; with more a flow is sought."""


@dataclass(frozen=True, slots=True)
class Approval:
    """The candidate that most people approve: whose rating lies above the threshold.

    Attributes:
        above: approved is what is rated higher; neutral by default.

    Source: Brams and Fishburn 1978, "Approval voting".
    """

    above: float = RATING_NEUTRAL

    @classmethod
    def from_spec(cls, above: str = "") -> Approval:
        """With the threshold that follows the colon, as in "approval:5".

        Raises:
            InputError: that is no number.
        """
        return cls(_number("approval", above, "a rating") if above else RATING_NEUTRAL)

    @property
    def name(self) -> str:
        """As it is chosen."""
        return "approval"

    @property
    def alpha(self) -> None:
        """None: it is outside the isoelastic family."""
        return

    def welfare(self, utilities: ArrayLike) -> FloatArray:
        """The largest share of people who agree: rating above neutral, or above the threshold."""
        share: FloatArray = (checked_profile(utilities) > self.above).mean(axis=-2)
        return share


@dataclass(frozen=True, slots=True)
class Quantile:
    """The candidate whose rating by the person at this share from below is highest.

    Attributes:
        share: 0 is the least-agreeing person, 0.5 the median, 1 the most-agreeing.
    """

    share: float = 0.25

    @classmethod
    def from_spec(cls, share: str = "") -> Quantile:
        """With the share that follows the colon, as in "quantile:0.1".

        Raises:
            InputError: that is no share.
        """
        value = _number("quantile", share, "a share from 0 to 1") if share else 0.25
        if not 0 <= value <= 1:
            raise InputError(f"quantile:{share}: expected a share from 0 to 1")
        return cls(value)

    @property
    def name(self) -> str:
        """As it is chosen."""
        return "quantile"

    @property
    def alpha(self) -> None:
        """None: it is outside the isoelastic family."""
        return

    def welfare(self, utilities: ArrayLike) -> FloatArray:
        """The highest rating by who stands at a quarter (or the given share) from below."""
        u = np.sort(checked_profile(utilities), axis=-2)
        n = u.shape[-2]
        # The smallest rating that at least this share do not exceed (inverse of the distribution).
        at = max(0, int(np.ceil(self.share * n - 1e-9)) - 1)
        welfare: FloatArray = u[..., at, :]
        return welfare


def veto_core(utilities: ArrayLike) -> FloatArray:
    """The highest mean among candidates that no coalition can veto with its share of vetoes.

    A coalition of t of n people may veto ceil(m · t / n) - 1 of m candidates. It blocks a candidate
    where its members all strictly prefer so many others that those left over are few enough to be
    vetoed. The core is never empty. Welfare is the mean rating, [..., n_candidates], lowered
    outside the core by the scale's maximum (7), or by more where utilities, as ranks, lie further
    apart. Equal ratings are no reason to block.

    Source: Moulin 1981, "The proportional veto principle"; Ianovski and Kondratev 2021, "Computing
    the proportional veto core", for the reduction to a flow.
    """
    u = checked_profile(utilities)
    mean: FloatArray = u.mean(axis=-2)
    lower = max(float(RATING_MAX), float(np.ptp(u)) + 1) if u.size else RATING_MAX
    return np.where(in_veto_core(u), mean, mean - lower)


def in_veto_core(utilities: ArrayLike) -> BoolArray:
    """Which candidates no coalition can veto, [..., n_candidates]; see ``veto_core``."""
    u = checked_profile(utilities)
    profiles = u.reshape(-1, *u.shape[-2:])
    n_people, n = u.shape[-2:]
    if n_people > MAX_ENUMERATED:
        is_in_core = np.array([[_has_flow(one, x) for x in range(n)] for one in profiles])
        return is_in_core.reshape(*u.shape[:-2], n)
    result = np.ones((len(profiles), n), np.bool_)
    step = max(1, (1 << 21) // (n * n * n_people))
    for start in range(0, len(profiles), step):
        block = profiles[start : start + step]
        # [block, person, y, x]: y is strictly better than x for the person.
        better = block[:, :, :, None] > block[:, :, None, :]
        for size in range(1, n_people + 1):
            for coalition in combinations(range(n_people), size):
                n_better = better[:, coalition].all(axis=1).sum(axis=1)
                # ceil(n t / p) - 1 vetoes, without rounding: n t + p · n_better > p n.
                blocked = n * size + n_people * n_better > n_people * n
                result[start : start + step] &= ~blocked
    return result.reshape(*u.shape[:-2], n)


def _has_flow(u: FloatArray, x: int) -> bool:
    """Whether everybody can spend m vetoes on candidates that they do not prefer to x, each
    candidate taking n: then no coalition blocks x (by max-flow min-cut).
    """
    with needs("data", "the proportional veto core"):
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import maximum_flow

    n_people, n = u.shape
    source, sink = n_people + n, n_people + n + 1
    capacity = np.zeros((sink + 1, sink + 1), np.int32)
    capacity[source, :n_people] = n
    capacity[n_people : n_people + n, sink] = n_people
    capacity[:n_people, n_people : n_people + n] = (u <= u[:, [x]]) * (n * n_people)
    flow = maximum_flow(csr_array(capacity), source, sink)
    return bool(flow.flow_value == n * n_people)


def _number(rule: str, text: str, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"{rule}:{text}: {text!r} is not a number; expected {expected}")
    return value
