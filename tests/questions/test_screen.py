"""Screening: nothing goes on undecided, and who decided what and when is kept."""

import csv
import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from question_making import make_records

from commonweal.errors import InputError
from commonweal.questions.records import write_questions
from commonweal.questions.screen import (
    append_decisions,
    decide,
    decisions_path,
    read_decisions,
    read_queue,
    released,
    standing,
    undecided,
    write_queue,
)

RECORDS = make_records(
    "Should we paint the town?", "Should you pay more?", "Should we close the inn?"
)


@pytest.fixture
def question_set(tmp_path):
    path = tmp_path / "set.csv"
    write_questions(path, RECORDS)
    return path


def test_decisions_are_kept_with_who_and_when_and_never_changed(tmp_path):
    path = tmp_path / "d.jsonl"
    first = decide(RECORDS[1], "keep", by=" Ana ")
    append_decisions(path, [first])
    before = path.read_bytes()
    second = decide(RECORDS[1], "drop", by="Ben", reason="too personal")
    append_decisions(path, [second])
    assert path.read_bytes().startswith(before)
    assert read_decisions(path) == (first, second)
    assert standing(RECORDS, read_decisions(path)) == {RECORDS[1].id: second}
    assert (first.by, second.reason) == ("Ana", "too personal")
    at = datetime.fromisoformat(first.at)
    assert at.utcoffset() == timedelta(0)
    assert "too personal ('you')" in first.flags
    append_decisions(path, [])
    assert read_decisions(tmp_path / "none.jsonl") == ()


def test_a_decision_is_on_the_words_that_were_read():
    decision = decide(RECORDS[0], "keep", by="Ana")
    edited = [replace(RECORDS[0], position_statement="We should paint the town red.")]
    assert standing(RECORDS, [decision])
    assert standing(edited, [decision]) == {}


def test_nothing_goes_on_undecided(question_set):
    with pytest.raises(InputError, match=r"3 of the 3 questions .* have no decision"):
        released(question_set, RECORDS)
    assert released(question_set, RECORDS, unreviewed=True) == RECORDS
    kept_at = decisions_path(question_set)
    append_decisions(kept_at, [decide(RECORDS[0], "drop", by="Ana")])
    assert released(question_set, RECORDS, unreviewed=True) == RECORDS[1:]
    append_decisions(kept_at, [decide(r, "keep", by="Ana") for r in RECORDS[1:]])
    assert released(question_set, RECORDS) == RECORDS[1:]
    append_decisions(kept_at, [decide(r, "drop", by="Ben") for r in RECORDS])
    with pytest.raises(InputError, match="all 3 were dropped"):
        released(question_set, RECORDS, unreviewed=True)


def test_flagged_questions_come_first_in_the_queue():
    order = [record.question for record in undecided(RECORDS, {})]
    assert order[0] == "Should you pay more?"
    assert undecided(RECORDS, {RECORDS[1].id: decide(RECORDS[1], "keep", by="Ana")}) == [
        RECORDS[0],
        RECORDS[2],
    ]


def test_a_line_cut_short_by_a_crash_is_left_out_and_others_are_named(tmp_path):
    path = tmp_path / "d.jsonl"
    append_decisions(path, [decide(RECORDS[0], "keep", by="Ana")])
    with path.open("a") as file:
        file.write('{"id": "x", "dec')
    assert len(read_decisions(path)) == 1
    append_decisions(path, [decide(RECORDS[1], "drop", by="Ana")])
    assert [d.decision for d in read_decisions(path)] == ["keep", "drop"]
    path.write_text('{"id": "x"}\n')
    with pytest.raises(InputError, match="line 1: not a decision"):
        read_decisions(path)
    path.write_text("nonsense}\n")
    with pytest.raises(InputError, match="line 1: not valid JSON"):
        read_decisions(path)
    with pytest.raises(InputError, match="cannot write"):
        append_decisions(tmp_path, [decide(RECORDS[0], "keep", by="Ana")])


