"""Every quirk of ``quirks.py`` brings its right result; options; truncation; loading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from faulty_server import Fault, FaultyServer, answer_body, error, says
from quirks import QUIRKS, SAID, Right

from commonweal.errors import EngineError, InputError
from commonweal.models.openai_engine import KEY_VARIABLES, OpenAIModel
from commonweal.models.openai_options import VARIABLE
from commonweal.types import Completion, Message, Prompt, Sampling

PROMPT = (Message("system", "Be brief."), Message("user", "hello"))
LINE = Sampling(max_tokens=110, stop=("\n",), top_p=0.9, frequency_penalty=0.5)


@pytest.fixture(autouse=True)
def no_key_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEY_VARIABLES, VARIABLE):
        monkeypatch.delenv(name, raising=False)


async def at_once(seconds: float) -> None:
    """Stands in for sleep."""


def model_at(server: FaultyServer, options: str = "") -> OpenAIModel:
    model = OpenAIModel.from_spec(f"{server.url}#m{options}")
    model._sleep = at_once
    return model


def one(model: OpenAIModel, prompt: Prompt = PROMPT) -> Completion:
    [[found]] = model.generate([prompt], seeds=[7], sampling=LINE)
    return found


@pytest.mark.parametrize(("quirk", "right"), QUIRKS.values(), ids=QUIRKS)
def test_quirks(quirk: Fault, right: Right) -> None:
    with FaultyServer(ordinary=quirk) as server:
        model = model_at(server)
        if right.text is None:
            with pytest.raises(EngineError) as caught:
                one(model)
            told = str(caught.value)
        else:
            found = one(model)
            assert found.text == right.text
            assert bool(found.why_empty) == (not right.text)
            told = found.why_empty
            n_first = len(server.bodies)
            one(model)  # what was learnt is remembered
            assert len(server.bodies) - n_first <= (1 if right.text else n_first)
    for part in right.says:
        assert part in told
    assert len(server.bodies) <= max(right.n_most, 2 * right.n_most * bool(right.text == ""))


def test_a_stop_at_the_end_of_a_line_is_never_sent_nor_any_once_it_reasons() -> None:
    sampling = Sampling(stop=("\n", "\n\n", "END"))
    thinks = says(answer_body(f"<think>END</think>{SAID}END"))
    with FaultyServer(ordinary=thinks) as server:
        model = model_at(server)
        for _ in range(2):
            [[found]] = model.generate([PROMPT], seeds=[1], sampling=sampling)
            assert found.text == SAID
    assert server.bodies[0]["stop"] == ["END"]
    assert "stop" not in server.bodies[1]


def test_a_loading_server_is_waited_for_and_not_for_ever() -> None:
    loading = error(503, "Loading model", type="unavailable_error")
    with FaultyServer(*[loading] * 20) as server:
        model = model_at(server)
        assert one(model).text == "hello/7"
        assert "waited for" in model.notes[0]
    with FaultyServer(ordinary=loading) as server:
        with pytest.raises(EngineError, match="still loading its model after 10 s"):
            one(model_at(server, "?loading_seconds=10"))
        assert len(server.bodies) == 4


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("", "no /v1"),
        ("/v1/v1", "/v1 twice"),
        ("/api", "no /v1"),
        ("/v1/", "is wrong"),
        ("/v1", "m"),
    ],
)
def test_a_wrong_path_is_told_at_once(path: str, hint: str) -> None:
    with FaultyServer(ordinary=error(404, "Not Found")) as server:
        url = server.url.removesuffix("/v1") + path
        with pytest.raises(EngineError, match=hint):
            one(OpenAIModel.from_spec(f"{url}#m"))
        assert len(server.bodies) == 1


# -------------------------------------------------------------------------------------- truncation


LONG = (Message("user", "Every person says what they would want of the buses here. " * 80),)


def counting(context: int, constant: int = 0) -> Fault:
    """Counts a token for four characters, up to its context."""

    def fault(exchange: Any) -> None:
        n = sum(len(m["content"]) for m in exchange.body["messages"]) // 4 + 12
        usage = {"prompt_tokens": constant or min(n, context), "completion_tokens": 9}
        exchange.send(200, answer_body(SAID, usage=usage))

    return fault


@pytest.mark.parametrize("context", [256, 512, 600, 800, 1024])
def test_a_prompt_that_the_server_cuts_is_an_error(context: int) -> None:
    server = FaultyServer(ordinary=counting(context))
    with server, pytest.raises(EngineError, match="the server cut the prompt"):
        one(model_at(server), LONG)


@pytest.mark.parametrize("fault", [counting(10**6), counting(0, constant=300)])
def test_a_prompt_that_was_read_whole_is_none(fault: Fault) -> None:
    with FaultyServer(ordinary=fault) as server:
        model = model_at(server)
        for _ in range(2):
            assert one(model, LONG).text == SAID
        assert len(server.bodies) <= 5  # it is looked into once


# ----------------------------------------------------------------------------------------- options


def test_options_reach_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('timeout_seconds = 50\n[body]\nmin_p = 0.1\n[headers]\nX-Title = "f"\n')
    monkeypatch.setenv(VARIABLE, "body.top_k=40&header.X-Title=env&body.min_p=0.3")
    monkeypatch.setenv("MY_KEY", "hidden-value-1")
    options = (
        f"?options={file}&body.chat_template_kwargs.enable_thinking=false&body.seed=null"
        "&query.api-version=2024-10-21&header.api-key=$MY_KEY&concurrency=2"
    )
    with FaultyServer() as server:
        model = model_at(server, options)
        one(model)
    [sent], [headers] = server.bodies, server.headers
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}
    assert (sent["min_p"], sent["top_k"]) == (0.1, 40)
    assert "seed" not in sent
    assert sent["path"] == "/v1/chat/completions?api-version=2024-10-21"
    assert (headers["api-key"], headers["x-title"]) == ("hidden-value-1", "f")
    assert "hidden" not in model.model_id + repr(vars(model))
    monkeypatch.delenv(VARIABLE)
    assert OpenAIModel.from_spec(model.model_id).model_id == model.model_id
    assert "enable_thinking=false" in model.model_id


def test_a_secret_of_the_options_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "hidden-value-1")
    server = FaultyServer(ordinary=error(400, "bad hidden-value-1"))
    with server, pytest.raises(EngineError) as caught:
        one(model_at(server, "?header.api-key=$MY_KEY"))
    assert "hidden" not in str(caught.value)
    with pytest.raises(InputError, match="unencrypted"):
        OpenAIModel.from_spec("http://example.org/v1#m?header.api-key=$MY_KEY")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("?tempo=1", "unknown option 'tempo'"),
        ("?timeout_seconds=soon", "timeout_seconds .* is 'soon', expected a number"),
        ("?concurrency=0", "expected a whole number, at least 1"),
        ("?body.messages=[]", "commonweal's own"),
        ("?body", "has no value"),
        ("?header.api-key=sk-hidden", r"\$NAME"),
        ("?query.key=sk-hidden", r"\$NAME"),
        ("?header.X-A=$NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE.* is not set"),
        ("?options=nowhere.toml", "nowhere.toml"),
        ("?header.X=a@b", "%40"),
    ],
)
def test_options_that_cannot_be_used(options: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        OpenAIModel.from_spec(f"http://127.0.0.1:1/v1#m{options}")
    assert "sk-hidden" not in str(caught.value)


def test_a_budget_of_the_users_own_is_kept() -> None:
    with FaultyServer(says(answer_body("<think>so", "length"))) as server:
        found = one(model_at(server, "?reasoning_tokens=500"))
    assert server.bodies[0]["max_tokens"] == 610
    assert found.text == ""
    assert len(server.bodies) == 1


def test_too_large_a_budget_is_made_smaller() -> None:
    def fault(exchange: Any) -> None:
        n = exchange.body["max_tokens"]
        if n > 2500:
            error(400, f"max_tokens is too large: {n}")(exchange)
        else:
            thought = {"content": None, "reasoning": "so"}
            body = {"choices": [{"message": thought, "finish_reason": "length"}]}
            whole = json.loads(answer_body(SAID))
            exchange.send(200, json.dumps(body if n < 500 else whole).encode())

    with FaultyServer(ordinary=fault) as server:
        assert one(model_at(server)).text == SAID
    assert [body["max_tokens"] for body in server.bodies] == [110, 4206, 2158]
