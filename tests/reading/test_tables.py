"""Tables in every dialect: what csv and openpyxl write is read; what is wrong is placed."""

from __future__ import annotations

import csv
import io
import zipfile
from html import escape
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal.errors import InputError
from commonweal.groups import read_group
from commonweal.reading.tables import letters

HEADER = ["question", "id", "opinion"]
PEOPLE = [
    ["Should buses be free?", "ana", "I can't drive, and the fares eat my wages."],
    ["", "ben", 'Somebody pays; "free" is a word.\nIt will be me.'],
    ["", "cy", "Free | for children, und für Ältere 💚."],
]
EXPECTED = [(name, text) for _, name, text in PEOPLE]


def as_csv(rows, **dialect) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, **dialect).writerows(rows)
    return out.getvalue()


def people(group) -> list[tuple[str, str]]:
    return [(opinion.id, opinion.text) for opinion in group.opinions]


def put(folder: Path, content: str | bytes, name: str = "g.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def put_xlsx(folder: Path, rows, name: str = "g.xlsx", *, before=()) -> Path:
    book = openpyxl.Workbook()
    for title, cells in before:
        sheet = book.create_sheet(title)
        for row in cells:
            sheet.append(row)
    sheet = book.create_sheet("Answers")
    for row in rows:
        sheet.append(row)
    del book["Sheet"]
    book.save(folder / name)
    return folder / name


def put_ods(folder: Path, rows) -> Path:
    """An OpenDocument file by hand: what the standard asks for, and no more."""
    cells = "".join(
        "<table:table-row>"
        + "".join(
            '<table:table-cell office:value-type="string">'
            + "".join(f"<text:p>{escape(line)}</text:p>" for line in cell.split("\n"))
            + "</table:table-cell>"
            for cell in row
        )
        + "</table:table-row>"
        for row in rows
    )
    names = "".join(
        f' xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{short}:1.0"'
        for short in ("office", "table", "text")
    )
    content = (
        f'<?xml version="1.0"?><office:document-content{names} office:version="1.2"><office:body>'
        f'<office:spreadsheet><table:table table:name="Sheet1">{cells}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    kind, schema = "application/vnd.oasis.opendocument.spreadsheet", "urn:oasis:names:tc:"
    manifest = (
        '<?xml version="1.0"?><manifest:manifest manifest:version="1.2" '
        f'xmlns:manifest="{schema}opendocument:xmlns:manifest:1.0"><manifest:file-entry '
        f'manifest:full-path="/" manifest:media-type="{kind}"/></manifest:manifest>'
    )
    with zipfile.ZipFile(folder / "g.ods", "w") as packed:
        packed.writestr("mimetype", kind)
        packed.writestr("content.xml", content)
        packed.writestr("META-INF/manifest.xml", manifest)
    return folder / "g.ods"


# ------------------------------------------------------------------------------------- dialects


@pytest.mark.parametrize("separator", list(",;\t|"))
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_every_dialect_says_the_same(tmp_path, separator, end, quoting, encoding):
    text = as_csv([HEADER, *PEOPLE], delimiter=separator, lineterminator=end, quoting=quoting)
    group = read_group(put(tmp_path, text.encode(encoding)))
    assert people(group) == EXPECTED
    assert group.question.text == "Should buses be free?"
    assert group.notes == ()


CELL = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co"), exclude_characters="\u2028\u2029")
    | st.sampled_from("\n,;|\t\"' "),
    min_size=1,
    max_size=40,
)
STEERING = {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"}
CELL = CELL.map(str.strip).filter(lambda text: text and not STEERING & set(text))
GROUPS = st.lists(CELL, min_size=2, max_size=5)


@given(
    texts=GROUPS,
    question=CELL,
    separator=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    order=st.permutations(range(4)),
    blank_rows=st.integers(0, 2),
    sep_line=st.booleans(),
)
def test_what_any_spreadsheet_writes_is_read(
    tmp_path_factory,
    texts,
    question,
    separator,
    end,
    encoding,
    quoting,
    order,
    blank_rows,
    sep_line,
):
    rows = [["Question", " ID", "OPINION ", ""]]
    rows += [[question, f"n{n}", text, ""] for n, text in enumerate(texts)]
    rows[2:2] = [[""] * 4] * blank_rows
    text = as_csv(
        [[row[i] for i in order] for row in [*rows, [""] * 4]],
        delimiter=separator,
        lineterminator=end,
        quoting=quoting,
    )
    if sep_line:
        text = f"sep={separator}{end}{text}"
    group = read_group(put(tmp_path_factory.getbasetemp(), text.encode(encoding), "any.csv"))
    assert people(group) == [(f"n{n}", text) for n, text in enumerate(texts)]
    assert group.question.text == question


def test_workbooks_say_the_same(tmp_path):
    for path in (
        put_xlsx(tmp_path, [HEADER, *PEOPLE, [None, None, None]]),
        put_ods(tmp_path, [HEADER, *PEOPLE]),
    ):
        group = read_group(path)
        assert people(group) == EXPECTED
        assert group.question.text == "Should buses be free?"


@given(texts=GROUPS)
def test_what_openpyxl_writes_is_read(tmp_path_factory, texts):
    rows = [HEADER, *([f"Q?{'' if n else ' '}", n, text] for n, text in enumerate(texts))]
    folder = tmp_path_factory.getbasetemp()
    book = openpyxl.Workbook()
    for row, cells in enumerate(rows, start=1):
        for column, cell in enumerate(cells, start=1):
            made = book.active.cell(row=row, column=column)
            made.value = cell
            if isinstance(cell, str):
                made.data_type = "s"  # a text that begins with = is no formula
    book.save(folder / "any.xlsx")
    expected = [(str(n), text.replace("\r\n", "\n")) for n, text in enumerate(texts)]
    assert people(read_group(folder / "any.xlsx")) == expected


def test_the_sheet_with_the_opinions_is_found_and_said(tmp_path):
    path = put_xlsx(tmp_path, [HEADER, *PEOPLE], before=[("About", [["Made by", "the council"]])])
    group = read_group(path)
    assert people(group) == EXPECTED
    assert group.notes == ("sheet 'Answers' was read, not 'About'",)


def test_a_workbook_is_told_by_its_content(tmp_path):
    path = put_xlsx(tmp_path, [HEADER, *PEOPLE])
    assert people(read_group(path.rename(tmp_path / "g.csv"))) == EXPECTED
    assert people(read_group(put(tmp_path, as_csv([HEADER, *PEOPLE]), "t.xlsx"))) == EXPECTED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04 broken", "a broken workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 broken", "not a workbook that can be read"),
        (b"<html><table>", "a web page, although its name ends in .xlsx"),
        (b"", "is empty"),
    ],
)
def test_what_is_no_workbook_is_said(tmp_path, content, said):
    with pytest.raises(InputError, match=said):
        read_group(put(tmp_path, content, "g.xlsx"))


