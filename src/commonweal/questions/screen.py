"""Screening: people decide which questions go on, and who decided what, and when, is kept.

Decisions are lines appended to ``NAME.decisions.jsonl`` beside the question set; none is ever
changed or taken out, and the last one on a question holds. A decision is on the words that were
read: where the question or its position statement is edited afterwards, it holds no longer.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from commonweal.errors import InputError
from commonweal.files import write_whole
from commonweal.questions.flags import flags_of
from commonweal.questions.records import QuestionRecord, read_csv, read_csv_text, to_csv

Choice = Literal["keep", "drop"]
CHOICES: tuple[Choice, ...] = get_args(Choice)

QUEUE_COLUMNS = ("id", "question", "position_statement", "flags", "decision", "reason")
"""The columns of the queue as CSV. A person fills in ``decision`` (keep, drop or nothing)."""

_PREFIXED = re.compile(r"^'*[=+\-@]")
"""What a spreadsheet would calculate instead of showing: such a cell goes out behind a "'"."""
_PREFIX = re.compile(r"^'(?='*[=+\-@])")


@dataclass(frozen=True, slots=True)
class Decision:
    """What one person decided on one question.

    Attributes:
        id: the question's id.
        question, position_statement: the words that were read.
        decision: "keep" or "drop".
        by: who decided.
        at: when, UTC, ISO 8601.
        flags: the flags that were shown.
        reason: why, in the person's words; may be empty.
        way: "terminal" or the name of the CSV file.
    """

    id: str
    question: str
    position_statement: str
    decision: Choice
    by: str
    at: str
    flags: tuple[str, ...] = ()
    reason: str = ""
    way: str = "terminal"


def decisions_path(path: Path) -> Path:
    """Where the decisions on the question set at ``path`` lie: ``NAME.decisions.jsonl``."""
    return path.with_name(f"{path.stem}.decisions.jsonl")


def decide(
    record: QuestionRecord, decision: str, *, by: str, reason: str = "", way: str = "terminal"
) -> Decision:
    """The decision on a question, made now.

    Raises:
        InputError: it is neither keep nor drop, or nobody's.
    """
    chosen = next((choice for choice in CHOICES if choice == decision), None)
    if chosen is None:
        raise InputError(
            f"question {record.id!r}: the decision is {decision!r}, expected keep or drop"
        )
    if not by.strip():
        raise InputError("the decision has no name; expected the name of the person who decides")
    return Decision(
        record.id,
        record.question,
        record.position_statement,
        chosen,
        by.strip(),
        datetime.now(UTC).isoformat(timespec="seconds"),
        tuple(str(flag) for flag in flags_of(record)),
        reason,
        way,
    )


def append_decisions(path: Path, decisions: Iterable[Decision]) -> None:
    """Appends decisions to the file at ``path``; they are on disk when this returns.

    Raises:
        InputError: it cannot be written.
    """
    lines = "".join(json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in decisions)
    if not lines:
        return
    try:
        with path.open("a+b") as file:
            # After a line that a crash cut short, begin a line of our own.
            if file.tell() and not _ends_with_newline(path):
                lines = "\n" + lines
            file.write(lines.encode("utf-8", errors="replace"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None


def read_decisions(path: Path) -> tuple[Decision, ...]:
    """All decisions in the file at ``path``, oldest first; none where there is no file.

    A last line that was cut short by a crash is left out.

    Raises:
        InputError: a line is no decision.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    decisions = []
    lines = text.split("\n")
    for n, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            decision = Decision(**entry | {"flags": tuple(entry["flags"])})
            if decision.decision not in CHOICES:
                raise ValueError(f"unknown decision {decision.decision!r}")
        except json.JSONDecodeError as error:
            if n == len(lines) or not line.endswith("}"):
                continue  # cut short: never confirmed to the person who decided
            raise InputError(f"{path}, line {n}: not valid JSON: {error.msg}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}, line {n}: not a decision: {error}") from None
        decisions.append(decision)
    return tuple(decisions)


def standing(
    records: Sequence[QuestionRecord], decisions: Iterable[Decision]
) -> dict[str, Decision]:
    """The decision that holds for each question that has one, by id."""
    words = {record.id: (record.question, record.position_statement) for record in records}
    return {
        each.id: each
        for each in decisions
        if words.get(each.id) == (each.question, each.position_statement)
    }


