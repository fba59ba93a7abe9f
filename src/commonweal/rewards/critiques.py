"""What a reward model reads of a person who also said what they would change about a statement."""

from __future__ import annotations

from collections.abc import Sequence


def opinion_and_critiques(opinion: str, critiques: Sequence[str]) -> str:
    """The opinion with the critiques after it, as one text of one person.

    A reward model takes one text a person (``RewardInput``). Critiques are said of another
    statement than the one that is rated, and often name only what is missing.
    """
    texts = [" ".join(each.split()) for each in critiques if each.strip()]
    return "\n".join([opinion.strip(), *texts])  # a line each: no sentence is of two of them
