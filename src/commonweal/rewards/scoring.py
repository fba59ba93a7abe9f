"""What people answered, beside what a reward model predicted of them: the input of every figure.

Only pairs that were rated are scored, each once, all in one call of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from commonweal.datasets.agreements import RoundMatrix, matrices
from commonweal.datasets.schema import Scale
from commonweal.errors import CommonwealError, InputError
from commonweal.rewards.calibration import LogisticCalibration, fit_logistic_calibration
from commonweal.types import RewardInput, RewardModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.datasets.dataset import Dataset
    from commonweal.types import FloatArray

SEED = 20221128
MAX_PEOPLE = 500
"""People of one round that are measured; of more, as many are drawn. Comparisons grow with the
square of people, and the interval already says what a draw of people leaves open."""

N_MEAN_OPINIONS = 50
"""Opinions whose mean score is a statement's score without any opinion."""

N_SWAPS = 3
"""How often opinions are swapped; figures are the mean over swaps. One alone is noisy."""


@dataclass(frozen=True, slots=True, eq=False)
class RatedRound:
    """One round: people with an opinion, statements, and what each said of the others' statements.

    People and statements are in the order of their ids, shorter ones first, so that nothing that is
    drawn by a seed depends on the order of rows in a file.

    Attributes:
        ratings: float64 [n_people, n_statements] on ``scale``; nan where there is none.
    """

    round_id: str
    question_id: str
    topic: str | None
    question: str
    opinions: tuple[str, ...]
    statements: tuple[str, ...]
    ratings: FloatArray
    scale: Scale

    @property
    def answers(self) -> FloatArray:
        """1 agreed, -1 disagreed, 0 neither, nan no answer: [n_people, n_statements]."""
        signs: FloatArray = np.sign(self.ratings - self.scale.neutral)
        return signs

    def of_people(self, rows: NDArray[np.int64]) -> RatedRound:
        """The same round with these people alone."""
        opinions = tuple(self.opinions[row] for row in rows)
        return replace(self, opinions=opinions, ratings=self.ratings[rows])

    def of_raters(self, max_people: int, rng: np.random.Generator) -> RatedRound:
        """The same round with those who rated, or as many as ``max_people`` of them, drawn."""
        rows = np.flatnonzero(np.isfinite(self.ratings).any(axis=1))
        if len(rows) > max_people:
            rows = np.sort(rng.choice(rows, max_people, replace=False))
        return self.of_people(rows)


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRound:
    """A round with rewards, each float64 [n_people, n_statements], nan where nobody rated.

    Attributes:
        own: from each person's own opinion.
        swapped: ``N_SWAPS`` arrays, each from the opinion of another person of the round; empty
            where there is one person only.
        n_missing: ratings that were left out, since the model gave no reward for them or for
            another's opinion in their place.
        statement_only: the same for everybody: the mean over ``N_MEAN_OPINIONS`` people's opinions.
    """

    rated: RatedRound
    own: FloatArray
    swapped: tuple[FloatArray, ...]
    statement_only: FloatArray
    n_missing: int = 0

    def without_missing(self) -> ScoredRound:
        """The same round without the ratings beside which a reward of the model is missing."""
        known = self._known()
        n_missing = int(np.isfinite(self.rated.ratings).sum() - known.sum())
        ratings, own, only, *swapped = (
            np.where(known, each, np.nan)
            for each in (self.rated.ratings, self.own, self.statement_only, *self.swapped)
        )
        rated = replace(self.rated, ratings=ratings)
        return ScoredRound(rated, own, tuple(swapped), only, n_missing)

    def _known(self) -> NDArray[np.bool_]:
        parts = (self.own, self.statement_only, *self.swapped)
        known: NDArray[np.bool_] = np.isfinite(self.rated.ratings)
        for each in parts:
            known = known & np.isfinite(each)
        return known


