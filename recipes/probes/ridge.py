"""States kept as they are made, and ridge regression on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from commonweal.models.gguf_lora import LoraPair

GROUPS = Path(__file__).parents[2] / "examples" / "graded_groups"
N_FOLDS = 10
N_MEMBERS = 16


def read(name: str) -> list[dict[str, Any]]:
    """The groups of one file of ``examples/graded_groups``."""
    lines = (GROUPS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def states_of(
    work: Path,
    model: Any,
    prompts: Sequence[Any],
    texts: Sequence[str],
    layer: int,
    updates: Mapping[str, LoraPair] | None = None,
) -> np.ndarray:
    """The mean states of the texts after their prompts, [n_texts, n_hidden]; from the folder, if
    the same were made before."""
    weights = model.weights_hash + (hash_of(updates) if updates else "")
    path = place_of(work, weights, prompts, texts, layer)
    if not path.is_file():
        work.mkdir(parents=True, exist_ok=True)
        values = model.mean_states(prompts, texts, layer=layer, updates=updates)
        part = work / "part.npy"  # a run broken off leaves no half of a file
        np.save(part, values.astype(np.float16))
        part.rename(path)
    return np.load(path).astype(np.float64)


def place_of(
    work: Path, weights: str, prompts: Sequence[Any], texts: Sequence[str], layer: int
) -> Path:
    """The file for the states of just these texts, by a hash of all that they depend on."""
    told = json.dumps([weights, layer, prompts, texts])
    return work / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.npy"


def hash_of(updates: Mapping[str, LoraPair]) -> str:
    """Of their numbers."""
    digest = hashlib.sha256()
    for name, pair in updates.items():
        digest.update(name.encode() + pair.up.tobytes() + pair.down.tobytes())
    return digest.hexdigest()


def folds(n_groups: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(Groups to fit to, groups left out), ``N_FOLDS`` times."""
    place = np.random.default_rng(0).permutation(n_groups) % N_FOLDS
    for fold in range(N_FOLDS):
        yield np.flatnonzero(place != fold), np.flatnonzero(place == fold)


def ridge(rows: np.ndarray, targets: np.ndarray, shrinking: float) -> np.ndarray:
    """The direction [n_hidden] of ridge regression without a constant, each column divided by its
    spread."""
    spread = rows.std(axis=0) + 1e-6
    scaled = rows / spread
    gram = scaled.T @ scaled + shrinking * np.eye(scaled.shape[1])
    return np.linalg.solve(gram, scaled.T @ targets) / spread


def members(
    groups: Sequence[np.ndarray], targets: Sequence[np.ndarray], shrinking: float
) -> np.ndarray:
    """``N_MEMBERS`` directions, [n_hidden, n], each from groups drawn with replacement (Breiman
    1996)."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(N_MEMBERS):
        drawn = rng.integers(len(groups), size=len(groups))
        rows = np.concatenate([groups[i] for i in drawn])
        found.append(ridge(rows, np.concatenate([targets[i] for i in drawn]), shrinking))
    return np.stack(found, axis=1)
