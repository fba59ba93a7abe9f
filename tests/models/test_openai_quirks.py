"""Every quirk of ``quirks.py`` brings its right result; options; truncation; loading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from faulty_server import Fault, FaultyServer, answer_body, error, says
from quirks import QUIRKS, SAID, Right, message

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


@pytest.mark.parametrize("options", ["", "?body.stop=[%22END%22]"], ids=["", "a stop"])
def test_a_mark_that_an_answer_repeats_does_not_silence_those_after_it(options: str) -> None:
    said = ["We want buses.", "We want [/THINK] trams.", "We want trains.", "We want trams."]
    with FaultyServer(*(says(answer_body(each)) for each in said)) as server:
        model = model_at(server, options)
        found = [one(model).text for _ in said]
    assert found == ["We want buses.", "trams.", "We want trains.", "We want trams."]


def test_a_mark_in_the_first_answer_does_not_silence_whole_ones_after_it() -> None:
    said = ["We want [/THINK] trams.", "We want trains."]
    with FaultyServer(*(says(answer_body(each)) for each in said)) as server:
        model = model_at(server)
        assert [one(model).text for _ in said] == ["trams.", "We want trains."]


def test_a_user_who_grants_no_reasoning_gets_none_as_an_answer_once_it_shows() -> None:
    closed, cut = says(answer_body(f"so</think>{SAID}")), says(answer_body("so, so", "length"))
    with FaultyServer(closed, ordinary=cut) as server:
        model = model_at(server, "?reasoning_tokens=0")
        assert [one(model).text for _ in range(2)] == [SAID, ""]


@pytest.mark.parametrize(
    "loading",
    [
        error(503, "Loading model", type="unavailable_error"),
        error(503, "Error: the model is still being loaded", headers={"Retry_After": "2"}),
        error(400, "The model is currently loading, please try again"),
        error(423, "loading"),
    ],
)
def test_a_loading_server_is_waited_for_and_not_for_ever(loading: Fault) -> None:
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
TURNS = (Message("system", "Write one statement."), *LONG, Message("assistant", "Yes."), *LONG)


def n_tokens(messages: list[dict[str, str]], around: int = 12) -> int:
    return sum(len(m["content"]) // 4 + 3 for m in messages) + around


def counting(context: int, read: Any = None, status: int = 200) -> Fault:
    """Counts a token for four characters, up to its context; or what ``read`` makes of it."""

    def fault(exchange: Any) -> None:
        messages = exchange.body["messages"]
        n = read(messages) if read else min(n_tokens(messages), context)
        usage = {"prompt_tokens": n, "completion_tokens": 9}
        is_ours = len(messages[0]["content"]) > 4000 or status == 200
        exchange.send(200 if is_ours else status, answer_body(SAID, usage=usage))

    return fault


def keeps_the_last_turns(messages: list[dict[str, str]]) -> int:
    """As Ollama: the oldest turns but the system's go until the rest fits."""
    while n_tokens(messages) > 1800 and len(messages) > 2:
        messages = [messages[0], *messages[2:]]
    return n_tokens(messages)


def halves_what_is_too_long(messages: list[dict[str, str]]) -> int:
    n = n_tokens(messages)
    return n if n <= 1100 else 1100 - (1100 - 4) // 2


@pytest.mark.parametrize("context", [256, 512, 600, 800, 1000, 1024, 1160])
def test_a_prompt_that_the_server_cuts_is_an_error(context: int) -> None:
    """Of 1,195 tokens; 35 are somebody's opinion."""
    server = FaultyServer(ordinary=counting(context))
    with server, pytest.raises(EngineError, match="the server cut the prompt"):
        one(model_at(server), LONG)


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        (TURNS, keeps_the_last_turns),
        (LONG, halves_what_is_too_long),
        (LONG, lambda _: 4096),
    ],
)
def test_so_is_one_that_it_cuts_in_another_way(prompt: Prompt, read: Any) -> None:
    server = FaultyServer(ordinary=counting(0, read))
    with server, pytest.raises(EngineError, match="the server cut the prompt"):
        one(model_at(server), prompt)


