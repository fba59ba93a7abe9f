"""An exported network: the scores of one pair at a time, and memory that pairs do not fill."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from commonweal.rewards import ExportedRewardModel
from commonweal.types import RewardInput

sys.path.insert(0, str(Path(__file__).parent))
from export_making import WORDS, write_export


def pairs(n: int, n_words: int) -> list[RewardInput]:
    """Every opinion with every statement, of one to twice ``n_words`` words altogether."""
    rng = np.random.default_rng(1)
    opinions, statements = (
        [" ".join(rng.choice(WORDS, rng.integers(1, n_words))) for _ in range(count)]
        for count in (n // 100, 100)
    )
    return [RewardInput("", o, s) for o, s in itertools.product(opinions, statements)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("export")
    write_export(made)
    return made


def test_scores_are_those_of_one_pair_at_a_time(tmp_path):
    """Over several blocks, with repeats, worked out from the network's weights word by word."""
    weights = write_export(tmp_path)
    number = {word: place for place, word in enumerate(["[UNK]", "/", *WORDS])}
    rng = np.random.default_rng(2)
    inputs = pairs(4500, 25)
    inputs = [inputs[place] for place in rng.permutation(np.arange(2 * len(inputs)) % len(inputs))]
    model, told = ExportedRewardModel(tmp_path), []
    found = model.rewards(inputs, on_done=told.append)
    expected = [
        sum(weights[number[word]] for word in f"{one.opinion} / {one.statement}".split())
        for one in inputs
    ]
    assert np.allclose(found, expected, atol=1e-4)
    assert told == sorted(told)
    assert told[-1] == len(inputs)
    alone = [model.rewards([one])[0] for one in inputs[:50]]
    assert np.allclose(found[:50], alone, atol=1e-5)
    assert model.rewards([]).shape == (0,)


@pytest.mark.heavy
def test_memory_does_not_grow_with_pairs(folder):
    """Peak memory of a process of its own, with 5,000 pairs and with 40,000."""

    def peak_mb(n: int) -> float:
        code = (
            "import sys; from pathlib import Path\n"
            "sys.path.insert(0, sys.argv[1])\n"
            "from test_exported import ExportedRewardModel, pairs\n"
            "inputs = pairs(int(sys.argv[3]), 35)\n"
            "ExportedRewardModel(Path(sys.argv[2])).rewards(inputs)\n"
            "lines = Path('/proc/self/status').read_text().splitlines()\n"
            "print(*(line.split()[1] for line in lines if line.startswith('VmHWM')))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent), str(folder), str(n)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout) / 1024

    few, many = peak_mb(5_000), peak_mb(40_000)
    # The pairs themselves, and where each is, are some 10 MB; their tokens would be 130 MB.
    assert many - few < 50
