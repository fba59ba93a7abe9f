"""TOML's faults in plain words: the parser's own never reach the user."""

from __future__ import annotations

import tomllib

import pytest

from commonweal.errors import InputError
from commonweal.reading.toml import load_toml

FAULTS = [
    ("a = “x”", 1, 5, "a curly quote"),
    ("b = 1\na = hello", 2, 5, "double quotes around a text"),
    ("a = ", 1, 4, "a value is missing"),
    ('a = "x', 1, 7, "not closed"),
    ('a = "x\nb = 1', 1, 7, "not closed"),
    ('a = """x', 1, 9, "not closed"),
    ("a = 'x", 1, 7, "not closed"),
    ("a = [1, 2", 1, 10, "a list is not closed"),
    ("a = {b = 1", 1, 11, "a table is not closed"),
    ("[a", 1, 3, "a heading is not closed"),
    ("a = 1\na = 2\n", 2, 6, "a name appears twice"),
    ("[a]\n[a]", 2, 3, "a heading appears twice"),
    ('a = "x" "y"', 1, 9, "one value a line"),
    ("question: x", 1, 9, 'a colon after the name; expected "="'),
    ("a = True", 1, 5, "in small letters"),
    ('q = "c:\\users\\x"', 1, 10, "a backslash"),
    ('{"a": 1}', 1, 1, "expected NAME = VALUE"),
    ("just a text", 1, 6, "expected NAME = VALUE"),
    ('a = "x\x01"', 1, 7, "an invisible character; remove it"),
]


@pytest.mark.parametrize(("text", "line", "column", "said"), FAULTS)
def test_a_fault_is_placed_and_said_in_plain_words(text, line, column, said):
    with pytest.raises(tomllib.TOMLDecodeError) as theirs:
        tomllib.loads(text)
    with pytest.raises(InputError) as caught:
        load_toml("FILE", text)
    message = str(caught.value)
    assert message.startswith(f"FILE, line {line}, column {column}: not valid TOML: ")
    assert said in message
    assert str(theirs.value).split(" (at")[0] not in message


def test_what_is_valid_is_read():
    assert load_toml("FILE", 'a = "x"\n[b]\nc = 1\n') == {"a": "x", "b": {"c": 1}}
