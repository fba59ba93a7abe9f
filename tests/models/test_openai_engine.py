"""The OpenAI-compatible engine against a server that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from faulty_server import (
    Fault,
    FaultyServer,
    answer_body,
    completion,
    cut_off,
    drip,
    error,
    hang,
    huge,
    reset,
    says,
    slow,
)
from hypothesis import given
from hypothesis import strategies as st

from commonweal.errors import EngineError, InputError, UnsupportedByEngineError
from commonweal.models.openai_engine import KEY_VARIABLES, OpenAIModel
from commonweal.models.openai_options import ServerOptions
from commonweal.models.openai_wire import retry_after_seconds, told_wait_seconds
from commonweal.types import Completion, LanguageModel, Message, Prompt, Sampling

KEY = "sk-test-Zk9LQ2xR7vT4wYpN"


def prompt(text: str = "hello") -> Prompt:
    return (Message("system", "Be brief."), Message("user", text))


class Naps:
    """Stands in for sleep: returns at once and keeps what was asked."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture(autouse=True)
def no_key_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEY_VARIABLES, "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(KEY_VARIABLES[0], KEY)
    return KEY


def model_at(server: FaultyServer, naps: Naps | None = None, **options: Any) -> OpenAIModel:
    return OpenAIModel(server.url, "m", sleep=naps or Naps(), jitter=lambda: 0.5, **options)


def one(model: OpenAIModel, **options: Any) -> Completion:
    [[only]] = model.generate([prompt()], seeds=[7], **options)
    return only


def failure(server: FaultyServer, **options: Any) -> str:
    with pytest.raises(EngineError) as caught:
        one(model_at(server, **options))
    return str(caught.value)


# ------------------------------------------------------------------------------ what is sent


def test_one_request_a_sample_with_its_own_seed_and_order_kept() -> None:
    def later_for_earlier(exchange: Any) -> None:
        time.sleep(0.1 if exchange.body["seed"] % 2 else 0)
        completion()(exchange)

    done: list[int] = []
    with FaultyServer(ordinary=later_for_earlier) as server:
        model = model_at(server)
        assert isinstance(model, LanguageModel)
        found = model.generate(
            [prompt("a"), prompt("b")], seeds=[11, 50], n_samples=3, on_done=done.append
        )
    assert [[c.text for c in row] for row in found] == [
        ["a/11", "a/12", "a/13"],
        ["b/50", "b/51", "b/52"],
    ]
    assert [[c.seed for c in row] for row in found] == [[11, 12, 13], [50, 51, 52]]
    assert done == [1, 2, 3, 4, 5, 6]
    assert all(body["path"] == "/v1/chat/completions" for body in server.bodies)


def test_sampling_is_passed_on() -> None:
    sampling = Sampling(
        max_tokens=9, temperature=0.3, top_p=0.8, frequency_penalty=0.5, stop=("END", "\n")
    )
    with FaultyServer() as server:
        one(model_at(server), sampling=sampling)
        one(model_at(server))
    first, second = server.bodies
    assert first == {
        "path": "/v1/chat/completions",
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hello"},
        ],
        "max_tokens": 9,
        "temperature": 0.3,
        "top_p": 0.8,
        "frequency_penalty": 0.5,
        "seed": 7,
        "stream": False,
        "stop": ["END"],  # the end of a line is cut here, never at the server
    }
    assert not {"stop", "frequency_penalty"} & set(second)
    assert "authorization" not in server.headers[0]


def test_large_and_negative_seeds_fit_the_protocol() -> None:
    with FaultyServer() as server:
        [[big], [negative]] = model_at(server, concurrency=1).generate(
            [prompt(), prompt()], seeds=[2**63 + 5, -1]
        )
    assert (big.seed, negative.seed) == (2**63 + 5, -1)
    assert [body["seed"] for body in server.bodies] == [5, 2**31 - 1]


def test_any_script_and_lone_surrogates_travel() -> None:
    text = "Ünïcode 🙂 \u202e 日本 \ud800"
    with FaultyServer() as server:
        [[found]] = model_at(server).generate([prompt(text)], seeds=[1])
    assert server.bodies[0]["messages"][1]["content"] == text
    found.text.encode()  # what comes back can be written to a file


