"""Many groups out of one place: every form gives the same groups, and a fault stays its group's."""

from __future__ import annotations

import json

import polars as pl
import pytest

from commonweal.batch.reading import read_groups
from commonweal.errors import InputError
from commonweal.groups import Group

ROWS = [
    {"group": "a", "question": "Free buses?", "id": "p1", "opinion": "Yes, for all."},
    {"group": "b", "question": "A new pool?", "id": "p1", "opinion": "It is too dear."},
    {"group": "a", "question": "Free buses?", "id": "p2", "opinion": "No, who pays?"},
    {"group": "b", "question": "A new pool?", "id": "p2", "opinion": "Children need it."},
]


def told(path) -> dict[str, tuple[str, dict[str, str]]]:
    found = {}
    for each in read_groups(path):
        assert isinstance(each.group, Group), each.group
        found[each.name] = (
            each.group.question.text,
            {opinion.id: opinion.text for opinion in each.group.opinions},
        )
    return found


EXPECTED = {
    "a": ("Free buses?", {"p1": "Yes, for all.", "p2": "No, who pays?"}),
    "b": ("A new pool?", {"p1": "It is too dear.", "p2": "Children need it."}),
}


def put(tmp_path, form):
    path = tmp_path / f"groups.{form.partition(' ')[0]}"
    table = pl.DataFrame(ROWS)
    whole = [
        {
            "id": name,
            "question": question,
            "opinions": [{"id": who, "text": text} for who, text in people.items()],
        }
        for name, (question, people) in EXPECTED.items()
    ]
    match form:
        case "csv":
            table.write_csv(path)
        case "tsv":
            table.write_csv(path, separator="\t")
        case "parquet rows":
            table.write_parquet(path)
        case "parquet groups":
            pl.DataFrame(whole).write_parquet(path)
        case "jsonl rows":
            table.write_ndjson(path)
        case "jsonl groups":
            path.write_text("\n".join(map(json.dumps, whole)))
        case "folder":
            path.mkdir()
            for each in whole:
                name = each.pop("id")
                (path / f"{name}.json").write_text(json.dumps(each))
            (path / "README.md").write_text("not a group")
    return path


@pytest.mark.parametrize(
    "form",
    ["csv", "tsv", "parquet rows", "parquet groups", "jsonl rows", "jsonl groups", "folder"],
)
def test_every_form_gives_the_same_groups(tmp_path, form):
    assert told(put(tmp_path, form)) == EXPECTED


def test_questions_tell_groups_apart_where_nothing_else_does(tmp_path):
    path = tmp_path / "groups.csv"
    pl.DataFrame(ROWS).drop("group", "id").write_csv(path)
    found = told(path)
    assert list(found) == ["g1", "g2"]
    assert [list(people.values()) for _, people in found.values()] == [
        list(people.values()) for _, people in EXPECTED.values()
    ]


