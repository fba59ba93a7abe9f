"""The record: stored and read again, of some of its people, picked anew, never written to."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonweal.errors import GenerationError, InputError, PluginError
from commonweal.models.scripted import ScriptedModel
from commonweal.rewards import LogisticCalibration
from commonweal.rules import resolve_rule
from commonweal.selection import (
    Wanted,
    rank_under,
    select,
    selection_from_dict,
    selection_to_dict,
)
from commonweal.types import (
    Candidate,
    Generation,
    Opinion,
    Question,
    Rejection,
    RejectionReason,
    no_progress,
)
from commonweal.welfare import Isoelastic, isoelastic, rank
from reading_model import ScriptedReader

PEOPLE = tuple(Opinion(name, f"{name} thinks so.") for name in "abcd")
REFUSED = Rejection("Sorry.", RejectionReason.REFUSAL, "says 'Sorry'", 7)


class Policy:
    """As many sentences as are asked for; none where ``is_silent`` says so of who is included."""

    name = "numbered"

    def __init__(self, is_silent=lambda names: False):
        self.model = ScriptedModel([])
        self.is_silent = is_silent

    def generate(self, question, opinions, *, n_candidates, rng, on_done=None):
        names = tuple(opinion.id for opinion in opinions)
        if self.is_silent(names):
            raise GenerationError("nothing came", [REFUSED])
        candidates = tuple(
            Candidate(f"own-{i}", f"Plan {rng.integers(10**6)}.", names, self.name, "none", "0", i)
            for i in range(n_candidates)
        )
        return Generation(candidates, (REFUSED,), n_candidates, n_candidates + 1, ("a note",))


class Reward:
    name, weights_hash = "by chance", "0" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: for a test")

    def __init__(self):
        self.n_calls = 0

    def rewards(self, inputs, *, on_done=None):
        self.n_calls += 1
        return np.random.default_rng(len(inputs)).normal(size=len(inputs))


def made(*wanted, policy=None, reward=None):
    return select(
        Question("Buses?", "q1"),
        PEOPLE,
        wanted,
        policy=policy or Policy(),
        reward=reward,
        on_progress=no_progress,
    )


def wanted(seed, rules, omitted=(), n_candidates=3, named="of some"):
    return Wanted(tuple(omitted), n_candidates, tuple(rules), (seed,), named=named)


RULES = st.one_of(
    st.none(),
    st.sampled_from(("utilitarian", "bernoulli_nash", "rawlsian")).map(resolve_rule),
    st.floats(0, 50).map(Isoelastic),
)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    rules=st.lists(RULES, max_size=4),
    omitted=st.sets(st.sampled_from("abcd"), max_size=3),
    n_candidates=st.integers(1, 4),
)
def test_what_is_stored_is_read_again_as_it_was(seed, rules, omitted, n_candidates):
    several = made(
        wanted(seed, rules, omitted, n_candidates), wanted(seed + 1, rules), reward=Reward()
    )
    for one in several:
        told = json.loads(json.dumps(selection_to_dict(one), allow_nan=False))
        again = selection_from_dict(told)
        assert again == one
        assert pickle.loads(pickle.dumps(one)) == one
        assert set(one.included) == set("abcd") - set(one.omitted)
        assert one.alphas == tuple(None if rule is None else rule.alpha for rule in rules)
        assert len(one.picks) == min(len(rules), len(one.candidates))
        assert one.picked() == one  # the seed decides


def test_selections_are_scored_in_one_batch_and_their_ids_are_the_rounds_own():
    reward = Reward()
    one, two = made(wanted(1, [None]), wanted(2, [None]), reward=reward)
    assert reward.n_calls == 1
    expected = np.random.default_rng(24).normal(size=24).reshape(4, 6)
    np.testing.assert_array_equal(np.hstack([one.rewards, two.rewards]), expected)
    np.testing.assert_allclose(two.utilities, 1 + 6 / (1 + np.exp(-expected[:, 3:])))
    names = [each.id for each in (*one.candidates, *two.candidates)]
    assert names == ["c01", "c02", "c03", "c04", "c05", "c06"]
    cells = list(two.predictions())
    assert [(each.participant_id, each.column) for each in cells[:4]] == [
        ("a", 0),
        ("a", 1),
        ("a", 2),
        ("b", 0),
    ]
    assert cells[3].reward == expected[1, 3]


def test_one_of_several_that_fails_is_empty_and_one_alone_is_an_error():
    policy = Policy(is_silent=lambda names: len(names) == 3)
    rules = [Isoelastic(1.0)]
    failed, other = made(wanted(1, rules, "a"), wanted(2, rules), policy=policy, reward=Reward())
    assert (failed.candidates, failed.picks, failed.rejections) == ((), (), (REFUSED,))
    assert failed.utilities.shape == (4, 0)
    assert failed.notes == ("no statement of some: nothing came",)
    assert selection_from_dict(selection_to_dict(failed)) == failed
    assert len(other.picks) == 1
    with pytest.raises(GenerationError, match=r"^nothing came$"):
        made(wanted(1, rules, "a", named=""), policy=policy, reward=Reward())


def test_whoever_leaves_has_no_weight():
    (whole,) = made(wanted(5, [Isoelastic(2.0)], n_candidates=6), reward=Reward())
    left = whole.of_people({"b", "d"})
    assert [opinion.id for opinion in left.opinions] == ["b", "d"]
    welfare = isoelastic(whole.utilities[[1, 3]], 2.0)
    np.testing.assert_array_equal(left.ranked[0].welfare, welfare)
    assert left.picks == ()
    (pick,) = left.picked(avoid=[whole.candidates[rank(welfare).order[0]].text]).picks
    assert (pick.index, pick.rank) == (rank(welfare).order[1], 2)
    assert whole.of_people(()).opinions == whole.of_people(()).ranked == ()


def test_no_array_can_be_written_to():
    (one,) = made(wanted(5, [Isoelastic(2.0)]), reward=Reward())
    for copy in (one, pickle.loads(pickle.dumps(one)), selection_from_dict(selection_to_dict(one))):
        for array in (copy.rewards, copy.utilities, copy.ranked[0].welfare):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0


def test_what_differs_in_one_thing_is_not_equal():
    (one,) = made(wanted(5, [None]), reward=Reward())
    (same,) = made(wanted(5, [None]), reward=Reward())
    same = replace(same, timings_seconds=one.timings_seconds)
    assert same == one
    for changes in (
        {"rewards": None},
        {"utilities": one.utilities + 1e-9},
        {"utilities": one.utilities[:, :2]},
        {"notes": ()},
        {"ranked": rank_under([Isoelastic(1.0)], one.utilities)},
    ):
        assert replace(one, **changes) != one


# ------------------------------------------------------------------------- quality and ranges


def numbered(text):
    return int(text.removeprefix("Plan ").rstrip("."))


def test_qualities_and_ranges_are_kept_and_read_again():
    reader = ScriptedReader(lambda _, text: numbered(text) / 1e6, lambda text: 4 + 1 / 3)
    one, two = made(wanted(1, [Isoelastic(0.0)]), wanted(2, [None]), reward=reader)
    for each in (one, two):
        np.testing.assert_array_equal(each.qualities, [4 + 1 / 3] * 3)
        np.testing.assert_allclose(each.high - each.low, 2.0)
        again = selection_from_dict(json.loads(json.dumps(selection_to_dict(each))))
        assert again == each
        assert replace(each, qualities=None) != each
        left = each.of_people({"b"})
        np.testing.assert_array_equal(left.low, each.low[[1]])
        assert left.weak == each.weak == frozenset()


def test_the_best_that_is_worth_showing_is_picked():
    worst_wins = ScriptedReader(
        lambda _, text: -numbered(text) / 1e6, lambda text: 1 + 6 * numbered(text) / 1e6
    )
    rules = [Isoelastic(0.0), None]
    (one,) = made(wanted(3, rules, n_candidates=12), reward=worst_wins)
    assert one.weak == {i for i, c in enumerate(one.candidates) if one.qualities[i] < 3.5}
    assert 0 < len(one.weak) < 12
    assert one.ranked[0].ranking.best in one.weak
    best = min((i for i in range(12) if i not in one.weak), key=lambda i: one.qualities[i])
    assert one.picks[0].index == best
    assert one.picks[1].index not in one.weak
    # At random, too: never one of those, whatever the chance.
    for seed in range(50):
        (pick,) = replace(one, seed=(seed,)).picked([None]).picks
        assert pick.index not in one.weak


def test_more_are_drawn_where_none_is_worth_showing_and_no_more_than_needed():
    first = {each.text for each in made(wanted(4, [None]), reward=None)[0].candidates}
    reader = ScriptedReader(lambda *_: 0.5, lambda t: 2.0 if t in first else 5.0, n_judged=9)
    one, other = made(wanted(4, [Isoelastic(0.0)]), wanted(9, [Isoelastic(0.0)]), reward=reader)
    assert reader.n_left == 0
    assert [len(each.candidates) for each in (one, other)] == [6, 3]
    assert len({each.id for each in (*one.candidates, *other.candidates)}) == 9
    assert one.rewards.shape == one.utilities.shape == one.low.shape == (4, 6)
    assert one.picks[0].index == 3
    assert one.n_sampled == one.provenance["n_completions_sampled"] == 8
    assert one.provenance["n_redraws"] == 1
    assert len(one.rejections) == 2
    assert "none of the first 3 candidates reached the quality of 3.5 of 7" in one.notes[-1]
    assert selection_from_dict(json.loads(json.dumps(selection_to_dict(one)))) == one


def test_drawing_more_ends():
    reader = ScriptedReader(lambda *_: 0.5, lambda _: 3.4, n_judged=9)
    (one,) = made(wanted(4, [Isoelastic(0.0), None], named=""), reward=reader)
    assert (len(one.candidates), one.picks, reader.n_left) == (9, (), 0)
    (one,) = select(
        Question("Buses?"),
        PEOPLE,
        [wanted(4, [None])],
        policy=Policy(),
        reward=ScriptedReader(lambda *_: 0.5, lambda _: 1.0, n_judged=3),
        on_progress=no_progress,
        min_quality=None,
    )
    assert len(one.picks) == 1


class Spoilt(ScriptedReader):
    def qualities(self, question, opinions, statements):
        return np.full(len(statements), np.nan)


class Misshapen(ScriptedReader):
    def ranges(self, expected):
        return expected[0], expected[0]


@pytest.mark.parametrize("kind", [Spoilt, Misshapen])
def test_a_model_that_breaks_its_promise_is_named(kind):
    with pytest.raises(PluginError, match=r"scripted reader gave .* from 1 to 7"):
        made(wanted(1, [None]), reward=kind(lambda *_: 0.0))


@pytest.mark.parametrize("floor", [0.9, 7.1, float("nan")])
def test_a_floor_off_the_scale(floor):
    with pytest.raises(InputError, match="min_quality is"):
        select(
            Question("q"),
            PEOPLE,
            [wanted(1, [None])],
            policy=Policy(),
            reward=None,
            on_progress=no_progress,
            min_quality=floor,
        )


def test_a_rule_needs_utilities():
    with pytest.raises(InputError, match="utilitarian and there are no utilities"):
        rank_under([Isoelastic(0.0)], None)
