"""Opinions that are nearly the same are found, and others are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commonweal.datasets.near_copies import kept_once, near_copies

VIEW = "The fares are far too high for people on low wages, and the last bus goes at seven."
OTHER = "I would rather have more buses in the evening than cheaper ones for everybody."
GRADED = Path(__file__).parents[2] / "examples" / "graded_groups" / "train.jsonl"


@pytest.mark.parametrize(
    "copy",
    [
        VIEW,
        VIEW.upper(),
        f"I think so too. {VIEW}",
        f"{VIEW} That is my view and I will not change it for anybody.",
        VIEW.replace("far too", "much too"),
    ],
)
def test_a_copy_is_found_in_other_clothes(copy):
    assert near_copies([VIEW, OTHER, copy]) == ((0, 2),)
    assert kept_once([VIEW, OTHER, copy]) == (0, 1)


def test_copies_of_copies_are_one_group_and_short_views_are_nobodys_copy():
    twice = f"I think so too. {VIEW}"
    assert near_copies([OTHER, VIEW, twice, f"{twice} Please."]) == ((1, 2, 3),)
    assert near_copies(["Yes please.", "Yes please.", "No."]) == ()
    assert kept_once([]) == ()


def test_people_who_did_not_copy_are_hardly_ever_taken_for_it():
    rows = [json.loads(line) for line in GRADED.read_text(encoding="utf-8").splitlines()]
    marked = [near_copies(row["opinions"]) for row in rows]
    assert sum(map(bool, marked)) <= 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("我认为公交车应该免费。", "我认为公交车不应该免费。"),
        ("バスは無料にするべきだと私は思います。", "バスは無料にするべきではないと私は思います。"),
        ("ฉันคิดว่ารถเมล์ควรฟรี", "ฉันคิดว่ารถเมล์ไม่ควรฟรี"),
    ],
)
def test_opposite_views_are_no_copies_where_words_run_on(one, other):
    assert near_copies([one, other]) == ()


@pytest.mark.parametrize(
    "view",
    [
        "我认为公交车应该免费，因为很多低收入的人没有汽车，晚上也没有别的办法回家。",
        "バスは夜遅くまで走るべきです。仕事が終わる時間には、もうバスがありません。",
    ],
)
def test_a_copy_is_found_where_words_run_on(view):
    assert near_copies([view, OTHER, f"{view[:-1]}！"]) == ((0, 2),)
