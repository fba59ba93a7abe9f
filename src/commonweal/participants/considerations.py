"""Questions with their considerations: what can be said for and against, in several wordings each.

The packaged bank is ``considerations/*.toml``, written by hand for this project. Nobody said any of
it, and no claim in it was checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from commonweal.errors import InputError
from commonweal.files import read_text
from commonweal.participants import Asked
from commonweal.reading.toml import load_toml
from commonweal.types import Question

VERDICT = "verdict"
"""The first consideration of every question: yes or no to the question itself."""

MAX_FILE_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class Consideration:
    """One thing that bears on a question, and can be seen either way.

    Attributes:
        about: what it is, in a few words; unique within its question.
        arguments: (for, against): the sentences on each side. "For" answers the question with yes.
    """

    about: str
    arguments: tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class BankQuestion:
    """A question and its considerations; the first is the verdict."""

    asked: Asked
    considerations: tuple[Consideration, ...]

    @property
    def id(self) -> str:
        """The question's id."""
        return self.asked.question.id


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Texts = Annotated[list[_Text], Field(min_length=1)]


class _Sides(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    for_: _Texts = Field(validation_alias="for")
    against: _Texts

    def arguments(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return tuple(self.for_), tuple(self.against)


class _ConsiderationRecord(_Sides):
    about: _Text


class _QuestionRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    id: _Text
    question: _Text
    position: _Text
    topic: _Text
    split: Literal["train", "iid_test", "ood_test"] | None = None
    verdict: _Sides
    consideration: Annotated[list[_ConsiderationRecord], Field(min_length=2)]


class _FileRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    question: Annotated[list[_QuestionRecord], Field(min_length=1)]


def load_bank(files: Sequence[Path] = ()) -> tuple[BankQuestion, ...]:
    """The questions in these files, or the packaged bank, in order.

    Raises:
        InputError: a file is missing or not what is expected, or a name is there twice.
    """
    if not files:
        with resources.as_file(resources.files(__package__) / "considerations") as folder:
            return load_bank(sorted(folder.glob("*.toml")))
    bank = [question for file in files for question in _read(file)]
    for what, names in (
        ("id", [each.id for each in bank]),
        ("question", [each.asked.question.text for each in bank]),
    ):
        again = [name for n, name in enumerate(names) if name in names[:n]]
        if again:
            raise InputError(
                f"{', '.join(map(str, files))}: {what} {again[0]!r} is there twice; expected one "
                "entry for a question"
            )
    return tuple(bank)


def _read(path: Path) -> list[BankQuestion]:
    text = read_text(path, expected="considerations as .toml", max_bytes=MAX_FILE_BYTES)
    try:
        records = _FileRecord.model_validate(load_toml(path, text)).question
    except ValidationError as error:
        first = error.errors()[0]
        where = ", ".join(f"number {at + 1}" if isinstance(at, int) else at for at in first["loc"])
        raise InputError(
            f"{path}: {where}: {first['msg']}, got {first['input']!r:.80}; expected [[question]] "
            "tables as docs/participants.md describes them"
        ) from None
    for record in records:
        names = [VERDICT, *(each.about for each in record.consideration)]
        if len(set(names)) < len(names):
            raise InputError(
                f"{path}: question {record.id!r} has two considerations of one name "
                f"(`about`, and not {VERDICT!r}): {', '.join(names[1:])}"
            )
    return [_question(record) for record in records]


def _question(record: _QuestionRecord) -> BankQuestion:
    said_for, said_against = record.verdict.arguments()
    verdict = Consideration(VERDICT, ((*said_for, record.position), said_against))
    others = (Consideration(each.about, each.arguments()) for each in record.consideration)
    asked = Asked(Question(record.question, record.id), record.position, record.topic, record.split)
    return BankQuestion(asked, (verdict, *others))
