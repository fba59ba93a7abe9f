"""Position statements: the sentence that answers a question with yes.

"Should buses be free?" becomes "Buses should be free." by a rule that moves the first word behind
the subject. The rule answers only where it can tell where the subject ends; other questions go to
the language model, and what it writes is checked to be a declarative sentence made of the
question's own words. Where that fails too, the statement is left blank and counted: a person
writes it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from commonweal.datasets.words import tokens, word_set
from commonweal.questions.journal import ModelCall
from commonweal.questions.parsing import YES_NO_STARTS
from commonweal.questions.templates import load_template
from commonweal.types import Progress, no_progress

if TYPE_CHECKING:
    from commonweal.questions.journal import Journal

N_BATCH = 16

_MODALS = word_set("should would will can could must may might shall ought")
_MOVED_AFTER_PRONOUN = _MODALS | word_set("is are was were has have had")
_FORM_WORDS = word_set("do does did is are was were be has have had a an the")
"""Words that a sentence may lose or gain as it is turned round, without saying anything else."""
_CLAUSE = word_set("who which that whose where if when how what why whether")
_BEFORE_OTHER_BE = word_set(
    "to should would will can could must may might cannot not never always also still"
)
_NEGATION = re.compile(
    r"\b(?:not|never|no|nobody|none|nothing|neither|nor|without|cannot|few|fewer|less)\b|n['’]t\b",
    re.IGNORECASE,
)
_ENDING = re.compile(r"(?<=\w{3})(?:e?s|i?ed|ing|y|ies|e)$")
_CHOICE = re.compile(
    r"/(?!\s*(?:hour|hr|week|month|year|mile|kg|km)\b)|\band/or\b|,? or not\b|, or\b"
    r"|\bor (?:should|would|is|are|does|do|will)\b"
    r"|\b(?:more|less|fewer|better|worse|good|bad|right|wrong|increas\w+|decreas\w+|reduc\w+"
    r"|rais\w+|lower\w*|higher|stricter|easier|harder|strength\w+|weak\w+) or "
    r"(?:more|less|fewer|better|worse|good|bad|right|wrong|increas\w+|decreas\w+|reduc\w+"
    r"|rais\w+|lower\w*|higher|looser|easier|harder|strength\w+|weak\w+)\b"
    r"|\b(?:bigger|stronger|closer|encourage) or |\b(?:more|better) \w+ .* or (?:to|with) ",
    re.IGNORECASE,
)
"""A choice between two: which of them would the statement affirm?"""
_ASKS_THE_READER = word_set("would will do are have had were")
"""Before "you" these ask what the reader does ("Would you support..."), not what is right."""
_OBJECTS = word_set("a an the this that these those their its our it them us people")
_EVER = re.compile(r"\b(?:ever|at all|one day)\b", re.IGNORECASE)
_ANY = re.compile(r"\b(?:any(?:thing|one|body)?|yet)\b", re.IGNORECASE)
"""Words that do not survive the move from a question to a statement ("Is there any...")."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Position statements by question, and how many came which way.

    Attributes:
        texts: the statement of each question; empty where none could be had.
        n_by_rule: turned round by the rule.
        n_by_model: written by the model and passed by the check.
        missing: the question and the reason, for each that has none.
    """

    texts: dict[str, str]
    n_by_rule: int
    n_by_model: int
    missing: dict[str, str]


def derive_positions(
    questions: Sequence[str], journal: Journal | None, *, on_progress: Progress = no_progress
) -> Positions:
    """The position statement of each question: by the rule, else by the model, else blank.

    Args:
        questions: without duplicates.
        journal: the language model; ``None`` to use the rule alone.
        on_progress: called with ("positions", n_done, n_total).

    Raises:
        EngineError: the model failed.
    """
    texts = {question: position_by_rule(question) or "" for question in questions}
    open_ = [question for question, text in texts.items() if not text]
    n_by_rule = len(texts) - len(open_)
    missing: dict[str, str] = {}
    template = load_template("position")
    on_progress("positions", n_by_rule, len(texts))
    if journal is None:
        missing |= dict.fromkeys(open_, "the rule cannot tell where the subject ends")
        return Positions(texts, n_by_rule, 0, missing)
    batches = [open_[start : start + N_BATCH] for start in range(0, len(open_), N_BATCH)]
    calls = [
        ModelCall(
            [template.render(question) for question in batch],
            seeds=[0] * len(batch),  # greedy: nothing is drawn
            sampling=template.sampling,
        )
        for batch in batches
    ]
    n_done = n_by_rule
    for batch, completions in zip(batches, journal.answers(calls), strict=True):
        for question, completion in zip(batch, completions, strict=True):
            text = " ".join(completion.text.split())
            fault = position_fault(question, text)
            if fault is None:
                texts[question] = text
            else:
                missing[question] = f"the model wrote {text[:80]!r}, which {fault}"
        n_done += len(batch)
        on_progress("positions", n_done, len(texts))
    return Positions(texts, n_by_rule, len(open_) - len(missing), missing)


def position_by_rule(question: str) -> str | None:
    """The question turned round, or ``None`` where the rule cannot tell how.

    Example:
        >>> position_by_rule("Should the sale of fireworks be banned?")
        'The sale of fireworks should be banned.'
        >>> position_by_rule("Is it wrong to eat meat?")
        'It is wrong to eat meat.'
        >>> position_by_rule("Are large wind farms a good thing?") is None
        True
    """
    words = question.strip().rstrip("?").split()
    if len(words) < 3 or not question.rstrip().endswith("?"):
        return None
    first, rest = words[0].lower(), words[1:]
    if _CHOICE.search(question) or _EVER.search(question) or _is_choice_of_deeds(words):
        return None
    if rest[0].lower() == "you" and first in _ASKS_THE_READER:
        return None
    if first != "should" and _ANY.search(question):
        return None
    if first in ("do", "does"):
        return _sentence(rest) if first == "do" and _is_subject(rest[0]) else None
    if first not in _MOVED_AFTER_PRONOUN:
        return None
    end = _subject_end(rest, is_modal=first in _MODALS)
    if end is None:
        return None
    text = _sentence([*rest[:end], first, *rest[end:]])
    return text if position_fault(question, text) is None else None


def position_fault(question: str, statement: str) -> str | None:
    """Why ``statement`` is no declarative sentence that affirms ``question``; ``None`` if it is.

    Example:
        >>> position_fault("Should buses be free?", "Buses should not be free.")
        'denies what the question asks'
    """
    ours, theirs = tokens(statement), tokens(question)
    if not ours:
        return "is empty"
    if not statement.endswith(".") or "?" in statement or re.search(r"(?<!\betc)[.!]\s", statement):
        return "is not one sentence that ends with a full stop"
    if ours == theirs or (ours[0] in YES_NO_STARTS and ours[0] == theirs[0]):
        return "is still a question"
    if not statement[0].isupper() and not statement[0].isdigit():
        return "does not begin with a capital letter"
    if len(_NEGATION.findall(statement)) != len(_NEGATION.findall(question)):
        return "denies what the question asks"
    asked, stated = _stems(theirs), _stems(ours)
    if asked != stated:
        return "does not keep the question's words"
    return None


def _stems(words: Sequence[str]) -> set[str]:
    """The words without the endings that a verb or a noun changes."""
    kept = [word for word in words if word not in _FORM_WORDS]
    return {re.sub(r"(.)\1$", r"\1", _ENDING.sub("", word)) for word in kept}


def _subject_end(words: Sequence[str], *, is_modal: bool) -> int | None:
    """How many of these words are the subject: the verb comes next."""
    known = _known()
    if _is_subject(words[0]) and (len(words) == 1 or words[1].lower() not in ("who", "of", "in")):
        follows = words[1].lower() if len(words) > 1 else ""
        if words[0].lower() in ("it", "there", "we", "they") or follows in known["verbs"]:
            return 1
    if not is_modal:
        return None  # after "is" or "are" the predicate has no verb to know it by
    bare_be = next((i for i in range(1, len(words)) if _is_bare_be(words, i)), None)
    if _CLAUSE & {word.lower() for word in words[: bare_be or 3]}:
        return bare_be  # the first verb belongs to the clause; only "be" is sure to be the main one
    for i in range(1, len(words)):
        if words[i - 1].lower() in known["not_before_verb"] or words[i - 1].endswith(("'s", "’s")):
            continue
        adverb = words[i].lower() in known["adverbs"] and i + 1 < len(words)
        verb = words[i + adverb].lower()
        if _CLAUSE & {word.lower() for word in words[:i]}:
            return bare_be
        if verb == "be":
            return i
        if verb in known["verbs"]:
            # With a later "be" this word may be a noun ("the work of carers be paid").
            return i if bare_be is None else None
        if verb in known["doubtful"] and bare_be is None and _takes_verb(words, i + adverb):
            return i
    return None


def _is_choice_of_deeds(words: Sequence[str]) -> bool:
    """Whether two things to do stand with "or" between them ("ban cars or charge them")."""
    known = _known()
    return any(
        words[i].lower() == "or"
        and (
            words[i + 1].lower() in known["verbs"]
            or (words[i + 1].lower() in known["doubtful"] and words[i + 2].lower() in _OBJECTS)
        )
        for i in range(1, len(words) - 2)
    )


def _is_bare_be(words: Sequence[str], i: int) -> bool:
    return words[i].lower() == "be" and words[i - 1].lower() not in _BEFORE_OTHER_BE


def _takes_verb(words: Sequence[str], i: int) -> bool:
    """Whether a word that is a noun as often is a verb here."""
    known = _known()
    return words[i - 1].lower() in known["governments"] or (
        i + 1 < len(words) and words[i + 1].lower() in known["openers"]
    )


def _is_subject(word: str) -> bool:
    return word.lower() in _known()["subjects"]


def _sentence(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text[0].upper() + text[1:].rstrip(" .") + "."


@cache
def _known() -> dict[str, frozenset[str]]:
    file = resources.files("commonweal.questions") / "positions.toml"
    lists = tomllib.loads(file.read_text(encoding="utf-8"))
    return {name: word_set(words) for name, words in lists.items()}
