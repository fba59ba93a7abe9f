"""Fits the probe by which the default model's states tell how far a person would agree.

    python recipes/probes/agreement.py [--groups 80] [--out src/commonweal/rewards/probe.npz]

Reads groups of `examples/graded_groups` (texts and grades are a language model's, no person's):
those of training to fit to, eight statements of each; the development groups for calibration and
ranges. The test groups are read by `benchmarks/preferences.py` alone. How strongly to shrink is
chosen by leaving groups out, and printed. A group takes about fifteen seconds of two processor
cores; states are kept in `out/probes` as they are made, so a run broken off goes on.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

import numpy as np
from ridge import folds, members, read, ridge, states_of

from commonweal.models import load_language_model
from commonweal.models.probe import Probe
from commonweal.rewards.calibration import fit_logistic_calibration
from commonweal.rewards.probe import WEIGHTS_PATH, as_text, prompt, prompt_hash
from commonweal.rewards.ranges import interval_of
from commonweal.rewards.reader import Reader
from commonweal.types import RewardInput

SHRINKING = (1000.0, 3000.0, 10_000.0, 30_000.0, 100_000.0)
N_MEMBERS = 16
N_STATEMENTS = 8
PEOPLE_S = ("h7", "h8", "h9")
"""Ids of groups that are like open conversations: people's comments, and others' short comments."""


def drawn(n: int) -> list[dict[str, Any]]:
    """``n`` groups of training, mixed: six of `train`, three like open conversations, two others of
    `train_second`, and so on; of twelve statements eight."""
    rng = random.Random(3)
    first = [each for each in read("train") if each["id"].startswith("g")]
    second = read("train_second")
    open_ones = [each for each in second if each["id"][:2] in PEOPLE_S]
    others = [each for each in second if each["id"][:2] not in PEOPLE_S]
    for some in (first, open_ones, others):
        rng.shuffle(some)
    found = []
    for place in range(len(open_ones)):
        found += [_part(each, rng) for each in first[2 * place : 2 * place + 2]]
        found.append(_part(open_ones[place], rng))
        if place % 2 == 0:
            found.append(_part(others[place // 2], rng))
    return found[:n]


def _part(group: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    n = len(group["statements"])
    kept = sorted(rng.sample(range(n), min(N_STATEMENTS, n)))
    return group | {
        "statements": [group["statements"][j] for j in kept],
        "agreement": [[row[j] for j in kept] for row in group["agreement"]],
    }


def states(groups: list[dict[str, Any]], model: Any, layer: int, work: Path) -> list[np.ndarray]:
    """Of each group [n_opinions · n_statements, n_hidden], opinion by opinion."""
    found = []
    for number, group in enumerate(groups, start=1):
        pairs = [(o, s) for o in group["opinions"] for s in group["statements"]]
        path = work / f"agreement-{layer}-{prompt_hash()}" / f"{group['id']}.npy"
        asked = [prompt(group["question"], opinion) for opinion, _ in pairs]
        texts = [as_text(statement) for _, statement in pairs]
        found.append(states_of(path, model, asked, texts, layer))
        print(f"\r{number} of {len(groups)} groups", end="", flush=True)
    print()
    return found


def main() -> None:
    """Prints what each amount of shrinking does on groups left out, and saves the best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=80)
    parser.add_argument("--development", type=int, default=20)
    parser.add_argument("--layer", type=int, default=18)
    parser.add_argument("--out", type=Path, default=WEIGHTS_PATH)
    parser.add_argument("--work", type=Path, default=Path("out/probes"))
    args = parser.parse_args()
    model = load_language_model("embedded")
    training, development = drawn(args.groups), read("development")[: args.development]
    own = states(training, model, args.layer, args.work)
    grades = [np.array(group["agreement"], float).ravel() for group in training]
    middle = np.concatenate(own).mean(axis=0)
    rows, targets = [each - middle for each in own], [each - 4 for each in grades]
    best = (-np.inf, SHRINKING[0])
    for shrinking in SHRINKING:
        within, together = [], []
        for kept, out in folds(len(rows)):
            direction = ridge(
                np.concatenate([rows[i] for i in kept]),
                np.concatenate([targets[i] for i in kept]),
                shrinking,
            )
            for i in out:
                n = len(training[i]["statements"])
                values = rows[i] @ direction
                within.append(crossed(values.reshape(-1, n), targets[i].reshape(-1, n)))
                together.append(np.column_stack([values, targets[i]]))
        correlation = np.corrcoef(np.concatenate(together).T)[0, 1]
        best = max(best, (float(correlation + np.nanmean(within)), shrinking))
        print(
            f"shrinking {shrinking:>7,.0f}: correlation {correlation:.3f}, crossed correlation "
            f"{np.nanmean(within):.3f}, {len(training)} groups, each left out once"
        )
    _save(args, best[1], rows, targets, middle, development, model)


def crossed(values: np.ndarray, grades: np.ndarray) -> float:
    """Correlation of what is left of both without the means of people and of statements: there
    only whose opinion it is can help. Both are [n_opinions, n_statements]."""
    left = [
        each - each.mean(axis=0) - each.mean(axis=1, keepdims=True) + each.mean()
        for each in (values, grades)
    ]
    return float(np.corrcoef(left[0].ravel(), left[1].ravel())[0, 1])


def _save(
    args: argparse.Namespace,
    shrinking: float,
    rows: list[np.ndarray],
    targets: list[np.ndarray],
    middle: np.ndarray,
    development: list[dict[str, Any]],
    model: Any,
) -> None:
    """The directions, with calibration and ranges from the development groups."""
    directions = members(rows, targets, shrinking, N_MEMBERS)
    own = np.concatenate(states(development, model, args.layer, args.work))
    grades = np.concatenate([np.array(each["agreement"], float).ravel() for each in development])
    read = ((own - middle) @ directions).mean(axis=1)
    beside = Reader().rewards(
        [
            RewardInput(each["question"], opinion, statement)
            for each in development
            for opinion in each["opinions"]
            for statement in each["statements"]
        ]
    )
    columns = np.column_stack([read, beside, np.ones(len(read))])
    mix = np.linalg.lstsq(columns, grades, rcond=None)[0][:2]
    rewards = columns[:, :2] @ mix
    said = f"grades of {len(development)} graded groups of other topics, by a language model"
    calibration = fit_logistic_calibration(rewards, grades, fitted_to=said)
    Probe(
        directions,
        {
            "weights_sha256": model.weights_hash,
            "layer": args.layer,
            "prompt_hash": prompt_hash(),
            "n_groups": len(rows),
            "n_pairs": sum(map(len, rows)),
            "n_development_groups": len(development),
            "shrinking": shrinking,
            "calibrated_to": said,
        },
        {
            "mix": mix,
            "offset": np.array([(middle @ directions).mean()]),
            "calibration": np.array([calibration.slope, calibration.intercept]),
            "interval": np.array(interval_of(calibration.expected_rating(rewards), grades)),
        },
    ).save(args.out)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
