"""Prompt templates of one's own with something wrong: the message names the file and the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonweal.errors import InputError
from commonweal.policies.templates import examples_file, load_revision_template, load_template

GOOD = """\
system = "Write one statement."
user = "Question: {question}\\n{opinions}"
opinion = "- {text}"

[sampling]
max_tokens = 60
temperature = 0.4
"""
EXAMPLE = '[[examples]]\nquestion = "Buses?"\nopinions = ["Yes."]\nstatement = "We want buses."\n'


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_whole_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "shown.toml").write_text(EXAMPLE, encoding="utf-8")
    assert load_template(written(tmp_path, GOOD)).examples == ()
    listed = load_template(written(tmp_path, f'examples = "shown.toml"\n{GOOD}'))
    assert listed.examples[0].statement == "We want buses."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "system"),
        ("system = ", "mine.toml"),
        (GOOD.replace("{opinions}", "the opinions"), "opinions"),
        (GOOD.replace("{question}", "{topic}"), "topic"),
        (GOOD.replace("- {text}", "- {}"), "opinion"),
        (GOOD.replace("{question}", "{question"), "user"),
        (GOOD.replace('opinion = "- {text}"\n', ""), "opinion"),
        (GOOD.replace("system", "sytem"), "sytem"),
        (GOOD.replace("0.4", '"warm"'), "temperature"),
        (GOOD.replace("max_tokens = 60", "max_tokens = 0"), "max_tokens"),
        (f'examples = "missing.toml"\n{GOOD}', "missing.toml"),
        (f"{GOOD}\n{EXAMPLE.replace('statement', 'answer')}", "examples"),
        (
            f"{GOOD}\n{EXAMPLE.replace('statement', '# statement')}",
            "examples.1.statement is missing; expected in each of [[examples]]: question",
        ),
        ("x = " + "[" * 3000, "nested"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as told:
        load_template(written(tmp_path, text))
    assert "mine.toml" in str(told.value)
    assert said in str(told.value)


REVISION = """\
system = "Write it again."
user = "{question} {opinions} {statement} {critiques}"
opinion = "- {text}"
critique = "- {text}"
anew = "{question} {opinions} {critiques}"
[sampling]
max_tokens = 60
temperature = 0.4
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('critique = "- {text}"', 'critique = "- {text:d}"'),
        (" {statement} ", " {statement.author} "),
        ('anew = "{question} ', 'anew = "{question:d} '),
    ],
)
def test_a_revision_that_cannot_be_filled_in_is_refused_when_it_is_read(
    tmp_path: Path, old: str, new: str
) -> None:
    load_revision_template(written(tmp_path, REVISION))
    with pytest.raises(InputError, match=r"mine\.toml"):
        load_revision_template(written(tmp_path, REVISION.replace(old, new)))


def test_a_file_that_is_nested_too_deeply_names_no_examples(tmp_path: Path) -> None:
    assert examples_file(Path(written(tmp_path, "x = " + "[" * 3000))) is None


def test_a_name_of_nothing_lists_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="few_shot"):
        load_template("few_shots")
    with pytest.raises(InputError, match=r"nothing\.toml"):
        load_template(str(tmp_path / "nothing.toml"))
