"""Files of any size: the same as small ones are read, with flat memory, and faults with a place."""

from __future__ import annotations

import csv
import json
import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from commonweal.datasets.dataset import write_dataset
from commonweal.datasets.importers.polis import import_polis
from commonweal.errors import InputError
from commonweal.groups import read_group
from commonweal.large import reading
from commonweal.large.reading import read_people
from commonweal.large.store import OpinionStore
from commonweal.types import Opinion

POLIS = Path(__file__).parents[2] / "examples" / "polis" / "bus-fares"
ASKED = "Should buses be free?"
ROWS = [
    ("ana", 'Free; "free" is a word,\nand I ride.'),
    ("ben", "Zu teuer – für uns 💚"),
    ("cy", "Frequency before price \x1b[2J."),
]


@pytest.fixture
def streamed(monkeypatch):
    monkeypatch.setattr(reading, "STREAMED_FROM_BYTES", 0)


def table(path, rows, header=("question", "id", "opinion"), encoding="utf-8", **dialect):
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, **dialect)
        writer.writerow(header)
        writer.writerows((ASKED if i == 0 else "", *row) for i, row in enumerate(rows))
    return path


def told(people):
    return people.question.text, [(each.id, each.text) for each in people.opinions]


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8", ","), ("utf-8-sig", ";"), ("utf-16", "\t")]
)
def test_a_streamed_table_is_read_as_a_small_one(tmp_path, streamed, encoding, delimiter):
    path = table(tmp_path / "g.csv", ROWS, encoding=encoding, delimiter=delimiter)
    found = read_people(path)
    assert isinstance(found.opinions, OpinionStore)
    assert told(found) == told(read_group(path))
    assert any("control characters in 1 opinions" in note for note in found.notes)


def test_a_forms_export_with_a_second_header_is_read_alike(tmp_path, streamed):
    path = tmp_path / "q.csv"
    path.write_text(
        "ResponseId,Finished,Q1\n"
        "Response ID,Finished,What do you think of buses?\n"
        '"{""ImportId"":""a""}","{""ImportId"":""b""}","{""ImportId"":""c""}"\n'
        "R1,1,Free for all of us.\nR2,1,\nR3,1,Not with my money.\n",
        encoding="utf-8",
    )
    found = read_people(path, opinion_column="Q1")
    assert told(found) == told(read_group(path, opinion_column="Q1"))
    assert any("without an opinion" in note for note in found.notes)


def test_lines_of_json_and_parquet_bring_the_same(tmp_path, streamed):
    lines = tmp_path / "g.jsonl"
    rows = [{"question": ASKED, "participant": name, "opinion": text} for name, text in ROWS]
    rows.append({"question": ASKED, "participant": "bot", "opinion": "Buy tyres!", "is-spam": True})
    lines.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    pl.DataFrame(rows[:3]).write_parquet(tmp_path / "g.parquet")
    expected = told(read_people(table(tmp_path / "g.csv", ROWS)))
    assert told(read_people(lines)) == expected
    assert told(read_people(tmp_path / "g.parquet")) == expected
    other = read_people(tmp_path / "g.parquet", question="Why?")
    assert other.question.text == "Why?"
    assert any("not the file's" in note for note in other.notes)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_who_wrote_nothing_and_who_is_marked_is_left_out_with_a_note(tmp_path, streamed, suffix):
    path = tmp_path / f"g{suffix}"
    nothing = ["-", " ... ", "\u200b", ""]
    rows = [*ROWS, *((f"n{i}", text) for i, text in enumerate(nothing))]
    records = [{"question": ASKED, "id": i, "opinion": text, "spam": ""} for i, text in rows]
    records += [{"question": ASKED, "id": "bot", "opinion": "Buy tyres!", "spam": "yes"}]
    if suffix == ".csv":
        pl.DataFrame(records).write_csv(path)
    elif suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    else:
        pl.DataFrame(records).write_parquet(path)
    found = read_people(path)
    assert [each.id for each in found.opinions] == ["ana", "ben", "cy"]
    kind = "row" if suffix == ".csv" else "record"
    assert any(note.startswith(f"4 {kind}s without an opinion") for note in found.notes)
    assert any(note.startswith(f"1 {kind} ") and "count" in note for note in found.notes)


def test_a_parquet_file_that_is_damaged_within_is_an_error_with_its_name(tmp_path):
    path = tmp_path / "g.parquet"
    rows = [{"question": ASKED, "id": f"p{i}", "opinion": f"{i} {i * i}"} for i in range(2000)]
    pl.DataFrame(rows).write_parquet(path, compression="snappy")
    content = path.read_bytes()
    third = len(content) // 3  # of the data: what the file holds is told at its end
    path.write_bytes(content[:third] + b"\xff" * 40 + content[third + 40 :])
    with pytest.raises(InputError, match=r"g\.parquet: not a Parquet file that can be read"):
        read_people(path)


