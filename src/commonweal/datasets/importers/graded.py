"""Graded groups: opinions and statements with every pair graded, by whoever wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from commonweal.datasets.dataset import About, Dataset, Step, frame
from commonweal.datasets.schema import LIKERT_7
from commonweal.errors import InputError
from commonweal.files import read_text

_EXPECTED = (
    "graded groups: one JSON object a line with question, opinions, statements, agreement "
    "[n_opinions][n_statements] and quality [n_statements], 1 to 7"
)
_MOST_BYTES = 1_000_000_000


class _Group(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(strict=True)

    id: str | None = None
    topic: str | None = None
    question: str = Field(min_length=1)
    opinions: list[str] = Field(min_length=1)
    statements: list[str] = Field(min_length=1)
    kinds: list[str] | None = None
    agreement: list[list[int]]
    quality: list[int]


def import_graded(
    path: Path, *, name: str | None = None, licence: str = "", attribution: str = ""
) -> Dataset:
    """One round a line: its opinions, its statements, and every grade as a rating.

    Whoever wrote the file graded it: no person said or rated any of it, so its people are
    "simulated". ``quality`` is one number a statement and stands in each of its ratings.

    Args:
        path: the .jsonl file.
        name: the dataset's; the file's by default.
        licence: under which the file may be used.
        attribution: what its licence asks to be said.

    Raises:
        InputError: the file cannot be read, a field is missing, or numbers and texts do not fit
            together; the message names the line.
    """
    name = name or path.stem
    text = read_text(path, expected=_EXPECTED, max_bytes=_MOST_BYTES)
    groups = [
        (number, _group(path, number, line))
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]
    if not groups:
        raise InputError(f"{path} is empty; expected {_EXPECTED}")
    rounds, opinions, candidates, ratings = [], [], [], []
    for number, group in groups:
        label = group.id or str(number)
        key = {"round_id": f"{name}/{label}"}
        about = {"group_id": key["round_id"], "question_id": key["round_id"]}
        rounds.append({**key, **about, "question": group.question, "topic": group.topic or None})
        people = [f"{key['round_id']}/p{i}" for i in range(1, len(group.opinions) + 1)]
        for person, opinion in zip(people, group.opinions, strict=True):
            author = {"opinion_id": person.rpartition("/")[2], "participant_id": person}
            opinions.append({**key, **author, "text": opinion, "source": "written"})
        kinds = group.kinds or ["written"] * len(group.statements)
        for j, (statement, kind) in enumerate(zip(group.statements, kinds, strict=True), start=1):
            candidate = {"candidate_id": f"s{j}", "text": statement, "policy": kind, "shown": True}
            candidates.append({**key, **candidate})
        ratings += [
            {
                **key,
                "participant_id": person,
                "candidate_id": f"s{j}",
                "pass_index": 0,
                "agreement": grade,
                "quality": group.quality[j - 1],
            }
            for person, row in zip(people, group.agreement, strict=True)
            for j, grade in enumerate(row, start=1)
        ]
    counts = {
        "lines read": len(groups),
        "opinions": len(opinions),
        "statements": len(candidates),
        "grades": len(ratings),
    }
    return Dataset(
        About(
            name=name,
            people="simulated",
            scale=LIKERT_7,
            source="graded groups: texts and grades by their writer, no person rated them",
            licence=licence,
            attribution=attribution,
            steps=(Step(what="imported from graded groups", counts=counts),),
        ),
        rounds=frame("rounds", rounds),
        opinions=frame("opinions", opinions),
        candidates=frame("candidates", candidates),
        ratings=frame("ratings", ratings),
    )


def _group(path: Path, number: int, line: str) -> _Group:
    def wrong(what: str) -> InputError:
        return InputError(f"{path}, line {number}: {what}; expected {_EXPECTED}")

    try:
        entry: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise wrong(str(error)) from None
    try:
        group = _Group.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise wrong(f"{where}: {first['msg']}") from None
    n, m = len(group.opinions), len(group.statements)
    for field, got, expected in (
        ("agreement", len(group.agreement), n),
        ("quality", len(group.quality), m),
        ("kinds", m if group.kinds is None else len(group.kinds), m),
        *((f"agreement.{i}", len(row), m) for i, row in enumerate(group.agreement)),
    ):
        if got != expected:
            raise wrong(
                f"{field} has {got} entries beside {n} opinions and {m} statements, not {expected}"
            )
    for field, grades in (
        ("quality", group.quality),
        *((f"agreement.{i}", row) for i, row in enumerate(group.agreement)),
    ):
        for j, grade in enumerate(grades):
            if not LIKERT_7.low <= grade <= LIKERT_7.high:
                raise wrong(f"{field}.{j} is {grade}, not from 1 to 7")
    for field, texts in (("opinions", group.opinions), ("statements", group.statements)):
        for j, text in enumerate(texts):
            if not text.strip():
                raise wrong(f"{field}.{j} is blank")
    return group
