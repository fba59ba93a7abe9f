"""The rated rounds that a run may learn from: no test split, no question that is tested on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from commonweal.datasets.dataset import Dataset, read_dataset
from commonweal.datasets.words import normal_form
from commonweal.errors import InputError
from commonweal.questions.guard import refuse_test_questions
from commonweal.questions.records import TRAIN, QuestionRecord
from commonweal.training.config import RatedData
from commonweal.types import Question


def read_training_rounds(
    config: RatedData, counts: dict[str, int]
) -> tuple[list[Dataset], list[Question], list[QuestionRecord]]:
    """The training rounds of each of the config's datasets, every question that they ask, and the
    questions of all their rounds with their splits, which nothing else may train on either.

    Rounds of a test split are never read; a dataset without splits is refused.

    Args:
        config: which datasets, and who is left out.
        counts: what came in and what was left out is added to it.

    Raises:
        InputError: a dataset cannot be read or has no training rounds, or a question is held out
            for testing in one of them or in ``question_split``.
    """

    def count(what: str, n: int) -> None:
        counts[what] = counts.get(what, 0) + n

    datasets, with_splits = [], []
    for path in config.datasets:
        dataset = read_dataset(path)
        count("rounds", dataset.rounds.height)
        with_splits += [
            QuestionRecord("", text, split=split)
            for text, split in dataset.rounds.select("question", "split").iter_rows()
            if split
        ]
        dataset = dataset.of_split(TRAIN)
        count("rounds in the training split", dataset.rounds.height)
        if config.min_kappa is not None:
            from commonweal.datasets.reliability import drop_unreliable

            before = dataset.ratings["participant_id"].n_unique()
            dataset = drop_unreliable(dataset, threshold=config.min_kappa)
            count(
                "people dropped: unreliable", before - dataset.ratings["participant_id"].n_unique()
            )
        datasets.append(dataset)
    asked = list(
        dict.fromkeys(
            Question(text, name)
            for dataset in datasets
            for name, text in dataset.rounds.select("question_id", "question").iter_rows()
        )
    )
    if asked:
        # Another dataset may test on what this one trains on; an id means its own dataset's
        # question.
        refuse_test_questions((question.text for question in asked), with_splits)
        if config.question_split is not None:
            counts["questions compared with the test splits"] = refuse_test_questions(
                asked, config.question_split
            )
    return datasets, asked, with_splits


def named_questions(names: Sequence[str], asked: Sequence[Question]) -> frozenset[str]:
    """Normal forms of the questions with these ids: two ids that ask the same go together.

    Raises:
        InputError: no training round asks one of them.
    """
    there = list(dict.fromkeys(question.id for question in asked))
    unknown = [name for name in names if name not in there]
    if unknown:
        some = f"some of {', '.join(there[:5])}{', …' if len(there) > 5 else ''}"
        raise InputError(
            f"data.development names the question {unknown[0]!r}, which is in no training round; "
            f"expected {some if there else 'question ids of data.datasets, which names none'}"
        )
    return frozenset(normal_form(question.text) for question in asked if question.id in names)


def draw_share(names: Sequence[str], share: float, seed: int) -> frozenset[str]:
    """A share of these names, drawn by ``seed``: at least one, and never all of them."""
    n_drawn = min(max(1, round(share * len(names))), len(names) - 1)
    drawn = np.random.default_rng(seed).choice(len(names), n_drawn, replace=False)
    return frozenset(names[place] for place in drawn)
