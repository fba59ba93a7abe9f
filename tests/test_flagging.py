"""Marks for the facilitator on statements whose flaws are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commonweal.flagging import Flag, flags

EXAMPLES = Path(__file__).parents[1] / "examples"
ROWS = [
    json.loads(line)
    for line in (EXAMPLES / "flags" / "flagged.jsonl").read_text(encoding="utf-8").splitlines()
]


def kinds(question, opinions, statement) -> set[str]:
    return {each.kind for each in flags(question, opinions, statement)}


@pytest.mark.parametrize("split", ["dev", "test"])
def test_most_flaws_are_marked_and_few_clean_statements_are(split):
    rows = [row for row in ROWS if row["split"] == split]
    assert len(rows) >= 24
    found = [kinds(row["question"], row["opinions"], row["statement"]) for row in rows]
    hits = sum(len(f & set(row["flags"])) for f, row in zip(found, rows, strict=True))
    assert hits / sum(len(row["flags"]) for row in rows) >= 0.9
    assert hits / sum(map(len, found)) >= 0.9


def test_a_consensus_by_writers_who_knew_of_no_patterns_is_seldom_marked():
    path = EXAMPLES / "graded_groups" / "development.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    marked = [
        bool(flags(row["question"], row["opinions"], text))
        for row in rows
        for text, kind in zip(row["statements"], row.get("kinds", ()), strict=False)
        if kind == "consensus"
    ]
    assert len(marked) > 30
    assert sum(marked) / len(marked) < 0.1


def test_what_people_wrote_themselves_is_not_marked():
    opinions = ["Studies show that half of the greedy landlords in Leeds never repair."]
    text = "We see that half of the greedy landlords in Leeds do too little."
    assert kinds("Cap rents?", opinions, text) == set()
    assert kinds("Cap rents?", ["Yes."], text) == {"fact", "group word"}


def test_marks_stand_in_the_order_of_the_text_and_say_what_they_are():
    found = flags("Cap rents?", ["Yes."], "Obviously we would do as Vienna did.")
    assert found == (Flag("argues", "Obviously"), Flag("fact", "Vienna"))
    assert found[0].means == "it argues instead of stating what the group wants"


def test_other_languages_are_not_read():
    text = "Natürlich wollen wir günstigere Mieten für alle Menschen in dieser Stadt haben."
    assert flags("Mieten deckeln?", ["Ja."], text) == ()
