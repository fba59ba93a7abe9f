"""Any OpenAI-compatible chat server as a LanguageModel: ``openai:BASE_URL#MODEL``.

vLLM, llama.cpp's server, Ollama and the hosted services all answer POST BASE_URL/chat/completions.
Each completion is one request with its own seed, since many servers ignore ``n``. Reasoning is set
apart, stops are cut here, and what a server refuses is left out: see docs/servers.md.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import httpx

from commonweal.errors import EngineError, InputError, UnsupportedByEngineError
from commonweal.log import LOG
from commonweal.models.openai_answer import Reply, broke_off, reply_in
from commonweal.models.openai_budget import LEAST, TRIAL, TRIAL_TOKENS, ReasoningBudget
from commonweal.models.openai_connection import KEY_VARIABLES, Connection, RequestSettings
from commonweal.models.openai_faults import may_be_about_parameters, passing_fault, refusal
from commonweal.models.openai_options import ServerOptions, options_from_environment, read_options
from commonweal.models.openai_parameters import NO_REFUSALS, Parameters
from commonweal.models.openai_turns import limit
from commonweal.models.openai_wire import EXAMPLE, Answer, Failure, checked, cleaned
from commonweal.models.private_loop import Report, run_in_private_loop
from commonweal.models.reasoning import cut_at_stops
from commonweal.models.truncation import LEAST_CHARACTERS, n_characters, was_cut
from commonweal.types import Completion, Prompt, Sampling

__all__ = ["KEY_VARIABLES", "OpenAIModel"]

MAX_WAIT_SECONDS = 60.0
"""The longest wait that no server asked for, and between two looks at one that is loading."""
LONGEST_WAIT_SECONDS = 600.0
"""A server that asks for a longer wait is not waited for: a limit a day, say."""
LOADING_SECONDS = 600.0
"""The longest wait for a server that says that it is loading its model."""
LOADING_NAP_SECONDS = 3.0

ASIDE_TOKENS = 16
"""The answer to a request that is sent for its count of the prompt; some servers take no less."""
UNTOLD = (
    "{} does not say how many tokens of a prompt it read, so we cannot see whether it read all "
    "opinions."
)


class _Job(NamedTuple):
    prompt_index: int
    prompt: Prompt
    seed: int


class OpenAIModel:
    """A model on an OpenAI-compatible server.

    The key comes from the environment (``KEY_VARIABLES``) at each call, is kept nowhere, and goes
    over plain http only to this machine. Samplers that the protocol has no name for (llama.cpp's
    ``top_k`` and ``min_p``, say) stay at the server's defaults, where the options do not add them.
    Seeds are sent modulo 2**31. The same seed brings the same text only where the server honours
    it; ``notes`` tells where it is known not to.

    Args:
        base_url: up to and without ``/chat/completions``; mostly it ends in ``/v1``.
        model: the model's name on that server.
        options: what is added to the requests.
        concurrency: most requests of a call in flight at once, where neither the options nor a
            limit of this process (``openai_turns``) say.
        max_attempts: most tries for one completion, likewise.
        timeout_seconds: longest wait for one whole answer, after which the try has failed,
            likewise.
        sleep: waits so many seconds between tries.
        jitter: draws from [0, 1), so that requests that failed together do not return together.
    """

    takes_json_schema = True
    tells_completions = True

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        options: ServerOptions | None = None,
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
        self._options = options = (options or ServerOptions()).over(options_from_environment())
        self._concurrency = options.concurrency or limit() or concurrency
        self._max_attempts = options.max_attempts or max_attempts
        self._connection = Connection(
            self._base_url,
            self.model_id,
            options,
            timeout_seconds=options.timeout_seconds or timeout_seconds,
        )
        given = options.loading_seconds
        self._loading_seconds = LOADING_SECONDS if given is None else given
        self._sleep, self._jitter = sleep, jitter
        self._parameters = Parameters(self.model_id, options.body)
        self._budget = ReasoningBudget(options.reasoning_tokens)
        self._read_whole = 0, 0  # the most characters and tokens seen to be read whole
        self._notes: dict[str, str] = {}
        # A key that may not travel, or a proxy that cannot be used, is said now, not at the first
        # request.
        self._connection.client(self._connection.settings(Sampling(), None))

    @classmethod
    def from_spec(cls, spec: str) -> OpenAIModel:
        """Returns the model that ``BASE_URL#MODEL`` or ``BASE_URL#MODEL?OPTIONS`` names.

        Raises:
            InputError: the text is malformed, holds a password, or a key would leave this machine
                unencrypted.
            EngineError: the environment names a proxy or certificates that cannot be used.
        """
        base_url, model, options = _parts_of(spec)
        return cls(base_url, model, options=options)

    @classmethod
    def check_spec(cls, spec: str) -> None:
        """Returns where ``from_spec`` can read the spec; the server is not asked.

        Raises:
            InputError: the text is malformed, or holds a password.
        """
        base_url, model, _ = _parts_of(spec)
        checked(base_url, model)

    @staticmethod
    def options_suffix(spec: str) -> str:
        """What may change a text of the options in a spec, its file and the environment.

        Raises:
            InputError: they cannot be read.
        """
        return _parts_of(spec)[2].over(options_from_environment()).suffix()

    @property
    def model_id(self) -> str:
        """The name ``openai:BASE_URL#MODEL``, with the options that may change a text."""
        return f"openai:{self._base_url}#{self._model}{self._options.suffix()}"

    @property
    def weights_hash(self) -> str | None:
        """None: a server does not show its weights."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was asked for and could not be had from this server, a sentence each."""
        budget = self._budget.note(self.model_id)
        return (*self._parameters.notes, *([budget] if budget else []), *self._notes.values())

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        seeds: Sequence[int],
        n_samples: int = 1,
        sampling: Sampling | None = None,
        on_done: Callable[[int], None] | None = None,
        json_schema: Mapping[str, Any] | None = None,
        on_completion: Callable[[int, Completion], None] | None = None,
    ) -> list[list[Completion]]:
        """Returns ``n_samples`` completions for each prompt, in order: [n_prompts][n_samples].

        ``on_done`` is called in the caller's thread, and so is ``on_completion``, with (number of
        the completion, the completion) as each comes. Where one completion fails for good no new
        one is begun, and nothing is returned: a shorter list would pass for a whole one. With a
        ``json_schema`` the server is asked to write JSON of that schema; one that cannot is asked
        without (``notes``), so the text is to be checked: ``models.structured`` does.

        Raises:
            EngineError: the server refused, could not be reached, answered with nonsense, or left
                out part of a prompt.
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
        settings = self._connection.settings(sampling or Sampling(), json_schema)
        arrived: list[tuple[int, Completion]] = []
        n_told = 0

        def report(n_done: int) -> None:
            nonlocal n_told
            if on_completion is not None:
                for each in arrived[n_told:]:
                    n_told += 1
                    on_completion(*each)
            if on_done is not None:
                on_done(n_done)

        completions = run_in_private_loop(
            lambda report_done: self._fetch_all(jobs, settings, report_done, arrived), report
        )
        return [completions[i : i + n_samples] for i in range(0, len(completions), n_samples)]

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

    async def _fetch_all(
        self,
        jobs: list[_Job],
        settings: RequestSettings,
        report: Report,
        arrived: list[tuple[int, Completion]],
    ) -> list[Completion]:
        done: dict[int, Completion] = {}
        failures: list[Failure] = []
        waiting = iter(enumerate(jobs))
        finding_out = asyncio.Lock()  # whether the model reasons is found out once

        async def work() -> None:
            for index, job in waiting:  # shared by the workers; they are on one thread
                outcome = await self._fetch(client, job, settings, finding_out)
                if isinstance(outcome, Failure):
                    failures.append(outcome)
                else:
                    done[index] = outcome
                    arrived.append((index, outcome))
                    report(len(done))
                if failures:
                    return

        async with self._connection.client(settings) as client:
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(self._concurrency, len(jobs))):
                    workers.create_task(work())
            if not failures:
                completions = [done[i] for i in range(len(jobs))]
                await self._check_prompts_were_read(client, jobs, completions, settings)
                return completions
        n_left, n_tries = len(jobs) - len(done) - len(failures), failures[0].most_attempts
        raise EngineError(
            f"{self.model_id}: {len(failures)} of {len(jobs)} completions failed after "
            f"{n_tries} attempt{'s' if n_tries > 1 else ''} each ({len(done)} finished, {n_left} "
            f"not begun). First error: {failures[0].message}. Is the server up, and not overloaded?"
        )

    async def _fetch(
        self,
        client: httpx.AsyncClient,
        job: _Job,
        settings: RequestSettings,
        finding_out: asyncio.Lock,
    ) -> Completion | Failure:
        """Returns the completion, or the last failure once the attempts are used up."""
        attempt, waited_seconds = 1, 0.0
        while True:
            n_reasoning = self._budget.n_tokens
            sends_stops = not self._budget.is_reasoning
            payload = self._parameters.payload(
                self._model,
                job.prompt,
                job.seed,
                settings.sampling,
                n_reasoning_tokens=n_reasoning,
                sends_stops=sends_stops,
                json_schema=settings.json_schema,
            )
            answer = await self._connection.post(client, payload, settings)
            outcome = answer if isinstance(answer, Failure) else self._taken(answer, settings)
            if isinstance(outcome, Reply):
                if outcome.says_cut:
                    raise EngineError(self._cut(job, "It says so itself"))
                self._budget.worked(payload)
                self._parameters.proven(payload)
                if self._budget.is_unsure_of(outcome):
                    async with finding_out:
                        if self._budget.is_unsure_of(outcome):
                            self._budget.learn(await self._aside(client, *_trial(settings)))
                outcome = self._budget.told_apart(outcome, payload)
                sent_stops = sends_stops and "stop" in payload
                if self._budget.asks_again(outcome, n_reasoning, sent_stops=sent_stops):
                    continue
                return _completion(outcome, job, settings.sampling)
            if isinstance(outcome, Answer):
                if self._adapts(outcome, payload, n_reasoning):
                    continue  # not one of the attempts: the next request is another one
                if may_be_about_parameters(outcome):
                    async with finding_out:
                        if await self._parameters.search(
                            payload, lambda body: self._is_taken(client, body, settings)
                        ):
                            continue
                fault = passing_fault(outcome, has_answered=self._budget.has_answered)
                outcome = fault or self._refuse(outcome, job, settings)
            if outcome.is_loading:
                nap = min(max(outcome.retry_after_seconds, LOADING_NAP_SECONDS), MAX_WAIT_SECONDS)
                if waited_seconds + nap > self._loading_seconds:
                    limit = f"{self._loading_seconds:g} s (loading_seconds)"
                    message = f"the server was still loading its model after {limit}: "
                    return Failure(message + outcome.message, most_attempts=attempt)
                await self._sleep(nap)
                waited_seconds += nap
                self._notes["loading"] = (
                    f"{self.model_id} loaded its model first, and we waited for it."
                )
                continue
            if outcome.retry_after_seconds > LONGEST_WAIT_SECONDS:
                wait = (
                    f"the server asks to come back in {outcome.retry_after_seconds / 60:,.0f} min"
                )
                return Failure(f"{outcome.message}; {wait}", most_attempts=attempt)
            if attempt >= min(outcome.most_attempts or self._max_attempts, self._max_attempts):
                return outcome._replace(most_attempts=attempt)
            back_off = min(0.5 * 2 ** (attempt - 1) * (1 + self._jitter()), MAX_WAIT_SECONDS)
            nap = max(back_off, outcome.retry_after_seconds)
            LOG.warning("%s: attempt %d failed, again in %.1f s", self.model_id, attempt, nap)
            await self._sleep(nap)
            attempt += 1

    def _taken(self, answer: Answer, settings: RequestSettings) -> Reply | Failure | Answer:
        """The reply in the answer, a fault that it tells of, or the answer where it holds none."""
        if not 200 <= answer.status < 300 or answer.is_error:
            return answer
        reply = reply_in(answer.body)
        if not isinstance(reply, Reply):
            return answer
        if broke_off(reply):
            reason = cleaned(reply.server_reason, settings.hidden)
            return Failure(f"the server broke off, finish_reason {reason!r}: {answer.message}")
        return reply

    def _adapts(self, answer: Answer, payload: Mapping[str, Any], n_reasoning: int) -> bool:
        """Whether the next request is another one, since this one's parameters were refused."""
        status = answer.status
        if 200 <= status < 300:
            if not answer.is_error:
                return False
            status = answer.inner_status or 400
        if status < 400 or status in NO_REFUSALS:
            return False
        answer = answer._replace(status=status)
        return self._budget.shrinks(answer, payload, n_reasoning) or (
            self._parameters.left_out_by(answer, payload)
        )

    async def _check_prompts_were_read(
        self,
        client: httpx.AsyncClient,
        jobs: list[_Job],
        completions: list[Completion],
        settings: RequestSettings,
    ) -> None:
        """Raises the EngineError where the server left out part of the longest prompt."""
        long = [
            (n_characters(job.prompt), completion.n_prompt_tokens, job)
            for job, completion in zip(jobs, completions, strict=True)
            if n_characters(job.prompt) >= LEAST_CHARACTERS
        ]
        counted = [(size, -n, job) for size, n, job in long if n]
        if not counted:
            if long:
                self._notes["reading"] = UNTOLD.format(self.model_id)
            return
        size, minus, job = max(counted, key=lambda each: each[:2])
        if size <= self._read_whole[0] and -minus <= self._read_whole[1]:
            return

        async def ask(prompt: Prompt) -> int | None:
            return await self._n_tokens_read(client, prompt, settings)

        is_cut = await was_cut(job.prompt, -minus, ask)
        if is_cut:
            read = f"It read {-minus:,} tokens of {size:,} characters"
            raise EngineError(self._cut(job, f"{read} and left out the rest without a word"))
        if is_cut is None:
            self._notes["reading"] = UNTOLD.format(self.model_id)
        self._read_whole = max(size, self._read_whole[0]), max(-minus, self._read_whole[1])

    def _cut(self, job: _Job, how: str) -> str:
        return (
            f"{self.model_id}, prompt {job.prompt_index + 1}: the server cut the prompt. {how}, so "
            "somebody's opinion may be missing. Serve the model with a larger context (Ollama: "
            "OLLAMA_CONTEXT_LENGTH or num_ctx), or give fewer or shorter opinions"
        )

    async def _n_tokens_read(
        self, client: httpx.AsyncClient, prompt: Prompt, settings: RequestSettings
    ) -> int | None:
        """How many tokens the server counts in a prompt; None where it does not say."""
        short = settings._replace(sampling=Sampling(max_tokens=ASIDE_TOKENS), json_schema=None)
        reply = await self._aside(client, prompt, short)
        return reply.n_prompt_tokens if reply is not None else None

    async def _aside(
        self, client: httpx.AsyncClient, prompt: Prompt, settings: RequestSettings
    ) -> Reply | None:
        """The reply to a request of our own, sent once; None where it brings none."""
        payload = self._parameters.payload(
            self._model,
            prompt,
            0,
            settings.sampling,
            n_reasoning_tokens=LEAST if self._budget.is_reasoning else 0,
            sends_stops=False,
            json_schema=None,
        )
        answer = await self._connection.post(client, payload, settings)
        reply = answer if isinstance(answer, Failure) else self._taken(answer, settings)
        return reply if isinstance(reply, Reply) else None

    async def _is_taken(
        self, client: httpx.AsyncClient, payload: dict[str, Any], settings: RequestSettings
    ) -> bool:
        """Whether a request of the search brings a completion; a busy server is asked again."""
        for _ in range(3):
            answer = await self._connection.post(client, payload, settings)
            outcome = answer if isinstance(answer, Failure) else self._taken(answer, settings)
            if isinstance(outcome, Answer) and passing_fault(outcome, has_answered=True) is None:
                return False
            if isinstance(outcome, Reply):
                return True
            await self._sleep(LOADING_NAP_SECONDS)
        return False

    def _refuse(self, answer: Answer, job: _Job, settings: RequestSettings) -> Failure:
        """Raises the EngineError for an answer that no repetition would better."""
        message = refusal(
            answer,
            base_url=self._base_url,
            model=self._model,
            key_was_sent=bool(settings.key),
            keys=" or ".join(KEY_VARIABLES),
        )
        raise EngineError(f"{self.model_id}, prompt {job.prompt_index + 1}: {message}")