@pytest.mark.parametrize(("options", "limit"), [({"concurrency": 3}, 3), ({}, 8)])
def test_the_concurrency_limit_is_kept_and_used(options: dict[str, Any], limit: int) -> None:
    together = threading.Barrier(limit)  # nobody is answered before ``limit`` requests are there

    def gathered(exchange: Any) -> None:
        together.wait(timeout=30)
        time.sleep(0.05)  # time for one too many to come
        completion()(exchange)

    with FaultyServer(ordinary=gathered) as server:
        model_at(server, **options).generate([prompt()], seeds=[0], n_samples=3 * limit)
    assert server.most_at_once == limit


def test_nothing_to_do_sends_nothing() -> None:
    with FaultyServer() as server:
        assert model_at(server).generate([], seeds=[]) == []
    assert server.bodies == []


@pytest.mark.parametrize(("seeds", "n_samples"), [([], 1), ([1, 2], 1), ([1], 0)])
def test_arguments_that_do_not_fit(seeds: list[int], n_samples: int) -> None:
    with FaultyServer() as server, pytest.raises(InputError, match="expected a seed a prompt"):
        model_at(server).generate([prompt()], seeds=seeds, n_samples=n_samples)
    assert server.bodies == []


def test_it_works_inside_a_running_loop() -> None:
    async def notebook_cell() -> str:
        with FaultyServer() as server:
            return one(model_at(server)).text

    assert asyncio.run(notebook_cell()) == "hello/7"


# --------------------------------------------------------------------------- what comes back


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        (None, "stop"),
        ("length", "length"),
        ("model_context_window_exceeded", "length"),
    ],
)
def test_finish_reasons(sent: str | None, kept: str) -> None:
    with FaultyServer(says(answer_body("so far", sent))) as server:
        found = one(model_at(server))
    assert (found.text, found.finish_reason) == ("so far", kept)


@pytest.mark.parametrize(
    "reason", ["content_filter", "refusal", "guardrail_intervened", "sensitive", "RECITATION"]
)
def test_what_a_filter_left_of_a_text_does_not_pass_for_a_whole_one(reason: str) -> None:
    with FaultyServer(says(answer_body("so far", reason))) as server:
        assert one(model_at(server)).text == ""


@pytest.mark.parametrize("content", [None, ""])
def test_empty_content_is_an_empty_completion(content: str | None) -> None:
    with FaultyServer(says(answer_body(content))) as server:
        assert one(model_at(server)).text == ""


def test_a_refusal_in_its_own_field_is_the_text() -> None:
    body = json.loads(answer_body(None))
    body["choices"][0]["message"]["refusal"] = "I cannot help with that."
    with FaultyServer(says(json.dumps(body).encode())) as server:
        assert one(model_at(server)).text == "I cannot help with that."


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 20, "completion_tokens": 5}, (20, 5)),
        ({"prompt_tokens": 20}, (20, None)),
        ({"prompt_tokens": "20", "completion_tokens": True}, (None, None)),
        (None, (None, None)),
        ([], (None, None)),
    ],
)
def test_token_counts(usage: object, counts: tuple[int | None, int | None]) -> None:
    with FaultyServer(says(answer_body("x", usage=usage))) as server:
        found = one(model_at(server))
    assert (found.n_prompt_tokens, found.n_completion_tokens) == counts


def test_what_a_server_cannot_do() -> None:
    model = OpenAIModel.from_spec("https://example.org/v1#m")
    assert model.count_tokens("text") is None
    assert model.weights_hash is None
    with pytest.raises(UnsupportedByEngineError, match="hf:PATH"):
        model.log_probabilities([prompt()], ["yes"])


# ------------------------------------------------------------------------ faults that may pass

PASSING: dict[str, Fault] = {
    "429": error(429, "slow down"),
    "500": error(500, "oops"),
    "503 without a body": says(b"", 503),
    "cut off": cut_off(),
    "cut off without a length": says(answer_body("x")[:40]),
    "hung up": reset,
    "not UTF-8": says(b'{"choices": "\xff\xfe'),
    "nested too deep": says(b"[" * 100_000),
    "empty": says(b""),
    "null": says(b"null"),
    "aborted": says(answer_body("half an ans", "abort")),
    "an error that passes, with 200": says(b'{"error": {"message": "busy", "code": 503}}'),
    "never an answer": hang,
    "a drip": drip,
}


