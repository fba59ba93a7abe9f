"""From a completion to a candidate, or to a reason why not.

A completion is taken as it is or not at all: nothing is repaired, since a repaired text is one that
nobody wrote. Only blanks are evened out and one pair of quotation marks around the whole is taken
off; and paragraphs that lead in ("Here is one:") or speak to whoever asked ("Shall I shorten it?")
are no part of the answer. The limits below are our choice; the paper leaves parsing open.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cached_property

from commonweal.datasets.turning import turned
from commonweal.datasets.words import RUN_ON, stems, tokens
from commonweal.models.reasoning import without_lead_in
from commonweal.reading.language import language_name, language_of, languages_of
from commonweal.types import Completion, Opinion, Rejection, RejectionReason

MAX_WORDS = 150
MIN_WORDS = 8
WORDS_PER_CHARACTER = 0.5
"""What a character counts in a script that puts no blanks between words."""
MAX_PROMPT_RUN = 6
"""Words in a row that a candidate may not share with the instructions or the worked examples."""
LEAD_IN = {
    *("we", "all", "as", "a", "group", "agree", "believe", "feel", "hold", "propose"),
    *("recognise", "recognize", "say", "think", "that"),
}
"""What stands before a statement and says nothing: "We believe that …" is no revision of it."""

MAX_OPINION_RUN = 12
"""Words in a row that a candidate may not share with one opinion."""
MAX_OPINION_SHARE = 0.6
"""Share of a candidate's words in runs of four or more that may come from one opinion."""
MIN_DISTINCT_SHARE = 0.75
"""Share of a candidate's runs of four words that must be different from each other."""
NEAR_DUPLICATE = 0.9
"""Two candidates whose words match to this share are one, unless a "not" or "only" parts them."""

