"""The result says what was found, and another welfare function over it generates nothing."""

from __future__ import annotations

import copy
import json
import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from commonweal.errors import InputError, WelfareDomainError
from commonweal.outcomes import Outcome, Verdict, left_out, verdict
from commonweal.population import Population, Share
from commonweal.result import Agreement
from commonweal.selection import Selection
from commonweal.types import Candidate, Opinion, Question, Rejection, RejectionReason
from commonweal.welfare import WELFARE_FUNCTIONS, Isoelastic


def made_agreement(utilities, *, alpha=0.0, ids=None, texts=None, statements=None, **more):
    """An agreement with these utilities [n_participants, n_candidates]."""
    profile = np.array(utilities, dtype=float)
    n_participants, n_candidates = profile.shape
    ids = ids or [f"p{i + 1}" for i in range(n_participants)]
    texts = texts or [f"The opinion of {name}." for name in ids]
    statements = statements or [f"We agree on statement number {i}." for i in range(n_candidates)]
    known = {
        "question": Question("Should local buses be free?"),
        "omitted": (),
        "rejections": (Rejection("Sorry.", RejectionReason.REFUSAL, "says 'Sorry'", 9),),
        "notes": ("a note",),
        "timings_seconds": {"load": 1.0, "generate": 2.0, "predict": 0.5},
        "provenance": {
            "commonweal_version": "0",
            "seed": 7,
            "n_completions_sampled": n_candidates + 1,
            "model_weights_sha256": None,
        },
    }
    made = Selection(
        opinions=tuple(Opinion(*pair) for pair in zip(ids, texts, strict=True)),
        candidates=tuple(
            Candidate(f"c{i + 1:02d}", text, tuple(ids), "zero_shot", "scripted", "0" * 16, i)
            for i, text in enumerate(statements)
        ),
        n_sampled=n_candidates + 1,
        rewards=np.log(profile),  # what rewards are made of is not this file's matter
        utilities=profile,
        seed=(7,),
        **known | more,
    )
    return Agreement.of(made.picked([Isoelastic(alpha)]))


# Means 4, 3.5 and 3.75; minima 1, 3 and 2; products 7, 12 and 11.
SPLIT = [[7.0, 3.0, 5.5], [1.0, 4.0, 2.0]]


def test_the_chosen_is_the_best_by_hand():
    result = made_agreement(SPLIT)
    assert result.chosen.id == "c01"
    assert result.statement == "We agree on statement number 0."
    assert result.welfare == pytest.approx([4, 3.5, 3.75])
    assert result.welfare_name == "utilitarian"
    assert not result.is_tie


def test_under_another_welfare_function():
    result = made_agreement(SPLIT)
    nash, rawls = result.under("bernoulli_nash"), result.under("rawlsian")
    assert nash.chosen.id == "c02"
    assert nash.welfare == pytest.approx([math.sqrt(7), math.sqrt(12), math.sqrt(11)])
    assert rawls.chosen.id == "c02"
    assert rawls.welfare == pytest.approx([1, 3, 2])
    assert (nash.alpha, rawls.alpha) == (1, math.inf)
    assert rawls.candidates is result.candidates
    assert rawls.utilities is result.utilities
    assert rawls.under("utilitarian").chosen == result.chosen
    # The first is as it was.
    assert (result.alpha, result.chosen.id) == (0, "c01")


def test_under_any_alpha():
    result = made_agreement(SPLIT)
    harmonic = result.under(alpha=2)
    assert harmonic.welfare == pytest.approx([2 / (1 + 1 / 7), 24 / 7, 2 / (1 / 5.5 + 1 / 2)])
    assert harmonic.welfare_name == "isoelastic, α = 2"
    assert result.under("rawlsian", alpha=0).chosen == result.chosen


def test_under_something_unknown():
    result = made_agreement(SPLIT)
    with pytest.raises(InputError, match=r"'nsh'.*bernoulli_nash"):
        result.under("nsh")
    for alpha in (-1, math.nan):
        with pytest.raises(WelfareDomainError, match="alpha"):
            result.under(alpha=alpha)


def test_dissent_is_below_four_and_the_worst_comes_first():
    ratings = [3.9, 4.0, 1.5, 6.0, 3.2]
    result = made_agreement([[rating] for rating in ratings], ids=list("abcde"))
    assert [(d.participant_id, d.expected_rating) for d in result.dissent] == [
        ("c", 1.5),
        ("e", 3.2),
        ("a", 3.9),
    ]
    assert [d.below_neutral for d in result.dissent] == pytest.approx([2.5, 0.8, 0.1])


def test_dissent_is_about_the_chosen_candidate():
    result = made_agreement(SPLIT)
    assert [d.participant_id for d in result.dissent] == ["p2"]
    assert [d.participant_id for d in result.under("rawlsian").dissent] == ["p1"]


