"""Fits a linear probe by which the default model's states tell how far a person would agree.

    python recipes/probes/agreement.py [--groups 80] [--out out/probes/linear.npz]

Reads groups of `examples/graded_groups` (texts and grades are a language model's, no person's):
directions are fitted to groups of training, eight written statements of each, by ridge regression.
How strongly to shrink is chosen by leaving groups out, and printed. `tune.py` begins with them. The
weight of `reader` beside them, calibration and ranges come from groups of development. A group
takes 12 to 25 seconds of two processor cores; states are kept in `out/probes` as they are made, so
a run broken off goes on.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ridge import folds, members, read, ridge, states_of

from commonweal.models import load_language_model
from commonweal.models.gguf_lora import LoraPair
from commonweal.models.probe import Probe
from commonweal.outcomes import Verdict, verdicts
from commonweal.rewards.calibration import fit_logistic_calibration
from commonweal.rewards.probe import as_text, prompt, prompt_hash
from commonweal.rewards.ranges import around, interval_of
from commonweal.rewards.reader import Reader
from commonweal.types import RATING_NEUTRAL, RewardInput

SHRINKING = (1000.0, 3000.0, 10_000.0, 30_000.0, 100_000.0, 300_000.0)
N_STATEMENTS = 8
N_REAL_STATEMENTS = 10
N_FOR_RANGES = 20_000
"""Pairs drawn with replacement, so that parts count the same in the ranges."""
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
        found += [part_of(each, N_STATEMENTS, rng) for each in first[2 * place : 2 * place + 2]]
        found.append(part_of(open_ones[place], N_STATEMENTS, rng))
        if place % 2 == 0:
            found.append(part_of(others[place // 2], N_STATEMENTS, rng))
    return found[:n]


def part_of(group: dict[str, Any], most: int, rng: random.Random) -> dict[str, Any]:
    """The group with at most so many of its statements, drawn."""
    n = len(group["statements"])
    kept = sorted(rng.sample(range(n), min(most, n)))
    return group | {
        "statements": [group["statements"][j] for j in kept],
        "agreement": [[row[j] for j in kept] for row in group["agreement"]],
    }


def real_part(group: dict[str, Any]) -> dict[str, Any]:
    """Ten of what the model wrote for it: a seed of its own, so that one group more moves none."""
    return part_of(group, N_REAL_STATEMENTS, random.Random(group["id"] + "x"))


class Worth(NamedTuple):
    """Correlations of what is predicted and graded: over all pairs, and crossed."""

    correlation: float
    crossed: float

    def __str__(self) -> str:
        return f"correlation {self.correlation:.3f}, crossed correlation {self.crossed:.3f}"


class Graded:
    """Groups with what the model holds while it reads each statement as each person's own words.

    Args:
        groups: of the graded groups.
        args: the ``layer``, and the folder ``work`` where states are kept.
        model: that reads.
        updates: with which it reads.

    Attributes:
        rows: of each group [n_opinions · n_statements, n_hidden], opinion by opinion.
        grades: likewise, [n_opinions · n_statements].
        n_statements: of each group.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        args: argparse.Namespace,
        model: Any,
        updates: Mapping[str, LoraPair] | None = None,
    ) -> None:
        self.rows, self._groups = [], groups
        self.grades = [np.array(each["agreement"], float).ravel() for each in groups]
        self.n_statements = [len(each["statements"]) for each in groups]
        for number, group in enumerate(groups, start=1):
            pairs = [(o, s) for o in group["opinions"] for s in group["statements"]]
            asked = [prompt(group["question"], opinion) for opinion, _ in pairs]
            texts = [as_text(statement) for _, statement in pairs]
            self.rows.append(states_of(args.work, model, asked, texts, args.layer, updates))
            print(f"\r{number} of {len(groups)} groups", end="", flush=True)
        print()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def ids(self) -> list[str]:
        """Of the groups."""
        return [each["id"] for each in self._groups]

    def centred(self) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
        """The mean of all rows, and rows and grades of each group without their means."""
        middle = np.concatenate(self.rows).mean(axis=0)
        mean = np.concatenate(self.grades).mean()
        return middle, [each - middle for each in self.rows], [each - mean for each in self.grades]

    def told(self, values: list[np.ndarray]) -> Worth:
        """How far these values, of each group one a row, go with the grades."""
        shapes = [(-1, n) for n in self.n_statements]
        each = zip(values, self.grades, shapes, strict=True)
        return Worth(
            float(np.corrcoef(np.concatenate(values), np.concatenate(self.grades))[0, 1]),
            float(np.nanmean([crossed(v.reshape(n), g.reshape(n)) for v, g, n in each])),
        )

    def by_reader(self) -> np.ndarray:
        """The rewards that `reader` gives, one a row."""
        inputs = [
            RewardInput(each["question"], opinion, statement)
            for each in self._groups
            for opinion in each["opinions"]
            for statement in each["statements"]
        ]
        return Reader().rewards(inputs)