def rated_rounds(dataset: Dataset) -> list[RatedRound]:
    """Every round with ratings by people who have an opinion, in the order of their ids.

    Raises:
        InputError: there is none.
    """
    about = {
        row["round_id"]: row
        for row in dataset.rounds.select("round_id", "question_id", "topic").iter_rows(named=True)
    }
    rounds = [
        _in_order(matrix, about[matrix.round_id], dataset.about.scale)
        for matrix in matrices(dataset)
        if np.isfinite(matrix.agreement).any()
    ]
    if not rounds:
        raise InputError(
            f"{dataset.about.name}: nobody who has an opinion rated a statement of somebody else; "
            f"expected at least one such rating among {dataset.ratings.height} ratings and "
            f"{dataset.opinions.height} opinions"
        )
    return sorted(rounds, key=lambda rated: _by_id(rated.round_id))


def score_rounds(
    model: RewardModel,
    dataset: Dataset,
    *,
    seed: int = SEED,
    max_people: int = MAX_PEOPLE,
    on_done: Callable[[int, int], None] | None = None,
) -> list[ScoredRound]:
    """Every rated round with the model's rewards.

    Args:
        model: what is measured.
        dataset: rounds that no part of the model was fitted to.
        seed: draws people where there are more than ``max_people``, and whose opinion is swapped.
        max_people: people measured in a round.
        on_done: called with (n_pairs_scored, n_pairs).

    Raises:
        InputError: nothing to measure.
        CommonwealError: the model gave a reward that is not a finite number, or so few that no
            rating is left.
    """
    asked = [
        _Asked.of(rated, max_people, rng_of(seed, "people", rated.round_id))
        for rated in rated_rounds(dataset)
    ]
    place: dict[RewardInput, int] = {}
    for one in asked:
        for given in one.inputs():
            place.setdefault(given, len(place))
    report = None if on_done is None else lambda n: on_done(n, len(place))
    rewards = model.rewards(list(place), on_done=report)
    if np.isinf(rewards).any() or np.isnan(rewards).all():
        raise CommonwealError(
            f"{model.name}: {int((~np.isfinite(rewards)).sum())} of {len(rewards)} rewards are not "
            "finite numbers; expected finite ones: its weights are broken, or it answers nothing "
            "that can be read"
        )
    scored = [one.scored(place, rewards).without_missing() for one in asked]
    left = [one for one in scored if np.isfinite(one.rated.ratings).any()]
    if not left:
        n_missing = sum(one.n_missing for one in scored)
        raise CommonwealError(
            f"{model.name}: beside each of {n_missing} ratings a reward is missing, for it or for "
            f"another's opinion in its place ({int(np.isnan(rewards).sum())} of {len(rewards)} "
            "rewards); expected some that have all: take a model that leaves out fewer, or more "
            "ratings"
        )
    return left


def rng_of(seed: int, use: str, round_id: str) -> np.random.Generator:
    """The generator for one use in one round: it is the same whatever other rounds there are."""
    return np.random.default_rng([seed, crc32(f"{use}/{round_id}".encode())])


def fit_calibration(
    rewards: Callable[[Sequence[RewardInput]], FloatArray],
    kinds: Sequence[Sequence[RatedRound]],
    *,
    fitted_to: str,
    by_person: bool = False,
) -> LogisticCalibration:
    """The calibration of a model's rewards to what people said in these rounds.

    Args:
        rewards: scores inputs, [n_inputs].
        kinds: rounds by kind; each kind counts the same, and each rating within it.
        fitted_to: in words, what the ratings are.
        by_person: instead, each person of a round counts the same.

    Raises:
        InputError: as ``fit_logistic_calibration``.
    """
    scores, ratings, weights = [], [], []
    for kind in kinds:
        n_kind = sum(int(np.isfinite(rated.ratings).sum()) for rated in kind)
        for rated in kind:
            rows, columns = np.nonzero(np.isfinite(rated.ratings))
            inputs = [
                RewardInput(rated.question, rated.opinions[row], rated.statements[column])
                for row, column in zip(rows, columns, strict=True)
            ]
            scores.append(rewards(inputs))
            ratings.append(rated.scale.seven_points(rated.ratings[rows, columns]))
            n_each = np.bincount(rows, minlength=len(rated.ratings))[rows]
            weights.append(1 / (n_each if by_person else np.full(len(rows), len(kinds) * n_kind)))
    return fit_logistic_calibration(
        np.concatenate(scores),
        np.concatenate(ratings),
        weights=np.concatenate(weights),
        fitted_to=fitted_to,
    )


