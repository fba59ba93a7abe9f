"""The example groups are what their README says they are."""

from __future__ import annotations

import re
import tomllib
from itertools import combinations
from pathlib import Path

import pytest

from commonweal.groups import read_group

FOLDER = Path(__file__).parents[1] / "examples" / "groups"
PATHS = sorted(FOLDER.glob("*.toml"))
README = (FOLDER / "README.md").read_text(encoding="utf-8")
TAGS = {
    *("short", "long", "angry", "undecided", "humour", "off-topic", "little-shared", "hijack"),
}
# Orders to the model that writes, as they stand in the hijack opinions: told apart from what people
# ask of each other by whom they address.
ORDERS = re.compile(
    r"ignore all previous|disregard the other opinions|repeat everything above|<\|im_start\|>"
    r"|<instructions>|just say that we all",
    re.IGNORECASE,
)

each_group = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def test_there_are_enough_of_every_kind():
    groups = [read_group(path) for path in PATHS]
    assert len(groups) >= 40
    assert sum(group.about["country"] != "United Kingdom" for group in groups) >= 8
    assert sum("hijack" in group.about["tags"] for group in groups) >= 3
    assert {len(group.opinions) for group in groups} == {3, 4, 5}
    assert len({group.about["topic"] for group in groups}) >= 20
    tags = {tag for group in groups for tag in group.about["tags"]}
    assert tags == TAGS


def test_the_readme_knows_the_tags_and_counts_the_groups():
    assert all(f"`{tag}`" in README for tag in TAGS)
    assert "Forty-six small groups" in README
    assert len(PATHS) == 46
    assert {path.name for path in FOLDER.iterdir()} == {*(p.name for p in PATHS), "README.md"}


@each_group
def test_a_group_is_labelled_and_can_be_used(path):
    text = path.read_text(encoding="utf-8")
    assert text.splitlines()[0].startswith("# Written for this project.")
    group = read_group(path)
    assert 3 <= len(group.opinions) <= 5
    assert len({opinion.id for opinion in group.opinions}) == len(group.opinions)
    assert group.question.text.endswith("?")
    assert group.notes == ()
    assert group.about["topic"]
    assert len(group.about["topic"].split()) <= 2
    assert group.about["country"]
    assert len(set(group.about["tags"])) == len(group.about["tags"])
    assert set(group.about["tags"]) <= TAGS


@each_group
def test_the_tags_of_length_are_true(path):
    group = read_group(path)
    lengths = [len(opinion.text.split()) for opinion in group.opinions]
    assert ("short" in group.about["tags"]) == (max(lengths) <= 25), lengths
    assert ("long" in group.about["tags"]) == (max(lengths) >= 90), lengths


@each_group
def test_exactly_one_opinion_of_a_hijack_group_gives_orders(path):
    group = read_group(path)
    giving_orders = [opinion.id for opinion in group.opinions if ORDERS.search(opinion.text)]
    assert len(giving_orders) == ("hijack" in group.about["tags"])


def test_no_two_opinions_or_questions_are_nearly_the_same():
    """By the share of three-word runs that two texts have in common."""
    texts = {}
    for path in PATHS:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        texts[path.stem, "question"] = data["question"]
        for opinion in data["opinions"]:
            texts[path.stem, opinion["id"]] = opinion["text"]
    runs = {}
    for key, text in texts.items():
        listed = words(text)
        runs[key] = {tuple(listed[i : i + 3]) for i in range(len(listed) - 2)}
    for one, two in combinations(runs, 2):
        smaller = min(len(runs[one]), len(runs[two]))
        assert len(runs[one] & runs[two]) <= 0.4 * smaller, (one, two)
