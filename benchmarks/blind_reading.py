"""What is written for held-out groups before and now, laid before readers who cannot tell which.

    python benchmarks/blind_reading.py write out/blind [--side old|new] [--groups 40]
    python benchmarks/blind_reading.py sheet out/blind --reader 1 > sheet1.txt
    python benchmarks/blind_reading.py tally out/blind answers1.csv answers2.csv answers3.csv

`write` makes both results for the groups of `examples/groups` whose outputs nobody read while
prompts were chosen (benchmarks/tuning_groups.txt names the others), or, with `--of starter`, for
those of the starter set whose topics no policy was trained on. "old" is what `commonweal agree`
did before (SmolLM2 fine-tuned, reward model `first`, no floor), "new" what it does now. Each is
kept as it is made, and a run broken off goes on. `sheet` prints the groups with both texts as A
and B, in an order of its own for each reader. `tally` takes lines
`number,a_sensible,b_sensible,preferred` (1 or 0, 1 or 0, A, B or =; file name ends in the reader's
number) and prints shares with 95 % intervals that resample groups. Who reads is to be said
wherever the figures stand: a language model is not a person.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from commonweal import find_agreement
from commonweal.files import write_whole
from commonweal.groups import read_group
from commonweal.policies import load_policy
from commonweal.policies.starter import load_starter_set, split
from commonweal.rewards import load_reward_model

N_HELD_OUT, SPLIT_SEED = 40, 0
"""As in training (`starter_held_out` in recipes/sft/starter.toml): no policy learned from these."""
SIDES = {
    "old": {
        "model": "embedded:small",
        "policy": "sft",
        "reward": "first",
        "min_quality": None,
        "min_agreeing": None,
    },
    "new": {"model": "embedded", "policy": "few_shot", "own_words": True},
}
NOTHING = "(No text. The programme says that it found no statement to show.)"
N_RESAMPLES = 10_000
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Group:
    """A question and the opinions on it."""

    id: str
    question: str
    opinions: tuple[str, ...]


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("write", "sheet", "tally"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("answers", type=Path, nargs="*")
    parser.add_argument("--side", choices=tuple(SIDES), action="append")
    parser.add_argument("--groups", type=int, default=N_HELD_OUT)
    parser.add_argument("--of", choices=("examples", "starter"), default="examples")
    parser.add_argument("--reader", type=int, default=1)
    wanted = parser.parse_args()
    groups = held_out(wanted.of)[: wanted.groups]
    if wanted.what == "write":
        for side in wanted.side or SIDES:
            write(wanted.folder, side, groups)
    elif wanted.what == "sheet":
        print(sheet(wanted.folder, groups, wanted.reader))
    else:
        tally(wanted.folder, groups, wanted.answers)


def held_out(of: str) -> tuple[Group, ...]:
    """The groups that are read."""
    if of == "starter":
        found = split(load_starter_set(), n_held_out=N_HELD_OUT, seed=SPLIT_SEED)[1]
        return tuple(Group(each.id, each.question, each.opinions) for each in found)
    lines = (ROOT / "benchmarks/tuning_groups.txt").read_text(encoding="utf-8").splitlines()
    read = [
        (path.stem, read_group(path))
        for path in sorted((ROOT / "examples/groups").glob("*.toml"))
        if path.stem not in lines
    ]
    return tuple(
        Group(name, group.question.text, tuple(each.text for each in group.opinions))
        for name, group in read
    )


def place(folder: Path, side: str, group: Group) -> Path:
    """Where the result of one side for one group is kept."""
    return folder / side / f"{group.id}.json"


def write(folder: Path, side: str, groups: tuple[Group, ...]) -> None:
    """Makes what is not made yet."""
    options = dict(SIDES[side])
    (folder / side).mkdir(parents=True, exist_ok=True)
    left = [group for group in groups if not place(folder, side, group).exists()]
    if not left:
        return
    policy = load_policy(options.pop("policy"), options.pop("model"))
    if "reward" in options:
        options["reward"] = load_reward_model(options["reward"])
    for number, group in enumerate(left, start=1):
        began = perf_counter()
        found = find_agreement(group.question, group.opinions, policy=policy, **options)
        write_whole(place(folder, side, group), json.dumps(found.to_dict(), ensure_ascii=False))
        took = perf_counter() - began
        print(f"{side} {number} of {len(left)}: {found.outcome.value}, {took:.0f} s", flush=True)


def shown(folder: Path, side: str, group: Group) -> str:
    """The text that a room would see: the statement, or what comes closest."""
    told = json.loads(place(folder, side, group).read_text(encoding="utf-8"))
    texts = {each["id"]: each["text"] for each in told["candidates"]}
    return texts.get(told["closest"], NOTHING)


def flipped(reader: int, group: Group) -> bool:
    """Whether this reader has the new text first."""
    return bool(np.random.default_rng([reader, *group.id.encode()]).integers(2))


def order(reader: int, n_groups: int) -> list[int]:
    """The order in which a reader sees the groups."""
    return np.random.default_rng(reader).permutation(n_groups).tolist()


def sheet(folder: Path, groups: tuple[Group, ...], reader: int) -> str:
    """What one reader reads."""
    lines = []
    for number, at in enumerate(order(reader, len(groups)), start=1):
        group = groups[at]
        first, second = ("new", "old") if flipped(reader, group) else ("old", "new")
        lines += [f"### {number}", f"Question: {group.question}", "Opinions:"]
        lines += [f"- {opinion}" for opinion in group.opinions]
        lines += [f"A: {shown(folder, first, group)}", f"B: {shown(folder, second, group)}", ""]
    return "\n".join(lines)


def tally(folder: Path, groups: tuple[Group, ...], files: list[Path]) -> None:
    """Shares over readers and groups, and how far the readers agree."""
    sensible = {side: np.full((len(files), len(groups)), np.nan) for side in SIDES}
    preferred = np.full((len(files), len(groups)), np.nan)
    for row, file in enumerate(files):
        if not (found := re.search(r"(\d+)$", file.stem)):
            sys.exit(f"{file}: expected a file name that ends in the reader's number")
        reader = int(found[1])
        places = order(reader, len(groups))
        with file.open(encoding="utf-8", newline="") as stream:
            for answer in csv.DictReader(stream):
                at = places[int(answer["number"]) - 1]
                first = "new" if flipped(reader, groups[at]) else "old"
                second = "old" if first == "new" else "new"
                sensible[first][row, at] = float(answer["a_sensible"])
                sensible[second][row, at] = float(answer["b_sensible"])
                winner = {"A": first, "B": second}.get(answer["preferred"].strip().upper())
                preferred[row, at] = 0.5 if winner is None else float(winner == "new")
    empty = {side: np.mean([shown(folder, side, g) == NOTHING for g in groups]) for side in SIDES}
    for side, table in sensible.items():
        print(f"{side}: no text in {empty[side]:.0%}; sensible and answering {interval(table)}")
        majority = np.nanmean(table, axis=0) > 0.5
        print(f"{side}: sensible to most readers {majority.mean():.0%} of {len(groups)} groups")
    print(f"new preferred to old (a tie is half): {interval(preferred)}")
    for side, table in sensible.items():
        same = [np.mean(table[i] == table[j]) for i in range(len(files)) for j in range(i)] or [
            np.nan
        ]
        print(f"{side}: two readers say the same of {np.mean(same):.0%}")


def interval(table: np.ndarray) -> str:
    """The mean over readers and groups, and its 95 % interval over resampled groups."""
    each = np.nanmean(table, axis=0)
    drawn = np.random.default_rng(0).integers(len(each), size=(N_RESAMPLES, len(each)))
    low, high = np.quantile(each[drawn].mean(1), [0.025, 0.975])
    return f"{each.mean():.1%} ({low:.1%} to {high:.1%})"


if __name__ == "__main__":
    main()
