"""Splits of a dataset's questions: whole questions, never rows.

Rounds that ask the same thing go together, also where their ids differ, so that nothing that a
model is tested on was in its training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from commonweal.datasets.dataset import Dataset, Step, read_unchecked
from commonweal.datasets.reading import read_csv
from commonweal.datasets.validation import check
from commonweal.datasets.words import normal_form
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.types import SPLITS

_SAME = "_same"
"""A question's words: the same for every id under which it is asked."""

_FORM = pl.col("question").map_elements(normal_form, return_dtype=pl.String)


def read_without_splits(folder: Path) -> Dataset:
    """The dataset in this folder without its splits: they may leak, which a new split mends.

    Raises:
        InputError: as ``read_dataset``, leaks aside.
    """
    dataset = read_unchecked(folder)
    if "split" in dataset.rounds.columns:
        none = pl.lit(None, dtype=pl.String).alias("split")
        dataset = replace(dataset, rounds=dataset.rounds.with_columns(none))
    check(dataset, folder)
    return dataset


def split_by_share(
    dataset: Dataset,
    *,
    iid_test: float = 0.2,
    ood_test: float = 0.0,
    seed: int = 0,
    again: bool = False,
) -> Dataset:
    """The dataset with its questions in splits, drawn by ``seed``.

    Out-of-distribution questions are whole topics, drawn until their share is reached;
    within-distribution ones are drawn from the other topics. What is left is for training.

    Args:
        dataset: with questions.
        iid_test: share of the questions for the within-distribution test.
        ood_test: share for the out-of-distribution test; the rounds need topics for it.
        seed: the same seed, the same split.
        again: replace splits that are there.

    Raises:
        InputError: the shares leave nothing for training or too few questions to split; topics are
            missing; there are splits already.
    """
    for name, share in (("iid_test", iid_test), ("ood_test", ood_test)):
        if not 0 <= share < 1:
            raise InputError(f"{name} is {share}, expected a share from 0 to below 1")
    questions = _questions(dataset)
    n_questions = questions[_SAME].n_unique()
    n_iid, n_ood = round(iid_test * n_questions), round(ood_test * n_questions)
    rng = np.random.default_rng(seed)
    held_out = _whole_topics(questions, n_ood, rng, dataset.about.name) if n_ood else set()
    rest = sorted(set(questions[_SAME]) - held_out)
    iid = {rest[n] for n in rng.permutation(len(rest))[:n_iid]}
    for share, drawn, name in ((iid_test, iid, "iid_test"), (ood_test, held_out, "ood_test")):
        if share and not drawn:
            raise InputError(
                f"{dataset.about.name} has {n_questions} questions: a share of {share} for {name} "
                "is less than one; expected a larger share, or more questions"
            )
    if len(iid) + len(held_out) >= n_questions:
        raise InputError(
            f"{dataset.about.name} has {n_questions} questions, and none would be left for "
            "training; expected smaller shares"
        )
    splits = {
        name: "ood_test" if same in held_out else "iid_test" if same in iid else "train"
        for name, same in questions.select("question_id", _SAME).iter_rows()
    }
    options = {"iid_test": iid_test, "ood_test": ood_test, "seed": seed}
    return _with_splits(dataset, splits, options, again=again)


def split_by_mapping(
    dataset: Dataset, splits: Mapping[str, str], *, again: bool = False
) -> Dataset:
    """The dataset with the splits that a mapping from question id to split gives.

    Raises:
        InputError: a question has no split or an unknown one, an id is no question of the dataset,
            one question is asked in two splits, or there are splits already.
    """
    questions = _questions(dataset)
    known = set(questions["question_id"])
    if unknown := sorted(set(splits) - known):
        raise InputError(
            f"{dataset.about.name} has no question_id {unknown[0]!r}; it has "
            f"{', '.join(sorted(known)[:10])}"
        )
    if missing := sorted(known - set(splits)):
        raise InputError(
            f"{dataset.about.name}: question_id {missing[0]!r} is given no split "
            f"({len(missing)} questions are not); expected one of {', '.join(SPLITS)} for each"
        )
    for name, split in splits.items():
        if split not in SPLITS:
            raise InputError(
                f"question_id {name!r}: the split is {split!r}, expected one of {', '.join(SPLITS)}"
            )
    return _with_splits(dataset, splits, {"by": "question_id"}, again=again)


