"""What the main job brings back: candidates, what each person may think of them, the choice."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from commonweal.types import RATING_NEUTRAL, Candidate, Opinion, Question, Rejection
from commonweal.welfare import (
    WELFARE_FUNCTIONS,
    Ranking,
    isoelastic,
    rank,
    resolve_alpha,
    welfare_name,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

SCHEMA = "commonweal/agreement/1"
"""Name and version of the layout that ``Agreement.to_dict`` writes."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """A group's candidates, what each person is predicted to think of them, and the choice.

    Attributes:
        question: what the group was asked.
        opinions: everybody's, as given.
        omitted: ids of participants whose opinions the policy did not see; they count in welfare.
        candidates: in the order of generation.
        utilities: the utility profile, float64 [n_participants, n_candidates]: the rating from 1 to
            7 that each participant is expected to give. Predicted, not voted.
        alpha: inequality aversion of the welfare function that chose.
        welfare: [n_candidates], in the unit of the utilities.
        ranking: the candidates by welfare.
        rejections: completions that did not become candidates.
        notes: what a reader should know of how it went.
        timings_seconds: how long each stage took.
        provenance: versions, seed, model and weights hashes: what is needed to do it again.
    """

    question: Question
    opinions: tuple[Opinion, ...]
    omitted: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    utilities: FloatArray
    alpha: float
    welfare: FloatArray
    ranking: Ranking
    rejections: tuple[Rejection, ...]
    notes: tuple[str, ...]
    timings_seconds: dict[str, float]
    provenance: dict[str, Any]

    @property
    def chosen(self) -> Candidate:
        """The candidate with the highest welfare; of those that tie, the one generated first."""
        return self.candidates[self.ranking.best]

    @property
    def statement(self) -> str:
        """The text of the chosen candidate."""
        return self.chosen.text

    @property
    def is_tie(self) -> bool:
        """Whether another candidate has the same welfare as the chosen one."""
        return self.ranking.is_tie

    @property
    def welfare_name(self) -> str:
        """The welfare function that chose: "utilitarian", or "isoelastic, α = 2"."""
        return welfare_name(self.alpha)

    @property
    def dissent(self) -> tuple[Dissent, ...]:
        """Who is predicted to disagree with the statement (expected rating < 4), worst first."""
        expected = self.utilities[:, self.ranking.best]
        found = [
            Dissent(opinion.id, float(rating))
            for opinion, rating in zip(self.opinions, expected, strict=True)
            if rating < RATING_NEUTRAL
        ]
        return tuple(sorted(found, key=lambda dissent: dissent.expected_rating))

    def under(self, welfare: str = "utilitarian", *, alpha: float | None = None) -> Agreement:
        """The same candidates and utilities under another welfare function: nothing is generated.

        Raises:
            InputError: an unknown welfare function or an alpha outside the domain.
        """
        new_alpha = resolve_alpha(welfare, alpha)
        values = isoelastic(self.utilities, new_alpha)
        return replace(self, alpha=new_alpha, welfare=values, ranking=rank(values))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold (an infinite α as the string "inf")."""
        return {
            "schema": SCHEMA,
            "question": asdict(self.question),
            "statement": self.statement,
            "chosen": self.chosen.id,
            "tied": [self.candidates[i].id for i in self.ranking.tied_best] if self.is_tie else [],
            "welfare": {"name": self.welfare_name, "alpha": _json_number(self.alpha)},
            "predicted_dissent": [
                {
                    "participant": dissent.participant_id,
                    "expected_rating": dissent.expected_rating,
                    "below_neutral": dissent.below_neutral,
                }
                for dissent in self.dissent
            ],
            "opinions": [
                asdict(opinion) | {"omitted_from_generation": opinion.id in self.omitted}
                for opinion in self.opinions
            ],
            "candidates": [
                asdict(candidate)
                | {
                    "rank": self.ranking.ranks[index],
                    "welfare": float(self.welfare[index]),
                    "expected_ratings": {
                        opinion.id: float(self.utilities[row, index])
                        for row, opinion in enumerate(self.opinions)
                    },
                }
                for index, candidate in enumerate(self.candidates)
            ],
            "other_welfare_functions": {
                name: self.under(name).chosen.id for name in WELFARE_FUNCTIONS
            },
            "rejections": [asdict(rejection) for rejection in self.rejections],
            "notes": list(self.notes),
            "timings_seconds": self.timings_seconds,
            "provenance": self.provenance,
        }


def _json_number(value: float) -> float | str:
    return value if math.isfinite(value) else "inf"
