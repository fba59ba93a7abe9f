"""The question-set file: a CSV for people and programs, with its provenance in JSON beside it.

CSV, not JSON Lines: a facilitator reads, edits and sorts a question set in a spreadsheet. The first
line names the columns. Only ``question`` must be there::

    id,question,position_statement,topic,split,source,note
    q1eb741db5762,Should buses be free?,Buses should be free.,,,seed,

Separators may also be semicolons or tabs, which is what spreadsheets write in many countries.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from commonweal._version import __version__
from commonweal.datasets.words import normal_form
from commonweal.errors import InputError
from commonweal.files import read_text, sha256_of, write_whole
from commonweal.policies.parsing import CONTROL
from commonweal.types import SPLITS, Question

SCHEMA = "commonweal/questions/1"
"""Name and version of the layout of the provenance file."""

TRAIN, IID_TEST, OOD_TEST = SPLITS

MAX_FILE_BYTES = 200_000_000
"""A larger file is not a question set: 100,000 questions take about 20 MB."""


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """One debate question of a set.

    Attributes:
        id: unique within its set; made from the question's words where the file gives none.
        question: the question, on one line.
        position_statement: a sentence that answers it with yes; empty where there is none.
        topic: what it is about, in words; a split writes its cluster here.
        split: one of ``SPLITS``, or empty.
        source: where it came from: "seed", a model's id, a person.
        note: whatever a person wrote beside it.
    """

    id: str
    question: str
    position_statement: str = ""
    topic: str = ""
    split: str = ""
    source: str = ""
    note: str = ""

    def as_question(self) -> Question:
        """The question as the rest of commonweal takes it."""
        return Question(self.question, self.id)


COLUMNS = tuple(field.name for field in fields(QuestionRecord))


def content_id(question: str) -> str:
    """An id made from the question's words: the same words always get the same id.

    Example:
        >>> content_id("Should buses be free?")
        'q1eb741db5762'
    """
    return "q" + hashlib.sha256(normal_form(question).encode()).hexdigest()[:12]


def read_questions(path: Path) -> tuple[QuestionRecord, ...]:
    """The questions of a CSV file, in its order.

    Raises:
        InputError: no such file, not UTF-8, no header, an unknown column or split, a blank question
            or an id twice; the message names the line.
    """
    text = read_csv_text(path)
    rows = read_csv(path, text, columns=COLUMNS, required=("question",))
    records: list[QuestionRecord] = []
    lines: dict[str, int] = {}
    for line, row in rows:
        record = as_record(f"{path}, line {line}", row)
        if record.id in lines:
            raise InputError(
                f"{path}, line {line}: id {record.id!r} stands on line {lines[record.id]} already; "
                "expected an id of its own for every question, or none where the words differ"
            )
        lines[record.id] = line
        records.append(record)
    if not records:
        raise InputError(f"{path}: there are no questions; expected one on each line below line 1")
    return tuple(records)


def write_questions(path: Path, records: Iterable[QuestionRecord]) -> None:
    """Writes the questions to ``path`` as CSV, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    write_whole(path, to_csv(COLUMNS, ([getattr(r, c) for c in COLUMNS] for r in records)))


def of_split(records: Iterable[QuestionRecord], split: str) -> tuple[Question, ...]:
    """The questions of one split, ready for training.

    Raises:
        InputError: there is no such split, or no question in it.
    """
    return tuple(record.as_question() for record in records_of_split(records, split))


def records_of_split(records: Iterable[QuestionRecord], split: str) -> tuple[QuestionRecord, ...]:
    """The records of one split, with position statements and topics: ready for a study.

    Raises:
        InputError: there is no such split, or no question in it.
    """
    if split not in SPLITS:
        raise InputError(f"no split named {split!r}; expected one of {', '.join(SPLITS)}")
    chosen = tuple(record for record in records if record.split == split)
    if not chosen:
        raise InputError(
            f"no question is in the split {split!r}; expected a file that "
            "`commonweal questions split` wrote"
        )
    return chosen


# ------------------------------------------------------------------------------------ provenance


def provenance_path(path: Path) -> Path:
    """Where the provenance of the question set at ``path`` lies: ``NAME.provenance.json``."""
    return path.with_name(f"{path.stem}.provenance.json")


