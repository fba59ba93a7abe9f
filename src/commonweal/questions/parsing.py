"""From a completion to a question, or to the reason why not.

A completion is taken as it is or not at all; nothing is repaired but blanks, one pair of quotation
marks and one list mark at the beginning. The limits are our choice, set on real debate questions
(docs/decisions/010-questions.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from commonweal.datasets.words import tokens, word_set
from commonweal.policies.parsing import CONTROL
from commonweal.types import Completion

MIN_WORDS, MAX_WORDS = 4, 30


YES_NO_STARTS = word_set(
    "should is are do does did would will can could must may might shall has have had was were "
    "ought"
)
"""First words of the questions that are answered with yes or no."""

MIN_ECHO_RUN = 6
"""Words in a row that a question may not share with the instructions."""

_LIST_MARK = re.compile(r"^(?:[-*•–]|\(?\d{1,3}[.):])\s+")
_META = re.compile(
    r"^\W*(?:questions?|answer|user|assistant|system|topic|example)\b[^?]{0,20}:|<\||[‹›<>{}\[\]]"
    r"|\b(?:i(?: a|['’])m sorry|here is a|this question)\b"
    r"|\bas an? (?:ai|(?:(?:ai|large) )*language model|ai (?:model|assistant))(?:,| i\b)"
    r"|\bi(?: a|['’])m an? (?:\w+ ){0,2}(?:ai|language model|assistant)\b",
    re.IGNORECASE,
)


class QuestionFault(StrEnum):
    """Why a completion did not become a question of the set."""

    EMPTY = "empty"
    CONTROL = "control character"
    ECHO = "echo of the instructions"
    UNFINISHED = "unfinished"
    TOO_SHORT = "too short"
    TOO_LONG = "too long"
    NOT_A_QUESTION = "not a question"
    NOT_YES_NO = "not a yes-or-no question"
    SEVERAL_SENTENCES = "more than one sentence"
    REPETITION = "repeats itself"
    SEED_COPY = "copy of a seed"
    DUPLICATE = "exact duplicate"
    NEAR_DUPLICATE = "near-duplicate"


@dataclass(frozen=True, slots=True)
class RejectedQuestion:
    """A completion that did not become a question: its text, the reason and the evidence."""

    text: str
    reason: QuestionFault
    detail: str


def parse_question(completion: Completion, instructions: str = "") -> str | RejectedQuestion:
    """The question in a completion, or the first reason against it.

    Args:
        completion: raw text from the language model.
        instructions: the template's own words, which are not to be copied.
    """
    text = _LIST_MARK.sub("", " ".join(completion.text.split()))
    for opening, closing in ('""', "“”", "''"):
        if text[:1] == opening and text[-1:] == closing and len(text) > 1:
            text = text[1:-1].strip()
    fault = _fault(text, completion.finish_reason == "length", instructions)
    if fault is None:
        return text[0].upper() + text[1:]
    return RejectedQuestion(completion.text, *fault)


def _fault(text: str, was_cut: bool, instructions: str) -> tuple[QuestionFault, str] | None:
    words = tokens(text)
    if not words:
        return QuestionFault.EMPTY, "no words"
    if match := CONTROL.search(text):
        return QuestionFault.CONTROL, f"holds {match[0]!r}"
    if match := _META.search(text):
        return QuestionFault.ECHO, f"holds {match[0]!r}"
    if run := _shared_run(words, tokens(instructions)):
        return QuestionFault.ECHO, f"copies {run!r}"
    if was_cut:
        return QuestionFault.UNFINISHED, "ended by the token limit"
    if not text.endswith("?"):
        return QuestionFault.NOT_A_QUESTION, f"ends with {text[-12:]!r}"
    if len(words) < MIN_WORDS:
        return QuestionFault.TOO_SHORT, f"{len(words)} words, at least {MIN_WORDS}"
    if len(words) > MAX_WORDS:
        return QuestionFault.TOO_LONG, f"{len(words)} words, at most {MAX_WORDS}"
    if re.search(r"[?!]|[a-z]{3}(?<!\betc)\.\s|\betc\.\s+[A-Z]", text[:-1]):
        return QuestionFault.SEVERAL_SENTENCES, "a sentence ends before the last"
    if not text[0].isalnum():
        return QuestionFault.NOT_YES_NO, f"begins with {text[0]!r}"
    if words[0] not in YES_NO_STARTS:
        return QuestionFault.NOT_YES_NO, f"begins with {words[0]!r}"
    runs = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    for first, second in pairwise(words):
        if first == second and first not in ("that", "had"):
            return QuestionFault.REPETITION, f"says {first!r} twice"
    if len(set(runs)) < len(runs):
        twice = next(run for run in runs if runs.count(run) > 1)
        return QuestionFault.REPETITION, f"says {' '.join(twice)!r} twice"
    if words[0] in words[1:6] and "or" not in words[1:6]:
        return QuestionFault.REPETITION, f"says {words[0]!r} twice"
    return None


def _shared_run(words: list[str], theirs: list[str]) -> str | None:
    runs = {tuple(theirs[i : i + MIN_ECHO_RUN]) for i in range(len(theirs) - MIN_ECHO_RUN + 1)}
    for i in range(len(words) - MIN_ECHO_RUN + 1):
        if tuple(words[i : i + MIN_ECHO_RUN]) in runs:
            return " ".join(words[i : i + MIN_ECHO_RUN])
    return None
