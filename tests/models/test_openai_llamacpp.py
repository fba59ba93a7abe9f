"""The OpenAI-compatible engine against a real server: llama.cpp's own, on loopback."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_server import Exchange, Fault, FaultyServer, cut_off, error, forward, reset, says

from commonweal.errors import EngineError
from commonweal.models.openai_engine import KEY_VARIABLES, OpenAIModel
from commonweal.types import Message, Sampling

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None,
    reason="xllamacpp (llama.cpp's server in a wheel) is not installed",
)

# In a process of its own: it is C++ with threads of its own, and ends with its standard input.
SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.port, params.n_ctx, params.n_parallel = 0, 1024, 1
params.cpuparams.n_threads, params.verbosity, params.ui = 1, 0, False
server = xllamacpp.Server(params)
print("listening on", server.listening_address, flush=True)
sys.stdin.read()
"""

PROMPT = (
    Message("system", "You are a helpful assistant."),
    Message("user", "Write one sentence about the sea."),
)
SHORT = Sampling(max_tokens=8)


@pytest.fixture(scope="module")
def server_url(smollm2_gguf: Path) -> Iterator[str]:
    """The root of a running server with SmolLM2-135M-Instruct."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(smollm2_gguf)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        found = next((line.split()[-1] for line in lines if line.startswith("listening on")), None)
        try:
            if found is None:
                pytest.fail(f"llama.cpp's server did not start, exit code {process.wait()}")
            yield found
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def model(server_url: str) -> OpenAIModel:
    return OpenAIModel.from_spec(f"{server_url}/v1#smollm2")


def test_real_text_with_its_counts(model: OpenAIModel) -> None:
    done: list[int] = []
    sampling = Sampling(max_tokens=30, temperature=0)
    [[found]] = model.generate([PROMPT], seeds=[1], sampling=sampling, on_done=done.append)
    assert len(found.text.split()) >= 4
    assert found.text.isprintable()
    assert (found.n_prompt_tokens or 0) > 15
    assert 4 <= (found.n_completion_tokens or 0) <= 30
    assert done == [1]
    assert model.notes == ()


@pytest.mark.heavy
def test_seeds(model: OpenAIModel) -> None:
    [first] = model.generate([PROMPT], seeds=[100], n_samples=4, sampling=SHORT)
    [again] = model.generate([PROMPT], seeds=[100], n_samples=4, sampling=SHORT)
    [[third]] = model.generate([PROMPT], seeds=[102], sampling=SHORT)
    assert [c.text for c in first] == [c.text for c in again]
    assert len({c.text for c in first}) > 1
    assert third.text == first[2].text


def test_max_tokens_ends_with_length(model: OpenAIModel) -> None:
    [[found]] = model.generate([PROMPT], seeds=[1], sampling=Sampling(max_tokens=3))
    assert (found.finish_reason, found.n_completion_tokens) == ("length", 3)


def test_a_stop_string_ends_it_and_is_left_out(model: OpenAIModel) -> None:
    greedy = Sampling(max_tokens=20, temperature=0)
    [[whole]] = model.generate([PROMPT], seeds=[1], sampling=greedy)
    stop = whole.text.split()[2]
    cut = Sampling(max_tokens=20, temperature=0, stop=(stop,))
    [[found]] = model.generate([PROMPT], seeds=[1], sampling=cut)
    assert found.finish_reason == "stop"
    assert found.text == whole.text[: whole.text.index(stop)]


def test_a_wrong_url(server_url: str) -> None:
    model = OpenAIModel.from_spec(f"{server_url}/v7#smollm2")
    with pytest.raises(EngineError, match=r"HTTP 404, File Not Found.*/v7/chat/completions"):
        model.generate([PROMPT], seeds=[1], sampling=SHORT)


@pytest.mark.heavy
def test_a_prompt_that_does_not_fit(model: OpenAIModel) -> None:
    long = (Message("user", "word " * 3000),)
    with pytest.raises(EngineError, match=r"prompt 2: .*do not fit the model's context.*1024"):
        model.generate([PROMPT, long], seeds=[1, 1], sampling=SHORT)


OPINIONS = [
    f"Person {i}: {text}"
    for i, text in enumerate(
        [
            "I can't drive, and the fares eat my wages.",
            "Somebody pays for it, and it'll be me.",
            "Free for children and pensioners only.",
            "Die Busse müssen vor allem pünktlich sein.",
            "We have no bus at all in the village!",
        ]
        * 4,
        start=1,
    )
]
GROUP = (PROMPT[0], Message("user", "Write one statement for all.\n" + "\n".join(OPINIONS)))


def without_one_opinion(upstream: str) -> Fault:
    """Reads what is short, and drops one person's line from what is long."""

    def fault(exchange: Exchange) -> None:
        lines = exchange.body["messages"][-1]["content"].split("\n")
        if len(lines) > 15:
            exchange.body["messages"][-1]["content"] = "\n".join(lines[:3] + lines[4:])
        forward(upstream)(exchange)

    return fault


@pytest.mark.heavy
def test_one_opinion_of_twenty_that_a_server_drops_is_an_error(
    server_url: str, model: OpenAIModel
) -> None:
    """Real tokens: counts of parts add up so well that 12 of 330 missing are seen."""
    model.generate([GROUP], seeds=[1], sampling=SHORT)
    assert model.notes == ()
    with FaultyServer(ordinary=without_one_opinion(server_url)) as proxy:
        behind = OpenAIModel(proxy.url, "smollm2")
        with pytest.raises(EngineError, match="the server cut the prompt"):
            behind.generate([GROUP], seeds=[1], sampling=SHORT)


@pytest.mark.heavy
def test_faults_before_the_real_answer(server_url: str, model: OpenAIModel) -> None:
    async def no_sleep(seconds: float) -> None:
        pass

    faults = (
        error(429, "busy", headers={"Retry_After": "1"}),
        error(500, "oops"),
        cut_off(),
        reset,
        says(b"not json"),
    )
    with FaultyServer(*faults, ordinary=forward(server_url)) as proxy:
        behind = OpenAIModel(proxy.url, "smollm2", sleep=no_sleep, max_attempts=len(faults) + 1)
        found = behind.generate([PROMPT], seeds=[5], n_samples=3, sampling=SHORT)
        assert len(proxy.bodies) == 3 + len(faults) + 1  # once: is a text cut off reasoning?
    direct = model.generate([PROMPT], seeds=[5], n_samples=3, sampling=SHORT)
    assert [c.text for c in found[0]] == [c.text for c in direct[0]]
