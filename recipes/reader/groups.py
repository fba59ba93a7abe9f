"""The graded groups of ``examples/graded_groups``: opinions, statements and every pair's grade."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Group:
    """One question. Agreement is [n_opinions, n_statements], quality [n_statements], 1 to 7."""

    name: str
    question: str
    opinions: tuple[str, ...]
    statements: tuple[str, ...]
    agreement: np.ndarray
    quality: np.ndarray

    def texts(self) -> list[tuple[str, str, str]]:
        """Question, opinion and statement of every pair, opinion by opinion."""
        return [(self.question, o, s) for o in self.opinions for s in self.statements]


def read_groups(folder: Path, split: str) -> list[Group]:
    """The groups of "train", "development" or "test"."""
    found = []
    for line in (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found.append(
            Group(
                row["id"],
                row["question"],
                tuple(row["opinions"]),
                tuple(row["statements"]),
                np.array(row["agreement"], dtype=np.float64),
                np.array(row["quality"], dtype=np.float64),
            )
        )
    return found
