"""A call that brought no text at all: why, in words for a user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from commonweal.types import Completion

ADVICE = (
    "Asking again would give the same. Give the model more tokens for reasoning, switch its "
    "reasoning off, or take another model (docs/servers.md)"
)


def why_all_empty(completions: Sequence[Completion]) -> str:
    """Why none of the completions holds a text, with what to do; "" where one does.

    Example:
        >>> why_all_empty([Completion("", "stop", 1), Completion("We agree.", "stop", 2)])
        ''
    """
    if not completions or any(each.text.strip() for each in completions):
        return ""
    reasons = Counter(each.why_empty or "the model wrote no text" for each in completions)
    return f"{reasons.most_common(1)[0][0]}. {ADVICE}"
