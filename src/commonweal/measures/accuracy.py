"""How often scores are in the order of what people said, in ways that a guess cannot pass.

Compared are scores with what the same people said of the same statements: 1 agreed, -1 disagreed,
0 neither. Equal scores are half right, so a model that ignores what is measured gets exactly 0.5.

**Weighting** (docs/decisions/021). Each comparison belongs to a *unit*: two people (crossed), one
person (within-person) or one statement (same-statement). Of a unit, its share of comparisons in the
right order is taken; the units of a round count the same, and then the rounds. So nobody counts
more for having rated more, and no round for having more people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.measures.bootstrap import by_group
from commonweal.measures.intervals import NOTHING, Resampled, ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

    BoolArray = NDArray[np.bool_]
    IntArray = NDArray[np.int64]

AGREED_AGAINST_DISAGREED = 2.0
"""How far apart two answers are of which one agreed and the other disagreed."""

ANY_DIFFERENCE = 1e-6
"""The gap that takes any two statements that a person rated differently (paper 3.3)."""

_TIED = 1e-9
"""Differences that are rounding only are ties: a model blind to the opinion gets 0.5 exactly."""

_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Scores beside what people said, n of them, of any number of rounds.

    Attributes:
        person: int [n]; a person in two rounds is two.
        statement: int [n]; likewise.
        score: float64 [n], higher is more agreement expected.
        answer: float64 [n]: 1 agreed, -1 disagreed, 0 neither; or a rating, for
            ``within_person`` alone.
    """

    person: IntArray
    statement: IntArray
    score: FloatArray
    answer: FloatArray

    @classmethod
    def of(cls, scores: FloatArray, answers: FloatArray) -> Cells:
        """Those of one round, from [n_people, n_statements]; nan in either is left out."""
        person, statement = np.nonzero(~(np.isnan(scores) | np.isnan(answers)))
        cells = person, statement
        return cls(person, statement, scores[cells], answers[cells])

    def where(self, chosen: BoolArray | IntArray) -> Cells:
        """These cells alone, or in this order."""
        return Cells(
            self.person[chosen], self.statement[chosen], self.score[chosen], self.answer[chosen]
        )


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """How much of each unit is in the right order; units with nothing to compare are not here.

    Attributes:
        people: int [n_people_in_a_unit, n_units], whose they are.
        right: float64 [n_units], the share of comparisons in the right order.
        n_comparisons: int [n_units].
    """

    people: IntArray
    right: FloatArray
    n_comparisons: IntArray

    def by_round(self, round_of_person: IntArray, n_rounds: int) -> tuple[FloatArray, IntArray]:
        """Each round's share, its units counting the same, nan where it has none; its comparisons.

        Args:
            round_of_person: int [n_people].
            n_rounds: how many there are.
        """
        each = np.stack([self.right, np.ones(len(self.right)), self.n_comparisons], axis=1)
        right, n_units, n = by_group(each, round_of_person[self.people[0]], n_rounds).T
        return ratio(right, n_units), n.astype(np.int64)


# ---------------------------------------------------------------------------------------- crossed


def crossed(cells: Cells) -> Shares:
    """Two people, two statements: A agreed with 1 and not 2, B with 2 and not 1.

    Is score(A,1) - score(A,2) - score(B,1) + score(B,2) above 0? Popular statements and lenient
    people cancel. The unit is two people: of the statements on which they take opposite sides, how
    often score(A) - score(B) is higher where A agreed than where B did (a Mann-Whitney count).

    Args:
        cells: with answers.
    """
    parts = [_of_pairs(*rows) for rows in _opposed(cells)]
    if not parts:
        return Shares(np.zeros((2, 0), np.int64), np.zeros(0), np.zeros(0, np.int64))
    people, right, n = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
    return Shares(people, right, n)