NO_COMPLETION: dict[str, Fault] = {
    "a page": says(b"<html><title>Busy</title></html>"),
    "a list": says(b"[1, 2]"),
    "no choices": says(b'{"choices": []}'),
    "choices of another kind": says(b'{"choices": {"0": 1}}'),
    "no message": says(b'{"choices": [{"logprobs": 1}]}'),
    "content of another kind": says(b'{"choices": [{"message": {"content": 5}}]}'),
    "error with 200": says(b'{"error": {"message": "upstream is down"}}'),
}


@pytest.mark.parametrize("fault", NO_COMPLETION.values(), ids=NO_COMPLETION)
def test_a_200_without_a_completion_is_told_at_once_and_later_tried_again(fault: Fault) -> None:
    with FaultyServer(ordinary=fault) as server:
        assert "HTTP 200" in failure(server)
        assert len(server.bodies) == 1
    with FaultyServer(completion(), fault, fault) as server:
        model = model_at(server)
        one(model)
        assert one(model).text == "hello/7"
        assert len(server.bodies) == 4


def patience(name: str) -> float:
    """Seconds for one answer: few where none comes, many where a busy machine may be slow."""
    return 1.5 if name in ("never an answer", "a drip") else 60.0


@pytest.mark.parametrize("name", PASSING)
def test_passing_faults_are_tried_again(name: str) -> None:
    naps, fault = Naps(), PASSING[name]
    with FaultyServer(fault, *([fault] if "200" not in name else [])) as server:
        found = one(model_at(server, naps, timeout_seconds=patience(name)))
    assert found == Completion("hello/7", "stop", 7)
    assert naps.seconds == [0.75, 1.5][: len(server.bodies) - 1]  # 0.5, 1 s, times 1 + jitter
    assert len(server.bodies) == (2 if "200" in name else 3)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (error(429, "slow down"), "HTTP 429: slow down"),
        (cut_off(), "RemoteProtocolError"),
        (says(b"busy"), "not JSON, or cut off: busy"),
        (says(answer_body("half", "abort")), "broke off, finish_reason 'abort'"),
        (hang, "no whole answer within 0.5 s (option timeout_seconds)"),
    ],
)
def test_faults_that_do_not_pass_are_told(fault: Fault, said: str) -> None:
    with FaultyServer(ordinary=fault) as server:
        seconds = 0.5 if fault is hang else 60.0
        message = failure(server, timeout_seconds=seconds, max_attempts=3)
        assert said in message
        assert "1 of 1 completions failed after 3 attempts" in message
        assert len(server.bodies) == 3


def test_nothing_listening() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else's
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        model = OpenAIModel(url, "m", sleep=Naps(), max_attempts=2)
        with pytest.raises(EngineError, match=r"ConnectError.*Is the server up"):
            one(model)


def test_a_failure_for_good_says_how_many_and_returns_nothing() -> None:
    def fails_for_seed_3(exchange: Any) -> None:
        (error(500, "seed 3 again") if exchange.body["seed"] == 3 else completion())(exchange)

    with FaultyServer(ordinary=fails_for_seed_3) as server:
        model = model_at(server, concurrency=1, max_attempts=2)
        with pytest.raises(EngineError) as caught:
            model.generate([prompt()], seeds=[0], n_samples=10)
    assert "1 of 10 completions failed after 2 attempts each (3 finished, 6 not begun)" in str(
        caught.value
    )
    assert "seed 3 again" in str(caught.value)
    assert len(server.bodies) == 5


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("7", 7.0, 7.0),
        ("0", 0.75, 0.75),
        ("2.5", 2.5, 2.5),
        ("500", 500.0, 500.0),
        ("-5", 0.75, 0.75),
        ("soon", 0.75, 0.75),
        ("nan", 0.75, 0.75),
        pytest.param(timedelta(minutes=9), 500.0, 540.0, id="later"),
        pytest.param(timedelta(days=-1), 0.75, 0.75, id="yesterday"),
    ],
)
def test_retry_after_is_honoured_up_to_ten_minutes(
    header: str | timedelta, low: float, high: float
) -> None:
    naps = Naps()
    if isinstance(header, timedelta):  # from when the test runs, not from when it was collected
        header = format_datetime(datetime.now(UTC) + header, usegmt=True)
    with FaultyServer(error(429, headers={"Retry_After": header})) as server:
        one(model_at(server, naps))
    assert low <= naps.seconds[0] <= high


