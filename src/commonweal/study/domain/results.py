"""How a group rated its statements, and which one is the group's."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from commonweal.datasets.arms import HUMAN
from commonweal.rules import UTILITARIAN, resolve_rule
from commonweal.study.storage.tables import (
    CritiqueRow,
    PresentationRow,
    RatingRow,
    RoundRow,
    StatementRow,
)
from commonweal.types import RATING_MAX, RATING_MIN, RATING_NEUTRAL
from commonweal.welfare import WelfareRule, rank

SMALL = 5
"""With fewer raters than this no numbers are shown: with one's own they give single answers away
(decision 030).
"""
_LEANS = 1.0
"""So far from neutral a mean leans to a side, in points of the scale."""


@dataclass(frozen=True, slots=True)
class RatedStatement:
    """A shown statement with what people gave it, each rater's mean over their passes counted once.

    Attributes:
        n: how many rated it.
        mean: mean agreement, 1 to 7; 0 where nobody rated it.
        mean_quality: likewise.
        n_agree, n_neutral, n_disagree: how many rated above neutral, neutral, below.
        welfare: of their agreement, 1 to 7; None where nobody rated it.
        histogram: how many gave each point from 1 to 7, a rater's mean rounded; none where no
            numbers may be shown.
    """

    statement: StatementRow
    n: int
    mean: float
    mean_quality: float
    n_agree: int
    n_neutral: int
    n_disagree: int
    welfare: float | None
    histogram: tuple[int, ...] = ()

    @property
    def bars(self) -> tuple[int, ...]:
        """A point for each rater, the highest first, so that nobody's place is known."""
        return tuple(
            point
            for point in range(RATING_MAX, RATING_MIN - 1, -1)
            for _ in range(self.histogram[point - RATING_MIN] if self.histogram else 0)
        )

    @property
    def is_small(self) -> bool:
        """Whether so few rated it that no number may be shown."""
        return self.n < SMALL

    @property
    def band(self) -> str:
        """What may be said of a few: "for", "against", "between"; of one person nothing: "one"."""
        if self.n < 2:
            return "one"
        if abs(self.mean - RATING_NEUTRAL) < _LEANS:
            return "between"
        return "for" if self.mean > RATING_NEUTRAL else "against"

    def is_agreed(self, n_asked: int) -> bool:
        """Whether it may be called the group's: at least half of those who were asked to rate it
        agree (as for predictions: decision 023), two at least, and more than disagree.

        Whoever was asked and did not rate has not agreed.
        """
        return self.n_agree >= max(n_asked / 2, 2) and self.n_agree > self.n_disagree


def freeze(db: Session, row: RoundRow, welfare: str) -> dict[str, Any]:
    """The round's result as it is kept: counts and means, and nobody's own answer.

    What is shown later is this. From two results, before and after somebody deleted their data,
    anybody could work out what was deleted.
    """
    names = [each.name for each in fields(RatedStatement) if each.name != "statement"]
    return {
        "n_asked": count_asked(db, row.id),
        **_critics(db, row),
        "statements": [
            {"id": each.statement.id} | {name: getattr(each, name) for name in names}
            for each in rated_statements(db, row.id, welfare)
        ],
    }


def result_of(db: Session, row: RoundRow) -> list[RatedStatement]:
    """The round's statements as its people rated them by its end, the highest welfare first."""
    if row.result is None:
        return []
    return [
        RatedStatement(
            statement=statement,
            histogram=tuple(kept.get("histogram", ())),
            **{name: each for name, each in kept.items() if name not in ("id", "histogram")},
        )
        for kept in row.result["statements"]
        # One that was a person's own opinion is gone where they have deleted it.
        if (statement := db.get(StatementRow, kept["id"])) is not None
    ]


def rated_statements(db: Session, round_id: int, welfare: str) -> list[RatedStatement]:
    """The round's shown statements, the highest welfare first; ties keep the order of writing.

    Without people's own opinions, where these were rated too: they are no group's statement.

    Welfare is that of real ratings. Each rater's passes are averaged first, so that everybody
    counts once. Where somebody did not rate every statement, each statement's welfare is that of
    its own raters under a rule of the isoelastic family, whose unit is the scale. Any other rule
    may compare statements with each other: it sees those who rated all that anybody rated, and
    where there are none the mean decides (``is_by_mean``).
    """
    statements, given = _shown(db, round_id), _given(db, round_id)
    means: list[dict[int, float]] = []
    results = []
    for statement in statements:
        by_person = given[statement.id]
        by_rater = {
            person: float(np.mean([a for a, _ in each])) for person, each in by_person.items()
        }
        qualities = [
            float(np.mean([q for _, q in each if q is not None]))
            for each in by_person.values()
            if any(q is not None for _, q in each)
        ]
        values = list(by_rater.values())
        means.append(by_rater)
        results.append(
            RatedStatement(
                statement,
                n=len(values),
                mean=float(np.mean(values)) if values else 0.0,
                mean_quality=float(np.mean(qualities)) if qualities else 0.0,
                n_agree=sum(value > RATING_NEUTRAL for value in values),
                n_neutral=sum(value == RATING_NEUTRAL for value in values),
                n_disagree=sum(value < RATING_NEUTRAL for value in values),
                welfare=None,
                histogram=_histogram(values) if len(values) >= SMALL else (),
            )
        )
    results = [
        replace(each, welfare=value)
        for each, value in zip(results, _welfare(resolve_rule(welfare), means), strict=True)
    ]
    rated = [each for each in results if each.welfare is not None]
    if not rated:
        return results
    order = rank(np.array([each.welfare for each in rated])).order
    return [rated[i] for i in order] + [each for each in results if each.welfare is None]


