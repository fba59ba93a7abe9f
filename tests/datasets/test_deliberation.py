"""Deliberation ratings, made here and real."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from polis_making import SHARED

from commonweal.datasets.comparisons import count_comparisons
from commonweal.datasets.importers.deliberation import import_deliberation
from commonweal.datasets.validation import problems
from commonweal.errors import InputError

REAL = SHARED / "deliberation_ratings" / "ratings.jsonl"


def line(person: str, question: str = "Tax robots?", statement: str = "We differ.", **more):
    return {
        "question": question,
        "participant": person,
        "opinion": f"I am {person}.",
        "statement": statement,
        "represents_me": 4,
        "informative": 5,
        "balanced": 1,
        "policy_approval": 2,
        **more,
    }


def put(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")
    return path


def test_a_round_is_a_question_with_its_summaries(tmp_path):
    path = put(
        tmp_path / "d.jsonl",
        line("a"),
        line("b", statement="We \n agree."),
        line("c", question="Free buses?"),
        line("d", represents_me=1),
    )
    dataset = import_deliberation(path, licence="Apache-2.0")
    assert list(problems(dataset, Path("d"))) == []
    assert dict(dataset.rounds.select("round_id", "question").iter_rows()) == {
        "d/q1": "Tax robots?",
        "d/q2": "Free buses?",
    }
    assert dataset.candidates.select("round_id", "candidate_id", "text").rows() == [
        ("d/q1", "s1", "We differ."),
        ("d/q1", "s2", "We agree."),
        ("d/q2", "s3", "We differ."),
    ]
    assert dataset.ratings.select("participant_id", "candidate_id", "agreement").rows() == [
        ("a", "s1", 4),
        ("b", "s2", 4),
        ("c", "s3", 4),
        ("d", "s1", 1),
    ]
    assert dataset.ratings["x_informative"].to_list() == [5] * 4
    assert (dataset.about.people, dataset.about.scale.name) == ("human", "likert-5")
    counts = count_comparisons(dataset)
    assert counts["within-person pairs"] == 0
    assert counts["same-statement pairs"] == 1


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([line("a"), line("b", represents_me=6)], "row 2: represents_me is 6, expected a whole"),
        ([line("a"), line("b", balanced=None)], "line 2: balanced is None, expected a whole"),
        ([line("a", informative=2.5)], "line 1: informative is 2.5, expected a whole number"),
        ([line("a", represents_me=True)], "line 1: represents_me is True"),
        ([line("a", opinion=" ")], "row 1: opinion is '', expected text"),
        ([line("a", statement=7)], "line 1: statement is 7, expected text"),
        ([line("a"), line("a")], "row 2: participant is 'a', expected one line for a person"),
        ([line("a"), line("b", age=30)], "line 2: unknown field 'age'; expected deliberation"),
        ([line("a", opinion="\ud800")], r"line 1: opinion holds '\\ud800', half of a character"),
        ([line("\udfff")], r"line 1: participant holds '\\udfff'"),
        ([["a"]], "line 1: expected deliberation ratings: one JSON object a line"),
        ([], "line 1: Expecting value"),
    ],
)
def test_broken_lines_are_named(tmp_path, lines, expected):
    with pytest.raises(InputError, match=expected):
        import_deliberation(put(tmp_path / "d.jsonl", *lines))


def test_a_field_twice_is_named(tmp_path):
    path = put(tmp_path / "d.jsonl", line("a"))
    path.write_text(path.read_text().replace("{", '{"balanced": 5, ', 1))
    with pytest.raises(InputError, match="line 1: the field 'balanced' is there twice"):
        import_deliberation(path)


def test_a_whole_character_written_as_two_halves_is_text(tmp_path):
    dataset = import_deliberation(put(tmp_path / "d.jsonl", line("a", opinion="Yes 💚")))
    assert dataset.opinions["text"].to_list() == ["Yes 💚"]


def test_broken_files_are_named(tmp_path):
    with pytest.raises(InputError, match="no file"):
        import_deliberation(tmp_path / "d.jsonl")
    (tmp_path / "d.jsonl").write_bytes(b'{"question": "caf\xe9"}\n')
    with pytest.raises(InputError, match="line 1: byte 0xe9 is not UTF-8"):
        import_deliberation(tmp_path / "d.jsonl")


@pytest.mark.skipif(not REAL.exists(), reason=f"no {REAL}")
def test_the_real_file_recounted():
    entries = [json.loads(each) for each in REAL.read_text(encoding="utf-8").splitlines()]
    dataset = import_deliberation(REAL)
    assert list(problems(dataset, Path("d"))) == []
    assert dataset.ratings.height == len(entries)
    assert dataset.rounds.height == len({entry["question"] for entry in entries})
    assert dataset.candidates.height == len(
        {(entry["question"], " ".join(entry["statement"].split())) for entry in entries}
    )
    given = Counter(entry["represents_me"] for entry in entries)
    assert dict(dataset.ratings["agreement"].value_counts().iter_rows()) == given
    joined = dataset.ratings.join(
        dataset.candidates.select("round_id", "candidate_id", "text"),
        on=["round_id", "candidate_id"],
    )
    assert set(joined.select("participant_id", "text", "agreement").iter_rows()) == {
        (e["participant"], " ".join(e["statement"].split()), e["represents_me"]) for e in entries
    }
    assert dataset.opinions.filter(pl.col("participant_id").is_duplicated()).is_empty()
