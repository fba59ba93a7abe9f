"""Importing votes and building comparisons, beside a plain-loop twin, and how memory grows.

    python benchmarks/data_speed.py [--votes 1000000]

The votes are made by rule and written as a Polis export to a temporary folder. Both sides read the
same files and count the same pairs, in one run; the counts are compared. The twin uses the csv
module and dictionaries, the way one would write it down first. "Reading" is polars reading the
four columns of votes.csv that are needed, with nothing done to them. Wall and processor seconds are
both printed: on a machine that others use the second says more. Peak memory is measured in a
process of its own for each size, less what it held once its libraries were loaded.
"""

from __future__ import annotations

import argparse
import csv
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from commonweal.datasets.comparisons import (
    count_comparisons,
    crossed_quadruples,
    same_statement_pairs,
    within_person_pairs,
)
from commonweal.datasets.dataset import Dataset, read_dataset, write_dataset
from commonweal.datasets.importers.polis import import_polis

VOTES_A_PERSON = 100
N_COMMENTS = 500
CAP = 64
MEMORY_SHARES = (0.25, 0.5, 1.0)


def main() -> None:
    """Prints times with ratios, and peak memory with growth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--votes", type=int, default=1_000_000)
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        print(peak_of(args.peak))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_export(folder / "full", args.votes)
        times(folder)
        growth(folder, args.votes)


def write_export(folder: Path, n_votes: int) -> None:
    """People at random places on a line vote by how near a comment is, with passes and noise."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    n_people = n_votes // VOTES_A_PERSON
    chosen = rng.random((n_people, N_COMMENTS)).argpartition(VOTES_A_PERSON)[:, :VOTES_A_PERSON]
    lean = rng.normal(size=n_people)[:, None] * rng.normal(size=N_COMMENTS)[chosen]
    vote = np.sign(np.round(lean + rng.normal(size=chosen.shape))).astype(int)
    order = rng.permutation(chosen.size)
    pl.DataFrame(
        {
            "timestamp": 1_500_000_000_000 + np.arange(chosen.size),
            "datetime": "Wed Jan 01 00:00:00 UTC 2020",
            "comment-id": chosen.ravel()[order],
            "voter-id": np.repeat(np.arange(n_people), VOTES_A_PERSON)[order],
            "vote": vote.ravel()[order],
        }
    ).write_csv(folder / "votes.csv")
    pl.DataFrame(
        {
            "comment-id": np.arange(N_COMMENTS),
            "author-id": rng.permutation(n_people)[:N_COMMENTS],
            "moderated": 1,
            "comment-body": [f'Comment {n}, "quoted", of some length.' for n in range(N_COMMENTS)],
        }
    ).write_csv(folder / "comments.csv")
    (folder / "summary.csv").write_text("topic,Made by rule\n")


def times(folder: Path) -> None:
    """Ours and the twin's times for the same work, with ratios."""
    capped: dict[str, Any] = {"with_opinion": False, "cap": CAP}
    n_votes, reading = timed(lambda: read_only(folder / "full" / "votes.csv"))
    dataset, importing = timed(lambda: import_polis(folder / "full"))
    ours, pairing = timed(lambda: n_rows(within_person_pairs(dataset, with_opinion=False)))
    rated, loop_importing = timed(lambda: loop_import(folder / "full"))
    theirs, loop_pairing = timed(lambda: loop_pairs(rated))
    few, capping = timed(lambda: n_rows(within_person_pairs(dataset, **capped)))
    few_theirs, loop_capping = timed(lambda: loop_capped(rated))
    if (ours, few) != (theirs, few_theirs):
        raise SystemExit(f"{ours:,} pairs here and {theirs:,} in the twin: they differ")
    print(f"{n_votes:,} votes, {ours:,} within-person pairs, counted alike by both")
    print(f"{'':36}{'wall s':>16}{'ratio':>7}{'processor s':>16}{'ratio':>7}")
    for what, here, loops in (
        ("import", importing, loop_importing),
        ("all within-person pairs, as frames", pairing, loop_pairing),
        (f"{CAP} pairs of each person, at random", capping, loop_capping),
        ("import and all pairs", importing + pairing, loop_importing + loop_pairing),
        ("import and some pairs", importing + capping, loop_importing + loop_capping),
    ):
        cells = [f"{x:7.2f} {y:8.2f}{y / x:7.1f}" for x, y in zip(here, loops, strict=True)]
        print(f"{what:36}{cells[0]}{cells[1]}")
    print(
        f"reading votes.csv alone: {reading[0]:.2f} s wall ({reading[0] / importing[0]:.0%} of the "
        f"import), {reading[1]:.2f} s processor ({reading[1] / importing[1]:.0%})"
    )

    print(f"\nwith a cap of {CAP}, counting, and the disk (no twin): wall s, processor s, rows")
    n_crossed = "crossed quadruples"
    for name, work in (
        ("same-statement pairs", lambda: n_rows(same_statement_pairs(dataset, **capped))),
        ("crossed quadruples", lambda: n_rows(crossed_quadruples(dataset, **capped))),
        (
            "counting crossed quadruples",
            lambda: count_comparisons(dataset, with_opinion=False)[n_crossed],
        ),
        ("checking and writing", lambda: write(dataset, folder / "written")),
        ("reading back, checked", lambda: read_dataset(folder / "written").ratings.height),
    ):
        n, seconds = timed(work)
        print(f"  {name:34}{seconds[0]:8.2f}{seconds[1]:8.2f}{n:>14,}")


