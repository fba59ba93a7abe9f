"""The walk-through in docs/paper_studies.md, command by command, without a language model.

Latent people of known truth take part through the pages; what writes is a stand-in that puts the
bank's arguments together, of one side, of both, or the best of 16. Networks are not trained here.
    python tests/training/paper_studies_making.py --people 20 [--only evaluation]
gives every command at the recipes' own sizes, or those of one study, and prints what each prints.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from commonweal.cli.app import app
from commonweal.datasets.dataset import read_dataset
from commonweal.models.scripted import ScriptedModel
from commonweal.participants.considerations import load_bank
from commonweal.participants.latent import LatentCrowd, LatentSettings, agreement_of
from commonweal.rewards import LogisticCalibration
from commonweal.study.writing.writer import opinions_of, written_by
from commonweal.training.loop import stages
from commonweal.types import Candidate, Generation

ROOT = Path(__file__).parents[2]
BANK = {each.asked.question.text: each for each in load_bank()}
CROWD = LatentCrowd(3, LatentSettings(noise=0.2, leniency=0.2, unreliability=0.0))


class Arguments:
    """A policy without a model: arguments of the bank, of one side or of both."""

    def __init__(self, name, both):
        self.name, self.both = name, both
        self.model = ScriptedModel([])
        self.model.model_id = "arguments"

    def generate(self, question, opinions, *, n_candidates, rng, on_done=None):
        bank = BANK[question.text]
        candidates = []
        for number in range(1, n_candidates + 1):
            rows = rng.permutation(len(bank.considerations))[:3]
            side = int(rng.integers(2))
            sides = (0, 1) if self.both else (side,)
            said = [bank.considerations[r].arguments[s] for r in rows for s in sides]
            text = " ".join(each[int(rng.integers(len(each)))] for each in said)
            candidates.append(
                Candidate(
                    f"c{number:02d}", text, tuple(o.id for o in opinions), self.name,
                    "arguments", "0" * 16, number,
                )
            )  # fmt: skip
        return Generation(tuple(candidates), (), n_candidates, n_candidates)


class AtTheirWord:
    """A reward model that takes opinions at their word, as the crowd's reader reads them."""

    name = "at their word"
    weights_hash = "0" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: made for the tests")

    def rewards(self, inputs, *, on_done=None):
        return np.array([self._reward(each) for each in inputs])

    def _reward(self, one):
        said, heard = (
            CROWD.reader.read(BANK[one.question], text) for text in (one.opinion, one.statement)
        )
        position = said[:, 0].astype(float) - said[:, 1]
        return agreement_of(position, heard, tolerance=0.5) - 4


class Writers:
    """Prompted arms argue one side; fine-tuned ones both."""

    def write(self, task, *, timeout_seconds):
        if task.arm.plan == "opinions":
            return opinions_of(task)
        policy = Arguments(task.arm.name, both=task.arm.name.startswith("sft"))
        return written_by(task, policy, None if task.arm.reward == "none" else AtTheirWord())

    def try_out(self, arm, *, timeout_seconds):
        return "I am ready."

    def close(self):
        pass


def commands():
    """Every command in the page's boxes, as arguments."""
    page = (ROOT / "docs" / "paper_studies.md").read_text(encoding="utf-8")
    boxes = re.findall(r"^```sh\n(.*?)^```$", page, re.M | re.S)
    return [shlex.split(line) for box in boxes for line in box.splitlines() if line.strip()]


def copied(top):
    """The recipes in this folder, as the page's commands expect them."""
    shutil.copytree(ROOT / "recipes" / "paper_studies", top / "recipes" / "paper_studies")
    shutil.copy(ROOT / "recipes" / "paper.toml", top / "recipes" / "paper.toml")


def walk(top, *, crowd=None, more=(), only=""):
    """Gives every command of the page in this folder; yields each with what it printed.

    ``crowd`` takes part instead of the command's own; ``more`` is added to every rehearsal.
    With ``only``, the other studies' commands and the loop's are left out: what it would have
    trained is there from the start.
    """
    trained_files = {"sft": "run/policy/policy.json", "reward": "run/runtime/reward.json"}
    for turn in (0, 1) if only else ():
        for stage, file in trained_files.items():
            place = top / "out" / "paper" / f"{turn}-{stage}" / file
            place.parent.mkdir(parents=True)
            place.touch()

    def train(file):
        def trained(plan, turn, folder, progress):
            assert all(read_dataset(p).ratings.height for p in stages._rated_so_far(plan, turn))
            (folder / file).parent.mkdir(parents=True)
            (folder / file).touch()
            return {"best step": 1}

        return trained

    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(top)
        patched.setattr("commonweal.study.writing.writer.ProcessWriter", Writers)
        if crowd is not None:
            patched.setattr("commonweal.cli.study_simulate._crowd", lambda seed: crowd)
        patched.setattr(stages, "_sft", train(trained_files["sft"]))
        patched.setattr(stages, "_reward", train(trained_files["reward"]))
        for command in commands():
            if command[1] != "questions" and only not in " ".join(command):
                continue
            command += list(more) if command[1:3] == ["study", "simulate"] else []
            ran = CliRunner().invoke(app, command[1:])
            assert ran.exit_code == 0, f"{command}: {ran.output[-2000:]} {ran.exception!r}"
            yield " ".join(command), ran.output


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", choices=["first", "second", "evaluation"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copied(Path(folder))
        more = ["--people", str(options.people), "--seed", str(options.seed)]
        for command, output in walk(Path(folder), more=more, only=options.only):
            print(f"$ {command}\n{output}", flush=True)


if __name__ == "__main__":
    main()
