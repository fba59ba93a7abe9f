"""Whether the statement that a model picks for a group is one that its people really agree with.

The paper's claim is that choosing by predicted welfare raises agreement. Here it is replayed on
answers that people gave already: groups of real people, and statements that all of them rated and
none of them wrote. The model sees their opinions alone, picks, and what they had really said of the
pick is looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from commonweal.measures.intervals import NOTHING, Estimate, Resampled, ratio
from commonweal.rewards.resampling import Draws
from commonweal.rewards.scoring import SEED, ScoredRound, rng_of
from commonweal.welfare import WELFARE_FUNCTIONS, best, isoelastic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import Calibration, FloatArray

    BoolArray = NDArray[np.bool_]
    IntArray = NDArray[np.int64]

GROUP_SIZE = 5
N_STATEMENTS = 16
MAX_GROUPS = 1000

_BATCH = 512
_GIVE_UP = 10
"""Batches in a row that bring no new group, after which no more are looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Groups of people, and statements that everybody in the group rated.

    Attributes:
        people: int64 [n_groups, group_size], rows; no two groups hold the same people.
        statements: int64 [n_groups, n_statements], columns, in random order.
    """

    people: IntArray
    statements: IntArray

    def __len__(self) -> int:
        return len(self.people)


def find_groups(
    rated: BoolArray,
    rng: np.random.Generator,
    *,
    group_size: int = GROUP_SIZE,
    n_statements: int = N_STATEMENTS,
    max_groups: int = MAX_GROUPS,
) -> Groups:
    """Different groups of people who all rated the same statements.

    A group grows one person at a time, each drawn from those with whom it still shares enough
    statements, so that rare groups are found too. Groups overlap, and are not drawn evenly: people
    who rated much are in more of them.

    Args:
        rated: booleans [n_people, n_statements], who rated what.
        rng: draws people, statements and their order.
        group_size: people in a group.
        n_statements: statements in a group.
        max_groups: stop at so many.
    """
    n_people = len(rated)
    shared = rated.astype(np.float32)
    groups: dict[tuple[int, ...], IntArray] = {}
    n_barren = 0
    while n_people >= group_size and len(groups) < max_groups and n_barren < _GIVE_UP:
        common = np.ones((_BATCH, rated.shape[1]), dtype=np.float32)
        chosen = np.zeros((_BATCH, 0), dtype=np.int64)
        for _ in range(group_size):
            fits = common @ shared.T >= n_statements
            fits[np.arange(len(fits))[:, None], chosen] = False
            alive = fits.any(axis=1)
            common, chosen, fits = common[alive], chosen[alive], fits[alive]
            draw = np.where(fits, rng.random(fits.shape), -1.0).argmax(axis=1)
            common = common * shared[draw]
            chosen = np.column_stack([chosen, draw])
        n_before = len(groups)
        for members, columns in zip(np.sort(chosen, axis=1), common, strict=True):
            key = tuple(int(member) for member in members)
            if len(groups) < max_groups and key not in groups:
                groups[key] = rng.permutation(np.flatnonzero(columns))[:n_statements]
        n_barren = 0 if len(groups) > n_before else n_barren + 1
    return Groups(
        np.array(list(groups), dtype=np.int64).reshape(-1, group_size),
        np.array(list(groups.values()), dtype=np.int64).reshape(-1, n_statements),
    )


class PickScore(NamedTuple):
    """How a way of picking did, over all groups.

    Attributes:
        mean: the group's real mean rating of the pick, on the dataset's scale.
        minimum: the lowest real rating of it in the group.
        mean_gain: ``mean`` less that of a random pick.
        minimum_gain: ``minimum`` less that of a random pick.
        mean_wins: how often its mean is above a random pick's; equal ones count one half.
        minimum_wins: the same of the minimum.
    """

    mean: Estimate
    minimum: Estimate
    mean_gain: Estimate
    minimum_gain: Estimate
    mean_wins: Estimate
    minimum_wins: Estimate


@dataclass(frozen=True, slots=True)
class SelectionScores:
    """Picks by predicted welfare on real answers.

    Attributes:
        n_groups: different groups of people; they overlap.
        n_people: different people in them.
        n_statements: different statements that they had to pick from. The intervals are for these
            statements: they are not resampled.
        n_rounds: rounds that had any.
        random: a pick at random from the same statements (expected value).
        best: the best that there was, for the mean and for the minimum each.
        picks: by what was scored ("own", "swapped", "statement only"), by welfare function.
    """

    n_groups: int
    n_people: int
    n_statements: int
    n_rounds: int
    random: PickScore
    best: PickScore
    picks: dict[str, dict[str, PickScore]]


def measure_selection(
    rounds: Sequence[ScoredRound],
    calibration: Calibration,
    draws: Draws,
    *,
    seed: int = SEED,
    group_size: int = GROUP_SIZE,
    n_statements: int = N_STATEMENTS,
    max_groups: int = MAX_GROUPS,
) -> SelectionScores | None:
    """How well picks by predicted welfare do; None where no round has such a group.

    Each group counts the same within its round, and each round the same. In a draw a group counts
    as often as all its people were drawn together (the product of their ``times``), which is what
    overlapping groups ask for.

    Args:
        rounds: with rewards.
        calibration: from rewards to utilities.
        draws: how often each person and round counts in each draw.
        seed: the same seed, the same groups for every model.
        group_size: people in a group.
        n_statements: statements in a group.
        max_groups: groups of one round, at most.
    """
    parts: list[dict[tuple[str, str], list[Resampled]]] = []
    n_groups = n_people = n_different = 0
    for scored, drawn in zip(rounds, draws.times, strict=True):
        groups = find_groups(
            np.isfinite(scored.rated.ratings),
            rng_of(seed, "groups", scored.rated.round_id),
            group_size=group_size,
            n_statements=n_statements,
            max_groups=max_groups,
        )
        if not len(groups):
            parts.append({})
            continue
        n_groups += len(groups)
        members = np.unique(groups.people)
        n_people += len(members)
        n_different += len(np.unique(groups.statements))
        counted = np.ones((len(drawn), len(groups)))
        for member in groups.people.T:
            counted *= drawn[:, member]
        parts.append(
            {
                label: _weighted(outcome, counted, len(members))
                for label, outcome in _outcomes(scored, groups, calibration).items()
            }
        )
    labels = next((list(part) for part in parts if part), None)
    if labels is None:
        return None
    nothing = [NOTHING] * len(PickScore._fields)

    def pick(label: tuple[str, str]) -> PickScore:
        columns = zip(*(part.get(label, nothing) for part in parts), strict=True)
        return PickScore(*(draws.mean(column).estimate for column in columns))

    scorers = dict.fromkeys(scorer for scorer, welfare in labels if welfare)
    return SelectionScores(
        n_groups=n_groups,
        n_people=n_people,
        n_statements=n_different,
        n_rounds=sum(bool(part) for part in parts),
        random=pick(("random", "")),
        best=pick(("best", "")),
        picks={
            scorer: {welfare: pick((scorer, welfare)) for welfare in WELFARE_FUNCTIONS}
            for scorer in scorers
        },
    )


def _outcomes(
    scored: ScoredRound, groups: Groups, calibration: Calibration
) -> dict[tuple[str, str], FloatArray]:
    """(what was scored, welfare) to [n_groups, 6]: the columns of ``PickScore``."""
    cells = groups.people[:, :, None], groups.statements[:, None, :]
    real = scored.rated.ratings[cells]
    mean, minimum = real.mean(axis=1), real.min(axis=1)

    def outcome(mean_of_pick: FloatArray, minimum_of_pick: FloatArray) -> FloatArray:
        return np.column_stack(
            [
                mean_of_pick,
                minimum_of_pick,
                mean_of_pick - mean.mean(axis=1),
                minimum_of_pick - minimum.mean(axis=1),
                _win_rate(mean_of_pick, mean),
                _win_rate(minimum_of_pick, minimum),
            ]
        )

    random = np.column_stack([mean.mean(axis=1), minimum.mean(axis=1)])
    outcomes = {
        ("random", ""): np.column_stack([random, np.zeros_like(random), np.full_like(random, 0.5)]),
        ("best", ""): outcome(mean.max(axis=1), minimum.max(axis=1)),
    }
    rewards = {
        "own": (scored.own,),
        "swapped": scored.swapped,
        "statement only": (scored.statement_only,),
    }
    row = np.arange(len(groups))
    for scorer, repeats in rewards.items():
        utilities = [calibration.expected_rating(given[cells]) for given in repeats]
        for welfare, alpha in WELFARE_FUNCTIONS.items():
            chosen = [best(isoelastic(each, alpha)) for each in utilities]
            outcomes[scorer, welfare] = np.mean(
                [outcome(mean[row, one], minimum[row, one]) for one in chosen], axis=0
            )
    return outcomes


def _win_rate(chosen: FloatArray, among: FloatArray) -> FloatArray:
    """How often ``chosen`` [n] is above a random one of ``among`` [n, k]; equal is one half."""
    rate: FloatArray = ((chosen[:, None] > among) + 0.5 * (chosen[:, None] == among)).mean(axis=1)
    return rate


def _weighted(outcome: FloatArray, counted: FloatArray, n_people: int) -> list[Resampled]:
    """The mean of each column of ``outcome`` [n_groups, k], and in each draw with ``counted``."""
    weight = counted.sum(axis=1)
    return [
        Resampled(float(column.mean()), ratio(drawn, weight), n_people, len(outcome))
        for column, drawn in zip(outcome.T, (counted @ outcome).T, strict=True)
    ]
