"""Words that turn what a sentence says: by one of them two texts are opposite proposals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from commonweal.datasets.words import word_set

_REFUSING = word_set(
    "not no never nor cannot nobody nothing none nicht nichts kein keine keinen keinem keiner "
    "keines nie niemals niemand pas jamais aucun aucune rien non nessun nessuno nunca nada nadie "
    "niet geen não inte ikke"
)
"""In the languages that small models write. "No" is the Spanish "not", too, and the Portuguese "in
the"; the French and Italian "ne" often stands where nothing is refused."""

_NOT_ONLY = word_set("only nur solo sólo solamente seulement soltanto")
"""After a "not" these add something and refuse nothing."""

_LIMITING = word_set(
    "only unless except without all every any some most half more less fewer both either neither "
    "nur alle einige ohne mehr weniger solo sólo todos algunos sin más menos seulement tous sans "
    "plus moins"
)


def refuses(words: Iterable[str]) -> bool:
    """Whether there is a "not" among the words (of ``datasets.words.tokens``).

    Example:
        >>> [refuses(each.split()) for each in ("we wouldn't ban it", "not only buses", "yes")]
        [True, False, False]
    """
    listed = list(words)
    return any(
        _refuses(word) and after not in _NOT_ONLY
        for word, after in zip(listed, [*listed[1:], ""], strict=True)
    )


def turned(words: Iterable[str], other: Iterable[str]) -> bool:
    """Whether the words of one text say "not", limit or count where those of the other do not.

    Example:
        >>> turned("we would ban it".split(), "we would not ban it".split())
        True
        >>> turned("we wouldn't ban it".split(), "we would not ban it".split())
        False
        >>> turned("we would pay 5 pounds".split(), "we would pay 9 pounds".split())
        True
    """
    return _turns(words) != _turns(other)


def _refuses(word: str) -> bool:
    return word in _REFUSING or word.endswith("n't")


def _turns(words: Iterable[str]) -> Counter[str]:
    return Counter(
        "not" if _refuses(word) else word
        for word in words
        if _refuses(word) or word in _LIMITING or any(map(str.isdigit, word))
    )
