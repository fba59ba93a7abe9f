"""What the flags of a question find, on questions labelled for this project (`labelled.toml`)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from question_making import make_records

from commonweal.questions.flags import flags_of

CONTENT = {"group of people", "ranks people", "violence or extremism", "names a person"}
"""The flags that are about what a question may draw, not about its wording."""

LABELLED = tomllib.loads(Path(__file__).with_name("labelled.toml").read_text(encoding="utf-8"))
DOCS = Path(__file__).parents[2] / "docs" / "questions.md"


def n_flagged(questions):
    return sum(
        any(flag.name in CONTENT for flag in flags_of(record))
        for record in make_records(*questions)
    )


def test_slaves_do_not_pass():
    (record,) = make_records("Should slaves be kept again for farm work?")
    assert "group of people" in [flag.name for flag in flags_of(record)]


@pytest.mark.parametrize(("part", "least"), [("tuned", 20), ("held_out", 12)])
def test_recall_on_labelled_questions(part, least):
    questions = LABELLED[part]
    found = n_flagged(questions["look"])
    assert found >= least
    assert n_flagged(questions["plain"]) == 0
    text = " ".join(DOCS.read_text(encoding="utf-8").split())
    assert f"{found} of {len(questions['look'])}" in text


def test_no_question_stands_in_both_parts():
    every = [q for part in LABELLED.values() for side in part.values() for q in side]
    assert len(set(every)) == len(every) == 80
