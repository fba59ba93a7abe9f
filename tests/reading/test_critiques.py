"""Critiques from tables and group files, and what is said where they cannot be read."""

from __future__ import annotations

import json

import pytest

from commonweal.errors import InputError
from commonweal.groups import read_group
from commonweal.reading.critiques import read_critiques

SAID = {"ana": "Say who pays.", "ben": ""}


def texts(path):
    return {each.participant_id: each.text for each in read_critiques(path)[0]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.csv", "id,critique\nana,Say who pays.\nben,\n"),
        ("c.csv", '\ufeffCritique;Person\n"Say who pays.";ana\n;ben\n'),
        ("c.csv", "participant\tWhat would you change\nana\tSay who pays.\nben\t\n"),
        ("c.json", json.dumps({"critiques": SAID})),
        ("c.json", json.dumps(SAID)),
        ("c.json", json.dumps([{"person": "ana", "text": "Say who pays."}, {"id": "ben"}])),
        ("c.toml", '[critiques]\nana = "Say who pays."\nben = ""\n'),
        (
            "c.toml",
            '[[critiques]]\nid = "ana"\ncritique = "Say who pays."\n[[critiques]]\nid="ben"',
        ),
    ],
)
def test_they_are_read_however_they_are_kept(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert texts(tmp_path / name) == SAID


def test_a_groups_file_may_hold_them_beside_the_opinions(tmp_path):
    path = tmp_path / "group.toml"
    path.write_text(
        'question = "Free buses?"\n'
        '[[opinions]]\nid = "ana"\ntext = "Yes."\ncritique = "Say who pays."\n'
        '[[opinions]]\nid = "ben"\ntext = "No."\n',
        encoding="utf-8",
    )
    assert texts(path) == SAID
    assert [each.text for each in read_group(path).opinions] == ["Yes.", "No."]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("c.csv", "id,critique\nana,One.\nana,Two.\n", "row 3, column B (critique): a second"),
        ("c.csv", "id,critique\n,One.\n", "row 2, column A (id): there is a critique and no name"),
        ("c.csv", "who,what\nana,One.\n", "no column is called id"),
        ("c.csv", "id,opinions of it\nana,One.\n", "no column is called critique"),
        ("c.json", '{"critiques": [{"text": "One."}]}', "entry 1: no id"),
        ("c.json", '{"critiques": {"ana": 3}}', "entry 1: the critique is 3"),
        ("c.json", '{"critiques": []}', "no critiques in it"),
        ("c.json", "{", "line 1, column 2: not valid JSON"),
        (
            "c.toml",
            'question="Q?"\n[[opinions]]\nid="a"\ntext="Yes."\n',
            "no opinion has a critique",
        ),
        ("c.docx", "ana: One.", "ends in '.docx'"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(tmp_path, name, text, said):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_critiques(tmp_path / name)
    assert said in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
