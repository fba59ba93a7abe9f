"""The minority's own sentence, and texts that people changed by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from commonweal.agreement import find_agreement
from commonweal.editing import with_text
from commonweal.errors import InputError
from commonweal.minority import MAY_TURN_ROUND, with_minority
from commonweal.models.scripted import ScriptedModel
from commonweal.policies import load_policy
from commonweal.report import render_report
from commonweal.result import Agreement
from commonweal.types import Opinion
from reading_model import ScriptedReader

PEOPLE = [
    Opinion("asha", "The fares eat up my wages."),
    Opinion("gus", "Nothing is free: somebody pays for it."),
    Opinion("mei", "Free for the young, perhaps."),
]
FIRST = "We want cheaper fares, and we differ on who should pay for them."
THEIRS = "We ask that whoever pays is named before anything is given away."
OTHER = "We ask for nothing at all and would rather stay at home tonight."


def reward(opinion: str, statement: str) -> float:
    if "somebody pays" in opinion:
        return 2.0 if statement == THEIRS else -2.0
    return 1.0


def found(reader=None, **options) -> Agreement:
    return find_agreement(
        "Should local buses be free for everyone?",
        PEOPLE,
        policy=load_policy("zero_shot", ScriptedModel([FIRST])),
        reward=reader or ScriptedReader(reward),
        n_candidates=1,
        **options,
    )


def with_theirs(**options):
    reader = ScriptedReader(reward)
    writer = ScriptedModel([OTHER, THEIRS])
    first = found(reader)
    return with_minority(first, model=writer, reward=reader, n_candidates=2, **options), writer


def test_a_small_embedded_model_is_not_trusted_with_it(monkeypatch):
    noted = [note for note in with_theirs()[0].notes if note == MAY_TURN_ROUND]
    monkeypatch.setattr(ScriptedModel, "kind", "modest", raising=False)
    assert (noted, with_theirs()[0].notes[-1]) == ([], MAY_TURN_ROUND)


def test_it_is_written_from_the_dissenters_alone_and_taken_for_them_alone():
    result, writer = with_theirs()
    assert result.statement == FIRST
    assert result.minority_statement == THEIRS
    assert [each.id for each in result.minority.opinions] == ["gus"]
    for prompt in writer.prompts:
        assert PEOPLE[1].text in prompt[-1].content
        assert PEOPLE[0].text not in prompt[-1].content
    assert result.minority.utilities.shape == (1, 2)


def test_it_is_shown_beside_the_statement_and_survives_json():
    result, _ = with_theirs()
    page = render_report(result)
    assert "<bdi>gus</bdi>, who are predicted to disagree" in page
    assert page.index(FIRST) < page.index("A minority would add") < page.index(THEIRS)
    told = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert told["minority_statement"] == THEIRS
    assert Agreement.from_dict(told) == result
    assert "A minority would add" not in render_report(found())


def test_who_was_found_to_disagree_may_be_said_and_nobody_omitted_is_read():
    result, _ = with_theirs(who=["mei"])
    assert [each.id for each in result.minority.opinions] == ["mei"]
    assert "<bdi>mei</bdi>, who were found to disagree" in render_report(result)
    with pytest.raises(InputError, match="did you mean 'gus'"):
        with_theirs(who=["guss"])
    reader = ScriptedReader(reward)
    hidden = with_minority(found(reader, omit=["gus"]), model=ScriptedModel([]), reward=reader)
    assert hidden.minority is None


def test_without_dissent_nothing_is_asked_and_that_is_said():
    reader = ScriptedReader(lambda o, s: 1.0)
    result = with_minority(found(reader), model=ScriptedModel([]), reward=reader)
    assert result.minority is None
    assert result.notes[-1] == "nobody is predicted to disagree, so there is no minority statement"


# ------------------------------------------------------------------------------ edited by people


def test_an_edited_text_is_a_candidate_with_its_author_and_predicted_as_the_others():
    reader = ScriptedReader(reward)
    result = with_text(found(reader), f"  {THEIRS}\n", author="gus", reward=reader)
    own = result.candidates[-1]
    assert (own.text, own.author, own.policy, own.id) == (THEIRS, "gus", "human", "c02")
    sigmoid = 1 / (1 + np.exp(-np.array([1.0, 2.0, 1.0])))
    np.testing.assert_allclose(result.utilities[:, 1], 1 + 6 * sigmoid)
    assert result.closest == own  # the rule finds it better
    assert Agreement.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_a_worse_text_stands_beside_unless_people_take_it():
    reader = ScriptedReader(lambda o, s: 1.0 if s == FIRST else 0.5, lambda s: 6.0)
    first = found(reader)
    assert with_text(first, OTHER, author="mei", reward=reader).statement == FIRST
    taken = with_text(first, OTHER, author="mei", take=True, reward=reader)
    assert taken.statement == OTHER
    assert taken.notes[-1] == "c02 was taken by mei, not by the rule"
    told = Agreement.from_dict(taken.to_dict())
    assert told == taken


def test_the_old_predictions_do_not_change_and_after_a_critique_it_is_heard():
    seen = set()

    def hearing(opinion, statement):
        seen.add((opinion, statement))
        return 1.0

    reader = ScriptedReader(hearing)
    second = found(reader).revise(
        {"gus": "Name who pays."}, model=ScriptedModel([THEIRS]), reward=reader, n_candidates=1
    )
    result = with_text(second, OTHER, author="facilitator", reward=reader)
    assert (f"{PEOPLE[1].text}\nName who pays.", OTHER) in seen
    np.testing.assert_array_equal(result.utilities[:, :2], second.utilities)
    assert result.before == second.before


@pytest.mark.parametrize(
    ("text", "author", "said"),
    [
        ("  ", "gus", "blank"),
        (OTHER, " ", "blank"),
        (FIRST, "gus", "is that of c01"),
        ("a" * 5001, "gus", "at most 5,000"),
    ],
)
def test_texts_that_are_none_are_refused(text, author, said):
    reader = ScriptedReader(reward)
    with pytest.raises(InputError, match=said):
        with_text(found(reader), text, author=author, reward=reader)


def test_another_reward_models_numbers_are_not_mixed_in():
    other = ScriptedReader(reward)
    other.weights_hash = "2" * 64
    with pytest.raises(InputError, match="numbers cannot be compared"):
        with_text(found(), OTHER, author="gus", reward=other)


def test_the_minoritys_sentence_goes_where_another_text_is_chosen():
    with_one, _ = with_theirs()
    assert with_one.minority_statement == THEIRS
    better = "We want cheaper fares, paid for by a small tax on parking in town."

    def likes_it(opinion: str, statement: str) -> float:
        return 3.0 if statement == better else reward(opinion, statement)

    changed = with_text(with_one, better, author="mei", reward=ScriptedReader(likes_it))
    assert (changed.statement, changed.minority) == (better, None)
    worse = with_text(with_one, OTHER, author="mei", reward=ScriptedReader(lambda *_: -3.0))
    assert (worse.statement, worse.minority_statement) == (FIRST, THEIRS)


@pytest.mark.parametrize(("quality", "is_shown"), [(6.0, True), (1.2, False)])
def test_a_text_of_ones_own_beside_nothing_has_ranges_and_a_floor_like_any(quality, is_shown):
    """Where nothing that was written can be shown, the group writes something."""
    reader = ScriptedReader(reward, quality=lambda _: quality)
    writer = load_policy("zero_shot", ScriptedModel(["I cannot help with that."] * 40))
    before = find_agreement("Free?", PEOPLE, policy=writer, reward=reader, n_candidates=1)
    assert before.candidates == ()
    after = with_text(before, OTHER, author="facilitator", reward=reader)
    assert after.low.shape == after.high.shape == (3, 1)
    assert after.qualities.tolist() == [quality]
    assert (after.closest is not None) == is_shown
    assert Agreement.from_dict(after.to_dict()) == after