def _trial(settings: RequestSettings) -> tuple[Prompt, RequestSettings]:
    """A request that shows whether what it begins with is reasoning."""
    sampling = Sampling(max_tokens=TRIAL_TOKENS, temperature=0.0)
    return TRIAL, settings._replace(sampling=sampling, json_schema=None)


def _completion(reply: Reply, job: _Job, sampling: Sampling) -> Completion:
    text, is_cut = cut_at_stops(reply.answer, sampling.stop)
    return Completion(
        text,
        "stop" if is_cut else reply.finish_reason,
        job.seed,
        reply.n_prompt_tokens,
        reply.n_completion_tokens,
        reply.reasoning,
        reply.why_empty,
    )


def _parts_of(spec: str) -> tuple[str, str, ServerOptions]:
    """(Base URL, model's name, options) of a spec."""
    base_url, _, rest = spec.removeprefix("openai:").partition("#")
    model, has_options, text = rest.partition("?")
    if not has_options:
        return base_url, rest, ServerOptions()
    if "@" in text:  # perhaps the end of a password with '#' and '?' in it: not to be shown
        raise InputError(
            "the options behind the model's name hold '@': write it as %40 there. A user name or "
            f"password must not be in the URL. {EXAMPLE}"
        )
    checked(base_url, model)
    return base_url, model, read_options(text, where="the options behind the model's name")
