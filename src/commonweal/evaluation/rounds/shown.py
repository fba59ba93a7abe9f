"""The questions and statements that were rated, and by how many people each was agreed with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.evaluation.rounds.rated import Rated
    from commonweal.types import FloatArray

MOST_ROUNDS = 12
"""A page of more rounds would be a book: it shows the first ones and says how many more."""


@dataclass(frozen=True, slots=True)
class ShownStatement:
    """One statement: its text, what wrote it, and how many agree, are neutral, disagree.

    ``ratings`` are one a person, the mean of their passes, the highest first.
    """

    text: str
    policy: str
    agree: int
    neutral: int
    disagree: int
    ratings: tuple[float, ...] = ()

    @property
    def n(self) -> int:
        """How many people rated it."""
        return self.agree + self.neutral + self.disagree

    @property
    def ratings_shown(self) -> str:
        """The ratings for reading: "7, 6, 4.5"."""
        return ", ".join(f"{one:.2f}".rstrip("0").rstrip(".") for one in self.ratings)

    @property
    def says(self) -> str:
        """How many agree, in a sentence: "All 4 agree", "3 of 5 agree, 1 is neutral ..."."""
        if self.n and self.agree == self.n:
            return "Both agree" if self.n == 2 else f"All {self.n} agree"
        rest = []
        if self.neutral:
            rest.append(f"{self.neutral} {'is' if self.neutral == 1 else 'are'} neutral")
        if self.disagree:
            rest.append(f"{self.disagree} {'disagrees' if self.disagree == 1 else 'disagree'}")
        return ", ".join([f"{self.agree} of {self.n} agree", *rest])


@dataclass(frozen=True, slots=True)
class ShownRound:
    """One round: question, group, position statement (None without), statements, best first."""

    question: str
    group: str
    position: ShownStatement | None
    statements: tuple[ShownStatement, ...]

    @property
    def said(self) -> tuple[str, ...]:
        """What can be said of this group, in sentences."""
        rated = [one for one in self.statements if one.n]
        if not rated:
            return ("Nobody rated a statement.",)
        best = rated[0]
        sentences = [
            f"{best.says} with the statement that was rated highest ({best.policy})"
            + (": it is unanimous." if best.agree == best.n else ".")
        ]
        if self.position is not None and self.position.n:
            smaller = min(self.position.agree, self.position.disagree)
            if not smaller:
                sentences.append("Nobody was on the other side of the position statement.")
            else:
                sentences.append(
                    f"The position statement divided the group, {self.position.agree} for it and "
                    f"{self.position.disagree} against; this statement has {best.agree} for it "
                    f"and {best.disagree} against."
                )
        if sum(one.agree > one.n / 2 for one in rated) == 0:
            sentences.append("No statement has more than half of those who rated it in favour.")
        return tuple(sentences)


def rounds_shown(dataset: Dataset, rated: Rated) -> tuple[ShownRound, ...]:
    """The first ``MOST_ROUNDS`` rounds, by name, with all that was rated in them."""
    texts = {
        (row["round_id"], row["candidate_id"]): row["text"]
        for row in dataset.candidates.select("round_id", "candidate_id", "text").iter_rows(
            named=True
        )
    }
    rounds = {row["round_id"]: row for row in dataset.rounds.iter_rows(named=True)}
    neutral, n = rated.about.scale.neutral, len(rated.words)

    def people(where: np.ndarray) -> np.ndarray:
        return np.bincount(rated.cell_statement[where], minlength=n)

    agreement = rated.agreement
    counts = (
        people(agreement > neutral),
        people(agreement == neutral),
        people(agreement < neutral),
    )
    sides = _position_ratings(dataset)
    mean = np.nan_to_num(rated.group_agreement["mean"], nan=-np.inf)
    shown = []
    for r, round_id in enumerate(rated.round_ids[:MOST_ROUNDS]):
        mine = np.flatnonzero(rated.statement_round == r)
        mine = mine[np.argsort(-mean[mine], kind="stable")]
        row = rounds[round_id]
        shown.append(
            ShownRound(
                row["question"],
                row["group_id"],
                _position(row["position_statement"], sides.get(round_id, ()), neutral),
                tuple(
                    ShownStatement(
                        texts[round_id, rated.statement_ids[s]],
                        rated.policies[rated.statement_policy[s]],
                        int(counts[0][s]),
                        int(counts[1][s]),
                        int(counts[2][s]),
                        _ratings(agreement[rated.cell_statement == s]),
                    )
                    for s in mine
                ),
            )
        )
    return tuple(shown)


def _ratings(values: FloatArray) -> tuple[float, ...]:
    return tuple(sorted((float(one) for one in values if not np.isnan(one)), reverse=True))


def _position_ratings(dataset: Dataset) -> dict[str, tuple[float, ...]]:
    of_rounds = (
        dataset.position_ratings.drop_nulls("agreement").group_by("round_id").agg("agreement")
    )
    return {name: tuple(map(float, ratings)) for name, ratings in of_rounds.iter_rows()}


def _position(
    text: str | None, ratings: tuple[float, ...], neutral: float
) -> ShownStatement | None:
    if not text and not ratings:
        return None
    return ShownStatement(
        text or "",
        "position statement",
        sum(one > neutral for one in ratings),
        sum(one == neutral for one in ratings),
        sum(one < neutral for one in ratings),
        tuple(sorted(ratings, reverse=True)),
    )
