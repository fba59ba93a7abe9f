"""Prints how well ratings of a conversation that are known predict the others: ways side by side.

    python benchmarks/reward_warm.py [--data ../shared/data] [--tuning]

Whole Polis conversations; a fifth of the votes is kept back five times over, so that each vote is
predicted once by what does not know it. The way that ships was chosen on the tuning conversations
(--tuning). Some minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.impute import KNNImputer
from sklearn.kernel_ridge import KernelRidge

from commonweal.datasets.agreements import RoundMatrix, matrix
from commonweal.datasets.importers.polis import import_polis
from commonweal.datasets.schema import VOTE
from commonweal.measures.accuracy import crossed_accuracy, within_person_accuracy
from commonweal.rewards import load_reward_model
from commonweal.rewards.card import with_interval
from commonweal.rewards.warm import warm_profile, warm_ratings

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "first_reward"))

import measure as recipe

DATA = Path(__file__).parents[2] / "shared" / "data"
N_FOLDS, MIN_VOTES, MAX_PEOPLE, N_DRAWS = 5, 7, 250, 500
Way = Callable[[np.ndarray], np.ndarray]


def leanings(votes: np.ndarray) -> np.ndarray:
    """How welcome the statement is, and how much the person agrees: nothing about who fits what."""
    known = np.isfinite(votes)
    statement = np.nansum(votes, axis=0) / (known.sum(axis=0) + 3)
    rest = np.where(known, votes - statement, 0)
    return statement + (rest.sum(axis=1) / (known.sum(axis=1) + 5))[:, None]


def neighbours(votes: np.ndarray) -> np.ndarray:
    """scikit-learn's nearest people."""
    imputer = KNNImputer(n_neighbors=20, weights="distance", keep_empty_features=True)
    return imputer.fit_transform(votes)


def kernel_ridge(votes: np.ndarray, alpha: float = 0.5) -> np.ndarray:
    """Each statement by kernel ridge regression on how alike people voted on the others."""
    known, base = np.isfinite(votes), leanings(votes)
    rest = np.where(known, votes - base, 0)
    scale = np.sqrt((rest**2).sum(axis=1) + 1)[:, None]
    rest = rest / scale
    alike = rest @ rest.T
    out = base.copy()
    for column in range(votes.shape[1]):
        rows = np.flatnonzero(known[:, column])
        if len(rows) < 3:
            continue
        without = alike - np.outer(rest[:, column], rest[:, column])
        model = KernelRidge(alpha=alpha, kernel="precomputed")
        model.fit(without[np.ix_(rows, rows)], (votes - base)[rows, column])
        out[:, column] += model.predict(without[:, rows])
    return out


def factors(votes: np.ndarray, rank: int = 5, ridge: float = 5.0, n_turns: int = 15) -> np.ndarray:
    """Alternating least squares: people and statements as vectors of ``rank`` numbers."""
    known, base = np.isfinite(votes).astype(float), leanings(votes)
    rest = np.where(known == 1, votes - base, 0)
    rng = np.random.default_rng(0)
    people, statements = (rng.normal(0, 0.1, (n, rank)) for n in votes.shape)

    def solved(fixed: np.ndarray, seen: np.ndarray, target: np.ndarray) -> np.ndarray:
        gram = np.einsum("ij,jk,jl->ikl", seen, fixed, fixed, optimize=True)
        gram += ridge * np.eye(rank)
        return np.linalg.solve(gram, (target @ fixed)[..., None])[..., 0]

    for _ in range(n_turns):
        people = solved(statements, known, rest)
        statements = solved(people, known.T, rest.T)
    return base + people @ statements.T


def ways(found: RoundMatrix) -> dict[str, Way]:
    """Each takes votes with gaps and returns votes without."""
    model = load_reward_model()
    blank = np.full(found.agreement.shape, np.nan)
    no_votes = RoundMatrix(
        found.round_id,
        found.question,
        found.participant_ids,
        found.opinions,
        found.candidate_ids,
        found.statements,
        blank,
    )
    cold = warm_profile(model, no_votes, VOTE)
    return {
        "text alone (cold)": lambda votes: np.broadcast_to(cold, votes.shape),
        "leanings alone": leanings,
        "nearest people": neighbours,
        "factors": factors,
        "kernel ridge": kernel_ridge,
        "imputation": lambda votes: warm_ratings(votes, np.zeros_like(votes), VOTE),
        "imputation from text (shipped)": lambda votes: warm_ratings(votes, cold, VOTE),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--tuning", action="store_true", help="the tuning conversations instead")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        print(f"no data at {arguments.data}: nothing is measured")
        return
    warnings.simplefilter("ignore")
    total: dict[str, list[tuple[float, float]]] = {}
    for name in recipe.TUNE if arguments.tuning else recipe.TEST:
        dataset = import_polis(arguments.data / "polis" / name)
        found = matrix(dataset, name, with_opinion=False)
        votes = found.agreement
        fold = np.random.default_rng(0).integers(0, N_FOLDS, votes.shape)
        rng = np.random.default_rng(1)
        people = np.flatnonzero(np.isfinite(votes).sum(axis=1) >= MIN_VOTES)
        people = np.sort(rng.choice(people, min(MAX_PEOPLE, len(people)), replace=False))
        times = np.random.default_rng(2).multinomial(
            len(people), np.full(len(people), 1 / len(people)), N_DRAWS
        )
        print(f"{name}: {len(votes)} people, {len(people)} of them measured")
        for label, way in ways(found).items():
            start, guess = time.perf_counter(), np.zeros_like(votes)
            for number in range(N_FOLDS):
                here = fold == number
                guess[here] = way(np.where(here, np.nan, votes))[here]
            seconds = time.perf_counter() - start
            crossed = crossed_accuracy(guess[people], votes[people], times).estimate
            within = within_person_accuracy(guess[people], votes[people], times).estimate
            total.setdefault(label, []).append((crossed.value, within.value))
            print(
                f"  {label:32} crossed {with_interval(crossed):24} within "
                f"{with_interval(within):24} {seconds:6.1f} s",
                flush=True,
            )
    print("mean over conversations (brackets above: people resampled)")
    for label, figures in total.items():
        crossed, within = np.mean(figures, axis=0)
        print(f"  {label:32} crossed {crossed:.3f}  within {within:.3f}")


if __name__ == "__main__":
    main()
