"""What the main job brings back: the selection under one welfare rule, with the statement."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from commonweal.errors import InputError
from commonweal.rules import Welfare, resolve_rule
from commonweal.selection import (
    Pick,
    Ranked,
    Selection,
    selection_from_dict,
    selection_to_dict,
)
from commonweal.types import RATING_NEUTRAL, Candidate
from commonweal.welfare import WELFARE_FUNCTIONS, Ranking, WelfareRule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from commonweal.types import FloatArray

SCHEMA = "commonweal/agreement/2"
"""Name and version of the layout that ``Agreement.to_dict`` writes."""

_SCHEMAS = ("commonweal/agreement/1", SCHEMA)
"""Those that ``Agreement.from_dict`` reads. The first had no rewards and one pick."""


@dataclass(frozen=True, slots=True)
class Dissent:
    """A participant who is predicted to disagree: the expected rating lies below neutral."""

    participant_id: str
    expected_rating: float

    @property
    def below_neutral(self) -> float:
        """By how many points of the 7-point scale the expected rating falls short of neutral."""
        return RATING_NEUTRAL - self.expected_rating

    @property
    def shown_rating(self) -> str:
        """The expected rating to one decimal, or to as many as tell it from neutral: "3.98"."""
        return f"{self.expected_rating:.{self._n_decimals}f}"

    @property
    def shown_below_neutral(self) -> str:
        """``below_neutral``, to as many decimals as ``shown_rating``."""
        return f"{self.below_neutral:.{self._n_decimals}f}"

    @property
    def _n_decimals(self) -> int:
        return next(n for n in range(1, 20) if round(self.expected_rating, n) < RATING_NEUTRAL)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Agreement(Selection):
    """A selection under one welfare rule, which has picked the group's statement.

    Its arrays cannot be written to; it pickles, and is equal to its copy and to what ``from_dict``
    makes of its ``to_dict``.
    """

    utilities: FloatArray

    @classmethod
    def of(cls, made: Selection, **changes: Any) -> Agreement:
        """The agreement that a selection with one pick is, with these fields changed."""
        return cls(**{each.name: getattr(made, each.name) for each in fields(made)} | changes)

    @property
    def statement(self) -> str:
        """The text of the chosen candidate."""
        return self.chosen.text

    @property
    def chosen(self) -> Candidate:
        """The candidate with the highest welfare; of those that tie, the one generated first."""
        return self.candidates[self.chosen_index]

    @property
    def chosen_index(self) -> int:
        """Which of the candidates is chosen, from 0: the column of the arrays."""
        return self.picks[0].index

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
        """Whether another candidate has the same welfare as the chosen one."""
        return self.ranking.is_tie

    @property
    def dissent(self) -> tuple[Dissent, ...]:
        """Who is predicted to disagree with the statement (expected rating < 4), worst first."""
        expected = self.utilities[:, self.chosen_index]
        found = [
            Dissent(opinion.id, float(rating))
            for opinion, rating in zip(self.opinions, expected, strict=True)
            if rating < RATING_NEUTRAL
        ]
        return tuple(sorted(found, key=lambda dissent: dissent.expected_rating))

    def under(self, welfare: Welfare | None = None, *, alpha: float | None = None) -> Agreement:
        """The same candidates and utilities under another welfare function: nothing is generated.

        Raises:
            InputError: an unknown welfare function or an alpha outside the domain.
        """
        return self.picked([resolve_rule(welfare, alpha)])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold (an infinite α as the string "inf")."""
        told = selection_to_dict(self)
        (rule,) = told.pop("rules")
        welfare = rule.pop("welfare")
        for index, candidate in enumerate(told["candidates"]):
            candidate |= {"rank": self.ranking.ranks[index], "welfare": welfare[index]}
        for name in ("picks", "seed", "n_sampled"):  # said by "chosen" and "provenance"
            del told[name]
        return {
            "schema": SCHEMA,
            "question": told.pop("question"),
            "statement": self.statement,
            "chosen": self.chosen.id,
            "tied": [self.candidates[i].id for i in self.ranking.tied_best] if self.is_tie else [],
            "welfare": rule,
            "predicted_dissent": [
                {
                    "participant": dissent.participant_id,
                    "expected_rating": dissent.expected_rating,
                    "below_neutral": dissent.below_neutral,
                }
                for dissent in self.dissent
            ],
            "other_welfare_functions": {
                name: self.under(name).chosen.id for name in WELFARE_FUNCTIONS
            },
            **told,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Agreement:
        """The agreement that ``to_dict`` wrote, also in an older layout.

        Raises:
            InputError: it is no such dictionary; the message says what is wrong.
        """
        if told.get("schema") not in _SCHEMAS:
            raise InputError(
                f"the schema is {told.get('schema')!r}; expected one of {', '.join(_SCHEMAS)}, as "
                "`commonweal agree --json` writes"
            )
        try:
            rule = told["welfare"] | {"welfare": [each["welfare"] for each in told["candidates"]]}
            provenance = told["provenance"]
            made = selection_from_dict(
                {
                    **told,
                    "rules": [rule],
                    "picks": [],
                    "seed": [provenance["seed"]],
                    "n_sampled": provenance["n_completions_sampled"],
                }
            )
            index = [each.id for each in made.candidates].index(told["chosen"])
            (ranked,) = made.ranked
            assert ranked is not None  # noqa: S101 - for the type checker: there is a rule
            picked = Pick(
                index, ranked.rule, float(ranked.welfare[index]), ranked.ranking.ranks[index]
            )
            return cls.of(made, picks=(picked,))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"no agreement can be read: {type(error).__name__} {error}; expected a dictionary "
                f"as Agreement.to_dict writes it ({SCHEMA})"
            ) from None
