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
    assert "line 3: participant id 'p' stands more than once" in reasons["twice"]
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


def test_no_such_file(tmp_path):
    put(tmp_path, "csv")
    with pytest.raises(InputError, match=r"did you mean .*groups\.csv"):
        read_groups(tmp_path / "group.csv")
