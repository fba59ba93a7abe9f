"""Splits by question: whole questions, nothing that leaks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rounds_making import about

from commonweal.datasets.dataset import Dataset, frame
from commonweal.datasets.splits import split_by_mapping, split_by_question_set, split_by_share
from commonweal.datasets.validation import problems
from commonweal.errors import InputError
from commonweal.questions.guard import refuse_test_questions
from commonweal.questions.records import QuestionRecord


def asking(*questions: str, topics: list[str] | None = None) -> Dataset:
    """Two rounds for each question; the same text under two ids where it is given twice."""
    return Dataset(
        about(),
        rounds=frame(
            "rounds",
            [
                {
                    "round_id": f"r{n}-{again}",
                    "group_id": "g",
                    "question_id": f"q{n}",
                    "question": question,
                    "topic": topics[n] if topics else None,
                }
                for n, question in enumerate(questions)
                for again in (0, 1)
            ],
        ),
    )


def splits_of(dataset: Dataset) -> dict[str, str]:
    return dict(dataset.rounds.select("question_id", "split").iter_rows())


@pytest.mark.heavy
@settings(max_examples=25)
@given(st.integers(5, 40), st.integers(0, 10**6), st.floats(0.2, 0.7))
def test_shares_are_of_whole_questions(n_questions, seed, share):
    texts = [f"Question {n // 2 if n < 4 else n}?" for n in range(n_questions)]  # two pairs
    dataset = asking(*texts)
    done = split_by_share(dataset, iid_test=share, seed=seed)
    assert list(problems(done, Path("d"))) == []
    by_text = {}
    for name, split in splits_of(done).items():
        by_text.setdefault(texts[int(name[1:])], set()).add(split)
    assert all(len(splits) == 1 for splits in by_text.values())
    n_texts = len(by_text)
    counts = Counter(next(iter(splits)) for splits in by_text.values())
    assert counts["iid_test"] == round(share * n_texts)
    assert splits_of(split_by_share(dataset, iid_test=share, seed=seed)) == splits_of(done)


def test_the_seed_draws_the_questions():
    dataset = asking(*(f"Question {n}?" for n in range(30)))
    assert splits_of(split_by_share(dataset, seed=1)) != splits_of(split_by_share(dataset, seed=2))


def test_out_of_distribution_is_whole_topics():
    texts = [f"Question {n}?" for n in range(24)]
    topics = [f"t{n % 6}" for n in range(24)]
    done = split_by_share(asking(*texts, topics=topics), iid_test=0.1, ood_test=0.3)
    splits = splits_of(done)
    held_out = {topics[n] for n in range(24) if splits[f"q{n}"] == "ood_test"}
    assert len(held_out) == 2
    assert all((splits[f"q{n}"] == "ood_test") == (topics[n] in held_out) for n in range(24))
    assert Counter(splits.values()) == {"train": 14, "iid_test": 2, "ood_test": 8}
    assert done.about.steps[-1].counts["questions in ood_test"] == 8


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"iid_test": 1}, "iid_test is 1, expected a share from 0 to below 1"),
        ({"iid_test": 0.01}, "a share of 0.01 for iid_test is less than one"),
        ({"iid_test": 0.95}, "none would be left for training"),
        ({"ood_test": 0.5}, "4 questions have no topic"),
    ],
)
def test_shares_that_cannot_be_are_named(options, expected):
    with pytest.raises(InputError, match=expected):
        split_by_share(asking("A?", "B?", "C?", "D?"), **options)


def test_a_mapping_is_taken_as_it_is():
    mapping = {"q0": "train", "q1": "ood_test"}
    assert splits_of(split_by_mapping(asking("A?", "B?"), mapping)) == mapping


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"q0": "train"}, r"question_id 'q1' is given no split \(1 questions are not\)"),
        ({"q0": "train", "q1": "test"}, "question_id 'q1': the split is 'test', expected one of"),
        ({"q0": "train", "q1": "train", "q7": "train"}, "no question_id 'q7'; it has q0, q1"),
    ],
)
def test_a_mapping_that_does_not_fit_is_named(mapping, expected):
    with pytest.raises(InputError, match=expected):
        split_by_mapping(asking("A?", "B?"), mapping)


def test_one_question_under_two_ids_in_two_splits_leaks():
    with pytest.raises(InputError, match=r"one question is asked as \['q0', 'q1'\] in the splits"):
        split_by_mapping(asking("Free  buses?", "free buses?"), {"q0": "train", "q1": "iid_test"})


@settings(max_examples=25)
@given(st.lists(st.sampled_from("aAbBcC"), min_size=4, max_size=12), st.integers(0, 10**6))
def test_what_is_split_is_taken_by_whatever_trains(letters, seed):
    """The same words with other marks are one question here, in validation and in training."""
    marks = ("Ban {}?", "ban  {}", "“Ban {}!”", "BAN, {}…")
    texts = [marks[n % len(marks)].format(letter) for n, letter in enumerate(letters)]
    assume(len({letter.lower() for letter in letters}) > 1)
    done = split_by_share(asking(*texts), iid_test=0.5, seed=seed)
    assert list(problems(done, Path("d"))) == []
    records = [
        QuestionRecord(name, text, split=split)
        for name, text, split in done.rounds.select("question_id", "question", "split").iter_rows()
    ]
    training = [record.question for record in records if record.split == "train"]
    assert refuse_test_questions(training, records) == len(training) > 0


def test_splits_that_are_there_are_not_changed_unasked():
    done = split_by_mapping(asking("A?", "B?"), {"q0": "train", "q1": "ood_test"})
    turned = {"q0": "ood_test", "q1": "train"}
    with pytest.raises(InputError, match="4 rounds have a split already"):
        split_by_mapping(done, turned)
    assert splits_of(split_by_mapping(done, turned, again=True)) == turned


def test_a_question_set_gives_the_splits(tmp_path):
    path = tmp_path / "set.csv"
    path.write_text("question,split,topic\nfree  BUSES?,train,1\nB?,ood_test,2\nC?,train,2\n")
    dataset = asking("Free buses?", "B?")
    assert splits_of(split_by_question_set(dataset, path)) == {"q0": "train", "q1": "ood_test"}
    with pytest.raises(InputError, match="no split for 1 of 2 questions of made, for example 'D"):
        split_by_question_set(asking("B?", "D?"), path)
    path.write_text("question,split\nA?,train\n a,ood_test\n")
    with pytest.raises(InputError, match="'A\\?' has the splits train, ood_test"):
        split_by_question_set(asking("A?"), path)
    path.write_text("question\nA?\n")
    with pytest.raises(InputError, match="there is no column 'split'"):
        split_by_question_set(asking("A?"), path)
