"""Rewards on disk: the same numbers, fewer calls, nothing readable, errors with the way out."""

from __future__ import annotations

import inspect
import sqlite3

import numpy as np
import pytest

from commonweal.errors import InputError
from commonweal.rewards import CachedRewardModel, ScriptedRewardModel
from commonweal.types import GivesRanges, JudgesQuality, RewardInput


class Counting:
    """Scores by length and keeps what it was asked."""

    name = "counting"
    calibration = ScriptedRewardModel({}).calibration

    def __init__(self, weights_hash: str = "a") -> None:
        self.weights_hash, self.asked = weights_hash, []

    def rewards(self, inputs, *, on_done=None):
        self.asked += inputs
        if on_done is not None:
            on_done(len(inputs))
        return np.array([len(i.opinion) + len(i.statement) / 7 for i in inputs])


def pairs(*statements: str) -> list[RewardInput]:
    return [RewardInput("Q", "secret opinion", s) for s in statements]


def test_what_is_on_disk_is_not_asked_again(tmp_path):
    model = Counting()
    first = CachedRewardModel(model, tmp_path / "c.sqlite").rewards(pairs("a", "b", "a"))
    assert len(model.asked) == 2
    again = CachedRewardModel(model, tmp_path / "c.sqlite")
    done: list[int] = []
    second = again.rewards(pairs("c", "b", "a"), on_done=done.append)
    assert [i.statement for i in model.asked] == ["a", "b", "c"]
    assert np.array_equal(first, Counting().rewards(pairs("a", "b", "a")))
    assert np.array_equal(second, Counting().rewards(pairs("c", "b", "a")))
    assert done == sorted(done)
    assert done[-1] == 3


def test_other_weights_and_moved_words_are_other_pairs(tmp_path):
    path = tmp_path / "c.sqlite"
    CachedRewardModel(Counting("a"), path).rewards([RewardInput("Q", "ab", "c")])
    for model, given in (
        (Counting("b"), RewardInput("Q", "ab", "c")),
        (Counting("a"), RewardInput("Q", "a", "bc")),
        (Counting("a"), RewardInput("Qa", "b", "c")),
    ):
        CachedRewardModel(model, path).rewards([given])
        assert model.asked == [given]


def test_no_text_is_kept(tmp_path):
    CachedRewardModel(Counting(), tmp_path / "c.sqlite").rewards(pairs("hidden statement"))
    raw = (tmp_path / "c.sqlite").read_bytes()
    assert b"secret" not in raw
    assert b"hidden" not in raw


def test_more_pairs_than_one_query_takes(tmp_path):
    inputs = pairs(*(f"statement {n}" for n in range(2500)))
    model = Counting()
    cached = CachedRewardModel(model, tmp_path / "c.sqlite")
    assert np.array_equal(cached.rewards(inputs), cached.rewards(inputs))
    assert len(model.asked) == 2500


def test_a_file_that_is_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work " * 100)
    with pytest.raises(InputError, match=r"cannot use the reward cache .*thesis\.txt: file is not"):
        CachedRewardModel(Counting(), tmp_path / "thesis.txt")
    with pytest.raises(InputError, match="cannot use the reward cache"):
        CachedRewardModel(Counting(), tmp_path / "nowhere" / "c.sqlite")


def test_an_interrupted_call_leaves_the_file_usable(tmp_path):
    class Broken(Counting):
        def rewards(self, inputs, *, on_done=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CachedRewardModel(Broken(), tmp_path / "c.sqlite").rewards(pairs("a"))
    assert sqlite3.connect(tmp_path / "c.sqlite").execute("SELECT count(*) FROM rewards").fetchone()
    assert len(CachedRewardModel(Counting(), tmp_path / "c.sqlite").rewards(pairs("a"))) == 1


def test_what_was_scored_before_it_broke_off_is_kept(tmp_path):
    class BreaksOff(Counting):
        def rewards(self, inputs, *, on_done=None):
            if self.asked:
                raise KeyboardInterrupt
            return super().rewards(inputs, on_done=on_done)

    inputs, path = pairs(*(f"statement {n}" for n in range(2500))), tmp_path / "c.sqlite"
    broken, done = BreaksOff(), []
    with pytest.raises(KeyboardInterrupt):
        CachedRewardModel(broken, path).rewards(inputs, on_done=done.append)
    model = Counting()
    found = CachedRewardModel(model, path).rewards(inputs, on_done=done.append)
    assert broken.asked + model.asked == inputs
    assert len(broken.asked) == 2000
    assert done == [2000, 2500, 2500]
    assert np.array_equal(found, Counting().rewards(inputs))


def test_a_model_that_tells_its_cost_gets_all_at_once(tmp_path):
    class Costly(Counting):
        def cost(self, inputs):
            return len(inputs)

        def rewards(self, inputs, *, on_done=None):
            self.n_calls = getattr(self, "n_calls", 0) + 1
            return super().rewards(inputs, on_done=on_done)

    model = Costly()
    CachedRewardModel(model, tmp_path / "c.sqlite").rewards(pairs(*map(str, range(2500))))
    assert model.n_calls == 1


def test_what_else_the_model_tells_is_told(tmp_path):
    class Judging(Counting):
        notes = ("a note",)

        def qualities(self, question, opinions, statements):
            return np.full(len(statements), 5.0)

        def ranges(self, expected):
            return expected - 1, expected + 1

    cached = CachedRewardModel(Judging(), tmp_path / "c.sqlite")
    assert isinstance(cached, JudgesQuality)
    assert isinstance(cached, GivesRanges)
    assert cached.qualities("Q", ["a"], ["b", "c"]).tolist() == [5, 5]
    assert cached.notes == ("a note",)
    # From Python 3.12 on, protocols look so: without asking ``__getattr__``.
    assert inspect.getattr_static(cached, "qualities")
    assert inspect.getattr_static(cached, "ranges")
    plain = CachedRewardModel(Counting(), tmp_path / "c.sqlite")
    assert not isinstance(plain, (JudgesQuality, GivesRanges))
    assert getattr(plain, "notes", ()) == ()
