"""What a study's writer makes of a revision: what the model reads, what stands, what is picked."""

from __future__ import annotations

import numpy as np
import pytest

from commonweal.errors import GenerationError
from commonweal.models.scripted import ScriptedModel
from commonweal.study.config import ArmConfig
from commonweal.study.simulation.stock import ChanceReward, StockPolicy
from commonweal.study.writing.writer import EngineWriter, Revises, Task
from commonweal.types import Candidate, Critique, Opinion

OPINIONS = (
    Opinion("o1", "The fares eat up my wages, so buses should be free."),
    Opinion("o2", "Nothing is free: somebody pays, and it will be us."),
    Opinion("o3", "Something that the screen has rejected for its words."),
)
OLD = Candidate("c07", "We want buses to be free for everyone.", ("o1",), "zero_shot", "m", "0", 1)
SAID = [
    "We want buses to be free, and the town to say openly who pays for them.",
    "We want cheap buses, paid for by those who drive into the town.",
    "We want buses to be free for children, and cheap for everybody else.",
]


class Heard(ChanceReward):
    """Chance, which keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def rewards(self, inputs, *, on_done=None):
        self.asked += inputs
        return super().rewards(inputs, on_done=on_done)


def written(critiques, said=SAID, *, edited=None, omit=("o3",), shown=2, reward=None):
    """What comes of the task, what the model was told, and what the reward model was asked."""
    arm = ArmConfig(name="quick", candidates=3, shown=shown)
    model, reward = ScriptedModel(said), reward or Heard()
    policy = StockPolicy()
    policy.model = model
    writer = EngineWriter()
    writer._policies[arm.policy, arm.model] = policy
    writer._rewards[(arm.reward,)] = reward
    writer._reward = lambda _arm: reward
    hand = None if edited is None else Candidate("", edited, (), "edited", "", "", 0)
    earlier = ((Critique("o2", "Name the sum."),),)
    task = Task(
        arm, "Should buses be free?", OPINIONS, omit, 5, Revises(OLD, critiques, earlier, hand)
    )
    return writer.write(task, timeout_seconds=9), model, reward


def test_the_model_reads_statement_and_critiques_and_nothing_of_who_is_left_out():
    critiques = (Critique("o2", "Say who pays."), Critique("o3", "A word of mine."))
    result, model, reward = written(critiques)
    (drawn,) = result.draws
    told = "\n".join(message.content for message in model.prompts[0])
    for text in (OLD.text, "Say who pays.", OPINIONS[0].text, OPINIONS[1].text):
        assert text in told
    for text in ("A word of mine.", OPINIONS[2].text, "Name the sum."):
        assert text not in told
    # Everybody is predicted, from the opinion and the critiques of all rounds.
    heard = {each.opinion for each in reward.asked}
    assert f"{OPINIONS[1].text}\nName the sum.\nSay who pays." in heard
    assert OPINIONS[0].text in heard
    assert [each.text for each in drawn.candidates] == [OLD.text, *SAID]
    assert drawn.n_standing == 1


def test_the_best_revisions_are_picked_and_never_what_stands():
    result, _, _ = written((Critique("o1", "Say who pays."),))
    (drawn,) = result.draws
    welfare = drawn.utilities.mean(axis=0)
    best = 1 + np.argsort(-welfare[1:], kind="stable")[:2]
    assert [pick.index for pick in drawn.picks] == best.tolist()


def test_a_version_by_hand_alone_asks_no_model():
    result, model, reward = written((), [], edited="We want buses to be cheap.")
    (drawn,) = result.draws
    assert model.prompts == []
    assert [each.text for each in drawn.candidates] == [OLD.text, "We want buses to be cheap."]
    assert (drawn.n_standing, drawn.picks) == (2, ())
    assert drawn.utilities.shape == (3, 2)
    assert {each.statement for each in reward.asked} == {each.text for each in drawn.candidates}


def test_a_version_by_hand_stands_beside_the_revisions():
    result, _, _ = written((Critique("o1", "Say who pays."),), edited="We want buses to be cheap.")
    (drawn,) = result.draws
    assert drawn.n_standing == 2
    assert [each.policy for each in drawn.candidates[:2]] == ["zero_shot", "edited"]
    assert all(pick.index >= 2 for pick in drawn.picks)


def test_nothing_new_is_a_failure():
    with pytest.raises(GenerationError, match="no revision can be shown"):
        written((Critique("o1", "Say who pays."),), [OLD.text] * 40)