# ---------------------------------------------------------------------------------- untidy tables


@pytest.mark.parametrize(
    "text",
    [
        'question, id, opinion\nQ?, ana, "A, b."\n, ben, "C."\n',
        'question , id , opinion\n"Q?" , "ana" , "A, b." \n"" , "ben" , "C." \n',
        "question,id,opinion\nQ?,ana,“A, b.”\n,ben,“C.”\n",
        '\n\nquestion,id,opinion,,\n\nQ?,ana,"A, b.",,\n,,,,\n,ben,C.\n,,,,\n,,,,\n',
        'Bus survey 2026,,\n,,\nquestion,id,opinion\nQ?,ana,"A, b."\n,ben,C.\n',
        "opinion;ID;Question\nA, b.;ana;Q?\nC.;ben;\n",
        "Frage;Name;Meinung\nQ?;ana;A, b.\n;ben;C.\n",
        "Question;Nom;Réponse\nQ?;ana;A, b.\n;ben;C.\n",
        "SEP=;\r\nquestion;id;opinion\r\nQ?;ana;A, b.\r\n;ben;C.\r\n",
        '"sep=|"\nquestion|id|opinion\nQ?|ana|A, b.\n|ben|C.\n',
        'question,id,opinion\nQ?,,\n,ana,"A, b."\n,ben,C.\n',
        'question,id,opinion\nQ?,ana,"A, b."\nQ?,ben,C.\nQ?,,\nQ?,,\n',
    ],
)
def test_untidy_tables_are_read(tmp_path, text):
    group = read_group(put(tmp_path, text))
    assert people(group) == [("ana", "A, b."), ("ben", "C.")]
    assert group.question.text == "Q?"


def test_one_column_whose_texts_hold_commas_needs_no_quotes(tmp_path):
    path = put(tmp_path, "Opinion\nI can't drive, and pay.\nNo; never | ever.\n")
    group = read_group(path, question="Free?")
    assert people(group) == [("p1", "I can't drive, and pay."), ("p2", "No; never | ever.")]


def test_other_columns_are_left_out_and_said(tmp_path):
    text = "Age,question,opinion,Town\n44,Q?,Yes.,Bath\n45,,No.,Ayr\n"
    group = read_group(put(tmp_path, text))
    assert people(group) == [("p1", "Yes."), ("p2", "No.")]
    assert group.notes == ("columns not read: Age, Town",)