def test_nobody_dissents():
    assert made_agreement([[4.0, 1.0], [4.0, 1.0]]).dissent == ()


def test_a_tie_goes_to_the_first_and_is_told():
    result = made_agreement([[2.0, 5.0, 5.0], [2.0, 5.0, 5.0]])
    assert result.is_tie
    assert result.chosen.id == "c02"
    assert result.to_dict()["tied"] == ["c02", "c03"]
    assert made_agreement(SPLIT).to_dict()["tied"] == []


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.5, 1e9, math.inf])
def test_the_dictionary_is_json(alpha):
    result = made_agreement(SPLIT, alpha=alpha, omitted=("p2",))
    told = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert told["welfare"]["alpha"] == ("inf" if alpha == math.inf else alpha)
    assert told["schema"] == "commonweal/agreement/2"
    assert told["statement"] == result.statement
    assert told["chosen"] == result.chosen.id
    assert [candidate["rank"] for candidate in told["candidates"]] == list(result.ranking.ranks)
    by_hand = [[c["expected_ratings"][name] for c in told["candidates"]] for name in ("p1", "p2")]
    assert by_hand == SPLIT
    rewards = [[c["rewards"][name] for c in told["candidates"]] for name in ("p1", "p2")]
    assert rewards == result.rewards.tolist()
    assert [opinion["omitted_from_generation"] for opinion in told["opinions"]] == [False, True]
    assert told["other_welfare_functions"] == {
        "utilitarian": "c01",
        "bernoulli_nash": "c02",
        "rawlsian": "c02",
    }
    assert set(told["other_welfare_functions"]) == set(WELFARE_FUNCTIONS)
    assert told["rejections"][0]["reason"] == "refusal"
    assert told["rejections"][0]["raw_text"] == "Sorry."
    dissent = result.dissent[0]
    assert told["predicted_dissent"][0] == {
        "participant": dissent.participant_id,
        "expected_rating": dissent.expected_rating,
        "below_neutral": 4 - dissent.expected_rating,
    }


@given(st.floats(1, 4, exclude_max=True))
def test_a_dissenter_is_never_shown_as_neutral(rating):
    (dissent,) = made_agreement([[rating]]).dissent
    assert float(dissent.shown_rating) < 4
    assert float(dissent.shown_rating) == pytest.approx(rating, abs=0.05 + 1e-9)


# -------------------------------------------------------------------------------------- outcomes


def test_too_few_who_agree_is_no_agreement_and_the_closest_is_not_the_statement():
    for ratings, share, outcome in (
        ([5.0, 5.0, 3.0, 3.0], 0.5, Outcome.FOUND),
        ([5.0, 4.0, 3.0, 3.0], 0.5, Outcome.NO_AGREEMENT),  # neutral is no agreement
        ([5.0, 5.0, 3.0, 3.0], 0.51, Outcome.NO_AGREEMENT),
        ([4.0, 3.0, 3.0, 3.0], 0.0, Outcome.NO_AGREEMENT),  # nobody is never enough
        ([4.1, 3.9, 3.9, 3.9], 0.0, Outcome.FOUND),  # of three it cannot tell
        ([6.0, 6.0, 2.0, 2.0], 0.0, Outcome.FOUND),
        ([6.0, 2.0, 2.0], 0.0, Outcome.NO_AGREEMENT),  # most are likely to disagree
        ([1.0, 1.0, 1.0, 1.0], None, Outcome.FOUND),
    ):
        column = [[rating] for rating in ratings]
        result = replace(made_agreement(column), min_agreeing=share)
        assert result.outcome is outcome, (ratings, share)
        is_found = outcome is Outcome.FOUND
        assert (result.statement is None, result.chosen is None) == (not is_found, not is_found)
        assert (result.reason == "") == is_found
        assert result.closest == result.candidates[0]
        assert Agreement.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    most = replace(made_agreement([[5.0], [3.0], [3.0]]), min_agreeing=0.0)
    assert most.reason == "2 of 3 people are likely to disagree with the text that comes closest."
    told = replace(made_agreement([[5.0], [3.5], [3.5]]), min_agreeing=0.5).to_dict()
    assert (told["outcome"], told["statement"], told["chosen"], told["closest"]) == (
        "no agreement found",
        None,
        None,
        "c01",
    )
    assert told["reason"] == (
        "Only 1 of 3 people is predicted to agree with the text that comes closest."
    )