@pytest.mark.parametrize("header", ["100000", format_datetime(datetime(2100, 1, 1, tzinfo=UTC))])
def test_a_server_that_asks_for_hours_is_not_waited_for(header: str) -> None:
    naps = Naps()
    with FaultyServer(ordinary=error(429, headers={"Retry_After": header})) as server:
        with pytest.raises(EngineError, match="asks to come back in"):
            one(model_at(server, naps))
        assert len(server.bodies) == 1
    assert naps.seconds == []


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("Rate limit reached. Please try again in 7h12m.", 25_920.0),
        ("Please try again in 6m0s", 360.0),
        ("Please retry in 46.5s.", 46.5),
        ("try again in 850ms", 0.85),
        ("Wait 2 minutes and 5 messages", 120.0),
        ("Try again later, in 2026", 0.0),
        ("too many requests: 3 maximum", 0.0),
    ],
)
def test_a_wait_that_is_told_in_words(said: str, seconds: float) -> None:
    assert told_wait_seconds(said) == pytest.approx(seconds)


MINUTE_LIMITS = {
    "Gemini's": (
        "You exceeded your current quota, please check your plan and billing details. For more "
        "information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits. "
        "To monitor your current usage, head to: https://ai.dev/usage?tab=rate-limit. * Quota "
        "exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests"
        ", limit: 10, model: gemini-2.5-flash\nPlease retry in 36.6s.",
        36.6,
    ),
    "OpenAI's": (
        "Rate limit reached for gpt-4o in organization org-1 on requests per min (RPM): Limit 3, "
        "Used 3, Requested 1. Please try again in 20s. Visit https://example.org/account/rate-"
        "limits to learn more. You can increase your rate limit by adding a payment method to your "
        "account at https://example.org/account/billing.",
        20.0,
    ),
}


@pytest.mark.parametrize(("said", "seconds"), MINUTE_LIMITS.values(), ids=MINUTE_LIMITS)
def test_a_limit_a_minute_that_speaks_of_billing_is_waited_for(said: str, seconds: float) -> None:
    naps = Naps()
    with FaultyServer(error(429, said)) as server:
        assert one(model_at(server, naps)).text == "hello/7"
    assert naps.seconds == [seconds]


def test_retry_after_a_date_soon() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    naps = Naps()
    with FaultyServer(error(503, headers={"Retry_After": date})) as server:
        one(model_at(server, naps))
    assert 10 < naps.seconds[0] <= 50


@pytest.mark.heavy
@given(st.text(max_size=60) | st.from_regex(r"Mon, \d{1,2} Jan \d{1,5} \d\d:\d\d:\d\d [+-]\d{4,6}"))
def test_retry_after_takes_any_header(header: str) -> None:
    assert retry_after_seconds(header) >= 0


# -------------------------------------------------------------------- faults that do not pass


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (error(401, "who are you"), ["who are you", "no key was sent", *KEY_VARIABLES]),
        (error(403, "not for you"), ["not for you", *KEY_VARIABLES]),
        (error(404, "no such model"), ["no such model", "'m'", "/v1/chat/completions", "/models"]),
        (error(400, "bad stop"), ["HTTP 400", "prompt 1", "bad stop"]),
        (says(b'{"error": "model not loaded"}', 400), ["model not loaded"]),
        (says(b'{"detail": "unprocessable"}', 422), ["unprocessable"]),
        (says(b"", 418), ["(no message)"]),
        (error(400, "too many digits", code="9" * 5000), ["too many digits"]),
        (error(400, "x" * 10_000), ["xxx..."]),
        (
            error(400, "request (3031 tokens) exceeds the available context size (1024 tokens)"),
            ["prompt 1", "do not fit the model's context", "3031"],
        ),
        (error(400, "?", code="context_length_exceeded"), ["do not fit the model's context"]),
        (error(400, "maximum context length is 9: lower max_tokens, not supported"), ["not fit"]),
        (says(b"", 307, Location="http://elsewhere.example/v1"), ["elsewhere.example", "redirect"]),
        (huge, ["larger than 8,000,000 bytes", "chat-completions server?"]),
    ],
)
def test_refusals_are_raised_at_once(fault: Fault, said: list[str]) -> None:
    with FaultyServer(ordinary=fault) as server:
        message = failure(server)
        # Where a 400 names nothing that we know, it is asked once without what is optional.
        assert len(server.bodies) <= 2
    for part in said:
        assert part in message
    assert len(message) < 700
    assert message.isprintable()