def test_blank_ids_are_numbered_and_clash_with_none(tmp_path):
    text = "question,id,opinion\nQ?,p2,Yes.\n,,No.\n,,Perhaps.\n"
    group = read_group(put(tmp_path, text))
    assert [name for name, _ in people(group)] == ["p2", "p2_", "p3"]
    assert group.notes == ("2 participants without an id are called p1, p2, ...",)


FORMS = (
    "Timestamp,Email,What do you think?,Anything else\n"
    '2026/11/01 9:12:33 am,a@example.org,"I can\'t drive, and pay.",\n'
    "2026/11/01 9:13:01 am,b@example.org,It will be me.,no\n"
    "2026/11/01 9:14:01 am,c@example.org,,no\n"
)
QUALTRICS = (
    "StartDate,Status,ResponseId,Q1\n"
    'Start Date,Response Type,Response ID,"What do you think, all in all?"\n'
    '"{""ImportId"":""startDate""}","{""ImportId"":""status""}","{""ImportId"":""_recordId""}",'
    '"{""ImportId"":""QID1_TEXT""}"\n'
    "2026-11-01,IP Address,R_1,Yes.\n"
    "2026-11-01,Survey Preview,R_2,Only testing.\n"
    "2026-11-01,Spam,R_3,Buy tyres.\n"
    "2026-11-01,IP Address,R_4,No.\n"
)


@pytest.mark.parametrize("column", ["What do you think?", "what do you THINK", "C", "c"])
def test_a_forms_export(tmp_path, column):
    group = read_group(put(tmp_path, FORMS), opinion_column=column)
    assert people(group) == [("p1", "I can't drive, and pay."), ("p2", "It will be me.")]
    assert group.question.text == "What do you think?"
    assert "1 row without an opinion left out" in group.notes
    asked = read_group(put(tmp_path, FORMS), opinion_column=column, question="Free?")
    assert asked.question.text == "Free?"


def test_a_columns_letter_that_is_an_answer_too_names_the_column(tmp_path):
    text = "When,Which option?,Why do you prefer it?\n1,A,It is near.\n2,C,It is cheap.\n3,C,No.\n"
    group = read_group(put(tmp_path, text), opinion_column="C")
    assert [said for _, said in people(group)] == ["It is near.", "It is cheap.", "No."]
    assert group.question.text == "Why do you prefer it?"


@pytest.mark.parametrize(("first", "again"), [("", ","), (",", ""), (",,", ",")])
def test_a_header_that_is_repeated_with_other_commas_behind_it(tmp_path, first, again):
    text = f"id,opinion{first}\nana,Yes\nid,opinion{again}\ncy,Maybe\n"
    group = read_group(put(tmp_path, text), question="Free?")
    assert people(group) == [("ana", "Yes"), ("cy", "Maybe")]
    assert "the header is repeated in row 3; left out" in group.notes


@pytest.mark.parametrize("marks", ["spam,ok", "ok,spam"])
def test_of_two_columns_of_one_name_either_may_say_that_a_row_does_not_count(tmp_path, marks):
    text = f"id,opinion,Status,Status\nana,Yes,ok,ok\nbot,Buy tyres,{marks}\ncy,No,ok,ok\n"
    group = read_group(put(tmp_path, text), question="Free?")
    assert people(group) == [("ana", "Yes"), ("cy", "No")]


@pytest.mark.parametrize("column", ["Q1", "What do you think, all in all?", "D"])
@pytest.mark.parametrize("n_headers", [2, 3])
def test_a_qualtrics_export(tmp_path, column, n_headers):
    lines = QUALTRICS.splitlines(keepends=True)
    text = "".join(lines if n_headers == 3 else lines[:2] + lines[3:])
    group = read_group(put(tmp_path, text), opinion_column=column)
    assert people(group) == [("R_1", "Yes."), ("R_4", "No.")]
    assert group.question.text == "What do you think, all in all?"
    (note,) = (note for note in group.notes if "do not count" in note)
    assert note.startswith("2 rows left out")
    assert "(Status is Survey Preview)" in note


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("Deleted", "TRUE"), ("is_spam", "1"), ("withdrawn", "2026-11-02"), ("Test", "yes")),
        *(("consent", "No"), ("status", "rejected"), ("Provenance", "MOCK"), ("moderated", "-1")),
    ],
)
def test_rows_that_say_they_do_not_count_are_left_out_and_said(tmp_path, column, value):
    text = f"question,id,opinion,{column}\nQ?,a,Yes.,\n,b,No.,\n,c,Gone.,{value}\n"
    group = read_group(put(tmp_path, text))
    assert [name for name, _ in people(group)] == ["a", "b"]
    assert any(f"row 4 ({column} is {value})" in note for note in group.notes)


