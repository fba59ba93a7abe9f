"""A study's questions from a question set: which it asks, and which it refuses to ask."""

from __future__ import annotations

import pytest
from study_making import Place, small_study
from test_machine import play

from commonweal.errors import InputError
from commonweal.questions.records import QuestionRecord, content_id, write_questions
from commonweal.study.config import StudyConfig, read_study
from commonweal.study.export.dataset import export_study

STUDY = """
name = "buses"
title = "Local buses"
{purpose}

[rounds]
count = 2

[questions]
file = "set/questions.csv"
split = "{split}"

[[arms]]
name = "few"
"""


def record(number, split, name=""):
    text = f"Should plan number {number} be tried?"
    return QuestionRecord(
        name or content_id(text),
        text,
        f"Plan number {number} should be tried.",
        f"topic {number % 3}",
        split,
        "seed",
    )


SET = [
    *(record(number, "train") for number in range(3)),
    *(record(number, "iid_test") for number in range(3, 6)),
    *(record(number, "ood_test", f"OOD.{number}") for number in range(6, 9)),
    record(9, ""),
]


def study(tmp_path, split="train", purpose="", records=SET):
    (tmp_path / "set").mkdir(exist_ok=True)
    write_questions(tmp_path / "set/questions.csv", records)
    path = tmp_path / "study.toml"
    said = f'purpose = "{purpose}"' if purpose else ""
    path.write_text(STUDY.format(split=split, purpose=said), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("split", "purpose"),
    [
        ("train", ""),
        ("train", "training"),
        ("iid_test", "evaluation"),
        ("ood_test", "evaluation"),
    ],
)
def test_one_split_with_ids_positions_and_topics(tmp_path, split, purpose):
    found = read_study(study(tmp_path, split, purpose))
    expected = [each for each in SET if each.split == split]
    assert len(expected) == 3
    assert [
        (each.key, each.text, each.position, each.topic, each.split) for each in found.questions
    ] == [
        (each.id, each.question, each.position_statement, each.topic, each.split)
        for each in expected
    ]
    assert StudyConfig.model_validate_json(found.to_json()) == found


@pytest.mark.parametrize("split", ["iid_test", "ood_test"])
def test_test_questions_are_asked_only_for_evaluation(tmp_path, split):
    with pytest.raises(InputError, match=r"3 of 3 questions to train on are held out"):
        read_study(study(tmp_path, split, "training"))
    with pytest.raises(InputError, match=r'expected purpose = "evaluation"'):
        read_study(study(tmp_path, split))


def test_a_training_question_that_is_in_a_test_split_too_is_refused(tmp_path):
    records = [*SET, QuestionRecord("other", "should plan number 1, be TRIED", split="ood_test")]
    with pytest.raises(InputError, match=r"1 of 3 questions to train on are held out"):
        read_study(study(tmp_path, records=records))


def test_questions_of_the_file_itself_follow_the_same_rule():
    own = [
        {"text": f"Should plan {n} be tried?", "split": "train" if n else "iid_test"}
        for n in range(3)
    ]
    assert small_study(questions=own, purpose="evaluation")
    with pytest.raises(ValueError, match="1 of 3 questions to train on"):
        small_study(questions=own, purpose="training")
    with pytest.raises(ValueError, match="1 questions are held out"):
        small_study(questions=own)


@pytest.mark.parametrize("blank", [" ", "\n\t "])
def test_a_question_of_blanks_is_none(blank):
    with pytest.raises(ValueError, match="the question is blank"):
        small_study(questions=[{"text": blank}], rounds={"count": 1})


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('split = "train"', 'splt = "train"', r"line 11: questions.splt: unknown field; did you"),
        ('split = "train"', 'split = "dev"', r"line 11: questions.split: got 'dev'"),
        ('split = "train"', "", r"questions.split: missing"),
        ("questions.csv", "none.csv", r"none\.csv"),
        ("count = 2", "count = 4", r"there are 3 questions"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, old, new, says):
    path = study(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_study(path)


def test_an_empty_split_is_refused(tmp_path):
    with pytest.raises(InputError, match="no question is in the split 'ood_test'"):
        read_study(study(tmp_path, "ood_test", "evaluation", SET[:4]))


def test_ids_and_splits_come_out_in_the_dataset(tmp_path):
    config = read_study(study(tmp_path, "ood_test", "evaluation"))
    config = config.model_copy(update={"group": small_study().group})
    place = Place(f"sqlite:///{tmp_path}/study.db", config)
    play(place, place.join(4))
    dataset = export_study(place.store, place.study_id, tmp_path / "data")
    assert dataset.rounds.height == 2
    assert set(dataset.rounds["split"]) == {"ood_test"}
    assert set(dataset.rounds["question_id"]) < {"OOD.6", "OOD.7", "OOD.8"}
    assert dataset.about.steps[0].options["purpose"] == "evaluation"
