"""Deliberation pairs: each person wrote an opinion, rated one summary, and compared it with one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from commonweal.datasets.dataset import About, Dataset, Step, frame
from commonweal.datasets.schema import LIKERT_5
from commonweal.errors import InputError
from commonweal.files import read_text
from commonweal.frames import pl
from commonweal.reading.columns import why_not_counted

PAIRS, STATEMENTS = "pairs.jsonl", "statements.jsonl"
_EXPECTED = f"a folder with {PAIRS} and {STATEMENTS} (deliberation pairs)"
_MOST_BYTES = 1_000_000_000
_SAME = 3
_Record = TypeVar("_Record", bound=BaseModel)
_MOST = 5


class _Statement(BaseModel):
    model_config = ConfigDict(strict=True)

    id: str
    text: str = Field(min_length=1)


class _Pair(BaseModel):
    model_config = ConfigDict(strict=True)

    person: str
    question: str = Field(min_length=1)
    opinion: str
    rated: str | None
    a: str | None
    b: str | None
    represents_me: int | None = Field(ge=1, le=_MOST)
    cmp_represents_me: int | None = Field(ge=1, le=_MOST)


def import_deliberation_pairs(
    folder: Path,
    *,
    name: str | None = None,
    licence: str = "",
    attribution: str = "",
    balanced: bool = False,
    seed: int = 0,
) -> Dataset:
    """One round a question: people's opinions, summaries, and which of two represents them more.

    The comparison becomes two ratings on five points that add up to six: what represents the person
    "much more" is 5 and the other 1, "the same" is 3 and 3. They say how the two compare, not how
    far either represents the person; that rating, which was given of the first alone, is kept in
    ``x_represents_me``.

    The summary that the person had just rated always stands first (``position`` 0) and is preferred
    far more often. Nobody reads the order from the texts, but it is in the answers: ``balanced``
    takes it out.

    Args:
        folder: holds both files.
        name: the dataset's; the folder's by default.
        licence: under which the data may be used.
        attribution: what its licence asks to be said.
        balanced: keep, of each question, as many people who prefer the first as prefer the second,
            drawn by ``seed``; those who prefer neither stay.
        seed: draws them.

    Raises:
        InputError: a file cannot be read, a field is missing, or a statement is not there; the
            message names the line.
    """
    name = name or folder.resolve().name
    statements = {
        one.id: " ".join(one.text.split()) for _, one, _ in _lines(folder / STATEMENTS, _Statement)
    }
    taken_out = {one.id for _, one, why in _lines(folder / STATEMENTS, _Statement) if why}
    counts: dict[str, int] = {}
    pairs = _kept(folder / PAIRS, statements, taken_out, counts)
    if balanced:
        before = len(pairs)
        pairs = _balanced(pairs, np.random.default_rng(seed))
        counts["dropped: so that first and second are preferred alike"] = before - len(pairs)
    if not pairs:
        raise InputError(f"{folder}: no comparison is left; expected {_EXPECTED}")
    questions = {text: f"{name}/q{i}" for i, text in enumerate({p.question: 0 for p in pairs}, 1)}
    shown = {(questions[p.question], key): 0 for p in pairs for key in (p.a, p.b) if key}
    counts |= {
        "comparisons": len(pairs),
        "comparisons in which the first is preferred": sum(_sign(p) > 0 for p in pairs),
        "comparisons in which the second is preferred": sum(_sign(p) < 0 for p in pairs),
        "people": len({p.person for p in pairs}),
        "statements": len(shown),
    }
    return Dataset(
        About(
            name=name,
            people="human",
            scale=LIKERT_5,
            source="deliberation pairs: which of two summaries represents the person more",
            licence=licence,
            attribution=attribution,
            steps=(
                Step(
                    what="imported from deliberation pairs",
                    options={"balanced": balanced, "seed": seed},
                    counts=counts,
                ),
            ),
        ),
        rounds=frame(
            "rounds",
            [
                {"round_id": key, "group_id": key, "question_id": key, "question": text}
                for text, key in questions.items()
            ],
        ),
        opinions=frame(
            "opinions",
            [
                {
                    "round_id": questions[p.question],
                    "opinion_id": p.person,
                    "participant_id": p.person,
                    "text": p.opinion,
                    "source": "written",
                }
                for p in pairs
            ],
        ),
        candidates=frame(
            "candidates",
            [
                {
                    "round_id": key,
                    "candidate_id": statement,
                    "text": statements[statement],
                    "policy": "summary",
                    "shown": True,
                }
                for key, statement in shown
            ],
        ),
        ratings=_ratings(pairs, questions),
    )


def _ratings(pairs: list[_Pair], questions: dict[str, str]) -> pl.DataFrame:
    rows = []
    for pair in pairs:
        answer = pair.cmp_represents_me or _SAME
        for position, (statement, rating) in enumerate(
            ((pair.a, _MOST + 1 - answer), (pair.b, answer))
        ):
            rows.append(
                {
                    "round_id": questions[pair.question],
                    "participant_id": pair.person,
                    "candidate_id": statement,
                    "pass_index": 0,
                    "agreement": rating,
                    "position": position,
                }
            )
    orders = pl.Series(
        "x_represents_me",
        [value for pair in pairs for value in (pair.represents_me, None)],
        dtype=pl.Int64,
    )
    return frame("ratings", rows).with_columns(orders)


def _sign(pair: _Pair) -> int:
    """1 where the first is preferred, -1 where the second is, 0 where neither."""
    return int(np.sign(_SAME - (pair.cmp_represents_me or _SAME)))


def _kept(
    path: Path, statements: dict[str, str], taken_out: set[str], counts: dict[str, int]
) -> list[_Pair]:
    """Those that can be used; the others are counted by what is wrong with them."""
    kept: dict[tuple[str, str], _Pair] = {}
    dropped = dict.fromkeys(
        ("no comparison", "no opinion", "the first is not the one just rated", "asked again"), 0
    )
    marked = Counter[str]()
    n_read = 0
    for number, pair, why in _lines(path, _Pair):
        n_read += 1
        for field in ("a", "b"):
            if (key := getattr(pair, field)) is not None and key not in statements:
                raise InputError(
                    f"{path}, line {number}: {field} is {key!r}, which is not in {STATEMENTS}"
                )
        if why:
            marked["marked as not to be counted"] += 1
        elif {pair.a, pair.b} & taken_out:
            marked["on a statement that was taken out"] += 1
        elif pair.cmp_represents_me is None or pair.a is None or pair.b in (None, pair.a):
            dropped["no comparison"] += 1
        elif not pair.opinion.strip():
            dropped["no opinion"] += 1
        elif pair.rated != pair.a:
            dropped["the first is not the one just rated"] += 1
        elif (pair.question, pair.person) in kept:
            dropped["asked again"] += 1
        else:
            kept[pair.question, pair.person] = pair
    counts["lines read"] = n_read
    counts |= {f"dropped: {what}": n for what, n in (dropped | marked).items()}
    return list(kept.values())


def _balanced(pairs: list[_Pair], rng: np.random.Generator) -> list[_Pair]:
    keep = {number for number, pair in enumerate(pairs) if _sign(pair) == 0}
    for question in dict.fromkeys(pair.question for pair in pairs):
        sides = [
            [n for n, pair in enumerate(pairs) if pair.question == question and _sign(pair) == side]
            for side in (1, -1)
        ]
        n_each = min(map(len, sides))
        for side in sides:
            keep.update(rng.choice(side, n_each, replace=False).tolist() if n_each else [])
    return [pair for number, pair in enumerate(pairs) if number in keep]


def _lines(path: Path, kind: type[_Record]) -> list[tuple[int, _Record, str | None]]:
    """Each line with its number, and what in it says that it does not count, or None."""
    text = read_text(path, expected=_EXPECTED, max_bytes=_MOST_BYTES)
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            record = kind.model_validate(data)
            lines.append((number, record, why_not_counted(data)))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            raise InputError(
                f"{path}, line {number}: {where}: {first['msg']}; expected {_EXPECTED}"
            ) from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: {error}; expected {_EXPECTED}") from None
    return lines
