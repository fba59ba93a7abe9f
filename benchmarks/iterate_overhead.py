"""The share of a training loop's time that is not training, generation or rating.

    python benchmarks/iterate_overhead.py [FOLDER] [--plan recipes/smoke.toml]

FOLDER is that of a finished `commonweal iterate`, which is only read. Without it the plan is run
anew in a temporary folder (minutes), and the start and what lies between the stages are counted
too. Target: 5 %.

Work is, by stage: `generate` and `evaluate`, the seconds that policy and reward model took over the
rounds; `rate`, all of it; `sft` and `reward`, the trainer's steps and evaluations. What a training
run does around them (imports, loading, export, calibration, card) has a column of its own:
`commonweal train` does it without a loop as well, and it does not grow with the number of steps.
Everything else is the loop's own; in `evaluate` that includes the raters' answers, the intervals
and the report.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = 0.05


@dataclass(frozen=True)
class Spent:
    """Seconds of one stage: all of it, work, and what a training run does besides its steps."""

    name: str
    seconds: float
    work: float
    around: float

    @property
    def own(self) -> float:
        """Of the loop itself."""
        return self.seconds - self.work - self.around


def spent(folder: Path) -> Spent:
    """What the stage in this folder took."""
    said = json.loads((folder / "stage.json").read_text(encoding="utf-8"))
    seconds = said["seconds"]
    metrics = folder / "run" / "metrics.jsonl"
    if metrics.is_file():  # a training run
        work = json.loads(metrics.read_text(encoding="utf-8").splitlines()[-1])["train_runtime"]
        return Spent(folder.name, seconds, work, seconds - work)
    work = seconds if folder.name.endswith("-rate") else said["counts"].get("_work_seconds", 0.0)
    return Spent(folder.name, seconds, work, 0.0)


def finished(folder: Path) -> list[Spent]:
    """Every stage of a loop that is done, in the order of the work."""
    if not (folder / "evaluate" / "stage.json").is_file():
        sys.exit(f"{folder} holds no finished loop: there is no evaluate/stage.json in it")
    order = ("generate", "rate", "sft", "reward")
    folders = [path.parent for path in folder.glob("[0-9]*-*/stage.json")]
    folders.sort(key=lambda path: (int(path.name.split("-")[0]), order.index(path.name[2:])))
    return [spent(path) for path in (*folders, folder / "evaluate")]


def run(plan: Path, folder: Path) -> float:
    """Seconds of this plan's loop in this folder, from the first import on."""
    start = time.perf_counter()
    from commonweal.training.config import read_config
    from commonweal.training.loop.loop import Loop
    from commonweal.training.loop.plan import IteratePlan

    for line in Loop(read_config(plan, IteratePlan).model_copy(update={"out": folder})).run():
        print(line, flush=True)
    return time.perf_counter() - start


def table(stages: list[Spent], whole_run: float | None) -> None:
    """Prints a line a stage, their sum, and the shares."""
    print(f"\n{'stage':16}{'seconds':>10}{'work':>10}{'around':>10}{'own':>10}{'own, share':>12}")
    broken = [one for one in stages if one.own < 0 or one.around < 0]
    for one in stages:
        if one in broken:
            print(f"{one.name:16}{one.seconds:10.1f}  broken off and gone on with: not counted")
            continue
        print(
            f"{one.name:16}{one.seconds:10.1f}{one.work:10.1f}{one.around:10.1f}{one.own:10.1f}"
            f"{one.own / one.seconds:12.1%}"
        )
    counted = [one for one in stages if one not in broken]
    if whole_run is not None:
        between = whole_run - sum(one.seconds for one in stages)
        counted.append(Spent("between stages", between, 0.0, 0.0))
        print(f"{'start, between':16}{between:10.1f}{0:10.1f}{0:10.1f}{between:10.1f}")
    whole = sum(one.seconds for one in counted)
    own, around = sum(one.own for one in counted), sum(one.around for one in counted)
    print(f"{'all':16}{whole:10.1f}{whole - own - around:10.1f}{around:10.1f}{own:10.1f}")
    print(
        f"\noutside training runs, generation and rating: {own / whole:.1%} "
        f"(target {TARGET:.0%}); with what training runs do beside their steps: "
        f"{(own + around) / whole:.1%}"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="a finished loop's")
    parser.add_argument("--plan", type=Path, default=ROOT / "recipes" / "smoke.toml")
    args = parser.parse_args()
    if args.folder is not None:
        table(finished(args.folder), None)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "loop"
        seconds = run(args.plan, folder)
        table(finished(folder), seconds)


if __name__ == "__main__":
    main()
