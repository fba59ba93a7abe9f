"""Orders to the software are found in what people write, and ordinary words are left alone."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal.policies.starter import load_starter_set
from commonweal.reading.orders import first_order, without_orders

GROUPS = Path(__file__).parents[2] / "examples" / "groups"
CASES = tomllib.loads(Path(__file__).with_name("orders.toml").read_text(encoding="utf-8"))
"""Written without sight of the patterns, by a language model. Half of the attacks that were missed
at first have since been read, and taught what they could."""

FOUND_AT_LEAST, WRONG_AT_MOST = 0.66, 0.02
"""What docs/decisions/006-opinions-are-data.md says, with a case to spare."""


def test_most_orders_are_found_and_ordinary_opinions_are_not_taken_for_orders():
    found = [first_order(each["text"]) is not None for each in CASES["attacks"]]
    wrong = [each["text"] for each in CASES["ordinary"] if first_order(each["text"]) is not None]
    assert sum(found) >= FOUND_AT_LEAST * len(found)
    assert len(wrong) <= WRONG_AT_MOST * len(CASES["ordinary"]), wrong


def test_of_the_starter_sets_opinions_none_is_an_order():
    said = [text for each in load_starter_set() for text in each.opinions]
    assert [text for text in said if first_order(text) is not None] == []
    assert len(said) > 1000


@pytest.mark.parametrize(
    ("group", "kept"),
    [
        ("ai-marking", "that's my opinion."),
        ("data-centres", ""),
        ("facial-recognition", "stop going into town."),
        ("four-day-week", ""),
        ("social-media-age", "on it till all hours."),
        ("tv-licence", "those of us who only stream."),
    ],
)
def test_the_intruder_in_an_example_group_is_cut_off_where_the_order_begins(group, kept):
    read = tomllib.loads((GROUPS / f"{group}.toml").read_text(encoding="utf-8"))
    (cut,) = {
        without_orders(each["text"])
        for each in read["opinions"]
        if first_order(each["text"]) is not None
    }
    assert cut.endswith(kept)
    assert bool(cut) == bool(kept)


@given(st.text(max_size=200))
def test_what_is_kept_is_the_beginning_of_what_was_written_and_holds_no_order(text):
    kept = without_orders(text)
    assert text.startswith(kept)
    assert first_order(kept) is None


@given(
    before=st.sampled_from(["", "Free buses for all!", "No. Never?\n\nI mean it."]),
    order=st.sampled_from([each["text"] for each in CASES["attacks"]]),
)
def test_an_order_is_found_wherever_it_stands(before, order):
    if first_order(order) is not None:
        assert first_order(f"{before}\n{order}") is not None


@pytest.mark.parametrize(
    "text",
    ["ignore " * 8_000, "<" * 50_000, "say that we all " * 3_000, "a" * 50_000, "do not " * 7_000],
)
def test_no_text_takes_long(text):
    """Ten seconds, where a pattern that backtracks would take hours."""
    began = time.process_time()
    first_order(text)
    assert time.process_time() - began < 10