def split_by_question_set(dataset: Dataset, path: Path, *, again: bool = False) -> Dataset:
    """The dataset with the splits of a question set: a CSV file with columns question and split.

    Questions are matched by their words.

    Raises:
        InputError: the file cannot be read, gives one question two splits, or lacks a question.
    """
    text: dict[str, type[pl.DataType]] = {"question": pl.String, "split": pl.String}
    expected = "a question set with the columns question and split"
    given = read_csv(path, text, others=None, expected=expected)
    given = given.drop_nulls("question").with_columns(form=_FORM)
    twice = given.group_by("form", maintain_order=True).agg(
        pl.col("question").first(), pl.col("split").unique(maintain_order=True)
    )
    for row in twice.filter(pl.col("split").list.len() > 1).head(1).iter_rows(named=True):
        raise InputError(
            f"{path}: {row['question']!r} has the splits {', '.join(map(str, row['split']))}; "
            "expected one for a question"
        )
    splits = dict(given.drop_nulls("split").select("form", "split").iter_rows())
    asked = _questions(dataset)
    split_of = {
        name: splits[form]
        for name, form in asked.select("question_id", _SAME).iter_rows()
        if form in splits
    }
    if missing := sorted(set(asked["question_id"]) - set(split_of)):
        text = asked.row(by_predicate=pl.col("question_id") == missing[0], named=True)["question"]
        raise InputError(
            f"{path} has no split for {len(missing)} of {asked.height} questions of "
            f"{dataset.about.name}, for example {text!r}; expected one for each"
        )
    return split_by_mapping(dataset, split_of, again=again)


def _questions(dataset: Dataset) -> pl.DataFrame:
    """One row a question id: question_id, question, topic, and ``_SAME``."""
    return (
        dataset.rounds.select("question_id", "question", "topic")
        .unique("question_id", maintain_order=True)
        .with_columns(_FORM.alias(_SAME))
    )


def _whole_topics(
    questions: pl.DataFrame, n_wanted: int, rng: np.random.Generator, name: str
) -> set[str]:
    if questions["topic"].null_count():
        raise InputError(
            f"{name}: {questions['topic'].null_count()} questions have no topic, and the "
            "out-of-distribution test is whole topics; expected topics, an ood_test of 0, or a "
            "split of your own (a question set with topics: `commonweal questions split`)"
        )
    topics = questions["topic"].unique().sort()
    chosen: set[str] = set()
    for topic in topics.gather(rng.permutation(len(topics))):
        if len(chosen) >= n_wanted:
            break
        chosen |= set(questions.filter(pl.col("topic") == topic)[_SAME])
    return chosen


def _with_splits(
    dataset: Dataset, splits: Mapping[str, str], options: Mapping[str, object], *, again: bool
) -> Dataset:
    if not again and (n := dataset.rounds["split"].count()):
        raise InputError(
            f"{dataset.about.name}: {n} rounds have a split already; a model may have been trained "
            "on them: give --again to split anew"
        )
    questions = _questions(dataset).with_columns(
        split=pl.col("question_id").replace_strict(dict(splits), return_dtype=pl.String)
    )
    torn = questions.group_by(_SAME, maintain_order=True).agg("question_id", "split")
    for row in torn.filter(pl.col("split").list.n_unique() > 1).iter_rows(named=True):
        raise InputError(
            f"{dataset.about.name}: one question is asked as {row['question_id']} in the splits "
            f"{row['split']}; expected them in one split: a model could learn its test"
        )
    rounds = dataset.rounds.with_columns(
        split=pl.col("question_id").replace_strict(dict(splits), return_dtype=pl.String)
    )
    people = (
        dataset.ratings.select("round_id", "participant_id")
        .unique()
        .join(rounds.select("round_id", "split"), on="round_id")
        .select("participant_id", test=pl.col("split") != "train")
        .group_by("participant_id")
        .agg(pl.col("test").n_unique())
    )
    counts = {
        f"questions in {split}": questions.filter(pl.col("split") == split).height
        for split in SPLITS
    }
    # A person in both is no leak of a question, and is said: held-out people are a claim as well.
    counts["people who rated in train and in a test"] = people.filter(pl.col("test") > 1).height
    step = Step(what="split by question", options=dict(options), counts=counts)
    return replace(dataset, rounds=rounds).with_step(step)
