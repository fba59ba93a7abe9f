"""Values given on the command line, in the place of a config file's."""

from __future__ import annotations

import pytest

from commonweal.errors import InputError
from commonweal.reading.setting import with_set

FILE = {"name": "mine", "training": {"max_steps": 200, "seed": 1}}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["training.max_steps=20"], FILE | {"training": {"max_steps": 20, "seed": 1}}),
        (["name=other"], FILE | {"name": "other"}),
        (['name = "other one"'], FILE | {"name": "other one"}),
        (["data.min_quality=4.5"], FILE | {"data": {"min_quality": 4.5}}),
        (["sft.model.merge=true"], FILE | {"sft": {"model": {"merge": True}}}),
        (['people.exports=["a", "b"]'], FILE | {"people": {"exports": ["a", "b"]}}),
        (["name=a=b"], FILE | {"name": "a=b"}),
        (["name=x", "name=y"], FILE | {"name": "y"}),
        (["model.base=Qwen/Qwen3-8B"], FILE | {"model": {"base": "Qwen/Qwen3-8B"}}),
        ([], FILE),
    ],
)
def test_what_is_given_stands_in_the_place_of_the_files(given, found):
    before = repr(FILE)
    assert with_set(FILE, given) == found
    assert repr(FILE) == before


@pytest.mark.parametrize("given", ["max_steps", "=20", "training.=20", ".a=1", ""])
def test_what_is_no_value_is_refused(given):
    with pytest.raises(InputError, match=r"expected KEY=VALUE, such as training\.max_steps=20"):
        with_set(FILE, [given])


def test_a_field_of_what_is_no_table():
    with pytest.raises(InputError, match="'name' is 'mine' in the file and not a table"):
        with_set(FILE, ["name.first=x"])
