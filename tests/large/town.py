"""A made-up town: people of known groups, a writer and a reader without a network."""

from __future__ import annotations

import hashlib

import numpy as np

from commonweal.rewards.calibration import LogisticCalibration
from commonweal.types import Completion, Opinion, Question

QUESTION = Question("Should local buses be free for everyone?")
KINDS = {
    "fares": "the fares eat my wages every week",
    "taxes": "somebody pays and the taxes are too high",
    "villages": "first there must be more buses in the villages",
}
WORDS = ("slowly", "fairly", "together", "carefully", "openly", "soon", "locally", "simply")
PLACES = ("markets", "schools", "harbours", "clinics", "factories", "theatres", "parks", "farms")


def people(shares: dict[str, int]) -> list[Opinion]:
    """So many of each kind, mixed, their kind in their id."""
    found = [
        Opinion(f"{kind}{i}", f"{KINDS[kind]}, says number {i}")
        for kind, n in shares.items()
        for i in range(n)
    ]
    order = np.random.default_rng(1).permutation(len(found))
    return [found[i] for i in order]


def kind_of(text: str) -> int:
    """Which kind a text speaks for: the first whose word stands in it."""
    return next(i for i, kind in enumerate(KINDS) if kind in text)


def embed(texts) -> np.ndarray:
    """Unit vectors near the axis of the text's kind."""
    vectors = np.zeros((len(texts), 8), dtype=np.float32)
    for row, text in enumerate(texts):
        vectors[row, kind_of(text)] = 1.0
        vectors[row, 3:] = 0.05 * chance(text, 5)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def chance(text: str, n: int = 1) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    return np.random.default_rng(seed).normal(size=n)


class Writer:
    """Writes for the kind that its prompt holds most of; every prompt is kept."""

    model_id = "town"
    weights_hash = None
    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def generate(self, prompts, *, seeds, n_samples=1, sampling=None, on_done=None):
        answers = []
        for prompt, seed in zip(prompts, seeds, strict=True):
            text = prompt[-1].content
            self.prompts.append(text)
            rng = np.random.default_rng(seed)
            kind = max(KINDS, key=lambda each: (text.count(KINDS[each][:20]), each == "fares"))
            one, two = rng.choice(WORDS, 2, replace=False)
            place, other = rng.choice(PLACES, 2, replace=False)
            said = (
                f"We want to settle {kind} {one} near the {place}, and after that {two} we look "
                f"at what the {other} still need."
            )
            answers.append([Completion(said, "stop", seed)])
            if on_done is not None:
                on_done(len(answers))
        return answers

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def log_probabilities(self, prompts, continuations):
        raise NotImplementedError


class Reader:
    """Agrees with statements of one's own kind; each statement and person has a leaning."""

    name = "town"
    weights_hash = "0"
    calibration = LogisticCalibration(1.0, 0.0, "nothing: made up")

    def __init__(self) -> None:
        self.n_pairs = 0

    def rewards(self, inputs, *, on_done=None):
        self.n_pairs += len(inputs)
        if on_done is not None:
            on_done(len(inputs))
        leaning = {each.statement: chance(each.statement)[0] for each in inputs}
        return np.array(
            [
                (1.5 if kind_of(each.opinion) == kind_of(each.statement) else -0.7)
                + 0.4 * leaning[each.statement]
                + 0.3 * chance(each.opinion)[0]
                for each in inputs
            ]
        )
