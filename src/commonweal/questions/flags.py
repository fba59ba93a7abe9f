"""Flags: what a person should look at before a question goes on. A flag decides nothing.

The word list is in ``flags.toml``, with the reason beside each group of patterns.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise

from commonweal.questions.parsing import YES_NO_STARTS
from commonweal.questions.positions import position_fault
from commonweal.questions.records import QuestionRecord


@dataclass(frozen=True, slots=True)
class QuestionFlag:
    """One reason to look twice: its short name, the reason in words, and the words found."""

    name: str
    reason: str
    found: str

    def __str__(self) -> str:
        return f"{self.name} ({self.found!r})" if self.found else self.name


@dataclass(frozen=True, slots=True)
class _Rules:
    patterns: tuple[tuple[str, str, re.Pattern[str]], ...]
    titled: re.Pattern[str]
    people: frozenset[str]
    not_names: frozenset[str]
    name_reason: str


def flags_of(record: QuestionRecord) -> tuple[QuestionFlag, ...]:
    """Every flag of a question, each name at most once, in the order of ``flags.toml``."""
    rules = _rules()
    flags: dict[str, QuestionFlag] = {}
    for name, reason, pattern in rules.patterns:
        match = pattern.search(record.question)
        if match and name not in flags:
            flags[name] = QuestionFlag(name, reason, match[0].strip())
    if person := _person(record.question, rules):
        flags["names a person"] = QuestionFlag("names a person", rules.name_reason, person)
    words = record.question.lower().split()
    if not record.question.endswith("?") or words[0] not in YES_NO_STARTS:
        flags["not yes or no"] = QuestionFlag(
            "not yes or no", "cannot be answered with yes or no", words[0]
        )
    if not record.position_statement:
        flags["no position"] = QuestionFlag(
            "no position", "has no position statement; write one in the file", ""
        )
    elif fault := position_fault(record.question, record.position_statement):
        flags["position"] = QuestionFlag("position", f"the position statement {fault}", fault)
    return tuple(flags.values())


def _person(question: str, rules: _Rules) -> str:
    if match := rules.titled.search(question):
        return match[0]
    # The first word is capitalised whatever it is.
    words = [re.sub(r"['’]s?$|[^\w-]", "", word) for word in question.split()]
    for word in words[1:]:
        if word in rules.people:
            return word
    for first, second in pairwise(words[1:]):
        if all(
            re.fullmatch(r"[A-Z][a-z]+(?:-[A-Z][a-z]+)?", word) and word not in rules.not_names
            for word in (first, second)
        ):
            return f"{first} {second}"
    return ""


@cache
def _rules() -> _Rules:
    file = resources.files("commonweal.questions") / "flags.toml"
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    names = data["names"]
    titles = "|".join(names["titles"].split())
    known = "|".join(names["not_names"].split())
    return _Rules(
        patterns=tuple(
            (flag["name"], flag["reason"], re.compile(pattern, re.IGNORECASE))
            for flag in data["flags"]
            for pattern in flag["patterns"]
        ),
        titled=re.compile(rf"\b(?:{titles})\.? (?!(?:{known})\b)[A-Z][a-z]+"),
        people=frozenset(names["people"].split()),
        not_names=frozenset(names["not_names"].split()),
        name_reason=names["reason"],
    )
