"""Scores 16 candidates for 5 opinions in one batch, and one pair at a time, and prints the ratio.

    python benchmarks/reward_speed.py [--encoder FOLDER] [--repeats 5]

Both sides do the same 80 pairs with the same loaded model, in turn, in one run. Nothing is kept
between calls: every repeat embeds everything again. Each side runs once before the clock starts.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from commonweal.rewards import load_reward_model
from commonweal.types import RewardInput

PAIRS = Path(__file__).parents[1] / "recipes" / "first_reward" / "natural_pairs.toml"
QUESTION = "Should our town change how its streets, schools and money are run?"


def main() -> None:
    """Prints the median time of each side, the ratio, and the largest difference in reward."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, help="all-MiniLM-L6-v2; default: the pulled one")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    model = load_reward_model("first", encoder_folder=args.encoder)

    pairs = tomllib.loads(PAIRS.read_text(encoding="utf-8"))["pair"]
    opinions = [pair[side] for pair in pairs for side in ("for", "against")][:5]
    statements = [p[s] for p in pairs for s in ("statement_for", "statement_against")][:16]
    inputs = [RewardInput(QUESTION, o, s) for o in opinions for s in statements]

    def batched() -> np.ndarray:
        return model.rewards(inputs)

    def one_at_a_time() -> np.ndarray:
        return np.concatenate([model.rewards([one]) for one in inputs])

    difference = np.abs(batched() - one_at_a_time()).max()
    times: dict[str, list[float]] = {"batched": [], "one pair at a time": []}
    for _ in range(args.repeats):
        times["batched"].append(_seconds(batched))
        times["one pair at a time"].append(_seconds(one_at_a_time))
    batch, single = (statistics.median(values) for values in times.values())
    for name, values in times.items():
        print(
            f"{name:20} {1000 * statistics.median(values):8.0f} ms  "
            f"(from {1000 * min(values):.0f} to {1000 * max(values):.0f})"
        )
    print(
        f"{len(inputs)} pairs, {args.repeats} repeats: {single / batch:.1f} times faster in one "
        f"batch (target 5); rewards differ by at most {difference:.1e}"
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