# Thai and Lao have no mark for the end of a sentence.
_SENTENCE_END = re.compile(r"(?:[.!?…。！？｡؟۔।॥።။។։]|[\u0e00-\u0eff])['\"”“’»›)\]」』）】]*$")
_MARKUP = re.compile(
    r"</?\w+|<\||[‹›]|\[/?INST\]|```|\*\*|^#+ "
    r"|^\W*(?:(?:consensus|group|final|our) )?"
    r"(?:question|opinions?|statement|answer|system|user|assistant)\W*:",
    re.IGNORECASE | re.MULTILINE,
)
_REFUSAL = re.compile(
    r"\b(?:i['’]?m sorry|i am sorry|i apologi[sz]e"
    r"|as an? ai(?: (?:language )?model| assistant|(?=,))"
    r"|(?:as|i am|i['’]m) an? (?:large )?language model|(?:i am|i['’]m) an? ai"
    r"|i(?:['’]m| am) (?:unable|not able) to|i (?:must|have to) decline"
    r"|i (?:can['’]?t|cannot|won['’]?t|will not) "
    r"(?:help|assist|write|create|generate|provide|comply|fulfil|do that|answer)"
    r"|lo siento|es tut mir leid|je suis désolée?|mi dispiace|mae['’]n ddrwg gen i)\b"
    r"|申し訳|抱歉",
    re.IGNORECASE,
)
_SINGULAR = re.compile(
    # Not the numeral of "World War I" and "Phase I".
    r"(?<!War )(?<!Phase )(?<!Type )(?<!Part )(?<!Tier )(?<!Class )(?<!Elizabeth )(?<!Charles )"
    r"\bI\b|\b(?:[Mm]y|mine|myself)\b"
)
# "I" is Italian, Polish and Welsh, too, and "my" is Polish for "we".
_ENGLISH = re.compile(
    r"\b(?:the|and|of|is|are|was|am|be|been|have|has|had|not|that|this|it|with|for|would|should"
    r"|will|can|do|don['’]t|think|believe|feel|like|want|know|we)\b",
    re.IGNORECASE,
)
_SHORT_QUOTATION = re.compile(r"[“\"](?:[^\s”\"]+ ){0,5}[^\s”\"]+[”\"]")
_META = re.compile(
    r"^(?:(?:sure|okay|ok)\b|(?:certainly|of course)(?:[!:.]|,? here\b)|here(?:['’]s| is| are)\b)"
    r"|^(?:the|their) opinions? (?:of|in|from) (?:the|this) (?:group|people)\b"
    r"|\b(?:these|those|this|above|following) (?:opinions?|statements?|prompt|text|answer)\b"
    r"|\bthe (?:(?:first|second|third|fourth|fifth|last|other|above|following|original|new) )?"
    r"(?:opinions?|statements?)\b(?! (?:of|from)\b)"
    r"|\b(?:a|the|this|our) (?:consensus|group['’]s|final) (?:opinion|statement)\b"
    r"|\bopinions of (?:the|these|those) (?:group|people|participants|members|individuals)\b"
    r"|\bthe prompt (?:asks?|says?|is|was)\b"
    r"|\bopinion (?:\d|one|two|three|four|five)\b",
    re.IGNORECASE,
)
# About the group instead of for it: "The group believes", "the second group suggests".
_ABOUT_THE_GROUP = re.compile(
    r"^(?:the|this) group(?:['’]s)? (?!of\b)"
    r"|\bthe (?:\w+ )?(?:group|participants?) (?:also |all )?"
    r"(?:advocate|agree|argue|believe|consider|express|feel|propose|recommend|suggest|think|want)s?\b",
    re.IGNORECASE,
)
_VERDICT = re.compile(r"^(?:yes|no)\b\s*[,.:;!–—-]", re.IGNORECASE)
_LIST_ITEM = re.compile(r"^[^\S\n]*(?:\d{1,2}[.)]|[-*•–])[^\S\n]+\S", re.MULTILINE)
_BLANK = re.compile(r"\[(?:your|insert|name|date|group|organi[sz]ation|city|town)\b", re.IGNORECASE)
_ADDRESS = re.compile(r"\byou(?:r|rs|rself|['’](?:d|ll|re|ve))?\b", re.IGNORECASE)
_REMARK = re.compile(
    r"^\W*(?:word count|note|let me know|would you like|shall i|feel free)\b|^[(\[].*[)\]]$|^\W+$"
    r"|\b(?:this|the) (?:statement|answer|version)\b",
    re.IGNORECASE | re.DOTALL,
)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that steer a terminal or a reader's eye instead of being read."""
SPEAKS_AS_GROUP = re.compile(r"\b(?:[Ww]e|us|[Oo]urs?|ourselves)\b")
"""Words of the first person plural; not the US."""
_DIVIDED = re.compile(
    r"\b(?:divided|split|disagree|differ|undecided)\b[^.;]*?\b(?:whether|if)\b([^.;]*)",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"\b(?:everyone|everybody|for all)\b,? but (?:only|just) (?:for|to|those|people)\b"
    r"|\bfree for (?:everyone|everybody|all)\b,?[^.;,]{0,20},? (?:but )?with an? (?:\w+ )?"
    r"(?:fare|fee|charge|price)\b"
    # Not of "we would not make it free for everyone, but charge a small fare".
    r"|(?:^|[.;])(?:(?!\b(?:not|never|no)\b|n['’]t\b)[^.;])*?"
    r"\bfree for (?:everyone|everybody|all)\b,? but charge an? (?:\w+ )?(?:fare|fee|price)\b"
    r"(?! (?:to|at|on|in|after|before)\b)",
    re.IGNORECASE,
)
"""All are given something, and in the same breath only some: three of the graded outputs of the
default model, all senseless, and none of 2,260 graded statements of quality 5 and more."""
_FILLERS = frozenset(
    [
        *("shoul", "would", "could", "wheth", "them", "they", "this", "that", "altog", "entir"),
        *("compl", "allow", "such", "thing", "idea", "done", "have", "been"),
    ]
)
"""Beginnings of words that add nothing to "whether to do it or not"."""
ANSWERED_SHARE = 0.5
"""Share of the question's words in a sentence from which on it is taken to answer the question."""
_FIGURE = re.compile(r"\d+(?:[.,:]\d+)*")
_THOUSANDS = re.compile(
    r"([1-9]\d{0,2}(?:,\d{3})+)(\.\d+)?|([1-9]\d{0,2}(?:\.\d{3})+)(,\d+)?", re.ASCII
)
"""1,250.50 or 1.250,50: what groups the thousands, and what is after the whole number."""


