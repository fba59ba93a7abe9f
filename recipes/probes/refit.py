"""Fits the direction of a tuned probe anew, on states with its updates.

    python recipes/probes/refit.py --start src/commonweal/rewards/probe.npz [--groups 100]

`tune.py` trains updates and direction together, step by step, and reads each group about once: its
direction lags behind. Here it is corrected by ridge regression on what it leaves of the grades, of
groups of training, of what the model itself writes, and of people's own sentences beside that. The
updates stay. How strongly to shrink is chosen by leaving groups out. The weight of `reader`,
calibration and ranges are fitted to groups that neither saw, as in `tune.py`. A group takes 10 to
25 seconds of two processor cores; states are kept in `out/probes` as they are made.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from agreement import Graded, Part, drawn, part_of, real_part, save
from ridge import folds, read, ridge

from commonweal.models import load_language_model
from commonweal.models.probe import Probe
from commonweal.rewards.probe import WEIGHTS_PATH, prompt_hash

N_HELD_OUT, N_SECOND, N_STATEMENTS, N_PEOPLE = 18, 300, 8, 3
N_DEVELOPMENT = 28
"""Of 40: more would hardly move two numbers of a calibration."""
N_OTHERS_A_REAL = 4
"""Groups of other files for each of what the model writes, as long as there are some."""
SHRINKING = (3000.0, 10_000.0, 30_000.0, 100_000.0)


def main() -> None:
    """Prints what each amount of shrinking does on groups left out, and saves the best."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--start", type=Path, default=WEIGHTS_PATH, help="what tune.py gave")
    parser.add_argument("--groups", type=int, default=100)
    parser.add_argument("--out", type=Path, default=WEIGHTS_PATH)
    parser.add_argument("--work", type=Path, default=Path("out/probes"))
    parser.add_argument("--seed", type=int, default=5, help="that of tune.py")
    args = parser.parse_args()
    before = Probe.load(args.start, prompt_hash=prompt_hash(), recipe="recipes/probes/tune.py")
    if before.metadata.get("seed") != args.seed:
        raise SystemExit(
            f"{args.start} was not trained with --seed {args.seed}, which says what is kept out"
        )
    args.layer = before.metadata["layer"]
    model = load_language_model("embedded")
    if not before.fits(model):
        raise SystemExit(f"{args.start} was fitted to other weights than {model.model_id}")
    mixed, kept, ids = planned(args.seed)
    known = {each["id"] for each in drawn(before.metadata["n_groups"])}  # as in tune.py
    kept = [each for each in kept if each["id"] not in known]
    own = {each["id"]: _proposals(each) for each in read("own_words_train")}
    apart = [own[each["id"]] for each in kept if each["id"] in own]

    def graded(some: list[dict[str, Any]]) -> Graded:
        return Graded(some, args, model, before.updates)

    groups = graded([*mixed[: args.groups], *(own[name] for name in sorted(ids & set(own)))])
    direction = before.directions.mean(axis=1)
    shrinking = best_shrinking(groups, direction)
    direction, offset = refitted(groups, range(len(groups)), direction, shrinking)
    facts = {"n_groups_refitted": len(groups), "shrinking_refitted": shrinking}
    probe = replace(
        before,
        directions=direction[:, None],
        metadata={**before.metadata, **facts},
        arrays={"offset": np.array([offset])},
    )
    parts = [
        Part(name, some, np.concatenate(some.rows) @ direction - offset)
        for name, some in (
            ("of what the default model writes", graded(kept)),
            ("of their people's own sentences", graded(apart)),
            ("of other topics, written", graded(read("development")[:N_DEVELOPMENT])),
        )
    ]
    save(args.out, probe, parts)


def planned(seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]], set[str]]:
    """Groups to read, mixed, the first of which serve alone; those that ``tune.py`` kept out; and
    ids of the others of which the model's own texts were graded."""
    rng = random.Random(seed)
    second = [part_of(each, N_STATEMENTS, rng) for each in read("train_second")]
    real = read("outputs_plain")
    rng.shuffle(real)  # as tune.py does
    kept = [real_part(each) for each in real[:N_HELD_OUT]]
    ids = {each["id"] for each in kept}
    rng = random.Random(11)
    some = [_people_of(each, rng) for each in read("train")]
    second = [_people_of(each, rng) for each in second]
    outputs = [_people_of(part_of(each, N_STATEMENTS, rng), rng) for each in read("outputs_train")]
    others = [*some, *rng.sample(second, N_SECOND), *outputs]
    own = [real_part(each) for each in real[N_HELD_OUT:]]
    pool = [each for each in [*own, *others] if each["id"] not in ids]
    rng.shuffle(pool)
    theirs = {id(each) for each in own}
    real_ones = [each for each in pool if id(each) in theirs]
    rest = [each for each in pool if id(each) not in theirs]
    mixed: list[dict[str, Any]] = []
    while real_ones or rest:
        mixed += real_ones[-1:]
        del real_ones[-1:]
        mixed += rest[:N_OTHERS_A_REAL]
        del rest[:N_OTHERS_A_REAL]
    return mixed, kept, {each["id"] for each in own}


def _people_of(group: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The group with three of its people, drawn: other questions tell more than other people."""
    kept = sorted(rng.sample(range(len(group["opinions"])), N_PEOPLE))
    return group | {
        "opinions": [group["opinions"][i] for i in kept],
        "agreement": [group["agreement"][i] for i in kept],
    }


def _proposals(group: dict[str, Any]) -> dict[str, Any]:
    """The group with those of its people's passages that stand as statements, at most six."""
    stand = [text for text, is_so in zip(group["passages"], group["stands"], strict=True) if is_so]
    chosen = set(random.Random(group["id"]).sample(stand, min(6, len(stand))))
    places = [j for j, text in enumerate(group["passages"]) if text in chosen]
    return {
        **group,
        "statements": [group["passages"][j] for j in places],
        "agreement": [[row[j] for j in places] for row in group["agreement"]],
    }


def refitted(
    groups: Graded, kept: Any, direction: np.ndarray, shrinking: float
) -> tuple[np.ndarray, float]:
    """The direction and its offset, corrected by what it leaves of the grades of these groups."""
    rows, grades = (
        np.concatenate([each[i] for i in kept]) for each in (groups.rows, groups.grades)
    )
    values = rows @ direction
    slope, constant = np.polyfit(values, grades, 1)
    middle, left = rows.mean(axis=0), grades - slope * values - constant
    turn = ridge(rows - middle, left, shrinking)
    return slope * direction + turn, float(middle @ turn - constant)


def best_shrinking(groups: Graded, direction: np.ndarray) -> float:
    """The amount with which a correction tells most of groups that were left out of it."""
    print(f"as it is: {groups.told([each @ direction for each in groups.rows])}")
    names = groups.ids
    questions = sorted(set(names))  # of some there are two groups of texts
    parted = []
    for kept, out in folds(len(questions)):
        parted.append(
            [[i for i, n in enumerate(names) if questions.index(n) in s] for s in (kept, out)]
        )
    found = {}
    for shrinking in SHRINKING:
        values = [np.empty(0)] * len(groups)
        for kept, out in parted:
            turned, offset = refitted(groups, kept, direction, shrinking)
            for i in out:
                values[i] = groups.rows[i] @ turned - offset
        worth = groups.told(values)
        print(f"shrinking {shrinking:>7,.0f}: {worth}, {len(groups)} groups, each left out once")
        found[sum(worth)] = shrinking
    return found[max(found)]


if __name__ == "__main__":
    main()
