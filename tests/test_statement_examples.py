"""The statements that the embedded model's policy was fine-tuned on are what their README says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commonweal.datasets.words import tokens
from commonweal.policies.parsing import Parser
from commonweal.policies.starter import read_starter_file
from commonweal.types import Completion, Opinion

EXAMPLES = Path(__file__).parents[1] / "examples"
README = (EXAMPLES / "statements" / "README.md").read_text(encoding="utf-8")
OVERLAPPING = {"fuel-subsidy", "votes-at-16", "water-ownership"}


@pytest.fixture(scope="module")
def examples():
    return read_starter_file(EXAMPLES / "statements" / "train.toml")


def test_the_readme_counts_them(examples):
    assert README.split("\n# Statements for groups\n")[1].startswith(f"{len(examples)} groups")
    assert {len(each.opinions) for each in examples} == {3, 4, 5, 6}
    lengths = [len(each.statements[0].split()) for each in examples]
    assert f"{min(lengths)} to {max(lengths)} words" in README


def test_the_parser_takes_most_of_them(examples):
    n_refused = 0
    for each in examples:
        (statement,) = each.statements
        people = tuple(Opinion(f"p{n}", text) for n, text in enumerate(each.opinions))
        parsed = Parser(each.question, people, ()).parse(Completion(statement, "stop", 0))
        n_refused += parsed != statement
    assert f"would not take {n_refused} of them" in README


def test_opinions_are_of_the_training_groups_alone(examples):
    def groups(split):
        lines = (EXAMPLES / "graded_groups" / f"{split}.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    given = {(g["question"], text) for s in TRAINING for g in groups(s) for text in g["opinions"]}
    assert {(each.question, text) for each in examples for text in each.opinions} <= given
    asked = [frozenset(tokens(each.question)) for each in examples]
    for split in ("test", "development", "outputs_test", "outputs_fresh"):
        for group in groups(split):
            words = frozenset(tokens(group["question"]))
            near = max(len(words & one) / len(words | one) for one in asked)
            assert near < 0.6 or group["id"] in OVERLAPPING
    assert all(f"`{name}`" in README for name in OVERLAPPING)


TRAINING = ("train", "train_second")