@dataclass(frozen=True)
class Parser:
    """What a completion is compared with.

    Attributes:
        question: the prompt's.
        opinions: whose words it must not copy.
        own_texts: instructions and worked examples.
        also_given: more texts of the prompt, whose figures nobody invented.
        revises: the statement that is to be revised; "" for none. Its words may stand, not all.
    """

    question: str
    opinions: Sequence[Opinion]
    own_texts: Sequence[str]
    also_given: Sequence[str] = ()
    revises: str = ""

    # The same for every completion of a round, and an opinion may be long.
    @cached_property
    def _own_words(self) -> list[list[str]]:
        return [tokens(own) for own in self.own_texts]

    @cached_property
    def _opinion_words(self) -> list[list[str]]:
        return [tokens(opinion.text) for opinion in self.opinions]

    @cached_property
    def _given_figures(self) -> set[str]:
        texts = (self.question, *(each.text for each in self.opinions), *self.also_given)
        return {_plain(figure) for text in texts for figure in _FIGURE.findall(text)}

    @cached_property
    def _languages(self) -> frozenset[str]:
        return languages_of((each.text for each in self.opinions), self.question)

    def parse(self, completion: Completion, accepted: Iterable[str] = ()) -> str | Rejection:
        """The candidate's text, or the first reason against it.

        Args:
            completion: raw text from the language model.
            accepted: texts of the candidates so far, against which duplicates are found.
        """
        statement = _without_remarks(without_lead_in(completion.text))
        text = _evened(statement)
        fault = self._fault(text, replace(completion, text=statement), accepted)
        if fault is None:
            return text
        reason, detail = fault
        return Rejection(completion.text, reason, detail, completion.seed)

    def _fault(
        self, text: str, completion: Completion, accepted: Iterable[str]
    ) -> tuple[RejectionReason, str] | None:
        words = tokens(text)
        if not words:
            return RejectionReason.EMPTY, "no words"
        if match := _REFUSAL.search(text):
            return RejectionReason.REFUSAL, f"says {match[0]!r}"
        # Against the raw text: there, labels stand at the beginning of a line.
        if match := _MARKUP.search(completion.text.strip()):
            return RejectionReason.ECHO_PROMPT, f"holds the prompt's markup {match[0]!r}"
        n_words = count_words(words)
        if n_words > MAX_WORDS:
            return RejectionReason.OVER_LENGTH, f"{n_words:g} words, at most {MAX_WORDS}"
        if completion.finish_reason == "length":
            return RejectionReason.UNFINISHED, "ended by the token limit"
        if not _SENTENCE_END.search(text):
            return RejectionReason.UNFINISHED, f"ends with {text[-20:]!r}"
        if n_words < MIN_WORDS:
            return RejectionReason.UNDER_LENGTH, f"{n_words:g} words, at least {MIN_WORDS}"
        if echo := self._echo(words):
            return echo
        if other := self._other_language(text):
            return other
        if match := CONTROL.search(text):
            return RejectionReason.NOT_A_STATEMENT, f"holds the control character {match[0]!r}"
        if match := _META.search(text):
            return RejectionReason.NOT_A_STATEMENT, f"talks about the task: {match[0]!r}"
        if match := _ABOUT_THE_GROUP.search(text):
            return RejectionReason.NOT_A_STATEMENT, f"speaks about the group: {match[0]!r}"
        if (match := _verdict(text)) and not SPEAKS_AS_GROUP.search(text):
            return RejectionReason.NOT_A_STATEMENT, f"is a verdict without a group: {match[0]!r}"
        if match := _BLANK.search(text):
            return RejectionReason.NOT_A_STATEMENT, f"leaves a blank to fill in: {match[0]!r}"
        if len(_LIST_ITEM.findall(completion.text)) > 1:
            return RejectionReason.NOT_A_STATEMENT, "is a list, not a statement to read out"
        if match := _singular(text):
            return RejectionReason.NOT_A_STATEMENT, f"speaks as one person: {match[0]!r}"
        if match := _ADDRESS.search(text):
            return RejectionReason.NOT_A_STATEMENT, f"speaks to somebody: {match[0]!r}"
        runs = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
        if len(set(runs)) < MIN_DISTINCT_SHARE * len(runs):
            share = len(set(runs)) / len(runs)
            return RejectionReason.REPETITION, f"only {share:.0%} of its runs of words are distinct"
        if self._is_the_revised(words):
            return RejectionReason.DUPLICATE, "is the statement that was to be revised, unchanged"
        return (
            self._contradiction(text) or self._invented_figure(text) or _duplicate(words, accepted)
        )

    def _echo(self, words: list[str]) -> tuple[RejectionReason, str] | None:
        asked = tokens(self.question)
        asks = any(mark in self.question for mark in "?\uff1f\u061f\u037e\u055e")  # in any script
        if asked and words[: len(asked)] == asked and asks:
            return RejectionReason.ECHO_PROMPT, "repeats the question"
        for own in self._own_words:
            run = longest_shared_run(words, own)
            if count_words(run) >= MAX_PROMPT_RUN:
                return RejectionReason.ECHO_PROMPT, f"copies the prompt: {' '.join(run)!r}"
        copied = self._copied(words)
        return None if copied is None else (RejectionReason.ECHO_OPINION, copied[1])

    def copied_from(self, text: str) -> str | None:
        """The id of the opinion that a text copies too much of; None where it copies none."""
        words = tokens(_evened(text))
        copied = self._copied(words) if words else None
        return None if copied is None else copied[0]

    def repeats(self, text: str) -> bool:
        """Whether a text is the statement that was to be revised: see ``_is_the_revised``."""
        return self._is_the_revised(tokens(_evened(text)))

    def _is_the_revised(self, words: list[str]) -> bool:
        """Whether words are those of the statement, with nothing but a lead-in before them."""
        old = tokens(self.revises)
        return bool(old) and words[-len(old) :] == old and LEAD_IN.issuperset(words[: -len(old)])

    def _copied(self, words: list[str]) -> tuple[str, str] | None:
        for opinion, theirs in zip(self.opinions, self._opinion_words, strict=True):
            run = longest_shared_run(words, theirs)
            if count_words(run) >= MAX_OPINION_RUN or len(run) == len(words) > 1:
                return opinion.id, f"copies {opinion.id!r}: {' '.join(run)!r}"
            share = copied_share(words, [theirs])
            if share > MAX_OPINION_SHARE:
                return opinion.id, f"{share:.0%} of it is from {opinion.id!r}"
        return None

    def _other_language(self, text: str) -> tuple[RejectionReason, str] | None:
        if not self._languages or (code := language_of(text)) is None or code in self._languages:
            return None
        theirs = " and ".join(sorted(map(language_name, self._languages)))
        return RejectionReason.OTHER_LANGUAGE, f"is in {language_name(code)}, they wrote {theirs}"

    def _contradiction(self, text: str) -> tuple[RejectionReason, str] | None:
        """It takes back what it gives, or answers the question and then differs on just that."""
        if match := _TAKEN_BACK.search(text):
            return RejectionReason.CONTRADICTION, f"takes back what it gives: {match[0]!r}"
        asked = _stems(self.question)
        match = _DIVIDED.search(text)
        if match is None or not asked or _stems(match[1]) - asked:
            return None
        if len(_stems(text[: match.start()]) & asked) < ANSWERED_SHARE * len(asked):
            return None
        return RejectionReason.CONTRADICTION, f"answers the question, and then is {match[0]!r}"

    def _invented_figure(self, text: str) -> tuple[RejectionReason, str] | None:
        invented = [
            each for each in _FIGURE.findall(text) if _plain(each) not in self._given_figures
        ]
        if invented:
            return RejectionReason.INVENTED_FIGURE, f"says {invented[0]!r}"
        return None


