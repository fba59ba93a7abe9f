"""The evaluation on real votes: held-out Polis conversations, their comments as candidates.

    python benchmarks/evaluation_polis.py [--data ../shared/data] [--report FILE.html]

Nothing here was generated: every statement is by a person. Two ways to look at the same real votes,
with the shipped reward model, in conversations that it was not fitted to:

1. as they are: a conversation is one round and one group, so there is no policy to compare, and
   three groups leave no interval;
2. in groups of five people who wrote and who voted on the same statements: the one that the reward
   model expects to be liked most against one drawn by lot. "Policy" is then the way of choosing. No
   such group met: replayed. Groups of one conversation judge the same statements, which the
   intervals do not know.

Prints what can be said, and how many figures cannot be computed, by reason.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from commonweal.datasets.agreements import agreements, matrices
from commonweal.datasets.dataset import Dataset, completed, frame
from commonweal.datasets.merging import merge
from commonweal.evaluation.evaluate import evaluate
from commonweal.evaluation.page import write_page
from commonweal.rewards import load_reward_model
from commonweal.types import RewardInput
from commonweal.welfare import best as best_welfare
from commonweal.welfare import isoelastic

# Which conversations no model was fitted to: the recipe says so; recipes are not a package.
sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "first_reward"))

import measure as recipe

DATA = Path(__file__).parents[2] / "shared" / "data"
MODEL = "first"
GROUP_SIZE = 5
MIN_STATEMENTS, MAX_STATEMENTS = 8, 16


def with_predictions(dataset: Dataset) -> Dataset:
    """The dataset with what the shipped reward model says of every vote by somebody who wrote."""
    model = load_reward_model(MODEL)
    asked = (
        agreements(dataset)
        .rows.join(dataset.rounds.select("round_id", "question"), on="round_id")
        .join(
            dataset.opinions.select("round_id", "participant_id", opinion="text"),
            on=["round_id", "participant_id"],
        )
        .join(
            dataset.candidates.select("round_id", "candidate_id", statement="text"),
            on=["round_id", "candidate_id"],
        )
    )
    inputs = [
        RewardInput(*row) for row in asked.select("question", "opinion", "statement").iter_rows()
    ]
    rewards = model.rewards(inputs)
    predictions = asked.with_columns(
        reward_model=pl.lit(MODEL),
        reward=pl.Series(rewards),
        expected_rating=pl.Series(model.calibration.expected_rating(rewards)),
    ).select(
        "round_id", "participant_id", "candidate_id", "reward_model", "reward", "expected_rating"
    )
    return replace(dataset, predictions=completed("predictions", predictions))


def in_small_groups(conversation: Dataset, seed: int = 0) -> Dataset | None:
    """Rounds of five people each, with two statements: the one chosen, and one drawn by lot."""
    rng = np.random.default_rng(seed)
    model = load_reward_model(MODEL)
    (whole,) = matrices(conversation)
    known = ~np.isnan(whole.agreement)
    left = list(rng.permutation(len(whole.participant_ids)))
    tables: dict[str, list[dict[str, object]]] = {
        name: [] for name in ("rounds", "opinions", "candidates", "ratings", "predictions")
    }
    while len(left) >= GROUP_SIZE:
        group = [left.pop(0)]
        common = known[group[0]]
        while len(group) < GROUP_SIZE:  # whoever shares the most statements with those so far
            best = max(left, key=lambda person: int((common & known[person]).sum()))
            left.remove(best)
            group.append(best)
            common = common & known[best]
        statements = np.flatnonzero(common)
        if len(statements) < MIN_STATEMENTS:
            continue
        statements = rng.permutation(statements)[:MAX_STATEMENTS]
        inputs = [
            RewardInput(whole.question, whole.opinions[i] or "", whole.statements[j])
            for i in group
            for j in statements
        ]
        rewards = model.rewards(inputs)
        expected = model.calibration.expected_rating(rewards).reshape(len(group), -1)
        chosen = int(best_welfare(isoelastic(expected, 0.0)))
        lot = int(rng.choice([k for k in range(len(statements)) if k != chosen]))
        key = {"round_id": f"{whole.round_id}-{len(tables['rounds'])}"}
        tables["rounds"].append(
            key
            | {"group_id": key["round_id"], "question_id": whole.round_id}
            | {"question": whole.question}
        )
        for i in group:
            person = key | {"participant_id": whole.participant_ids[i]}
            tables["opinions"].append(
                person
                | {"opinion_id": person["participant_id"], "text": whole.opinions[i]}
                | {"source": "written"}
            )
        for policy, k in (("chosen_by_first", chosen), ("drawn_by_lot", lot)):
            j = statements[k]
            one = key | {"candidate_id": whole.candidate_ids[j]}
            tables["candidates"].append(
                one | {"text": whole.statements[j], "policy": policy, "shown": True}
            )
            for place, i in enumerate(group):
                person = one | {"participant_id": whole.participant_ids[i]}
                vote = int(whole.agreement[i, j])
                tables["ratings"].append(person | {"pass_index": 0, "agreement": vote})
                reward = float(rewards.reshape(len(group), -1)[place, k])
                tables["predictions"].append(
                    person
                    | {"reward_model": MODEL, "reward": reward}
                    | {"expected_rating": float(expected[place, k])}
                )
    if not tables["rounds"]:
        return None
    return Dataset(conversation.about, **{name: frame(name, rows) for name, rows in tables.items()})


def say(dataset: Dataset, report: Path | None, **options: str) -> None:
    start = time.perf_counter()
    found = evaluate(dataset, **options)
    print(f"\n{dataset.about.name} ({found.about.people}), {time.perf_counter() - start:.1f} s")
    for name in ("groups", "rounds", "people who rated", "statements shown", "ratings"):
        print(f"  {found.counts[name]:9,} {name}")
    for figure in found.figures.values():
        if figure.value is not None and not figure.key.startswith("power/"):
            interval = figure.interval or "no interval"
            print(f"  {figure.shown:>8} {interval:18} {figure.n:10,} {figure.unit}: {figure.title}")
    reasons = Counter(f.unavailable for f in found.figures.values() if f.value is None)
    for reason, n in reasons.most_common():
        print(f"  {n:3} figures: {reason}")
    for reason in dict.fromkeys(f.no_interval for f in found.figures.values() if f.no_interval):
        print(f"  no interval: {reason}")
    if report is not None:
        write_page(found, report)
        print(f"Wrote {report}")


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--report", type=Path, help="a page about the groups of five")
    args = parser.parse_args()
    if not (args.data / "polis").is_dir():
        print(f"no {args.data / 'polis'}: nothing to measure; give --data FOLDER")
        return
    conversations = [recipe.conversation(args.data, name) for name in recipe.TEST]
    whole = merge(conversations, name="Held-out Polis conversations, as they are")
    say(with_predictions(whole), None)
    groups = [made for each in conversations if (made := in_small_groups(each)) is not None]
    five = merge(groups, name="Held-out Polis conversations, groups of five")
    say(five, args.report, baseline="drawn_by_lot")


if __name__ == "__main__":
    main()