# ----------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "question;id;opinion\nQ?;a;Yes.\n;b;No; never.\n",
            "row 3: expected 3 fields (question, id, opinion), got 4 (cells separated by "
            "semicolons); put double quotes around a text that holds semicolons",
        ),
        ('question,id,opinion\nQ?,a,"Yes, "no" way."\n', "row 2 (line 2): not valid CSV (commas)"),
        ('question,id,opinion\nQ?,a,Yes.\n,b,"open\n', "a quote is opened and never closed"),
        ("question,id,opinion\nQ?,a,Yes.\n\n,b,\n", "row 4, column C (opinion): the opinion of"),
        ("question,id,opinion\nQ?,a,x\n,b,y\n,a,z\n", "'a' appears more than once"),
        ("question,id,opinion\nQ?,a,x\n,b,y\n,a,z\n", "(rows 2, 4)"),
        (FORMS, '--opinion-column "What do you think?"'),
        ("question,comment,answer\nQ?,a,b\n,c,d\n", "several columns may hold the opinions"),
        ("question,id,opnion\nQ?,a,x\n", "row 1, column C: unknown column 'opnion'"),
        ("a;b\n1;2\n", "got columns A 'a', B 'b' (cells separated by semicolons)"),
    ],
)
def test_a_fault_is_placed_as_the_spreadsheet_shows_it(tmp_path, text, said):
    with pytest.raises(InputError) as caught:
        read_group(put(tmp_path, text))
    assert said in str(caught.value)


def test_a_column_that_is_not_there_brings_the_near_one(tmp_path):
    with pytest.raises(
        InputError, match=r"no column 'What did you think\?'; did you mean 'what do"
    ):
        read_group(put(tmp_path, FORMS), opinion_column="What did you think?")
    with pytest.raises(InputError, match="is for a table"):
        read_group(put(tmp_path, "{}", "g.json"), opinion_column="x")


def test_columns_have_the_letters_of_openpyxl():
    for n in (0, 1, 25, 26, 27, 51, 52, 700, 701, 702, 16383):
        assert letters(n) == openpyxl.utils.get_column_letter(n + 1)


# ----------------------------------------------------------------------- more of the same kinds

Q, A, B = PEOPLE[0][0], PEOPLE[0][2], "Somebody pays for it, and it will be me."
TWO = f'question,id,opinion\n{Q},ana,"{A}"\n,ben,"{B}"\n'


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (TWO.encode("utf-32"), "utf32.csv"),
        ("\n".join('"{}"'.format(row.replace('"', '""')) for row in TWO.splitlines()), "rows.csv"),
        ('\ufeff"sep=,"\r\n' + TWO, "sep.csv"),
        ("\ufeff\ufeff" + TWO, "marks.csv"),
        (f"Table 1,,\n{TWO}", "numbers.csv"),
        ("".join(f",{row}\n" for row in TWO.splitlines()), "blank_column.csv"),
        (f"# by hand\n{TWO}", "comment.csv"),
        (TWO + "\x00\x1a", "old_program.csv"),
        (TWO.replace(",ben", "question,id,opinion\n,ben"), "header_again.csv"),
        (TWO + "Total: 2,,\n", "total_as_question.csv"),
        (f"id,question,opinion\nana,{Q},\"{A}\"\nben,,\"{B}\"\nTotal: 2,,\n", "total.csv"),
        (f"| question | id | opinion |\n|:--|---|--:|\n| {Q} | ana | {A} |\n| | ben | {B} |\n",
         "drawn.txt"),
        (TWO.replace(',"', ',\xa0"'), "blank_before.csv"),
        (TWO.replace('"', "'").replace("question,id,opinion", "'question','id','opinion'")
         .replace("ana", "'ana'").replace(f"{Q},", f"'{Q}',").replace("can't", "can''t"),
         "single.csv"),
        (f'{{"question": "{Q}", "id": "ana", "opinion": "{A}"}}\n'
         f'{{"question": "{Q}", "id": "ben", "opinion": "{B}"}}\n', "lines.json"),
        (f'{{"question": "{Q}", "participants": [{{"name": "ana", "opinion": "{A}"}}, '
         f'{{"name": "ben", "opinion": "{B}"}}]}}', "people.json"),
        (f'{{"data": [{{"Question": "{Q}", "Id": "ana", "Opinion": "{A}"}}, '
         f'{{"Id": "ben", "Opinion": "{B}"}}]}}', "data.json"),
        (TWO + "\xa0,\t, \n,,\n", "blank_rows.csv"),
        (f"Frage;Name;Meinung\r\n{Q};ana;{A}\r\n;ben;{B}\r\n", "german.csv"),
        (f"question\tid\topinion\n{Q}\tana\t{A}\n\tben\t{B}\n", "tabs.txt"),
        (f'{{"Question": "{Q}", "Responses": [{{"participantId": "ana", "response": "{A}"}}, '
         f'{{"Name": "ben", "Text": "{B}"}}]}}', "responses.json"),
        (f'{{"question": "{Q}", "opinions": {{"ana": "{A}", "ben": "{B}"}}}}', "names.json"),
        (f'{{"question": "{Q}", "id": "ana", "opinion": "{A}"}}\n'
         f'{{"question": "{Q}", "id": "ben", "opinion": "{B}"}}\n', "lines.jsonl"),
    ],
)  # fmt: skip
def test_what_other_programs_write(tmp_path, content, name):
    group = read_group(put(tmp_path, content, name))
    assert (group.question.text, people(group)) == (Q, [("ana", A), ("ben", B)])


