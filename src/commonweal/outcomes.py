"""What may come of looking for a statement, and what predictions say in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from commonweal.datasets.words import STEM_CHARACTERS, stems, tokens
from commonweal.types import RATING_NEUTRAL, Opinion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from commonweal.types import FloatArray

MIN_AGREEING = 0.0
"""The least share of the group that must be predicted to agree before a text is called the group's
statement; somebody's range must reach it in any case
(docs/decisions/023-no-agreement-is-an-outcome.md)."""

MAX_DISAGREEING = 0.5
"""The largest share that may be likely to disagree with it."""


class Outcome(StrEnum):
    """What came of looking for a statement."""

    FOUND = "statement found"
    NO_AGREEMENT = "no agreement found"
    """Too few people are predicted to agree with what comes closest, or too many to disagree."""
    NO_STATEMENT = "no statement worth showing"
    """No completion survived parsing, or no candidate reached the floor of quality."""


class Verdict(StrEnum):
    """A prediction of one person in words, as sure as it is and no surer."""

    AGREES = "likely agrees"
    UNSURE = "can't tell"
    DISAGREES = "likely disagrees"


UNSURE_POINTS = 1.0
"""How near to neutral an expected rating is where a verdict is left open, for reward models that
give no ranges: one step of the scale, our choice."""


def verdict(expected: float, low: float | None = None, high: float | None = None) -> Verdict:
    """What an expected rating says: agreement where the whole range lies above neutral (4).

    Without a range an expected rating less than ``UNSURE_POINTS`` from neutral says nothing.

    Example:
        >>> verdict(5.5, 4.4, 6.3).value, verdict(4.6, 2.5, 6.0).value
        ('likely agrees', "can't tell")
    """
    if low is None or high is None:
        low, high = expected - UNSURE_POINTS, expected + UNSURE_POINTS
    if low >= RATING_NEUTRAL < expected:
        return Verdict.AGREES
    return Verdict.DISAGREES if high <= RATING_NEUTRAL > expected else Verdict.UNSURE


def verdicts(
    expected: FloatArray, low: FloatArray | None = None, high: FloatArray | None = None
) -> tuple[Verdict, ...]:
    """What is predicted of everybody and one text, in words, from arrays [n_participants]."""
    if low is None or high is None:
        return tuple(map(verdict, map(float, expected)))
    three = zip(expected, low, high, strict=True)
    return tuple(verdict(*map(float, each)) for each in three)


@dataclass(frozen=True, slots=True)
class Objection:
    """The sentence of a person's opinion that the text goes against most.

    Attributes:
        participant_id: whose.
        sentence: as they wrote it.
        expected_rating: what is predicted of somebody who had written this sentence alone.
    """

    participant_id: str
    sentence: str
    expected_rating: float


@dataclass(frozen=True, slots=True)
class PersonLeftOut:
    """Somebody of whose own words, beyond the question's, the text takes up none.

    Attributes:
        participant_id: who.
        sentence: the first that they wrote.
    """

    participant_id: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Division:
    """A text on which predictions part: a clause of the closest candidate, or another candidate.

    Attributes:
        text: what they part on.
        candidate_id: whose text or clause it is.
        for_it: ids of those predicted to agree most clearly.
        against_it: ids of those predicted to disagree most clearly.
    """

    text: str
    candidate_id: str
    for_it: tuple[str, ...]
    against_it: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why predictions are as they are, as far as the reward model can point to it.

    Attributes:
        objections: of those who are predicted to disagree, where a sentence stands out.
        divisions: what divides the group, the widest first.
        shared: clauses of the text with which everybody is predicted to agree, read alone.
    """

    objections: tuple[Objection, ...] = ()
    divisions: tuple[Division, ...] = ()
    shared: tuple[str, ...] = ()


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
        n = next(n for n in range(1, 20) if round(self.expected_rating, n) < RATING_NEUTRAL)
        return f"{self.expected_rating:.{n}f}"


MIN_WORDS = 4
"""A shorter sentence or clause says nothing alone."""

_MIN_OWN_STEMS = 3
_SENTENCE = re.compile(r"(?<=[.!?…。！？؟۔।])['\"”’»)]*\s+|(?<=[。！？])|\n+")


def sentences(text: str) -> list[str]:
    """The sentences of a text, as they stand in it, without those of a word or three.

    Example:
        >>> sentences("No. The fares eat up my wages! Make them free for all of us.")
        ['The fares eat up my wages!', 'Make them free for all of us.']
    """
    return parts(_SENTENCE, text)


def parts(mark: re.Pattern[str], text: str) -> list[str]:
    """What stands between marks, each part once, without parts that say nothing alone."""
    cleaned = (" ".join(part.split()) for part in mark.split(text) if part)
    return [part for part in dict.fromkeys(cleaned) if len(tokens(part)) >= MIN_WORDS]


def left_out(question: str, opinions: Sequence[Opinion], text: str) -> tuple[PersonLeftOut, ...]:
    """Those of whose own words, beyond the question's, the text takes up none.

    A word is known by its first letters, so that "fares" is "fare"; short words, which are most of
    grammar, do not count. It compares words, not meanings: who said it in other words is named,
    too, so what is shown of it must say so. Scripts without blanks are not compared.
    """
    asked, taken = _stems(question), _stems(text)
    if not taken:
        return ()
    passages = []
    for opinion in opinions:
        own = _stems(opinion.text) - asked
        if len(own) >= _MIN_OWN_STEMS and not own & taken:
            sentences_of = sentences(opinion.text) or [" ".join(opinion.text.split())]
            passages.append(PersonLeftOut(opinion.id, sentences_of[0]))
    return tuple(passages)


def _stems(text: str) -> set[str]:
    return stems(text, shortest=STEM_CHARACTERS)


NEAR_COPY = 0.4
"""Two texts that share this part of their words are of one kind (Jaccard 1912): our choice."""


def is_near_copy(one: str, other: str) -> bool:
    """Whether two texts say something in much the same words.

    Example:
        >>> is_near_copy("Close it in the afternoon.", "We would close it in the afternoon.")
        True
    """
    words, others = set(tokens(one)), set(tokens(other))
    return len(words & others) >= NEAR_COPY * len(words | others)


def explanation_from_dict(fields: Mapping[str, Any] | None) -> Explanation | None:
    """The explanation that ``asdict`` made plain."""
    if fields is None:
        return None
    return Explanation(
        tuple(Objection(**each) for each in fields["objections"]),
        tuple(
            Division(
                each["text"],
                each["candidate_id"],
                tuple(each["for_it"]),
                tuple(each["against_it"]),
            )
            for each in fields["divisions"]
        ),
        tuple(fields.get("shared", ())),
    )
