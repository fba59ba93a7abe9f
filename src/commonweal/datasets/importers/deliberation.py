"""Deliberation ratings: one machine summary shown to each person, rated on five points."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from commonweal.datasets.dataset import About, Dataset, Step, completed
from commonweal.datasets.reading import folded, refuse
from commonweal.datasets.schema import LIKERT_5
from commonweal.errors import InputError
from commonweal.files import read_text
from commonweal.frames import pl

_TEXTS = ("question", "participant", "opinion", "statement")
_OTHERS = ("informative", "balanced", "policy_approval")
_RATINGS = ("represents_me", *_OTHERS)
_EXPECTED = f"deliberation ratings: one JSON object a line with {', '.join((*_TEXTS, *_RATINGS))}"
_MOST_BYTES = 1_000_000_000
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")  # JSON can write them, UTF-8 cannot


def import_deliberation(
    path: Path, *, name: str | None = None, licence: str = "", attribution: str = ""
) -> Dataset:
    """One round a question: its people's opinions, the summaries shown, one rating a person.

    "How far does it represent me" is the agreement; the other three answers are kept as they came,
    in columns of their own. A round holds many summaries of which each person rated one, so there
    are no within-person pairs. Nobody says which opinions a summary was made from.

    Args:
        path: the .jsonl file.
        name: the dataset's; the file's by default.
        licence: under which the file may be used.
        attribution: what its licence asks to be said.

    Raises:
        InputError: the file cannot be read, a field is missing, unknown or there twice, a text is
            none, or a rating is not from 1 to 5; the message names the line.
    """
    name = name or path.stem
    rows = _rows(path)
    for field in _TEXTS:
        refuse(path, rows, pl.col(field).fill_null("") == "", field, "text")
    for field in _RATINGS:
        wrong = pl.col(field).is_null() | ~pl.col(field).is_between(1, 5)
        refuse(path, rows, wrong, field, "a whole number from 1 to 5")
    again = ~pl.struct("question", "participant").is_first_distinct()
    refuse(path, rows, again, "participant", "one line for a person and question")
    rows = _numbered(rows, ["question"], "round_id", f"{name}/q")
    rows = _numbered(rows, ["round_id", "statement"], "candidate_id", "s").with_columns(
        pl.col("participant").alias("participant_id")
    )
    rounds = rows.unique("round_id", maintain_order=True)
    candidates = rows.unique(["round_id", "candidate_id"], maintain_order=True)
    counts = {
        "lines read": rows.height,
        "people": rows["participant_id"].n_unique(),
        "statements": candidates.height,
        "ratings": rows.height,
    }
    return Dataset(
        About(
            name=name,
            people="human",
            scale=LIKERT_5,
            source="deliberation ratings",
            licence=licence,
            attribution=attribution,
            steps=(Step(what="imported from deliberation ratings", counts=counts),),
        ),
        rounds=completed(
            "rounds",
            rounds.select("round_id", "question", group_id="round_id", question_id="round_id"),
        ),
        opinions=completed(
            "opinions",
            rows.select(
                "round_id",
                "participant_id",
                opinion_id="participant_id",
                text="opinion",
                source=pl.lit("written"),
            ),
        ),
        candidates=completed(
            "candidates",
            candidates.select(
                "round_id",
                "candidate_id",
                text="statement",
                policy=pl.lit("summary"),
                shown=pl.lit(True),
            ),
        ),
        ratings=completed(
            "ratings",
            rows.select(
                "round_id",
                "participant_id",
                "candidate_id",
                pl.lit(0).alias("pass_index"),
                pl.col("represents_me").alias("agreement"),
                *(pl.col(field).alias(f"x_{field}") for field in _OTHERS),
            ),
        ),
    )


def _numbered(rows: pl.DataFrame, key: list[str], name: str, prefix: str) -> pl.DataFrame:
    """The rows with a column more: the prefix and 1, 2, ... as new values of the key come."""
    keys = rows.select(key).unique(maintain_order=True).with_row_index(name, offset=1)
    names = pl.lit(prefix) + pl.col(name).cast(pl.String)
    return rows.join(keys.with_columns(names.alias(name)), on=key, maintain_order="left")


def _rows(path: Path) -> pl.DataFrame:
    """One row a line, white space folded; what is not there is null."""
    text = read_text(path, expected=_EXPECTED, max_bytes=_MOST_BYTES)
    entries = []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            entry = json.loads(line, object_pairs_hook=_each_once)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: {error}; expected {_EXPECTED}") from None
        if not isinstance(entry, dict):
            raise InputError(f"{path}, line {number}: expected {_EXPECTED}")
        if unknown := sorted(set(entry) - {*_TEXTS, *_RATINGS}):
            raise InputError(
                f"{path}, line {number}: unknown field {unknown[0]!r}; expected {_EXPECTED}"
            )
        for field in (*_TEXTS, *_RATINGS):
            value, kind = entry.get(field), str if field in _TEXTS else int
            if not isinstance(value, kind) or isinstance(value, bool):
                what = "text" if kind is str else "a whole number from 1 to 5"
                raise InputError(f"{path}, line {number}: {field} is {value!r}, expected {what}")
            if isinstance(value, str) and (half := _HALF_CHARACTER.search(value)):
                raise InputError(
                    f"{path}, line {number}: {field} holds {half[0]!r}, half of a character; "
                    "expected text"
                )
        entries.append({field: entry[field] for field in (*_TEXTS, *_RATINGS)})
    return pl.DataFrame(entries).with_columns(folded(field) for field in _TEXTS)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r} is there twice")
    return entry
