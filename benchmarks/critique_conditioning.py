"""How a reward model should read a person who also wrote a critique: forms of one text, compared.

Graded are a statement and its revision, by each person's view (examples/critiques, written and
graded for this project by a language model; nobody's ratings). For each form: the mean absolute
error of the predicted rating of the first statement and of the revision, and how the predicted
gain goes with the graded one, over those who criticised and over all.

    python benchmarks/critique_conditioning.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from commonweal.rewards import load_reward_model
from commonweal.types import RewardInput

FILE = Path(__file__).parents[1] / "examples" / "critiques" / "revisions.jsonl"
FORMS: dict[str, Callable[[str, str], str]] = {
    "opinion alone": lambda opinion, _: opinion,
    "opinion, then critique": lambda opinion, critique: f"{opinion} {critique}".strip(),
    "critique, then opinion": lambda opinion, critique: f"{critique} {opinion}".strip(),
    "critique alone": lambda opinion, critique: critique or opinion,
    "opinion, 'I would change:', critique": lambda opinion, critique: (
        f"{opinion} I would change: {critique}" if critique else opinion
    ),
}


def main() -> None:
    rounds = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    model = load_reward_model(*sys.argv[1:2])
    said = np.array([bool(c) for each in rounds for c in each["critiques"]])
    graded = np.array([g for each in rounds for g in each["agreement"]], float)
    revised = np.array([g for each in rounds for g in each["revised_agreement"]], float)
    print(f"{model.name}: {len(rounds)} groups, {said.sum()} critiques, {said.size} people")
    print("form | error first | error revision | gain predicted (graded) | order of gains | won")
    for name, form in FORMS.items():
        inputs = [
            RewardInput(each["question"], form(opinion, critique), each[text])
            for each in rounds
            for opinion, critique in zip(each["opinions"], each["critiques"], strict=True)
            for text in ("statement", "revision")
        ]
        expected = model.calibration.expected_rating(model.rewards(inputs)).reshape(-1, 2)
        gain, truth = expected[:, 1] - expected[:, 0], revised - graded
        moved = truth != 0
        for who, rows in (("who criticised", said), ("all", np.ones_like(said))):
            right = (np.sign(gain) == np.sign(truth))[rows & moved].mean()
            print(
                f"{name} | {who} | {np.abs(expected[:, 0] - graded)[rows].mean():.2f} | "
                f"{np.abs(expected[:, 1] - revised)[rows].mean():.2f} | "
                f"{gain[rows].mean():+.2f} ({truth[rows].mean():+.2f}) | "
                f"{spearmanr(gain[rows], truth[rows]).statistic:+.2f} | {right:.0%}"
            )


if __name__ == "__main__":
    main()
