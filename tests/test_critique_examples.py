"""The examples of critique and revision are what their README says they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from commonweal.datasets.words import tokens
from commonweal.policies.parsing import Parser, copied_share
from commonweal.types import Completion, Opinion, Rejection

EXAMPLES = Path(__file__).parents[1] / "examples"
FOLDER = EXAMPLES / "critiques"
README = (FOLDER / "README.md").read_text(encoding="utf-8")


def rounds(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


REVISED, HELD_OUT = (rounds(FOLDER / name) for name in ("revisions.jsonl", "held_out.jsonl"))


def test_the_readme_counts_them_and_says_who_wrote_them():
    assert len(REVISED) >= 60
    assert len(HELD_OUT) >= 40
    for name, found in (("revisions.jsonl", REVISED), ("held_out.jsonl", HELD_OUT)):
        n_said = sum(bool(text) for each in found for text in each["critiques"])
        assert f"| `{name}` | {len(found)} | {n_said} |" in README
    assert "written" in README
    assert "by a language model" in README


def test_they_come_from_the_training_split_and_no_question_is_in_both_files():
    train = {each["id"]: each for each in rounds(EXAMPLES / "graded_groups" / "train.jsonl")}
    for each in (*REVISED, *HELD_OUT):
        group = train[each["id"]]
        at = group["statements"].index(each["statement"])
        assert each["opinions"] == group["opinions"]
        assert each["agreement"] == [row[at] for row in group["agreement"]]
    ids = [each["id"] for each in (*REVISED, *HELD_OUT)]
    assert len(set(ids)) == len(ids)
    assert len({each["topic"] for each in REVISED}) >= 20


@pytest.mark.parametrize("each", [*REVISED, *HELD_OUT], ids=lambda each: each["id"])
def test_each_group_has_a_critique_or_none_for_everybody(each):
    assert len(each["critiques"]) == len(each["opinions"]) == len(each["agreement"])
    said = [text for text in each["critiques"] if text]
    assert 1 <= len(said) <= len(each["opinions"])


def test_critiques_seldom_repeat_the_opinion_word_by_word():
    shares = [
        copied_share(words, [tokens(opinion)])
        for each in (*REVISED, *HELD_OUT)
        for text, opinion in zip(each["critiques"], each["opinions"], strict=True)
        if len(words := tokens(text)) >= 4
    ]
    assert np.mean(shares) < 0.1


@pytest.mark.parametrize("each", REVISED, ids=lambda each: each["id"])
def test_each_revision_would_be_taken_from_a_model_and_suits_those_who_criticised(each):
    opinions = [Opinion(f"p{n}", text) for n, text in enumerate(each["opinions"], 1)]
    parser = Parser(
        each["question"], opinions, (), (each["statement"], *each["critiques"]), each["statement"]
    )
    taken = parser.parse(Completion(each["revision"], "stop", 0))
    assert not isinstance(taken, Rejection), taken
    assert re.search(r"[.!?]$", each["revision"])
    assert 40 <= len(each["revision"].split()) <= 120
    before, after = np.array(each["agreement"]), np.array(each["revised_agreement"])
    assert ((after >= 1) & (after <= 7)).all()
    critics = np.array([bool(text) for text in each["critiques"]])
    assert (after - before)[critics].mean() > 0
    assert after.mean() > before.mean()