def _stems(text: str) -> set[str]:
    """The stems that say something in "whether to do it or not"."""
    return stems(text, shortest=4) - _FILLERS


def _without_remarks(text: str) -> str:
    """The text without paragraphs at its end that speak to whoever asked for it.

    "Would you like a shorter one?", "(62 words)": none of it is the statement.
    """
    paragraphs = re.split(r"\n[^\S\n]*\n\s*", text.strip())
    n = len(paragraphs)
    while n > 1 and _REMARK.search(paragraphs[n - 1]):
        n -= 1
    return text if n == len(paragraphs) else "\n\n".join(paragraphs[:n])


def _evened(text: str) -> str:
    """The text with single blanks, without one pair of quotation marks around the whole."""
    even = " ".join(text.split())
    for opening, closing in ('""', "“”", "«»", "„“"):
        inner = even[1:-1]
        if even[:1] == opening and even[-1:] == closing and opening not in inner:
            return inner.strip() if closing not in inner else even
    return even


def count_words(words: Sequence[str]) -> float:
    """The number of words, where a character of a script without blanks counts as half a one."""
    return sum(WORDS_PER_CHARACTER if RUN_ON.fullmatch(word) else 1 for word in words)


def _plain(figure: str) -> str:
    """The figure as others may write it: 1,000 or 1.000 as 1000, 10:00 as 10, in 0 to 9."""
    digits = "".join(str(unicodedata.decimal(each, each)) for each in figure)
    if match := _THOUSANDS.fullmatch(digits):
        return re.sub(r"[.,]", "", match[1] or match[3]) + (match[2] or match[4] or "")
    return digits.removesuffix(":00")


