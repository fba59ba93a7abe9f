"""The graded groups are what their README says they are, and no split leaks into another."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from commonweal.datasets.importers.graded import import_graded
from commonweal.datasets.validation import problems
from commonweal.datasets.words import tokens
from commonweal.measures.raters import quadratic_kappa
from commonweal.selection.own_words import passages

FOLDER = Path(__file__).parents[1] / "examples" / "graded_groups"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
SPLITS = ("train", "train_second", "development", "test")
EXPECTED = {"train": 346, "train_second": 480, "development": 40, "test": 80}
AFTER_REASONS = ("outputs_train", "outputs_development", "outputs_test", "outputs_fresh")
PLAIN = ("outputs_plain", "outputs_plain_second")
OUTPUTS = (*AFTER_REASONS, *PLAIN)
OWN_WORDS = {
    "own_words_train": ("train", "train_second"),
    "own_words_test": ("development", "test"),
}
"""Of which splits their groups are."""

NEAR = 0.7
"""Share of words in common above which two texts are nearly the same."""


def groups(split: str) -> list[dict]:
    lines = (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def by_split() -> dict[str, list[dict]]:
    return {split: groups(split) for split in SPLITS}


def test_the_readme_counts_them(by_split):
    assert {split: len(found) for split, found in by_split.items()} == EXPECTED
    everything = [group for found in by_split.values() for group in found]
    n_pairs = sum(len(g["opinions"]) * len(g["statements"]) for g in everything)
    assert f"{len(everything)} questions" in README
    assert f"{n_pairs:,} pairs" in README
    kinds = Counter(kind for group in everything for kind in group.get("kinds", ()))
    assert all(f"`{kind}`" in README for kind in kinds)
    assert set(re.findall(r"`(\w+\.jsonl)`", README)) == {
        *(f"{split}.jsonl" for split in SPLITS),
        "second_grader.jsonl",
        *(f"{name}.jsonl" for name in (*OUTPUTS, *OWN_WORDS)),
    }


@pytest.mark.parametrize("name", OWN_WORDS)
def test_passages_are_of_their_groups_and_splits_and_are_counted(name, by_split):
    found = groups(name)
    texts = [text for group in found for text in group["passages"]]
    assert f"`{name}.jsonl` ({len(found)} questions, {len(texts):,} passages)" in README
    of = {each["id"]: each for split in OWN_WORDS[name] for each in by_split[split]}
    for group in found:
        assert group["opinions"] == of[group["id"]]["opinions"]
        for text, author in zip(group["passages"], group["authors"], strict=True):
            assert text in passages(group["opinions"][author])
        shape = len(group["opinions"]), len(group["passages"])
        assert np.shape(group["agreement"]) == shape
        assert set(np.ravel(group["agreement"])) <= set(range(1, 8))
        assert len(group["stands"]) == shape[1]
        assert set(group["stands"]) <= {0, 1}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_of_the_embedded_model_are_counted_and_whole(name):
    found = groups(name)
    n_statements = sum(len(group["statements"]) for group in found)
    assert f"`{name}.jsonl` ({len(found)} questions, {n_statements} statements" in " ".join(
        README.split()
    )
    assert list(problems(import_graded(FOLDER / f"{name}.jsonl"), FOLDER)) == []
    assert all(set(group["sensible"]) <= {0, 1} for group in found)


@pytest.mark.parametrize("names", [AFTER_REASONS, *([name] for name in PLAIN)])
def test_as_few_outputs_are_sensible_as_the_readme_says(names):
    found = [group["sensible"] for name in names for group in groups(name)]
    share = np.mean([each for group in found for each in group])
    assert f"**{100 * share:.0f} in 100 are**" in README
    assert f"{sum(map(any, found))} of the {len(found)} groups" in README


def test_the_second_grades_of_plain_outputs_agree_as_the_readme_says():
    twice = [group for group in groups("outputs_plain") if "second_sensible" in group]
    assert f"For {len(twice)} of the groups there are second" in README
    read = [(g["sensible"], g["second_sensible"]) for g in twice]
    ones, twos = (np.concatenate(each) for each in zip(*read, strict=True))
    by_chance = np.mean(ones) * np.mean(twos) + (1 - np.mean(ones)) * (1 - np.mean(twos))
    sensible = (np.mean(ones == twos) - by_chance) / (1 - by_chance)
    pairs = [
        pair
        for g in twice
        for one, two in zip(g["agreement"], g["second_agreement"], strict=True)
        for pair in zip(one, two, strict=True)
    ]
    (agreement,) = quadratic_kappa(*map(np.array, zip(*pairs, strict=True)))
    assert f"kappa {sensible:.2f} for `sensible` and {agreement:.2f}, quadratic-weighted" in README


def test_plain_outputs_are_of_training_groups_alone(by_split):
    """What was fitted to them may be tested on the others."""
    trained = {group["question"] for name in ("train", "train_second") for group in by_split[name]}
    asked = [group["question"] for name in PLAIN for group in groups(name)]
    assert set(asked) <= trained
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("split", SPLITS)
def test_they_keep_the_format_and_use_the_whole_scale(split):
    dataset = import_graded(FOLDER / f"{split}.jsonl")
    assert list(problems(dataset, FOLDER)) == []
    shares = np.bincount(dataset.ratings["agreement"].to_numpy(), minlength=8)[1:]
    assert (shares / shares.sum() > 0.08).all()


def test_a_quarter_is_what_the_embedded_policies_wrote(by_split):
    newer = [g for found in by_split.values() for g in found if g["id"].startswith("g")]
    kinds = Counter(kind for group in newer for kind in group["kinds"])
    assert kinds["model"] / kinds.total() > 0.24


def test_topics_and_texts_of_one_split_are_in_no_other(by_split):
    topics = {s: {g["topic"] for g in found if "topic" in g} for s, found in by_split.items()}
    trained = topics["train"] | topics["train_second"]
    assert not trained & topics["development"]
    assert not (trained | topics["development"]) & topics["test"]
    words = {
        split: [
            frozenset(tokens(text))
            for group in found
            for text in (group["question"], *group["opinions"], *group["statements"])
            if len(tokens(text)) > 6
        ]
        for split, found in by_split.items()
    }
    seen = {*words["train"], *words["train_second"], *words["development"]}
    assert not seen & set(words["test"])
    questions = {s: [frozenset(tokens(g["question"])) for g in f] for s, f in by_split.items()}
    seen_questions = questions["train"] + questions["train_second"] + questions["development"]
    for one, other in product(questions["test"], seen_questions):
        assert len(one & other) / len(one | other) < NEAR, (one, other)


def test_flips_come_in_pairs_that_somebody_tells_apart(by_split):
    told = []
    for group in (g for found in by_split.values() for g in found if g["id"][0] in "gh"):
        grades = np.array(group["agreement"])
        places = [[j for j, k in enumerate(group["kinds"]) if k == f"flip_{x}"] for x in "ab"]
        if all(len(place) == 1 for place in places):
            (a,), (b,) = places
            told.append(np.abs(grades[:, a] - grades[:, b]).max() >= 3)
    assert len(told) > 700
    assert np.mean(told) > 0.95


def test_the_second_grader_agrees_as_the_readme_says(by_split):
    first = {group["id"]: group for found in by_split.values() for group in found}
    second = groups("second_grader")
    assert "44 of the questions" in README
    assert len(second) == 44
    for field, told in (("agreement", "0.88"), ("quality", "0.87")):
        one, other = (
            np.concatenate([np.ravel(given[field]) for given in some])
            for some in ([first[group["id"]] for group in second], second)
        )
        # Cohen 1968, from the definition: one less the mean squared difference over that by chance.
        by_chance = (one[:, None] - other[None, :]) ** 2
        kappa = 1 - np.mean((one - other) ** 2) / by_chance.mean()
        assert f"{kappa:.2f}" == told
        if field == "agreement":
            assert f"{len(one):,} pairs" in README
            assert f"{np.mean(one == other):.0%}".replace("%", " %") in README
            assert f"{np.mean(np.abs(one - other) <= 1):.0%}".replace("%", " %") in README
