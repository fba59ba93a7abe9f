"""A group's file in three formats, and everything that may be wrong with it."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal.errors import InputError
from commonweal.groups import MAX_FILE_BYTES, Group, check_group, read_group
from commonweal.types import Opinion, Question

QUESTION = "Should local buses be free, for everyone?"
PEOPLE = [
    ("asha", 'The fares "eat up" my wages.'),
    ("gus", "Nothing is free:\nsomebody pays, always."),
    ("mei", "Gratis? Ja, für alle. 💚"),
]
TOML = """\
question = "Should local buses be free, for everyone?"

[[opinions]]
id = "asha"
text = 'The fares "eat up" my wages.'

[[opinions]]
id = "gus"
text = "Nothing is free:\\nsomebody pays, always."

[[opinions]]
id = "mei"
text = "Gratis? Ja, für alle. 💚"
"""


def as_json(question=QUESTION, people=PEOPLE, **more) -> str:
    opinions = [{"id": name, "text": text} for name, text in people]
    return json.dumps({"question": question, "opinions": opinions} | more, indent=1)


def write_csv(path: Path, question=QUESTION, people=PEOPLE, lineterminator="\n") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator=lineterminator)
        writer.writerow(["question", "id", "opinion"])
        writer.writerows([question, name, text] for name, text in people)
    return path


@pytest.fixture
def put(tmp_path: Path):
    """Writes a group file, text or bytes, and gives its path."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def message(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_group(path)
    assert str(path) in str(caught.value)
    return str(caught.value).replace(str(path), "FILE")


# --------------------------------------------------------------------------------- three formats


def test_the_three_formats_say_the_same(put, tmp_path):
    expected = Group(
        Question(QUESTION),
        tuple(Opinion(name, text) for name, text in PEOPLE),
        {"topic": "", "country": "", "tags": []},
    )
    assert read_group(put("g.toml", TOML)) == expected
    assert read_group(put("g.json", as_json())) == expected
    assert read_group(write_csv(tmp_path / "g.csv")) == expected
    assert read_group(put("G.JSON", as_json())) == expected


def test_the_question_may_stand_in_the_first_row_only(put):
    path = put("g.csv", 'opinion,question\nYes.,"Free, for all?"\nNo.,\nPerhaps., \n')
    group = read_group(path)
    assert group.question.text == "Free, for all?"
    assert [opinion.id for opinion in group.opinions] == ["p1", "p2", "p3"]


def test_ids_are_numbered_where_there_are_none(put):
    text = json.dumps({"question": "Free?", "opinions": [{"text": "Yes."}, {"text": "No."}]})
    assert [opinion.id for opinion in read_group(put("g.json", text)).opinions] == ["p1", "p2"]


def test_what_the_file_says_of_itself_is_kept(put):
    about = {"topic": "buses", "country": "Wales", "tags": ["short"]}
    assert read_group(put("g.json", as_json(about=about))).about == about


@pytest.mark.parametrize("suffix", ["toml", "json", "csv"])
@pytest.mark.parametrize("change", ["bom", "crlf"])
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(put, tmp_path, suffix, change):
    plain = write_csv(tmp_path / "plain.csv").read_bytes()
    content = {"toml": TOML.encode(), "json": as_json().encode(), "csv": plain}[suffix]
    expected = read_group(put(f"plain.{suffix}", content))
    changed = b"\xef\xbb\xbf" + content if change == "bom" else content.replace(b"\n", b"\r\n")
    assert read_group(put(f"changed.{suffix}", changed)) == expected


# A letter, mark, digit, sign or blank of any script, without what the reader takes out.
TEXT = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\u2028\u2029")
    | st.sampled_from("\n\t,\";'#"),
    min_size=1,
    max_size=60,
).filter(lambda text: text.strip() and not any(c in "\u202a\u202b\u202c\u202d\u202e" for c in text))
TEXT = TEXT.filter(lambda text: not any("\u2066" <= c <= "\u2069" for c in text))
IDS = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)
ROUNDS = st.tuples(
    TEXT, st.lists(st.tuples(IDS, TEXT), min_size=2, max_size=5, unique_by=lambda person: person[0])
)


@given(ROUNDS)
def test_what_was_written_is_read(tmp_path_factory, drawn):
    question, people = drawn
    folder = tmp_path_factory.getbasetemp()
    path = folder / "round.json"
    path.write_text(as_json(question, people), encoding="utf-8")
    from_json = read_group(path)
    from_csv = read_group(write_csv(folder / "round.csv", question, people))
    assert from_json.question.text == from_csv.question.text == question.strip()
    expected = tuple(Opinion(name, text.strip()) for name, text in people)
    assert from_json.opinions == from_csv.opinions == expected


# ------------------------------------------------------------------------------ the file is wrong


