"""What a text goes against and what divides a group, by a reader whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from commonweal.explaining import CLEARLY_AGAINST, MAX_DIVISIONS, MAX_READ, clauses, explain
from commonweal.rewards import ScriptedRewardModel
from commonweal.rules import RAWLSIAN
from commonweal.selection import Selection
from commonweal.types import Candidate, Opinion, Question
from reading_model import ScriptedReader

TEXT = "We want cheaper fares for everyone, but drivers should pay for them."
OTHER = "We want more buses in the villages before anything else."


def rating(reward: float) -> float:
    return 1 + 6 / (1 + float(np.exp(-reward)))


def made(reward, opinions, texts=(TEXT, OTHER), **changes) -> Selection:
    people = tuple(Opinion(name, text) for name, text in opinions.items())
    rewards = np.array([[reward(one.text, text) for text in texts] for one in people])
    candidates = tuple(
        Candidate(f"c{n:02d}", text, (), "p", "m", "h", n) for n, text in enumerate(texts, 1)
    )
    options = {
        "question": Question("Free buses?"),
        "opinions": people,
        "candidates": candidates,
        "n_sampled": len(texts),
        "rewards": rewards,
        "utilities": np.vectorize(rating)(rewards),
        "seed": (0,),
        "timings_seconds": {},
        "provenance": {},
    }
    return Selection(**options | changes).picked([RAWLSIAN])


def explained(reward, opinions, **changes):
    selection = made(reward, opinions, **changes)
    return selection, explain(selection, ScriptedReader(reward))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TEXT, ["We want cheaper fares for everyone", "but drivers should pay for them."]),
        ("We want it. So be it. We pay for all of it.", ["We want it.", "We pay for all of it."]),
        ("One side only stands in this text.", ["One side only stands in this text."]),
        ("We would do it now unless the money is gone.", None),
    ],
)
def test_a_text_is_cut_where_its_sides_meet(text, expected):
    if expected is None:
        expected = ["We would do it now", "unless the money is gone."]
    found = clauses(text)
    assert [each for each in found if len(each.split()) > 3] == [
        each for each in expected if len(each.split()) > 3
    ]


def test_an_objection_is_the_sentence_that_alone_is_most_against_the_text():
    driver = "I like my neighbours very much. I drive a taxi and pay enough. The bus is fine by me."

    def reward(opinion, statement):
        if "pay enough" not in opinion:
            return 1.0
        if statement == OTHER:
            return -9.0
        return -3.0 if opinion == "I drive a taxi and pay enough." else -1.0

    selection, found = explained(reward, {"ana": "Cheaper fares would help me.", "ben": driver})
    assert selection.picks[0].index == 0
    (objection,) = found.objections
    assert (objection.participant_id, objection.sentence) == (
        "ben",
        "I drive a taxi and pay enough.",
    )
    assert objection.expected_rating == pytest.approx(rating(-3.0))


def test_no_objection_is_shown_that_is_not_clearly_negative():
    mild = float(np.log((CLEARLY_AGAINST + 0.2 - 1) / (7 - CLEARLY_AGAINST - 0.2)))
    _, found = explained(lambda o, s: mild, {"ana": "I do not like this.", "ben": "Nor do I, no."})
    assert found.objections == ()


def test_a_division_is_a_clause_on_which_people_part_and_says_who_stands_where():
    def reward(opinion, statement):
        if statement == TEXT:
            return 1.0
        if "drivers should pay" not in statement:
            return 0.5
        return -2.0 if "drive" in opinion else 2.0

    _, found = explained(
        reward,
        {"ana": "Cheaper fares help me.", "ben": "I drive a taxi.", "cem": "Buses are green."},
    )
    (division,) = found.divisions
    assert division.text == "but drivers should pay for them."
    assert division.candidate_id == "c01"
    assert division.for_it == ("ana", "cem")
    assert division.against_it == ("ben",)


def test_what_is_shared_is_a_clause_that_everybody_agrees_with_and_a_lone_clause_is_none():
    def reward(opinion, statement):
        if statement.startswith("We want cheaper") and statement != TEXT:
            return 1.0
        return -1.0 if "drive" in opinion else 1.0

    people = {"ana": "Cheaper fares help me.", "ben": "I drive a taxi."}
    _, found = explained(reward, people)
    assert found.shared == ("We want cheaper fares for everyone",)
    _, found = explained(lambda o, s: 1.0, people, texts=(OTHER,))
    assert found.shared == ()
    # Hardly above neutral is not shared.
    _, found = explained(lambda o, s: 0.1, people)
    assert found.shared == ()


def test_a_candidate_may_divide_but_a_weak_one_and_a_second_like_it_are_not_named():
    texts = (TEXT, OTHER, f"{OTHER} At once.", "We want nonsense about flying buses, all of us.")

    def reward(opinion, statement):
        if statement == texts[0] or statement in clauses(TEXT):
            return 1.0
        side = 1 if "village" in opinion else -1
        return (5.0 if "nonsense" in statement else 3.0) * side

    selection, found = explained(
        reward,
        {"ana": "In my village there is no bus.", "ben": "The city needs them."},
        texts=texts,
        qualities=np.array([6.0, 6.0, 6.0, 1.0]),
        min_quality=3.5,
    )
    assert selection.weak == {3}
    assert [each.candidate_id for each in found.divisions] == ["c02"]
    assert len(found.divisions) <= MAX_DIVISIONS


def test_what_is_far_down_in_the_models_own_order_divides_nobody():
    """Each text divides the two; the later ones divide them more."""
    texts = [f"We want thing number {n} and nothing else." for n in range(7)]

    def reward(opinion, statement):
        place = next(n for n, text in enumerate(texts) if text == statement)
        return (1 + 0.1 * place) * (1 if opinion.startswith("Yes") else -1)

    opinions = {"ann": "Yes to all of that.", "ben": "No to all of that."}
    order = [
        Candidate(f"c{n}", text, (), "p", "m", "h", n, sense=-n) for n, text in enumerate(texts)
    ]
    selection, found = explained(
        reward, opinions, texts=texts, candidates=tuple(order), shortlist=1
    )
    assert selection.by_sense == tuple(range(7))
    assert [each.candidate_id for each in found.divisions] == [f"c{MAX_READ - 1}"]
    _, found = explained(reward, opinions, texts=texts)
    assert [each.candidate_id for each in found.divisions] == ["c07"]


def test_the_chosen_text_itself_is_not_named_again():
    def reward(opinion, statement):
        for_it, against_it = (6.0, -2.0) if statement == OTHER else (0.8, -3.0)
        return for_it if "village" in opinion else against_it

    people = {"ana": "In my village there is no bus.", "ben": "The city needs them."}
    selection, found = explained(reward, people, texts=(OTHER, "Nobody wants any more buses here."))
    assert selection.picks[0].index == 0
    assert [each.candidate_id for each in found.divisions] == ["c02"]


def test_what_is_read_of_a_person_may_be_more_than_the_opinion():
    critique = "Drivers must not pay for it."

    def reward(opinion, statement):
        return -3.0 if "must not pay" in opinion else 1.0

    people = {"ana": "Cheaper fares help me.", "ben": "I drive a taxi, that is all."}
    heard = {"ben": f"{people['ben']} {critique}"}
    selection = made(lambda o, s: reward(heard["ben"] if o == people["ben"] else o, s), people)
    without = explain(selection, ScriptedReader(reward))
    found = explain(selection, ScriptedReader(reward), read_as=heard)
    assert without.objections == ()
    assert [each.sentence for each in found.objections] == [critique]


def test_models_that_cannot_say_how_sure_they_are_are_not_asked():
    selection = made(lambda o, s: 0.0, {"ana": "Yes to all.", "ben": "No to all."})
    assert explain(selection, ScriptedRewardModel({})) is None
    nothing = made(
        lambda o, s: 0.0,
        {"ana": "Yes to all.", "ben": "No to all."},
        qualities=np.array([1.0, 1.0]),
        min_quality=3.5,
    )
    assert explain(nothing, ScriptedReader(lambda o, s: 0.0)) is None
