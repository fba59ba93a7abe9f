"""The whole evaluation of a large study against plain pandas and loops, and its memory.

    python benchmarks/evaluation_speed.py [--rounds 5000] [--twin-resamples 10]

A simulated study of 8 statements a round, 5 people and 2 passes, 10,000 resamples. Our side is all
of ``commonweal evaluate --report`` but the mixed models: reading arrays, all figures, regressions,
power, and the page with its plots. The twin is that of the tests: the same figures by loops over
rows (no regressions, no power, no page), its resamples by drawing groups, putting their rows
together with pandas and computing the figure anew. It is run for a few resamples and scaled to
10,000, which is linear. Beside it a cleverer pandas that adds up each group once beforehand, for
the figures that are ratios of sums. Values are compared first.

Memory is the peak of a process of its own for each size, less what the dataset alone takes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from commonweal.datasets.dataset import Dataset
from commonweal.datasets.reliability import drop_unreliable
from commonweal.evaluation.evaluate import Evaluation, evaluate
from commonweal.evaluation.page import as_json, render_page

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "evaluation"))

from known_truth import simulate_study
from naive_twin import Sample, ratio, twin

N_RESAMPLES = 10_000
ROUNDS_PER_GROUP = 4
POLICIES = {"sft_utilitarian": 0.6, "sft_base": 0.3, "few_shot": 0.1, "zero_shot": 0.0}
TOLERANCE = 1e-5


def study(n_rounds: int) -> Dataset:
    return simulate_study(
        np.random.default_rng(5),
        n_groups=n_rounds // ROUNDS_PER_GROUP,
        n_rounds_per_group=ROUNDS_PER_GROUP,
        policies=POLICIES,
    )[0]


def main() -> None:
    """Prints both sides, their ratio, and memory by number of rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5000)
    parser.add_argument("--twin-resamples", type=int, default=10)
    parser.add_argument("--peak", choices=["data", "evaluate"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        peak(args.rounds, args.peak)
        return
    dataset = study(args.rounds)
    print(
        f"{args.rounds:,} rounds of {args.rounds // ROUNDS_PER_GROUP:,} groups, "
        f"{dataset.ratings.height:,} ratings, {N_RESAMPLES:,} resamples"
    )
    found, figures_seconds, page_seconds = ours(dataset)
    total = figures_seconds + page_seconds
    print(
        f"ours: {total:.1f} s (figures {figures_seconds:.1f} s, page and JSON {page_seconds:.1f} "
        f"s), {sum(f.value is not None for f in found.figures.values())} figures"
    )
    start = time.perf_counter()
    samples = twin(drop_unreliable(dataset), str(found.facts["baseline"]))
    values = {key: sample.value for key, sample in samples.items()}
    value_seconds = time.perf_counter() - start
    shared = [
        key for key, figure in found.figures.items() if figure.value is not None and key in samples
    ]
    worst = max(abs(found.figures[key].value - values[key]) for key in shared)  # type: ignore[operator]
    assert worst < TOLERANCE, worst
    print(f"twin: {len(shared)} figures in {value_seconds:.1f} s, largest difference {worst:.0e}")
    some = {key: samples[key] for key in shared}
    plain = plain_seconds(some, args.twin_resamples) * N_RESAMPLES
    sums = summed_seconds(some, args.twin_resamples * 20) * N_RESAMPLES
    for name, seconds in (
        ("putting together the rows of drawn groups", value_seconds + plain),
        ("adding up each group once (ratios alone)", value_seconds + sums),
    ):
        print(f"twin, {name}: {seconds:,.0f} s, {seconds / total:,.0f} times ours (target 50)")
    memory(args.rounds)


def ours(dataset: Dataset) -> tuple[Evaluation, float, float]:
    start = time.perf_counter()
    found = evaluate(dataset, n_resamples=N_RESAMPLES)
    figures = time.perf_counter()
    render_page(found)
    as_json(found)
    return found, figures - start, time.perf_counter() - figures


def plain_seconds(samples: dict[str, Sample], n: int) -> float:
    """Seconds that one resample of all figures takes, the plain way."""
    rng = np.random.default_rng(0)
    tables = {}
    for key, sample in samples.items():
        frame = pd.DataFrame([row[:3] for row in sample.rows], columns=["group", "a", "b"])
        where = frame.groupby("group").indices
        tables[key] = (frame, where, list(where), sample)
    start = time.perf_counter()
    for _ in range(n):
        for frame, where, groups, sample in tables.values():
            drawn = rng.choice(len(groups), len(groups))
            index = np.concatenate([where[groups[i]] for i in drawn])
            if sample.statistic is ratio:
                rows = frame.iloc[index]
                rows["a"].sum() / rows["b"].sum()
            else:
                sample.statistic([sample.rows[i] for i in index])
    return (time.perf_counter() - start) / n


def summed_seconds(samples: dict[str, Sample], n: int) -> float:
    """The same with each group added up once, for ratios of sums; the others are left out."""
    rng = np.random.default_rng(0)
    tables = []
    for sample in samples.values():
        if sample.statistic is ratio:
            frame = pd.DataFrame([row[:3] for row in sample.rows], columns=["group", "a", "b"])
            tables.append(frame.astype({"a": float, "b": float}).groupby("group").sum())
    start = time.perf_counter()
    for _ in range(n):
        for sums in tables:
            drawn = sums.iloc[rng.choice(len(sums), len(sums))].sum()
            drawn["a"] / drawn["b"]
    return (time.perf_counter() - start) / n


def memory(largest: int) -> None:
    """Peak resident memory of the evaluation, less the dataset's, by number of rounds."""
    for n_rounds in (largest // 4, largest // 2, largest):
        data, whole = (
            int(
                subprocess.run(
                    [sys.executable, __file__, "--rounds", str(n_rounds), "--peak", what],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            for what in ("data", "evaluate")
        )
        print(
            f"memory, {n_rounds:,} rounds: peak {whole:,} MiB, of which the evaluation adds "
            f"{whole - data:,} MiB to what making the dataset takes"
        )


def peak(n_rounds: int, what: str) -> None:
    dataset = study(n_rounds)
    if what == "evaluate":
        ours(dataset)
    # Not getrusage: a child inherits the peak of the process that started it.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(next(x for x in status.splitlines() if x.startswith("VmHWM")).split()[1]) // 1024)


if __name__ == "__main__":
    main()