def test_a_missing_file(tmp_path):
    assert "no file FILE" in message(tmp_path / "nobody.toml")


def test_a_folder(tmp_path):
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    assert "cannot read FILE: Is a directory" in message(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(put):
    path = put("g.toml", TOML)
    path.chmod(0)
    assert "cannot read FILE: Permission denied" in message(path)


def test_an_unknown_suffix(put):
    assert "expected a file that ends in .toml, .json or .csv" in message(put("g.yaml", TOML))


def test_a_huge_file(tmp_path):
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    assert "20,000,001 bytes" in message(path)


@pytest.mark.parametrize("suffix", ["toml", "json", "csv"])
def test_not_utf_8_names_the_line(put, suffix):
    content = b"a\nb\nc caf\xe9\n"
    assert message(put(f"g.{suffix}", content)).startswith("FILE, line 3: byte 0xe9 is not UTF-8")


@pytest.mark.parametrize("name", ["g.toml", "g.json", "g.jsonl", "g.csv"])
def test_an_empty_file(put, name):
    assert message(put(name, "")).startswith("FILE is empty; expected a ")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("g.toml", 'question = "a\n', "not valid TOML"),
        ("g.toml", 'question = "a"\nquestion = "b"\n', "not valid TOML"),
        ("g.json", '{"question": "a",\n "opinions": [}', "line 2, column 15: not valid JSON"),
        ("g.json", "[" * 100_000, "FILE: not a group: nested too deeply"),
        ("g.toml", "a = " + "[" * 100_000, "FILE: not a group: nested too deeply"),
        ("g.json", '{"question": ' + "9" * 5000 + "}", "not valid JSON"),
        ("g.toml", "question = " + "9" * 5000, "not valid TOML"),
        ("g.json", "[]", "FILE"),
        ("g.json", "null", "FILE"),
        ("g.json", '"text"', "FILE"),
        ("g.csv", 'question,opinion\nq,"never closed', "not valid CSV"),
    ],
)
def test_malformed(put, name, content, expected):
    assert expected in message(put(name, content))


# ----------------------------------------------------------------------------------- the fields


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "g.toml",
            TOML.replace("question =", "qestion ="),
            ["line 1: qestion: unknown field", "did you mean 'question'"],
        ),
        (
            "g.toml",
            TOML.replace('id = "gus"', 'name = "x"\nid = "gus"'),
            ["line 8: opinion 2 → name: unknown field", "text, id"],
        ),
        (
            "g.toml",
            TOML + '\n[about]\ntopik = "x"\n',
            ["line 16: about → topik: unknown field", "did you mean 'topic'"],
        ),
        (
            "g.json",
            as_json().replace('"text": "Gratis', '"txt": "Gratis'),
            ["line 14: opinion 3 → txt: unknown field", "did you mean 'text'"],
        ),
        ("g.json", as_json(welfare=1), ["line 17: welfare: unknown field", "question, opinions"]),
        (
            "g.csv",
            "question,id,opinoin\nq,a,b\n",
            ["row 1, column C", "'opinoin'", "did you mean 'opinion'"],
        ),
    ],
)
def test_an_unknown_field_names_the_nearest_and_the_line(put, name, content, expected):
    said = message(put(name, content))
    for part in expected:
        assert part in said


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("g.toml", TOML.replace('"asha"', "5"), "line 4: opinion 1 → id: got int '5'"),
        ("g.toml", 'question = ["a"]\nopinions = []\n', "line 1: question: got list"),
        ("g.toml", 'question = "a"\nopinions = "b"\n', "line 2: opinions: got str 'b'"),
        ("g.toml", 'question = "a"\nopinions = [5, "c"]\n', "opinion 1: got int '5'"),
        (
            "g.json",
            as_json(people=[("a", "x"), ("b", None)]),
            "line 10: opinion 2 → text: got None",
        ),
        (
            "g.json",
            as_json(people=[("a", "x"), ("b", 7.5)]),
            "line 10: opinion 2 → text: got float",
        ),
        ("g.json", as_json(about={"tags": "short"}), "about → tags: got str 'short'"),
    ],
)
def test_a_wrong_type_says_what_it_got_and_the_line(put, name, content, expected):
    said = message(put(name, content))
    assert expected in said
    assert "valid" in said


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"opinions": [{"text": "a"}, {"text": "b"}]}', "FILE: question: missing"),
        ('{"question": "a"}', "FILE: opinions: missing"),
        (
            '{"question": "a", "opinions": [{"text": "b"}, {"id": "c"}]}',
            "opinion 2 → text: missing",
        ),
    ],
)
def test_a_missing_field(put, content, expected):
    assert expected in message(put("g.json", content))


