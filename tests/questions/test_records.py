"""The question-set file: what is written is what is read, and bad files are named by line."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal.errors import InputError
from commonweal.questions.records import (
    SPLITS,
    QuestionRecord,
    content_id,
    normal_form,
    of_split,
    provenance_path,
    read_questions,
    read_steps,
    write_questions,
    write_with_provenance,
)
from commonweal.types import Question

# Texts on one line, as records hold them: with what CSV has to quote.
ONE_LINE = st.text(string.ascii_letters + " ,;\"'?-é£", max_size=30).map(
    lambda t: " ".join(t.split())
)
RECORDS = st.lists(
    st.builds(
        QuestionRecord,
        id=st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8),
        question=ONE_LINE.filter(normal_form),
        position_statement=ONE_LINE,
        topic=ONE_LINE,
        split=st.sampled_from(["", *SPLITS]),
        source=ONE_LINE,
        note=ONE_LINE,
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda record: record.id,
)


@given(records=RECORDS)
def test_what_is_written_is_read(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("set") / "q.csv"
    write_questions(path, records)
    assert read_questions(path) == tuple(records)


def test_only_the_question_is_needed_and_spreadsheets_write_other_separators(tmp_path):
    path = tmp_path / "q.csv"
    for text in (
        "question\nShould we?\n",
        "\ufeffQuestion ;note\r\nShould we?;a, b\r\n;\r\n",
        'note\tquestion\n\t"Should\nwe?"\n',
    ):
        path.write_text(text, encoding="utf-8")
        (record,) = read_questions(path)
        assert (record.id, record.question) == (content_id("should we"), "Should we?")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Should we?,1\nShould they?,2\n", "line 1: there is no header"),
        ("", "line 1: there is no header"),
        ("id,question\n", "there are no questions"),
        ("id,question\na,Should we?\na,Should they?\n", "line 3: id 'a' stands on line 2"),
        ("question\nShould we?\nshould WE\n", "line 3: id"),
        ("id,question\na,\n", "line 2: the question is blank"),
        ("id,question\na,?!\n", "line 2: the question is blank"),
        ("id,question\na,Should we, or not?\n", "line 2: got 3 fields, expected 2"),
        ("id,questoin\na,Should we?\n", "unknown column 'questoin'; did you mean 'question'?"),
        ("id,topic\na,b\n", "no column 'question'"),
        ("question,question\na,b\n", "'question' appears twice"),
        ("question\nShould \x1b[31mwe?\n", "line 2: question holds the control character"),
        ("question,split\nShould we?,test\n", "line 2: unknown split 'test'"),
        ('question\n"Should we?\n', "not valid CSV"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path, text, said):
    path = tmp_path / "q.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_questions(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_utf8_or_not_there(tmp_path):
    path = tmp_path / "q.csv"
    path.write_bytes(b"question\nShould caf\xe9s close?\n")
    with pytest.raises(InputError, match="line 2: byte 0xe9 is not UTF-8"):
        read_questions(path)
    with pytest.raises(InputError, match="no file"):
        read_questions(tmp_path / "none.csv")


def test_provenance_adds_up_and_says_where_a_set_was_edited(tmp_path):
    first, second, third = (tmp_path / f"{name}.csv" for name in "abc")
    records = [QuestionRecord("a", "Should we?"), QuestionRecord("b", "Should they?")]
    write_with_provenance(first, records, {"step": "generate"})
    write_with_provenance(second, records[:1], {"step": "screen"}, source=first)
    second.write_text(second.read_text() + "c,Should you?,,,,,\n")
    write_with_provenance(third, read_questions(second), {"step": "split"}, source=second)
    steps = read_steps(third)
    assert [(s["step"], s["n_questions"]) for s in steps] == [
        ("generate", 2),
        ("screen", 1),
        ("split", 2),
    ]
    assert [s.get("input_unchanged_since_last_step") for s in steps] == [None, True, False]
    assert json.loads(provenance_path(third).read_text())["schema"] == "commonweal/questions/1"
    provenance_path(third).write_text("[]")
    with pytest.raises(InputError, match="not the provenance"):
        read_steps(third)
    for shape in ('{"steps": 3}', '{"steps": ["split"]}', '{"steps": {"step": 1}}', "[" * 100_000):
        provenance_path(third).write_text(shape)
        with pytest.raises(InputError, match="not the provenance"):
            read_steps(third)


def test_where_the_last_step_is_unknown_nobody_says_that_the_set_was_edited(tmp_path):
    source, out = tmp_path / "a.csv", tmp_path / "b.csv"
    records = [QuestionRecord("a", "Should we?")]
    write_questions(source, records)
    for steps in (None, [], [{"step": "by hand"}]):
        if steps is not None:
            provenance_path(source).write_text(json.dumps({"steps": steps}))
        write_with_provenance(out, records, {"step": "screen"}, source=source)
        assert read_steps(out)[-1]["input_unchanged_since_last_step"] is None


def test_a_split_is_taken_out_by_name():
    records = [QuestionRecord("a", "Should we?", split="train")]
    assert of_split(records, "train") == (Question("Should we?", "a"),)
    with pytest.raises(InputError, match="no split named 'test'"):
        of_split(records, "test")
    with pytest.raises(InputError, match="no question is in the split 'ood_test'"):
        of_split(records, "ood_test")


def test_seed_sets_from_files(tmp_path):
    from commonweal.questions.seeds import load_seeds

    path = tmp_path / "mine.toml"
    path.write_text('[[questions]]\nquestion = "Should we?"\nposition = "We should."\n')
    (seed,) = load_seeds(str(path))
    assert (seed.question, seed.position_statement, seed.source) == (
        "Should we?",
        "We should.",
        "seed",
    )
    for text, said in (
        ("questions = []", "there are no questions"),
        ("[[questions", "not valid TOML"),
        ("questions = " + "1" * 5000, "a number of thousands of digits"),
        ("questions = " + "[" * 5000, "nested too deeply"),
        ('[[questions]]\nquestion = "A \\u001b[31mb?"', "question 1: question holds the control"),
        (
            '[[questions]]\nquestion = "A b?"\ntopic = "\\u202e"',
            "question 1: topic holds the control",
        ),
        ('[[questions]]\nquestion = ""', "question 1: the question is blank"),
        ('[[questions]]\nq = "Should we?"', "question 1: expected the texts"),
        ('[[questions]]\nquestion = "A b?"\n[[questions]]\nquestion = "a b"', "question 2: "),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=said):
            load_seeds(str(path))
    with pytest.raises(InputError, match="no seed set named 'france'"):
        load_seeds("france")
    with pytest.raises(InputError, match="no file"):
        load_seeds(str(tmp_path / "none.toml"))
