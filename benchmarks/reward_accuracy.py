"""Prints the figures of the reward model's card again, beside its baselines.

    python benchmarks/reward_accuracy.py [--data ../shared/data] [--encoder FOLDER]

Crossed and within-person accuracy on held-out Polis conversations, debate topics and hand-written
pairs; what they mean is in src/commonweal/rewards/first_card.md. About a minute.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from commonweal.rewards import load_reward_model

# The recipe made the model and owns the definition of its test sets; recipes are not a package.
sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "first_reward"))

import card
import measure

DATA = Path(__file__).parents[2] / "shared" / "data"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of public data")
    parser.add_argument("--encoder", type=Path, help="all-MiniLM-L6-v2; default: the pulled one")
    args = parser.parse_args()
    if not (args.data / "polis").is_dir():
        sys.exit(f"skipped: no folder polis in {args.data}, the public data (--data FOLDER)")
    folder = args.encoder
    if folder is None:
        from commonweal.models import store

        folder = store.require("all-minilm-l6-v2")
    model = load_reward_model("first", encoder_folder=folder)
    scorers = {**measure.baselines(args.data, folder), "first": measure.of_reward_model(model)}
    rows = measure.measure_all(measure.held_out(args.data), scorers)
    print(card.table(rows))
    print(f"\nweights hash {model.weights_hash}")


if __name__ == "__main__":
    main()