# ----------------------------------------------------------------------------------------- CSV


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "Should buses be free?,asha,Yes please.\n",
            "row 1: no column is called opinion, and row 1 reads like somebody's opinion",
        ),
        (
            "Should buses be free?,asha,Yes please\n",
            "row 1: no column is called opinion; got columns A 'Should buses be free?'",
        ),
        (
            "id,opinion\na,b\nc,d\n",
            "no row says what the group was asked; expected question, opinion",
        ),
        (
            "question,id\nq,a\nq,b\n",
            "row 1: no column is called opinion; got columns A 'question', B 'id'",
        ),
        ("question,opinion\nq,a\nq,b,c\n", "row 3: expected 2 fields (question, opinion)"),
        ("question,id,opinion\nq,a,x\nq,b\n", "row 3: expected 3 fields"),
        ("question,opinion\nq,a\nr,b\n", "the rows ask 2 questions ('q' in row 2, 'r' in row 3"),
        ("question,opinion,opinion\nq,a,b\nq,c,d\n", "row 1: column 'opinion' appears twice"),
        ("question,opinion\n", "there are no opinions; expected at least two"),
        ("question,id,opinion\nq,a,x\nq,b,\n", "row 3, column C (opinion): the opinion of"),
        ("question,id,opinion\nq,a,x\nq,a,y\n", "appears more than once"),
    ],
)
def test_a_csv_that_is_not_a_group(put, content, expected):
    assert expected in message(put("g.csv", content))


def test_csv_line_numbers_count_line_ends_inside_quotes(put):
    path = put("g.csv", 'question,opinion\nq,"one\ntwo\nthree"\nq,a,b\n')
    assert "row 3 (line 5)" in message(path)


def test_blanks_around_a_header_are_nothing(put):
    assert len(read_group(put("g.csv", "question , opinion\nq,a\nq,b\n")).opinions) == 2


# ------------------------------------------------------------------------------ the group is wrong


@pytest.mark.parametrize(
    ("question", "people", "expected"),
    [
        (QUESTION, [], "no opinions; expected at least two"),
        (QUESTION, PEOPLE[:1], "got 1 opinion, expected at least two"),
        (QUESTION, [*PEOPLE, ("zoe", " \n\t ")], "opinion of participant 'zoe' is blank"),
        (QUESTION, [*PEOPLE, ("zoe", "\x00\x1b")], "opinion of participant 'zoe' is blank"),
        (QUESTION, [*PEOPLE, ("gus", "Another.")], "participant id 'gus' appears more than once"),
        (QUESTION, [*PEOPLE, (" ", "Another.")], "participant id is blank"),
        (QUESTION, [*PEOPLE, ("a\x1b[2J", "Another.")], r"'a\x1b[2J' holds control characters"),
        (QUESTION, [*PEOPLE, ("a\u202eb", "Another.")], "holds control characters"),
        (" \n ", PEOPLE, "the question is blank"),
    ],
)
def test_a_group_that_cannot_be_used(put, question, people, expected):
    said = message(put("g.json", as_json(question, people)))
    assert expected in said
    assert "\x1b" not in said
    with pytest.raises(InputError):
        check_group(question, [Opinion(*person) for person in people])


@pytest.mark.parametrize("opinions", ["one text", b"bytes", None, 5, [1, 2], [None, "a"], {"a", 1}])
def test_opinions_that_are_no_texts(opinions):
    with pytest.raises(InputError, match="expected"):
        check_group(QUESTION, opinions)


@pytest.mark.parametrize("question", [None, 5, ["Why?"], Question(5)])
def test_a_question_that_is_no_text(question):
    with pytest.raises(InputError, match="expected"):
        check_group(question, ["Yes.", "No."])


def test_an_id_that_is_no_text():
    with pytest.raises(InputError, match="expected"):
        check_group(QUESTION, [Opinion(["a"], "Yes."), Opinion("b", "No.")])


def test_the_same_opinion_twice_is_noted_and_counts_twice():
    _, opinions, notes = check_group(QUESTION, ["Yes, free.", "No.", "yes,  FREE."])
    assert len(opinions) == 3
    assert notes == ("participants p1, p3 gave the same opinion; each counts",)


def test_a_number_for_an_id_clashes_with_one_that_was_given():
    with pytest.raises(InputError, match="'p2' appears more than once"):
        check_group(QUESTION, [Opinion("p2", "Yes."), "No."])


# ----------------------------------------------------------------------------- the text is strange


def test_control_characters_are_taken_out_and_counted():
    texts = ["red \x1b[31malert\x1b[0m", "bell\x07 \x00nul \x9b2J", "fine\ttab\nline"]
    _, opinions, notes = check_group(QUESTION, texts)
    assert [opinion.text for opinion in opinions] == [
        "red  [31malert [0m",
        "bell   nul  2J",
        "fine\ttab\nline",
    ]
    assert notes == (
        "2 control character(s) in the opinion of 'p1' were replaced by blanks",
        "3 control character(s) in the opinion of 'p2' were replaced by blanks",
    )


