"""Opinions that are nearly the same: perhaps one person under several names."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from commonweal.datasets.words import RUN_ON, tokens

NEAR_COPY = 0.8
"""Share of an opinion's words, in runs of three or more, that stand in another: our choice."""

MIN_WORDS = 8
"""Shorter opinions are alike without being copied: "yes", "no, too dear"."""

_RUN = 3

_CHARACTERS_PER_WORD = 3
"""Where words run on each token is a character, and a word of Chinese, Japanese or Thai has one to
five: with 8 of them, and runs of 3, "should" and "should not" were copies."""


def near_copies(texts: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Groups of texts that are nearly the same, by their places, each with its first in front.

    Two texts are near-copies where four fifths of the words of the shorter stand in the other in
    runs of three or more: other words around a copy do not hide it, a translation or a paraphrase
    does. Texts below ``MIN_WORDS`` are left alone. In scripts without blanks between words three
    characters stand for a word.

    Example:
        >>> view = "The fares are too high for people on low wages here."
        >>> near_copies([view, "Build more bus lanes first, then we can talk about it.", view])
        ((0, 2),)
    """
    words = [tokens(text) for text in texts]
    groups: list[list[int]] = []
    for at, own in enumerate(words):
        for group in groups:
            if any(_alike(own, words[other]) for other in group):
                group.append(at)
                break
        else:
            groups.append([at])
    return tuple(tuple(group) for group in groups if len(group) > 1)


def kept_once(texts: Sequence[str]) -> tuple[int, ...]:
    """The places of the texts without near-copies of earlier ones."""
    again = {place for group in near_copies(texts) for place in group[1:]}
    return tuple(place for place in range(len(texts)) if place not in again)


def _alike(one: list[str], other: list[str]) -> bool:
    shorter, longer = sorted((one, other), key=len)
    runs_on = sum(RUN_ON.fullmatch(word) is not None for word in shorter) > len(shorter) / 2
    per_word = _CHARACTERS_PER_WORD if runs_on else 1
    if len(shorter) < MIN_WORDS * per_word:
        return False
    run = _RUN * per_word
    runs = {tuple(longer[i : i + run]) for i in range(len(longer) - run + 1)}
    # Cheap first: most pairs share no run of three words at all.
    if not any(tuple(shorter[i : i + run]) in runs for i in range(len(shorter) - run + 1)):
        return False
    blocks = SequenceMatcher(None, shorter, longer, autojunk=False).get_matching_blocks()
    shared = sum(block.size for block in blocks if block.size >= run)
    return shared >= NEAR_COPY * len(shorter)