def test_a_refusal_stops_the_other_requests() -> None:
    def refuses_seed_2(exchange: Any) -> None:
        is_bad = exchange.body.get("seed", 2) == 2
        (error(400, "not this one") if is_bad else hang)(exchange)

    with FaultyServer(ordinary=refuses_seed_2) as server:
        with pytest.raises(EngineError, match="not this one"):
            model_at(server).generate([prompt()], seeds=[0], n_samples=20)
        assert server.hung_up.wait(10)
    assert len(server.bodies) <= 9


# ------------------------------------------------------------------------ adapting to a server


def picky(*refused: str, code: str = "unsupported_parameter") -> Fault:
    """A hosted reasoning model: refuses these parameters, in OpenAI's words."""

    def fault(exchange: Any) -> None:
        for name in refused:
            if name in exchange.body:
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                error(400, message, param=name, code=code)(exchange)
                return
        completion()(exchange)

    return fault


def test_refused_parameters_are_adapted_once_remembered_and_noted() -> None:
    with FaultyServer(ordinary=picky("max_tokens", "temperature", "top_p", "seed")) as server:
        model = model_at(server, concurrency=1, max_attempts=1)
        assert model.notes == ()
        assert one(model, sampling=Sampling(max_tokens=33)).seed == 7
        assert len(server.bodies) == 5
        one(model)
        assert len(server.bodies) == 6
    last = server.bodies[4]
    assert last["max_completion_tokens"] == 33
    assert not {"max_tokens", "temperature", "top_p", "seed"} & set(last)
    assert len(model.notes) == 4
    assert any("the same seed will not bring the same text again" in note for note in model.notes)
    assert any("max_completion_tokens" in note for note in model.notes)


def test_reasoning_alone_is_not_asked_again_for_ever_where_the_user_sets_a_stop() -> None:
    def only_thinks(exchange: Any) -> None:
        exchange.send(200, answer_body("<think>Hm, let me see.</think>"))

    with FaultyServer(ordinary=only_thinks) as server:
        model = model_at(server, options=ServerOptions(body={"stop": ["\n\n"]}))
        found = model.generate([prompt()], seeds=[0])
    assert found[0][0].text == ""
    assert len(server.bodies) <= 7


def test_requests_in_flight_together_adapt_together() -> None:
    with FaultyServer(ordinary=slow(0.05, picky("max_tokens", "seed"))) as server:
        model = model_at(server, max_attempts=1)
        found = model.generate([prompt()], seeds=[0], n_samples=8)
    assert len(found[0]) == 8
    assert len(model.notes) == 2


@pytest.mark.parametrize(
    "message",
    [
        "temperature must be at most 2",
        "Der Parameter temperature ist hier nicht erlaubt.",
        "参数temperature不支持",
        "Unsupported value: 'temperature' does not support 0.7 with this model.",
        "temperature: Extra inputs are not permitted",
        "Unrecognized request argument supplied: temperature",
        "`temperature` is deprecated for this model.",
        "This model doesn't support temperature",
    ],
)
def test_the_ways_in_which_servers_refuse(message: str) -> None:
    with FaultyServer(error(400, message)) as server:
        model = model_at(server)
        one(model)
    assert "temperature" not in server.bodies[1]
    assert "seed" in server.bodies[1]
    assert len(model.notes) == 1


@pytest.mark.parametrize(
    "message",
    ["'stop' is not supported", "logit_bias is not supported", "seeds are fine", "no such voice"],
)
def test_complaints_about_what_was_not_sent_are_not_adapted_to(message: str) -> None:
    with FaultyServer(ordinary=error(400, message)) as server:
        model = model_at(server)
        with pytest.raises(EngineError, match=message):
            one(model)
        assert len(server.bodies) == 2  # once more without anything optional, to be sure
        assert model.notes == ()


def test_a_server_that_refuses_what_was_left_out_does_not_loop() -> None:
    with FaultyServer(ordinary=error(400, "seed and temperature: not supported")) as server:
        assert "not supported" in failure(server)
        assert len(server.bodies) == 4


# -------------------------------------------------------------------------------------- the key


def everything_about(caught: BaseException) -> str:
    """All that a crash report could print of an exception and of what it came from."""
    lines = traceback.format_exception(caught)
    linked: BaseException | None = caught
    while linked:
        lines += [repr(linked), str(vars(linked))]
        linked = linked.__cause__ or linked.__context__
    return "\n".join(lines)


