"""First statements and their revisions, laid before readers who cannot tell which is which.

    python benchmarks/revision_reading.py write out/revisions [--groups 45] [--model embedded]
    python benchmarks/revision_reading.py sheet out/revisions --reader 1 > sheet1.txt
    python benchmarks/revision_reading.py tally out/revisions answers1.csv answers2.csv

The groups, their first statements and what each person would change are those of
examples/critiques/held_out.jsonl: written for this project by a language model, and nothing was
tuned on them. "old" is the first statement; "new" is what `Agreement.revise` brings back, which may
be the old one. `write` keeps each as it is made, and a run broken off goes on. Sheets and tallies
are those of blind_reading.py; a group's line shows each opinion with what that person would change.
It also prints in how many groups the old statement stood, and the predicted gains: predictions of
the model that chose, not a result. Who reads is to be said with the figures: a language model is no
person.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import perf_counter

import numpy as np

from blind_reading import place, sheet, tally
from commonweal import load_language_model, load_reward_model
from commonweal.files import write_whole
from commonweal.policies.starter import StarterExample
from commonweal.result import Agreement
from commonweal.rules import UTILITARIAN
from commonweal.selection import Selection, scored
from commonweal.types import Candidate, LanguageModel, Opinion, Question, RewardModel

FILE = Path(__file__).parents[1] / "examples" / "critiques" / "held_out.jsonl"


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("write", "sheet", "tally"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("answers", type=Path, nargs="*")
    parser.add_argument("--groups", type=int, default=45)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--reader", type=int, default=1)
    wanted = parser.parse_args()
    told = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    told = told[: wanted.groups]
    if wanted.what == "write":
        write(wanted.folder, told, wanted.model, wanted.candidates)
        return
    # Of a run that was broken off, those that are made.
    groups = tuple(
        as_read(each) for each in told if place(wanted.folder, "new", as_read(each)).exists()
    )
    if wanted.what == "sheet":
        print(sheet(wanted.folder, groups, wanted.reader))
    else:
        tally(wanted.folder, groups, wanted.answers)


def as_read(told: dict) -> StarterExample:
    """The group as a reader sees it: each opinion with what that person would change."""
    opinions = tuple(
        f"{opinion} [Would change: {critique}]" if critique else opinion
        for opinion, critique in zip(told["opinions"], told["critiques"], strict=True)
    )
    return StarterExample(told["topic"], told["question"], opinions, (told["statement"],))


def first(told: dict, reward: RewardModel) -> Agreement:
    """The first statement as the result that it would have been."""
    opinions = tuple(Opinion(f"p{n}", text) for n, text in enumerate(told["opinions"], 1))
    statement = Candidate("c01", told["statement"], (), "graded_groups", "", "", 0)
    made = Selection(
        question=Question(told["question"]),
        opinions=opinions,
        candidates=(statement,),
        n_sampled=0,
        seed=(0,),
        timings_seconds={},
        provenance={"seed": 0, "n_completions_sampled": 0, "reward_model": reward.name},
    )
    (made,) = scored([made], reward)
    return Agreement.of(made.picked([UTILITARIAN]))


def write(folder: Path, told: list[dict], model: str, n_candidates: int) -> None:
    """Makes what is not made yet."""
    for side in ("old", "new"):
        (folder / side).mkdir(parents=True, exist_ok=True)
    writer: LanguageModel | None = None
    reward = load_reward_model()
    n_stood, gains = 0, {True: [], False: []}
    for number, each in enumerate(told, start=1):
        group = as_read(each)
        if not place(folder, "new", group).exists():
            began = perf_counter()
            before = first(each, reward)
            writer = writer or load_language_model(model)
            critiques = {f"p{n}": text for n, text in enumerate(each["critiques"], 1)}
            after = before.revise(critiques, model=writer, reward=reward, n_candidates=n_candidates)
            for side, result in (("old", before), ("new", after)):
                text = json.dumps(result.to_dict(), ensure_ascii=False)
                write_whole(place(folder, side, group), text)
            print(f"{number} of {len(told)}: {perf_counter() - began:.0f} s", flush=True)
        after = Agreement.from_dict(
            json.loads(place(folder, "new", group).read_text(encoding="utf-8"))
        )
        n_stood += not after.is_revised
        critics = {one.participant_id for one in after.critiques}
        for name, gain in after.gains.items():
            gains[name in critics].append(gain)
    print(f"{len(told)} groups; the first statement stood in {n_stood}")
    for who, found in (("criticised", gains[True]), ("did not", gains[False])):
        print(f"predicted gain of the {len(found)} who {who}: {np.mean(found):+.2f} of 7")


if __name__ == "__main__":
    main()
