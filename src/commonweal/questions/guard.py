"""The one check that keeps questions held out for testing away from training.

The rule for whatever trains (a policy, a reward model, a round of iteration): it calls
``refuse_test_questions`` first, with all the questions that its data are about.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from commonweal.datasets.words import normal_form
from commonweal.errors import InputError
from commonweal.questions.records import IID_TEST, OOD_TEST, QuestionRecord, read_questions
from commonweal.types import Question

TEST_SPLITS = (IID_TEST, OOD_TEST)
_N_NAMED = 5


class HeldOutQuestionError(InputError):
    """A question that is held out for testing was about to be trained on."""


def refuse_test_questions(
    training_questions: Iterable[Question | QuestionRecord | str],
    split: str | Path | Iterable[QuestionRecord],
) -> int:
    """The number of questions that were checked; raises where one of them is held out for testing.

    A question is the same as another where its words are (without case, marks and blanks) or where
    its id is, so neither rewording under one id nor a new id for the same words gets it past. A
    question reworded under a new id is not found: `commonweal questions split` reports the nearest.

    Args:
        training_questions: every question that is about to be trained on.
        split: the file that `commonweal questions split` wrote, or its records.

    Raises:
        HeldOutQuestionError: one is in a test split.
        InputError: the file is not a split question set, or the questions are one text.
    """
    if isinstance(training_questions, str):
        raise InputError(
            f"the questions to train on are one text, {training_questions[:80]!r}; expected a list "
            "of questions"
        )
    if isinstance(split, str | Path):
        where, records = str(split), read_questions(Path(split))
    else:
        where, records = "the split", tuple(split)
    held_out = [record for record in records if record.split in TEST_SPLITS]
    if not any(record.split for record in records):
        raise InputError(
            f"{where} gives no question a split; expected what `commonweal questions split` wrote"
        )
    by_form = {normal_form(record.question): record for record in held_out}
    by_id = {record.id: record for record in held_out}
    matches: list[str] = []
    n_checked = 0
    for given in training_questions:
        n_checked += 1
        text, name = _text_and_id(given)
        match = by_form.get(normal_form(text)) or (by_id.get(name) if name else None)
        if match is not None:
            matches.append(f"{match.id} ({match.split}) {match.question!r}")
    if matches:
        named = "; ".join(matches[:_N_NAMED]) + ("; ..." if len(matches) > _N_NAMED else "")
        raise HeldOutQuestionError(
            f"{len(matches)} of {n_checked} questions to train on are held out for testing in "
            f"{where}: {named}. Take them out of the training data; a model that has seen a test "
            "question cannot be tested on it"
        )
    return n_checked


def _text_and_id(given: Question | QuestionRecord | str) -> tuple[str, str]:
    if isinstance(given, str):
        return given, ""
    return (given.text if isinstance(given, Question) else given.question), given.id
