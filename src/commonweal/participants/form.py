"""The quality of a statement, judged by its form: a stand-in for people's ratings of quality.

People judge clarity, sense and whether a statement is worth having (paper 3.2). None of that is
judged here. What is counted are outward signs that go with it: length, "we", a finished end, no
repetition, several considerations, and both sides. A language model could learn to please this
measure and write nonsense: quality ratings by simulated people say nothing about what people would
say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from commonweal.participants.reading import BoolArray

LENGTHS = (8, 35, 120, 180)
"""Words: below the first and above the last the length counts 0, from the second to the third 1."""

N_CONSIDERATIONS = 3
"""So many considerations are enough; yes or no to the question itself is none."""

WEIGHTS = {
    "length": 0.1,
    "voice": 0.15,
    "finished": 0.1,
    "fresh": 0.15,
    "substance": 0.2,
    "sides": 0.3,
}
"""What each sign counts. Our choice: only a statement with considerations of both sides can reach 6
of 7, which the paper's quality filter asks for (3.4)."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_WE = re.compile(r"\b(?:we|us|our|ours)\b", re.IGNORECASE)
_I = re.compile(r"\bI\b|\b(?:[Mm]y|mine|myself|me)\b")


def signs(statement: str, expressed: BoolArray) -> dict[str, float]:
    """Each sign of good form, from 0 to 1.

    Args:
        statement: the text.
        expressed: what it expresses, bool [n_considerations, 2] (``reading.ArgumentReader``).
    """
    words = [word.lower() for word in _WORD.findall(statement)]
    runs = list(zip(words, words[1:], words[2:], strict=False))
    distinct = len(set(runs)) / len(runs) if runs else 0.0
    ends = statement.rstrip().rstrip("\"'”’)")[-1:]
    reasons = expressed[1:]  # without the verdict
    speaks = 0.0 if _I.search(statement) else 0.5
    return {
        "length": float(np.interp(len(words), LENGTHS, (0.0, 1.0, 1.0, 0.0))),
        "voice": 1.0 if speaks and _WE.search(statement) else speaks,
        "finished": float(ends in set(".!?") and statement.lstrip()[:1].isupper()),
        "fresh": float(np.interp(distinct, (0.6, 0.95), (0.0, 1.0))),
        "substance": min(1.0, int(reasons.any(axis=1).sum()) / N_CONSIDERATIONS),
        "sides": float(reasons.any(axis=0).mean()),
    }


def quality(statement: str, expressed: BoolArray) -> float:
    """The quality of the form, from 1 to 7."""
    present = signs(statement, expressed)
    return 1.0 + 6.0 * sum(WEIGHTS[name] * value for name, value in present.items())
