"""What a facilitator should look at before a text is read out: argument, claims, names for groups.

A statement should say what a group wants, not win it over (paper 5.2). Three kinds are marked, by
patterns and by comparison with what people wrote, in English only:

- ``argues``: it presses ("obviously", "nobody can deny") instead of stating;
- ``fact``: it claims something about the world that is in no opinion: a source ("studies show"), an
  amount in words, a place or name that nobody mentioned;
- ``group word``: it calls people something that nobody called them ("greedy motorists").

A mark is a hint to look, not a verdict, and no mark is no proof. How often both are wrong:
docs/LOG.md, 2026-11-28.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from commonweal.datasets.words import tokens
from commonweal.reading.language import language_of

if TYPE_CHECKING:
    from commonweal.result import Agreement

FlagKind = Literal["argues", "fact", "group word"]

MEANS: dict[FlagKind, str] = {
    "argues": "it argues instead of stating what the group wants",
    "fact": "it claims something that nobody wrote",
    "group word": "it calls people something that nobody called them",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """Something in a statement to look at.

    Attributes:
        kind: which of the three.
        text: the words in the statement.
    """

    kind: FlagKind
    text: str

    @property
    def means(self) -> str:
        """What is marked, in a few words."""
        return MEANS[self.kind]


_ARGUES = re.compile(
    r"\b(?:obviously|clearly|undeniabl[ey]|undoubtedly|unquestionabl[ey]|surely|evidently"
    r"|indisputabl[ey]|plain and simple|unforgivable|inexcusable|of course|needless to say"
    r"|(?:simply|just|only|plain) common sense|it is common sense|in their right mind"
    r"|(?:every(?:one|body)|we all|any(?:one|body)) (?:knows?|can see|must see|understands?)"
    r"|(?:no one|nobody|none) (?:can|could|would|should|will)? ?"
    r"(?:deny|denies|doubts?|possibly|seriously|in )"
    r"|(?:there (?:is|can be)|without|beyond) (?:any |a |no )?(?:doubt|question|debate|alternative)"
    r"|(?:no|any) other (?:choice|option|way|view)|no choice but|goes without saying"
    r"|the (?:truth|fact|simple truth) is|let us be (?:honest|clear)|makes? no sense"
    r"|(?:the )?only (?:sensible|moral|right|reasonable|decent|possible|fair)"
    r"|only an? \w+ (?:society|person|people|fool|town|city)|a crime against|at all costs"
    r"|a human right|history will|to oppose (?:it|this|them) is|ignores? the facts)\b"
    r"|^(?:who|what|how|why)\b[^.?!]*\b(?:possibly|want|would|could|can)\b[^.?!]*\?",
    re.IGNORECASE | re.MULTILINE,
)
_SOURCE = re.compile(
    r"\b(?:(?:stud(?:y|ies)|research|surveys?|polls?|data|evidence|statistics|figures|experts?"
    r"|scientists?|doctors|economists)\s+(?:\w+\s+)?(?:show|prove|suggest|find|found|say|agree"
    r"|confirm|indicate|warn)(?:s|ed|n)?"
    r"|according to|(?:has|have|had) (?:been )?(?:shown|proven|found)|(?:is|are) (?:well )?known to"
    r"|as (?:stud|research|survey|poll)\w*)\b",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"\b(?:half|(?:a|one|two|three) (?:third|quarter)s?|thousands?|millions?|billions?|hundreds?"
    r"|dozens|percent|per cent|doubled?|tripled?|halved?|twice|majority of|most [a-z]+s that"
    r"|(?:falls?|fell|rose|rises|lowers|kills|harms|causes|reduces|increases) (?:the |by )?"
    r"[a-z]+)\b",
    re.IGNORECASE,
)
"""Amounts in words, and verbs that say what brings about what. Figures that nobody gave are no
candidates at all (``policies.parsing``)."""

_NAME = re.compile(r"(?<![.!?:;] )(?<!^)(?<![\"“])\b[A-Z][a-zà-ÿ]{2,}\b")
_SLUR = (
    *("illegals", "snowflakes?", "fanatics?", "parasites?", "scroungers?", "slumlords?", "elites?"),
    *("speculators?", "bureaucrats?", "do-gooders?", "extremists?", "thugs?", "freeloaders?"),
    *("nimbys?", "boomers?", "zealots?", "lobbyists?", "profiteers?", "hypocrites?", "foreigners"),
    *(
        "aliens",
        "economic migrants?",
        "the mob",
        "ideologues?",
        "cranks?",
        "radicals?",
        "populists?",
    ),
)
_BAD = (
    *("greedy", "lazy", "selfish", "parasitic", "backward", "pampered", "heartless", "ignorant"),
    *(
        "stupid",
        "entitled",
        "spoilt",
        "spoiled",
        "irresponsible",
        "so-called",
        "feckless",
        "fat-cat",
    ),
    *(
        "penny-pinching",
        "reckless",
        "workshy",
        "work-shy",
        "idle",
        "privileged",
        "snobbish",
        "rude",
    ),
    *("hysterical", "naive", "corrupt", "arrogant", "out-of-touch", "dishonest", "hypocritical"),
)
_GROUP_WORD = re.compile(
    rf"\b(?:(?:{'|'.join(_BAD)}) [a-z-]+(?: [a-z-]+)?|(?:{'|'.join(_SLUR)}))\b(?: generation\b)?",
    re.IGNORECASE,
)
_NO_NAMES = frozenset(
    {
        *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
        *("january", "february", "march", "april", "may", "june", "july", "august"),
        *("september", "october", "november", "december", "english"),
    }
)


def flags(question: str, opinions: Sequence[str], statement: str) -> tuple[Flag, ...]:
    """What to look at in a statement, in its order; () where nothing is, or it is not English.

    Args:
        question: what was asked.
        opinions: what people wrote, critiques too: words and claims of theirs are not marked.
        statement: the text.

    Example:
        >>> [flag.text for flag in flags("Free buses?", ["Yes."], "Obviously we want free buses.")]
        ['Obviously']
    """
    if language_of(statement) not in ("en", None):
        return ()
    given = " ".join(" ".join(tokens(text)) for text in (question, *opinions))
    words = set(given.split())
    placed: list[tuple[int, Flag]] = []
    patterns: tuple[tuple[FlagKind, re.Pattern[str]], ...] = (
        *(("argues", _ARGUES), ("fact", _SOURCE), ("fact", _AMOUNT)),
    )
    for kind, pattern in patterns:
        placed += [
            (match.start(), Flag(kind, match[0]))
            for match in pattern.finditer(statement)
            if " ".join(tokens(match[0])) not in given
        ]
    for match in _NAME.finditer(statement):
        name = match[0].casefold()
        if name not in words and f"{name}s" not in words and name not in _NO_NAMES:
            placed.append((match.start(), Flag("fact", match[0])))
    placed += [
        (match.start(), Flag("group word", match[0]))
        for match in _GROUP_WORD.finditer(statement)
        if tokens(match[0])[0] not in words
    ]
    return tuple(flag for _, flag in sorted(placed, key=lambda each: each[0]))


def flags_of(result: Agreement) -> tuple[Flag, ...]:
    """What to look at in the text of a result; () without one."""
    if result.closest is None:
        return ()
    critiques_of = [each.text for critiques in result.all_critiques for each in critiques]
    opinions = [opinion.text for opinion in result.opinions]
    return flags(result.question.text, (*opinions, *critiques_of), result.closest.text)
