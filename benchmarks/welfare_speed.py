"""Welfare of 100,000 rounds of 5 participants and 16 candidates, vectorised and in plain loops.

    python benchmarks/welfare_speed.py [--rounds 100000]

All sides compute the same welfare from the same utilities in one run, for four members of the
family, and the largest relative difference is printed beside the ratios. The naive twin is that of
the tests: loops over the array, one candidate of one round at a time. Beside it stand the same
loops over Python lists, the fastest that plain Python does, with the conversion not counted.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from commonweal.welfare import isoelastic, welfare_name


def naive(column: list[float], alpha: float) -> float:
    """Eq. 1 of the paper as a power mean, one candidate of one round at a time."""
    if alpha == math.inf:
        return min(column)
    if alpha == 1:
        return math.prod(column) ** (1 / len(column))
    return (sum(u ** (1 - alpha) for u in column) / len(column)) ** (1 / (1 - alpha))


def main() -> None:
    """Prints the time of each side and the ratio for each welfare function."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100_000)
    args = parser.parse_args()
    profile = np.random.default_rng(0).uniform(1, 7, (args.rounds, 5, 16))
    lists = np.swapaxes(profile, 1, 2).tolist()
    isoelastic(profile[:10], 0.5)
    ratios = []
    for alpha in (0.0, 0.5, 1.0, math.inf):
        fast_seconds, fast = min(
            (seconds(lambda a=alpha: isoelastic(profile, a)) for _ in range(3)), key=lambda r: r[0]
        )
        twin_seconds, twin = seconds(
            lambda a=alpha: [[naive(list(column), a) for column in one.T] for one in profile]
        )
        list_seconds, _ = seconds(
            lambda a=alpha: [[naive(column, a) for column in one] for one in lists]
        )
        ratios.append(twin_seconds / fast_seconds)
        error = np.max(np.abs(fast / np.array(twin) - 1))
        print(
            f"{welfare_name(alpha):24} {fast_seconds:6.3f} s; naive twin {twin_seconds:5.1f} s, "
            f"{ratios[-1]:4.0f} times; over lists {list_seconds:5.1f} s, "
            f"{list_seconds / fast_seconds:4.0f} times; largest difference {error:.0e}"
        )
    print(f"{args.rounds:,} rounds of 5 x 16: at least {min(ratios):.0f} times faster (target 100)")


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long ``work`` took, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
