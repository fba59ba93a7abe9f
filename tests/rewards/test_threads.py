"""A loaded reward model shared between threads gives each what one thread alone gets."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from commonweal.models.embedded_engine import EmbeddedModel
from commonweal.rewards import CachedRewardModel, ExportedRewardModel, load_reward_model
from commonweal.rewards.cache import RewardStore
from commonweal.rewards.prompted import PromptedRewardModel
from commonweal.types import RewardInput, RewardModel

sys.path.insert(0, str(Path(__file__).parent))
from export_making import WORDS, write_export

Q = "Should buses be free?"


def batches(n: int) -> list[list[RewardInput]]:
    """Calls whose texts, lengths and sizes differ, so that a mix-up shows."""
    return [
        [
            RewardInput(Q, "I want " + "very " * (i % 7) + "cheap buses.", f"We agree on {i + j}.")
            for j in range(1 + i % 3)
        ]
        for i in range(n)
    ]


def n_wrong(model: RewardModel, inputs: Sequence[Sequence[RewardInput]], *, n_calls: int) -> int:
    """How many of the calls from 8 threads differ from the same call from one thread."""
    expected = [model.rewards(each) for each in inputs]

    def is_wrong(number: int) -> bool:
        place = number % len(inputs)
        return not np.array_equal(model.rewards(inputs[place]), expected[place])

    with ThreadPoolExecutor(8) as threads:
        return sum(threads.map(is_wrong, range(n_calls)))


def test_exported(tmp_path):
    write_export(tmp_path)
    model = ExportedRewardModel(tmp_path)
    calls = [
        [RewardInput("", " ".join(WORDS[i : i + 1 + i % 40]), WORDS[j]) for j in range(1 + i % 9)]
        for i in range(50)
    ]
    assert n_wrong(model, calls, n_calls=1000) == 0
    kept = CachedRewardModel(model, tmp_path / "kept.sqlite")
    assert n_wrong(kept, calls[:10], n_calls=100) == 0


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["first", "reader"])
def test_built_in(name):
    assert n_wrong(load_reward_model(name), batches(10), n_calls=80) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first", "reader"])
def test_built_in_often(name):
    assert n_wrong(load_reward_model(name), batches(50), n_calls=1000) == 0


@pytest.mark.slow
def test_prompted(embedded_model: EmbeddedModel, tmp_path):
    assert n_wrong(PromptedRewardModel(embedded_model), batches(4), n_calls=24) == 0
    kept = PromptedRewardModel(embedded_model, kept_in=RewardStore(tmp_path / "kept.sqlite"))
    assert n_wrong(kept, batches(4), n_calls=24) == 0


@pytest.mark.slow
def test_prompted_often(embedded_model: EmbeddedModel):
    assert n_wrong(PromptedRewardModel(embedded_model), batches(20), n_calls=1000) == 0
