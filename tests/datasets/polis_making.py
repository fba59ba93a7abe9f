"""Polis exports, made by rule, and the real ones where they are at hand."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

SHARED = Path(
    os.environ.get("COMMONWEAL_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")
)
REAL = sorted((SHARED / "polis").glob("*")) or [
    pytest.param(None, marks=pytest.mark.skip(reason=f"no Polis exports in {SHARED / 'polis'}"))
]
"""Folders of real exports; one that is skipped where there are none."""

COMMENTS = ["timestamp", "datetime", "comment-id", "author-id", "agrees", "disagrees", "moderated"]
COMMENTS += ["comment-body"]
VOTES = ["timestamp", "datetime", "comment-id", "voter-id", "vote"]


def put_csv(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def comment(number: int, author: int, text: str, moderated: int = 1) -> list[object]:
    return [1000 + number, "Tue", number, author, 0, 0, moderated, text]


def vote(number: int, voter: int, value: int, timestamp: int = 5000) -> list[object]:
    return [timestamp, "Wed", number, voter, value]


def put_export(
    folder: Path,
    comments: list[list[object]],
    votes: list[list[object]],
    topic: str = "Buses",
    description: str = "",
) -> Path:
    folder.mkdir()
    put_csv(folder / "comments.csv", COMMENTS, comments)
    put_csv(folder / "votes.csv", VOTES, votes)
    summary = [["url", "https://pol.is/1"], ["conversation-description", description]]
    put_csv(folder / "summary.csv", ["topic", topic], summary)
    return folder


def small_export(folder: Path, topic: str = "Buses \n for everyone") -> Path:
    """Three commenters (0 agreed with 0 and 4, 1 with 1; 2 passed on its own) and voter 3."""
    return put_export(
        folder,
        [
            comment(0, 0, "Free  buses\nfor all."),
            comment(1, 1, "Nothing is <b>free</b>, & 'someone' pays; \"always\"."),
            comment(2, 2, "Ask the council."),
            comment(3, 2, "Spam!", moderated=-1),
            comment(4, 0, "Hidden but mine.", moderated=-1),
            comment(5, 1, "   "),
        ],
        [
            vote(0, 0, 1),
            vote(4, 0, 1),
            vote(1, 1, 1),
            vote(2, 2, 0),
            vote(1, 0, 1, timestamp=5000),
            vote(1, 0, -1, timestamp=4000),
            vote(2, 0, 0),
            vote(0, 1, -1),
            vote(2, 1, 1),
            vote(0, 3, 1),
            vote(1, 3, -1),
            vote(1, 3, -1),
            vote(3, 3, 1),
            vote(99, 3, 1),
        ],
        topic=topic,
        description="More about it",
    )


@dataclass(frozen=True)
class Conversation:
    """What ``by_loops`` reads. ``votes`` is [n_people][n_statements], nan where there is none."""

    question: str
    opinions: tuple[str, ...]
    statements: tuple[str, ...]
    votes: list[list[float]]


def by_loops(folder: Path) -> Conversation:
    """The importer's rules once more, by the csv module and dictionaries (as in the first recipe).

    Votes on one's own comments are left out, and people without an opinion.
    """
    with (folder / "summary.csv").open(encoding="utf-8", newline="") as file:
        summary = {row[0]: row[1] for row in csv.reader(file) if len(row) > 1}
    body, author, statements = {}, {}, []
    for row in dictionaries(folder / "comments.csv"):
        number = int(row["comment-id"])
        body[number] = " ".join(row["comment-body"].split())
        author[number] = int(row["author-id"])
        if row["moderated"] != "-1" and body[number]:
            statements.append(number)
    last: dict[tuple[int, int], int] = {}
    if (folder / "votes.csv").exists():
        for row in sorted(dictionaries(folder / "votes.csv"), key=lambda r: int(r["timestamp"])):
            last[int(row["voter-id"]), int(row["comment-id"])] = int(row["vote"])
    else:
        for row in dictionaries(folder / "participants-votes.csv"):
            for column, value in row.items():
                if column.isdigit() and value:
                    last[int(row["participant"]), int(column)] = int(float(value))
    written: dict[int, list[int]] = {}
    for (person, number), value in last.items():
        if author.get(number) == person and value == 1:
            written.setdefault(person, []).append(number)
    columns = {number: column for column, number in enumerate(sorted(statements))}
    people = {person: row for row, person in enumerate(sorted(written))}
    votes = [[float("nan")] * len(columns) for _ in people]
    for (person, number), value in last.items():
        if person in people and number in columns and author[number] != person:
            votes[people[person]][columns[number]] = float(value)
    return Conversation(
        summary["topic"],
        tuple("\n".join(body[n] for n in sorted(written[p])) for p in people),
        tuple(body[n] for n in columns),
        votes,
    )


def dictionaries(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
