"""From a completion to a candidate, or to a reason why not.

A completion is taken as it is or not at all: nothing is repaired, since a repaired text is one that
nobody wrote. Only blanks are evened out and one pair of quotation marks around the whole is taken
off. The limits below are our choice; the paper leaves parsing open.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from commonweal.types import Completion, Opinion, Rejection, RejectionReason

MAX_WORDS = 150
MIN_WORDS = 8
MAX_PROMPT_RUN = 6
"""Words in a row that a candidate may not share with the instructions or the worked examples."""
MAX_OPINION_RUN = 12
"""Words in a row that a candidate may not share with one opinion."""
MAX_OPINION_SHARE = 0.6
"""Share of a candidate's words in runs of four or more that may come from one opinion."""
MIN_DISTINCT_SHARE = 0.75
"""Share of a candidate's runs of four words that must be different from each other."""
NEAR_DUPLICATE = 0.9
"""Two candidates whose words match to this share are one."""

# A word; in scripts that put no blanks between words (kana, Han, Thai, Lao, Khmer), a character.
_WORD = re.compile(
    r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]|[^\W_]+(?:['’][^\W_]+)*"
)
_SENTENCE_END = re.compile(r"[.!?…。！？؟।።]['\"”’»)\]]*$")
_MARKUP = re.compile(
    r"</?\w+|<\||[‹›]|\[/?INST\]|^\W*(?:question|opinions?|statement|answer|system|user|assistant)\W*:",
    re.IGNORECASE | re.MULTILINE,
)
_REFUSAL = re.compile(
    r"\b(?:i['’]?m sorry|i am sorry|i apologi[sz]e|as an ai|language model"
    r"|i (?:can['’]?t|cannot|am unable to|am not able to|['’]?m unable to|won['’]?t) "
    r"(?:help|assist|write|create|generate|provide|comply|fulfil|do that|answer))",
    re.IGNORECASE,
)
_SINGULAR = re.compile(r"\b(?:I|I['’](?:m|d|ve|ll))\b|\b(?:my|My|mine|myself)\b")
_META = re.compile(
    r"^(?:sure|certainly|of course|okay|here(?:['’]s| is| are))\b"
    r"|\b(?:the|these|those|this|first|second|third|above|following|other|last)"
    r" (?:opinions?|statements?|prompt|text|answer)\b"
    r"|\bopinion (?:\d|one|two|three)\b",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"\byou(?:r|rs|rself|['’](?:d|ll|re|ve))?\b", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_FIGURE = re.compile(r"\d+(?:[.,:]\d+)*")


@dataclass(frozen=True, slots=True)
class Parser:
    """What a completion is compared with: one prompt's question, opinions and own texts."""

    question: str
    opinions: Sequence[Opinion]
    own_texts: Sequence[str]

    def parse(self, completion: Completion, accepted: Iterable[str] = ()) -> str | Rejection:
        """The candidate's text, or the first reason against it.

        Args:
            completion: raw text from the language model.
            accepted: texts of the candidates so far, against which duplicates are found.
        """
        text = _evened(completion.text)
        found = self._fault(text, completion, accepted)
        if found is None:
            return text
        reason, detail = found
        return Rejection(completion.text, reason, detail, completion.seed)

    def _fault(
        self, text: str, completion: Completion, accepted: Iterable[str]
    ) -> tuple[RejectionReason, str] | None:
        words = tokens(text)
        if not words:
            return RejectionReason.EMPTY, "no words"
        if found := _REFUSAL.search(text):
            return RejectionReason.REFUSAL, f"says {found[0]!r}"
        # Against the raw text: there, labels stand at the beginning of a line.
        if found := _MARKUP.search(completion.text.strip()):
            return RejectionReason.ECHO_PROMPT, f"holds the prompt's markup {found[0]!r}"
        if len(words) > MAX_WORDS:
            return RejectionReason.OVER_LENGTH, f"{len(words)} words, at most {MAX_WORDS}"
        if completion.finish_reason == "length":
            return RejectionReason.UNFINISHED, "ended by the token limit"
        if not _SENTENCE_END.search(text):
            return RejectionReason.UNFINISHED, f"ends with {text[-20:]!r}"
        if len(words) < MIN_WORDS:
            return RejectionReason.UNDER_LENGTH, f"{len(words)} words, at least {MIN_WORDS}"
        if found := _CONTROL.search(text):
            return RejectionReason.NOT_A_STATEMENT, f"holds the control character {found[0]!r}"
        if found := _META.search(text):
            return RejectionReason.NOT_A_STATEMENT, f"talks about the task: {found[0]!r}"
        if found := _SINGULAR.search(text):
            return RejectionReason.NOT_A_STATEMENT, f"speaks as one person: {found[0]!r}"
        if found := _ADDRESS.search(text):
            return RejectionReason.NOT_A_STATEMENT, f"speaks to somebody: {found[0]!r}"
        return self._copying_fault(text, words) or _duplicate_fault(words, accepted)

    def _copying_fault(self, text: str, words: list[str]) -> tuple[RejectionReason, str] | None:
        runs = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
        if len(set(runs)) < MIN_DISTINCT_SHARE * len(runs):
            share = len(set(runs)) / len(runs)
            return RejectionReason.REPETITION, f"only {share:.0%} of its runs of words are distinct"
        if tokens(self.question) == words:
            return RejectionReason.ECHO_PROMPT, "is the question"
        for own in self.own_texts:
            run = _longest_run(words, tokens(own))
            if len(run) >= MAX_PROMPT_RUN:
                return RejectionReason.ECHO_PROMPT, f"copies the prompt: {' '.join(run)!r}"
        for opinion in self.opinions:
            theirs = tokens(opinion.text)
            run = _longest_run(words, theirs)
            if len(run) >= MAX_OPINION_RUN:
                return (
                    RejectionReason.ECHO_OPINION,
                    f"copies {opinion.id!r}: {' '.join(run)!r}",
                )
            share = _copied_share(words, theirs)
            if share > MAX_OPINION_SHARE:
                return RejectionReason.ECHO_OPINION, f"{share:.0%} of it is from {opinion.id!r}"
        given = set(_FIGURE.findall(self.question))
        given.update(*(_FIGURE.findall(opinion.text) for opinion in self.opinions))
        invented = [figure for figure in _FIGURE.findall(text) if figure not in given]
        if invented:
            return RejectionReason.INVENTED_FIGURE, f"says {invented[0]!r}"
        return None


def tokens(text: str) -> list[str]:
    """The words of a text, without case, marks and punctuation; characters where words run on.

    Example:
        >>> tokens("We don't AGREE — 賛成です。")
        ['we', "don't", 'agree', '賛', '成', 'で', 'す']
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold().replace("’", "'"))


def _evened(text: str) -> str:
    """The text with single blanks, without one pair of quotation marks around the whole."""
    even = " ".join(text.split())
    for opening, closing in ('""', "“”", "«»", "„“"):
        inner = even[1:-1]
        if even[:1] == opening and even[-1:] == closing and opening not in inner:
            return inner.strip() if closing not in inner else even
    return even


def _longest_run(words: list[str], theirs: list[str]) -> list[str]:
    match = SequenceMatcher(None, words, theirs, autojunk=False).find_longest_match()
    return words[match.a : match.a + match.size]


def _copied_share(words: list[str], theirs: list[str]) -> float:
    runs = {tuple(theirs[i : i + 4]) for i in range(len(theirs) - 3)}
    copied = [False] * len(words)
    for i in range(len(words) - 3):
        if tuple(words[i : i + 4]) in runs:
            copied[i : i + 4] = [True] * 4
    return sum(copied) / len(words)


def _duplicate_fault(
    words: list[str], accepted: Iterable[str]
) -> tuple[RejectionReason, str] | None:
    for text in accepted:
        matcher = SequenceMatcher(None, words, tokens(text), autojunk=False)
        if matcher.real_quick_ratio() >= NEAR_DUPLICATE and matcher.ratio() >= NEAR_DUPLICATE:
            return RejectionReason.DUPLICATE, f"nearly the same as {text[:40]!r}…"
    return None
