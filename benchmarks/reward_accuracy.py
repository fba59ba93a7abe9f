"""Prints how well reward models predict agreement, all models and baselines side by side.

    python benchmarks/reward_accuracy.py [--data ../shared/data] [--model FOLDER ...] [--made]

Whole Polis conversations that nothing here was fitted to (which: recipes/first_reward/measure.py),
and 1-5 ratings of machine summaries. Baselines are fitted on the training conversations. What each
figure means: docs/reward_model.md. --made adds sentences made by rule and the hand-written pairs.
A few minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from commonweal.datasets.dataset import Dataset
from commonweal.datasets.importers.deliberation import import_deliberation
from commonweal.rewards import load_reward_model
from commonweal.rewards.card import as_dict, signed, with_interval
from commonweal.rewards.measuring import Measurement, Metrics, measure

# The recipe made the model and says which conversations are for what; recipes are not a package.
sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "first_reward"))

import measure as recipe

DATA = Path(__file__).parents[2] / "shared" / "data"


def accuracies(found: list[Measurement]) -> None:
    """A line a scorer: crossed, within person, same statement."""

    def line(label: str, figures: Metrics) -> None:
        three = (figures.crossed, figures.within_person, figures.same_statement)
        print(f"  {label:36}" + "".join(f"{with_interval(one):26}" for one in three))

    print(f"  {'':36}{'crossed':26}{'within person':26}{'same statement':26}")
    for one in found:
        line(one.model, one.own)
        if one is found[-1] or one.model not in BASELINES:
            line("  another person's opinion", one.swapped)
            line("  no opinion", one.statement_only)
            drop = one.swapped_drop
            print(
                f"  {'  own less another person’s':36}"
                + "".join(
                    f"{signed(each):26}"
                    for each in (drop.crossed, drop.within_person, drop.same_statement)
                )
            )
    print(f"  {'how often the person agrees':36}{'':52}{with_interval(found[-1].leniency)}")


def selections(found: list[Measurement]) -> None:
    """A line a way of picking: real mean, gain over random, wins, real minimum and its gain."""
    first = found[-1].selection
    if first is None:
        print("  selection: no five people rated the same 16 statements")
        return
    print(
        f"  picks for {first.n_groups:,} overlapping groups of 5 of {first.n_people} people, 16 of "
        f"{first.n_statements} statements each, by their real answers:"
    )
    heads = ("real mean", "gain over random", "wins, by mean", "real minimum", "gain over random")
    print(f"  {'':36}" + "".join(f"{head:26}" for head in heads))
    rows = [("at random (expected)", first.random)]
    for one in found:
        if one.selection is None or one.model == "constant":
            continue
        if one.model in BASELINES:
            rows.append((one.model, one.selection.picks["own"]["utilitarian"]))
            continue
        rows += [(f"{one.model}, {w}", pick) for w, pick in one.selection.picks["own"].items()]
        rows += [
            ("  another person's opinion", one.selection.picks["swapped"]["utilitarian"]),
            ("  no opinion", one.selection.picks["statement only"]["utilitarian"]),
        ]
    rows.append(("the best there was", first.best))
    for label, pick in rows:
        print(
            f"  {label:36}{with_interval(pick.mean):26}{signed(pick.mean_gain):26}"
            f"{with_interval(pick.mean_wins):26}{with_interval(pick.minimum):26}{signed(pick.minimum_gain):26}"
        )


BASELINES = ("constant", "statement only", "cosine of opinion and statement")


def others(found: list[Measurement]) -> None:
    """Calibration, length, and rank correlation where ratings have more than three steps."""
    for one in found:
        if one.model == "constant":
            continue
        length = one.by_length
        print(
            f"  {one.model}: calibration error {with_interval(one.reliability.error)} points of 7, "
            f"bias {signed(one.reliability.bias)}"
        )
        if length.longer_agreed.n_comparisons:
            print(
                f"    agreed with the longer {with_interval(length.longer_agreed)}, with the "
                f"shorter {with_interval(length.shorter_agreed)}; length and score "
                f"{signed(length.score_correlation)}, length and rating "
                f"{signed(length.rating_correlation)}"
            )
        if one.own.correlation.n_comparisons:
            print(
                f"    rank correlation within a question {signed(one.own.correlation)}; another "
                f"person's opinion {signed(one.swapped.correlation)}; no opinion "
                f"{signed(one.statement_only.correlation)}"
            )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of public data")
    parser.add_argument("--encoder", type=Path, help="all-MiniLM-L6-v2; default: the pulled one")
    parser.add_argument(
        "--model", action="append", default=[], help="another reward model beside `first`"
    )
    parser.add_argument("--made", action="store_true", help="also sentences made by rule")
    parser.add_argument("--json", type=Path, help="write every figure here")
    args = parser.parse_args()
    if not (args.data / "polis").is_dir():
        sys.exit(f"skipped: no folder polis in {args.data}, the public data (--data FOLDER)")
    folder = args.encoder
    if folder is None:
        from commonweal.models import store

        folder = store.require("all-minilm-l6-v2")
    sets: list[Dataset] = recipe.held_out(args.data)
    if not args.made:
        sets = [one for one in sets if one.about.people != "simulated"]
    ratings = args.data / "deliberation_ratings" / "ratings.jsonl"
    if ratings.is_file():
        sets.append(import_deliberation(ratings, name="Deliberation ratings, 1 to 5"))
    models = [
        *recipe.baselines(args.data, folder),
        load_reward_model("first", encoder_folder=folder),
        *map(load_reward_model, args.model),
    ]
    kept = []
    for dataset in sets:
        start = time.perf_counter()
        found = [measure(model, dataset) for model in models]
        one = found[-1]
        print(
            f"\n{one.data}: {one.whose}; {one.n_people} people, {one.n_statements} statements, "
            f"{one.n_ratings:,} ratings, {one.n_rounds} rounds; 95% intervals resample "
            f"{one.resampled}; {time.perf_counter() - start:.0f} s"
        )
        accuracies(found)
        if one.people != "simulated":
            selections(found)
        others(found)
        kept += found
    for model in models:
        print(f"\n{model.name}: weights hash {model.weights_hash}", end="")
    print()
    if args.json is not None:
        args.json.write_text(json.dumps([as_dict(one) for one in kept], indent=2) + "\n")


if __name__ == "__main__":
    main()