def _opposed(cells: Cells) -> Iterator[tuple[IntArray, FloatArray, BoolArray]]:
    """Each two people on each statement on which they take opposite sides, in blocks.

    All of two people's are in one block. Yields the two people [2, n], the first less the second's
    score [n], and whether the first agreed [n].
    """
    cells = cells.where(np.flatnonzero(cells.answer))
    cells = cells.where(np.lexsort((cells.statement, cells.person)))
    n_people = int(cells.person.max(initial=-1)) + 1
    agreed = cells.answer > 0
    # By statement, side and person: those who oppose a cell and come later are one run.
    side = cells.statement * 2 + agreed
    order = np.lexsort((cells.person, side))
    key = side[order] * n_people + cells.person[order]
    other = cells.statement * 2 + ~agreed
    begins = np.searchsorted(key, other * n_people + cells.person, side="right")
    n_each = np.searchsorted(key, (other + 1) * n_people) - begins
    # Blocks end where a person's cells do.
    last = np.flatnonzero(np.append(cells.person[1:] != cells.person[:-1], True)[: len(key)])
    block = np.cumsum(n_each)[last] // _BLOCK
    ends = last[np.append(block[1:] != block[:-1], True)[: len(last)]] + 1
    start = 0
    for end in ends:
        n = n_each[start:end]
        first = np.repeat(np.arange(start, end), n)
        within = np.arange(len(first)) - np.repeat(np.cumsum(n) - n, n)
        second = order[begins[first] + within]
        if len(first):
            people = np.stack([cells.person[first], cells.person[second]])
            yield people, cells.score[first] - cells.score[second], agreed[first]
        start = int(end)


def _of_pairs(
    people: IntArray, lead: FloatArray, is_first: BoolArray
) -> tuple[IntArray, FloatArray, IntArray]:
    """The pairs of people who have something to compare, their share and how many comparisons."""
    order = np.lexsort((lead, people[1], people[0]))
    people, lead, is_first = people[:, order], lead[order], is_first[order]
    is_new = np.append(True, (people[:, 1:] != people[:, :-1]).any(axis=0))
    starts = np.flatnonzero(is_new)
    tie_start, tie_end = _runs(is_new | np.append(True, np.diff(lead) > _TIED))
    # Where the second agreed, counted up to each place.
    seconds = np.concatenate([[0], np.cumsum(~is_first)])
    pair = np.cumsum(is_new) - 1
    below = seconds[tie_start] - seconds[starts[pair]]
    equal = seconds[tie_end] - seconds[tie_start]
    right = np.bincount(pair, np.where(is_first, below + equal / 2, 0.0))
    n_first = np.bincount(pair, is_first).astype(np.int64)
    n = n_first * (np.bincount(pair) - n_first)
    known = n > 0
    return people[:, starts[known]], right[known] / n[known], n[known]


def _runs(is_new: BoolArray) -> tuple[IntArray, IntArray]:
    """Where the run of each place begins and ends, int [n]; ``is_new`` says where one begins."""
    starts = np.flatnonzero(is_new)
    run = np.cumsum(is_new) - 1
    return starts[run], np.append(starts[1:], len(is_new))[run]


def crossed_accuracy(scores: FloatArray, answers: FloatArray, times: FloatArray) -> Resampled:
    """``crossed`` of one round, and what it is in each draw: two people count if both were drawn.

    Args:
        scores: float64 [n_people, n_statements]; nan is none.
        answers: float64 [n_people, n_statements]; nan is none.
        times: float64 [n_draws, n_people], how often each person counts in each draw.
    """
    crossings = crossed(Cells.of(scores, answers))
    if not len(crossings.right):
        return NOTHING
    n_people = len(answers)
    shares, known = np.zeros((n_people, n_people)), np.zeros((n_people, n_people))
    shares[tuple(crossings.people)] = crossings.right
    known[tuple(crossings.people)] = 1
    drawn, weight = (np.einsum("di,di->d", times @ each, times) for each in (shares, known))
    return Resampled(
        float(crossings.right.mean()),
        ratio(drawn, weight),
        len(np.unique(crossings.people)),
        int(crossings.n_comparisons.sum()),
    )


# ---------------------------------------------------------------------------------- within a person


