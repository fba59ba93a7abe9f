"""Two versions of a text, word by word: what stayed, what went, what came."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal


@dataclass(frozen=True, slots=True)
class DiffSegment:
    """Words in a row that stayed the same, were taken out, or were put in."""

    kind: Literal["same", "out", "in"]
    text: str


def word_differences(before: str, after: str) -> tuple[DiffSegment, ...]:
    """The parts of both texts in reading order; what was taken out comes before what replaces it.

    The words of ``same`` and ``out`` are those of ``before``, of ``same`` and ``in`` of ``after``.

    Example:
        >>> [(p.kind, p.text) for p in word_differences("We want free buses.", "We want buses.")]
        [('same', 'We want'), ('out', 'free'), ('same', 'buses.')]
    """
    old, new = before.split(), after.split()
    parts: list[DiffSegment] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            parts.append(DiffSegment("same", " ".join(old[a:b])))
            continue
        if b > a:
            parts.append(DiffSegment("out", " ".join(old[a:b])))
        if d > c:
            parts.append(DiffSegment("in", " ".join(new[c:d])))
    return tuple(parts)