def test_a_decision_is_keep_or_drop_and_somebodys():
    with pytest.raises(InputError, match="expected keep or drop"):
        decide(RECORDS[0], "maybe", by="Ana")
    with pytest.raises(InputError, match="the decision has no name"):
        decide(RECORDS[0], "keep", by=" ")


def fill(path, choices):
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, choice in zip(rows, choices, strict=True):
        row["decision"] = choice
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_the_queue_goes_out_as_csv_and_comes_back(tmp_path):
    queue = tmp_path / "queue.csv"
    write_queue(queue, RECORDS, {})
    assert "too personal" in queue.read_text()
    assert read_queue(queue, RECORDS, {}, by="Ana") == []
    fill(queue, ["drop", " Keep ", ""])
    decisions = read_queue(queue, RECORDS, {}, by="Ana")
    assert [(d.question, d.decision, d.by, d.way) for d in decisions] == [
        ("Should you pay more?", "drop", "Ana", "queue.csv"),
        ("Should we paint the town?", "keep", "Ana", "queue.csv"),
    ]
    held = standing(RECORDS, decisions)
    assert read_queue(queue, RECORDS, held, by="Ben") == []
    # Exported again, the open question comes first and the decided ones say how.
    write_queue(queue, RECORDS, held)
    lines = [row["decision"] for row in csv.DictReader(queue.open(newline=""))]
    assert lines == ["", "keep", "drop"]


def test_a_queue_that_was_not_meant(tmp_path):
    queue = tmp_path / "queue.csv"
    for row, said in (
        (f"{RECORDS[0].id},{RECORDS[0].question},,,yes,", "line 2: the decision is 'yes'"),
        ("q0,Should we?,,,keep,", "line 2: id 'q0' is not in the question set"),
        (f"{RECORDS[0].id},Should we paint it?,,,keep,", "line 2: the words of"),
        (f"{RECORDS[0].id},{RECORDS[0].question},We should.,,keep,", "line 2: the words of"),
    ):
        queue.write_text(f"id,question,position_statement,flags,decision,reason\n{row}\n")
        with pytest.raises(InputError, match=said):
            read_queue(queue, RECORDS, {}, by="Ana")
    queue.write_text(f"{RECORDS[0].id},keep\n")
    with pytest.raises(InputError, match="no header"):
        read_queue(queue, RECORDS, {}, by="Ana")


def test_two_different_decisions_on_one_question_are_refused(tmp_path):
    queue = tmp_path / "queue.csv"
    row = f"{RECORDS[0].id},{RECORDS[0].question}"
    queue.write_text(f"id,question,decision\n{row},keep\n{row},\n{row},drop\n")
    with pytest.raises(InputError, match=r"lines 2 and 4: .* has two decisions, keep and drop"):
        read_queue(queue, RECORDS, {}, by="Ana")


def test_no_cell_of_the_queue_is_a_formula(tmp_path):
    queue = tmp_path / "queue.csv"
    records = [
        replace(
            RECORDS[0], question=f"{start}should we paint?", position_statement="@SUM(A1)", id=name
        )
        for name, start in (("a", "="), ("b", "'+"), ("-c", ""))
    ]
    held = {"a": decide(records[0], "drop", by="Ana", reason="=1+1")}
    write_queue(queue, records, held)
    rows = list(csv.reader(queue.open(newline="")))
    assert not [cell for row in rows for cell in row if cell[:1] in tuple("=+-@")]
    assert read_queue(queue, records, held, by="Ben") == []
    fill(queue, ["keep", "keep", "drop"])
    decisions = read_queue(queue, records, held, by="Ben")
    assert {(d.id, d.question) for d in decisions} == {(r.id, r.question) for r in records[1:]}


def test_the_decisions_file_is_lines_of_json(question_set):
    kept_at = decisions_path(question_set)
    append_decisions(kept_at, [decide(RECORDS[0], "keep", by="Ána")])
    (line,) = kept_at.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["by"] == "Ána"
    assert kept_at.name == "set.decisions.jsonl"
