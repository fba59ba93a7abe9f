"""Candidates compared two by two: majorities, cycles, Schulze, ranked pairs, maximal lotteries.

These rules look at the order of each person's utilities alone, so they also take rankings
(``utilities_of_ranks``). Equal utilities are no preference either way. Arrays may hold many
profiles, [..., n_participants, n_candidates]. Libraries have these rules, and bring numba, OR-tools
or solvers of hundreds of megabytes; here each is a few lines (docs/decisions/028).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import WelfareDomainError
from commonweal.extras import needs

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    BoolArray = NDArray[np.bool_]

_BLOCK_ELEMENTS = 1 << 21


def utilities_of_ranks(ranks: ArrayLike) -> FloatArray:
    """Utilities that order as people's rankings do, same shape, from 1 for the last place up.

    For rules that look at the order alone; a mean of them is a Borda score, no agreement.

    Args:
        ranks: [..., n_participants, n_candidates], 1 is best; equal ranks are ties.

    Example:
        >>> utilities_of_ranks([[1, 2, 2]])
        array([[3., 2., 2.]])
    """
    r = np.asarray(ranks, dtype=np.float64)
    utilities: FloatArray = r.shape[-1] + 1 - r
    return utilities


def margins(utilities: ArrayLike) -> IntArray:
    """By how many more people candidate a is preferred to b than b to a, [..., a, b].

    Raises:
        WelfareDomainError: the shape is none of profiles, or a utility is not a number.
    """
    u = checked_profile(utilities)
    shape = (*u.shape[:-2], u.shape[-1], u.shape[-1])
    profiles = u.reshape(-1, *u.shape[-2:])
    result = np.empty((len(profiles), *shape[-2:]), np.int64)
    step = max(1, _BLOCK_ELEMENTS // max(1, profiles[0].size * u.shape[-1]))
    for start in range(0, len(profiles), step):
        block = profiles[start : start + step]
        total = np.zeros((len(block), *shape[-2:]), np.int64)
        for person in range(u.shape[-2]):
            own = block[:, person]
            total += own[:, :, None] > own[:, None, :]
        result[start : start + step] = total - total.transpose(0, 2, 1)
    return result.reshape(shape)


def top_cycle(utilities: ArrayLike) -> tuple[int, ...]:
    """The fewest candidates that each beat or tie every other one to one (Smith's set).

    One candidate is a Condorcet winner; several are a cycle or a tie of majorities.

    Args:
        utilities: [n_participants, n_candidates].

    Source: Smith 1973, "Aggregation of preferences with variable electorate".

    Example:
        >>> top_cycle([[3, 2, 1], [1, 3, 2], [2, 1, 3]])
        (0, 1, 2)
    """
    beats = margins(utilities) > 0
    n = len(beats)
    # Who is not beaten by a set's outside is in it: grown from the candidate that loses least.
    inside = {int(np.argmax(beats.sum(axis=1)))}
    while more := {
        other
        for other in range(n)
        if other not in inside and any(not beats[one, other] for one in inside)
    }:
        inside |= more
    return tuple(sorted(inside))


def schulze(utilities: ArrayLike) -> FloatArray:
    """A chain of majorities: no other candidate has a stronger one to it than it has back.

    Welfare is minus the number of candidates that are better, [..., n_candidates], so that 0 is a
    winner; several are tied. A chain is as strong as the smallest margin in it.

    Source: Schulze 2011, "A new monotonic, clone-independent, reversal symmetric, and
    Condorcet-consistent single-winner election method".
    """
    m = margins(utilities)
    strength = np.where(m > 0, m, 0)
    for middle in range(m.shape[-1]):
        through = np.minimum(strength[..., :, middle, None], strength[..., None, middle, :])
        np.maximum(strength, through, out=strength)
    better = strength > strength.swapaxes(-1, -2)
    return np.asarray(-better.sum(axis=-2), np.float64)


def ranked_pairs(utilities: ArrayLike) -> FloatArray:
    """Majorities locked in from the largest margin down, but for those that would make a cycle.

    Welfare is minus the number of candidates from which a chain leads to it, [..., n_candidates]:
    0 is a winner. Equal margins are locked in the order of generation, first that of the one that
    wins: trying all orders takes too long, so at such ties the rule is not neutral.

    Source: Tideman 1987, "Independence of clones as a criterion for voting rules".
    """
    m = margins(utilities)
    n = m.shape[-1]
    flat = m.reshape(-1, n, n)
    leads = np.zeros(flat.shape, np.bool_)
    rows = np.arange(len(flat))
    order = np.argsort(-flat.reshape(len(flat), n * n), axis=1, kind="stable")
    for place in range(n * (n - 1) // 2):
        winner, loser = np.divmod(order[:, place], n)
        is_new = (flat[rows, winner, loser] > 0) & ~leads[rows, loser, winner]
        if not is_new.any():
            if (flat[rows, winner, loser] <= 0).all():
                break
            continue
        these = rows[is_new]
        won, lost = winner[is_new], loser[is_new]
        before, after = leads[these, :, won], leads[these, lost, :]
        at = np.arange(len(these))
        before[at, won] = True
        after[at, lost] = True
        leads[these] |= before[:, :, None] & after[:, None, :]
    return np.asarray(-leads.sum(axis=1), np.float64).reshape(*m.shape[:-2], n)


def maximal_lotteries(utilities: ArrayLike) -> FloatArray:
    """The lottery over candidates that no other lottery beats by expected margins.

    Welfare is each candidate's probability, [n_candidates]: what is picked is the most probable
    one; who wants the lottery draws from it. A Condorcet winner has probability 1, the candidates
    of a cycle share it. Where several lotteries are maximal (ties), it is the mean of those that
    give each candidate as much as any does.

    Args:
        utilities: [..., n_participants, n_candidates].

    Source: Fishburn 1984, "Probabilistic social choice based on simple voting comparisons"; Brandl,
    Brandt and Seedig 2016, "Consistent probabilistic social choice".
    """
    m = margins(utilities)
    n = m.shape[-1]
    flat = m.reshape(-1, n, n)
    wins: BoolArray = np.asarray(((flat > 0) | np.eye(n, dtype=np.bool_)).all(axis=-1))
    result: FloatArray = np.asarray(wins, np.float64)
    for row in np.flatnonzero(~wins.any(axis=1)):
        result[row] = _lottery(flat[row])
    return result.reshape(*m.shape[:-2], n)


def _lottery(m: IntArray) -> FloatArray:
    # Imported here: it takes a while to load, and most groups have a Condorcet winner.
    with needs("data", "a lottery over a majority cycle"):
        from scipy.optimize import linprog

    n = len(m)

    def most_for(goal: FloatArray) -> FloatArray:
        solution = linprog(
            -goal,
            A_ub=-m.T.astype(np.float64),
            b_ub=np.zeros(n),
            A_eq=np.ones((1, n)),
            b_eq=[1.0],
            bounds=(0, 1),
            method="highs",
        )
        p = np.clip(solution.x, 0, None)
        return np.asarray(p / p.sum(), np.float64)

    # Odd margins throughout: there is one lottery alone (Laffond, Laslier and Le Breton 1997).
    if (m[~np.eye(n, dtype=np.bool_)] % 2 == 1).all():
        return most_for(np.zeros(n))
    mean: FloatArray = np.mean([most_for(goal) for goal in np.eye(n)], axis=0)
    return mean


def checked_profile(utilities: ArrayLike) -> FloatArray:
    """The utilities as an array of profiles.

    Raises:
        WelfareDomainError: the shape is none of profiles, or a utility is not a number.
    """
    u = np.asarray(utilities, dtype=np.float64)
    if u.ndim < 2 or 0 in u.shape[-2:]:
        raise WelfareDomainError(
            f"got utilities of shape {u.shape}, expected [..., n_participants, n_candidates] with "
            "at least one participant and one candidate"
        )
    if np.isnan(u).any():
        where = tuple(int(i) for i in np.argwhere(np.isnan(u))[0])
        raise WelfareDomainError(f"utility at index {where} is not a number")
    return u