def main() -> None:
    """Prints what each amount of shrinking does on groups left out, and saves the best."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", type=int, default=80)
    parser.add_argument("--layer", type=int, default=18)
    parser.add_argument("--out", type=Path, default=Path("out/probes/linear.npz"))
    parser.add_argument("--work", type=Path, default=Path("out/probes"))
    args = parser.parse_args()
    model = load_language_model("embedded")
    written = Graded(drawn(args.groups), args, model)
    development = Graded(read("development"), args, model)
    shrinking = best_shrinking(written)
    middle, rows, targets = written.centred()
    directions = members(rows, targets, shrinking)
    facts = {
        "weights_sha256": model.weights_hash,
        "layer": args.layer,
        "n_groups": len(written),
        "shrinking": shrinking,
    }
    offset = float((middle @ directions).mean())
    values = (np.concatenate(development.rows) @ directions).mean(axis=1) - offset
    probe = Probe(directions, facts, {"offset": np.array([offset])})
    save(args.out, probe, [Part("of other topics, written", development, values)])


def best_shrinking(graded: Graded) -> float:
    """The amount with which a fit tells most of groups that were left out of it."""
    _, rows, targets = graded.centred()
    found = {}
    for shrinking in SHRINKING:
        values = [np.empty(0)] * len(rows)
        for kept, out in folds(len(rows)):
            some, left = (np.concatenate([each[i] for i in kept]) for each in (rows, targets))
            direction = ridge(some, left, shrinking)
            for i in out:
                values[i] = rows[i] @ direction
        worth = graded.told(values)
        print(f"shrinking {shrinking:>7,.0f}: {worth}, {len(rows)} groups, each left out once")
        found[sum(worth)] = shrinking
    return found[max(found)]


def crossed(values: np.ndarray, grades: np.ndarray) -> float:
    """Correlation of what is left of both without the means of people and of statements: there
    only whose opinion it is can help. Both are [n_opinions, n_statements]."""
    left = [
        each - each.mean(axis=0) - each.mean(axis=1, keepdims=True) + each.mean()
        for each in (values, grades)
    ]
    return float(np.corrcoef(left[0].ravel(), left[1].ravel())[0, 1])


class Part(NamedTuple):
    """Groups that a probe was not fitted to: what they are, and what it makes of each row, with its
    offset taken off."""

    name: str
    graded: Graded
    values: np.ndarray


def save(path: Path, probe: Probe, parts: list[Part]) -> None:
    """The probe with what is fitted to these parts: the weight of the reader's rewards beside its
    own, to the first; calibration and ranges, to all, each of which counts the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = [each.graded.by_reader() for each in parts]
    grades = [np.concatenate(each.graded.grades) for each in parts]
    columns = np.column_stack([parts[0].values, beside[0], np.ones(len(beside[0]))])
    mix = np.linalg.lstsq(columns, grades[0], rcond=None)[0][:2]
    if mix[1] < 0:  # a reader that likes a text is no reason against it
        mix = np.array([np.linalg.lstsq(columns[:, [0, 2]], grades[0], rcond=None)[0][0], 0.0])
    own = np.concatenate([each.values for each in parts])
    rewards = np.column_stack([own, np.concatenate(beside)]) @ mix
    weights = np.concatenate([np.full(len(each), 1 / len(each)) for each in grades])
    all_grades = np.concatenate(grades)
    groups = "; ".join(f"{len(each.graded)} groups {each.name}" for each in parts)
    said = f"grades by a language model: {groups}"
    calibration = fit_logistic_calibration(rewards, all_grades, fitted_to=said, weights=weights)
    expected = calibration.expected_rating(rewards)
    drawn = np.random.default_rng(4).choice(len(weights), N_FOR_RANGES, p=weights / weights.sum())
    interval = np.array(interval_of(expected[drawn], all_grades[drawn]))
    ends = np.cumsum([len(each) for each in grades])[:-1]
    for part, told in zip(parts, np.split(expected, ends), strict=True):
        print(f"{part.name}: {on_groups(part.graded, told, interval)}")
    fitted = {
        "mix": mix,
        "calibration": np.array([calibration.slope, calibration.intercept]),
        "interval": interval,
    }
    facts = {"prompt_hash": prompt_hash(), "calibrated_to": said}
    replace(probe, metadata={**probe.metadata, **facts}, arrays={**probe.arrays, **fitted}).save(
        path
    )
    print(f"weights of probe and reader {mix.round(3)}; wrote {path}")


def on_groups(graded: Graded, expected: np.ndarray, interval: np.ndarray) -> str:
    """What the card says of groups that were left out of the fit, but not of calibration and
    ranges. The expected ratings are [n_pairs]."""
    grades = np.concatenate(graded.grades)
    found = np.array(verdicts(expected, *around(expected, interval)))
    ends = np.cumsum([len(each) for each in graded.grades])[:-1]
    means = [
        np.corrcoef(told.reshape(-1, n).mean(axis=0), said.reshape(-1, n).mean(axis=0))[0, 1]
        for told, said, n in zip(
            np.split(expected, ends), graded.grades, graded.n_statements, strict=True
        )
    ]
    agrees, disagrees = (found == each for each in (Verdict.AGREES, Verdict.DISAGREES))
    return (
        f"correlation with a person's grade {np.corrcoef(expected, grades)[0, 1]:.2f}, "
        f"of the mean within a group {np.nanmean(means):.2f}; "
        f"likely agrees {agrees.mean():.1%}, "
        f"right in {(grades[agrees] > RATING_NEUTRAL).mean():.0%}; "
        f"likely disagrees {disagrees.mean():.1%}, "
        f"right in {(grades[disagrees] < RATING_NEUTRAL).mean():.0%}"
    )


if __name__ == "__main__":
    main()
