"""The shortlist of the most sensible: ordered as defined, and nothing else is picked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal import find_agreement
from commonweal.comparing import compare_rules
from commonweal.editing import with_text
from commonweal.errors import InputError
from commonweal.models.scripted import ScriptedModel
from commonweal.policies import load_policy
from commonweal.rehearsing import alpha_path, written_without
from commonweal.report import render_report
from commonweal.result import Agreement
from commonweal.rewards import LogisticCalibration
from commonweal.selection.shortlist import most_sensible
from commonweal.study.arm_config import ArmConfig
from commonweal.study.domain.quick import quick_study
from commonweal.study.writing.written import Task, written_by
from commonweal.types import Opinion

QUESTION = "Should local buses be free for everyone?"
OPINIONS = ["The fares eat up my wages.", "Nothing is free: somebody pays."]
STATEMENTS = [
    "We want cheaper fares, as wages are low.",
    "We want free buses, as it supports sustainable development everywhere.",
    "We want free buses for everyone, and somebody pays.",
    "We think fares should fall where wages are low.",
]


class Judging:
    """Everybody likes the last statement best; quality is as told."""

    name, weights_hash = "judging", "0"

    def __init__(self, qualities):
        self._qualities = qualities

    calibration = LogisticCalibration(1.0, 0.0, "nothing: made for a test")

    def rewards(self, pairs, *, on_done=None):
        return np.array([_place(each.statement) / 4 for each in pairs], float)

    def qualities(self, question, opinions, statements):
        return np.array([self._qualities[_place(each)] for each in statements])


def _place(text):
    """Texts that the model is tried with are like the first statement."""
    return STATEMENTS.index(text) if text in STATEMENTS else 0


def found(qualities, **options):
    return find_agreement(
        QUESTION,
        OPINIONS,
        policy="zero_shot",
        model=ScriptedModel(STATEMENTS),
        reward=Judging(qualities),
        n_candidates=4,
        **options,
    )


def test_new_words_count_twice_and_quality_once():
    # By hand: new of the words with four letters and more: 0 of 5, 4 of 6, 0 of 5, 2 of 6.
    assert most_sensible(QUESTION, OPINIONS, STATEMENTS, np.full(4, 5.0))[-1] == 1
    assert most_sensible(QUESTION, OPINIONS, STATEMENTS[:1] * 3, np.array([4, 6, 5.0])) == [1, 2, 0]
    assert most_sensible(QUESTION, OPINIONS, STATEMENTS[:1] * 3, np.full(3, 5.0)) == [0, 1, 2]


@given(
    qualities=st.lists(st.floats(1, 7), min_size=4, max_size=4),
    order=st.permutations(range(4)),
    shift=st.floats(-1, 1),
)
def test_only_the_order_within_the_group_counts(qualities, order, shift):
    qualities = np.round(qualities, 3)  # no ties by the last digit alone
    first = most_sensible(QUESTION, OPINIONS, STATEMENTS, qualities)
    assert sorted(first) == [0, 1, 2, 3]
    shuffled = [STATEMENTS[i] for i in order]
    again = most_sensible(QUESTION, OPINIONS, shuffled, qualities[list(order)])
    if len(set(qualities)) == 4:
        assert {order[i] for i in again[:1]} <= set(first[:2])
    assert most_sensible(QUESTION, OPINIONS, STATEMENTS, np.full(4, 4.0) + shift)[-1] == 1


def test_welfare_chooses_between_those_on_the_list_alone():
    assert found([6, 6, 6, 4.0]).chosen.text == STATEMENTS[3]
    listed = found([6, 6, 6, 4.0], shortlist=2)
    assert listed.passed_over == {1, 3}
    assert listed.chosen.text == STATEMENTS[2]
    assert listed.weak == frozenset()
    assert listed.provenance["shortlist"] == 2
    assert [each["may_be_chosen"] for each in listed.to_dict()["candidates"]] == [
        index not in listed.passed_over for index in range(4)
    ]
    assert Agreement.from_dict(listed.to_dict()) == listed
    assert listed.under("rawlsian").closest_index not in listed.passed_over


def test_a_list_of_one_opens_to_two_for_whoever_names_a_rule():
    one = found([4, 7, 4, 7.0], shortlist=1)
    assert (one.choosable, one.chosen.text) == ((2,), STATEMENTS[2])
    two = one.under("utilitarian")
    assert two.chosen.text == STATEMENTS[3]
    assert two.choosable == one.open_to_rules().choosable == (2, 3)
    assert {pick.index for pick in compare_rules(one, ())} == {3}
    assert alpha_path(one)[0].index == 3
    three = found([6, 6, 6, 4.0], shortlist=3)
    assert three.open_to_rules() is three


def test_other_texts_on_the_page_begin_with_the_most_sensible():
    one = found([4, 7, 4, 7.0], shortlist=1)
    assert one.by_sense == (2, 3, 1, 0)
    page = render_report(one)
    others = page[page.index("of a different kind") :]
    assert [others.index(STATEMENTS[i]) for i in (3, 1, 0)] == sorted(
        others.index(STATEMENTS[i]) for i in (3, 1, 0)
    )
    assert found([4, 7, 4, 7.0]).by_sense == ()


def test_what_does_not_reach_the_floor_is_not_listed():
    listed = found([2, 6, 2, 6.0], shortlist=2)
    assert listed.weak == {0, 2}
    assert listed.passed_over == {0, 2}


@pytest.mark.parametrize("n", [0, -1])
def test_an_empty_shortlist_is_refused(n):
    with pytest.raises(InputError, match=rf"shortlist is {n}, expected at least 1"):
        found([5.0] * 4, shortlist=n)


def test_the_model_that_writes_says_whether_there_is_one():
    model = ScriptedModel(STATEMENTS)
    assert not hasattr(model, "shortlist")
    assert found([5.0] * 4).shortlist is None


class Small(ScriptedModel):
    """A model of which the rule chooses between two."""

    shortlist = 2


def arm_of(**options):
    return ArmConfig(name="one", policy="zero_shot", candidates=4, **options)


@pytest.mark.parametrize(
    ("arm", "listed", "shown"),
    [
        (arm_of(shown=3), None, {STATEMENTS[i] for i in (1, 2, 3)}),
        (arm_of(shown=1, shortlist=True), 2, {STATEMENTS[2]}),
        (arm_of(shown=3, shortlist=True), 3, {STATEMENTS[i] for i in (0, 1, 2)}),
        (
            quick_study([QUESTION]).arms[0].model_copy(update={"candidates": 4}),
            3,
            {STATEMENTS[i] for i in (0, 1, 2)},
        ),
    ],
)
def test_an_arm_shows_as_many_as_it_says_and_only_one_that_asks_has_a_list(arm, listed, shown):
    task = Task(arm, QUESTION, tuple(map(Opinion, "ab", OPINIONS)), (), 1)
    policy = load_policy("zero_shot", Small(STATEMENTS))
    (drawn,) = written_by(task, policy, Judging([6, 6, 6, 4.0])).draws
    assert drawn.shortlist == listed
    assert {each.text for each in drawn.shown} == shown


@pytest.mark.parametrize("more", [{"plan": "collection"}, {"reward": "none", "shown": 4}])
def test_an_arm_without_a_rule_has_no_list(more):
    with pytest.raises(ValueError, match="shortlist is true, and no rule chooses"):
        arm_of(shortlist=True, **more)


def test_a_text_by_hand_needs_no_place_on_the_list_and_takes_none():
    reward = Judging([6, 6, 6, 4.0])
    before = found([6, 6, 6, 4.0], shortlist=2)
    unheard = "Municipal councils everywhere deserve sustainable mobility concepts."
    after = with_text(before, unheard, author="facilitator", reward=reward)
    assert after.passed_over == before.passed_over == {1, 3}
    taken = with_text(before, unheard, author="facilitator", take=True, reward=reward)
    assert taken.closest_index not in taken.passed_over


def test_what_is_written_without_somebody_is_chosen_as_the_rest_was():
    reward = Judging([6, 6, 6, 4.0])
    policy = load_policy("zero_shot", ScriptedModel(STATEMENTS))
    everybody = found([6, 6, 6, 4.0], shortlist=2)
    name = everybody.opinions[0].id
    without = written_without(everybody, name, policy=policy, reward=reward, n_candidates=4)
    assert without.text != STATEMENTS[3]