def _verdict(text: str) -> re.Match[str] | None:
    """Where a text begins with a bare yes or no; "no" is a word of other languages than English."""
    return _VERDICT.search(text) if language_of(text) in (None, "en") else None


def _singular(text: str) -> re.Match[str] | None:
    """Where an English text speaks as one person; "not in my back yard" in quotes is a phrase."""
    if len({match.casefold() for match in _ENGLISH.findall(text)}) < 2:
        return None
    return _SINGULAR.search(_SHORT_QUOTATION.sub(lambda quoted: quoted[0].replace("my", ""), text))


def longest_shared_run(words: list[str], theirs: list[str]) -> list[str]:
    """The longest run of words in a row that stands in both, the first of them in ``words``."""
    match = SequenceMatcher(None, words, theirs, autojunk=False).find_longest_match()
    return words[match.a : match.a + match.size]


def copied_share(words: list[str], sources: Iterable[list[str]]) -> float:
    """The share of ``words`` in runs of four or more that stand in one of the sources."""
    runs = {tuple(theirs[i : i + 4]) for theirs in sources for i in range(len(theirs) - 3)}
    copied = [False] * len(words)
    for i in range(len(words) - 3):
        if tuple(words[i : i + 4]) in runs:
            copied[i : i + 4] = [True] * 4
    return sum(copied) / len(words)


def _duplicate(words: list[str], accepted: Iterable[str]) -> tuple[RejectionReason, str] | None:
    for text in accepted:
        theirs = tokens(text)
        if turned(words, theirs):  # one word is enough for the opposite proposal
            continue
        matcher = SequenceMatcher(None, words, theirs, autojunk=False)
        if matcher.real_quick_ratio() >= NEAR_DUPLICATE and matcher.ratio() >= NEAR_DUPLICATE:
            return RejectionReason.DUPLICATE, f"nearly the same as {text[:40]!r}…"
    return None