def derangement(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random order of 0 to n - 1 in which nothing stays in its place (Sattolo 1986).

    Raises:
        ValueError: there is nothing to swap: ``n`` is below 2.
    """
    if n < 2:
        raise ValueError(f"{n} cannot be deranged, expected at least 2")
    order = np.arange(n)
    for last in range(n - 1, 0, -1):
        other = int(rng.integers(last))
        order[[last, other]] = order[[other, last]]
    return order


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A round and whose opinions are scored with which statements.

    Attributes:
        others: int64 [n_people] for each swap, whose opinion each person gets instead of theirs.
        typical: the people whose opinions a statement's mean score is taken over.
    """

    rated: RatedRound
    others: tuple[NDArray[np.int64], ...]
    typical: NDArray[np.int64]

    @classmethod
    def of(cls, rated: RatedRound, max_people: int, rng: np.random.Generator) -> _Asked:
        rated = rated.of_raters(max_people, rng)
        n = len(rated.opinions)
        others = tuple(derangement(n, rng) for _ in range(N_SWAPS if n > 1 else 0))
        return cls(rated, others, rng.permutation(n)[:N_MEAN_OPINIONS])

    def inputs(self) -> Iterable[RewardInput]:
        opinions, statements = self.rated.opinions, self.rated.statements
        for row, column in zip(*np.nonzero(np.isfinite(self.rated.ratings)), strict=True):
            yield self._input(opinions[row], statements[column])
            for others in self.others:
                yield self._input(opinions[others[row]], statements[column])
        for column in self._columns():
            for row in self._typical_of(statements[column]):
                yield self._input(opinions[row], statements[column])

    def scored(self, place: dict[RewardInput, int], rewards: FloatArray) -> ScoredRound:
        known = np.isfinite(self.rated.ratings)
        opinions, statements = self.rated.opinions, self.rated.statements

        def reward(row: int, column: int) -> float:
            return float(rewards[place[self._input(opinions[row], statements[column])]])

        own, statement_only, *swapped = (
            np.full(known.shape, np.nan) for _ in range(2 + len(self.others))
        )
        for row, column in zip(*np.nonzero(known), strict=True):
            own[row, column] = reward(row, column)
            for others, array in zip(self.others, swapped, strict=True):
                array[row, column] = reward(others[row], column)
        for column in self._columns():
            typical = [reward(row, column) for row in self._typical_of(statements[column])]
            there = [each for each in typical if not np.isnan(each)] or [np.nan]
            statement_only[known[:, column], column] = np.mean(there)
        return ScoredRound(self.rated, own, tuple(swapped), statement_only)

    def _input(self, opinion: str, statement: str) -> RewardInput:
        return RewardInput(self.rated.question, opinion, statement)

    def _columns(self) -> NDArray[np.int64]:
        return np.flatnonzero(np.isfinite(self.rated.ratings).any(axis=0))

    def _typical_of(self, statement: str) -> list[int]:
        """Those whose opinion does not hold the statement itself: it would seem to be liked."""
        opinions = self.rated.opinions
        free = [int(row) for row in self.typical if statement not in opinions[row]]
        return free or [int(row) for row in self.typical]


def _in_order(matrix: RoundMatrix, about: dict[str, str | None], scale: Scale) -> RatedRound:
    people = sorted(
        range(len(matrix.participant_ids)), key=lambda i: _by_id(matrix.participant_ids[i])
    )
    columns = sorted(
        range(len(matrix.candidate_ids)), key=lambda j: _by_id(matrix.candidate_ids[j])
    )
    return RatedRound(
        round_id=matrix.round_id,
        question_id=about["question_id"] or "",
        topic=about["topic"],
        question=matrix.question,
        opinions=tuple(matrix.opinions[i] or "" for i in people),
        statements=tuple(matrix.statements[j] for j in columns),
        ratings=matrix.agreement[np.ix_(people, columns)],
        scale=scale,
    )


def _by_id(name: str) -> tuple[int, str]:
    return len(name), name
