"""People's own comments and their votes on each other's, read from Polis exports.

A participant's opinion is the comments that they wrote and agreed with themselves (moderators type
in seed comments that they do not hold, so a comment whose author did not vote for it says nothing
about that person). Votes on one's own comments are never targets.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TRAIN = (
    "american-assembly.bowling-green",
    "scoop-hivemind.biodiversity",
    "scoop-hivemind.taxes",
    "scoop-hivemind.freshwater",
)
TUNE = ("scoop-hivemind.affordable-housing", "scoop-hivemind.ubi")
TEST = (
    "canadian-electoral-reform",
    "football-concussions",
    "ssis.land-bank-farmland.2rumnecbeh.2021-08-01",
)
"""Whole conversations: fitted on TRAIN, choices between models made on TUNE, reported on TEST."""


@dataclass(frozen=True)
class Conversation:
    """One Polis conversation.

    Attributes:
        votes: float64 [n_people, n_statements]: 1 agrees, 0 passed, -1 disagrees, nan no vote.
    """

    name: str
    question: str
    opinions: tuple[str, ...]
    statements: tuple[str, ...]
    votes: NDArray[np.float64]


def read_conversation(folder: Path) -> Conversation:
    """One conversation from the files of a Polis export."""
    with (folder / "summary.csv").open(encoding="utf-8", newline="") as file:
        summary = {row[0]: row[1] for row in csv.reader(file) if len(row) > 1}
    body, author, statement_ids = {}, {}, []
    for comment in _rows(folder / "comments.csv"):
        number = int(comment["comment-id"])
        body[number] = " ".join(comment["comment-body"].split())
        author[number] = int(comment["author-id"])
        if comment["moderated"] != "-1" and body[number]:
            statement_ids.append(number)

    written: dict[int, list[int]] = {}
    cast: list[tuple[int, int, int]] = []
    for person, number, vote in _votes(folder):
        if author.get(number) != person:
            cast.append((person, number, vote))
        elif vote == 1:
            written.setdefault(person, []).append(number)
    people = {person: row for row, person in enumerate(sorted(written))}
    columns = {number: column for column, number in enumerate(sorted(statement_ids))}
    votes = np.full((len(people), len(columns)), np.nan)
    for person, number, vote in cast:
        if person in people and number in columns:
            votes[people[person], columns[number]] = vote
    return Conversation(
        name=folder.name,
        question=summary["topic"],
        opinions=tuple("\n".join(body[n] for n in sorted(written[p])) for p in people),
        statements=tuple(body[n] for n in columns),
        votes=votes,
    )


def _votes(folder: Path) -> list[tuple[int, int, int]]:
    """(person, comment, vote), the last vote where somebody changed their mind."""
    long = folder / "votes.csv"
    if long.exists():
        rows = sorted(_rows(long), key=lambda row: int(row["timestamp"]))
        last = {(int(r["voter-id"]), int(r["comment-id"])): int(r["vote"]) for r in rows}
        return [(person, number, vote) for (person, number), vote in last.items()]
    return [
        (int(row["participant"]), int(column), int(float(vote)))
        for row in _rows(folder / "participants-votes.csv")
        for column, vote in row.items()
        if column.isdigit() and vote
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