@given(
    st.lists(
        st.tuples(st.floats(1.5, 6.5), st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=5
    )
)
def test_with_ranges_there_is_agreement_where_somebody_may_agree_and_half_do_not_reject(people):
    expected = np.array([[middle] for middle, _, _ in people])
    low = np.clip(expected - [[down] for _, down, _ in people], 1, 7)
    high = np.clip(expected + [[up] for _, _, up in people], 1, 7)
    result = replace(made_agreement(expected.tolist()), low=low, high=high, min_agreeing=0.0)
    somebody_may = any(middle + up > 4 for middle, _, up in people)
    n_against = sum(middle + up <= 4 and middle < 4 for middle, _, up in people)
    is_found = somebody_may and n_against <= len(people) / 2
    assert result.outcome is (Outcome.FOUND if is_found else Outcome.NO_AGREEMENT)


def test_what_lies_below_the_floor_is_not_chosen_and_stays_in_the_list():
    judged = {"qualities": np.array([3.4, 3.5, 6.0]), "min_quality": 3.5}
    result = made_agreement(SPLIT, **judged)
    assert result.weak == {0}
    # By welfare c01, c03, c02.
    assert result.chosen.id == "c03"
    assert result.ranking.best == 0
    assert result.under("rawlsian").chosen.id == "c02"
    told = json.loads(json.dumps(result.to_dict()))
    assert [each["worth_showing"] for each in told["candidates"]] == [False, True, True]
    assert [each["quality"] for each in told["candidates"]] == [3.4, 3.5, 6.0]
    assert Agreement.from_dict(told) == result
    assert made_agreement(SPLIT, **judged | {"min_quality": None}).chosen.id == "c01"


def test_another_outcome_than_was_stored_is_noted():
    told = replace(made_agreement([[5.0], [3.5], [3.5]]), min_agreeing=0.5).to_dict()
    assert told["outcome"] == "no agreement found"
    same = Agreement.from_dict(told)
    assert same.notes == ("a note",)
    other = Agreement.from_dict(told | {"outcome": "statement found"})
    assert other.outcome is Outcome.NO_AGREEMENT
    note = "'statement found' when it was stored, 'no agreement found' by today's rules"
    assert other.notes == ("a note", note)
    assert Agreement.from_dict(other.to_dict()) == other


@given(st.integers(1, 100), st.data())
def test_the_share_that_must_agree_may_be_met_exactly(n_people, data):
    n_agreeing = data.draw(st.integers(1, n_people))
    ratings = [[5.0]] * n_agreeing + [[3.9]] * (n_people - n_agreeing)
    result = made_agreement(ratings)
    exactly = replace(result, min_agreeing=n_agreeing / n_people)
    assert exactly.outcome is Outcome.FOUND
    more = replace(result, min_agreeing=(n_agreeing + 0.5) / n_people)
    assert more.outcome is Outcome.NO_AGREEMENT


def test_of_many_people_too_the_ranges_say_whether_anybody_may_agree():
    ranges = {"low": np.full((3, 1), 2.5), "high": np.full((3, 1), 5.0)}
    few = replace(made_agreement([[3.9], [3.8], [3.7]], **ranges), min_agreeing=0.0)
    nobody = Share(0, 0, 0.01)
    many = Population(
        5000, 5000, 3, "d", "sampled", "utilitarian", nobody, 3, True, (), (), "o", (), (), None, ()
    )
    assert few.outcome is replace(few, population=many).outcome is Outcome.FOUND
    low = replace(few, high=np.full((3, 1), 3.9))
    assert low.outcome is replace(low, population=many).outcome is Outcome.NO_AGREEMENT


def test_nothing_worth_showing_is_an_outcome():
    result = made_agreement(SPLIT, qualities=np.array([1.5, 2.0, 3.0]), min_quality=3.5)
    assert result.outcome is Outcome.NO_STATEMENT
    assert (result.statement, result.chosen, result.closest) == (None, None, None)
    assert (result.dissent, result.agreeing, result.left_out, result.is_tie) == ((), (), (), False)
    assert result.reason == (
        "None of 3 candidates makes enough sense as a group's statement: 3.5 of 7 is required, "
        "and the best has 3.0."
    )
    told = json.loads(json.dumps(result.to_dict()))
    assert told["other_welfare_functions"] == dict.fromkeys(WELFARE_FUNCTIONS)
    assert Agreement.from_dict(told) == result


def test_a_tie_is_of_those_worth_showing():
    profile = [[5.0, 5.0, 5.0], [5.0, 5.0, 5.0]]
    judged = {"qualities": np.array([1.0, 5.0, 5.0]), "min_quality": 3.5}
    assert [each.id for each in made_agreement(profile, **judged).tied] == ["c02", "c03"]
    judged["qualities"] = np.array([1.0, 5.0, 1.0])
    assert not made_agreement(profile, **judged).is_tie


@pytest.mark.parametrize(
    ("expected", "low", "high", "said"),
    [
        (5.5, 4.0, 6.0, Verdict.AGREES),
        (5.5, 3.9, 6.9, Verdict.UNSURE),
        (2.0, 1.0, 4.0, Verdict.DISAGREES),
        (2.0, 1.0, 4.1, Verdict.UNSURE),
        (4.0, 4.0, 4.0, Verdict.UNSURE),
        (4.9, None, None, Verdict.UNSURE),
        (5.0, None, None, Verdict.AGREES),
        (3.0, None, None, Verdict.DISAGREES),
    ],
)
def test_words_are_as_sure_as_the_prediction(expected, low, high, said):
    assert verdict(expected, low, high) is said


@given(st.floats(1, 7), st.floats(0, 6), st.floats(0, 6))
def test_a_range_that_crosses_neutral_tells_nothing(expected, below, above):
    said = verdict(expected, expected - below, expected + above)
    if expected - below < 4 < expected + above:
        assert said is Verdict.UNSURE
    if said is not Verdict.UNSURE:
        assert (said is Verdict.AGREES) == (expected > 4)


def test_whose_words_are_not_taken_up():
    people = [
        Opinion("asha", "The fares eat up my wages. Scrap them."),
        Opinion("gus", "My village has no service at all. Nothing is free."),
        Opinion("mei", "Yes."),
        Opinion("kim", "Buses should be free."),
    ]
    found = left_out("Should buses be free?", people, "We want lower fares on all buses.")
    # Who says no more than the question asks cannot be left out.
    assert [(each.participant_id, each.sentence) for each in found] == [
        ("gus", "My village has no service at all.")
    ]


# ------------------------------------------------------------------------ stored and read again


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.5, math.inf])
def test_what_is_read_again_is_equal(alpha):
    result = made_agreement(SPLIT, alpha=alpha, omitted=("p2",))
    told = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    again = Agreement.from_dict(told)
    assert again == result
    assert hash(again) == hash(result)
    assert again.to_dict() == result.to_dict()
    assert again != result.under(alpha=alpha + 1 if alpha < math.inf else 0)


