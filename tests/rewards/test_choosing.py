"""Which reward model predicts where nobody says, and that what predicted before does so again."""

from __future__ import annotations

import numpy as np
import pytest

import commonweal.rewards.probe as probe_module
from commonweal import find_agreement
from commonweal.editing import with_text
from commonweal.models.probe import Probe
from commonweal.models.scripted import ScriptedModel
from commonweal.rewards.choosing import MOST_PROBED, chosen_for, loaded_as_before
from commonweal.rewards.probe import prompt_hash

STATEMENTS = [
    "We want cheaper fares, as wages are low.",
    "We want free buses for everyone, and somebody pays.",
]


class Probed(ScriptedModel):
    """The model that a made-up probe was fitted to; a state is the number of words."""

    weights_hash = "probed"

    def mean_states(self, prompts, continuations, *, layer, updates=None):
        return np.array([[len(text.split())] for text in continuations], float)


@pytest.fixture(autouse=True)
def _shipped(tmp_path, monkeypatch):
    path = tmp_path / "probe.npz"
    Probe(
        np.array([[1.0]]),
        {
            "weights_sha256": "probed",
            "layer": 1,
            "prompt_hash": prompt_hash(),
            "calibrated_to": "nothing: made for a test",
        },
        {
            "mix": np.array([1.0, 0.0]),
            "offset": np.array([8.0]),
            "calibration": np.array([1.0, 0.5]),
            "interval": np.array([[4.0, 1.0, 1.0]]),
        },
    ).save(path)
    monkeypatch.setattr(probe_module, "WEIGHTS_PATH", path)
    monkeypatch.setattr(
        probe_module.ProbeRewardModel.__init__, "__kwdefaults__", {"weights_path": path}
    )


def found(model, opinions=("The fares eat up my wages.", "Somebody pays."), **options):
    return find_agreement(
        "Should local buses be free?",
        list(opinions),
        policy="zero_shot",
        model=model,
        n_candidates=2,
        min_quality=None,
        **options,
    )


def test_the_probe_predicts_for_few_where_its_model_writes():
    writer = Probed(STATEMENTS * 4)
    assert chosen_for(writer, MOST_PROBED) == "probe"
    assert chosen_for(writer, MOST_PROBED + 1) == "reader"
    assert chosen_for(ScriptedModel(STATEMENTS), 2) == "reader"
    result = found(writer)
    assert result.provenance["reward_model"] == "probe"
    # By hand: nine words have a reward of 1, eight of 0.
    assert result.rewards[0].tolist() == [0.0, 1.0]
    assert result.chosen.text == STATEMENTS[1]
    many = found(writer, [f"I am number {n}, and I want them." for n in range(MOST_PROBED + 1)])
    assert many.provenance["reward_model"] == "reader"
    assert found(ScriptedModel(STATEMENTS)).provenance["reward_model"] == "reader"
    assert found(writer, reward="first").provenance["reward_model"] == "first"


def test_what_predicted_before_does_so_again():
    first = found(ScriptedModel(STATEMENTS), reward="first")
    edited = with_text(first, "We could try it for a year.", author="facilitator")
    assert edited.rewards.shape == (2, 3)
    assert loaded_as_before(None, first.provenance).name == "first"
    assert loaded_as_before("reader", first.provenance).name == "reader"
    assert loaded_as_before(None, {"reward_model": "one of ours"}).name == "reader"
    stored = {"reward_model": "prompted:embedded:small"}
    assert loaded_as_before(None, stored).name == "prompted:embedded:smollm2-135m-instruct"
    writer = Probed(STATEMENTS * 4)
    again = loaded_as_before(None, found(writer).provenance, writer=writer)
    assert again.name == "probe"
    assert loaded_as_before(again, first.provenance) is again