def undecided(
    records: Sequence[QuestionRecord], held: Mapping[str, Decision]
) -> list[QuestionRecord]:
    """The questions that still want a decision, those with more flags first."""
    open_ = [record for record in records if record.id not in held]
    return sorted(open_, key=lambda record: -len(flags_of(record)))


def released(
    path: Path, records: Sequence[QuestionRecord], *, unreviewed: bool = False
) -> tuple[QuestionRecord, ...]:
    """The questions that may go on: those that somebody decided to keep.

    Args:
        path: the question set, for its decisions and for messages.
        records: its questions.
        unreviewed: let those go on, too, on which nobody has decided. Dropped stays dropped.

    Raises:
        InputError: a question has no decision and ``unreviewed`` is not set, or none may go on.
    """
    held = standing(records, read_decisions(decisions_path(path)))
    open_ = [record for record in records if record.id not in held]
    if open_ and not unreviewed:
        raise InputError(
            f"{len(open_)} of the {len(records)} questions in {path} have no decision (the first "
            f"is {open_[0].id!r}, {open_[0].question!r}); run `commonweal questions screen {path} "
            "--by NAME`, or use --unreviewed to take them as they are"
        )
    kept = tuple(r for r in records if r.id not in held or held[r.id].decision == "keep")
    if not kept:
        raise InputError(f"no question in {path} is left: all {len(records)} were dropped")
    return kept


# ----------------------------------------------------------------------------------- queue as CSV


def write_queue(
    path: Path, records: Sequence[QuestionRecord], held: Mapping[str, Decision]
) -> None:
    """Writes all questions with their flags and decisions so far to ``path``, for a spreadsheet.

    Raises:
        InputError: it cannot be written.
    """
    rows = []
    for record in [*undecided(records, held), *(r for r in records if r.id in held)]:
        decision = held.get(record.id)
        flags = "; ".join(str(flag) for flag in flags_of(record))
        decided = (decision.decision, decision.reason) if decision else ("", "")
        cells = (record.id, record.question, record.position_statement, flags, *decided)
        rows.append([_PREFIXED.sub(r"'\g<0>", cell) for cell in cells])
    write_whole(path, to_csv(QUEUE_COLUMNS, rows))


def read_queue(
    path: Path,
    records: Sequence[QuestionRecord],
    held: Mapping[str, Decision],
    *,
    by: str,
) -> list[Decision]:
    """The decisions in a filled-in queue that are new or differ from those that hold.

    Raises:
        InputError: the file is malformed, holds an unknown id, words other than the set's, a
            decision that is neither keep nor drop, or two different ones on a question.
    """
    by_id = {record.id: record for record in records}
    rows = read_csv(
        path, read_csv_text(path), columns=QUEUE_COLUMNS, required=("id", "question", "decision")
    )
    decisions = []
    lines: dict[str, tuple[int, str]] = {}
    for line, cells in rows:
        row = {name: _PREFIX.sub("", cell) for name, cell in cells.items()}
        choice = row["decision"].strip().lower()
        if not choice:
            continue
        record = by_id.get(row["id"].strip())
        if record is None:
            raise InputError(f"{path}, line {line}: id {row['id']!r} is not in the question set")
        given = {name: " ".join(row.get(name, "").split()) for name in QUEUE_COLUMNS[1:3]}
        if given["question"] != record.question or (
            "position_statement" in row and given["position_statement"] != record.position_statement
        ):
            raise InputError(
                f"{path}, line {line}: the words of {record.id!r} are not those of the question "
                "set; edit the set itself, then export the queue again"
            )
        if choice not in CHOICES:
            raise InputError(
                f"{path}, line {line}: the decision is {choice!r}, expected keep, drop or nothing"
            )
        first, other = lines.setdefault(record.id, (line, choice))
        if other != choice:
            raise InputError(
                f"{path}, lines {first} and {line}: question {record.id!r} has two decisions, "
                f"{other} and {choice}; expected one"
            )
        reason = " ".join(row.get("reason", "").split())
        before = held.get(record.id)
        if before is None or (before.decision, before.reason) != (choice, reason):
            decisions.append(decide(record, choice, by=by, reason=reason, way=path.name))
    return decisions


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
