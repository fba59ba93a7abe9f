"""What people of the group proposed themselves, in their own words, as candidates.

A small model answers the question and seldom bridges two sides, but in most groups somebody did:
"only once the train exists". Such a passage is told by what the default model's middle layers hold
while it reads the passages of the opinions (docs/decisions/050-own-words.md). It joins the
candidates as its author's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from commonweal.datasets.words import tokens
from commonweal.models.probe import Probe, TellsStates, shortened
from commonweal.outcomes import MIN_WORDS, sentences
from commonweal.reading.language import language_of, languages_of
from commonweal.reading.orders import without_orders
from commonweal.reading.quoting import as_data
from commonweal.selection.sense import asked_of, prompt_hash
from commonweal.types import Opinion

if TYPE_CHECKING:
    from commonweal.types import FloatArray, LanguageModel

PROBE_PATH = Path(__file__).with_name("own_words.npz")
RECIPE = "recipes/probes/own_words.py"

N_OWN_WORDS = 3
"""Passages that become candidates, at most."""

MIN_STANDING = 0.6
"""How far a passage must stand alone: 1 is what readers would read out to the group, and 0 is not.
Of 36 groups kept out, nine in ten of those above could be read out."""

MAX_WORDS = 45
"""Of a passage; a statement that is read out is no longer."""

MAX_PASSAGES = 60
"""Read of all opinions together, as many of each and one at least: reading one takes a third of a
second."""


def passages(opinion: str) -> list[str]:
    """The sentences of an opinion, and the whole of a short one, each at most ``MAX_WORDS`` long.

    Example:
        >>> passages("They should answer. That's it. A forum is fine unless it is about your mark.")
        ['A forum is fine unless it is about your mark.', "They should answer. That's it. A forum \
is fine unless it is about your mark."]
    """
    found = dict.fromkeys([*sentences(opinion), " ".join(opinion.split())])
    return [
        each
        for each in found
        if MIN_WORDS <= len(tokens(each)) <= MAX_WORDS
        and each.count('"') % 2 == 0
        and each.count("“") == each.count("”")
    ]


def tells(model: object) -> bool:
    """Whether this model's states tell which passages stand alone."""
    return isinstance(model, TellsStates) and _shipped().fits(model)


class OwnWords(NamedTuple):
    """A passage of somebody's opinion that could stand as a statement.

    Attributes:
        author: whose it is.
        text: the passage.
        standing: how far it stands alone, about 1 or 0.
    """

    author: str
    text: str
    standing: float = 0.0


def own_words(model: LanguageModel, question: str, opinions: Sequence[Opinion]) -> list[OwnWords]:
    """The passages that stand alone best as a proposal to the group, best first.

    Of each person one at most. None where nothing stands, or the model does not tell.

    Args:
        model: that wrote the other candidates.
        question: what was asked.
        opinions: of those whose words may be used.

    Raises:
        EngineError: the engine failed.
        WeightsError: the probe that comes with the package is damaged.
    """
    if not isinstance(model, TellsStates) or not tells(model):
        return []
    everybody = [each.text for each in opinions]
    share = max(1, MAX_PASSAGES // len(opinions))
    found = [
        OwnWords(each.id, text)
        for each in in_their_languages(question, opinions)
        for text in passages(without_orders(each.text))[:share]
    ]
    if not found:
        return []
    values = standing(model, question, everybody, [each.text for each in found])
    return [found[place]._replace(standing=float(values[place])) for place in taken(found, values)]


def in_their_languages(question: str, opinions: Sequence[Opinion]) -> list[Opinion]:
    """Those in a language that enough of the group write for a statement to be in it."""
    theirs = languages_of([each.text for each in opinions], question)
    return [
        each
        for each in opinions
        if not theirs or (code := language_of(each.text)) is None or code in theirs
    ]


def taken(found: Sequence[OwnWords], values: FloatArray) -> list[int]:
    """Which of these passages, with how far each stands alone, become candidates: best first.

    Example:
        >>> some = [("Ana", "Yes."), ("Ana", "Only at night."), ("Ben", "No.")]
        >>> taken([OwnWords(*each) for each in some], np.array([0.7, 0.9, 0.2]))
        [1]
    """
    kept: list[int] = []
    authors: set[str] = set()
    known: set[tuple[str, ...]] = set()
    for place in map(int, np.argsort(-values, kind="stable")):
        one, words = found[place], tuple(tokens(found[place].text))
        if values[place] < MIN_STANDING or len(kept) == N_OWN_WORDS:
            break
        if words not in known and one.author not in authors:
            kept.append(place)
            authors.add(one.author)
            known.add(words)
    return kept


def standing(
    model: TellsStates, question: str, opinions: Sequence[str], texts: Sequence[str]
) -> FloatArray:
    """How far each text could be read out to the group alone, float64 [n_texts]: about 1 or 0."""
    prompts = [asked_of(model, question, opinions)] * len(texts)
    probe = _shipped()
    values = probe.values(model, prompts, [shortened(as_data(each), model) for each in texts])
    means: FloatArray = values.mean(axis=1) - float(probe.arrays["offset"][0])
    return means


@cache
def _shipped() -> Probe:
    return Probe.load(PROBE_PATH, prompt_hash=prompt_hash(), recipe=RECIPE)
