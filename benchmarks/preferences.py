"""Prints whose opinion each reward model reads: all models and baselines on the same held-out data.

    python benchmarks/preferences.py [--data ../shared/data] [--model NAME ...] [--split test]
        [--only graded|choices|dialogue|polis ...] [--every N] [--max-people 200]
        [--max-statements N] [--score-cache FILE]

- graded: groups of `examples/graded_groups` whose topics nothing was fitted to; texts and grades
  are a language model's, no person's.
- choices: which of two summaries people said represents them more, with as many who prefer the
  first as prefer the second; the two questions that nothing was fitted to.
- dialogue: votes on other people's answers in one moderated dialogue.
- polis: votes in three conversations that nothing was fitted to.

Beside each model: the same with another person's opinion, and with no opinion. Beside all: the
frozen encoder's cosine and the statement alone. What each figure means: docs/reward_model.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from commonweal.datasets.dataset import Dataset
from commonweal.datasets.importers.deliberation_pairs import import_deliberation_pairs
from commonweal.datasets.importers.graded import import_graded
from commonweal.datasets.importers.remesh import import_remesh
from commonweal.models import store
from commonweal.rewards import REWARD_WEIGHTS, CachedRewardModel, load_reward_model
from commonweal.rewards.baselines import baselines_for
from commonweal.rewards.card import with_interval
from commonweal.rewards.measuring import Metrics, measure
from commonweal.rewards.scoring import rated_rounds
from commonweal.types import RewardInput, RewardModel

# The recipes say which data are for what; they are not a package.
sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "first_reward"))
sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "reader"))

import measure as recipe
from people import held_out

ROOT = Path(__file__).parents[1]
KINDS = ("graded", "choices", "dialogue", "polis")
N_DRAWS_OF_THE_OTHER = 1000
SENSELESS = 1


def data_sets(data: Path, wanted: list[str], split: str) -> Iterator[tuple[str, Dataset]]:
    """Kind and rounds of each."""
    if "graded" in wanted:
        yield "graded", import_graded(ROOT / "examples" / "graded_groups" / f"{split}.jsonl")
    if "choices" in wanted:
        folder = data / "deliberation_pairs"
        choices = import_deliberation_pairs(folder, balanced=True)
        questions = choices.rounds.select("round_id", "question").iter_rows()
        yield "choices", choices.of_rounds([name for name, text in questions if held_out(text)])
    if "dialogue" in wanted:
        path = data / "collective_dialogues" / "foreign_intervention_binary.csv"
        yield "dialogue", import_remesh(path)
    if "polis" in wanted:
        for name in recipe.TEST:
            yield "polis", recipe.conversation(data, name)


def with_statements(dataset: Dataset, most: int | None) -> Dataset:
    """The ratings of at most so many statements of each round, drawn by chance, and no others."""
    if most is None:
        return dataset
    rated = dataset.ratings.select("round_id", "candidate_id").unique(maintain_order=True)
    rng = np.random.default_rng(0)
    place = pl.Series("place", rng.permutation(rated.height))
    rank = pl.col("place").rank("ordinal").over("round_id")
    kept = rated.with_columns(place).filter(rank <= most).drop("place")
    names = ["round_id", "candidate_id"]
    return replace(dataset, ratings=dataset.ratings.join(kept, on=names, how="semi"))


def picks(model: RewardModel, dataset: Dataset) -> str:
    """What the utilitarian pick of each graded group is worth by the grades, in words."""
    qualities = {
        (row["round_id"], row["candidate_id"]): row["quality"]
        for row in dataset.ratings.iter_rows(named=True)
    }
    wins, gains, senseless, expected, grades = [], [], 0, [], []
    for rated in rated_rounds(dataset):
        kept = np.flatnonzero(np.isfinite(rated.ratings).all(axis=0))
        ratings = rated.ratings[:, kept]
        inputs = [
            RewardInput(rated.question, opinion, rated.statements[column])
            for opinion in rated.opinions
            for column in kept
        ]
        found = model.calibration.expected_rating(model.rewards(inputs)).reshape(ratings.shape)
        expected.append(found.ravel())
        grades.append(ratings.ravel())
        means = ratings.mean(axis=0)
        chosen = int(found.mean(axis=0).argmax())
        others = np.delete(means, chosen)
        wins.append(((means[chosen] > others) + 0.5 * (means[chosen] == others)).mean())
        gains.append(means[chosen] - means.mean())
        senseless += qualities[rated.round_id, f"s{kept[chosen] + 1}"] <= SENSELESS
    draws = np.random.default_rng(1).integers(len(wins), size=(N_DRAWS_OF_THE_OTHER, len(wins)))
    low, high = np.quantile(np.array(wins)[draws].mean(axis=1), [0.025, 0.975])
    grade = np.corrcoef(np.concatenate(expected), np.concatenate(grades))[0, 1]
    return (
        f"  its picks: beat a random statement {np.mean(wins):.3f} ({low:.3f} to {high:.3f}), mean "
        f"grade {np.mean(gains):+.2f} over random, word salad {senseless} of {len(wins)}; "
        f"correlation with the grades {grade:.3f}"
    )


def main() -> None:
    """The whole table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--model", action="append", help="by name or folder; all of ours if none")
    splits = ("development", "test", "outputs_development", "outputs_test", "outputs_fresh")
    parser.add_argument("--split", choices=splits, default="test", help="of the graded groups")
    parser.add_argument("--every", type=int, default=1, help="of the graded groups each Nth alone")
    parser.add_argument("--max-people", type=int, default=200, help="measured in each round")
    parser.add_argument("--max-statements", type=int, help="by chance, of each round; all if none")
    parser.add_argument("--score-cache", type=Path, help="keeps rewards: nothing is read twice")
    parser.add_argument("--only", action="append", choices=KINDS)
    wanted = parser.parse_args()
    names = wanted.model or ("first", "reader", "probe")
    models = [load_reward_model(name) for name in names]
    if wanted.score_cache is not None:
        models = [CachedRewardModel(each, wanted.score_cache) for each in models]
    fitted_on = recipe.conversation_rounds(wanted.data, recipe.TRAIN)
    models += baselines_for(store.require(REWARD_WEIGHTS), fitted_on)[1:]

    def line(label: str, figures: Metrics) -> None:
        three = (figures.crossed, figures.within_person, figures.comparisons)
        print(f"  {label:34}" + "".join(f"{with_interval(one):26}" for one in three), flush=True)

    for kind, dataset in data_sets(wanted.data, wanted.only or list(KINDS), wanted.split):
        dataset = with_statements(dataset, wanted.max_statements)
        if kind == "graded":
            dataset = dataset.of_rounds(dataset.rounds["round_id"].to_list()[:: wanted.every])
        print(f"\n{kind}: {dataset.about.name} ({dataset.about.source})")
        print(f"  {'':34}{'crossed':26}{'within person':26}{'any two rated apart':26}")
        for model in models:
            found = measure(model, dataset, max_people=wanted.max_people)
            line(model.name, found.own)
            if model in models[: len(names)]:
                line("  another person's opinion", found.swapped)
                line("  no opinion", found.statement_only)
            if kind == "graded":
                print(picks(model, dataset))


if __name__ == "__main__":
    main()
