"""A study's questions: written in its file, or one split of a question set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from commonweal.questions.guard import TEST_SPLITS, refuse_test_questions
from commonweal.questions.records import (
    QuestionRecord,
    content_id,
    read_questions,
    records_of_split,
)

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)
"""Of every part of a study's file: unknown fields and wrong types are refused."""


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("the question is blank; expected what people are asked")
    return text


class QuestionConfig(BaseModel):
    """A question. Without a position statement people rate none."""

    model_config = STRICT
    id: Annotated[str, Field(pattern=r"^\S{0,80}$")] = ""
    text: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_not_blank)]
    position: Annotated[str, Field(max_length=1000)] = ""
    topic: str = ""
    split: Literal["", "train", "iid_test", "ood_test"] = ""

    @property
    def key(self) -> str:
        """The question's id; where the file gives none, the one made from its words."""
        return self.id or content_id(self.text)

    @property
    def record(self) -> QuestionRecord:
        """The question as question sets hold it."""
        return QuestionRecord(
            self.key, self.text, self.position, self.topic, self.split, source="study"
        )


class QuestionSetConfig(BaseModel):
    """One split of a file that `commonweal questions split` wrote; a relative path is from the
    study's own folder.
    """

    model_config = STRICT
    file: Annotated[str, Field(min_length=1)]
    split: Literal["train", "iid_test", "ood_test"]

    def read(self, folder: Path) -> list[dict[str, Any]]:
        """The questions of the split, as if they stood in the study's file.

        Every record of the file is looked at: a question to train on that also stands in a test
        split, under whatever id, is refused.

        Raises:
            InputError: the file cannot be read, nothing is in the split, or as above.
        """
        everything = read_questions(folder / Path(self.file).expanduser())
        of_split = records_of_split(everything, self.split)
        if self.split not in TEST_SPLITS:
            refuse_test_questions(of_split, everything)
        return [
            {
                "id": record.id,
                "text": record.question,
                "position": record.position_statement,
                "topic": record.topic,
                "split": record.split,
            }
            for record in of_split
        ]


def check_purpose(purpose: str, questions: Sequence[QuestionConfig]) -> None:
    """Returns where these questions may serve that purpose, and raises where they may not.

    Raises:
        HeldOutQuestionError: a study that collects training data asks a test question.
        ValueError: a study asks test questions and does not say what it is for.
    """
    records = [question.record for question in questions]
    held_out = [record for record in records if record.split in TEST_SPLITS]
    if purpose == "training" and any(record.split for record in records):
        refuse_test_questions(records, records)
    if not purpose and held_out:
        raise ValueError(
            f"{len(held_out)} questions are held out for testing, the first is "
            f'{held_out[0].question!r}; expected purpose = "evaluation", or other questions'
        )
