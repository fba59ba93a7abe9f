"""Why predictions are as they are: what a text goes against, and what divides the group.

A reward model that reads may be asked about a part: one sentence of an opinion beside the whole
text, or the whole opinion beside one clause. Only models that say how sure they are
(``GivesRanges``) are asked: of the others a part's number cannot be told from chance.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.outcomes import Division, Explanation, Objection, parts, sentences
from commonweal.rewards import predictions, utility_profile
from commonweal.selection import Selection
from commonweal.types import RATING_NEUTRAL, GivesRanges, RewardModel

if TYPE_CHECKING:
    from commonweal.types import FloatArray

CLEARLY_AGAINST = 3.0
"""An objection is shown from "somewhat disagree" downwards: our choice."""

CLEARLY_SHARED = 0.5
"""Points above neutral that everybody must be expected to give a clause before it is called shared:
as far as those who stand on a side of a division are from neutral."""

MAX_SENTENCES = 12
"""Sentences of one opinion that are read alone; people say first what matters to them most."""

MAX_PEOPLE = 20
"""People whose objections are looked for, those predicted to disagree most first."""

MAX_DIVISIONS = 2

MAX_READ = 4
"""Of the most sensible candidates, on which a group may be said to part, if there is an order."""

_CLAUSE = re.compile(
    r"(?<=[.!?…。！？؟۔।;:；：])['\"”’»)]*\s+|(?<=[。！？；])"
    r"|,\s+(?=(?:but|while|although|though|unless|provided|as long as|and (?:we|the|that|it|they)"
    r"|so that|even if|aber|wenn|sofern|und wir)\b)"
    r"|\s+(?=(?:but|while|although|unless|provided that|as long as|even if)\b)",
    re.IGNORECASE,
)


def explain(
    selection: Selection, reward: RewardModel, *, read_as: Mapping[str, str] | None = None
) -> Explanation | None:
    """Why predictions of the first pick are as they are, where the reward model can point to it.

    Args:
        selection: with utilities, and a pick.
        reward: the model that predicted them.
        read_as: as ``select`` had it.
    """
    if not selection.picks or selection.utilities is None or not isinstance(reward, GivesRanges):
        return None
    heard = read_as or {}
    texts = {each.id: heard.get(each.id, each.text) for each in selection.opinions}
    chosen = _Chosen(selection, selection.utilities, selection.picks[0].index, texts)
    sides = _sides(chosen, reward)
    return Explanation(
        objections=_objections(chosen, reward),
        divisions=_divisions(chosen, sides),
        shared=tuple(
            text for text, expected in sides if (expected >= RATING_NEUTRAL + CLEARLY_SHARED).all()
        ),
    )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A selection that has a first pick: its column, and what was read of everybody by id."""

    selection: Selection
    utilities: FloatArray
    column: int
    texts: Mapping[str, str]

    @property
    def text(self) -> str:
        return self.selection.candidates[self.column].text


def clauses(text: str) -> list[str]:
    """The sentences of a text and, of those with two sides, the sides.

    Example:
        >>> clauses("We want cheaper fares, but we do not want to pay for them.")
        ['We want cheaper fares', 'but we do not want to pay for them.']
    """
    return parts(_CLAUSE, text)


def _objections(chosen: _Chosen, reward: RewardModel) -> tuple[Objection, ...]:
    """The sentence of each dissenter that speaks most clearly against the text.

    The lowest of all sentences read alone, and none where that is not clearly negative.
    """
    ratings = chosen.utilities[:, chosen.column]
    against = [row for row in np.argsort(ratings, kind="stable") if ratings[row] < RATING_NEUTRAL]
    objections = []
    for row in against[:MAX_PEOPLE]:
        name = chosen.selection.opinions[row].id
        texts = sentences(chosen.texts[name])[:MAX_SENTENCES]
        if not texts:
            continue
        _, expected = predictions(reward, chosen.selection.question.text, texts, [chosen.text])
        lowest = int(np.argmin(expected[:, 0]))
        if expected[lowest, 0] <= CLEARLY_AGAINST:
            objections.append(Objection(name, texts[lowest], float(expected[lowest, 0])))
    return tuple(objections)


def _sides(chosen: _Chosen, reward: RewardModel) -> list[tuple[str, FloatArray]]:
    """Its clauses with everybody's expected rating of each alone; [] where it has one only."""
    texts = clauses(chosen.text)
    if len(texts) < 2:
        return []
    people = list(chosen.texts.values())
    expected = utility_profile(reward, chosen.selection.question.text, people, texts)
    return [(text, expected[:, column]) for column, text in enumerate(texts)]


def _divisions(chosen: _Chosen, sides: list[tuple[str, FloatArray]]) -> tuple[Division, ...]:
    """The texts on which predictions part most, of clauses and of candidates worth showing."""
    selection = chosen.selection
    divided: list[tuple[float, Division]] = [
        each
        for text, expected in sides
        if (each := _division(selection, expected, text, _id(chosen)))
    ]
    # Who is on which side of the chosen text is said with it, and what people proposed stands
    # elsewhere. What is far down in the order is seldom worth reading.
    aside = selection.weak | {chosen.column, *selection.proposed}
    by_hand = [i for i, each in enumerate(selection.candidates) if each.author]
    first = selection.by_sense[:MAX_READ]
    for column in (*first, *by_hand) if first else range(len(selection.candidates)):
        candidate = selection.candidates[column]
        if column not in aside:
            each = _division(selection, chosen.utilities[:, column], candidate.text, candidate.id)
            divided += [each] if each else []
    divided.sort(key=lambda each: -each[0])
    kept: list[Division] = []
    for _, division in divided:
        known = {(one.for_it, one.against_it) for one in kept}
        # A second text on which the same people part says nothing new.
        if (division.for_it, division.against_it) not in known:
            kept.append(division)
    return tuple(kept[:MAX_DIVISIONS])


def _id(chosen: _Chosen) -> str:
    return chosen.selection.candidates[chosen.column].id


def _division(
    selection: Selection, expected: FloatArray, text: str, candidate_id: str
) -> tuple[float, Division] | None:
    """How far predictions part on a text, and who stands where; None where they do not part.

    Who is within half a point of neutral stands nowhere.
    """
    names = [opinion.id for opinion in selection.opinions]
    above = expected >= RATING_NEUTRAL + 0.5
    below = expected <= RATING_NEUTRAL - 0.5
    if not above.any() or not below.any():
        return None
    gap = float(expected[above].mean() - expected[below].mean())
    # Many on both sides divide a group more than one on one side.
    weight = min(int(above.sum()), int(below.sum())) / len(names)
    sides = [
        tuple(name for name, is_in in zip(names, side, strict=True) if is_in)
        for side in (above, below)
    ]
    return gap * weight**0.5, Division(text, candidate_id, sides[0], sides[1])
