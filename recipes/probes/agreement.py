"""Fits the probe by which the default model's states tell how far a person would agree.

    python recipes/probes/agreement.py [--groups 80] [--out src/commonweal/rewards/probe.npz]

Reads groups of `examples/graded_groups` (texts and grades are a language model's, no person's).
First directions are fitted to groups of training, eight written statements of each. Then these are
fitted on, and shrunk towards what they were, to what the model itself wrote, ten statements of each
group, which differ less than written ones. Weights of the two parts, calibration and ranges come
from groups of development and from real texts whose group was left out. The test groups are read by
`benchmarks/preferences.py` alone. How strongly to shrink is chosen by leaving groups out, and
printed. A group takes 12 to 25 seconds of two processor cores; states are kept in `out/probes` as
they are made, so a run broken off goes on. `--onto` takes the first directions from a probe of
before, and reads only the other groups; where `--groups` asks for more than it knows, it is fitted
on to the rest of them first.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ridge import folds, members, read, ridge, states_of

from commonweal.models import load_language_model
from commonweal.models.probe import Probe
from commonweal.outcomes import Verdict, verdicts
from commonweal.rewards.calibration import fit_logistic_calibration
from commonweal.rewards.probe import WEIGHTS_PATH, as_text, prompt, prompt_hash
from commonweal.rewards.ranges import around, interval_of
from commonweal.rewards.reader import Reader
from commonweal.types import RATING_NEUTRAL, RewardInput

SHRINKING = (1000.0, 3000.0, 10_000.0, 30_000.0, 100_000.0, 300_000.0)
N_MEMBERS = 16
N_STATEMENTS = 8
REAL, N_REAL_STATEMENTS = "outputs_plain", 10
N_FOR_RANGES = 20_000
"""Pairs drawn with replacement, so that real and written ones count the same in the ranges."""
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
        found += [_part(each, N_STATEMENTS, rng) for each in first[2 * place : 2 * place + 2]]
        found.append(_part(open_ones[place], N_STATEMENTS, rng))
        if place % 2 == 0:
            found.append(_part(others[place // 2], N_STATEMENTS, rng))
    return found[:n]


def _part(group: dict[str, Any], most: int, rng: random.Random) -> dict[str, Any]:
    n = len(group["statements"])
    kept = sorted(rng.sample(range(n), min(most, n)))
    return group | {
        "statements": [group["statements"][j] for j in kept],
        "agreement": [[row[j] for j in kept] for row in group["agreement"]],
    }


def _real(group: dict[str, Any]) -> dict[str, Any]:
    """Ten of what the model wrote for it: a seed of its own, so that one group more moves none."""
    return _part(group, N_REAL_STATEMENTS, random.Random(group["id"] + "x"))


class Worth(NamedTuple):
    """Correlations of what is predicted and graded: over all pairs, and crossed."""

    correlation: float
    crossed: float

    def __str__(self) -> str:
        return f"correlation {self.correlation:.3f}, crossed correlation {self.crossed:.3f}"


class Graded:
    """Groups with what the model holds while it reads each statement as each person's own words.

    Attributes:
        rows: of each group [n_opinions · n_statements, n_hidden], opinion by opinion.
        grades: likewise, [n_opinions · n_statements].
        n_statements: of each group.
    """

    def __init__(self, groups: list[dict[str, Any]], args: argparse.Namespace, model: Any) -> None:
        self.rows, self._groups = [], groups
        self.grades = [np.array(each["agreement"], float).ravel() for each in groups]
        self.n_statements = [len(each["statements"]) for each in groups]
        for number, group in enumerate(groups, start=1):
            pairs = [(o, s) for o in group["opinions"] for s in group["statements"]]
            asked = [prompt(group["question"], opinion) for opinion, _ in pairs]
            texts = [as_text(statement) for _, statement in pairs]
            self.rows.append(states_of(args.work, model, asked, texts, args.layer))
            print(f"\r{number} of {len(groups)} groups", end="", flush=True)
        print()

    def __len__(self) -> int:
        return len(self.rows)

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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=80)
    parser.add_argument("--development", type=int, default=20)
    parser.add_argument("--layer", type=int, default=18)
    parser.add_argument(
        "--onto", type=Path, help="a probe of written groups, not to be fitted anew"
    )
    parser.add_argument("--out", type=Path, default=WEIGHTS_PATH)
    parser.add_argument("--work", type=Path, default=Path("out/probes"))
    args = parser.parse_args()
    model = load_language_model("embedded")
    directions, n_written = None, 0
    if args.onto is not None:
        before = Probe.load(args.onto, prompt_hash=prompt_hash(), recipe=__file__)
        if "n_written_groups" in before.metadata:
            raise SystemExit(
                f"{args.onto} has read the model's own texts, which are left out in turn below; "
                "expected one that was fitted to written groups alone (README.md says which)"
            )
        directions, n_written = before.directions, before.metadata["n_groups"]
    development = Graded(read("development")[: args.development], args, model)
    real_groups = read(REAL)
    ids = {each["id"] for each in real_groups}
    if new := [each for each in drawn(args.groups)[n_written:] if each["id"] not in ids]:
        written, n_written = Graded(new, args, model), n_written + len(new)
        beside = None if directions is None else development
        directions = fit(written, directions, beside).directions
    real = Graded([_real(each) for each in real_groups], args, model)
    fitted = fit(real, directions, development)
    facts = {
        "weights_sha256": model.weights_hash,
        "layer": args.layer,
        "n_written_groups": n_written,
        "n_groups": len(real),
        "n_pairs": len(fitted.left_out),
        "n_development_groups": len(development),
        "shrinking": fitted.shrinking,
    }
    save(args.out, fitted, real, development, facts)


class Fitted(NamedTuple):
    """Directions [n_hidden, n_members], the mean of the rows that they were fitted to, how strongly
    they were shrunk, and what is read off each row by a fit without its group."""

    directions: np.ndarray
    middle: np.ndarray
    shrinking: float
    left_out: np.ndarray


def fit(graded: Graded, onto: np.ndarray | None, beside: Graded | None) -> Fitted:
    """Fitted to the groups, and shrunk towards ``onto``, or nothing: as is best for groups left
    out, of those amounts with which the groups ``beside``, which nothing is fitted to, lose
    nothing."""
    middle = np.concatenate(graded.rows).mean(axis=0)
    mean = np.concatenate(graded.grades).mean()
    rows, targets = [each - middle for each in graded.rows], [each - mean for each in graded.grades]
    if onto is None:
        onto = np.zeros((rows[0].shape[1], N_MEMBERS))
    before = onto.mean(axis=1)
    best = (-np.inf, 0.0, np.empty(0))
    for shrinking in SHRINKING:
        values = [np.empty(0)] * len(rows)
        for kept, out in folds(len(rows)):
            some = np.concatenate([rows[i] for i in kept])
            left = np.concatenate([targets[i] for i in kept]) - some @ before
            direction = before + ridge(some, left, shrinking)
            for i in out:
                values[i] = rows[i] @ direction
        worth = graded.told(values)
        print(f"shrinking {shrinking:>7,.0f}: {worth}, {len(rows)} groups, each left out once")
        loses = False
        if beside is not None:
            left = np.concatenate(targets) - np.concatenate(rows) @ before
            direction = before + ridge(np.concatenate(rows), left, shrinking)
            its, was = (beside.told([x @ d for x in beside.rows]) for d in (direction, before))
            print(f"{'':>19} {its}, groups that nothing is fitted to (before: {was})")
            loses = sum(its) < sum(was)
        if sum(worth) > best[0] and not loses:
            best = (sum(worth), shrinking, np.concatenate(values))
    _, shrinking, left_out = best
    if not shrinking:
        raise SystemExit(
            "With every amount of shrinking the groups of development lose: none fits."
        )
    return Fitted(members(rows, targets, shrinking, onto), middle, shrinking, left_out)


def crossed(values: np.ndarray, grades: np.ndarray) -> float:
    """Correlation of what is left of both without the means of people and of statements: there
    only whose opinion it is can help. Both are [n_opinions, n_statements]."""
    left = [
        each - each.mean(axis=0) - each.mean(axis=1, keepdims=True) + each.mean()
        for each in (values, grades)
    ]
    return float(np.corrcoef(left[0].ravel(), left[1].ravel())[0, 1])


def save(
    path: Path,
    fitted: Fitted,
    real: Graded,
    development: Graded,
    facts: dict[str, Any],
) -> None:
    """The directions; the weight of the reader's rewards beside them, from real texts by fits
    without their group; calibration and ranges from both, which count the same."""
    directions, middle = fitted.directions, fitted.middle
    own = [fitted.left_out, ((np.concatenate(development.rows) - middle) @ directions).mean(axis=1)]
    beside = [real.by_reader(), development.by_reader()]
    grades = [np.concatenate(each.grades) for each in (real, development)]
    columns = np.column_stack([own[0], beside[0], np.ones(len(own[0]))])
    mix = np.linalg.lstsq(columns, grades[0], rcond=None)[0][:2]
    rewards = np.column_stack([np.concatenate(own), np.concatenate(beside)]) @ mix
    weights = np.concatenate([np.full(len(each), 1 / len(each)) for each in grades])
    all_grades = np.concatenate(grades)
    said = (
        f"grades by a language model: of {len(real)} groups of what the default model writes, each "
        f"left out in turn, and of {len(development)} written groups of other topics"
    )
    calibration = fit_logistic_calibration(rewards, all_grades, fitted_to=said, weights=weights)
    expected = calibration.expected_rating(rewards)
    drawn = np.random.default_rng(4).choice(len(weights), N_FOR_RANGES, p=weights / weights.sum())
    interval = np.array(interval_of(expected[drawn], all_grades[drawn]))
    n_real = len(grades[0])
    print(on_real_texts(real, expected[:n_real], interval))
    Probe(
        directions,
        facts | {"prompt_hash": prompt_hash(), "calibrated_to": said},
        {
            "mix": mix,
            "offset": np.array([(middle @ directions).mean()]),
            "calibration": np.array([calibration.slope, calibration.intercept]),
            "interval": interval,
        },
    ).save(path)
    print(f"weights of probe and reader {mix.round(3)}; wrote {path}")


def on_real_texts(real: Graded, expected: np.ndarray, interval: np.ndarray) -> str:
    """What the card says of real texts, whose groups were left out of the fit, but not of
    calibration and ranges. The expected ratings are [n_pairs]."""
    grades = np.concatenate(real.grades)
    found = np.array(verdicts(expected, *around(expected, interval)))
    ends = np.cumsum([len(each) for each in real.grades])[:-1]
    means = [
        np.corrcoef(told.reshape(-1, n).mean(axis=0), said.reshape(-1, n).mean(axis=0))[0, 1]
        for told, said, n in zip(
            np.split(expected, ends), real.grades, real.n_statements, strict=True
        )
    ]
    agrees, disagrees = (found == each for each in (Verdict.AGREES, Verdict.DISAGREES))
    return (
        f"real texts: correlation with a person's grade {np.corrcoef(expected, grades)[0, 1]:.2f}, "
        f"of the mean within a group {np.nanmean(means):.2f}; "
        f"likely agrees {agrees.mean():.1%}, "
        f"right in {(grades[agrees] > RATING_NEUTRAL).mean():.0%}; "
        f"likely disagrees {disagrees.mean():.1%}, "
        f"right in {(grades[disagrees] < RATING_NEUTRAL).mean():.0%}"
    )


if __name__ == "__main__":
    main()
