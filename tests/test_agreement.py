"""From a question and opinions to the statement, with scripted and with real models."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from commonweal.agreement import find_agreement
from commonweal.errors import EngineError, InputError, WelfareDomainError
from commonweal.groups import read_group
from commonweal.models.embedded_engine import EmbeddedModel
from commonweal.models.scripted import ScriptedModel
from commonweal.outcomes import Outcome
from commonweal.policies import load_policy
from commonweal.result import Agreement
from commonweal.rewards import ScriptedRewardModel
from commonweal.types import Opinion, Question
from commonweal.welfare import WELFARE_FUNCTIONS

GROUPS = Path(__file__).parents[1] / "examples" / "groups"
QUESTION = "Should local buses be free for everyone?"
PEOPLE = [
    Opinion("asha", "The fares eat up my wages."),
    Opinion("gus", "Nothing is free: somebody pays."),
    Opinion("mei", "Free for the young, perhaps."),
]
STATEMENTS = [
    "We want cheaper fares, and we differ on who should pay for them.",
    "Before anything else there must be more buses in the villages.",
    "Young riders could go free while all others pay something small.",
    "It would be best to try this out in one town first.",
]
REFUSAL = "I'm sorry, but I cannot help with that."

# Rewards, a row for each of PEOPLE and a column for each of STATEMENTS. The scripted calibration is
# 1 + 6 · sigmoid(reward): 0 is a rating of 4.
REWARDS = {
    "asha": [3.0, 0.5, 0.9, -1.0],
    "gus": [-2.0, 0.6, 0.0, -1.0],
    "mei": [2.0, 0.4, 1.0, 0.0],
}


def rating(reward: float) -> float:
    return 1 + 6 / (1 + math.exp(-reward))


RATINGS = [[rating(reward) for reward in row] for row in REWARDS.values()]


def scripted(statements=STATEMENTS, rewards=REWARDS, people=PEOPLE, **options):
    """What ``find_agreement`` brings back, the language model and the reward model."""
    writer = ScriptedModel(statements)
    table = {
        (person.text, statement): rewards[person.id][j]
        for person in people
        for j, statement in enumerate(STATEMENTS)
    }
    predictor = ScriptedRewardModel(table)
    options = {"n_candidates": 4} | options
    result = find_agreement(
        QUESTION, people, policy=load_policy("zero_shot", writer), reward=predictor, **options
    )
    return result, writer, predictor


# ------------------------------------------------------------------------------------ by hand


def test_the_utility_profile_has_a_row_a_participant_and_a_column_a_candidate():
    result, _, predictor = scripted()
    assert result.utilities.shape == (3, 4)
    np.testing.assert_allclose(result.utilities, RATINGS, rtol=1e-12)
    np.testing.assert_array_equal(result.rewards, list(REWARDS.values()))
    (asked,) = predictor.calls  # one batch
    assert {one.question for one in asked} == {QUESTION}


def test_the_welfare_function_chooses():
    result, _, _ = scripted()
    columns = list(zip(*RATINGS, strict=True))
    by_hand = {
        "utilitarian": [sum(column) / 3 for column in columns],
        "bernoulli_nash": [math.prod(column) ** (1 / 3) for column in columns],
        "rawlsian": [min(column) for column in columns],
    }
    assert by_hand.keys() == WELFARE_FUNCTIONS.keys()
    chosen = {}
    for name, welfare in by_hand.items():
        found, _, _ = scripted(welfare=name)
        np.testing.assert_allclose(found.welfare, welfare, rtol=1e-12)
        assert found.statement == STATEMENTS[int(np.argmax(welfare))]
        assert found.welfare_name == name
        chosen[name] = found.chosen.id
    assert chosen == {"utilitarian": "c01", "bernoulli_nash": "c03", "rawlsian": "c02"}
    assert result.chosen.id == "c01"


def test_alpha_stands_before_the_name():
    found, _, _ = scripted(welfare="utilitarian", alpha=math.inf)
    assert found.chosen.id == "c02"
    assert found.welfare_name == "rawlsian"


@pytest.mark.parametrize("name", WELFARE_FUNCTIONS)
def test_another_welfare_function_generates_nothing_and_is_what_a_fresh_run_finds(name):
    # The scripts are exhausted: anything more asked of either model would raise.
    first, writer, predictor = scripted(n_candidates=4)
    with pytest.raises(EngineError, match="exhausted"):
        writer.generate([()], seeds=[0])
    found = first.under(name)
    fresh, _, _ = scripted(welfare=name)
    assert len(predictor.calls) == 1
    told, expected = found.to_dict(), fresh.to_dict()
    for one in (told, expected):
        del one["timings_seconds"]
    assert told == expected


def test_a_tie_goes_to_the_first():
    same = {name: [1.0, 2.0, 2.0, 0.0] for name in REWARDS}
    result, _, _ = scripted(rewards=same)
    assert result.is_tie
    assert result.chosen.id == "c02"


def test_dissent():
    low = {"asha": [-1.0] * 4, "gus": [-3.0] * 4, "mei": [0.0] * 4}
    result, _, _ = scripted(rewards=low)
    assert [dissent.participant_id for dissent in result.dissent] == ["gus", "asha"]
    assert [d.expected_rating for d in result.dissent] == pytest.approx([rating(-3), rating(-1)])


def test_plain_texts_get_numbers_for_ids():
    texts = [person.text for person in PEOPLE]
    script = ScriptedRewardModel([0.0] * 3)
    policy = load_policy("zero_shot", ScriptedModel(STATEMENTS[:1]))
    result = find_agreement(
        Question(QUESTION, "q7"), texts, policy=policy, reward=script, n_candidates=1
    )
    assert [opinion.id for opinion in result.opinions] == ["p1", "p2", "p3"]
    assert result.question == Question(QUESTION, "q7")


def test_every_candidate_says_how_it_came_to_be():
    result, _, _ = scripted(n_candidates=2, seed=11, statements=[REFUSAL, *STATEMENTS[:3]])
    for candidate in result.candidates:
        assert sorted(candidate.included_opinion_ids) == ["asha", "gus", "mei"]
        assert candidate.policy == "zero_shot"
        assert candidate.model == "scripted"
        assert len(candidate.prompt_hash) == 16
    assert [rejection.raw_text for rejection in result.rejections] == [REFUSAL]
    provenance = result.provenance
    assert provenance["seed"] == 11
    assert provenance["n_candidates_requested"] == 2
    assert provenance["n_completions_sampled"] == 4
    assert provenance["reward_model"] == "scripted"
    assert len(provenance["reward_model_weights_sha256"]) == 64
    assert set(result.timings_seconds) == {"load", "generate", "predict"}
    json.dumps(result.to_dict(), allow_nan=False)


# --------------------------------------------------------------------------------------- omitted


def test_an_omitted_opinion_is_in_no_prompt_and_is_scored():
    result, writer, predictor = scripted(omit=["gus"])
    said = [message.content for prompt in writer.prompts for message in prompt]
    assert not any(PEOPLE[1].text in text for text in said)
    assert any(PEOPLE[0].text in text for text in said)
    assert {one.opinion for one in predictor.calls[0]} == {person.text for person in PEOPLE}
    np.testing.assert_allclose(result.utilities, RATINGS, rtol=1e-12)
    assert result.omitted == ("gus",)
    for candidate in result.candidates:
        assert sorted(candidate.included_opinion_ids) == ["asha", "mei"]


def test_the_omission_of_somebody_unknown_or_of_everybody():
    with pytest.raises(InputError, match=r"cannot omit 'bob'.*asha, gus, mei"):
        scripted(omit=["bob"])
    with pytest.raises(InputError, match="every opinion is omitted"):
        scripted(omit=["asha", "gus", "mei"])


# ------------------------------------------------------------------------------------ bad options


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"alpha": -0.5}, WelfareDomainError),
        ({"alpha": math.nan}, WelfareDomainError),
        ({"alpha": "much"}, WelfareDomainError),
        ({"welfare": "fairest"}, InputError),
        ({"n_candidates": 0}, InputError),
        ({"n_candidates": -3}, InputError),
    ],
)
def test_options_that_cannot_be_used(options, error):
    with pytest.raises(error, match="expected"):
        scripted(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"policy": "best_shot"}, "few_shot"),
        ({"model": "embeded"}, "embedded"),
        ({"model": "openai:"}, "openai:BASE_URL#MODEL"),
        ({"reward": "second"}, "first"),
    ],
)
def test_names_that_nobody_knows(options, said):
    with_scripts = {
        "policy": load_policy("zero_shot", ScriptedModel([])),
        "reward": ScriptedRewardModel([]),
    }
    if "model" in options or options.get("policy") == "best_shot":
        with_scripts["policy"] = "zero_shot"
    if options.get("policy") == "best_shot":
        with_scripts["model"] = "openai:http://127.0.0.1:9/v1#none"
    with pytest.raises(InputError, match=said):
        find_agreement(QUESTION, PEOPLE, **with_scripts | options)


@pytest.mark.parametrize("opinions", [[], ["One."], ["One.", " "], "One. Two."])
def test_too_few_opinions_are_found_before_anything_loads(opinions):
    stages = []
    with pytest.raises(InputError):
        find_agreement(
            QUESTION, opinions, on_progress=lambda stage, done, total: stages.append(stage)
        )
    assert stages == []


def test_no_candidate_is_an_outcome_that_keeps_the_raw_texts():
    result, _, predictor = scripted(statements=[REFUSAL] * 28)
    assert result.outcome is Outcome.NO_STATEMENT
    assert (result.statement, result.candidates, predictor.calls) == (None, (), [])
    assert {rejection.raw_text for rejection in result.rejections} == {REFUSAL}
    assert result.reason == (
        "None of 28 texts that were written can be shown to the group: 28 refusal."
    )
    assert Agreement.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_fewer_candidates_are_noted():
    statements = [*STATEMENTS[:2], *[REFUSAL] * 40]
    result, _, _ = scripted(statements=statements)
    assert len(result.candidates) == 2
    assert result.utilities.shape == (3, 2)
    assert any(note.startswith("2 candidates instead of 4") for note in result.notes)


def test_the_same_opinion_twice_is_noted():
    people = [PEOPLE[0], Opinion("bea", PEOPLE[0].text)]
    result, _, _ = scripted(people=people, rewards=REWARDS | {"bea": REWARDS["asha"]})
    assert result.notes == ("participants asha, bea gave the same opinion; each counts",)


# --------------------------------------------------------------------------------------- progress


def test_progress_goes_through_the_stages_in_order():
    seen = []
    scripted(on_progress=lambda *step: seen.append(step))
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    assert stages == ["load", "generate", "predict"]
    for stage in stages:
        steps = [(done, total) for name, done, total in seen if name == stage]
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)
        assert steps[-1][0] == steps[-1][1]
    assert seen[-1] == ("predict", 12, 12)


# ------------------------------------------------------------------------------ the real models


@pytest.mark.heavy
def test_the_real_models_find_the_same_statement_twice(smollm2_gguf, encoder_folder):
    """One example group, from the file to the statement; the seed decides everything for engines
    that have written nothing before (decision 007).
    """
    group = read_group(GROUPS / "bus-fares.toml")
    del smollm2_gguf, encoder_folder  # asked for so that their absence is explained
    runs = [
        find_agreement(
            group.question,
            group.opinions,
            policy=load_policy("zero_shot", EmbeddedModel.from_spec("small")),
            n_candidates=2,
            seed=4,
        )
        for _ in range(2)
    ]
    one, two = runs
    assert one.statement == two.statement
    assert one.candidates == two.candidates
    assert one.rejections == two.rejections
    np.testing.assert_array_equal(one.utilities, two.utilities)
    # More than the two asked for where those are no sense: others are drawn in their place.
    assert one.utilities.shape == (5, len(one.candidates))
    assert len(one.candidates) >= 2
    assert ((one.utilities > 1) & (one.utilities < 7)).all()
    # People with different opinions are not expected to agree alike.
    assert len(set(one.utilities[:, 0])) == 5
    assert len(one.provenance["model_weights_sha256"]) == 64
    json.dumps(one.to_dict(), allow_nan=False)


def test_opinions_that_are_nearly_the_same_are_marked_and_still_count():
    view = "The fares are far too high for people on low wages in this town."
    people = [Opinion("ana", view), Opinion("bot", f"I think so, too. {view}"), PEOPLE[1]]
    result, _, _ = scripted(people=people, rewards={one.id: [1.0, 0.0, 0.0, 0.0] for one in people})
    (note,) = [each for each in result.notes if "nearly the same" in each]
    assert note.startswith("participants ana, bot gave nearly the same opinion; each counts")
    assert result.utilities.shape[0] == 3
