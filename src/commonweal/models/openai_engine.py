"""Any OpenAI-compatible chat server as a LanguageModel: ``openai:BASE_URL#MODEL``.

vLLM, llama.cpp's server, Ollama and the hosted services all answer POST BASE_URL/chat/completions.
Each completion is one request with its own seed, since many servers ignore ``n``. The requests run
in a private event loop on a thread of their own: that works from inside a running loop (Jupyter),
and Ctrl-C drops the requests in flight instead of waiting for them.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import random
import re
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, NoReturn

import httpx

from commonweal.errors import EngineError, InputError, UnsupportedByEngineError
from commonweal.models.openai_wire import (
    Answer,
    Failure,
    checked,
    cleaned,
    completion_in,
    is_loopback,
    read,
)
from commonweal.types import Completion, Prompt, Sampling

__all__ = ["KEY_VARIABLES", "OpenAIModel"]

KEY_VARIABLES = ("COMMONWEAL_OPENAI_API_KEY", "OPENAI_API_KEY")
"""Where the key is read from. The first that is set counts; set to nothing, no key is sent."""

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

MAX_ANSWER_BYTES = 8_000_000
MAX_WAIT_SECONDS = 60.0
N_SEEDS = 2**31  # llama.cpp keeps 32 bits of a seed, and some servers take -1 for "random"

ADAPTATIONS = {
    "max_tokens": "'max_completion_tokens' is sent instead",
    "temperature": "it is left out, so the server's own temperature holds",
    "top_p": "it is left out, so the server's own top_p holds",
    "frequency_penalty": "it is left out, so completions may repeat themselves more",
    "seed": "it is left out, so the same seed will not bring the same text again",
}
REFUSED = r"unsupported|(not|n't) (support|permit|allow)|unknown|unrecogni|unexpected|deprecated"
TOO_LONG = r"context.?(length|size|window)|maximum context|(prompt|input) is too long"


class _Job(NamedTuple):
    prompt_index: int
    prompt: Prompt
    seed: int


def _next(reports: queue.SimpleQueue[int | None]) -> int | None:
    """The next report, waited for in short steps.

    A wait without end can miss Ctrl-C: a signal that comes just before the wait begins, or to
    another thread, does not end it.
    """
    while True:
        try:
            return reports.get(timeout=0.1)
        except queue.Empty:
            continue


class OpenAIModel:
    """A model on an OpenAI-compatible server.

    The key comes from the environment (``KEY_VARIABLES``) at each call, is kept nowhere, and goes
    over plain http only to this machine. Samplers that the protocol has no name for (llama.cpp's
    ``top_k`` and ``min_p``, say) stay at the server's defaults. Seeds are sent modulo 2**31. The
    same seed brings the same text only where the server honours it; ``notes`` tells where it is
    known not to.

    Args:
        base_url: up to and without ``/chat/completions``; mostly it ends in ``/v1``.
        model: the model's name on that server.
        concurrency: most requests in flight at once.
        max_attempts: most tries for one completion.
        timeout_seconds: longest wait for one whole answer, after which the try has failed.
        sleep: waits so many seconds between tries.
        jitter: draws from [0, 1), so that requests that failed together do not return together.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        concurrency: int = 8,
        max_attempts: int = 5,
        timeout_seconds: float = 300.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if concurrency < 1 or max_attempts < 1:
            got = f"concurrency is {concurrency} and max_attempts {max_attempts}"
            raise InputError(f"OpenAIModel: {got}, expected at least 1")
        self._base_url, self._model = checked(base_url, model)
        self._concurrency, self._max_attempts = concurrency, max_attempts
        self._timeout_seconds, self._sleep, self._jitter = timeout_seconds, sleep, jitter
        self._adapted: dict[str, str] = {}  # a parameter that the server refused: what was done
        # A key that may not travel, or a proxy that cannot be used, is said now, not at the first
        # request.
        self._client(self._key())

    @classmethod
    def from_spec(cls, spec: str) -> OpenAIModel:
        """Returns the model that ``BASE_URL#MODEL`` names.

        Raises:
            InputError: the text is malformed, holds a password, or a key would leave this machine
                unencrypted.
            EngineError: the environment names a proxy that cannot be used.
        """
        base_url, _, model = spec.removeprefix("openai:").partition("#")
        return cls(base_url, model)

    @staticmethod
    def check_spec(spec: str) -> None:
        """Returns where the text can be read; the server may not answer.

        Raises:
            InputError: it is malformed or holds a password.
        """
        base_url, _, model = spec.partition("#")
        checked(base_url, model)

    @property
    def model_id(self) -> str:
        """The name ``openai:BASE_URL#MODEL``."""
        return f"openai:{self._base_url}#{self._model}"

    @property
    def weights_hash(self) -> str | None:
        """None: a server does not show its weights."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was asked for and could not be had from this server, a sentence each."""
        return tuple(self._adapted.values())

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        seeds: Sequence[int],
        n_samples: int = 1,
        sampling: Sampling | None = None,
        on_done: Callable[[int], None] | None = None,
    ) -> list[list[Completion]]:
        """Returns ``n_samples`` completions for each prompt, in order: [n_prompts][n_samples].

        ``on_done`` is called in the caller's thread. Where one completion fails for good no new
        one is begun, and nothing is returned: a shorter list would pass for a whole one.

        Raises:
            EngineError: the server refused, could not be reached, or answered with nonsense.
            InputError: the arguments do not fit together, or the key may not travel.
        """
        if len(seeds) != len(prompts) or n_samples < 1:
            got = f"{len(prompts)} prompts, {len(seeds)} seeds, n_samples = {n_samples}"
            raise InputError(f"generate: got {got}; expected a seed a prompt and n_samples >= 1")
        jobs = [
            _Job(i, prompt, seed + j)
            for i, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
            for j in range(n_samples)
        ]
        found = self._fetch_in_private_loop(jobs, sampling or Sampling(), on_done)
        return [found[i : i + n_samples] for i in range(0, len(found), n_samples)]

    def count_tokens(self, text: str) -> int | None:  # noqa: ARG002
        """None: the protocol has no call for it."""
        return None

    def log_probabilities(
        self,
        prompts: Sequence[Prompt],  # noqa: ARG002
        continuations: Sequence[str],  # noqa: ARG002
    ) -> list[list[float]]:
        """Always raises UnsupportedByEngineError: chat servers score only what they write."""
        raise UnsupportedByEngineError(
            f"{self.model_id}: a chat-completions server gives no log-probabilities of a given "
            "text; use an engine with its own weights, such as hf:PATH"
        )

    def _fetch_in_private_loop(
        self, jobs: list[_Job], sampling: Sampling, on_done: Callable[[int], None] | None
    ) -> list[Completion]:
        reports: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        key = self._key()
        loop = asyncio.new_event_loop()
        task = loop.create_task(self._fetch_all(jobs, sampling, key, reports.put))

        def run() -> None:
            try:
                loop.run_until_complete(asyncio.wait([task]))
            finally:
                loop.close()
                reports.put(None)

        thread = threading.Thread(target=run, name="commonweal-openai", daemon=True)
        thread.start()
        try:
            while (n_done := _next(reports)) is not None:
                if on_done:
                    on_done(n_done)
        except BaseException:  # Ctrl-C above all: the connections are closed, not waited for
            if not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)
            thread.join(timeout=2.0)
            raise
        error = task.exception()
        if isinstance(error, ExceptionGroup):  # the workers': the first of them tells
            raise error.exceptions[0]
        return task.result()

    async def _fetch_all(
        self, jobs: list[_Job], sampling: Sampling, key: str, report: Callable[[int], None]
    ) -> list[Completion]:
        found: dict[int, Completion] = {}
        failures: list[Failure] = []
        waiting = iter(enumerate(jobs))

        async def work() -> None:
            for index, job in waiting:  # shared by the workers; they are on one thread
                outcome = await self._fetch(client, job, sampling, key)
                if isinstance(outcome, Failure):
                    failures.append(outcome)
                else:
                    found[index] = outcome
                    report(len(found))
                if failures:
                    return

        async with (
            self._client(key) as client,
            asyncio.TaskGroup() as workers,
        ):
            for _ in range(min(self._concurrency, len(jobs))):
                workers.create_task(work())
        if failures:
            n_left = len(jobs) - len(found) - len(failures)
            raise EngineError(
                f"{self.model_id}: {len(failures)} of {len(jobs)} completions failed after "
                f"{self._max_attempts} attempts each ({len(found)} finished, {n_left} not begun). "
                f"First error: {failures[0].message}. Is the server up, and not overloaded?"
            )
        return [found[i] for i in range(len(jobs))]

    def _client(self, key: str) -> httpx.AsyncClient:
        try:
            return httpx.AsyncClient(
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=None,  # noqa: S113 - one limit on the whole attempt: a drip ends too
                follow_redirects=False,  # the key and the opinions go where the user said
                trust_env=not is_loopback(self._base_url),  # no proxy to this machine
            )
        except (ImportError, ValueError, httpx.InvalidURL):
            names = sorted(name for name in os.environ if name.lower() in PROXY_VARIABLES)
            if not names:
                raise
            # Without the value or the cause, which may hold a password.
            raise EngineError(
                f"{self.model_id}: the proxy in {', '.join(names)} cannot be used; expected "
                "http://HOST:PORT or https://HOST:PORT (for socks5:// first: pip install socksio)"
            ) from None

    async def _fetch(
        self, client: httpx.AsyncClient, job: _Job, sampling: Sampling, key: str
    ) -> Completion | Failure:
        """Returns the completion, or the last failure once the attempts are used up."""
        attempt = 1
        while True:
            payload = self._payload(job, sampling)
            answer = await self._post(client, payload, key)
            if isinstance(answer, Failure):
                outcome: Completion | Failure = answer
            elif answer.status == 200:
                outcome = completion_in(answer, job.seed, key)
            elif answer.status in (408, 425, 429) or answer.status >= 500:
                what = f"HTTP {answer.status}: {answer.said}"
                outcome = Failure(what, answer.retry_after_seconds)
            elif self._adapt(answer, payload):
                continue  # not one of the attempts: the next request is another one
            else:
                self._refuse(answer, job, bool(key))
            if isinstance(outcome, Completion) or attempt == self._max_attempts:
                return outcome
            back_off = 0.5 * 2 ** (attempt - 1) * (1 + self._jitter())
            await self._sleep(min(max(back_off, outcome.retry_after_seconds), MAX_WAIT_SECONDS))
            attempt += 1

    def _payload(self, job: _Job, sampling: Sampling) -> dict[str, object]:
        asked: dict[str, object] = {
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": job.seed % N_SEEDS,
        }
        if sampling.frequency_penalty:
            asked["frequency_penalty"] = sampling.frequency_penalty
        payload = {name: value for name, value in asked.items() if name not in self._adapted}
        if "max_tokens" in self._adapted:
            payload["max_completion_tokens"] = sampling.max_tokens
        if sampling.stop:
            payload["stop"] = list(sampling.stop)
        messages = [{"role": role, "content": content} for role, content in job.prompt]
        return {"model": self._model, "messages": messages, **payload}

    async def _post(
        self, client: httpx.AsyncClient, payload: dict[str, object], key: str
    ) -> Answer | Failure:
        url = f"{self._base_url}/chat/completions"
        # Compressed answers are not asked for, nor unpacked: a small one can unpack to any size.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        content = bytearray()
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                client.stream("POST", url, content=json.dumps(payload), headers=headers) as answer,
            ):
                async for chunk in answer.aiter_raw():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        break
        except TimeoutError:
            return Failure(f"no whole answer within {self._timeout_seconds:g} s")
        except httpx.TransportError as error:
            return Failure(cleaned(f"{type(error).__name__}: {error}", key))
        if len(content) > MAX_ANSWER_BYTES:
            raise EngineError(
                f"{self.model_id}: the answer is larger than {MAX_ANSWER_BYTES:,} bytes, far more "
                f"than a completion. Is {self._base_url} a chat-completions server?"
            )
        return read(answer, bytes(content), key)

    def _adapt(self, answer: Answer, payload: dict[str, object]) -> bool:
        """Returns whether the server refused a parameter that can be swapped or left out.

        Hosted reasoning models want ``max_completion_tokens`` and refuse some of the other
        parameters. Each is adapted once and for all; ``notes`` tells.
        """
        told = answer.told
        if answer.status not in (400, 422) or re.search(TOO_LONG, told, re.IGNORECASE):
            return False
        if not re.search(REFUSED, told, re.IGNORECASE):
            return False
        for name in re.findall(rf"\b({'|'.join(ADAPTATIONS)})\b", told):
            if name in payload:
                did = ADAPTATIONS[name]
                self._adapted[name] = f"{self.model_id} does not take {name!r}: {did}."
                return True
        return False

    def _refuse(self, answer: Answer, job: _Job, key_was_sent: bool) -> NoReturn:
        """Raises the EngineError for an answer that no repetition would better."""
        url, said = f"{self._base_url}/chat/completions", answer.said
        if 300 <= answer.status < 400:
            said = f"a redirect to {answer.location}. Redirects are not followed: check that URL, "
            said += "and give it yourself if it is the right one"
        elif answer.status in (401, 403):
            said = f"the key was refused: {said}" if key_was_sent else f"no key was sent: {said}"
            said += f". Set {' or '.join(KEY_VARIABLES)} to a key that this server takes"
        elif answer.status == 404:
            said += f". Either the server has no model {self._model!r} (GET {self._base_url}/models"
            said += f" lists those it has), or the URL is wrong (mostly it ends in /v1): {url}"
        elif re.search(TOO_LONG, answer.told, re.IGNORECASE):
            said = f"the prompt and its answer do not fit the model's context: {said}. Give fewer "
            said += "or shorter opinions, a lower max_tokens, or serve the model with more context"
        where = f"{self.model_id}, prompt {job.prompt_index + 1}"
        raise EngineError(f"{where}: HTTP {answer.status}, {said}")

    def _key(self) -> str:
        """Returns the key from the environment, or "" for none."""
        name = next((name for name in KEY_VARIABLES if name in os.environ), "")
        key = os.environ.get(name, "").strip()
        if not all("!" <= character <= "~" for character in key):
            # Said here because the HTTP library's own complaint would print the key.
            raise InputError(f"{name}: the key holds a blank or a non-ASCII character; set it anew")
        if key and not self._base_url.startswith("https:") and not is_loopback(self._base_url):
            raise InputError(
                f"{self.model_id}: the key in {name} would travel unencrypted. Use an https:// "
                f"URL, or, if the server needs no key, set {KEY_VARIABLES[0]} to nothing"
            )
        return key
