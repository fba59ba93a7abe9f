"""The shortlist of the most sensible: ordered as defined, and nothing else is picked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal import find_agreement
from commonweal.errors import InputError
from commonweal.models.scripted import ScriptedModel
from commonweal.result import Agreement
from commonweal.rewards import LogisticCalibration
from commonweal.selection.shortlist import most_sensible

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