def is_by_mean(db: Session, row: RoundRow, welfare: str) -> bool:
    """Whether the mean decides in the place of the rule: it may compare statements with each other,
    and nobody rated all of them.
    """
    given = _given(db, row.id)
    means = [given[each.id] for each in _shown(db, row.id)]
    return resolve_rule(welfare).alpha is None and any(means) and not _whole_raters(means)


def _shown(db: Session, round_id: int) -> list[StatementRow]:
    """The statements that may become the group's, in the order of writing."""
    shown = StatementRow.round_id == round_id, StatementRow.shown, StatementRow.policy != HUMAN
    return list(db.scalars(select(StatementRow).where(*shown).order_by(StatementRow.id)))


def _given(db: Session, round_id: int) -> dict[int, dict[int, list[tuple[int, int | None]]]]:
    """(Agreement, quality) of each rating, by statement and person."""
    given: dict[int, dict[int, list[tuple[int, int | None]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for statement_id, person_id, agreement, quality in db.execute(
        select(
            PresentationRow.statement_id,
            PresentationRow.participant_id,
            RatingRow.agreement,
            RatingRow.quality,
        )
        .join(RatingRow)
        .where(PresentationRow.round_id == round_id, PresentationRow.statement_id.is_not(None))
    ):
        given[statement_id or 0][person_id].append((agreement, quality))
    return given


def _histogram(values: Sequence[float]) -> tuple[int, ...]:
    """How many lie at each point of the scale; what lies between two goes to the nearer neutral."""
    points = [math.floor(each) if each > RATING_NEUTRAL else math.ceil(each) for each in values]
    return tuple(
        sum(point == each for point in points) for each in range(RATING_MIN, RATING_MAX + 1)
    )


def _critics(db: Session, row: RoundRow) -> dict[str, int]:
    """Of a revision: how many said what they would change, and how many that or nothing."""
    if row.revises_id is None:
        return {}
    heard = select(func.count(CritiqueRow.id)).where(CritiqueRow.round_id == row.id)
    n_critics = db.scalar(heard.where(CritiqueRow.text != ""))
    return {"n_critics": n_critics or 0, "n_heard": db.scalar(heard) or 0}


def n_asked(row: RoundRow) -> int:
    """How many people were asked to rate the round's statements."""
    return row.result["n_asked"] if row.result else 0


def count_asked(db: Session, round_id: int) -> int:
    """How many people the round's statements have been laid before so far."""
    counted = select(func.count(PresentationRow.participant_id.distinct())).where(
        PresentationRow.round_id == round_id, PresentationRow.statement_id.is_not(None)
    )
    return db.scalar(counted) or 0


def most_divisive(rated: Sequence[RatedStatement]) -> RatedStatement | None:
    """The rated statement on which the group is most divided: where the smaller of those who agree
    and those who disagree is largest; None where nobody is on the other side of anybody, or so few
    rated that it would show who is.
    """
    divided = [each for each in rated if each.n_agree and each.n_disagree and not each.is_small]
    return max(divided, key=lambda each: min(each.n_agree, each.n_disagree), default=None)


def _welfare(rule: WelfareRule, means: Sequence[Mapping[int, float]]) -> list[float | None]:
    """The welfare of each statement from its raters' means; None where nobody rated it."""
    whole = _whole_raters(means)
    if rule.alpha is None and whole:
        profile = [[each[person] for each in means if each] for person in whole]
        values = iter(rule.welfare(np.array(profile)))
        return [float(next(values)) if each else None for each in means]
    alone = UTILITARIAN if rule.alpha is None else rule
    return [
        float(alone.welfare(np.array(list(each.values()))[:, None])[0]) if each else None
        for each in means
    ]


def _whole_raters(means: Sequence[Mapping[int, object]]) -> list[int]:
    """The ids of those who rated every statement that anybody rated."""
    rated = [set(each) for each in means if each]
    return sorted(set.intersection(*rated)) if rated else []


def choose_statement(db: Session, row: RoundRow, welfare: str) -> int | None:
    """The id of the statement that the group's ratings choose; None where nobody rated any."""
    rated = rated_statements(db, row.id, welfare)
    return rated[0].statement.id if rated and rated[0].welfare is not None else None
