"""People's own votes and choices: which of two statements a person prefers.

Votes of four Polis conversations and of one moderated dialogue, and choices between two summaries
on five of seven questions. Kept whole for tests, and refused here by their texts: three
conversations, the other dialogue, two questions (`benchmarks/preferences.py`).
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from commonweal.datasets.importers.deliberation_pairs import import_deliberation_pairs
from commonweal.datasets.importers.remesh import import_remesh
from commonweal.rewards.scoring import RatedRound, rated_rounds

# The first model's recipe says which conversations are for what; recipes are not a package.
sys.path.insert(0, str(Path(__file__).parents[1] / "first_reward"))

import measure

if TYPE_CHECKING:
    from network import Texts

TRAINED_DIALOGUE, HELD_OUT_DIALOGUE = "campus_protests", "foreign_intervention"
HELD_OUT_TOPICS = ("tariff", "tipping")
"""Words of the questions whose choices are kept for tests."""
SHORTEST = 25
"""Letters of a text that gives a leak away: "yes" is said everywhere."""


@dataclass(frozen=True)
class Votes:
    """One round: where two people voted on the same two statements, and differ in what they liked.

    ``answers`` is [n_people, n_statements]: 1 agreed, -1 disagreed, 0 neither, nan no vote.
    """

    question: str
    opinions: tuple[str, ...]
    statements: tuple[str, ...]
    answers: np.ndarray

    def crossed(self, rng: random.Random) -> tuple[list[Texts], int] | None:
        """Four rows (i a, i b, k a, k b) and the sign of (i a - i b) - (k a - k b), if found."""
        for _ in range(40):
            i, k = rng.sample(range(len(self.opinions)), 2)
            both = np.flatnonzero(np.isfinite(self.answers[i]) & np.isfinite(self.answers[k]))
            if len(both) < 2:
                continue
            apart = (self.answers[i] - self.answers[k])[both]
            high, low = both[apart == apart.max()], both[apart == apart.min()]
            if apart.max() == apart.min():
                continue
            a, b = rng.choice(list(high)), rng.choice(list(low))
            if rng.random() < 0.5:
                i, k, a, b = k, i, b, a
            rows = [
                (self.question, self.opinions[p], self.statements[s])
                for p in (i, k)
                for s in (a, b)
            ]
            return rows, 1
        return None

    def within(self, rng: random.Random) -> tuple[list[Texts], int] | None:
        """Two rows of one person and which of the two statements they liked better, 1 or -1."""
        for _ in range(40):
            i = rng.randrange(len(self.opinions))
            voted = np.flatnonzero(np.isfinite(self.answers[i]))
            if len(voted) < 2:
                continue
            a, b = rng.sample(list(voted), 2)
            if (sign := np.sign(self.answers[i, a] - self.answers[i, b])) != 0:
                return [(self.question, self.opinions[i], self.statements[s]) for s in (a, b)], int(
                    sign
                )
        return None


def read_votes(data: Path) -> tuple[list[Votes], list[Votes]]:
    """Rounds of votes and rounds of choices to train on.

    Raises:
        SystemExit: a text of them stands in a set that is kept for tests.
    """
    votes = measure.conversation_rounds(data, measure.TRAIN)
    votes += _dialogue(data, TRAINED_DIALOGUE)
    choices = rated_rounds(import_deliberation_pairs(data / "deliberation_pairs", balanced=True))
    kept = [each for each in choices if held_out(each.question)]
    if len(kept) != len(HELD_OUT_TOPICS):
        raise SystemExit(f"{len(kept)} held-out questions; expected {len(HELD_OUT_TOPICS)}")
    training = [*votes, *(each for each in choices if not held_out(each.question))]
    tests = measure.conversation_rounds(data, measure.TEST)
    tests += [*_dialogue(data, HELD_OUT_DIALOGUE), *kept]
    if leaked := _texts(training) & _texts(tests):
        raise SystemExit(
            f"in training and in a test set: {sorted(leaked)[0]!r} and {len(leaked) - 1} more"
        )
    n_votes = len(votes)
    every = [Votes(r.question, r.opinions, r.statements, r.answers) for r in training]
    return every[:n_votes], every[n_votes:]


def held_out(question: str) -> bool:
    """Whether choices on this question are kept for tests."""
    return any(word in question.lower() for word in HELD_OUT_TOPICS)


def examples(
    votes: Sequence[Votes], choices: Sequence[Votes], rng: random.Random
) -> Iterator[tuple[list[Texts], int]]:
    """Endless: of four, three crossed ones from votes (or one person's two) and one choice."""
    weights = [min(200, len(each.opinions)) ** 0.5 for each in votes]
    while True:
        for turn in range(4):
            if turn == 3:
                found = rng.choice(choices).within(rng)
            else:
                (of,) = rng.choices(votes, weights)
                found = of.crossed(rng) if turn < 2 else of.within(rng)
            if found is not None:
                yield found


def _dialogue(data: Path, name: str) -> list[RatedRound]:
    return rated_rounds(import_remesh(data / "collective_dialogues" / f"{name}_binary.csv"))


def _texts(rounds: Sequence[RatedRound]) -> set[str]:
    found = {text for each in rounds for text in (*each.opinions, *each.statements)}
    return {" ".join(text.lower().split()) for text in found if len(text) >= SHORTEST}