def test_the_layout_of_before_rewards_were_kept_is_read():
    """What ``to_dict`` wrote before, kept as it was."""
    told = json.loads((Path(__file__).parent / "agreement_1.json").read_text(encoding="utf-8"))
    assert told["schema"] == "commonweal/agreement/1"
    again = Agreement.from_dict(told)
    assert again.rewards is None
    assert again.statement == told["statement"]
    assert again.alpha == told["welfare"]["alpha"]
    new = json.loads(json.dumps(again.to_dict()))
    # What has been said since is not in it; all that it said is.
    for name in ("outcome", "reason", "closest", "min_agreeing", "min_quality", "explanation"):
        del new[name]
    for candidate in new["candidates"]:
        assert candidate.pop("worth_showing")
        assert candidate.pop("may_be_chosen")
    assert new.pop("shortlist") is None
    assert new | {"schema": told["schema"]} == told
    assert (again.outcome, again.qualities, again.low) == (Outcome.FOUND, None, None)


def test_what_is_no_agreement_is_refused_and_said():
    told = made_agreement(SPLIT).to_dict()
    with pytest.raises(InputError, match=r"'commonweal/agreement/9'.*commonweal/agreement/2"):
        Agreement.from_dict(told | {"schema": "commonweal/agreement/9"})
    for spoilt in (
        {name: value for name, value in told.items() if name != "opinions"},
        told | {"chosen": "c99"},
        told | {"candidates": [{"id": "c01"}]},
        told | {"welfare": "much"},
    ):
        with pytest.raises(InputError, match="no agreement can be read"):
            Agreement.from_dict(spoilt)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_is_equal_and_no_array_can_be_written_to(copied):
    result = made_agreement(SPLIT)
    again = copied(result)
    assert again == result
    for array in (again.utilities, again.rewards, again.welfare, result.utilities):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    other = SPLIT[0][:], [1.0, 4.0, 2.1]
    assert made_agreement(other) != result


def test_it_is_a_response_model():
    class Answer(BaseModel):
        found: Agreement

    answer = Answer(found=made_agreement(SPLIT))
    told = answer.model_dump_json()
    assert json.loads(told)["found"] == json.loads(json.dumps(answer.found.to_dict()))
    assert Answer.model_validate_json(told) == answer
    for mode in ("validation", "serialization"):
        schema = Answer.model_json_schema(mode=mode)
        assert schema["properties"]["found"]["type"] == "object"
    with pytest.raises(ValidationError, match="the schema is None; expected one of"):
        Answer.model_validate({"found": {}})
    with pytest.raises(ValidationError):
        Answer.model_validate({"found": 3})


def test_the_callers_own_arrays_stay_their_own():
    mine = np.array(SPLIT)
    result = made_agreement(mine)
    mine[0, 0] = 1.0
    assert result.utilities[0, 0] == 7.0