def write(dataset: Dataset, folder: Path) -> int:
    write_dataset(dataset, folder)
    return dataset.ratings.height


def timed(work: Callable[[], Any]) -> tuple[Any, np.ndarray]:
    """What came back, and [wall seconds, processor seconds]."""
    start = np.array([time.perf_counter(), time.process_time()])
    found = work()
    return found, np.array([time.perf_counter(), time.process_time()]) - start


def n_rows(frames: Iterable[pl.DataFrame]) -> int:
    return sum(frame.height for frame in frames)


def read_only(path: Path) -> int:
    columns = ["timestamp", "comment-id", "voter-id", "vote"]
    kinds = dict.fromkeys(columns, pl.Int64)
    return pl.read_csv(path, columns=columns, schema_overrides=kinds).height


# ------------------------------------------------------------------------------------ the twin


def loop_import(folder: Path) -> dict[int, dict[int, int]]:
    """{person: {comment: last vote}} of others' comments that are not moderated out."""
    with (folder / "comments.csv").open(encoding="utf-8", newline="") as file:
        authors = {
            int(row["comment-id"]): int(row["author-id"])
            for row in csv.DictReader(file)
            if row["moderated"] != "-1" and row["comment-body"].split()
        }
    with (folder / "votes.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["timestamp"]))
    rated: dict[int, dict[int, int]] = {}
    for row in rows:
        person, comment = int(row["voter-id"]), int(row["comment-id"])
        if comment in authors and authors[comment] != person:
            rated.setdefault(person, {})[comment] = int(row["vote"])
    return rated


def loop_pairs(rated: dict[int, dict[int, int]]) -> int:
    """How many pairs there are, each made and let go: holding them all would need gigabytes."""
    n_pairs = 0
    for person, votes in rated.items():
        for (one, vote), (other, other_vote) in combinations(votes.items(), 2):
            if vote > other_vote:
                pair = (person, one, other, vote - other_vote)
            elif other_vote > vote:
                pair = (person, other, one, other_vote - vote)
            else:
                continue
            n_pairs += len(pair) > 0
    return n_pairs


def loop_capped(rated: dict[int, dict[int, int]]) -> int:
    """How many pairs there are with at most CAP of a person, drawn from all of that person's."""
    rng = random.Random(0)
    n_pairs = 0
    for votes in rated.values():
        pairs = [
            (one, other) if vote > other_vote else (other, one)
            for (one, vote), (other, other_vote) in combinations(votes.items(), 2)
            if vote != other_vote
        ]
        n_pairs += len(rng.sample(pairs, min(CAP, len(pairs))))
    return n_pairs


# ------------------------------------------------------------------------------------- memory


def growth(folder: Path, n_votes: int) -> None:
    """Peak memory of importing, and of importing and going through all pairs, by size."""
    print("\npeak memory over that of the loaded libraries, MB, in a process each")
    print(f"{'votes':>12}{'import':>9}{'with all pairs':>16}{'pairs':>14}{'bytes/vote':>12}")
    for share in MEMORY_SHARES:
        n = int(n_votes * share)
        export = folder / f"part{n}"
        write_export(export, n)
        ran = subprocess.run(
            [sys.executable, __file__, "--peak", str(export)],
            capture_output=True,
            text=True,
            check=True,
        )
        imported, paired, n_pairs = (int(each) for each in ran.stdout.split())
        print(
            f"{n:>12,}{imported / 1e6:>9.0f}{paired / 1e6:>16.0f}{n_pairs:>14,}{paired / n:>12.0f}"
        )


def peak_of(folder: Path) -> str:
    before = peak_bytes()
    dataset: Dataset = import_polis(folder)
    imported = peak_bytes() - before
    n_pairs = n_rows(within_person_pairs(dataset, with_opinion=False))
    return f"{imported} {peak_bytes() - before} {n_pairs}"


def peak_bytes() -> int:
    # Not ru_maxrss: a process begins with that of the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