def test_the_key_is_sent_as_bearer(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "second")
        one(model_at(server))
        monkeypatch.setenv("COMMONWEAL_OPENAI_API_KEY", "first\n")
        one(model_at(server))
        monkeypatch.setenv("COMMONWEAL_OPENAI_API_KEY", "")
        one(model_at(server))
    sent = [headers.get("authorization") for headers in server.headers]
    assert sent == ["Bearer second", "Bearer first", None]


def nonsense(exchange: Any) -> None:
    exchange.wfile.write(f"{KEY} {KEY}\r\n\r\n".encode())
    exchange.close_connection = True


ECHOES: dict[str, Fault] = {
    "401": error(401, f"Incorrect API key provided: {KEY}. Find yours at example.org"),
    "401 in part": error(401, f"Incorrect API key provided: {KEY[:14]}***"),
    "403 as text": says(f"no access for {KEY}".encode(), 403),
    "404": error(404, KEY),
    "400 past the bound": error(400, "y" * 290 + KEY),
    "500": error(500, KEY),
    "not JSON": says(f"<p>{KEY}".encode()),
    "wrong shape": says(json.dumps({"error": {"message": KEY}}).encode()),
    "finish reason": says(answer_body("x", f"error {KEY}")),
    "redirect": says(b"", 302, Location=f"https://elsewhere.example/?key={KEY}"),
    "cut off": cut_off(KEY.encode() * 9),
    "code": error(400, "no", code=KEY),
    "bad status line": nonsense,
}


@pytest.mark.parametrize("fault", ECHOES.values(), ids=ECHOES)
def test_the_key_is_never_shown(
    fault: Fault, key: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with FaultyServer(ordinary=fault) as server:
        model = model_at(server, max_attempts=2)
        with pytest.raises(EngineError) as caught:
            one(model)
    assert server.headers[0]["authorization"] == f"Bearer {key}"
    out, err = capfd.readouterr()
    # httpcore's own debug log tells every header that comes in, whatever a server puts there.
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith("httpcore")]
    shown = everything_about(caught.value) + repr(model) + str(vars(model)) + out + err
    for piece in (key, key[:9], key[-9:]):
        assert piece not in shown
        assert piece not in "".join(ours)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_key_does_not_follow_a_redirect(key: str) -> None:
    with FaultyServer() as other:
        redirect = says(b"", 307, Location=f"{other.url}/chat/completions")
        with FaultyServer(redirect) as server:
            assert "Redirects are not followed" in failure(server)
        assert other.bodies == []


def test_the_key_does_not_go_through_a_proxy_to_this_machine(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyServer() as proxy, FaultyServer() as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
        one(model_at(server))
        assert proxy.bodies == []


def test_plain_http_with_a_key_only_to_this_machine(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for here in ("http://127.0.0.1:1/v1", "http://localhost:1/v1", "http://[::1]:1/v1"):
        OpenAIModel(here, "m")
    OpenAIModel("https://example.org/v1", "m")
    for there in ("http://example.org/v1", "http://10.0.0.5/v1", "http://localhost.example.org/v1"):
        with pytest.raises(InputError, match="unencrypted") as caught:
            OpenAIModel(there, "m")
        assert KEY_VARIABLES[0] in str(caught.value)
        assert key not in str(caught.value)
    monkeypatch.setenv(KEY_VARIABLES[0], "")
    model = OpenAIModel("http://example.org/v1", "m")
    monkeypatch.setenv(KEY_VARIABLES[0], KEY)  # set after the model was made
    with pytest.raises(InputError, match="unencrypted"):
        one(model)


@pytest.mark.parametrize("bad", ["sk-ab cd", "sk-ab\ncd", "sk-schlüssel", "sk-\x7fab"])
def test_a_key_that_is_no_header_is_refused_unseen(
    bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLES[1], bad)
    with pytest.raises(InputError, match=KEY_VARIABLES[1]) as caught:
        OpenAIModel("https://example.org/v1", "m")
    assert bad not in everything_about(caught.value)


def test_the_model_holds_no_key(key: str) -> None:
    model = OpenAIModel("https://example.org/v1", "m")
    assert key.encode() not in pickle.dumps(model)


# ------------------------------------------------------------------------------------- the spec


def test_from_spec() -> None:
    model = OpenAIModel.from_spec("http://127.0.0.1:8080/v1/#org/model:7b@q4")
    assert model.model_id == "openai:http://127.0.0.1:8080/v1#org/model:7b@q4"
    assert OpenAIModel.from_spec(model.model_id).model_id == model.model_id


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "#",
        "m",
        "http://127.0.0.1:8080/v1",
        "http://127.0.0.1:8080/v1#",
        "http://127.0.0.1:8080/v1# ",
        "127.0.0.1:8080/v1#m",
        "ftp://host/v1#m",
        "http://#m",
        "http://host:port/v1#m",
        "http://host:99999/v1#m",
        "http://[::1/v1#m",
        "http://ho st/v1#m",
        "http://host/v1#a#b",
        "http://host/v1#a\nb",
        "http://host/v1/chat/completions#m",
    ],
)
def test_malformed_specs(spec: str) -> None:
    with pytest.raises(InputError, match=r"Example: openai:http://127\.0\.0\.1:8080/v1#"):
        OpenAIModel.from_spec(spec)