def test_quotes_that_a_script_wrote_with_a_backslash(tmp_path):
    text = TWO.replace(B, 'She said \\"no, never\\" to me')
    assert people(read_group(put(tmp_path, text)))[1] == ("ben", 'She said "no, never" to me')


def test_backslashed_quotes_before_a_comma(tmp_path):
    text = TWO.replace(B, 'She said \\"no\\", and left')
    assert people(read_group(put(tmp_path, text)))[1] == ("ben", 'She said "no", and left')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (TWO.replace(f'"{A}"', "#NAME?"), r"row 2, column C \(opinion\): the spreadsheet took"),
        (TWO.replace(f'"{B}"', "#REF!"), r"row 3, column C \(opinion\).*holds #REF!"),
        (b"\x1f\x8b\x08 packed", "packed with gzip, although its name ends in .csv"),
        (b"%PDF-1.7", "a PDF"),
        (b"{\\rtf1 x}", "a text of a word processor"),
        ("<!DOCTYPE html><html>Sign in</html>", "a web page"),
    ],
)
def test_what_is_lost_or_no_table_is_said(tmp_path, content, said):
    with pytest.raises(InputError, match=said):
        read_group(put(tmp_path, content))


def test_microsoft_forms(tmp_path):
    header = ["ID", "Start time", "Completion time", "Email", "Name", Q]
    rows = [[n, "9:00", "9:05", "anonymous", None, text] for n, text in ((1, A), (2, B))]
    group = read_group(put_xlsx(tmp_path, [header, *rows]), opinion_column=Q)
    assert (group.question.text, people(group)) == (Q, [("1", A), ("2", B)])


def test_surveymonkey(tmp_path):
    text = as_csv(
        [
            ["Respondent ID", "Collector ID", "Start Date", "Email Address", Q],
            ["", "", "", "", "Open-Ended Response"],
            ["114", "5", "11/01/2026", "", A],
            ["115", "5", "11/01/2026", "", B],
        ]
    )
    group = read_group(put(tmp_path, text), opinion_column=Q)
    assert (group.question.text, people(group)) == (Q, [("114", A), ("115", B)])


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("Question,Author,Upvotes", "Question"),
        (f"#,{Q},Response Type", Q),
        (f"Zeitstempel,{Q},Alter", Q),
    ],
)
def test_the_likely_column_is_the_one_that_holds_texts(tmp_path, header, named):
    """Slido calls what people say a question; Typeform and Google Forms ask in the header."""
    at = header.split(",").index(named)
    rows = [[str(n), f"x{n}", "3"] for n in range(2)]
    for row, said in zip(rows, (A, B), strict=True):
        row[at] = said
    text = as_csv([header.split(","), *rows])
    with pytest.raises(InputError) as caught:
        read_group(put(tmp_path, text))
    assert f'--opinion-column "{named}"' in str(caught.value)
    assert [said for _, said in people(read_group(put(tmp_path, text), question=Q,
                                                  opinion_column=named))] == [A, B]  # fmt: skip


@pytest.mark.parametrize("said", ["-", "\u200b", " … ", "?!"])
def test_what_says_nothing_is_no_answer_to_a_form(tmp_path, said):
    text = as_csv([HEADER, *PEOPLE, ["", "di", said]])
    group = read_group(put(tmp_path, text), opinion_column="opinion")
    assert people(group) == EXPECTED
    assert "1 row without an opinion left out" in group.notes