def within_person(
    cells: Cells,
    *,
    gap: float = AGREED_AGAINST_DISAGREED,
    allowed: BoolArray | None = None,
) -> Shares:
    """For one person: does what they agreed with score above what they disagreed with?

    The unit is a person in a round.

    Args:
        cells: with answers, or with ratings where the gap is on their scale.
        gap: how far apart two answers must be to be compared.
        allowed: [n_statements, n_statements], which (preferred, other) count. All by default.
    """
    cells = cells.where(np.lexsort((cells.statement, cells.person)))
    n_people = int(cells.person.max(initial=-1)) + 1
    right, n = np.zeros(n_people), np.zeros(n_people, np.int64)
    n_cells = len(cells.person)
    distance, start = 1, np.arange(n_cells)
    # Each two statements of a person once, by how far apart they stand.
    while len(start := start[start + distance < n_cells]):
        start = start[cells.person[start] == cells.person[start + distance]]
        up, down = start, start + distance
        turned = cells.answer[up] < cells.answer[down]
        up, down = np.where(turned, down, up), np.where(turned, up, down)
        counted = cells.answer[up] - cells.answer[down] >= gap
        if allowed is not None:
            counted &= allowed[cells.statement[up], cells.statement[down]]
        up, down = up[counted], down[counted]
        person = cells.person[up]
        right += np.bincount(person, is_right(cells.score[up] - cells.score[down]), n_people)
        n += np.bincount(person, minlength=n_people)
        distance += 1
    known = np.flatnonzero(n)
    return Shares(known[None], right[known] / n[known], n[known])


def within_person_accuracy(
    scores: FloatArray,
    answers: FloatArray,
    times: FloatArray,
    *,
    gap: float = AGREED_AGAINST_DISAGREED,
    allowed: BoolArray | None = None,
) -> Resampled:
    """``within_person`` of one round, and what it is in each draw.

    Args: as for ``crossed_accuracy`` and ``within_person``.
    """
    pairs = within_person(Cells.of(scores, answers), gap=gap, allowed=allowed)
    if not len(pairs.right):
        return NOTHING
    drawn = times[:, pairs.people[0]]
    return Resampled(
        float(pairs.right.mean()),
        ratio(drawn @ pairs.right, drawn.sum(axis=1)),
        len(pairs.right),
        int(pairs.n_comparisons.sum()),
    )


# -------------------------------------------------------------------------------- on one statement


def same_statement_accuracy(
    scores: FloatArray, answers: FloatArray, times: FloatArray
) -> Resampled:
    """For one statement: does who agreed with it score above who disagreed with it?

    The unit is a statement. A pair of people counts as often as both were drawn. A model that only
    knows how often a person agrees does better than 0.5 here: see ``leniency``.

    Args: as for ``crossed_accuracy``.
    """
    answers = np.where(np.isnan(scores), np.nan, answers)
    values: list[float] = []
    sums, n_known = np.zeros(len(times)), np.zeros(len(times))
    compared_people = np.zeros(len(answers), dtype=bool)
    n_comparisons = 0
    by_person = np.ascontiguousarray(times.T)  # rows are gathered: several times as fast
    for column, given in zip(scores.T, answers.T, strict=True):
        agreed, disagreed = np.flatnonzero(given == 1), np.flatnonzero(given == -1)
        if not agreed.size or not disagreed.size:
            continue
        right = is_right(column[agreed, None] - column[disagreed])
        high, low = by_person[agreed], by_person[disagreed]
        drawn = ratio(((right.T @ high) * low).sum(axis=0), high.sum(axis=0) * low.sum(axis=0))
        sums += np.nan_to_num(drawn)
        n_known += np.isfinite(drawn)
        values.append(float(right.mean()))
        compared_people[agreed] = compared_people[disagreed] = True
        n_comparisons += right.size
    if not values:
        return NOTHING
    return Resampled(
        float(np.mean(values)), ratio(sums, n_known), int(compared_people.sum()), n_comparisons
    )


def leniency(ratings: FloatArray) -> FloatArray:
    """What somebody predicts who only knows how often each person agrees, [n_people, n_statements].

    The mean of a person's other ratings; nan where there is no rating, or no other. For
    ``same_statement_accuracy`` alone: what is left out differs from statement to statement, which
    turns every comparison of two statements round.
    """
    known = ~np.isnan(ratings)
    others = known.sum(axis=1, keepdims=True) - 1
    sums = np.nansum(ratings, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: FloatArray = np.where(known & (others > 0), (sums - ratings) / others, np.nan)
    return means


def is_right(differences: FloatArray) -> FloatArray:
    """1 where the difference is above 0, one half where it is nothing, else 0.

    The difference is of a comparison, or the sum of those of two people: ``crossed``'s.
    """
    return np.where(np.abs(differences) < _TIED, 0.5, differences > 0)