@pytest.mark.parametrize(
    "spec",
    [
        "http://user:hunter2@host/v1#m",
        "https://hunter2@host/v1#m",
        "user:hunter2@host/v1#m",
        "http://user:hunter2#more@host/v1#m",
        "http://user:hunter2#more@host/v1",
        "https://host/v1?api_key=hunter2#m",
        "http://a:hunter2@b@host/v1#m",
    ],
)
def test_passwords_are_refused_and_not_echoed(spec: str) -> None:
    with pytest.raises(InputError) as caught:
        OpenAIModel.from_spec(spec)
    assert "hunter2" not in everything_about(caught.value)


@given(st.text(max_size=40), st.text(max_size=20))
def test_any_spec_is_taken_or_refused(base: str, model: str) -> None:
    for spec in (f"{base}#{model}", f"http://{base}#{model}"):
        try:
            told = OpenAIModel.from_spec(spec).model_id
        except InputError as refusal:
            told = str(refusal)
        assert told.startswith("openai:http") or "Example:" in told


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"max_attempts": 0}])
def test_limits_below_one(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="at least 1"):
        OpenAIModel("http://127.0.0.1/v1", "m", **options)


@pytest.mark.parametrize("proxy", ["foo://me:secret@x", "http://me:secret@x:port"])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_that_cannot_be_used_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str
) -> None:
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(EngineError, match=f"the proxy in .*{variable}.* cannot be used") as caught:
        OpenAIModel("https://example.org/v1", "m")
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    OpenAIModel("http://127.0.0.1/v1", "m")  # no proxy to this machine


@pytest.mark.skipif(bool(find_spec("socksio")), reason="socksio is installed: socks5 works")
def test_a_socks_proxy_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(EngineError, match="pip install socksio"):
        OpenAIModel("https://example.org/v1", "m")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_used_are_named_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with pytest.raises(EngineError, match="the certificates in SSL_CERT_FILE cannot be used"):
        OpenAIModel("https://example.org/v1", "m")
    OpenAIModel("http://127.0.0.1/v1", "m")


# --------------------------------------------------------------------------------------- Ctrl-C


ASK_FOR_EVER = """
import signal, sys
from commonweal.models.openai_engine import OpenAIModel
from commonweal.types import Message
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    OpenAIModel(sys.argv[1], "m").generate([(Message("user", "hello"),)], seeds=[0], n_samples=16)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_ctrl_c_stops_promptly() -> None:
    """In a process of its own: here the signal would reach all that other tests have loaded."""
    with FaultyServer(ordinary=hang) as server:
        process = subprocess.Popen([sys.executable, "-c", ASK_FOR_EVER, server.url])
        assert server.arrived.wait(30)
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 130  # it would be 300 s if it waited for the answer
        assert server.hung_up.wait(10)  # the requests were dropped, not left running


def test_an_exception_in_on_done_stops_and_reaches_the_caller() -> None:
    def full(n_done: int) -> None:
        raise OSError("disk full")

    with FaultyServer(completion(), ordinary=hang) as server:
        with pytest.raises(OSError, match="disk full"):
            model_at(server, concurrency=2).generate(
                [prompt()], seeds=[0], n_samples=9, on_done=full
            )
        assert server.hung_up.wait(10)
