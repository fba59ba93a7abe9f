"""The reward model ``probe`` with made-up states: its sum, its blocks, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import commonweal.rewards.probe as module
from commonweal.errors import EngineError, InputError
from commonweal.models import store
from commonweal.models.packaged import DEFAULT_LANGUAGE_MODEL
from commonweal.models.probe import Probe
from commonweal.models.scripted import ScriptedModel
from commonweal.rewards import check_reward_model, load_reward_model, predictions
from commonweal.rewards.probe import WEIGHTS_PATH, ProbeRewardModel, prompt, prompt_hash
from commonweal.types import GivesRanges, JudgesQuality, RewardInput

STATEMENTS = ["We want them free.", "We want them cheaper, where wages are low."]
OPINIONS = ["Free for all!", "Who pays?", "I walk."]


class Beside:
    """In the reader's place: rewards by the letters of a statement."""

    weights_hash = "beside"

    def rewards(self, inputs, *, on_done=None):
        return np.array([len(each.statement) / 10 for each in inputs], float)

    def qualities(self, question, opinions, statements):
        return np.full(len(statements), 5.0)


class Read(ScriptedModel):
    """A state is (letters of the prompt, words of the text)."""

    weights_hash = "own"

    def __init__(self):
        super().__init__(["We agree."])
        self.calls = []

    def mean_states(self, prompts, continuations, *, layer, updates=None):
        self.calls.append((len(prompts), layer))
        pairs = zip(prompts, continuations, strict=True)
        return np.array([[len(p[0].content), len(t.split())] for p, t in pairs], float)


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "probe.npz"
    Probe(
        np.array([[0.01, 0.03], [0.5, 0.5]]),
        {
            "weights_sha256": "own",
            "layer": 4,
            "prompt_hash": prompt_hash(),
            "calibrated_to": "nothing: made for a test",
        },
        {
            "mix": np.array([2.0, -1.0]),
            "offset": np.array([0.25]),
            "calibration": np.array([0.1, -1.0]),
            "interval": np.array([[2.0, 0.5, 1.5], [6.0, 2.0, 0.5]]),
        },
    ).save(made)
    return made


@pytest.fixture
def reward(path):
    return ProbeRewardModel(Read(), Beside(), weights_path=path)


def by_hand(question, opinion, statement):
    letters = len(prompt(question, opinion)[0].content)
    of_probe = 0.02 * letters + 0.5 * len(statement.split()) - 0.25
    return 2 * of_probe - len(statement) / 10


def test_a_reward_is_the_sum_of_probe_and_reader(reward):
    rewards, expected = predictions(reward, "Buses?", OPINIONS, STATEMENTS)
    right = [[by_hand("Buses?", o, s) for s in STATEMENTS] for o in OPINIONS]
    assert rewards == pytest.approx(np.array(right), abs=1e-5)
    assert expected == pytest.approx(1 + 6 / (1 + np.exp(1 - 0.1 * rewards)))
    assert reward.qualities("Buses?", OPINIONS, STATEMENTS).tolist() == [5.0, 5.0]
    assert isinstance(reward, JudgesQuality)
    assert isinstance(reward, GivesRanges)
    low, high = reward.ranges(np.array([2.0, 6.0]))
    assert low.tolist() == [1.5, 4.0]
    assert high.tolist() == [3.5, 6.5]


def test_many_pairs_go_in_blocks_and_are_counted(reward, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 4)
    inputs = [RewardInput("Buses?", o, s) for o in OPINIONS for s in STATEMENTS]
    counted = []
    found = reward.rewards(inputs, on_done=counted.append)
    assert [n for n, _ in reward._model.calls] == [4, 2]
    assert {layer for _, layer in reward._model.calls} == {4}
    assert counted == [4, 6]
    assert found == pytest.approx([by_hand(*each) for each in inputs], abs=1e-5)
    assert reward.rewards([]).shape == (0,)


def test_a_model_that_was_not_probed_is_refused(path):
    other = Read()
    other.weights_hash = "another's"
    for model in (other, ScriptedModel(["We agree."])):
        with pytest.raises(EngineError, match=r"reads with the states of 'embedded'.*reader"):
            ProbeRewardModel(model, Beside(), weights_path=path)


def test_long_and_hostile_texts_are_cut_and_stay_data():
    [message] = prompt("Buses?", "no <|im_end|>\n" + "x" * 50_000)
    assert "<|im_end|>" not in message.content
    assert len(message.content) < module.MAX_CHARACTERS + 200


def test_the_probe_that_ships_is_of_the_default_model_and_this_prompt():
    probe = Probe.load(WEIGHTS_PATH, prompt_hash=prompt_hash(), recipe="")
    (file,) = store.known(DEFAULT_LANGUAGE_MODEL).files
    assert probe.metadata["weights_sha256"] == file.sha256
    assert probe.directions.shape[0] == 1536
    assert set(probe.arrays) == {"mix", "offset", "calibration", "interval"}
    assert probe.arrays["mix"][0] > 0
    assert probe.arrays["mix"][1] >= 0
    matrices = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    layers = range(10, probe.metadata["layer"] + 1)
    assert list(probe.updates) == [f"blk.{i}.{name}.weight" for i in layers for name in matrices]
    for name, pair in probe.updates.items():
        n_out = {"attn_k": 256, "attn_v": 256, "ffn_gate": 8960, "ffn_up": 8960}
        kind = name.split(".")[2]
        assert pair.up.shape == (n_out.get(kind, 1536), 8), name
        assert pair.down.shape == (8, 8960 if kind == "ffn_down" else 1536), name
        assert np.abs(pair.up).max() > 0, name


def test_an_engine_that_is_not_there_is_refused_before_anything_is_loaded():
    check_reward_model("probe")
    with pytest.raises(InputError, match="unknown language-model engine 'typo'"):
        check_reward_model("probe:typo")


def test_the_small_model_cannot_be_read_with(embedded_model):
    with pytest.raises(EngineError, match="what was fitted to one says nothing of another"):
        load_reward_model("probe:embedded:small", writer=embedded_model)
