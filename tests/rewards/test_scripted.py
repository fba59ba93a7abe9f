"""The scripted reward model says what it was told, and nothing else."""

import numpy as np
import pytest

from commonweal.errors import CommonwealError, InputError
from commonweal.rewards import ScriptedRewardModel, load_reward_model, utility_profile
from commonweal.types import RewardInput, RewardModel


def test_it_is_a_reward_model():
    assert isinstance(ScriptedRewardModel([]), RewardModel)


def test_a_sequence_is_handed_out_once():
    model = ScriptedRewardModel([1, 2, 3])
    inputs = [RewardInput("q", "o", "s")] * 2
    assert model.rewards(inputs).tolist() == [1, 2]
    with pytest.raises(CommonwealError, match="asked for 2 rewards and has 1 of 3 left"):
        model.rewards(inputs)
    assert model.calls == [tuple(inputs)] * 2


def test_a_mapping_is_looked_up():
    model = ScriptedRewardModel({("o", "s"): 2.0, RewardInput("other", "o", "s"): 5.0})
    assert model.rewards([RewardInput("q", "o", "s")]).tolist() == [2]
    assert model.rewards([RewardInput("other", "o", "s")]).tolist() == [5]
    with pytest.raises(CommonwealError, match="no reward for"):
        model.rewards([RewardInput("q", "o", "t")])


def test_the_hash_tells_scripts_apart():
    assert ScriptedRewardModel([1]).weights_hash == ScriptedRewardModel([1.0]).weights_hash
    assert ScriptedRewardModel([1]).weights_hash != ScriptedRewardModel([2]).weights_hash


def test_the_profile_has_a_row_a_participant_and_a_column_a_candidate():
    model = ScriptedRewardModel({(o, s): o == s for o in "ab" for s in "abc"})
    done = []
    profile = utility_profile(model, "q", ["a", "b"], ["a", "b", "c"], on_done=done.append)
    assert profile.shape == (2, 3)
    assert profile.dtype == np.float64
    assert (profile.argmax(axis=1) == [0, 1]).all()
    assert done == [6]


def test_a_profile_of_nobody_or_nothing_is_empty():
    assert utility_profile(ScriptedRewardModel([]), "q", [], ["a"]).shape == (0, 1)
    assert utility_profile(ScriptedRewardModel([]), "q", ["a"], []).shape == (1, 0)


def test_an_unknown_name_names_the_known():
    with pytest.raises(InputError, match=r"unknown reward model 'frist'.*one of .*first"):
        load_reward_model("frist")
