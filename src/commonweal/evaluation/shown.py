"""The questions and statements that were rated, and by how many people each was agreed with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.evaluation.rated import Rated

MOST_ROUNDS = 12
"""A page of more rounds would be a book: it shows the first ones and says how many more."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its text, what wrote it, and how many agree, are neutral, disagree."""

    text: str
    policy: str
    agree: int
    neutral: int
    disagree: int


@dataclass(frozen=True, slots=True)
class Round:
    """One round: question, group, position statement ("" without), statements, best first."""

    question: str
    group: str
    position: str
    statements: tuple[Statement, ...]


def rounds_shown(dataset: Dataset, found: Rated) -> tuple[Round, ...]:
    """The first ``MOST_ROUNDS`` rounds, by name, with all that was rated in them."""
    texts = {
        (row["round_id"], row["candidate_id"]): row["text"]
        for row in dataset.candidates.select("round_id", "candidate_id", "text").iter_rows(
            named=True
        )
    }
    rounds = {row["round_id"]: row for row in dataset.rounds.iter_rows(named=True)}
    neutral, n = found.about.scale.neutral, len(found.words)

    def people(where: np.ndarray) -> np.ndarray:
        return np.bincount(found.cell_statement[where], minlength=n)

    agreement = found.agreement
    counts = (
        people(agreement > neutral),
        people(agreement == neutral),
        people(agreement < neutral),
    )
    mean = np.nan_to_num(found.group_agreement["mean"], nan=-np.inf)
    shown = []
    for r, round_id in enumerate(found.round_ids[:MOST_ROUNDS]):
        mine = np.flatnonzero(found.statement_round == r)
        mine = mine[np.argsort(-mean[mine], kind="stable")]
        row = rounds[round_id]
        shown.append(
            Round(
                row["question"],
                row["group_id"],
                row["position_statement"] or "",
                tuple(
                    Statement(
                        texts[round_id, found.statement_ids[s]],
                        found.policies[found.statement_policy[s]],
                        *(int(each[s]) for each in counts),
                    )
                    for s in mine
                ),
            )
        )
    return tuple(shown)
