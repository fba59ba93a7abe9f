"""Polis exports as they are downloaded and saved again, and votes whose signs are turned."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import pytest
from polis_making import COMMENTS, REAL, VOTES, comment, put_csv, put_export, small_export, vote

from commonweal.datasets.importers.polis import import_polis
from commonweal.errors import InputError

EXAMPLE = Path(__file__).parents[2] / "examples" / "polis" / "bus-fares"


def ratings_of(dataset):
    return set(dataset.ratings.select("participant_id", "candidate_id", "agreement").iter_rows())


def counts_of(dataset):
    return dataset.about.steps[0].counts


def copied(folder: Path, change=lambda text: text, name=lambda name: name) -> Path:
    folder.mkdir()
    for file in EXAMPLE.glob("*.csv"):
        (folder / name(file.name)).write_text(change(file.read_text()), newline="")
    return folder


@pytest.fixture(scope="module")
def plain():
    return import_polis(EXAMPLE, name="x")


@pytest.mark.parametrize("prefix", ["2025-06-19-1201-3phdex2kjf-", "buses_"])
@pytest.mark.parametrize("zipped", [False, True])
def test_downloaded_names_and_zips(tmp_path, plain, prefix, zipped):
    path = copied(tmp_path / "e", name=lambda name: prefix + name)
    if zipped:
        with zipfile.ZipFile(tmp_path / "e.zip", "w") as packed:
            for file in path.iterdir():
                packed.write(file, f"inside/{file.name}")
            packed.writestr("__MACOSX/._votes.csv", "no")
        path = tmp_path / "e.zip"
    assert ratings_of(import_polis(path, name="x")) == ratings_of(plain)


def test_two_conversations_in_one_folder_are_refused(tmp_path):
    path = copied(tmp_path / "e", name=lambda name: f"a-{name}")
    shutil.copy(path / "a-votes.csv", path / "b-votes.csv")
    with pytest.raises(InputError, match="2 files of votes"):
        import_polis(path)


def test_a_message_about_a_zip_names_the_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as packed:
        packed.writestr("summary.csv", "topic,Q\n")
        packed.writestr("comments.csv", "a,b\n1,2\n")
    with pytest.raises(InputError, match=r"e\.zip/comments\.csv: there is no column"):
        import_polis(tmp_path / "e.zip")


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_saved_again_by_a_spreadsheet(tmp_path, plain, separator, encoding):
    path = copied(tmp_path / "e", lambda text: text.replace(",", separator))
    for file in path.iterdir():
        file.write_bytes(file.read_text().replace("1700000", "1700000").encode(encoding))
    assert ratings_of(import_polis(path, name="x")) == ratings_of(plain)


def by_row(change):
    """The text with ``change`` applied to each line (and told whether it is a header)."""

    def changed(text: str) -> str:
        lines = text.splitlines()
        is_table = not lines[0].startswith("topic")
        rows = enumerate(lines)
        return "\n".join(change(line, i == 0 and is_table) for i, line in rows) + "\n"

    return changed


@pytest.mark.parametrize(
    "change",
    [
        by_row(lambda line, _: f"{line},,"),
        by_row(lambda line, is_head: line.title() if is_head else line),
        by_row(lambda line, is_head: line.replace("-", "_") if is_head else line),
        by_row(lambda line, is_head: re.sub(r"(?<=,)(\d)(?=,)", r"\1.0", line)),
        lambda text: "sep=,\n" + text,
    ],
    ids=["blank columns", "capitals", "underscores", "points", "sep"],
)
def test_saved_again_by_other_programs(tmp_path, plain, change):
    found = import_polis(copied(tmp_path / "e", change), name="x")
    assert ratings_of(found) == ratings_of(plain)
    assert found.rounds["question"][0] == plain.rounds["question"][0]


def test_line_ends_of_an_old_mac_are_read(tmp_path, plain):
    path = copied(tmp_path / "e", lambda text: text.replace("\r\n", "\n").replace("\n", "\r"))
    assert ratings_of(import_polis(path, name="x")) == ratings_of(plain)
    with (path / "comments.csv").open("ab") as file:
        file.write(b"caf\xe9\r")
    with pytest.raises(InputError, match=r"comments\.csv, line \d+: not UTF-8"):
        import_polis(path, name="x")


def test_a_column_without_a_name_must_be_empty(tmp_path):
    folder = copied(tmp_path / "e", by_row(lambda line, is_head: f"{line},{'' if is_head else 7}"))
    with pytest.raises(InputError, match="column 8 has no name and holds '7'"):
        import_polis(folder)


def test_an_export_in_a_folder_of_its_own(tmp_path, plain):
    (tmp_path / "unpacked").mkdir()
    copied(tmp_path / "unpacked" / "export")
    assert ratings_of(import_polis(tmp_path / "unpacked", name="x")) == ratings_of(plain)


def test_a_topic_with_commas_that_are_not_quoted(tmp_path):
    folder = small_export(tmp_path / "e")
    (folder / "summary.csv").write_text("topic,Free buses, and when?,\n")
    assert import_polis(folder).rounds["question"][0] == "Free buses, and when?"


def test_times_that_are_dates(tmp_path):
    folder = small_export(tmp_path / "e")
    votes = [["2025-06-19 12:01:04", "x", 0, 0, -1], ["2025-06-19 12:01:03", "x", 0, 0, 1]]
    put_csv(folder / "votes.csv", VOTES, [*votes, ["2025-06-19 12:01:05", "x", 1, 0, 1]])
    assert ratings_of(import_polis(folder, name="x")) == {("x/0", "0", -1), ("x/0", "1", 1)}


def test_times_that_a_spreadsheet_rounded_are_read_and_counted(tmp_path):
    votes = [vote(0, n, 1, timestamp="1.7E+12") for n in (1, 2)]
    votes += [vote(0, 1, -1, timestamp="1.7E+12")]
    dataset = import_polis(put_export(tmp_path / "p", [comment(0, 0, "A.")], votes))
    assert ratings_of(dataset) == {("p/1", "0", -1), ("p/2", "0", 1)}
    assert counts_of(dataset)["votes whose time was rounded: their order is the file's"] == 3


def test_without_a_topic_the_option_is_named(tmp_path):
    path = small_export(tmp_path / "e", topic="")
    with pytest.raises(InputError, match="--question"):
        import_polis(path)
    assert import_polis(path, question="Free?").rounds["question"].item() == "Free?"


def test_a_comma_that_is_not_quoted_is_named_by_row(tmp_path):
    path = small_export(tmp_path / "e")
    with (path / "comments.csv").open("a") as file:
        file.write("1,Tue,7,0,0,0,1,Not quoted, so cut\n")
    with pytest.raises(InputError, match=r"comments\.csv, row 8: 9 fields, expected 8"):
        import_polis(path)


def test_what_is_about_the_person_is_no_candidate_and_no_opinion(tmp_path):
    comments = [[*comment(0, 0, "A.")[:-1], "false", "A."]]
    comments += [[*comment(1, 1, "B.")[:-1], "TRUE", "I live here."]]
    export = put_export(tmp_path / "p", [], [vote(n, p, 1) for n in (0, 1) for p in (0, 1)])
    put_csv(export / "comments.csv", [*COMMENTS[:-1], "is-meta", COMMENTS[-1]], comments)
    dataset = import_polis(export)
    assert dataset.candidates["text"].to_list() == ["A."]
    assert dataset.opinions["text"].to_list() == ["A."]
    what = "comments dropped: about the person, not an opinion (is-meta)"
    assert counts_of(dataset)[what] == 1


@pytest.mark.parametrize("yes", ["TRUE", "1.0", "y", "VRAI", "x"])
@pytest.mark.parametrize("column", ["is-meta", "is_meta", "deleted", "Is-Spam", "hidden"])
def test_a_mark_is_read_in_whatever_way_it_is_made(tmp_path, column, yes):
    comments = [[*comment(n, n, text)[:-1], mark, text] for n, text, mark in
                ((0, "A.", "no"), (1, "B.", yes), (2, "C.", ""))]  # fmt: skip
    export = put_export(tmp_path / "p", [], [vote(n, p, 1) for n in range(3) for p in range(3)])
    put_csv(export / "comments.csv", [*COMMENTS[:-1], column, COMMENTS[-1]], comments)
    dataset = import_polis(export)
    assert dataset.candidates["text"].to_list() == ["A.", "C."]
    assert dataset.opinions["text"].to_list() == ["A.", "C."]
    assert sum(n for what, n in counts_of(dataset).items() if what.startswith("comments dr")) == 1


def test_numbers_in_words_and_with_a_typesetters_minus(tmp_path):
    said = {1: "agree", 0: "pass", -1: "disagree"}
    for name, written in (("words", said.get), ("minus", lambda n: f"{n}".replace("-", "\u2212"))):
        votes = [vote(0, p, cast) for p, cast in enumerate((1, 0, -1))]
        export = put_export(tmp_path / name, [comment(0, 0, "A.")], votes)
        rows = [[*each[:-1], written(each[-1])] for each in votes]
        put_csv(export / "votes.csv", VOTES, rows)
        assert {n for *_, n in ratings_of(import_polis(export))} == {1, 0, -1}
    out = [[*comment(1, 1, "B.")[:-2], "rejected", "B."], [*comment(0, 0, "A.")[:-2], "ok", "A."]]
    put_csv(export / "comments.csv", COMMENTS, out)
    with pytest.raises(InputError, match=r"moderated is '(ok|rejected)', expected a whole number"):
        import_polis(export)
    out[1][-2] = "accepted"
    put_csv(export / "comments.csv", COMMENTS, out)
    assert import_polis(export).candidates["text"].to_list() == ["A."]


@pytest.mark.parametrize(
    ("early", "late"),
    [
        ("6/19/2025 9:59", "6/19/2025 12:01"),
        ("6/19/2025 9:59:00 AM", "6/19/2025 1:01:00 PM"),
        ("19/06/2025 09:59", "20/05/2026 08:01"),
        ("1.700.000.000.000", "1.700.000.000.001"),
    ],
)
def test_times_as_a_spreadsheet_shows_them(tmp_path, early, late):
    folder = small_export(tmp_path / "e")
    votes = [[late, "x", 0, 0, -1], [early, "x", 0, 0, 1], [late, "x", 1, 0, 1]]
    put_csv(folder / "votes.csv", VOTES, votes)
    assert ratings_of(import_polis(folder, name="x")) == {("x/0", "0", -1), ("x/0", "1", 1)}


@pytest.mark.parametrize("name", ["{} - Copy.csv", "{} - Kopie (2).csv", "my_{}.csv.txt"])
def test_names_that_a_download_gets(tmp_path, plain, name):
    folder = copied(tmp_path / "e")
    for file in list(folder.iterdir()):
        file.rename(folder / name.format(file.stem))
    assert ratings_of(import_polis(folder, name="x")) == ratings_of(plain)


def test_a_zip_left_in_its_folder_and_one_file_of_an_export(tmp_path, plain):
    folder = copied(tmp_path / "e")
    with pytest.raises(InputError, match=rf"is neither a folder nor a zip.*: {folder}"):
        import_polis(folder / "comments.csv")
    with zipfile.ZipFile(folder / "export.zip", "w") as packed:
        for file in list(folder.glob("*.csv")):
            packed.write(file, f"export/{file.name}")
            file.unlink()
    assert ratings_of(import_polis(folder, name="x")) == ratings_of(plain)


# ------------------------------------------------------------------------------------------ signs


def turned(folder: Path) -> Path:
    """The example as a faulty exporter writes it: votes and ``agrees`` both the wrong way round."""
    folder.mkdir()
    shutil.copy(EXAMPLE / "summary.csv", folder)
    header, *rows = (EXAMPLE / "votes.csv").read_text().splitlines()
    swap = {"1": "-1", "-1": "1", "0": "0"}
    rows = [",".join([*r.split(",")[:-1], swap[r.rsplit(",", 1)[1]]]) for r in rows]
    (folder / "votes.csv").write_text("\n".join([header, *rows]) + "\n")
    header, *rows = (EXAMPLE / "comments.csv").read_text().splitlines()
    cells = [row.split(",", 6) for row in rows]
    rows = [",".join([*c[:3], c[4], c[3], *c[5:]]) for c in cells]
    (folder / "comments.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_signs_that_authors_contradict_are_refused_and_turned(tmp_path, plain):
    path = turned(tmp_path / "e")
    with pytest.raises(InputError, match=r"authors disagree with their own comments.*--turn-signs"):
        import_polis(path)
    dataset = import_polis(path, name="x", turn_signs=True)
    assert ratings_of(dataset) == ratings_of(plain)
    assert dataset.opinions["text"].to_list() == plain.opinions["text"].to_list()


def test_signs_that_are_right_are_not_turned():
    with pytest.raises(InputError, match="they were right: leave out --turn-signs"):
        import_polis(EXAMPLE, turn_signs=True)


def test_two_files_of_votes_that_contradict_each_other_are_refused(tmp_path):
    votes = [vote(n, p, 1 if p < 3 else -1) for n in range(3) for p in range(1, 5)]
    path = put_export(tmp_path / "p", [comment(n, 9, f"S{n}.") for n in range(3)], votes)
    header = ["participant", "0", "1", "2"]
    for sign in (1, -1):
        rows = [[p, *[sign * (1 if p < 3 else -1)] * 3] for p in range(1, 5)]
        put_csv(path / "participants-votes.csv", header, rows)
        if sign == 1:
            counts = counts_of(import_polis(path))
            assert counts["signs of votes: as in participants-votes.csv"] == 12
    with pytest.raises(InputError, match="12 of 12 votes have the opposite sign"):
        import_polis(path)


@pytest.mark.heavy
@pytest.mark.parametrize("folder", REAL, ids=lambda folder: getattr(folder, "name", "none"))
def test_no_real_conversation_is_refused_and_each_would_be_if_it_were_turned(folder):
    counts = counts_of(import_polis(folder, question="Q?"))
    assert counts["signs of votes: authors who agree with their own comments"] >= 14
    assert counts["signs of votes: authors who disagree with their own comments"] == 0
    with pytest.raises(InputError, match="authors disagree with their own comments"):
        import_polis(folder, question="Q?", turn_signs=True)
