"""How well a scorer orders what people said, on data that no part of the model was fitted to.

A scorer takes (question, opinions, statements) and returns predictions [n_opinions, n_statements].
The reward model and its baselines are measured on the same comparisons.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import contrast
import numpy as np
import votes
from numpy.typing import NDArray

from commonweal.models.encoder import SentenceEncoder
from commonweal.rewards.accuracy import (
    Accuracy,
    clustered_mean,
    crossed_accuracy,
    within_person_accuracy,
)
from commonweal.types import RewardInput, RewardModel

Floats = NDArray[np.float64]
Scorer = Callable[[str, Sequence[str], Sequence[str]], Floats]
HERE = Path(__file__).parent
SEED = 20221128
# Opinion and statement of the same side agree, of opposite sides disagree.
OPPOSITES = np.array([[1.0, -1.0], [-1.0, 1.0]])


@dataclass(frozen=True)
class Block:
    """A question, opinions on it, statements, and who agreed with what (1, 0, -1 or nan)."""

    question: str
    opinions: Sequence[str]
    statements: Sequence[str]
    answers: Floats
    cluster: int | str


@dataclass(frozen=True)
class Measured:
    """One scorer on one data set."""

    data: str
    scorer: str
    crossed: Accuracy
    within: Accuracy


def polis_block(data: Path, name: str) -> Block:
    """A whole Polis conversation."""
    c = votes.read_conversation(data / "polis" / name)
    return Block(c.question, c.opinions, c.statements, c.votes, name)


def debate_blocks(data: Path, split: str) -> list[Block]:
    """Opposite opinions and statements in frames kept for testing, a block a debate question."""
    rng = np.random.default_rng(SEED)
    debates = contrast.read_debates(data / "debate_questions" / "questions.json", split)
    return [
        Block(
            debate.question,
            [contrast.draw_opinion(debate, side, rng, test=True) for side in (1, -1)],
            [contrast.draw_statement(debate, side, rng, test=True) for side in (1, -1)],
            OPPOSITES,
            debate.topic,
        )
        for debate in debates
    ]


def written_pairs(file_name: str) -> list[Block]:
    """Opposite opinions and leaning statements written by hand, a block a question."""
    pairs = tomllib.loads((HERE / file_name).read_text(encoding="utf-8"))["pair"]
    return [
        Block(
            pair["question"],
            [pair["for"], pair["against"]],
            [pair["statement_for"], pair["statement_against"]],
            OPPOSITES,
            number,
        )
        for number, pair in enumerate(pairs)
    ]


def held_out(data: Path) -> dict[str, list[Block]]:
    """Every test set by its name in the card."""
    sets = {f"Polis: {name}": [polis_block(data, name)] for name in votes.TEST}
    sets["Debate questions of other topics (`ood_test`), other frames"] = debate_blocks(
        data, "ood_test"
    )
    sets["Hand-written opposite opinions (`natural_pairs.toml`)"] = written_pairs(
        "natural_pairs.toml"
    )
    return sets


def tuning(data: Path) -> dict[str, list[Block]]:
    """The sets that choices between models are made on."""
    sets = {f"Polis: {name}": [polis_block(data, name)] for name in votes.TUNE}
    sets["Debate questions (`iid_test`), other frames"] = debate_blocks(data, "iid_test")[::2]
    sets["Hand-written (`tuning_pairs.toml`)"] = written_pairs("tuning_pairs.toml")
    return sets


def measure(name: str, blocks: Sequence[Block], scorers: dict[str, Scorer]) -> list[Measured]:
    """Each scorer's crossed and within-person accuracy on these blocks.

    A conversation is clustered by person; small blocks by topic or pair.
    """
    rows = []
    for label, scorer in scorers.items():
        rng = np.random.default_rng(SEED)
        predictions = [scorer(b.question, b.opinions, b.statements) for b in blocks]
        if len(blocks) == 1:
            crossed = crossed_accuracy(predictions[0], blocks[0].answers, rng)
            within = within_person_accuracy(predictions[0], blocks[0].answers, rng)
        else:
            each = [
                (
                    crossed_accuracy(p, b.answers, rng, n_draws=0).value,
                    within_person_accuracy(p, b.answers, rng, n_draws=0).value,
                )
                for p, b in zip(predictions, blocks, strict=True)
            ]
            clusters = [b.cluster for b in blocks]
            crossed = clustered_mean([c for c, _ in each], clusters, rng)
            within = clustered_mean([w for _, w in each], clusters, rng)
            within = within._replace(n_comparisons=2 * within.n_comparisons)
        rows.append(Measured(name, label, crossed, within))
    return rows


def measure_all(sets: dict[str, list[Block]], scorers: dict[str, Scorer]) -> list[Measured]:
    """``measure`` over several data sets."""
    return [row for name, blocks in sets.items() for row in measure(name, blocks, scorers)]


# ------------------------------------------------------------------------------------- scorers


def of_reward_model(model: RewardModel) -> Scorer:
    """The reward model as a scorer."""

    def scorer(question: str, opinions: Sequence[str], statements: Sequence[str]) -> Floats:
        inputs = [RewardInput(question, o, s) for o in opinions for s in statements]
        return model.rewards(inputs).reshape(len(opinions), len(statements))

    return scorer


def fit_welcome(data: Path, encoder: SentenceEncoder) -> Floats:
    """What makes a statement welcome to anybody, as weights [384] on its embedding.

    Ridge regression of a statement's mean vote (less its conversation's mean) on its embedding,
    over the conversations that the reward model is fitted to.
    """
    features, targets = [], []
    for name in votes.TRAIN:
        block = polis_block(data, name)
        counts = np.isfinite(block.answers).sum(axis=0)
        known = counts >= 5
        means = np.nansum(block.answers[:, known], axis=0) / counts[known]
        features.append(encoder.encode(np.array(block.statements)[known].tolist()))
        targets.append(means - means.mean())
    x, y = np.concatenate(features).astype(np.float64), np.concatenate(targets)
    weights: Floats = np.linalg.solve(x.T @ x + 3.0 * np.eye(x.shape[1]), x.T @ y)
    return weights


def baselines(data: Path, encoder_folder: Path) -> dict[str, Scorer]:
    """What any model has to beat: the same for all; frozen cosine; the statement alone."""
    encoder = SentenceEncoder(encoder_folder)
    weights = fit_welcome(data, encoder)

    def constant(_: str, opinions: Sequence[str], statements: Sequence[str]) -> Floats:
        return np.zeros((len(opinions), len(statements)))

    def cosine(_: str, opinions: Sequence[str], statements: Sequence[str]) -> Floats:
        both = encoder.encode([*opinions, *statements]).astype(np.float64)
        return both[: len(opinions)] @ both[len(opinions) :].T

    def statement_only(_: str, opinions: Sequence[str], statements: Sequence[str]) -> Floats:
        scores = encoder.encode(list(statements)).astype(np.float64) @ weights
        return np.tile(scores, (len(opinions), 1))

    return {
        "constant": constant,
        "statement only": statement_only,
        "cosine of opinion and statement": cosine,
    }
