"""The contrasts of the paper as studies by latent people, of whom the truth is known.

What writes puts marks together, and what predicts takes opinions at their word: no model is asked.
    python tests/study/contrast_making.py --people 60
prints the win rate of each contrast beside the truth.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from study_making import small_study

from commonweal.datasets.dataset import read_dataset
from commonweal.models.scripted import ScriptedModel
from commonweal.participants import Asked
from commonweal.participants.considerations import BankQuestion, Consideration
from commonweal.participants.latent import LatentCrowd, LatentSettings, agreement_of
from commonweal.rewards import LogisticCalibration
from commonweal.study.export.dataset import export_study
from commonweal.study.simulation.simulate import STEADY, simulate
from commonweal.study.simulation.truth import true_win_rates
from commonweal.study.storage.clock import ManualClock
from commonweal.study.storage.store import Store
from commonweal.study.web.app import App
from commonweal.study.writing.writer import opinions_of, written_by
from commonweal.types import Candidate, Generation, Question

N = 5
BANK = [
    BankQuestion(
        Asked(Question(f"Should we do plan {n}?", f"plan-{n}"), f"We should do plan {n}."),
        tuple(
            Consideration(
                f"c{k}", ((f"Plan {n} is good for reason {k}.",), (f"Plan {n} fails at {k}.",))
            )
            for k in range(N)
        ),
    )
    for n in range(3)
]


class Marks:
    """Reads marks: "+2" is for by consideration 2, "-0" against by the verdict; and opinions."""

    def read(self, question, text):
        expressed = np.zeros((N, 2), dtype=bool)
        for sign, number in re.findall(r"([+-])(\d)", text):
            expressed[int(number), int(sign == "-")] = True
        for number in re.findall(r"good for reason (\d)", text):
            expressed[int(number), 0] = True
        for number in re.findall(r"fails at (\d)", text):
            expressed[int(number), 1] = True
        return expressed

    def read_all(self, wanted):
        return [self.read(question, text) for question, text in wanted]


class Marking:
    """A policy that writes marks: of both sides, or of one."""

    def __init__(self, name, model, both):
        self.name, self.both = name, both
        self.model = ScriptedModel([])
        self.model.model_id = model

    def generate(self, question, opinions, *, n_candidates, rng, on_done=None):
        texts = dict.fromkeys(self._text(rng) for _ in range(20 * n_candidates))
        return Generation(
            tuple(
                Candidate(
                    f"c{i:02d}", text, tuple(o.id for o in opinions), self.name,
                    self.model.model_id, "0" * 16, i,
                )
                for i, text in enumerate(list(texts)[:n_candidates], 1)
            ),
            (), n_candidates, n_candidates,
        )  # fmt: skip

    def _text(self, rng):
        chosen = rng.permutation(N)[: int(rng.integers(2, 4))]
        if self.both:
            return "We hold " + " ".join(f"+{k} -{k}" for k in chosen)
        sign = "+-"[int(rng.integers(2))]
        return "We hold " + " ".join(f"{sign}{k}" for k in chosen)


class Understanding:
    """A reward model that takes opinions at their word: what is not said has no weight."""

    name = "understanding"
    weights_hash = "0" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: made for the tests")

    def rewards(self, inputs, *, on_done=None):
        return np.array([self._reward(each) for each in inputs])

    def _reward(self, one):
        position = np.zeros(N)
        for k in re.findall(r"good for reason (\d)", one.opinion):
            position[int(k)] = 1
        for k in re.findall(r"fails at (\d)", one.opinion):
            position[int(k)] = -1
        return agreement_of(position, Marks().read(None, one.statement), tolerance=0.2) - 4


class Writers:
    """A policy for each of an arm's models: "embedded" sees both sides, the small one does not."""

    def write(self, task, *, timeout_seconds):
        if task.arm.plan == "opinions":
            return opinions_of(task)
        both = task.arm.model == "embedded"
        policy = Marking(task.arm.policy.split("_")[0], task.arm.model, both)
        reward = None if task.arm.reward == "none" else Understanding()
        return written_by(task, policy, reward)


CROWD = LatentCrowd(
    7, LatentSettings(noise=0.2, leniency=0.2, unreliability=0.0), bank=BANK, reader=Marks()
)


def run(folder, arms, n_people=8, **changes):
    """The report and the dataset of a study with these arms."""
    clock = ManualClock()
    store = Store(f"sqlite:///{folder}/study.db", clock=clock)
    config = small_study(
        questions=[
            {"text": each.asked.question.text, "position": each.asked.position_statement,
             "id": each.id, "split": "ood_test"}
            for each in BANK
        ],
        purpose="evaluation", arms=arms, rounds={"count": 2, "passes": 1}, checks=[],
        opinion={"min_characters": 10}, **changes,
    )  # fmt: skip
    study_id = store.open_study(config)
    app = App(store, study_id, writer=Writers(), in_background=False, simulated=True)
    report = simulate(app, clock, n_people=n_people, profile=STEADY, crowd=CROWD)
    assert (report.stuck, report.lost, report.failures) == ([], [], [])
    export_study(store, study_id, folder / "data", truths=report.truths)
    store.close()
    return report, read_dataset(folder / "data")


def differences(dataset, given, first, second):
    """By round, the mean of ``first`` less that of ``second``, one value at a time: a twin of what
    the evaluation does with arrays. ``given`` is by (round, participant, candidate).
    """
    policy = {
        (row["round_id"], row["candidate_id"]): row["policy"]
        for row in dataset.candidates.iter_rows(named=True)
    }
    by_arm = defaultdict(lambda: defaultdict(list))
    for (round_id, _, candidate), value in given.items():
        by_arm[round_id][policy[round_id, candidate]].append(value)
    return {r: np.mean(of[first]) - np.mean(of[second]) for r, of in by_arm.items()}


def share_won(differences):
    decided = [d for d in differences.values() if abs(d) > 1e-9]
    return sum(d > 0 for d in decided) / len(decided) if decided else float("nan")


ONE = {"candidates": 16, "shown": 1, "model": "embedded:small"}
STUDIES = {
    # The pair whose win rate the evaluation gives, and the arms in the file's order.
    "model against model": (
        ("small", "large"),
        [
            {"name": "small", "policy": "few_shot_base", "model": "embedded:small"},
            {"name": "large", "policy": "few_shot_base", "model": "embedded"},
        ],
    ),
    "base against best of n": (
        ("sft_utilitarian", "sft_base"),
        [
            {"name": "sft_base", "policy": "sft_base", "model": "embedded:small"},
            {"name": "sft_utilitarian", "policy": "sft_utilitarian", **ONE},
        ],
    ),
    "alpha against alpha": (
        ("worst_off", "everybody"),
        [
            {"name": "everybody", "policy": "sft", "welfare": "utilitarian", **ONE},
            {"name": "worst_off", "policy": "sft", "alpha": {"mu": 2.0, "sigma": 0.0}, **ONE},
        ],
    ),
}


def main() -> None:
    n_people = int(sys.argv[sys.argv.index("--people") + 1]) if "--people" in sys.argv else 60
    for study, (_, arms) in STUDIES.items():
        with tempfile.TemporaryDirectory() as folder:
            _, dataset = run(Path(folder), arms, n_people)
        (rate,) = true_win_rates(dataset)
        print(
            f"{study}: {rate.first} over {rate.second}: by ratings {rate.measured:.1%} "
            f"({rate.low:.1%} to {rate.high:.1%}), true {rate.true:.1%}, {rate.n_rounds} rounds"
        )


if __name__ == "__main__":
    main()
