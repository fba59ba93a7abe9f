"""The words of a text, and with them when two questions are one and the same."""

from __future__ import annotations

import hashlib
import re
import unicodedata

# Scripts that put no blanks between words (Thai, Lao, Burmese, Khmer, kana, Han): a character each.
RUN_ON = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
# Marks inside words that `re` does not take for letters: points, vowel signs, joiners.
_MARK = (
    r"[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc"
    r"\u0900-\u0963\u0966-\u0dff\u200c\u200d]"
)
_LETTERS = rf"(?:(?!{RUN_ON.pattern})[^\W_]{_MARK}*)+"
_WORD = re.compile(rf"{RUN_ON.pattern}|{_LETTERS}(?:['’]{_LETTERS})*")


def tokens(text: str) -> list[str]:
    """The words of a text, without case, marks and punctuation; characters where words run on.

    Example:
        >>> tokens("We don't AGREE — 賛成です。")
        ['we', "don't", 'agree', '賛', '成', 'で', 'す']
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold().replace("’", "'"))


def word_set(text: str) -> frozenset[str]:
    """The words of a text that lists them between blanks."""
    return frozenset(text.split())


def normal_form(question: str) -> str:
    """The question's words alone: two questions with the same normal form are the same question.

    Example:
        >>> normal_form("Should  buses be FREE?") == normal_form("should buses be free")
        True
    """
    return " ".join(tokens(question))


def question_id(question: str) -> str:
    """The same wherever this text is asked, so that datasets that are merged agree on it.

    Example:
        >>> question_id("Should buses be free?")
        'q-df17c508bb59'
    """
    return "q-" + hashlib.sha256(question.encode("utf-8", "replace")).hexdigest()[:12]


def n_words(text: str) -> int:
    """How many words a text has; characters where words run on.

    Example:
        >>> n_words("Buses should be free - for all."), n_words("賛成です。")
        (6, 4)
    """
    return len(tokens(text))


STEM_CHARACTERS = 5
"""By which a word is known."""


def stems(text: str, *, shortest: int) -> set[str]:
    """What words of at least ``shortest`` letters begin with, so that "fares" is "fare".

    Example:
        >>> sorted(stems("The fares are unfair.", shortest=5))
        ['fares', 'unfai']
    """
    return {word[:STEM_CHARACTERS] for word in tokens(text) if len(word) >= shortest}
