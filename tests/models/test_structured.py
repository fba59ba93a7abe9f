"""JSON of a given form from any engine: read, checked, asked for again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from faulty_server import FaultyServer, answer_body, error, says
from pydantic import BaseModel, ConfigDict, Field

from commonweal.errors import EngineError
from commonweal.models.openai_engine import KEY_VARIABLES, OpenAIModel
from commonweal.models.scripted import ScriptedModel
from commonweal.models.structured import Unread, generate_structured, read_json
from commonweal.types import Message, Sampling


class Rated(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rating: int = Field(ge=1, le=7)


PROMPT = (Message("system", "Answer in JSON."), Message("user", "How far?"))


@pytest.fixture(autouse=True)
def no_key_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "text",
    [
        '{"rating": 6}',
        '```json\n{"rating": 6}\n```',
        'I think {this} is it: {"rating": 6}. Or {"rating": 2}?',
        '{"rating": 9} no: {"rating": 6}',
    ],
)
def test_json_is_found_in_a_text(text: str) -> None:
    assert read_json(text, Rated) == Rated(rating=6)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("six", "no JSON object"),
        ('{"rating": 9}', "rating: Input should be less"),
        ('{"rating": 6', "no JSON object"),
        ('{"rating": 6, "more": 1}', "more: Extra"),
        ("{" * 5000, "no JSON object"),
    ],
)
def test_what_is_not_of_the_form_says_why(text: str, why: str) -> None:
    read = read_json(text, Rated)
    assert isinstance(read, Unread)
    assert why in read.why


def test_a_malformed_answer_is_asked_for_again_and_only_that_one() -> None:
    model = ScriptedModel(['{"rating": 2}', "six", '{"rating": 6}'])
    assert generate_structured(model, [PROMPT, PROMPT], Rated, seeds=[1, 2]) == [
        Rated(rating=2),
        Rated(rating=6),
    ]
    assert model.prompts[2][-2] == Message("assistant", "six")
    assert "no JSON object" in model.prompts[2][-1].content


def test_what_stays_malformed_is_told_and_not_made_up() -> None:
    [read] = generate_structured(ScriptedModel(["a", "b", "c"]), [PROMPT], Rated, seeds=[1])
    assert read == Unread("c", "it holds no JSON object")


def test_only_empty_answers_end_at_once() -> None:
    with pytest.raises(EngineError, match="wrote no text"):
        generate_structured(ScriptedModel([""]), [PROMPT], Rated, seeds=[1])


def with_schema(server: FaultyServer, **options: Any) -> Any:
    model = OpenAIModel(server.url, "m")
    [read] = generate_structured(model, [PROMPT], Rated, seeds=[1], **options)
    return read, model


def test_a_server_is_given_the_schema() -> None:
    with FaultyServer(ordinary=says(answer_body('{"rating": 3}'))) as server:
        read, model = with_schema(server, sampling=Sampling(max_tokens=20))
    assert read == Rated(rating=3)
    sent = server.bodies[0]["response_format"]
    assert sent["json_schema"]["schema"] == Rated.model_json_schema()
    assert model.notes == ()


def test_a_server_that_refuses_the_schema_is_asked_in_words() -> None:
    ordinary = says(answer_body(json.dumps({"rating": 3})))
    with FaultyServer(error(400, "response_format is unavailable"), ordinary=ordinary) as server:
        read, model = with_schema(server)
    assert read == Rated(rating=3)
    assert "response_format" not in server.bodies[1]
    assert "JSON is asked for in words" in model.notes[0]
