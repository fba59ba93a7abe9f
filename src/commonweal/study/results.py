"""How a group rated its statements, and which one is the group's."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from commonweal.study.tables import Presentation, Rating, Round, Statement
from commonweal.types import RATING_NEUTRAL
from commonweal.welfare import WELFARE_FUNCTIONS, isoelastic, rank


@dataclass(frozen=True, slots=True)
class Rated:
    """A shown statement with what people gave it.

    Attributes:
        agreement: each rater's mean over their passes, 1 to 7.
        quality: likewise.
        welfare: of ``agreement``, 1 to 7; None where nobody rated it.
    """

    statement: Statement
    agreement: tuple[float, ...]
    quality: tuple[float, ...]
    welfare: float | None

    @property
    def mean(self) -> float:
        """Mean agreement, 1 to 7."""
        return float(np.mean(self.agreement))

    @property
    def mean_quality(self) -> float:
        """Mean quality, 1 to 7."""
        return float(np.mean(self.quality))

    @property
    def n_agree(self) -> int:
        """How many rated above neutral."""
        return sum(value > RATING_NEUTRAL for value in self.agreement)

    @property
    def n_neutral(self) -> int:
        """How many rated neutral."""
        return sum(value == RATING_NEUTRAL for value in self.agreement)

    @property
    def n_disagree(self) -> int:
        """How many rated below neutral."""
        return sum(value < RATING_NEUTRAL for value in self.agreement)


def rated_statements(db: Session, round_id: int, welfare: str) -> list[Rated]:
    """The round's shown statements, the highest welfare first; ties keep the order of writing.

    Welfare is that of real ratings. Each rater's passes are averaged first, so that everybody
    counts once.
    """
    statements = list(
        db.scalars(
            select(Statement)
            .where(Statement.round_id == round_id, Statement.shown)
            .order_by(Statement.id)
        )
    )
    given: dict[int, dict[int, list[tuple[int, int | None]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for statement_id, person_id, agreement, quality in db.execute(
        select(
            Presentation.statement_id,
            Presentation.participant_id,
            Rating.agreement,
            Rating.quality,
        )
        .join(Rating)
        .where(Presentation.round_id == round_id, Presentation.statement_id.is_not(None))
    ):
        given[statement_id or 0][person_id].append((agreement, quality))
    found = []
    for statement in statements:
        by_person = given[statement.id]
        agreement_means = tuple(float(np.mean([a for a, _ in each])) for each in by_person.values())
        quality_means = tuple(
            float(np.mean([q for _, q in each if q is not None]))
            for each in by_person.values()
            if any(q is not None for _, q in each)
        )
        value = None
        if agreement_means:
            profile = np.array(agreement_means)[:, None]
            value = float(isoelastic(profile, WELFARE_FUNCTIONS[welfare])[0])
        found.append(Rated(statement, agreement_means, quality_means, value))
    rated = [each for each in found if each.welfare is not None]
    if not rated:
        return found
    order = rank(np.array([each.welfare for each in rated])).order
    return [rated[i] for i in order] + [each for each in found if each.welfare is None]


def choose_statement(db: Session, row: Round, welfare: str) -> int | None:
    """The id of the statement that the group's ratings choose; None where nobody rated any."""
    rated = rated_statements(db, row.id, welfare)
    return rated[0].statement.id if rated and rated[0].welfare is not None else None
