"""What a result says: the selection under one welfare rule, and what came of it.

That a group has no statement is as good a result as a statement: see ``Outcome``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from typing import Any, Self

from commonweal.outcomes import (
    MAX_DISAGREEING,
    Dissent,
    Explanation,
    Outcome,
    PersonLeftOut,
    Verdict,
    is_near_copy,
    left_out,
    verdicts,
)
from commonweal.population import Population
from commonweal.selection import OWN_WORDS, Ranked, Selection
from commonweal.types import RATING_NEUTRAL, Candidate, Critique
from commonweal.welfare import FloatArray, Ranking, WelfareRule


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AgreementRecord(Selection):
    """What an ``Agreement`` holds, which describes the fields, and what follows from it."""

    utilities: FloatArray
    min_agreeing: float | None = None
    explanation: Explanation | None = None
    before: Self | None = None
    critiques: tuple[Critique, ...] = ()
    minority: Selection | None = None
    population: Population | None = None

    @classmethod
    def of(cls, selection: Selection, **changes: Any) -> Self:
        """The agreement that a selection under one rule is, with these fields changed."""
        return cls(
            **{each.name: getattr(selection, each.name) for each in fields(selection)} | changes
        )

    @property
    def outcome(self) -> Outcome:
        """Whether a statement was found, and if not, why in a word."""
        if self.closest_index is None:
            return Outcome.NO_STATEMENT
        if self.min_agreeing is None or self.taken_by:
            return Outcome.FOUND
        n_people, n_agreeing = len(self.opinions), len(self.agreeing)
        # A quotient, which is rounded as the share that somebody wrote.
        share = n_agreeing / n_people
        if self.population is not None and self.population.agreeing is not None:
            share = self.population.agreeing.value
        too_few = share < self.min_agreeing or (share == 0 and not self._may_agree)
        # The panel of many is drawn so that it is a picture of all.
        too_many = self._n_disagreeing > MAX_DISAGREEING * n_people
        return Outcome.NO_AGREEMENT if too_few or too_many else Outcome.FOUND

    @property
    def reason(self) -> str:
        """Why there is no statement, in a sentence; "" if there is one."""
        n_people = len(self.opinions)
        match self.outcome:
            case Outcome.FOUND:
                return ""
            case Outcome.NO_AGREEMENT:
                n_agreeing = len(self.agreeing)
                if self._n_disagreeing > MAX_DISAGREEING * n_people:
                    judged = " judged" if self.is_sample else ""
                    return (
                        f"{self._n_disagreeing} of {n_people} people{judged} are likely to "
                        "disagree with the text that comes closest."
                    )
                if self.population is not None:
                    return (
                        f"Only {self.population.agreeing} of {self.population.n_people:,} people "
                        "are predicted to agree with the text that comes closest."
                    )
                who = "Nobody" if not n_agreeing else f"Only {n_agreeing} of {n_people} people"
                verb = "are" if n_agreeing > 1 else "is"
                return f"{who} {verb} predicted to agree with the text that comes closest."
            case Outcome.NO_STATEMENT if not self.candidates:
                reasons = Counter(each.reason.value for each in self.rejections).most_common()
                counted = ", ".join(f"{n} {reason}" for reason, n in reasons)
                return (
                    f"None of {self.n_sampled} texts that were written can be shown to the group"
                    f"{f': {counted}' if counted else ''}."
                )
            case Outcome.NO_STATEMENT:
                best = (
                    ""
                    if self.qualities is None
                    else f", and the best has {max(self.qualities):.1f}"
                )
                return (
                    f"None of {len(self.candidates)} candidates makes enough sense as a group's "
                    f"statement: {self.min_quality:g} of 7 is required{best}."
                )

    @property
    def statement(self) -> str | None:
        """The group's statement; None if none was found."""
        return None if self.chosen is None else self.chosen.text

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that is the group's statement; None if none was found."""
        return self.closest if self.outcome is Outcome.FOUND else None

    @property
    def closest(self) -> Candidate | None:
        """The candidate of highest welfare of those worth showing and on the shortlist, if there is
        one; of those that tie, the one generated first. None where none is worth showing. What
        somebody proposed in their opinion must be predicted to please far more (``passed_over``).
        """
        index = self.closest_index
        return None if index is None else self.candidates[index]

    @property
    def closest_index(self) -> int | None:
        """Which of the candidates comes closest, from 0: the column of the arrays."""
        return self.picks[0].index if self.picks else None

    @property
    def author(self) -> str:
        """Whose proposal, in their own words, the closest is; "" where it was written."""
        closest = self.closest
        return closest.author if closest is not None and closest.policy == OWN_WORDS else ""

    @property
    def also_proposed(self) -> tuple[int, ...]:
        """The columns of what people proposed in their own words and the closest does not say in
        much the same words, by mean expected rating.
        """
        said = "" if self.closest is None else self.closest.text
        others = [
            i
            for i in self.proposed
            if i not in self.weak and not is_near_copy(self.candidates[i].text, said)
        ]
        return tuple(sorted(others, key=lambda i: -self.utilities[:, i].mean()))

    @property
    def is_by_order(self) -> bool:
        """Whether the closest is the first of the model's own order, on a list that held one."""
        closest = self.closest
        is_read = closest is not None and closest.sense is not None
        return is_read and self.shortlist == 1 and self.by_sense[:1] == (self.closest_index,)

    @property
    def agreeing(self) -> tuple[str, ...]:
        """The ids of those who are predicted to agree with the closest (expected rating > 4)."""
        if self.closest_index is None:
            return ()
        expected = self.utilities[:, self.closest_index]
        return tuple(
            opinion.id
            for opinion, rating in zip(self.opinions, expected, strict=True)
            if rating > RATING_NEUTRAL
        )

    @property
    def _may_agree(self) -> bool:
        """Whether somebody may agree with the closest: is predicted to, or the range reaches it."""
        index = self.closest_index
        if index is None:
            return False
        expected, _, high = self.predicted(index)
        return bool(((expected if high is None else high) > RATING_NEUTRAL).any())

    @property
    def _n_disagreeing(self) -> int:
        """How many are likely to disagree with the closest."""
        index = self.closest_index
        return 0 if index is None else self.verdicts(index).count(Verdict.DISAGREES)

    def verdicts(self, column: int) -> tuple[Verdict, ...]:
        """What is predicted of everybody and one candidate, in words, in the group's order."""
        return verdicts(*self.predicted(column))

    @property
    def is_sample(self) -> bool:
        """Whether the rows are a sample of the people: no minimum over them is that of all."""
        return self.population is not None and self.population.is_sample

    @property
    def _ranked(self) -> Ranked:
        ranked = self.ranked[0]
        assert ranked is not None  # noqa: S101 - for the type checker: an agreement has a rule
        return ranked

    @property
    def rule(self) -> WelfareRule:
        """The welfare rule that chose."""
        return self._ranked.rule

    @property
    def welfare_name(self) -> str:
        """The name of the rule that chose: "utilitarian", or "isoelastic, α = 2"."""
        return self.rule.name

    @property
    def alpha(self) -> float | None:
        """The inequality aversion of the rule that chose; None where it has none."""
        return self.rule.alpha

    @property
    def welfare(self) -> FloatArray:
        """float64 [n_candidates], higher is better. In the unit of the utilities for every α; a
        rule that has none may have a unit of its own.
        """
        return self._ranked.welfare

    @property
    def ranking(self) -> Ranking:
        """The candidates by welfare."""
        return self._ranked.ranking

    @property
    def is_tie(self) -> bool:
        """Whether another candidate worth showing has the same welfare as the closest."""
        return len(self.tied) > 1

    @property
    def tied(self) -> tuple[Candidate, ...]:
        """The candidates worth showing that tie with the closest, which comes first."""
        if self.closest_index is None:
            return ()
        best = self.ranking.ranks[self.closest_index]
        fit = dict.fromkeys((self.closest_index, *self.choosable))
        return tuple(self.candidates[index] for index in fit if self.ranking.ranks[index] == best)

    @property
    def is_rules_pick(self) -> bool:
        """Whether the rule would pick the closest today: neither people nor an older order did."""
        return self.closest_index == self.picked().closest_index

    @property
    def taken_by(self) -> str:
        """Who took the closest as the statement, whatever is predicted; "" if nobody did."""
        is_it = self.closest is not None and self.closest.id == self.provenance.get("taken")
        return str(self.provenance["taken_by"]) if is_it else ""

    @property
    def set_aside(self) -> frozenset[int]:
        """The columns that no rule picks, but for the closest, which may have been picked by a
        person or an order of before.
        """
        return self.passed_over - {self.closest_index}

    @property
    def dissent(self) -> tuple[Dissent, ...]:
        """Who is predicted to disagree with the closest (expected rating < 4), worst first."""
        if self.closest_index is None:
            return ()
        expected = self.utilities[:, self.closest_index]
        dissenters = [
            Dissent(opinion.id, float(rating))
            for opinion, rating in zip(self.opinions, expected, strict=True)
            if rating < RATING_NEUTRAL
        ]
        return tuple(sorted(dissenters, key=lambda dissent: dissent.expected_rating))

    @property
    def left_out(self) -> tuple[PersonLeftOut, ...]:
        """Those of whose own words the closest takes up none (``outcomes.left_out``)."""
        if self.closest is None:
            return ()
        return left_out(self.question.text, self.opinions, self.closest.text)

    @property
    def takes_up_little(self) -> bool:
        """Whether most of the group are ``left_out``: of a bare answer nearly all are."""
        return 2 * len(self.left_out) > len(self.opinions)

    @property
    def minority_statement(self) -> str | None:
        """The minority's own sentence, to be shown with the statement; None without one."""
        if self.minority is None or not self.minority.shown:
            return None
        return self.minority.shown[0].text

    @property
    def is_minority_found(self) -> bool:
        """Whether those of ``minority`` were found to disagree, and not only predicted to."""
        return self.minority is not None and self.minority.provenance.get("basis") == "found"

    @property
    def first_round(self) -> Self:
        """The result before any critique: this one, or what it goes back to."""
        return self if self.before is None else self.before.first_round

    @property
    def is_revised(self) -> bool:
        """Whether a revision is predicted to be better than what it revises, and taken."""
        index = self.closest_index
        return self.before is not None and index is not None and index >= self.n_standing

    @property
    def better(self) -> str:
        """What a revision must be predicted to be, in words."""
        if self.min_gain is None:
            return "better"
        return f"better by {self.min_gain:g} of 7 on average"

    @property
    def gains(self) -> dict[str, float]:
        """By how many points everybody's expected rating of the closest is above that of the text
        that it revises, both predicted from opinion and critique; {} of a first round.
        """
        if self.before is None or self.closest_index is None:
            return {}
        changes = self.utilities[:, self.closest_index] - self.utilities[:, 0]
        return {
            opinion.id: float(change)
            for opinion, change in zip(self.opinions, changes, strict=True)
        }

    @property
    def all_critiques(self) -> tuple[tuple[Critique, ...], ...]:
        """The critiques of every round so far, the oldest first."""
        if self.before is None:
            return ()
        return (*self.before.all_critiques, self.critiques)
