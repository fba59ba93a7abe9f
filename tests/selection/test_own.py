"""Objects of the caller's own are tried before anything is written, and named where they fail."""

from __future__ import annotations

import numpy as np
import pytest

from commonweal.agreement import find_agreement
from commonweal.errors import EngineError, InputError, PluginError
from commonweal.models.scripted import ScriptedModel
from commonweal.rewards import LogisticCalibration
from commonweal.types import Candidate, Generation

OPINIONS = ["Free buses would change my life.", "Who pays for them? Not me.", "I walk."]
STATEMENT = "We think that buses should be cheap for everybody, and free for those who earn little."


class Own:
    """A reward model that keeps to the form, to be broken in one place."""

    name, weights_hash = "mine", "0" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: for a test")

    def __init__(self, give=lambda n: np.zeros(n)):
        self.give, self.n_calls = give, 0

    def rewards(self, inputs, *, on_done=None):
        self.n_calls += 1
        if on_done is not None:
            on_done(len(inputs))
        return self.give(len(inputs))


def agreed(reward, *, writer=None, **options):
    return find_agreement(
        "Should buses be free?",
        OPINIONS,
        policy=options.pop("policy", "zero_shot"),
        model=writer or ScriptedModel([STATEMENT] * 2),
        reward=reward,
        n_candidates=1,
        **options,
    )


def with_calibration(expected_rating):
    class Calibrated(Own):
        class calibration:  # noqa: N801
            pass

    Calibrated.calibration.expected_rating = staticmethod(expected_rating)
    return Calibrated()


def raises(error):
    def give(*_):
        raise error

    return give


BROKEN = {
    "too few": (
        Own(lambda n: np.zeros(n - 1)),
        PluginError,
        r"'mine' gave rewards of shape \(1,\)",
    ),
    "a table": (Own(lambda n: np.zeros((n, 1))), PluginError, r"shape \(2, 1\) for 2 inputs"),
    "words": (Own(lambda n: ["much"] * n), PluginError, "'mine' failed: ValueError"),
    "inf": (Own(lambda n: np.full(n, np.inf)), PluginError, "reward of the person p1 is inf"),
    "nan": (Own(lambda n: np.full(n, np.nan)), EngineError, "opinions of p1"),
    "a fault": (Own(raises(KeyError("vote"))), PluginError, "'mine' failed: KeyError: 'vote'"),
    "off the scale": (with_calibration(lambda r: r), PluginError, "rating of the person p1 is 0 "),
    "nan rating": (with_calibration(lambda r: r * np.nan), PluginError, "person p1 is nan"),
    "one rating": (with_calibration(lambda _: np.float64(4)), PluginError, "ratings of shape"),
    "its calibration": (
        with_calibration(raises(ZeroDivisionError())),
        PluginError,
        "the calibration of the reward model 'mine' failed: ZeroDivisionError",
    ),
}


@pytest.mark.parametrize("why", BROKEN)
def test_a_broken_reward_model_is_found_before_anything_is_written(why):
    reward, kind, message = BROKEN[why]
    writer = ScriptedModel([STATEMENT])
    with pytest.raises(kind, match=message) as told:
        agreed(reward, writer=writer)
    assert writer.prompts == []
    assert not isinstance(told.value, InputError)


def test_a_model_that_was_tried_is_not_tried_again():
    reward = Own()
    for n_calls in (2, 3):
        agreed(reward)
        assert reward.n_calls == n_calls


def test_one_that_breaks_later_is_named_with_the_person():
    later = Own(lambda n: np.zeros(n) if n == 2 else np.array([0.0, np.inf, 0.0]))
    with pytest.raises(PluginError, match="reward of the person p2 is inf for the text 'We think"):
        agreed(later)


def test_a_welfare_function_is_tried_with_utilities_of_the_right_shape():
    writer = ScriptedModel([STATEMENT])
    shapes = []

    def short(utilities):
        shapes.append(utilities.shape)
        return utilities[0, :0]

    with pytest.raises(PluginError, match="the welfare rule 'short' gave shape"):
        agreed(Own(), writer=writer, welfare=short)
    assert shapes == [(3, 1)]
    assert writer.prompts == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"reward": object()},
            "the reward model that was given, of type object, has no calibration",
        ),
        ({"reward": Own}, "the reward model that was given, of type type, has no"),
        ({"policy": object()}, "the policy that was given, of type object, has no generate, model"),
        ({"model": object()}, "the model that was given, of type object, has no count_tokens"),
    ],
)
def test_an_object_without_the_members_is_refused(given, message):
    options = {"reward": Own(), "model": ScriptedModel([]), "policy": "zero_shot"} | given
    with pytest.raises(PluginError, match=message):
        find_agreement("Should buses be free?", OPINIONS, **options)


class OwnPolicy:
    name, model = "mine", ScriptedModel([])

    def __init__(self, give):
        self.give = give

    def generate(self, question, opinions, *, n_candidates, rng, on_done=None):
        return self.give()


def candidate(text):
    return Candidate("c01", text, ("p1",), "mine", "none", "0", 1)


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (raises(KeyError("key")), "the policy 'mine' failed: KeyError: 'key'"),
        (lambda: ["text"], "the policy 'mine' gave a list"),
        (lambda: Generation((candidate(" "),), (), 1, 1), "as candidate 1; expected"),
        (lambda: Generation(("text",), (), 1, 1), "gave 'text' as candidate 1"),
    ],
)
def test_a_policy_that_breaks_its_promise_is_named(give, message):
    with pytest.raises(PluginError, match=message):
        agreed(Own(), policy=OwnPolicy(give))


def test_what_the_callers_progress_raises_is_theirs():
    class EnoughError(Exception):
        pass

    def progress(stage, n_done, n_total):
        if stage == "predict":
            raise EnoughError

    with pytest.raises(EnoughError):
        agreed(Own(), on_progress=progress)
