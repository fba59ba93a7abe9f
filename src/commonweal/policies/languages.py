"""What is said beforehand to a group that wrote in another language than English."""

from __future__ import annotations

from collections.abc import Sequence

from commonweal.reading.language import language_name, languages_of
from commonweal.types import Opinion, Question

ENGLISH = "en"


def language_warning(question: Question, opinions: Sequence[Opinion], model: str) -> str:
    """What to expect of this language model for these opinions; "" where nothing need be said.

    The embedded models are small, and nearly all that they have read is English. What they write in
    another language than the opinions' is thrown away (``Parser``).
    """
    languages = languages_of((opinion.text for opinion in opinions), question.text)
    if not languages or ENGLISH in languages or not model.startswith("embedded"):
        return ""
    named = " and ".join(sorted(map(language_name, languages)))
    return (
        f"the opinions are in {named}, and the embedded model writes little but English. A "
        "statement in another language than theirs is not shown, so there may be none. A larger "
        f"model (--model) may write {named}; predictions of agreement were learned from English"
    )