@pytest.mark.heavy
def test_memory_stays_flat(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "STREAMED_FROM_BYTES", 0)
    text = "The fares eat my wages, and nobody asked us. " * 8
    peaks = []
    for n in (1_000, 8_000):
        path = table(tmp_path / f"{n}.csv", [(f"p{i}", f"{i} {text}") for i in range(n)])
        tracemalloc.start()
        found = read_people(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(found.opinions) == n
        assert found.opinions[n - 1].text.startswith(str(n - 1))
    # 2.6 MB of text more; 24 bytes a person are kept, and a few more while ids are compared.
    assert peaks[1] - peaks[0] < 780_000


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_nobody_stands_twice(tmp_path, streamed, suffix):
    path = tmp_path / f"g{suffix}"
    rows = [*ROWS, ("ana", "Again me.")]
    records = [{"question": ASKED, "id": name, "opinion": text} for name, text in rows]
    if suffix == ".csv":
        table(path, rows)
    elif suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    else:
        pl.DataFrame(records).write_parquet(path)
    with pytest.raises(InputError, match=r"'ana' appears more than once \(opinions 1 and 4"):
        read_people(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("g.csv", b"", "is empty"),
        ("g.csv", b"question,id,opinion\n", "got 0 opinions"),
        ("g.csv", b"question,id,opinion\nWhy?,a,Yes\n", "got 1 opinion,"),
        ("g.csv", b"question,id,opinion\nWhy?,a,Yes\nHow?,b,No\n", "2 questions"),
        ("g.csv", b"id,opinion\na,Yes\nb,No\n", "--question"),
        ("g.csv", b"question,id,opinion\nWhy?,a,Yes\n,b,\xff\xfe\n", "line 3"),
        ("g.csv", b'question,id,opinion\nWhy?,a,Yes\n,b,"No\n', "never closed"),
        ("g.csv", b"question,id,opinion\nWhy?,a,Yes\n,b,No,no,no\n", "row 3"),
        ("g.jsonl", b'{"question": "Why?", "text": "Yes"}\n{"text": \n', "line 2: not valid JSON"),
        ("g.jsonl", b'{"question": "Why?", "text": "Yes"}\n[1]\n', "line 2: got list"),
        ("g.jsonl", b'{"question": "Why?", "words": "Yes"}\n', "line 1: no field is called"),
        ("g.jsonl", b'{"question": "Why?", "text": 3}\n', "line 1: the opinion is 3"),
        ("g.parquet", b"PAR1 no", "not a Parquet file"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, streamed, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_people(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_a_megabyte_in_one_cell(tmp_path, streamed):
    path = table(tmp_path / "g.csv", [("ana", "no " * 350_000), *ROWS[1:]])
    assert len(read_people(path).opinions[0].text) == 350_000 * 3 - 1


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_who_wrote_the_same_is_counted_in_a_file_of_any_size(tmp_path, streamed, suffix):
    rows = [(f"p{i}", "Free for all." if i % 3 else "  free FOR all. ") for i in range(70)]
    rows += [("ana", "Too dear."), ("ben", "TOO dear."), ("cy", "Not with my money.")]
    path = tmp_path / f"g{suffix}"
    records = [{"question": ASKED, "id": name, "opinion": text} for name, text in rows]
    if suffix == ".csv":
        table(path, rows)
    elif suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    else:
        pl.DataFrame(records).write_parquet(path)
    (note,) = (note for note in read_people(path).notes if "same words" in note)
    assert note.startswith("72 participants ")
    assert note in read_group(table(tmp_path / "small.csv", rows)).notes


def test_small_files_are_read_as_ever(tmp_path):
    path = table(tmp_path / "g.csv", ROWS)
    found, plain = read_people(path), read_group(path)
    assert found.opinions == plain.opinions
    assert found.notes == plain.notes
    with pytest.raises(InputError, match="--round"):
        read_people(path, round_id="r1")


def test_a_polis_export_brings_votes_and_who_only_voted(tmp_path):
    found = read_people(POLIS)
    dataset = import_polis(POLIS)
    wrote = set(dataset.opinions["participant_id"])
    texts = {each.id: each.text for each in found.opinions}
    assert wrote <= set(texts)
    for name, text in dataset.opinions.select("participant_id", "text").iter_rows():
        assert texts[name] == text.strip()
    assert all("gree: " in text for name, text in texts.items() if name not in wrote)
    votes = found.votes.of([each.id for each in found.opinions])
    assert votes.shape == (len(texts), dataset.candidates.height)
    cast = {
        (row["participant_id"], row["candidate_id"]): row["agreement"]
        for row in dataset.ratings.iter_rows(named=True)
    }
    for i, each in enumerate(found.opinions):
        for j, candidate in enumerate(found.votes.matrix.candidate_ids):
            if np.isfinite(votes[i, j]):
                assert votes[i, j] == cast[each.id, candidate]
    write_dataset(dataset, tmp_path / "data")
    again = read_people(tmp_path / "data")
    assert {each.id for each in again.opinions} == wrote
    with pytest.raises(InputError, match="no round"):
        read_people(tmp_path / "data", round_id="other")


def test_the_store_is_a_sequence():
    store = OpinionStore()
    everybody = [Opinion(f"p{i}", f"text {i}\n💚") for i in range(5)]
    for each in everybody:
        store.add(each)
    assert list(store) == everybody
    assert store[-1] == everybody[-1]
    assert list(store[1:3]) == everybody[1:3]
    store.add(Opinion("q", "after reading"))
    assert len(store) == 6
    assert store[5].text == "after reading"
    with pytest.raises(IndexError):
        store[6]
