"""Fits the probe by which the default model's states tell sensible candidates from others.

    python recipes/probes/sense.py [--layer 16] [--out src/commonweal/selection/sense.npz]

Reads what the model wrote for the groups of `examples/graded_groups/outputs_plain.jsonl`, graded by
language models, not people. All groups are needed, so what it is worth is told by leaving groups
out, ten parts in turn: it is printed beside the other ways of choosing, and how strongly to
shrink is chosen by the same. Welfare is by the reward model `probe`, as in the main job.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from ridge import folds, members, read, ridge, states_of

from commonweal.models import load_language_model
from commonweal.models.probe import Probe
from commonweal.outcomes import is_welcome
from commonweal.reading.quoting import as_data
from commonweal.rewards import predictions
from commonweal.rewards.probe import ProbeRewardModel
from commonweal.rewards.reader import Reader
from commonweal.selection import SALAD_QUALITY
from commonweal.selection.record import N_HEARD
from commonweal.selection.sense import PROBE_PATH, prompt, prompt_hash
from commonweal.selection.shortlist import most_sensible

FILE = "outputs_plain"
SHRINKING = (1000.0, 3000.0, 10_000.0, 30_000.0)
N_MEMBERS = 16
SENSIBLE_WEIGHT, AGREEMENT_WEIGHT = 4.0, 3.0
"""Points of quality that "could be read out" counts for, and a point of the group's mean agreement,
beside the grade of quality itself."""
LENGTHS = (1, 2, 3, 4, 6)
"""Of the list between which welfare chooses."""


def main() -> None:
    """Prints what each amount of shrinking does on groups left out, and saves the best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layer", type=int, default=16)
    parser.add_argument("--out", type=Path, default=PROBE_PATH)
    parser.add_argument("--work", type=Path, default=Path("out/probes"))
    args = parser.parse_args()
    groups = read(FILE)
    model = load_language_model("embedded")
    states, targets = [], []
    for group in groups:
        path = args.work / f"sense-{args.layer}-{prompt_hash()}" / f"{group['id']}.npy"
        texts = [as_data(each) for each in group["statements"]]
        asked = [prompt(group["question"], group["opinions"])] * len(texts)
        values = states_of(path, model, asked, texts, args.layer)
        states.append(values - values.mean(axis=0))
        grades = np.array(group["quality"]) + SENSIBLE_WEIGHT * np.array(group["sensible"])
        grades = grades + AGREEMENT_WEIGHT * np.mean(group["agreement"], axis=0)
        targets.append(grades - grades.mean())
    chosen = Choosing(groups, ProbeRewardModel(model, Reader()), args.work)
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
        print(f"shrinking {shrinking:,.0f}: correlation {correlation:.3f}")
        print(f"  the first of three that is welcome: {chosen.by(senses, 1, n_heard=N_HEARD)}")
        for n in LENGTHS:
            print(f"  welfare among {n} by sense: {chosen.by(senses, n)}")
    correlation, shrinking = best
    Probe(
        members(states, targets, shrinking, N_MEMBERS),
        {
            "weights_sha256": model.weights_hash,
            "layer": args.layer,
            "prompt_hash": prompt_hash(),
            "fitted_to": [f"{FILE}.jsonl"],
            "n_groups": len(groups),
            "n_statements": sum(map(len, states)),
            "shrinking": shrinking,
            "correlation_of_groups_left_out": round(correlation, 3),
        },
        {},
    ).save(args.out)
    print(f"wrote {args.out}")


class Choosing:
    """What utilitarian welfare chooses: could it be read out, and how far above that of all of a
    group's candidates is the graders' mean agreement with it?"""

    def __init__(self, groups: list[dict[str, Any]], reward: ProbeRewardModel, work: Path) -> None:
        self._groups, self._welfare, self._qualities, self._welcome = groups, [], [], []
        for group in groups:
            texts = (group["question"], group["opinions"], group["statements"])
            path = work / f"agreement-{reward.weights_hash[:16]}" / f"{group['id']}.npy"
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, predictions(reward, *texts)[1])
            expected = np.load(path)
            self._welfare.append(expected.mean(axis=0))
            low, high = reward.ranges(expected)
            each = zip(expected.T, low.T, high.T, strict=True)
            self._welcome.append([is_welcome(*predicted) for predicted in each])
            self._qualities.append(reward.qualities(*texts))

    def __str__(self) -> str:
        ways = {
            "welfare alone, of all": [int(np.argmax(each)) for each in self._welfare],
            "what was drawn first": [0] * len(self._groups),
        }
        every = np.mean([np.mean(group["sensible"]) for group in self._groups])
        best = np.mean([max(group["sensible"]) for group in self._groups])
        lines = [f"{len(self._groups)} groups: all statements {every:.1%}, the best {best:.1%}"]
        return "\n".join(lines + [f"{way}: {self._told(own)}" for way, own in ways.items()])

    def by(self, senses: list[np.ndarray], n_listed: int, *, n_heard: int = 0) -> str:
        """From a list of ``n_listed`` by these senses of each group's statements; or the first of
        ``n_heard`` that somebody is predicted to agree with and at most half to disagree."""
        found = []
        for i, group in enumerate(self._groups):
            order = most_sensible(
                group["question"],
                group["opinions"],
                group["statements"],
                self._qualities[i],
                list(senses[i]),
            )
            fit = [j for j in order if self._qualities[i][j] >= SALAD_QUALITY] or order
            fit = [j for j in fit[:n_heard] if self._welcome[i][j]][:1] or fit
            found.append(max(sorted(fit[:n_listed]), key=lambda j: self._welfare[i][j]))
        return self._told(found)

    def _told(self, chosen: list[int]) -> str:
        sensible, gain = [], []
        for group, j in zip(self._groups, chosen, strict=True):
            agreement = np.mean(group["agreement"], axis=0)
            sensible.append(group["sensible"][j])
            gain.append(agreement[j] - agreement.mean())
        draws = np.random.default_rng(2).integers(len(chosen), size=(4000, len(chosen)))
        low, high = np.quantile(np.array(sensible)[draws].mean(axis=1), [0.025, 0.975])
        return f"{np.mean(sensible):.1%} ({low:.1%} to {high:.1%}), agreement {np.mean(gain):+.2f}"


if __name__ == "__main__":
    main()
