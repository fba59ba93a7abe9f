"""Differences word by word give both texts back."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from commonweal.reading.differences import word_differences

WORDS = ["we", "want", "free", "buses", "for", "all", "and", "not"]
TEXTS = st.lists(st.sampled_from(WORDS)).map(" ".join)


@given(TEXTS, TEXTS)
def test_both_texts_come_back_and_no_two_parts_of_a_kind_follow_each_other(before, after):
    parts = word_differences(before, after)
    assert " ".join(p.text for p in parts if p.kind != "in") == before
    assert " ".join(p.text for p in parts if p.kind != "out") == after
    kinds = [p.kind for p in parts]
    assert all(one != other for one, other in pairwise(kinds))


@given(TEXTS)
def test_equal_texts_have_no_differences(text):
    assert [p.kind for p in word_differences(text, text)] == (["same"] if text else [])
