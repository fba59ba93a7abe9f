"""What could be read out of what is chosen: by welfare alone, and from a shortlist by words.

    python benchmarks/shortlist.py [--shortlist 2] [--reward reader]

Every candidate of the default model in `examples/graded_groups/outputs_*.jsonl` was graded by
language models, not people, blind to what was chosen. Both ways of choosing see the same candidates
and predictions; nothing is written anew. The shortlist is that of predicted quality and words that
nobody used; the one by the model's states was fitted to these groups, and `recipes/probes/sense.py`
prints what it does on those left out. Rules were tried on `outputs_development` only. Intervals are
95 % and resample groups; those of a difference are of the same groups.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from commonweal.measures.bootstrap import Resampler
from commonweal.measures.intervals import N_RESAMPLES
from commonweal.rewards import load_reward_model, predictions
from commonweal.selection import MIN_QUALITY
from commonweal.selection.shortlist import most_sensible

FOLDER = Path(__file__).parents[1] / "examples" / "graded_groups"
SPLITS = ("outputs_development", "outputs_test", "outputs_fresh")


def read(split: str) -> list[dict[str, Any]]:
    """The graded groups of one file."""
    lines = (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def chosen(group: dict[str, Any], reward: Any, n_listed: int) -> list[int]:
    """What utilitarian welfare chooses: of all above the floor, and of the shortlist."""
    question, opinions, texts = group["question"], group["opinions"], group["statements"]
    _, expected = predictions(reward, question, opinions, texts)
    qualities = np.asarray(reward.qualities(question, opinions, texts))
    welfare = expected.mean(axis=0)
    order = most_sensible(question, opinions, texts, qualities)
    fit = [i for i in order if qualities[i] >= MIN_QUALITY] or order
    return [max(sorted(some), key=lambda i: welfare[i]) for some in (fit, fit[:n_listed])]


def graded(group: dict[str, Any]) -> list[float]:
    """The share of its graders who would read each statement out."""
    grades = [group[name] for name in ("sensible", "second_sensible") if name in group]
    return list(map(float, np.mean(grades, axis=0)))


def main() -> None:
    """Prints a row for each file, and one for those on which no rule was tried."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shortlist", type=int, default=2)
    parser.add_argument("--reward", default="reader")
    args = parser.parse_args()
    reward = load_reward_model(args.reward)
    rows: dict[str, list[list[float]]] = {}
    for split in SPLITS:
        found = rows.setdefault(split, [])
        for group in read(split):
            sense = graded(group)
            alone, listed = chosen(group, reward, args.shortlist)
            found.append([float(np.mean(sense)), sense[alone], sense[listed], max(sense)])
    rows["on which no rule was tried"] = rows["outputs_test"] + rows["outputs_fresh"]
    table = Table(title="Could be read out, language-model readers, not people")
    for name in ("groups", "n", "all", "welfare alone", "shortlist", "difference", "best of 16"):
        table.add_column(name)
    for name, found in rows.items():
        values = np.array(found)
        draws = Resampler(len(values), N_RESAMPLES, np.random.default_rng(0))
        (gain,) = draws.ratios(values[:, 2:3] - values[:, 1:2], np.ones((len(values), 1)))
        shares = [f"{share:.0%}" for share in values.mean(axis=0)]
        table.add_row(
            name,
            str(len(values)),
            *shares[:3],
            f"{gain.value:+.0%} ({gain.low:+.0%} to {gain.high:+.0%})",
            shares[3],
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