@pytest.mark.parametrize("mark", [chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))])
def test_marks_that_turn_text_around_are_taken_out(mark):
    _, opinions, notes = check_group(f"Why{mark}?", [f"a{mark}b", "No."])
    assert opinions[0].text == "a b"
    assert len(notes) == 2


@pytest.mark.parametrize(
    "text",
    [
        "👩‍👩‍👧‍👦 👍🏽 🏴󠁧󠁢󠁷󠁬󠁳󠁿 ❤️",  # joiners, skin tones, tags, variation selectors
        "می‌خواهم",  # a joiner that Persian needs
        "\u200fשלום\u200e, world",  # marks that only say which way a neighbour runs
        "हिन्दी ไทย 日本語 العربية Ελληνικά",
        "<b>bold</b> & \\n {x} %s",
        "e\u0301 stays two characters",
    ],
)
def test_any_script_and_emoji_stay_as_they_are(text):
    _, opinions, notes = check_group(QUESTION, [text, "No."])
    assert opinions[0].text == text
    assert notes == ()


def test_a_lone_surrogate_does_not_get_through(put):
    path = put("g.json", '{"question": "q", "opinions": [{"text": "a\\ud800b"}, {"text": "c"}]}')
    assert read_group(path).opinions[0].text == "a b"


def test_50_000_characters_are_read_whole(put, tmp_path):
    people = [("a", "word " * 10_000 + "end"), ("b", "No.")]
    for path in (
        put("g.json", as_json(people=people)),
        write_csv(tmp_path / "g.csv", people=people),
    ):
        group = read_group(path)
        assert group.opinions[0].text == people[0][1]
        assert group.notes == ()


@given(st.text(st.characters() | st.sampled_from("\x1b\x9b\u202e\r\n\u2067"), max_size=40))
def test_nothing_that_steers_a_terminal_is_left(text):
    _, opinions, _ = check_group(QUESTION, [f"a{text}", "No."])
    for character in opinions[0].text:
        assert character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs")
        assert unicodedata.bidirectional(character) not in (
            *("LRE", "RLE", "LRO", "RLO", "PDF"),
            *("LRI", "RLI", "FSI", "PDI"),
        )


def test_the_path_may_be_a_text(tmp_path):
    path = tmp_path / "g.csv"
    path.write_text("question,opinion\nWhy?,Yes.\n,No.\n", encoding="utf-8")
    assert read_group(str(path)) == read_group(path)
    with pytest.raises(InputError, match=r"no file nobody\.toml"):
        read_group("nobody.toml")


# ----------------------------------------------------------------------------- other forms of JSON

OTHER_FORMS = [
    {"question": "Free?", "opinions": ["Yes.", "No."]},
    {"question": "Free?", "opinions": [{"opinion": "Yes."}, {"Answer": "No."}]},
    {"question": "Free?", "opinions": [{"name": "p1", "comment": "Yes."}, "No."]},
    {"question": "Free?", "opinions": {"p1": "Yes.", "p2": "No."}},
    [{"question": "Free?", "text": "Yes."}, {"question": "Free?", "text": "No."}],
]


@pytest.mark.parametrize("data", OTHER_FORMS)
def test_the_usual_other_forms_of_json_are_read(put, data):
    group = read_group(put("g.json", json.dumps(data)))
    assert group.question.text == "Free?"
    assert group.opinions == (Opinion("p1", "Yes."), Opinion("p2", "No."))


def test_a_list_alone_needs_the_question(put):
    path = put("g.json", '["Yes.", "No."]')
    assert len(read_group(path, question="Free?").opinions) == 2
    assert "question: missing" in message(path)
    lines = put("g.jsonl", '{"text": "Yes."}\n{"text": "No."}\n')
    assert len(read_group(lines, question="Free?").opinions) == 2


def test_a_withdrawn_opinion_in_json_is_left_out_and_said(put):
    people = [{"text": "Yes."}, {"text": "No."}, {"text": "Gone.", "withdrawn": True}]
    group = read_group(put("g.json", json.dumps({"question": "Free?", "opinions": people})))
    assert len(group.opinions) == 2
    assert "3 (withdrawn is True)" in group.notes[0]


def test_no_message_names_our_classes(put):
    said = message(put("g.json", '{"question": "Free?", "opinions": [["a"], 5]}'))
    assert "opinion 1: got list" in said
    assert "record" not in said.lower()


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085"])
def test_a_lines_json_may_hold_any_mark_but_a_line_feed(put, mark):
    said = f"Pasted{mark}text."
    lines = [{"id": "ana", "opinion": said}, {"id": "ben", "opinion": "No."}]
    told = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines)
    group = read_group(put("g.jsonl", told), question="Free?")
    assert [each.id for each in group.opinions] == ["ana", "ben"]