def read_steps(path: Path) -> list[dict[str, Any]]:
    """What was done to the set at ``path`` so far, oldest first; empty where nothing is known.

    Raises:
        InputError: the provenance file is there and cannot be read.
    """
    beside = provenance_path(path)
    if not beside.is_file():
        return []
    try:
        steps = json.loads(beside.read_text(encoding="utf-8"))["steps"]
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            raise TypeError("its steps are not a list of objects")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{beside} is not the provenance of a question set ({error}); move it away, and the "
            "set counts as one of unknown origin"
        ) from None
    return steps


def write_with_provenance(
    path: Path,
    records: Sequence[QuestionRecord],
    step: dict[str, Any],
    *,
    source: Path | None = None,
) -> None:
    """Writes the set and, beside it, the steps of ``source`` followed by this one.

    Raises:
        InputError: one of the two cannot be written.
    """
    steps = read_steps(source) if source is not None else []
    if source is not None:
        written = steps[-1].get("file_sha256") if steps else None
        same = None if written is None else written == sha256_of(source)  # None: not known
        step = step | {"input_unchanged_since_last_step": same}
    write_questions(path, records)
    step = step | {
        "n_questions": len(records),
        "file_sha256": sha256_of(path),
        "commonweal_version": __version__,
    }
    provenance = {"schema": SCHEMA, "steps": [*steps, step]}
    write_whole(provenance_path(path), json.dumps(provenance, ensure_ascii=False, indent=2) + "\n")


# -------------------------------------------------------------------------------------------- CSV


def to_csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The rows as CSV text under a header line."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def read_csv_text(path: Path) -> str:
    """A question set's file as text.

    Raises:
        InputError: there is none, it is too large, or not UTF-8.
    """
    return read_text(path, expected="a question set as .csv", max_bytes=MAX_FILE_BYTES)


def read_csv(
    path: Path, text: str, *, columns: Sequence[str], required: Sequence[str]
) -> list[tuple[int, dict[str, str]]]:
    """Each row below the header, as a dict, with the number of its last line.

    Raises:
        InputError: there is no usable header, or a row does not fit it.
    """
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(path, header, columns, required)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise InputError(
                    f"{path}, line {reader.line_num}: got {len(cells)} fields, expected "
                    f"{len(header)} ({', '.join(header)}); put quotes around a text that holds "
                    f"{separator!r}"
                )
            rows.append((reader.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not valid CSV: {error}") from None
    return rows


def _check_header(
    path: Path, header: list[str], columns: Sequence[str], required: Sequence[str]
) -> None:
    if not any(name in columns for name in header):
        got = ", ".join(header)[:80] or "an empty line"
        raise InputError(
            f"{path}, line 1: there is no header: got {got!r}; expected a first line that names "
            f"the columns, for example {','.join(columns[:3])}"
        )
    for name in header:
        if name not in columns:
            close = difflib.get_close_matches(name, columns, n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InputError(
                f"{path}, line 1: unknown column {name!r}{hint} Known: {', '.join(columns)}"
            )
        if header.count(name) > 1:
            raise InputError(f"{path}, line 1: the column {name!r} appears twice")
    for name in required:
        if name not in header:
            raise InputError(f"{path}, line 1: there is no column {name!r}; expected one")


def as_record(place: str, row: dict[str, str]) -> QuestionRecord:
    """The row, texts by column, as a record.

    Raises:
        InputError: a text holds a control character, the question is blank, or there is no such
            split; the message names ``place``.
    """
    values = {name: " ".join(value.split()) for name, value in row.items()}
    for name, value in values.items():
        if match := CONTROL.search(value):
            raise InputError(
                f"{place}: {name} holds the control character {match[0]!r}; expected plain text"
            )
    question = values["question"]
    if not normal_form(question):
        raise InputError(
            f"{place}: the question is blank; expected its text, or leave the line out"
        )
    if not values.get("id"):
        values["id"] = content_id(question)
    split = values.get("split", "")
    if split and split not in SPLITS:
        raise InputError(
            f"{place}: unknown split {split!r}; expected {', '.join(SPLITS)} or nothing"
        )
    return QuestionRecord(**values)
