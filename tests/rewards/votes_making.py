"""Rounds of people whose utilities are known, and models that look their rewards up."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from commonweal.datasets.dataset import About, Dataset, frame
from commonweal.datasets.schema import VOTE, Scale
from commonweal.rewards import LogisticCalibration
from commonweal.types import RewardInput


class TableModel:
    """Looks rewards up by (opinion, statement), raises where there is none, keeps the inputs."""

    name = "table"
    calibration = LogisticCalibration(1.0, 0.0, "nothing: made for a test")

    def __init__(self, rewards: dict[tuple[str, str], float]) -> None:
        self._rewards = rewards
        self.asked: list[RewardInput] = []

    @property
    def weights_hash(self) -> str:
        return hashlib.sha256(repr(sorted(self._rewards.items())).encode()).hexdigest()

    def rewards(self, inputs: Sequence[RewardInput], *, on_done=None) -> np.ndarray:
        self.asked += inputs
        if on_done is not None:
            on_done(len(inputs))
        return np.array([self._rewards[given.opinion, given.statement] for given in inputs])


def opinion(round_id: str, person: int) -> str:
    return f"Person {person} of {round_id} has a view."


def statement(round_id: str, column: int) -> str:
    return f"Statement {column} of {round_id} says" + " more" * (column % 7) + "."


def made_rounds(
    ratings: dict[str, np.ndarray],
    *,
    scale: Scale = VOTE,
    people: str = "replayed",
    topics: dict[str, str] | None = None,
    questions: dict[str, str] | None = None,
    shuffle: np.random.Generator | None = None,
    authors: dict[tuple[str, int], int] | None = None,
) -> Dataset:
    """One round for each array [n_people, n_statements]; nan is no rating."""
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("rounds", "opinions", "candidates", "ratings")
    }
    for key, given in ratings.items():
        here = {"round_id": key}
        question = (questions or {}).get(key, f"q-{key}")
        tables["rounds"].append(
            {
                **here,
                "group_id": key,
                "question_id": question,
                "question": f"What of {question}?",
                "topic": (topics or {}).get(key),
            }
        )
        for i in range(len(given)):
            person = {"participant_id": f"{key}/{i}", "opinion_id": str(i), "source": "written"}
            tables["opinions"].append({**here, **person, "text": opinion(key, i)})
        for j in range(given.shape[1]):
            author = (authors or {}).get((key, j))
            tables["candidates"].append(
                {
                    **here,
                    "candidate_id": str(j),
                    "text": statement(key, j),
                    "policy": "human",
                    "shown": True,
                    "author_id": None if author is None else f"{key}/{author}",
                }
            )
        for i, j in zip(*np.nonzero(np.isfinite(given)), strict=True):
            tables["ratings"].append(
                {
                    **here,
                    "participant_id": f"{key}/{i}",
                    "candidate_id": str(j),
                    "pass_index": 0,
                    "agreement": int(given[i, j]),
                }
            )
    if shuffle is not None:
        for rows in tables.values():
            shuffle.shuffle(rows)
    return Dataset(
        About(name="made", people=people, scale=scale, source="made for a test"),  # type: ignore[arg-type]
        **{name: frame(name, rows) for name, rows in tables.items()},
    )


def table_model(scores: dict[str, np.ndarray]) -> TableModel:
    """A model that gives score [i, j] to person i's opinion and statement j of each round."""
    return TableModel(
        {
            (opinion(key, i), statement(key, j)): float(given[i, j])
            for key, given in scores.items()
            for i in range(given.shape[0])
            for j in range(given.shape[1])
        }
    )


def some_votes(
    rng: np.random.Generator, n_people: int = 12, n_statements: int = 24, missing: float = 0.3
) -> tuple[np.ndarray, np.ndarray]:
    """(votes with gaps, the utilities behind them), both [n_people, n_statements]."""
    utilities = rng.normal(size=(n_people, n_statements)) + rng.normal(size=(1, n_statements))
    cast = np.where(np.abs(utilities) < 0.3, 0.0, np.sign(utilities))
    return np.where(rng.random(cast.shape) < missing, np.nan, cast), utilities