def _n_shared(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def forgetful() -> Any:
    """Does not count what it has read before, be it the template's own beginning."""
    known: list[str] = []

    def read(messages: list[dict[str, str]]) -> int:
        text = "template " * 20 + "".join(m["content"] for m in messages)
        shared = max((_n_shared(text, old) for old in known), default=0)
        known.append(text)
        return max(1, (len(text) - shared) // 4)

    return read


@pytest.mark.parametrize(
    "fault",
    [
        counting(10**6),
        counting(0, lambda messages: n_tokens(messages, around=700)),
        counting(0, lambda messages: sum(len(m["content"].split()) for m in messages)),
        counting(0, forgetful()),
    ],
    ids=["tokens", "a long template", "words", "only what is new"],
)
@pytest.mark.parametrize("prompt", [LONG, TURNS], ids=["one", "turns"])
def test_a_prompt_that_was_read_whole_is_none(fault: Fault, prompt: Prompt) -> None:
    with FaultyServer(ordinary=fault) as server:
        model = model_at(server)
        for _ in range(2):
            assert one(model, prompt).text == SAID
        assert model.notes == ()
        assert len(server.bodies) <= 9  # it is looked into once


@pytest.mark.parametrize(
    "fault",
    [
        counting(0, lambda _: 300),
        counting(10**6, status=400),
        message({"content": SAID}),
    ],
    ids=["the same for any text", "refuses short requests", "no count"],
)
def test_where_counts_do_not_tell_it_is_said(fault: Fault) -> None:
    with FaultyServer(ordinary=fault) as server:
        model = model_at(server)
        for _ in range(2):
            assert one(model, LONG).text == SAID
        assert "we cannot see whether it read all opinions" in model.notes[0]
        assert len(server.bodies) <= 5


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
        ("?body.min_p=NaN", "body.min_p is nan, which JSON cannot hold"),
        ("?concurrency=0", "expected a whole number, at least 1"),
        ("?body.messages=[]", "commonweal's own"),
        ("?body", "has no value"),
        ("?header.api-key=sk-hidden", r"\$NAME"),
        ("?query.key=sk-hidden", r"\$NAME"),
        ("?body.extra.api_key=sk-hidden", r"body\.extra\.api_key may hold a secret"),
        ('?body.tools=[{"auth": "sk-hidden"}]', r"body\.tools\.0\.auth may hold a secret"),
        ("?header.X-A=$NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE.* is not set"),
        ("?options=nowhere.toml", "nowhere.toml"),
        ("?header.X=a@b", "%40"),
    ],
)
def test_options_that_cannot_be_used(options: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        OpenAIModel.from_spec(f"http://127.0.0.1:1/v1#m{options}")
    assert "sk-hidden" not in str(caught.value)


@pytest.mark.parametrize("value", ["2026-01-01", "nan", "[1, inf]", "{ since = 12:00:00 }"])
def test_what_a_request_cannot_hold_is_refused_in_an_options_file(
    tmp_path: Path, value: str
) -> None:
    file = tmp_path / "server.toml"
    file.write_text(f"[body]\nlimit = {value}\n")
    with pytest.raises(InputError, match=r"server\.toml .*body\.limit is .*JSON cannot hold"):
        OpenAIModel.from_spec(f"http://127.0.0.1:1/v1#m?options={file}")


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


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("max_tokens must be less than or equal to 8192", [20_000, 8192]),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 8,192]", [20_000, 8192]),
        ("max_tokens is too large: 20000. This model supports at most 8192", [20_000, 8192]),
        ("max_tokens is too high", [20_000, 10_000, 5_000]),
        ("max_tokens must be less than 8193", [20_000, 8193, 4096]),
    ],
)
def test_a_limit_above_the_servers_own_is_lowered_and_not_left_out(
    said: str, sent: list[int]
) -> None:
    def fault(exchange: Any) -> None:
        is_much = exchange.body.get("max_tokens", 10**6) > 8192
        (error(400, said) if is_much else says(answer_body(SAID)))(exchange)

    with FaultyServer(ordinary=fault) as server:
        model = model_at(server)
        for _ in range(2):
            [[found]] = model.generate([PROMPT], seeds=[1], sampling=Sampling(max_tokens=20_000))
            assert found.text == SAID
    assert [body["max_tokens"] for body in server.bodies] == [*sent, sent[-1]]
    (note,) = model.notes
    assert f"takes at most {sent[-1]:,} tokens" in note
