"""Which considerations a text expresses, and on which side: read by likeness to known arguments.

A text is cut into clauses. Each clause is likened to every argument of the question (cosine of
all-MiniLM-L6-v2 vectors, without openings such as "We believe that"), and expresses the
consideration and side of the most similar one, or nothing where none is similar enough. Sentence
vectors hardly tell a sentence from its denial. Where the most similar is yes or no to the question
itself, the side is therefore turned round if one of the two denies and the other does not.

What it gets right is measured: docs/participants.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from commonweal.participants.considerations import BankQuestion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    BoolArray = NDArray[np.bool_]

MIN_SIMILARITY = 0.42
"""Cosine below which a clause expresses nothing. Just above what general phrases reach ("We hope
for an agreement that works for all") on the questions of the tuning part."""

MIN_WORDS = 3
"""A shorter clause ("but not all") says too little to be likened to anything."""

_CLAUSES = re.compile(
    r"(?<=[.!?;:])['\"”’)]*\s+|\s[–—-]\s|,?\s+(?=(?:but|while|whilst|whereas|although|though|yet)\s)|,\s+(?=and\s)",
)
_OPENING = re.compile(
    r"^(?:(?:but|while|whilst|whereas|although|though|yet|and|so|still|however)\b,?\s+)?"
    r"(?:(?:we|i|some of us|many of us|others|others of us|most of us|some)"
    r"(?:\s+(?:all|also|would|do))*\s+"
    r"(?:think|believe|agree|fear|worry|note|want|hope|recogni[sz]e|see|feel|accept|understand|know"
    r"|say|find)(?:\s+that)?\s+)?",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\b(?:not|no|never|nobody|cannot|against|oppose|reject|refuse|forbid|stop)\b|n['’]t\b",
    re.IGNORECASE,
)


class Encoder(Protocol):
    """Texts in, unit vectors out: float32 [n_texts, n_dimensions]."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors."""
        ...


class ArgumentReader:
    """Reads texts on questions of a bank; each text and argument is embedded once.

    Args:
        encoder: as ``models.encoder.SentenceEncoder``; by default the packaged weights are loaded
            when the first text is read.
    """

    def __init__(self, encoder: Encoder | None = None) -> None:
        self._encoder = encoder
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._read: dict[tuple[str, str], BoolArray] = {}

    def read(self, question: BankQuestion, text: str) -> BoolArray:
        """What the text expresses, bool [n_considerations, 2]: column 0 is for, 1 is against."""
        known = self._read.get((question.id, text))
        return self.read_all([(question, text)])[0] if known is None else known

    def read_all(self, wanted: Sequence[tuple[BankQuestion, str]]) -> list[BoolArray]:
        """As ``read``, of all of these, embedded together: much faster."""
        new = {(question.id, text): (question, text) for question, text in wanted}
        new = {key: value for key, value in new.items() if key not in self._read}
        clauses = {key: clauses_of(text) for key, (_, text) in new.items()}
        self._embed(
            [text for question, _ in new.values() for *_, text in _arguments(question)]
            + [clause for each in clauses.values() for clause in each]
        )
        for key, (question, _) in new.items():
            self._read[key] = self._express(question, clauses[key])
        return [self._read[question.id, text] for question, text in wanted]

    def _express(self, question: BankQuestion, clauses: Sequence[str]) -> BoolArray:
        expressed = np.zeros((len(question.considerations), 2), dtype=np.bool_)
        if not clauses:
            return expressed
        arguments = _arguments(question)
        known = np.array([self._vectors[without_opening(text)] for *_, text in arguments])
        vectors = np.array([self._vectors[without_opening(clause)] for clause in clauses])
        similarity = vectors @ known.T
        for clause, row in zip(clauses, similarity, strict=True):
            nearest = int(row.argmax())
            if row[nearest] < MIN_SIMILARITY:
                continue
            consideration, side, text = arguments[nearest]
            turned = consideration == 0 and _denies(clause) != _denies(text)
            expressed[consideration, 1 - side if turned else side] = True
        return expressed

    def _embed(self, texts: Sequence[str]) -> None:
        bare = dict.fromkeys(without_opening(text) for text in texts)
        new = [text for text in bare if text not in self._vectors]
        if not new:
            return
        if self._encoder is None:
            # Imported here: whoever has no text to read need not load the encoder's runtime.
            from commonweal.models.encoder import SentenceEncoder
            from commonweal.models.store import require

            self._encoder = SentenceEncoder(require("all-minilm-l6-v2"))
        self._vectors.update(zip(new, self._encoder.encode(new), strict=True))


def clauses_of(text: str) -> list[str]:
    """The parts of a text that may each express something of their own.

    Example:
        >>> clauses_of("We like trees, but they cost money. Some of us differ. Well.")
        ['We like trees', 'but they cost money.', 'Some of us differ.']
    """
    parts = [part.strip() for part in _CLAUSES.split(" ".join(text.split()))]
    return [part for part in parts if len(part.split()) >= MIN_WORDS]


def without_opening(clause: str) -> str:
    """The clause without words that only say who holds it; the clause where nothing else is left.

    Example:
        >>> without_opening("But some of us fear that it costs too much.")
        'it costs too much.'
    """
    return _OPENING.sub("", clause, count=1) or clause


def _arguments(question: BankQuestion) -> list[tuple[int, int, str]]:
    """(row of the consideration, side, text) of each argument."""
    return [
        (row, side, text)
        for row, consideration in enumerate(question.considerations)
        for side, texts in enumerate(consideration.arguments)
        for text in texts
    ]


def _denies(text: str) -> bool:
    return len(_DENIAL.findall(text)) % 2 == 1
