"""What is said beforehand to a group that wrote in another language than English."""

from __future__ import annotations

from collections.abc import Sequence

from commonweal.reading.language import language_name, languages_of
from commonweal.types import Opinion, Question

ENGLISH = "en"


def language_warning(question: Question, opinions: Sequence[Opinion], model: str) -> str:
    """What to expect of this language model for these opinions; "" where nothing need be said.

    The embedded models are small, and most of what they have read is English. The default one
    answers in the opinions' language where it knows it; the rest is thrown away (``Parser``).
    """
    languages = languages_of((opinion.text for opinion in opinions), question.text)
    if not languages or ENGLISH in languages or not model.startswith("embedded"):
        return ""
    named = " and ".join(sorted(map(language_name, languages)))
    return (
        f"the opinions are in {named}, and the embedded models are better at English. A statement "
        "in another language than theirs is not shown, so there may be none; have somebody who "
        "speaks it read what comes. A larger model (--model) may write better; predictions of "
        "agreement were learned from English"
    )
