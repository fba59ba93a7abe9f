"""How a question came out, with what became of its statement when it was revised."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from commonweal.reading.differences import DiffSegment, word_differences
from commonweal.study.domain import minority, revisions
from commonweal.study.domain.results import (
    SMALL,
    RatedStatement,
    count_asked,
    most_divisive,
    n_asked,
    rated_statements,
    result_of,
)
from commonweal.study.storage.tables import MinorityRow, RoundRow
from commonweal.study.storage.transaction import Transaction

Stands = Literal["", "nobody", "nothing", "unrated"]


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """How a question came out.

    Attributes:
        row: the round, the last on its question.
        results: its statements as they were rated, the best first.
        n_asked: how many people were asked to rate them.
        divisive: the statement on which the group is most divided; None where it is on none.
        before: how the round came out whose statement this one revises; None of a first round.
        stands: why the statement stands as it was, where it was to be revised and nothing new was
            rated: "nobody" would change anything, "nothing" could be written or shown, or what was
            shown stayed "unrated". All the rest is then of the round before.
        n_critics: how many said what they would change.
        n_heard: how many said that, or that they would change nothing.
        minority: what those who disagree would add; None where that was not asked for.
    """

    row: RoundRow
    results: tuple[RatedStatement, ...]
    n_asked: int
    divisive: RatedStatement | None
    before: RoundOutcome | None = None
    stands: Stands = ""
    n_critics: int = 0
    n_heard: int = 0
    minority: MinorityRow | None = None

    @property
    def shared(self) -> tuple[RatedStatement, ...]:
        """The statements, beside the best, that nobody disagrees with and most agree with; none of
        those that so few rated that it would give single answers away.
        """
        return tuple(
            each
            for each in self.rated[1:]
            if not each.is_small and not each.n_disagree and each.is_agreed(self.n_asked)
        )

    @property
    def is_agreed(self) -> bool:
        """Whether the statement that was rated highest may be called the group's."""
        return bool(self.rated) and self.rated[0].is_agreed(self.n_asked)

    @property
    def may_speak(self) -> bool:
        """Whether there is a sentence of the minority that people may see."""
        return self.minority is not None and minority.is_shown(self.minority)

    @property
    def why_silent(self) -> str:
        """Why there is none, where one was asked for."""
        return "" if self.minority is None else minority.why_not(self.minority)

    @property
    def rated(self) -> tuple[RatedStatement, ...]:
        """Those of the statements that anybody rated."""
        return tuple(each for each in self.results if each.n)

    @property
    def old(self) -> RatedStatement | None:
        """The statement that was revised, as it was rated beside its revisions."""
        return next((each for each in self.rated if each.statement.same_as_id is not None), None)

    @property
    def is_kept(self) -> bool:
        """Whether the group's ratings chose the old statement once more."""
        return self.old is not None and self.old is self.rated[0]

    @property
    def is_by_hand(self) -> bool:
        """Whether the facilitator wrote the one that was rated highest."""
        return bool(self.rated) and self.rated[0].statement.policy == revisions.EDITED

    @property
    def changed(self) -> tuple[DiffSegment, ...]:
        """The old statement and the revision that was rated best, word by word; nothing where there
        are not both.
        """
        new = next((each for each in self.rated if each.statement.same_as_id is None), None)
        if self.old is None or new is None:
            return ()
        return word_differences(self.old.statement.text, new.statement.text)

    @property
    def may_count_critics(self) -> bool:
        """Whether enough answered that a number of critics gives nobody away."""
        return self.n_heard >= SMALL


def outcome_of(tx: Transaction, row: RoundRow) -> RoundOutcome:
    """How the round's question came out."""
    results = tuple(result_of(tx.db, row))
    outcome = RoundOutcome(row, results, n_asked(row), most_divisive(results))
    # That of the round itself, also where what stands is of the round before.
    return replace(_with_before(tx, outcome), minority=minority.of(tx.db, row))


def so_far(tx: Transaction, row: RoundRow) -> RoundOutcome:
    """How the round's question stands while people still rate, and how it came out once they are
    done. For researchers alone: they have every answer, so that nothing is told that they lack.
    """
    if row.result is not None:
        outcome = outcome_of(tx, row)
        # What stands is told with the round that it is of.
        own = tuple(result_of(tx.db, row))
        return RoundOutcome(row, own, n_asked(row), None) if outcome.stands else outcome
    results = tuple(rated_statements(tx.db, row.id, tx.config.rounds.welfare))
    return RoundOutcome(row, results, count_asked(tx.db, row.id), most_divisive(results))


def _with_before(tx: Transaction, outcome: RoundOutcome) -> RoundOutcome:
    row = outcome.row
    revised = revisions.revised_by(tx.db, row)
    if revised is None:
        return outcome
    before = outcome_of(tx, revised[0])
    counts = {name: (row.result or {}).get(name, 0) for name in ("n_critics", "n_heard")}
    if outcome.rated:
        return replace(outcome, before=before, **counts)
    stands: Stands = "nothing" if counts["n_critics"] else "nobody"
    if outcome.results:
        stands = "unrated"
    return replace(before, row=row, before=before, stands=stands, **counts)
