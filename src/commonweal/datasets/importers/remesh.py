"""Remesh exports: a moderated dialogue's own answers, and votes on other people's answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from commonweal.datasets.dataset import About, Dataset, Step, frame
from commonweal.datasets.schema import VOTE
from commonweal.errors import InputError
from commonweal.reading.columns import column_named, plain, why_not_counted
from commonweal.reading.tables import read_table

_ANSWERS, _VOTES = "_verbatim_map.csv", "_binary.csv"
_EXPECTED = f"a Remesh export: NAME{_VOTES} beside NAME{_ANSWERS}"
_MOST_BYTES = 1_000_000_000
_SIGNS = {"agree": 1, "disagree": -1}
_OF_OTHERS = re.compile(
    r"\b(others?|people|somebody|someone|anyone|they)\b.{0,60}\b(dis)?agree\b", re.IGNORECASE
)
"""A question for what other people think: the answer is not what its writer thinks."""


def import_remesh(
    path: Path,
    *,
    name: str | None = None,
    licence: str = "",
    attribution: str = "",
    leave_out: tuple[str, ...] = (),
) -> Dataset:
    """One round a question: people's own answers are their opinions and the statements voted on.

    A question that asks why others would disagree is left out and counted: the answers are not
    their writers' own views.

    Args:
        path: the file of votes, ``NAME_binary.csv``; ``NAME_verbatim_map.csv`` lies beside it.
        name: the dataset's; the export's by default.
        licence: under which the data may be used.
        attribution: what its licence asks to be said.
        leave_out: questions to leave out besides, by id or text.

    Raises:
        InputError: a file or column is missing, or a vote is none; the message names the row.
    """
    if not path.name.endswith(_VOTES):
        raise InputError(f"{path} does not end in {_VOTES}; expected {_EXPECTED}")
    prefix = path.name.removesuffix(_VOTES)
    name = name or prefix
    counts: dict[str, int] = {}
    answers = _answers(path.with_name(prefix + _ANSWERS), leave_out, counts)
    ratings: dict[tuple[str, str, str], int] = {}
    dropped = {"on an answer that is not there": 0, "on one's own answer": 0, "changed later": 0}
    texts = {(row["question"], row["thought"]): row for row in answers}
    n_votes = marked = 0
    columns = ("Question ID", "Participant ID", "Thought ID", "Vote")
    for number, (question, person, thought, vote), why in _rows(path, columns):
        n_votes += 1
        if why:
            marked += 1
            continue
        if vote.lower() not in _SIGNS:
            raise InputError(f"{path}, row {number}: Vote is {vote!r}, expected Agree or Disagree")
        answer = texts.get((question, thought))
        if answer is None:
            dropped["on an answer that is not there"] += 1
        elif answer["person"] == person:
            dropped["on one's own answer"] += 1
        else:
            dropped["changed later"] += (question, person, thought) in ratings
            ratings[question, person, thought] = _SIGNS[vote.lower()]
    if not ratings:
        raise InputError(f"{path}: no vote on another person's answer is left; nothing to rate")
    counts |= {"votes read": n_votes}
    counts |= {f"votes dropped: {what}": n for what, n in dropped.items()}
    if marked:
        counts["votes dropped: marked as not to be counted"] = marked
    counts |= {"people": len({person for _, person, _ in ratings}), "ratings": len(ratings)}
    asked = {row["question"]: row["asked"] for row in answers}
    key = {question: f"{name}/q{i}" for i, question in enumerate(asked, 1)}
    written = {(row["question"], row["person"]): row for row in answers}
    return Dataset(
        About(
            name=name,
            people="replayed",
            scale=VOTE,
            source="Remesh export",
            licence=licence,
            attribution=attribution,
            steps=(
                Step(
                    what="imported from Remesh",
                    options={"leave_out": list(leave_out)},
                    counts=counts,
                ),
            ),
        ),
        rounds=frame(
            "rounds",
            [
                {"round_id": key[q], "group_id": key[q], "question_id": key[q], "question": text}
                for q, text in asked.items()
            ],
        ),
        opinions=frame(
            "opinions",
            [
                {
                    "round_id": key[question],
                    "opinion_id": row["thought"],
                    "participant_id": person,
                    "text": row["text"],
                    "source": "written",
                }
                for (question, person), row in written.items()
            ],
        ),
        candidates=frame(
            "candidates",
            [
                {
                    "round_id": key[question],
                    "candidate_id": thought,
                    "text": row["text"],
                    "policy": "human",
                    "author_id": row["person"],
                    "shown": True,
                }
                for (question, thought), row in texts.items()
            ],
        ),
        ratings=frame(
            "ratings",
            [
                {
                    "round_id": key[question],
                    "participant_id": person,
                    "candidate_id": thought,
                    "pass_index": 0,
                    "agreement": vote,
                }
                for (question, person, thought), vote in ratings.items()
            ],
        ),
    )


def _answers(
    path: Path, leave_out: tuple[str, ...], counts: dict[str, int]
) -> list[dict[str, str]]:
    """What people wrote themselves: question, asked, person, thought, text."""
    answers, others, blank, marked, n_read = [], 0, 0, 0, 0
    left_out = dict.fromkeys(leave_out, 0)
    columns = ("Question ID", "Question Text", "Participant ID", "Thought ID", "Thought Text")
    for _, (question, asked, person, thought, text), why in _rows(path, columns):
        n_read += 1
        named = next((each for each in leave_out if each in (question, asked)), None)
        if named is not None:
            left_out[named] += 1
        elif _OF_OTHERS.search(asked):
            others += 1
        elif why:
            marked += 1
        elif not text.strip():
            blank += 1
        else:
            answers.append(
                {
                    "question": question,
                    "asked": " ".join(asked.split()),
                    "person": person,
                    "thought": thought,
                    "text": " ".join(text.split()),
                }
            )
    if unknown := [each for each, n in left_out.items() if n == 0]:
        raise InputError(f"{path}: no question {unknown[0]!r} to leave out; expected an id or text")
    counts["answers read"] = n_read
    counts["answers dropped: what others would think, not the writer"] = others
    counts["answers dropped: blank"] = blank
    if marked:
        counts["answers dropped: marked as not to be counted"] = marked
    counts["answers dropped: left out by name"] = sum(left_out.values())
    if not answers:
        raise InputError(f"{path}: no answer is left; expected {_EXPECTED}")
    return answers


def _rows(
    path: Path, columns: tuple[str, ...]
) -> Iterator[tuple[int, tuple[str, ...], str | None]]:
    """Number of each row, counted as a spreadsheet counts; these columns of it; and what in the
    row says that it does not count, or None.

    A Remesh export begins with lines about the dialogue; the header is the line that names the
    columns.
    """
    known = frozenset(plain(column) for column in columns)
    table = read_table(path, known, expected=_EXPECTED, max_bytes=_MOST_BYTES)
    header = table.header
    if missing := [column for column in columns if column_named(header, (column,)) is None]:
        raise InputError(
            f"{path}: no line has the columns {', '.join(missing)}{table.read_as()}; expected "
            f"{_EXPECTED}"
        )
    places = [column_named(header, (column,)) or 0 for column in columns]
    for row in table.below:
        if len(row.cells) > len(header):
            raise InputError(
                f"{table.place(row)}: {len(row.cells)} fields, expected {len(header)} as in the "
                f"header{table.read_as()}; is a comma in a text not quoted?"
            )
        marks = dict(zip(header, row.cells, strict=True))
        yield row.number, tuple(row.cells[place] for place in places), why_not_counted(marks)