def test_a_fault_of_one_group_stands_in_its_place(tmp_path):
    path = tmp_path / "groups.jsonl"
    path.write_text(
        '{"id": "fine", "question": "Free?", "opinions": ["Yes.", "No."]}\n'
        '{"id": "alone", "question": "Free?", "opinions": ["Yes."]}\n'
        '{"id": "twice", "question": "Free?", "opinions": [{"id": "p", "text": "A."},'
        ' {"id": "p", "text": "B."}]}\n'
        '{"id": "unasked", "opinions": ["Yes.", "No."]}\n'
        '{"id": "odd", "question": "Free?", "opinions": [1, 2]}\n'
        "[1, 2]\n"
    )
    reasons = {
        each.name: "" if isinstance(each.group, Group) else str(each.group)
        for each in read_groups(path)
    }
    assert reasons["fine"] == ""
    assert "line 2: got 1 opinion, expected at least two" in reasons["alone"]
    assert "line 3: participant id 'p' appears more than once" in reasons["twice"]
    assert "line 4: question: missing" in reasons["unasked"]
    assert "line 5: opinions → opinion 1" in reasons["odd"] or "opinion 1" in reasons["odd"]
    assert "line 6" in reasons["g6"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("groups.jsonl", "", "there are no groups"),
        ("groups.csv", "", "is empty"),
        ("groups.csv", "group,question\na,Free?\n", "no column is called opinion"),
        ("groups.jsonl", '{"question": "Free?"', "line 1: not valid JSON"),
        ("groups.parquet", "no parquet", "not a Parquet file"),
        ("groups.pdf", "%PDF", "ends in '.pdf'"),
        (
            "groups.jsonl",
            '{"id": "a", "question": "1?", "opinions": ["x", "y"]}\n' * 2,
            "line 2: the group 'a' stands in",
        ),
    ],
)
def test_what_is_wrong_with_the_whole_is_an_error(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        read_groups(path)


def test_rows_of_one_group_that_ask_two_questions(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text(
        "group,question,opinion\na,Free?,Yes.\na,Dear?,No.\nb,Free?,Yes.\nb,Free?,No.\n"
    )
    first, second = read_groups(path)
    assert "ask different questions ('Free?', 'Dear?')" in str(first.group)
    assert isinstance(second.group, Group)


def test_a_folder_takes_lines_and_leaves_notes_out_which_it_says(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"question": "Free buses?", "opinion": "Yes, for all.", "id": "p1"}\n'
        '{"question": "Free buses?", "opinion": "No, who pays?", "id": "p2"}\n'
    )
    (tmp_path / "many.jsonl").write_text(
        '{"question": "1?", "opinions": ["x", "y"]}\n{"id": "b", "question": "2?",'
        ' "opinions": ["x", "y"]}\n'
    )
    (tmp_path / "torn.jsonl").write_text('{"question": "1?"\n')
    for name in ("README.txt", "notes.md", "talk.pdf", ".hidden"):
        (tmp_path / name).write_text("not a group")
    said: list[str] = []
    found = {each.name: each.group for each in read_groups(tmp_path, say=said.append)}
    assert list(found) == ["a", "many/g1", "many/b", "torn"]
    assert isinstance(found["a"], Group)
    assert [each.text for each in found["a"].opinions] == ["Yes, for all.", "No, who pays?"]
    assert isinstance(found["many/b"], Group)
    assert "not valid JSON" in str(found["torn"])
    (note,) = said
    assert "left out README.txt, notes.md, talk.pdf (3 in all)" in note


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_a_row_without_an_opinion_is_left_out_of_every_form(tmp_path, form):
    path = tmp_path / f"groups.{form}"
    table = pl.DataFrame([*ROWS, {**ROWS[0], "id": "p3", "opinion": None}])
    {"csv": table.write_csv, "parquet": table.write_parquet, "jsonl": table.write_ndjson}[form](
        path
    )
    assert told(path) == EXPECTED


def test_a_group_without_any_opinion_is_told_and_stops_no_other(tmp_path):
    lines = tmp_path / "groups.jsonl"
    for first in (True, False):
        null = ['{"id": "none", "question": "Free?", "opinions": null}']
        fine = ['{"id": "fine", "question": "Free?", "opinions": ["Yes.", "No."]}']
        lines.write_text("\n".join(null + fine if first else fine + null))
        found = {each.name: each.group for each in read_groups(lines)}
        assert isinstance(found["fine"], Group)
        assert "opinions" in str(found["none"])
    rows = [{"group": "c", "question": "A zoo?", "id": "p1", "opinion": None}, *ROWS]
    for form in ("csv", "parquet"):
        path = tmp_path / f"rows.{form}"
        table = pl.DataFrame([*rows, dict.fromkeys(ROWS[0])])  # and an empty row
        {"csv": table.write_csv, "parquet": table.write_parquet}[form](path)
        found = {each.name: each.group for each in read_groups(path)}
        assert list(found) == ["c", "a", "b"]
        assert "there are no opinions" in str(found["c"])
        assert isinstance(found["a"], Group)


def test_a_null_is_no_name(tmp_path):
    path = tmp_path / "groups.jsonl"
    path.write_text(
        '{"id": null, "question": "1?", "opinions": ["x", "y"]}\n'
        '{"id": null, "group": "b", "question": "2?", "opinions": ["x", "y"]}\n'
    )
    assert list(told(path)) == ["g1", "b"]


def test_two_columns_that_tell_groups_apart_only_together_are_refused(tmp_path):
    path = tmp_path / "groups.csv"
    row = "{},{},Free?,{}\n".format
    head = "session,round,question,opinion\n"
    path.write_text(
        head + row("A", 1, "Yes.") + row("A", 1, "No.") + row("B", 1, "So.") + row("B", 1, "Not.")
    )
    with pytest.raises(InputError, match=r"row 4: round '1' has session 'B' here and 'A' before"):
        read_groups(path)
    # One of them alone tells them apart: sessions of several rounds.
    path.write_text(
        head + row("A", 1, "Yes.") + row("A", 1, "No.") + row("A", 2, "So.") + row("A", 2, "Not.")
    )
    assert list(told(path)) == ["1", "2"]
    # What a row leaves out tells nothing apart.
    rows = [{**ROWS[0], "round": 1}, {**ROWS[2], "round": None}, ROWS[1], ROWS[3]]
    lines = tmp_path / "groups.jsonl"
    lines.write_text("\n".join(map(json.dumps, rows)))
    assert told(lines) == EXPECTED


def test_no_such_file(tmp_path):
    put(tmp_path, "csv")
    with pytest.raises(InputError, match=r"did you mean .*groups\.csv"):
        read_groups(tmp_path / "group.csv")
