"""Fits the probe by which the default model's states tell sensible candidates from others.

    python recipes/probes/sense.py [--layer 16] [--out src/commonweal/selection/sense.npz]

Reads what the model wrote for the groups of `examples/graded_groups/outputs_*.jsonl`, graded by
language models, not people. All groups are needed, so what it is worth is told by leaving groups
out, ten parts in turn: it is printed beside the other ways of choosing, and how strongly to
shrink is chosen by the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from ridge import folds, members, read, ridge, states_of

from commonweal.models import load_language_model
from commonweal.models.probe import Probe
from commonweal.reading.quoting import as_data
from commonweal.rewards import predictions
from commonweal.rewards.reader import Reader
from commonweal.selection import MIN_QUALITY, SALAD_QUALITY
from commonweal.selection.sense import PROBE_PATH, prompt, prompt_hash
from commonweal.selection.shortlist import most_sensible

FILES = ("outputs_train", "outputs_development", "outputs_test", "outputs_fresh")
SHRINKING = (1000.0, 3000.0, 10_000.0)
N_MEMBERS = 16
SENSIBLE_WEIGHT = 4.0
"""Points of quality that "could be read out" counts for beside the grade of quality itself."""


def graded(group: dict[str, Any], what: str) -> np.ndarray:
    """The mean of its one or two graders, [n_statements]."""
    return np.mean([group[name] for name in (what, f"second_{what}") if name in group], axis=0)


def main() -> None:
    """Prints what each amount of shrinking does on groups left out, and saves the best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layer", type=int, default=16)
    parser.add_argument("--out", type=Path, default=PROBE_PATH)
    parser.add_argument("--work", type=Path, default=Path("out/probes"))
    args = parser.parse_args()
    groups = [group for name in FILES for group in read(name)]
    model = load_language_model("embedded")
    states, targets = [], []
    sensible = [graded(group, "sensible") for group in groups]
    for group, own in zip(groups, sensible, strict=True):
        path = args.work / f"sense-{args.layer}-{prompt_hash()}" / f"{group['id']}.npy"
        texts = [as_data(each) for each in group["statements"]]
        asked = [prompt(group["question"], group["opinions"])] * len(texts)
        values = states_of(path, model, asked, texts, args.layer)
        states.append(values - values.mean(axis=0))
        grades = graded(group, "quality") + SENSIBLE_WEIGHT * own
        targets.append(grades - grades.mean())
    chosen = Choosing(groups, sensible)
    print(chosen)
    best = (-np.inf, SHRINKING[0])
    for shrinking in SHRINKING:
        correlations: list[float] = []
        senses: list[np.ndarray] = [np.empty(0)] * len(groups)
        for kept, out in folds(len(groups)):
            rows = np.concatenate([states[i] for i in kept])
            direction = ridge(rows, np.concatenate([targets[i] for i in kept]), shrinking)
            for i in out:
                values = states[i] @ direction
                senses[i] = values
                if targets[i].std() > 0:
                    correlations.append(np.corrcoef(values, targets[i])[0, 1])
        correlation = float(np.mean(correlations))
        best = max(best, (correlation, shrinking))
        print(f"shrinking {shrinking:>7,.0f}: correlation {correlation:.3f}; {chosen.by(senses)}")
    correlation, shrinking = best
    Probe(
        members(states, targets, shrinking, N_MEMBERS),
        {
            "weights_sha256": model.weights_hash,
            "layer": args.layer,
            "prompt_hash": prompt_hash(),
            "fitted_to": [f"{name}.jsonl" for name in FILES],
            "n_groups": len(groups),
            "n_statements": sum(map(len, states)),
            "shrinking": shrinking,
            "correlation_of_groups_left_out": round(correlation, 3),
        },
        {},
    ).save(args.out)
    print(f"wrote {args.out}")


class Choosing:
    """What could be read out of what utilitarian welfare chooses from a list of two, above that
    list's floor."""

    def __init__(self, groups: list[dict[str, Any]], sensible: list[np.ndarray]) -> None:
        reader = Reader()
        self._sensible, self._groups, self._welfare, self._qualities = sensible, groups, [], []
        for group in groups:
            texts = (group["question"], group["opinions"], group["statements"])
            self._welfare.append(predictions(reader, *texts)[1].mean(axis=0))
            self._qualities.append(reader.qualities(*texts))

    def __str__(self) -> str:
        alone = [
            own[int(np.argmax(w))] for own, w in zip(self._sensible, self._welfare, strict=True)
        ]
        return (
            f"{len(self._groups)} groups; could be read out: of all statements "
            f"{np.mean([own.mean() for own in self._sensible]):.1%}, of those with the highest "
            f"welfare {np.mean(alone):.1%}, from a list by quality and words "
            f"{self._share([None] * len(self._groups))}, the best of each group "
            f"{np.mean([own.max() for own in self._sensible]):.1%}"
        )

    def by(self, senses: list[np.ndarray]) -> str:
        """The share with these senses of each group's statements."""
        return f"from a list by sense and words {self._share(senses)}"

    def _share(self, senses: list[Any]) -> str:
        found = []
        for i, group in enumerate(self._groups):
            order = most_sensible(
                group["question"],
                group["opinions"],
                group["statements"],
                self._qualities[i],
                [None] if senses[i] is None else list(senses[i]),
            )
            floor = MIN_QUALITY if senses[i] is None else SALAD_QUALITY
            listed = ([j for j in order if self._qualities[i][j] >= floor] or order)[:2]
            found.append(self._sensible[i][max(sorted(listed), key=lambda j: self._welfare[i][j])])
        draws = np.random.default_rng(2).integers(len(found), size=(4000, len(found)))
        low, high = np.quantile(np.array(found)[draws].mean(axis=1), [0.025, 0.975])
        return f"{np.mean(found):.1%} ({low:.1%} to {high:.1%})"


if __name__ == "__main__":
    main()
