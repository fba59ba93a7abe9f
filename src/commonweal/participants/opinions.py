"""A latent person's opinion, made of the bank's arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from commonweal.participants.considerations import BankQuestion

if TYPE_CHECKING:
    from commonweal.types import FloatArray

N_ARGUMENTS = (2, 3)
"""Fewest and most arguments in an opinion."""

WAVER = 0.35
"""Somebody who holds as much as this against their own verdict says so, half of the time."""

SPREAD = 0.15
"""Standard deviation of the chance in which considerations are spoken of, beside their weight."""

_TURNS = (
    "It is not all one way, though.",
    "Still, I can see something on the other side.",
    "There is one thing that gives me pause.",
    "I will give the other side this.",
    "But I have not quite made up my mind.",
    "That said, I do see a difficulty.",
)


def write_opinion(question: BankQuestion, position: FloatArray, rng: np.random.Generator) -> str:
    """An opinion of one to five sentences, made of the bank's arguments as they stand.

    The verdict comes first, last or not at all. What weighs most comes in.

    Args:
        question: with its considerations.
        position: [n_considerations], -1 to 1; the verdict is the first.
        rng: draws what is said, and in which words.
    """
    agrees = np.sign(position) == np.sign(position[0])
    weight = np.abs(position) + SPREAD * rng.standard_normal(len(position))
    weight[0] = -np.inf
    order = np.argsort(-weight)
    own = [int(row) for row in order if agrees[row] and row]
    against = [int(row) for row in order if not agrees[row] and abs(position[row]) >= WAVER]
    n_arguments = int(rng.integers(N_ARGUMENTS[0], N_ARGUMENTS[1] + 1))
    sentences = [_argument(question, position, row, rng) for row in own[:n_arguments]]
    place = rng.choice(["first", "last", "nowhere"], p=[0.4, 0.25, 0.35]) if own else "first"
    verdict = _argument(question, position, 0, rng)
    if place == "first":
        sentences.insert(0, verdict)
    elif place == "last":
        sentences.append(verdict)
    if against and (not own or rng.random() < 0.5):
        turn = _TURNS[int(rng.integers(len(_TURNS)))]
        sentences += [turn, _argument(question, position, against[0], rng)]
    return " ".join(sentences)


def _argument(
    question: BankQuestion, position: FloatArray, row: int, rng: np.random.Generator
) -> str:
    texts = question.considerations[row].arguments[0 if position[row] >= 0 else 1]
    return texts[int(rng.integers(len(texts)))]
