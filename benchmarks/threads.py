"""Prints how many calls a second a loaded reward model answers from threads, and how many wrongly.

    python benchmarks/threads.py [--calls 1000] [--models first reader]

A call is three pairs. Each answer is compared with the same call's from one thread alone.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from commonweal.rewards import load_reward_model
from commonweal.types import RewardInput

THREADS = (1, 4, 8)
N_DIFFERENT = 50


def batch(number: int) -> list[RewardInput]:
    wish = "cheap" if number % 2 else "quick"
    return [
        RewardInput("Should buses be free?", f"I am number {number}: {wish} buses.", f"Plan {i}.")
        for i in range(3)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--models", nargs="+", default=["first", "reader"])
    options = parser.parse_args()
    batches = [batch(number) for number in range(N_DIFFERENT)]
    for name in options.models:
        model = load_reward_model(name)
        expected = [model.rewards(each) for each in batches]

        def outcome(number: int) -> str:
            place = number % N_DIFFERENT
            try:
                found = model.rewards(batches[place])  # noqa: B023 - asked before the next model
            except Exception as error:  # counted, whatever it is
                return type(error).__name__
            return "right" if np.array_equal(found, expected[place]) else "wrong"  # noqa: B023

        for n_threads in THREADS:
            began = time.perf_counter()
            with ThreadPoolExecutor(n_threads) as threads:
                outcomes = list(threads.map(outcome, range(options.calls)))
            rate = options.calls / (time.perf_counter() - began)
            n_failed = sum(each not in ("right", "wrong") for each in outcomes)
            print(
                f"{name}, {n_threads} threads: {rate:.1f} calls a second, "
                f"{outcomes.count('wrong')} wrong and {n_failed} failed of {options.calls}"
            )


if __name__ == "__main__":
    main()
