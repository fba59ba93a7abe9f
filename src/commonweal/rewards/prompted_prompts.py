"""What a language model is asked when it reads as a reward model, and what it answers.

The questions are in ``prompted_agreement.toml`` and ``prompted_quality.toml``, each with a hash.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from commonweal.reading.quoting import as_data, template_hash
from commonweal.types import RATING_MAX, RATING_MIN, Message, Prompt

RATINGS = tuple(range(RATING_MIN, RATING_MAX + 1))

MAX_CHARACTERS = 8000
"""Of one opinion or statement; a longer one loses its end, since people say first what matters to
them most. About a quarter of the embedded model's context: our choice."""

MAX_GROUP_CHARACTERS = 12_000
"""Of all opinions that stand in one prompt about quality, each cut to its share."""


MAX_TOGETHER = 16
"""Statements in one structured answer: as many as a policy writes (paper 3.4)."""


class RatingRequest(NamedTuple):
    """One rating that is wanted.

    Attributes:
        about: the part of the prompt that ratings of several statements share.
        statement: what is rated, as it was given.
    """

    about: str
    statement: str


@dataclass(frozen=True, slots=True)
class ReadingPrompt:
    """What is said around a question, opinions and statements.

    Attributes:
        system: the task, and that what people wrote is data.
        about: the question and one opinion, or several.
        one: one statement, and that a single number is wanted.
        many: several statements, and that a JSON object of numbers is wanted.
        listed: one of several statements.
    """

    system: str
    about: str
    one: str
    many: str
    listed: str

    @property
    def hash(self) -> str:
        """The sha256 of everything in the prompt, first 16 hex digits."""
        return template_hash(asdict(self))

    def about_person(self, question: str, opinion: str) -> str:
        """The shared beginning for one person."""
        return self.about.format(question=_cut(question), opinion=_cut(opinion))

    def about_group(self, question: str, opinions: Sequence[str]) -> str:
        """The shared beginning for a group."""
        share = MAX_GROUP_CHARACTERS // max(1, len(opinions))
        listed = "\n".join(f"<opinion>{as_data(text)[:share]}</opinion>" for text in opinions)
        return self.about.format(question=_cut(question), opinion=listed)

    def single(self, asked: RatingRequest) -> Prompt:
        """The prompt that one number answers."""
        rest = self.one.format(statement=_cut(asked.statement))
        return Message("system", self.system), Message("user", asked.about + rest)

    def several(self, about: str, statements: Sequence[str]) -> Prompt:
        """The prompt that a JSON object answers: statement 1 is the first of these."""
        listed = "\n".join(
            self.listed.format(number=number, statement=_cut(text))
            for number, text in enumerate(statements, start=1)
        )
        # An example in which every rating is another favours none.
        example = json.dumps({str(n): r for n, r in zip(range(1, 4), (2, 6, 4), strict=True)})
        rest = self.many.format(statements=listed, example=example)
        return Message("system", self.system), Message("user", about + rest)


def _cut(text: str) -> str:
    return as_data(text)[:MAX_CHARACTERS]


@cache
def load_prompt(name: str) -> ReadingPrompt:
    """A packaged prompt: "agreement" or "quality"."""
    file = resources.files("commonweal.rewards") / f"prompted_{name}.toml"
    return ReadingPrompt(**tomllib.loads(file.read_text(encoding="utf-8")))


def orders(about: str, texts: Sequence[str]) -> list[list[str]]:
    """The orders in which one person's statements are asked for: one by chance, and its reverse."""
    if len(texts) == 1:
        return [list(texts)]
    order = np.random.default_rng(seed_of(0, about, texts)).permutation(len(texts))
    shuffled = [texts[int(place)] for place in order]
    return [shuffled, shuffled[::-1]]


def answer_tokens(n_statements: int) -> int:
    """Room for an answer with so many ratings."""
    return 32 + 16 * n_statements


def seed_of(attempt: int, about: str, texts: Sequence[str]) -> int:
    """The seed of one attempt at one list of statements."""
    return crc32("\n".join((str(attempt), about, *texts)).encode(errors="replace")) >> 1


def by_about(asked: Iterable[RatingRequest]) -> dict[str, list[str]]:
    """Statements by what they share."""
    statements_by_about: dict[str, list[str]] = {}
    for each in asked:
        statements_by_about.setdefault(each.about, []).append(each.statement)
    return statements_by_about


def chunks_of(asked: Iterable[RatingRequest]) -> list[tuple[str, list[str]]]:
    """(What is shared, at most ``MAX_TOGETHER`` statements), as equal in number as can be."""
    chunks = []
    for about, texts in by_about(asked).items():
        n = -(-len(texts) // MAX_TOGETHER)
        chunks += [(about, list(part)) for part in _split(texts, n)]
    return chunks


def _split(texts: Sequence[str], n_parts: int) -> list[Sequence[str]]:
    edges = [len(texts) * part // n_parts for part in range(n_parts + 1)]
    return [texts[start:stop] for start, stop in pairwise(edges)]


def ratings_schema(n_statements: int) -> dict[str, Any]:
    """The JSON schema of an answer: a rating for each number from 1 to ``n_statements``.

    A property for each statement, not an array: servers that hold a model to a schema know
    ``required`` and ``enum``, and not all of them the lengths of arrays.
    """
    numbers = [str(number) for number in range(1, n_statements + 1)]
    return {
        "type": "object",
        "properties": {number: {"type": "integer", "enum": list(RATINGS)} for number in numbers},
        "required": numbers,
        "additionalProperties": False,
    }


def read_ratings(answer: str, n_statements: int) -> list[int | None]:
    r"""The rating of each statement, None where the answer gives none that can be used.

    The last JSON object in the answer counts: some models repeat the question or think aloud
    first. A number that is given twice, or off the scale, is no rating.

    Example:
        >>> read_ratings('Here: ```json\n{"1": 7, "2": "3", "3": 9}\n```', 3)
        [7, 3, None]
        >>> read_ratings("I would rather not say.", 2)
        [None, None]
    """
    pairs = _last_object(answer)
    given: dict[str, list[Any]] = {}
    for name, value in pairs:
        given.setdefault(name.strip(), []).append(value)
    return [_rating(given.get(str(number), [])) for number in range(1, n_statements + 1)]


def _rating(values: Sequence[Any]) -> int | None:
    if len(values) != 1 or isinstance(values[0], bool):
        return None
    (value,) = values
    if isinstance(value, str):
        value = int(value) if value.strip() in set(map(str, RATINGS)) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and value in RATINGS else None


def _last_object(text: str) -> list[tuple[str, Any]]:
    """The pairs of the last outermost JSON object in the text that can be read; [] for none."""
    decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: pairs)
    last: list[tuple[str, Any]] = []
    at = text.find("{")
    while at >= 0:
        try:
            last, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        at = text.find("{", end)
    if len(last) == 1 and isinstance(last[0][1], list) and _are_pairs(last[0][1]):
        return last[0][1]  # {"ratings": {...}}
    return last


def _are_pairs(values: Sequence[Any]) -> bool:
    return all(isinstance(each, tuple) for each in values)
