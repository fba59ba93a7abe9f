"""Fits the probe that tells which passages of people's opinions could stand as a statement.

    python recipes/probes/own_words.py [--layer 16] [--out src/commonweal/selection/own_words.npz]

Reads passages of the opinions of 84 groups (`examples/graded_groups/own_words_train.jsonl`),
graded by language models, not people: could it be read out to the group, on its own, as something
to agree on? How strongly to shrink is chosen by leaving groups out, in ten parts. What the passages
are worth that the main job would take is printed for these, and for the 36 groups of
`own_words_test.jsonl`, to which nothing is fitted. A group takes about six seconds of two
processor cores.
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
from commonweal.selection.own_words import PROBE_PATH, OwnWords, taken
from commonweal.selection.sense import prompt, prompt_hash

TRAIN, TEST = "own_words_train", "own_words_test"
SHRINKING = (1000.0, 3000.0, 10_000.0, 30_000.0)


def main() -> None:
    """Prints what each amount of shrinking does on groups left out, and saves the best."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layer", type=int, default=16)
    parser.add_argument("--out", type=Path, default=PROBE_PATH)
    parser.add_argument("--work", type=Path, default=Path("out/probes"))
    args = parser.parse_args()
    model = load_language_model("embedded")
    groups, others = read(TRAIN), read(TEST)
    rows, kept_out = ([_states(args, model, each) for each in some] for some in (groups, others))
    stands = [np.array(each["stands"], float) for each in groups]
    best = (-np.inf, SHRINKING[0])
    for shrinking in SHRINKING:
        values = [np.empty(0)] * len(groups)
        for fitted, out in folds(len(groups)):
            direction, offset = _fitted(rows, stands, fitted, shrinking)
            for i in out:
                values[i] = rows[i] @ direction - offset
        print(f"shrinking {shrinking:,.0f}, each group left out once: {told(groups, values)}")
        best = max(best, (area(np.concatenate(values), np.concatenate(stands)), shrinking))
    _, shrinking = best
    middle, mean = np.concatenate(rows).mean(axis=0), np.concatenate(stands).mean()
    directions = members(
        [each - middle for each in rows], [each - mean for each in stands], shrinking
    )
    offset = float((middle @ directions).mean() - mean)
    unseen = [(each @ directions).mean(axis=1) - offset for each in kept_out]
    print(f"{TEST}: {told(others, unseen)}")
    facts = {
        "weights_sha256": model.weights_hash,
        "layer": args.layer,
        "prompt_hash": prompt_hash(),
        "fitted_to": [f"{TRAIN}.jsonl"],
        "n_groups": len(groups),
        "n_passages": sum(map(len, rows)),
        "shrinking": shrinking,
    }
    Probe(directions, facts, {"offset": np.array([offset])}).save(args.out)
    print(f"wrote {args.out}")


def _states(args: argparse.Namespace, model: Any, group: dict[str, Any]) -> np.ndarray:
    texts = [as_data(each) for each in group["passages"]]
    asked = [prompt(group["question"], group["opinions"])] * len(texts)
    return states_of(args.work, model, asked, texts, args.layer)


def _fitted(
    rows: list[np.ndarray], targets: list[np.ndarray], kept: np.ndarray, shrinking: float
) -> tuple[np.ndarray, float]:
    some, wanted = (np.concatenate([each[i] for i in kept]) for each in (rows, targets))
    middle, mean = some.mean(axis=0), wanted.mean()
    direction = ridge(some - middle, wanted - mean, shrinking)
    return direction, float(middle @ direction - mean)


def told(groups: list[dict[str, Any]], values: list[np.ndarray]) -> str:
    """What these values find, in words."""
    stands = np.concatenate([each["stands"] for each in groups])
    chosen = [taken(_passages(each), some) for each, some in zip(groups, values, strict=True)]
    found = [
        (each["stands"][j], np.mean(each["agreement"], axis=0)[j])
        for each, some in zip(groups, chosen, strict=True)
        for j in some
    ]
    stand, agreement = np.mean(found, axis=0)
    some = np.mean([bool(each) for each in chosen])
    return (
        f"of two the one that stands is told in {area(np.concatenate(values), stands):.3f}; "
        f"{len(found) / len(groups):.1f} a group are taken, some in {some:.0%} of groups; of these "
        f"{stand:.0%} stand (of all {stands.mean():.0%}); mean agreement {agreement:.2f}"
    )


def _passages(group: dict[str, Any]) -> list[OwnWords]:
    authors = map(str, group["authors"])
    return [OwnWords(*each) for each in zip(authors, group["passages"], strict=True)]


def area(values: np.ndarray, is_so: np.ndarray) -> float:
    """The share of pairs, one that is so and one that is not, in which the former has more."""
    return float(np.mean(values[is_so == 1][:, None] > values[is_so == 0]))


if __name__ == "__main__":
    main()
