"""Groups as JSON or TOML in the usual other forms: a list alone, plain texts, near names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from commonweal.reading.columns import OPINION, PARTICIPANT, QUESTION, plain, why_not_counted

OPINIONS = (
    *("opinions", "responses", "answers", "comments", "statements", "texts", "meinungen"),
    *("participants", "people", "data", "rows", "items", "results"),
)

_Names = Sequence[tuple[str, Sequence[str]]]


def near_forms(data: Any, question: str | None) -> tuple[Any, tuple[str, ...]]:
    """The usual other forms as ours: a list alone, plain texts, fields with near names."""
    if isinstance(data, list) and data:
        data = {"opinions": data}
    if not isinstance(data, dict):
        return data, ()
    data = _with_names(data, (("question", QUESTION), ("opinions", OPINIONS)))
    if "question" not in data and isinstance(data.get("opinions"), list):
        data = _with_the_rows_question(data)
    if question is not None:
        data.setdefault("question", question)
    opinions = data.get("opinions")
    if isinstance(opinions, dict):
        opinions = [{"id": name, "text": text} for name, text in opinions.items()]
    if not isinstance(opinions, list):
        return data, ()
    kept, dropped = [], []
    for n, each in enumerate(opinions, start=1):
        if isinstance(each, str):
            each = {"text": each}
        elif isinstance(each, dict):
            if why := why_not_counted(each):
                dropped.append(f"{n} ({why})")
                continue
            each = _with_names(each, (("text", OPINION), ("id", PARTICIPANT)))
        kept.append(each)
    data["opinions"] = kept
    if not dropped:
        return data, ()
    return data, (
        f"opinions left out because a field says they do not count: {', '.join(dropped)}",
    )


def _with_the_rows_question(data: dict[Any, Any]) -> dict[Any, Any]:
    """The question that all rows ask, taken out of them; as it is where they ask several."""
    rows = [
        _with_names(each, (("question", QUESTION),)) if isinstance(each, dict) else each
        for each in data["opinions"]
    ]
    asked = {each.get("question") for each in rows if isinstance(each, dict)} - {None}
    if len(asked) != 1:
        return data
    bare = [
        {key: value for key, value in each.items() if key != "question"}
        if isinstance(each, dict)
        else each
        for each in rows
    ]
    return {**data, "question": asked.pop(), "opinions": bare}


def _with_names(fields: dict[Any, Any], ours: _Names) -> dict[Any, Any]:
    """The fields with our names for other usual ones."""
    renamed = dict(fields)
    for name, others in ours:
        if name in renamed:
            continue
        usual = {name, *map(plain, others)}
        there = [key for key in renamed if isinstance(key, str) and _words(key) in usual]
        if len(there) == 1:
            renamed = {name if key == there[0] else key: value for key, value in renamed.items()}
    return renamed


def _words(name: str) -> str:
    """The name as ``plain`` writes it; a capital within begins a word, as in participantId."""
    return plain(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
