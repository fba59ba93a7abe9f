"""People's own votes: real where they were given, predicted elsewhere, and each marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import MissingExtraError
from commonweal.large import slate as slates
from commonweal.population import Share, Slate
from commonweal.rewards.warm import warm_ratings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.datasets.agreements import RoundMatrix
    from commonweal.datasets.schema import Scale
    from commonweal.types import FloatArray

    BoolArray = NDArray[np.bool_]

MOST_STATEMENTS = 120
"""Statements that a slate is chosen from: what few voted on is mostly prediction."""


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """What people said of statements.

    Attributes:
        matrix: one round, people without an opinion, too.
        scale: of its ratings.
    """

    matrix: RoundMatrix
    scale: Scale

    def of(self, ids: Sequence[str]) -> FloatArray:
        """The votes of these people, [n_people, n_statements], nan where there is none."""
        row = {name: i for i, name in enumerate(self.matrix.participant_ids)}
        nobody = np.full(self.matrix.agreement.shape[1], np.nan)
        return np.stack(
            [self.matrix.agreement[row[name]] if name in row else nobody for name in ids]
        )

    def of_most_voted(self, n: int) -> Votes:
        """The votes on the ``n`` statements that most people voted on, by those who did."""
        n_each = np.isfinite(self.matrix.agreement).sum(axis=0)
        columns = np.sort(np.argsort(-n_each, kind="stable")[:n])
        known = np.isfinite(self.matrix.agreement[:, columns])
        rows = np.flatnonzero(known.any(axis=1))
        voted = self.matrix
        return Votes(
            replace(
                voted,
                participant_ids=tuple(voted.participant_ids[i] for i in rows),
                opinions=tuple(voted.opinions[i] for i in rows),
                candidate_ids=tuple(voted.candidate_ids[j] for j in columns),
                statements=tuple(voted.statements[j] for j in columns),
                agreement=voted.agreement[np.ix_(rows, columns)],
            ),
            self.scale,
        )


def expected_votes(votes: Votes, *, seed: int = 0) -> tuple[FloatArray, BoolArray, str]:
    """Everybody's votes, where there are none predicted from the others; which are real; and how.

    Predictions are those of ``rewards.warm`` from votes alone. Where scikit-learn is not
    installed a missing vote is the statement's mean, which a name says.
    """
    given = votes.matrix.agreement
    known = np.isfinite(given)
    cold = np.full(given.shape, float(votes.scale.neutral))
    try:
        return warm_ratings(given, cold, votes.scale, seed=seed), known, "warm"
    except MissingExtraError:
        n_each = known.sum(axis=0)
        total = np.where(known, given - votes.scale.neutral, 0.0).sum(axis=0)
        means = votes.scale.neutral + total / (n_each + 1)
        return np.where(known, given, means), known, "mean"


def people_slate(votes: Votes, k: int, rule: str, rng: np.random.Generator) -> Slate:
    """The slate of people's own statements, of the ``MOST_STATEMENTS`` with most votes."""
    votes = votes.of_most_voted(MOST_STATEMENTS)
    expected, known, _ = expected_votes(votes, seed=int(rng.integers(2**31)))
    approves = expected > votes.scale.neutral
    choose = slates.greedy if rule == "greedy" else slates.proportional
    chosen = choose(approves, k)
    best = slates.top(approves, k)
    covered = float(approves[:, list(chosen)].any(axis=1).mean())
    n_votes = int(known[:, list(chosen)].sum())
    return Slate(
        of="people's statements",
        rule="pav" if rule == "pav" else "greedy",
        texts=tuple(votes.matrix.statements[j] for j in chosen),
        ids=tuple(votes.matrix.candidate_ids[j] for j in chosen),
        covered=Share(covered, covered, covered),
        unrepresented=slates.unrepresented(approves, chosen, k) / len(approves),
        top_covered=float(approves[:, list(best)].any(axis=1).mean()),
        n_people=len(approves),
        n_votes=n_votes,
        n_predicted=int(approves[:, list(chosen)].size) - n_votes,
    )
