"""The most sensible candidates, of which the first is taken, or a rule chooses between a few.

Most of what a model of 1.5 billion parameters writes could not be read out, and no reward model
here finds what could: predicted quality tells salad from sense, and hardly an invented reason from
one that people gave. What the model holds while it reads its own text again does tell
(``selection.sense``). Which side most are on, it hardly knows; predictions for each person do.
Where the model's own order is not known, quality and the words that neither the question nor
anybody used make the shortlist (docs/decisions/042, 046, 047, 048 and 051).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from commonweal.datasets.turning import refuses
from commonweal.datasets.words import stems, tokens
from commonweal.outcomes import sentences

if TYPE_CHECKING:
    from commonweal.types import FloatArray

NEW_WORDS_WEIGHT = 2.0
"""Of the share of new words, in standard deviations within the group, beside one of quality."""

NEW_WORDS_BESIDE_SENSE = 0.5
"""Likewise, beside one of what the model that wrote them makes of them."""

LATER_BESIDE_SENSE = 0.2
"""Likewise, of the place in the order of writing: first comes what the model is surest of, and last
what was drawn again at a higher temperature."""

SIDE_BESIDE_SENSE = 2.5
"""Likewise, of each point of 7 by which texts on one side are predicted to please more on average
than texts on the other: what one text is predicted to get says little, what a side is says more
(docs/decisions/051-the-side-of-most.md)."""

_SHORTEST = 4
"""Letters of a word that says something."""


def most_sensible(
    question: str,
    opinions: Sequence[str],
    statements: Sequence[str],
    qualities: FloatArray | None,
    senses: Sequence[float | None] = (None,),
    means: FloatArray | None = None,
) -> list[int]:
    """The statements' indexes, the most sensible first; of those that tie, the one written first.

    Args:
        question: what was asked.
        opinions: everybody's, whose words are nobody's invention.
        statements: one or more, in the order in which they were written.
        qualities: of each statement, float64 [n_statements]; may be None where all senses are
            known.
        senses: what the model that wrote them makes of each (``Candidate.sense``): where all are
            known they stand in the place of qualities.
        means: everybody's mean expected rating of each, float64 [n_statements], from a model that
            reads opinions; counts beside senses alone.
    """
    known = stems(" ".join([question, *opinions]), shortest=_SHORTEST)
    used = [stems(statement, shortest=_SHORTEST) for statement in statements]
    new = np.array([len(words - known) / max(1, len(words)) for words in used])
    read = [each for each in senses if each is not None]
    if len(read) == len(statements):
        sense = _standard(np.array(read)) - NEW_WORDS_BESIDE_SENSE * _standard(new)
        sense -= LATER_BESIDE_SENSE * _standard(np.arange(len(read), dtype=float))
        if means is not None:
            sense += SIDE_BESIDE_SENSE * of_their_side(statements, means)
    else:
        assert qualities is not None  # noqa: S101 - for the type checker: one of them is known
        sense = _standard(qualities) - NEW_WORDS_WEIGHT * _standard(new)
    return list(map(int, np.argsort(-sense, kind="stable")))


def of_their_side(statements: Sequence[str], means: FloatArray) -> FloatArray:
    """By how much each statement's side pleases more than the mean of both, in points of 7.

    All zero where all are on one side.

    Example:
        >>> two = ["We would ban it.", "We would ban it now.", "We would not ban it."]
        >>> of_their_side(two, np.array([3.0, 5.0, 4.5])).tolist()
        [-0.25, -0.25, 0.25]
    """
    against = np.array([says_no(each) for each in statements])
    if against.all() or not against.any():
        return np.zeros(len(statements))
    gain = means[against].mean() - means[~against].mean()
    sides: FloatArray = np.where(against, gain, -gain) / 2
    return sides


def says_no(statement: str) -> bool:
    """Whether the answer is what we would not do: the first sentence, whatever comes after."""
    return refuses(tokens(next(iter(sentences(statement)), statement)))


def _standard(values: FloatArray) -> FloatArray:
    spread = values.std()
    centred: FloatArray = values - values.mean()
    return centred / spread if spread > 0 else centred
