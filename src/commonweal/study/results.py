"""How a group rated its statements, and which one is the group's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from commonweal.datasets.arms import HUMAN
from commonweal.rules import resolve_rule
from commonweal.study.tables import Presentation, Rating, Round, Statement
from commonweal.types import RATING_NEUTRAL
from commonweal.welfare import WelfareRule, rank


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

    def is_agreed(self, n_asked: int) -> bool:
        """Whether it may be called the group's: at least half of those who were asked to rate it
        agree (as for predictions: decision 023), two at least, and more than disagree.

        Whoever was asked and did not rate has not agreed.
        """
        return self.n_agree >= max(n_asked / 2, 2) and self.n_agree > self.n_disagree

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

    Without people's own opinions, where these were rated too: they are no group's statement.

    Welfare is that of real ratings. Each rater's passes are averaged first, so that everybody
    counts once. Where somebody did not rate every statement, each statement's welfare is that of
    its own raters.
    """
    statements = list(
        db.scalars(
            select(Statement)
            .where(Statement.round_id == round_id, Statement.shown, Statement.policy != HUMAN)
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
    means: list[dict[int, float]] = []
    found = []
    for statement in statements:
        by_person = given[statement.id]
        by_rater = {
            person: float(np.mean([a for a, _ in each])) for person, each in by_person.items()
        }
        quality_means = tuple(
            float(np.mean([q for _, q in each if q is not None]))
            for each in by_person.values()
            if any(q is not None for _, q in each)
        )
        means.append(by_rater)
        found.append(Rated(statement, tuple(by_rater.values()), quality_means, None))
    found = [
        replace(each, welfare=value)
        for each, value in zip(found, _welfare(resolve_rule(welfare), means), strict=True)
    ]
    rated = [each for each in found if each.welfare is not None]
    if not rated:
        return found
    order = rank(np.array([each.welfare for each in rated])).order
    return [rated[i] for i in order] + [each for each in found if each.welfare is None]


def n_asked(db: Session, round_id: int) -> int:
    """How many people were asked to rate the round's statements."""
    found = select(func.count(Presentation.participant_id.distinct())).where(
        Presentation.round_id == round_id, Presentation.statement_id.is_not(None)
    )
    return db.scalar(found) or 0


def most_divisive(rated: Sequence[Rated]) -> Rated | None:
    """The rated statement on which the group is most divided: where the smaller of those who agree
    and those who disagree is largest; None where nobody is on the other side of anybody.
    """
    divided = [each for each in rated if each.n_agree and each.n_disagree]
    return max(divided, key=lambda each: min(each.n_agree, each.n_disagree), default=None)


def _welfare(rule: WelfareRule, means: Sequence[Mapping[int, float]]) -> list[float | None]:
    """The welfare of each statement from its raters' means; None where nobody rated it."""
    people = list(means[0]) if means else []
    if people and all(each.keys() == means[0].keys() for each in means):
        profile = np.array([[each[person] for each in means] for person in people])
        return [float(value) for value in rule.welfare(profile)]
    return [
        float(rule.welfare(np.array(list(each.values()))[:, None])[0]) if each else None
        for each in means
    ]


def choose_statement(db: Session, row: Round, welfare: str) -> int | None:
    """The id of the statement that the group's ratings choose; None where nobody rated any."""
    rated = rated_statements(db, row.id, welfare)
    return rated[0].statement.id if rated and rated[0].welfare is not None else None
