"""Deliberation pairs and Remesh exports: made here, and real where the data folder is there."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import polars as pl
import pytest
from polis_making import SHARED

from commonweal.datasets.comparisons import within_person_pairs
from commonweal.datasets.dataset import Dataset
from commonweal.datasets.importers.deliberation_pairs import import_deliberation_pairs
from commonweal.datasets.importers.remesh import import_remesh
from commonweal.datasets.validation import problems
from commonweal.errors import InputError

STATEMENTS = {"s1": "We all want buses.", "s2": "Some want \n buses.", "s3": "Nobody pays."}


def pair(person: str, answer: int | None, **more) -> dict:
    return {
        "person": person,
        "question": "Free buses?",
        "opinion": f"I am {person}.",
        "represents_me": 4,
        "cmp_represents_me": answer,
        "rated": "s1",
        "a": "s1",
        "b": "s2",
        "informative": 3,
        **more,
    }


def pairs_folder(tmp_path: Path, *pairs: dict) -> Path:
    def lines(rows) -> str:
        return "".join(json.dumps(row) + "\n" for row in rows)

    (tmp_path / "pairs.jsonl").write_text(lines(pairs))
    (tmp_path / "statements.jsonl").write_text(
        lines({"id": key, "text": text} for key, text in STATEMENTS.items())
    )
    return tmp_path


def preferred(dataset: Dataset) -> dict[str, tuple[str, str]]:
    """Person to (chosen, rejected)."""
    found = pl.concat(list(within_person_pairs(dataset, cap=10, seed=0)))
    rows = found.select("participant_id", "chosen_id", "rejected_id").rows()
    return {person: (chosen, rejected) for person, chosen, rejected in rows}


def test_a_comparison_becomes_the_pair_that_the_person_told(tmp_path):
    dataset = import_deliberation_pairs(
        pairs_folder(tmp_path, pair("p", 1), pair("q", 4), pair("r", 3), pair("s", 2, b="s3"))
    )
    assert list(problems(dataset, tmp_path)) == []
    assert preferred(dataset) == {"p": ("s1", "s2"), "q": ("s2", "s1"), "s": ("s1", "s3")}
    rows = dataset.ratings.sort("participant_id", "position")
    assert rows["position"].to_list() == [0, 1] * 4
    assert rows["agreement"].to_list() == [5, 1, 2, 4, 3, 3, 4, 2]
    assert rows["x_represents_me"].to_list() == [4, None] * 4
    assert dataset.candidates.filter(candidate_id="s2")["text"].item() == "Some want buses."


def test_what_cannot_be_used_is_counted(tmp_path):
    folder = pairs_folder(
        tmp_path,
        pair("p", 1),
        pair("p", 5),
        pair("q", None),
        pair("r", 2, rated="s2"),
        pair("s", 2, opinion=" "),
        pair("t", 2, b="s1"),
    )
    dataset = import_deliberation_pairs(folder)
    counts = dataset.about.steps[-1].counts
    assert {what: n for what, n in counts.items() if what.startswith("dropped")} == {
        "dropped: no comparison": 2,
        "dropped: no opinion": 1,
        "dropped: the first is not the one just rated": 1,
        "dropped: asked again": 1,
    }
    assert counts["lines read"] == 6
    assert counts["comparisons"] == 1


def test_balanced_takes_the_order_out_of_the_answers(tmp_path):
    many = [pair(f"p{i}", 1 if i < 30 else 5 if i < 38 else 3) for i in range(40)]
    folder = pairs_folder(tmp_path, *many)
    assert len(preferred(import_deliberation_pairs(folder))) == 38
    dataset = import_deliberation_pairs(folder, balanced=True, seed=4)
    found = preferred(dataset)
    assert sorted(found.values()) == [("s1", "s2")] * 8 + [("s2", "s1")] * 8
    assert dataset.about.steps[-1].counts["dropped: so that first and second are preferred alike"]
    again = import_deliberation_pairs(folder, balanced=True, seed=4)
    assert preferred(again) == found


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"a": "s9"}, "a is 's9', which is not in statements.jsonl"),
        ({"cmp_represents_me": 6}, "cmp_represents_me"),
        ({"opinion": None}, "opinion"),
        ({"question": ""}, "question"),
    ],
)
def test_a_faulty_pair_is_named_with_its_line(tmp_path, changes, named):
    folder = pairs_folder(tmp_path, pair("p", 1), {**pair("q", 1), **changes})
    with pytest.raises(InputError, match=rf"line 2: {named}"):
        import_deliberation_pairs(folder)


def remesh(tmp_path: Path, votes: list[tuple], *, questions=None) -> Path:
    head = [["Name", "Buses"], ["Participant Count", "3"], ["", ""]]
    questions = questions or {"q1": "What should buses cost?"}
    answers = [
        [key, text, person, f"{key}-{person}", f'"{person}" said, of {key}']
        for key, text in questions.items()
        for person in ("ann", "bo", "cy")
    ]
    for name, header, rows in (
        (
            "verbatim_map",
            ["Question ID", "Question Text", "Participant ID", "Thought ID", "Thought Text"],
            answers,
        ),
        ("binary", ["Question ID", "Participant ID", "Thought ID", "Vote", "Timestamp"], votes),
    ):
        with (tmp_path / f"buses_{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([*head, header, *rows])
    return tmp_path / "buses_binary.csv"


def test_answers_are_opinions_and_statements(tmp_path):
    path = remesh(
        tmp_path,
        [
            ("q1", "ann", "q1-bo", "Agree", "t"),
            ("q1", "bo", "q1-cy", "Agree", "t"),
            ("q1", "bo", "q1-cy", "Disagree", "t"),
            ("q1", "cy", "q1-cy", "Agree", "t"),
            ("q1", "cy", "q1-gone", "Agree", "t"),
        ],
    )
    dataset = import_remesh(path)
    assert list(problems(dataset, path)) == []
    assert dataset.ratings.select("participant_id", "candidate_id", "agreement").rows() == [
        ("ann", "q1-bo", 1),
        ("bo", "q1-cy", -1),
    ]
    assert dict(dataset.opinions.select("participant_id", "text").iter_rows())["ann"] == (
        '"ann" said, of q1'
    )
    counts = dataset.about.steps[-1].counts
    assert [n for what, n in counts.items() if what.startswith("votes dropped")] == [1, 1, 1]


def test_what_others_would_think_is_nobodys_opinion(tmp_path):
    questions = {
        "q1": "What should buses cost?",
        "q2": "What are the reasons that you think some people might disagree with you?",
        "q3": "Anything else?",
    }
    votes = [(q, "ann", f"{q}-bo", "Agree", "t") for q in questions]
    path = remesh(tmp_path, votes, questions=questions)
    dataset = import_remesh(path, leave_out=("q3",))
    assert dataset.rounds["question"].to_list() == ["What should buses cost?"]
    counts = dataset.about.steps[-1].counts
    assert counts["answers dropped: what others would think, not the writer"] == 3
    assert counts["answers dropped: left out by name"] == 3
    with pytest.raises(InputError, match="no question 'q9' to leave out"):
        import_remesh(path, leave_out=("q9",))


def test_faulty_exports_are_named(tmp_path):
    path = remesh(tmp_path, [("q1", "ann", "q1-bo", "Maybe", "t")])
    with pytest.raises(InputError, match="row 5: Vote is 'Maybe'"):
        import_remesh(path)
    path.write_text(path.read_text().replace("Thought ID", "Idea"))
    with pytest.raises(InputError, match="no line has the columns"):
        import_remesh(path)
    with pytest.raises(InputError, match="expected a Remesh export"):
        import_remesh(tmp_path / "buses.csv")
    (tmp_path / "buses_verbatim_map.csv").unlink()
    with pytest.raises(InputError, match="verbatim_map"):
        import_remesh(path)


@pytest.mark.heavy
def test_the_real_exports_and_pairs():
    if not SHARED.is_dir():
        pytest.skip("the data folder is not there")
    dataset = import_remesh(SHARED / "collective_dialogues" / "foreign_intervention_binary.csv")
    assert list(problems(dataset, SHARED)) == []
    assert dataset.rounds.height == 2
    assert not dataset.rounds["question"].str.contains("disagree").any()
    pairs = import_deliberation_pairs(SHARED / "deliberation_pairs", balanced=True)
    assert list(problems(pairs, SHARED)) == []
    counts = pairs.about.steps[-1].counts
    first, second = (
        counts[f"comparisons in which the {one} is preferred"] for one in ("first", "second")
    )
    assert first == second > 500


def test_a_remesh_export_as_a_spreadsheet_saves_it(tmp_path):
    path = remesh(
        tmp_path, [("q1", "ann", "q1-bo", "Agree", "t"), ("q1", "bo", "q1-cy", "Agree", "t")]
    )
    plain = import_remesh(path, name="buses")
    for file in tmp_path.glob("*.csv"):
        with file.open(newline="") as read:
            rows = list(csv.reader(read))
        # Many lines about the dialogue, semicolons, UTF-16, empty columns and rows at the end.
        rows = [[f"line {n}", "told"] for n in range(30)] + rows
        with file.open("w", newline="", encoding="utf-16") as out:
            csv.writer(out, delimiter=";").writerows([[*row, "", ""] for row in rows] + [["", ""]])
    again = import_remesh(path, name="buses")
    for name, table in plain.tables().items():
        assert again.tables()[name].equals(table), name


def test_what_a_remesh_export_marks_is_not_counted(tmp_path):
    path = remesh(
        tmp_path, [("q1", "ann", "q1-bo", "Agree", "t"), ("q1", "bo", "q1-cy", "Agree", "t")]
    )
    answers = path.with_name("buses_verbatim_map.csv")
    lines = answers.read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("Question ID"))
    marked = [
        line + (",Moderated out" if n == at else ",yes" if "q1-cy" in line else ",no")
        for n, line in enumerate(lines)
        if n >= at
    ]
    answers.write_text("\n".join(lines[:at] + marked) + "\n")
    dataset = import_remesh(path)
    assert set(dataset.candidates["candidate_id"]) == {"q1-ann", "q1-bo"}
    counts = dataset.about.steps[-1].counts
    assert counts["answers dropped: marked as not to be counted"] == 1
    assert counts["votes dropped: on an answer that is not there"] == 1


@pytest.mark.parametrize("mark", [{"deleted": True}, {"status": "test"}, {"consent": "no"}])
def test_what_deliberation_pairs_mark_is_not_counted(tmp_path, mark):
    folder = pairs_folder(
        tmp_path, pair("ann", 1), pair("bo", 5, **mark), pair("cy", 4, deleted=False)
    )
    dataset = import_deliberation_pairs(folder)
    assert set(dataset.opinions["participant_id"]) == {"ann", "cy"}
    assert dataset.about.steps[-1].counts["dropped: marked as not to be counted"] == 1


def test_a_statement_that_was_taken_out_takes_its_pairs_with_it(tmp_path):
    folder = pairs_folder(tmp_path, pair("ann", 1), pair("bo", 5, b="s3"))
    text = (folder / "statements.jsonl").read_text().splitlines()
    text = [line[:-1] + ', "hidden": "yes"}' if '"s3"' in line else line for line in text]
    (folder / "statements.jsonl").write_text("\n".join(text))
    dataset = import_deliberation_pairs(folder)
    assert set(dataset.opinions["participant_id"]) == {"ann"}
    assert dataset.about.steps[-1].counts["dropped: on a statement that was taken out"] == 1
