"""The starter set: questions, opinions and good statements that a policy first learns from.

Written for this project, without templates; no real person said any of it. It stands in for what
people write and rate until a study has run, so that the embedded model can be fine-tuned at all
(paper 3.4 step 1). What a good statement does is what Table 1 of the paper shows; `validator.py`
checks the form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from commonweal.errors import InputError
from commonweal.files import read_text
from commonweal.reading.toml import load_toml

__all__ = ["StarterExample", "load_starter_set", "read_starter_file", "split"]

MAX_FILE_BYTES = 20_000_000
"""A larger file is not a starter set, whatever it is."""


@dataclass(frozen=True, slots=True)
class StarterExample:
    """A question, opinions on it, and statements that do what a good statement does.

    Attributes:
        topic: what the question is about; whole topics are held out.
        question: a debate question, to be answered with yes or no.
        opinions: three to five, each of another invented person.
        statements: one to three, each good on its own.
        little_shared: the opinions have little in common, and the statements say so.
    """

    topic: str
    question: str
    opinions: tuple[str, ...]
    statements: tuple[str, ...]
    little_shared: bool = False

    @property
    def id(self) -> str:
        """Made from the question and the opinions: it changes with them and with nothing else."""
        content = "\n".join((self.question, *self.opinions))
        return f"starter-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


class _ExampleRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    topic: Annotated[str, Field(min_length=1)]
    question: Annotated[str, Field(min_length=1)]
    opinions: Annotated[list[str], Field(min_length=1)]
    statements: Annotated[list[str], Field(min_length=1)]
    shared: Literal["little"] | None = None


class _FileRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    example: list[_ExampleRecord]


def load_starter_set() -> tuple[StarterExample, ...]:
    """The whole set, in the order of its files (``policies/starter/part_*.toml``).

    Raises:
        InputError: a file is damaged; see ``read_starter_file``.
    """
    with resources.as_file(resources.files(__name__)) as folder:
        files = sorted(folder.glob("part_*.toml"))
        return tuple(example for file in files for example in read_starter_file(file))


def read_starter_file(path: Path) -> tuple[StarterExample, ...]:
    """The examples in one file: ``[[example]]`` tables with ``topic``, ``question``, ``opinions``,
    ``statements`` and, where little is shared, ``shared = "little"``.

    Raises:
        InputError: there is no such file, it is not UTF-8 or not TOML, or a field is missing,
            unknown or of the wrong kind; the message says in which example.
    """
    text = read_text(path, expected="a starter set as .toml", max_bytes=MAX_FILE_BYTES)
    try:
        record = _FileRecord.model_validate(load_toml(path, text))
    except ValidationError as error:
        first = error.errors()[0]
        where = ", ".join(f"number {at + 1}" if isinstance(at, int) else at for at in first["loc"])
        raise InputError(
            f"{path}: {where}: {first['msg']}, got {first['input']!r:.80}; expected [[example]] "
            "tables with topic, question, opinions, statements and, where little is shared, "
            'shared = "little"'
        ) from None
    return tuple(
        StarterExample(
            each.topic,
            each.question,
            tuple(each.opinions),
            tuple(each.statements),
            each.shared is not None,
        )
        for each in record.example
    )


def split(
    examples: Sequence[StarterExample], *, n_held_out: int, seed: int
) -> tuple[tuple[StarterExample, ...], tuple[StarterExample, ...]]:
    """The examples to learn from and those held out, each in the order given.

    Topics are held out whole, in an order drawn with ``seed``, until at least ``n_held_out``
    examples are, so that a model is tested on topics that it has not seen.

    Raises:
        InputError: fewer than one example held out, or none left to learn from.
    """
    import numpy as np

    n_in_topic: dict[str, int] = {}
    for example in examples:
        n_in_topic[example.topic] = n_in_topic.get(example.topic, 0) + 1
    held_out: set[str] = set()
    n_held = 0
    for topic in np.random.default_rng(seed).permutation(sorted(n_in_topic)).tolist():
        if n_held >= n_held_out:
            break
        held_out.add(topic)
        n_held += n_in_topic[topic]
    if n_held_out < 1 or n_held >= len(examples):
        raise InputError(
            f"cannot hold out {n_held_out} of {len(examples)} examples in {len(n_in_topic)} whole "
            "topics; expected at least 1, and at least one topic left to learn from"
        )
    return (
        tuple(each for each in examples if each.topic not in held_out),
        tuple(each for each in examples if each.topic in held_out),
    )
