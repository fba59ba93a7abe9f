"""Fits the probe by which the default model's states tell sensible candidates from others.

    python recipes/probes/sense.py [--layer 16] [--out src/commonweal/selection/sense.npz] [--sides]

Reads what the model wrote for the groups of `examples/graded_groups/outputs_plain.jsonl` and
`outputs_plain_second.jsonl`, graded by language models, not people. All groups are needed, so what
it is worth is told by leaving groups out, ten parts in turn: it is printed beside what was written
first and the best there is, and how strongly to shrink is chosen by the same. What the first file
alone teaches is printed for the second, which was written and graded later.

With ``--sides`` the reward model `probe` reads the second file's texts for each person, which takes
half an hour, and nothing is saved: printed is what comes first where the side that more people are
predicted to be on counts beside the order of groups left out (docs/decisions/051).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from ridge import folds, members, read, ridge, states_of

from commonweal.models import load_language_model
from commonweal.models.probe import Probe
from commonweal.reading.quoting import as_data
from commonweal.rewards import load_reward_model, predictions
from commonweal.rewards.cache import CachedRewardModel
from commonweal.selection.sense import PROBE_PATH, prompt, prompt_hash
from commonweal.selection.shortlist import most_sensible, of_their_side, says_no

FILES = ("outputs_plain", "outputs_plain_second")
SHRINKING = (1000.0, 3000.0, 10_000.0, 30_000.0)
SENSIBLE_WEIGHT, AGREEMENT_WEIGHT = 4.0, 3.0
"""Points of quality that "could be read out" counts for, and a point of the group's mean agreement,
beside the grade of quality itself."""
LENGTHS = (1, 2, 3, 4, 6)
"""Of the list from which one could be chosen by chance."""


def main() -> None:
    """Prints what each amount of shrinking does on groups left out, and saves the best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layer", type=int, default=16)
    parser.add_argument("--out", type=Path, default=PROBE_PATH)
    parser.add_argument("--work", type=Path, default=Path("out/probes"))
    parser.add_argument("--sides", action="store_true")
    args = parser.parse_args()
    groups = [group for name in FILES for group in read(name)]
    model = load_language_model("embedded")
    states, targets = [], []
    for group in groups:
        texts = [as_data(each) for each in group["statements"]]
        asked = [prompt(group["question"], group["opinions"])] * len(texts)
        values = states_of(args.work, model, asked, texts, args.layer)
        states.append(values - values.mean(axis=0))
        grades = np.array(group["quality"]) + SENSIBLE_WEIGHT * np.array(group["sensible"])
        grades = grades + AGREEMENT_WEIGHT * np.mean(group["agreement"], axis=0)
        targets.append(grades - grades.mean())
    every = [list(range(len(group["statements"]))) for group in groups]
    best_of = [[int(np.argmax(group["sensible"]))] for group in groups]
    print(f"all texts of {len(groups)} groups: {told(groups, every)}")
    print(f"what was written first: {told(groups, [[0]] * len(groups))}")
    print(f"one that could be read out, if there is any: {told(groups, best_of)}")
    best, best_senses = (-np.inf, SHRINKING[0]), [np.empty(0)]
    n_first = len(read(FILES[0]))
    for shrinking in SHRINKING:
        senses = [np.empty(0)] * len(groups)
        for kept, out in folds(len(groups)):
            direction = fitted(states, targets, kept, shrinking)
            for i in out:
                senses[i] = states[i] @ direction
        correlation = correlated(senses, targets)
        if (correlation, shrinking) > best:
            best, best_senses = (correlation, shrinking), senses
        print(f"shrinking {shrinking:,.0f}: correlation {correlation:.3f}")
        orders = [order(*each) for each in zip(groups, senses, strict=True)]
        for n in LENGTHS:
            print(f"  of the first {n}: {told(groups, [each[:n] for each in orders])}")
        earlier = fitted(states, targets, range(n_first), shrinking)
        later = [order(group, x @ earlier) for group, x in zip(groups, states, strict=True)]
        firsts = [each[:1] for each in later[n_first:]]
        print(f"  of {FILES[1]} the first by {FILES[0]}: {told(groups[n_first:], firsts)}")
    if args.sides:
        told_by_sides(args.work, model, groups[n_first:], best_senses[n_first:])
        return
    correlation, shrinking = best
    Probe(
        members(states, targets, shrinking),
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


def fitted(
    states: list[np.ndarray], targets: list[np.ndarray], kept: Iterable[int], shrinking: float
) -> np.ndarray:
    """The direction that these groups teach."""
    some, wanted = (np.concatenate([each[i] for i in kept]) for each in (states, targets))
    return ridge(some, wanted, shrinking)


def correlated(values: list[np.ndarray], targets: list[np.ndarray]) -> float:
    """The mean correlation within a group, of those whose texts differ."""
    pairs = zip(values, targets, strict=True)
    return float(np.mean([np.corrcoef(one, wanted)[0, 1] for one, wanted in pairs if wanted.std()]))


def told_by_sides(
    work: Path, model: Any, groups: list[dict[str, Any]], senses: list[np.ndarray]
) -> None:
    """Prints what comes first with and without what is predicted of each side, and how often the
    side that is predicted to please more is the one that graders agree with more."""
    work.mkdir(parents=True, exist_ok=True)
    reward = CachedRewardModel(load_reward_model("probe", writer=model), work / "rewards.sqlite")
    means = [
        predictions(reward, each["question"], each["opinions"], each["statements"])[1].mean(axis=0)
        for each in groups
    ]
    alone = [order(*each)[:1] for each in zip(groups, senses, strict=True)]
    beside = [order(*each)[:1] for each in zip(groups, senses, means, strict=True)]
    n_other = sum(one != other for one, other in zip(alone, beside, strict=True))
    print(f"{len(groups)} groups, the first of the order: {told(groups, alone)}")
    print(f"with the sides, another text in {n_other} of them: {told(groups, beside)}")
    right = [
        (of_side(group, means_of_group) > 0) == (of_side(group, graded) > 0)
        for group, means_of_group in zip(groups, means, strict=True)
        if of_side(group, graded := np.mean(group["agreement"], axis=0))
    ]
    print(f"{len(right)} have texts on both sides, and the side is right in {np.mean(right):.0%}")


def of_side(group: dict[str, Any], means: np.ndarray) -> float:
    """How much more the texts please that refuse; 0 where all are on one side."""
    sides = of_their_side(group["statements"], means)
    return float(sides[np.argmax(list(map(says_no, group["statements"])))])


def order(group: dict[str, Any], senses: np.ndarray, means: np.ndarray | None = None) -> list[int]:
    """As in the main job, without its floor of quality, and without predictions unless given."""
    texts = group["statements"]
    return most_sensible(group["question"], group["opinions"], texts, None, list(senses), means)


def told(groups: list[dict[str, Any]], chosen: list[list[int]]) -> str:
    """How many of these texts could be read out, each group counting the same, and how far above
    that of all of a group's texts the graders' mean agreement with them is."""
    sensible, gain = [], []
    for group, texts in zip(groups, chosen, strict=True):
        agreement = np.mean(group["agreement"], axis=0)
        sensible.append(np.mean([group["sensible"][j] for j in texts]))
        gain.append(agreement[texts].mean() - agreement.mean())
    draws = np.random.default_rng(2).integers(len(chosen), size=(4000, len(chosen)))
    low, high = np.quantile(np.array(sensible)[draws].mean(axis=1), [0.025, 0.975])
    return f"{np.mean(sensible):.1%} ({low:.1%} to {high:.1%}), agreement {np.mean(gain):+.2f}"


if __name__ == "__main__":
    main()
