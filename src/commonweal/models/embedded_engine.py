"""The embedded engine: a GGUF file run by OpenVINO GenAI on the processor, without torch.

All completions of one call are in one continuous batch: they advance together token by token, and
what their prompts share from the start (instructions, worked examples) is computed once.

Prompts enter the batch one step apart. Taken in together, they would each compute the shared start
for themselves, and how two prompts split one step between the threads changes the last digits, so
that a seed would not give the same text twice (docs/LOG.md, 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from commonweal.calling import check, held
from commonweal.errors import EngineError, InputError, WeightsError
from commonweal.extras import require
from commonweal.files import sha256_of
from commonweal.models import store
from commonweal.models.converted import adapted, adapted_hash, converted
from commonweal.models.encoder import encodable
from commonweal.models.gguf_files import Header, read_header
from commonweal.models.machine import memory_bytes
from commonweal.models.packaged import DEFAULT_LANGUAGE_MODEL, SMALL_LANGUAGE_MODEL
from commonweal.models.pipeline import (
    LOADING,
    MAX_BATCHED_TOKENS,
    Pipeline,
    cannot_load,
    last_line,
    n_blocks_for,
)
from commonweal.models.prefix_tree import Tokens
from commonweal.models.reasoning import opening_at_the_end, set_apart
from commonweal.models.scoring import Scorer
from commonweal.models.states import StateReader
from commonweal.types import Completion, Message, Prompt, Sampling

if TYPE_CHECKING:
    from commonweal.models.gguf_lora import LoraPair
    from commonweal.types import FloatArray

NAMES = {
    "": DEFAULT_LANGUAGE_MODEL,
    "small": SMALL_LANGUAGE_MODEL,
    "0.5b": "qwen2.5-coder-0.5b-instruct",
}
"""What may follow ``embedded:``, and the weights that it stands for."""

_SMALL_BYTES = 10**9
"""A model whose file is smaller needs worked examples to follow: about a billion parameters."""

_MODEST_BYTES = 2 * 10**9
"""What was measured with a model of 1.5 billion parameters, whose file has 1.1 GB, is done with one
of up to here."""

_SHORTLIST = 2


class EmbeddedModel:
    """A language model on this machine (the protocol ``LanguageModel``).

    The same call (prompts, sampling and seeds) on a model just loaded gives the same completions on
    the same machine. Later calls may round differently where prompts are still in the cache. A
    prompt alone may come out differently from the same prompt and seed in a larger batch, since
    rounding differs with the size of the batch.

    Safe to share between threads: their calls wait for each other. A call that is cancelled or
    over its time ends at the next token; the next call then loads the pipeline anew. So does one
    that needs more room for keys and values than any before.

    Args:
        path: the GGUF file.
        model_id: its name in records.
        weights_hash: the file's sha256, where known; else it is computed when asked for.
        adapter: a folder with a LoRA adapter that PEFT wrote, to compute with.

    Raises:
        InputError: no such file, or the adapter is not plain LoRA for this model.
        EngineError: OpenVINO GenAI cannot load it.
        WeightsError: the cache cannot be written to (the first time, the file is converted).
    """

    def __init__(
        self,
        path: Path,
        *,
        model_id: str,
        weights_hash: str | None = None,
        adapter: Path | None = None,
    ) -> None:
        _check_installed()
        if not path.is_file():
            raise InputError(
                f"no model at {path}; expected a GGUF file, or embedded alone for "
                f"{DEFAULT_LANGUAGE_MODEL}"
            )
        self._path = path
        self._model_id = model_id
        header = _whole_file_header(path)
        self._file_hash = weights_hash or sha256_of(path)
        self._adapter = adapter
        self._folder = (
            converted(path, self._file_hash)
            if adapter is None
            else adapted(path, self._file_hash, adapter)
        )
        self._tokenizer: Any = _load_tokenizer(self._folder)
        self._lock = Lock()
        self._pipeline: Pipeline | None = None
        self._loaded_scorer: Scorer | None = None
        self._loaded_states: tuple[int, Any, StateReader] | None = None
        # OpenVINO's GGUF tokenizer drops the start of a longer text without a word.
        self._n_most_ids = len(self._token_ids(" a" * 2**17))
        self._n_context = min(header.context_length or self._n_most_ids, self._n_most_ids)
        self._n_requests = 0

    @classmethod
    def from_spec(cls, spec: str = "") -> EmbeddedModel:
        """The model that follows ``embedded:``.

        Nothing or ``NAMES``: weights of the store; ``hub:OWNER/REPOSITORY/FILE.gguf``: a file of
        the Hugging Face hub, fetched into the hub's own cache; else the path of a GGUF file.

        Raises:
            InputError: no file at that path.
            WeightsError: the weights have not been pulled, or the hub did not give the file.
            EngineError: the machine has too little memory for them.
            MissingExtraError: the extra ``embedded`` is not installed.
        """
        _check_installed()
        if spec.startswith("hub:"):
            return cls(_from_hub(spec), model_id=f"embedded:{spec}")
        name = NAMES.get(spec, spec)
        if name not in store.WEIGHTS:
            return cls(Path(spec).expanduser(), model_id=f"embedded:{spec}")
        weights = store.known(name)
        if weights.gguf is None:
            raise InputError(f"{name} is {weights.what}; expected a language model")
        small = "" if name == SMALL_LANGUAGE_MODEL else ". Or use --model embedded:small"
        n_memory = memory_bytes()
        if n_memory is not None and n_memory < weights.n_memory_bytes:
            raise EngineError(
                f"{name} takes up to {weights.n_memory_bytes / 1e9:.1f} GB of memory, and this "
                f"machine has {n_memory / 1e9:.1f} GB{small}"
            )
        try:
            path = store.require(name) / weights.gguf
        except WeightsError as error:
            raise WeightsError(f"{error}{small}") from error
        return cls(
            path,
            model_id=f"embedded:{name}",
            weights_hash=store.file_sha256(name, weights.gguf),
        )

    @staticmethod
    def check_spec(spec: str) -> None:
        """Returns where there is such a file; weights of the store may be missing.

        Raises:
            InputError: there is none.
        """
        if spec.startswith("hub:"):
            _hub_parts(spec)
        elif NAMES.get(spec, spec) not in store.WEIGHTS and not Path(spec).expanduser().is_file():
            names = ", ".join(name for name in NAMES if name)
            raise InputError(
                f"no model at {spec}; expected a GGUF file, {names} or hub:OWNER/REPO/FILE.gguf"
            )

    tells_completions = True

    @property
    def kind(self) -> Literal["small", "modest", "instruction_following"]:
        """How it is to be prompted (``commonweal.policies.kinds``)."""
        n_bytes = self._path.stat().st_size
        if n_bytes < _SMALL_BYTES:
            return "small"
        return "modest" if n_bytes < _MODEST_BYTES else "instruction_following"

    @property
    def shortlist(self) -> int | None:
        """Among how many of its candidates a welfare rule should choose; None for all.

        Ours: docs/decisions/042-shortlist.md.
        """
        return _SHORTLIST if self.kind == "modest" else None

    @property
    def model_id(self) -> str:
        """The name in records: "embedded:qwen2.5-coder-1.5b-instruct"."""
        return self._model_id

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing: all that can be asked of it is done as asked."""
        return ()

    @cached_property
    def weights_hash(self) -> str:
        """The sha256 of the GGUF file, in hex; with an adapter, of its hash and the adapter's."""
        if self._adapter is None:
            return self._file_hash
        return adapted_hash(self._file_hash, self._adapter)

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        seeds: Sequence[int],
        n_samples: int = 1,
        sampling: Sampling | None = None,
        on_done: Callable[[int], None] | None = None,
        on_completion: Callable[[int, Completion], None] | None = None,
    ) -> list[list[Completion]]:
        """``n_samples`` completions for each prompt; see ``LanguageModel.generate``.

        ``on_completion`` is called with (number of the completion, the completion) as each ends.

        Raises:
            EngineError: OpenVINO GenAI failed, or a prompt and its answer do not fit the model's
                context.
            InputError: the arguments do not fit together.
        """
        if len(seeds) != len(prompts) or n_samples < 1:
            got = f"{len(prompts)} prompts, {len(seeds)} seeds, n_samples = {n_samples}"
            raise InputError(f"generate: got {got}; expected a seed a prompt and n_samples >= 1")
        sampling = sampling or Sampling()
        tokens = [self._token_ids(self._chat_text(prompt)) for prompt in prompts]
        for index, ids in enumerate(tokens):
            self._check_context(index, len(ids), sampling.max_tokens)
        jobs = [(ids, seeds[i] + j) for i, ids in enumerate(tokens) for j in range(n_samples)]
        requests = [(ids, self._config(sampling, seed)) for ids, seed in jobs]
        done: dict[int, Completion] = {}

        def finished(index: int, output: Any) -> None:
            ids, seed = jobs[index]
            done[index] = self._completion(output, seed, len(ids), sampling)
            if on_completion is not None:
                on_completion(index, done[index])

        with held(self._lock):
            self._run(requests, finished, on_done)
        completions = [done[index] for index in range(len(jobs))]
        return [completions[i : i + n_samples] for i in range(0, len(completions), n_samples)]

    def count_tokens(self, text: str) -> int:
        """The number of tokens in ``text``; beyond 8192 it may be off by a few."""
        n_tokens = len(self._token_ids(text))
        if n_tokens < self._n_most_ids:
            return n_tokens
        middle = text.rfind(" ", 1, len(text) // 2)
        middle = middle if middle > 0 else len(text) // 2
        return self.count_tokens(text[:middle]) + self.count_tokens(text[middle:])

    def log_probabilities(
        self, prompts: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[list[float]]:
        """The log-probability of each token of each continuation; see ``LanguageModel``.

        What prompts and continuations share from their start is computed once for all of them: put
        what is common to many (the question, then the opinion) first.

        Raises:
            EngineError: OpenVINO GenAI failed, or a prompt and its continuation do not fit the
                model's context.
            InputError: the numbers of prompts and continuations differ.
        """
        sequences, n_tokens = self._sequences("log_probabilities", prompts, continuations)
        try:
            return self._scorer.log_probabilities(sequences, n_tokens)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed on {self.model_id}: {last_line(error)}") from error

    def mean_states(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        *,
        layer: int,
        updates: Mapping[str, LoraPair] | None = None,
    ) -> FloatArray:
        """The mean state after a layer over the tokens of each continuation, [n, n_hidden].

        Each is read as the assistant's answer to its prompt. What was loaded for writing is given
        back before, and what was loaded for reading before something is written: the two do not
        stand in memory together.

        Args:
            prompts: what stands before each.
            continuations: as many, none empty.
            layer: from 0.
            updates: what a fine-tune adds to matrices of the layers up to this one, by their names
                in the GGUF file, rows in transformers' order. What was loaded serves again for
                the same mapping.

        Raises:
            EngineError, InputError: as ``log_probabilities``; or a continuation is empty, or the
                model has no such layer or matrix.
        """
        sequences, n_tokens = self._sequences("mean_states", prompts, continuations)
        if 0 in n_tokens:
            raise InputError(f"mean_states: continuation {n_tokens.index(0) + 1} is empty")
        try:
            with held(self._lock):
                return self._state_reader(layer, updates).means(sequences, n_tokens)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed on {self.model_id}: {last_line(error)}") from error

    def _sequences(
        self, what: str, prompts: Sequence[Prompt], continuations: Sequence[str]
    ) -> tuple[list[Tokens], list[int]]:
        """The tokens of each prompt with its continuation, and how many are the continuation's."""
        if len(prompts) != len(continuations):
            got = f"{len(prompts)} prompts, {len(continuations)} continuations"
            raise InputError(f"{what}: got {got}; expected as many of each")
        sequences, n_tokens = [], []
        ids_of: dict[Prompt, tuple[str, list[int]]] = {}
        for index, (prompt, continuation) in enumerate(zip(prompts, continuations, strict=True)):
            if prompt not in ids_of:
                text = self._chat_text(prompt)
                ids_of[prompt] = text, self._token_ids(text)
            before, shared = ids_of[prompt]
            ids, n_shared = self._token_ids(before + continuation), len(shared)
            while ids[:n_shared] != shared[:n_shared]:  # a token may join the two texts
                n_shared -= 1
            self._check_context(index, len(ids), 1)
            n_tokens.append(len(ids) - n_shared)
            sequences.append(tuple(ids))
        return sequences, n_tokens

    def _chat_text(self, prompt: Prompt) -> str:
        messages = [{"role": role, "content": self._as_data(text)} for role, text in prompt]
        try:
            text: str = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True)
        except RuntimeError as error:  # a template is a program, and may say no
            roles = ", ".join(role for role, _ in prompt)
            raise EngineError(
                f"{self.model_id}: the model's chat template refused a prompt with the roles "
                f"{roles}: {last_line(error)}"
            ) from error
        return text

    def _as_data(self, text: str) -> str:
        """``text`` with the template's own marks broken, so that no opinion ends a turn."""
        for mark in self._marks:
            text = text.replace(mark, f"{mark[0]} {mark[1:]}")
        return encodable(text)

    @cached_property
    def _marks(self) -> list[str]:
        """The special tokens, longest first: those that decoding leaves out unless told not to."""
        ids = [[i] for i in self._tokenizer.get_vocab().values()]
        kept = self._tokenizer.decode(ids, skip_special_tokens=False)
        shown = self._tokenizer.decode(ids, skip_special_tokens=True)
        marks = [k for k, s in zip(kept, shown, strict=True) if not s and len(k) > 1]
        return sorted(marks, key=len, reverse=True)

    def _token_ids(self, text: str) -> list[int]:
        ids = self._tokenizer.encode(encodable(text), add_special_tokens=False).input_ids.data
        return [int(i) for i in ids.reshape(-1)]

    def _check_context(self, index: int, n_prompt: int, n_answer: int) -> None:
        if n_prompt + n_answer > self._n_context:
            more = " or more" if n_prompt >= self._n_most_ids else ""
            raise EngineError(
                f"{self.model_id}: prompt {index + 1} has {n_prompt}{more} tokens and its answer "
                f"up to {n_answer}, together more than the context of {self._n_context}. Give "
                "fewer or shorter opinions, or a lower max_tokens"
            )

    def _completion(
        self, output: Any, seed: int, n_prompt_tokens: int, sampling: Sampling
    ) -> Completion:
        # OpenVINO ends at a stop string but cuts whole tokens, now too few, now too many.
        text: str = self._tokenizer.decode(output.generated_ids)
        n_drawn = len(output.generated_ids)
        parted = set_apart(self._opening + text)
        is_reasoning = bool(parted.reasoning) or parted.is_open
        uncut = parted.answer if is_reasoning else text
        cuts = [uncut.index(stop) for stop in sampling.stop if stop and stop in uncut]
        stopped = bool(cuts) or output.finish_reason.name == "STOP"
        finish: Literal["stop", "length"] = "stop" if stopped else "length"
        answer = uncut[: min(cuts)] if cuts else uncut
        if not is_reasoning:
            return Completion(answer, finish, seed, n_prompt_tokens, n_drawn)
        why = f"the model used its {n_drawn:,} tokens for reasoning" if parted.is_open else ""
        return Completion(answer, finish, seed, n_prompt_tokens, n_drawn, parted.reasoning, why)

    @cached_property
    def _reasons(self) -> bool:
        """Whether the model has words of its own for the beginning of reasoning."""
        return bool(self._opening) or any(
            b"think" in token.lower() and set_apart(f"{token.decode(errors='replace')} x").is_open
            for token in self._tokenizer.get_vocab()
        )

    @cached_property
    def _opening(self) -> str:
        """The mark with which the chat template opens reasoning: the text begins within it."""
        return opening_at_the_end(self._chat_text((Message("user", "x"),)))

    def _config(self, sampling: Sampling, seed: int) -> Any:
        import openvino_genai as genai

        config = genai.GenerationConfig()
        config.apply_chat_template = False
        config.max_new_tokens = sampling.max_tokens
        config.rng_seed = seed % 2**32  # what its generator makes of a longer seed
        config.do_sample = sampling.temperature > 0
        if config.do_sample:
            config.temperature = sampling.temperature
            config.top_p = sampling.top_p
        config.frequency_penalty = sampling.frequency_penalty
        # A stop belongs to the answer: it would end a model that thinks aloud at its first line.
        if not self._reasons:
            config.stop_strings = {stop for stop in sampling.stop if stop}
        config.include_stop_str_in_output = True
        return config

    def _pipeline_for(self, n_blocks: int) -> Any:
        """OpenVINO GenAI's pipeline with at least so many blocks for keys and values."""
        if self._pipeline is None or self._pipeline.n_blocks < n_blocks:
            with held(LOADING):
                # Its memory is given back before the next one's is taken.
                self._pipeline = self._loaded_states = None
                self._pipeline = Pipeline(self._folder, n_blocks)
        return self._pipeline.running

    @property
    def _scorer(self) -> Scorer:
        with self._lock:
            if self._loaded_scorer is None:
                with held(LOADING):
                    self._loaded_scorer = Scorer(self._folder)
            return self._loaded_scorer

    def _state_reader(self, layer: int, updates: Mapping[str, LoraPair] | None) -> StateReader:
        loaded = self._loaded_states
        if loaded is not None and loaded[0] == layer and loaded[1] is updates:
            return loaded[2]
        with held(LOADING):
            # Its memory is given back before the next one's is taken.
            self._pipeline = self._loaded_states = loaded = None
            reader = StateReader(self._folder, layer, updates)
            self._loaded_states = layer, updates, reader
        return reader

    def _run(
        self,
        requests: Sequence[tuple[list[int], Any]],
        finished: Callable[[int, Any], None],
        on_done: Callable[[int], None] | None,
    ) -> None:
        """Gives ``finished`` the number and the one output of each (token ids, config)."""
        import numpy as np
        import openvino as ov

        pipeline = self._pipeline_for(
            n_blocks_for((ids, config.max_new_tokens) for ids, config in requests)
        )
        handles: list[Any] = []
        done: set[int] = set()

        def step() -> None:
            check()
            pipeline.step()
            n_before = len(done)
            for index, handle in enumerate(handles):
                if index not in done and handle.get_status().name != "RUNNING":
                    finished(index, self._output(handle))
                    done.add(index)
            if on_done is not None and len(done) > n_before:
                on_done(len(done))

        try:
            for ids, config in requests:
                self._n_requests += 1
                tensor = ov.Tensor(np.array([ids], dtype=np.int64))
                handles.append(pipeline.add_request(self._n_requests, tensor, config))
                for _ in range(-(-len(ids) // MAX_BATCHED_TOKENS)):
                    step()
            while pipeline.has_non_finished_requests():
                step()
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO GenAI failed on {self.model_id}: {last_line(error)}"
            ) from error
        finally:
            # Ctrl-C or an error: nothing is left running in the batch. What a cancelled completion
            # leaves in the cache would change the next ones of its prompt: the next call loads
            # the pipeline anew.
            if len(done) < len(handles) and self._pipeline is not None:
                self._pipeline.n_blocks = 0  # too few for any call
                for handle in handles:
                    handle.cancel()
                while pipeline.has_non_finished_requests():
                    pipeline.step()

    def _output(self, handle: Any) -> Any:
        status = handle.get_status().name
        outputs = handle.read_all()
        if status != "FINISHED" or not outputs:
            raise EngineError(
                f"{self.model_id} ended a completion with status {status}: there may be too "
                "little memory"
            )
        return outputs[0]


def _check_installed() -> None:
    """Before anything is said of weights, which without the engine are of no use."""
    require("embedded", "the embedded engine (the default)", "gguf", "openvino_genai")


def _whole_file_header(path: Path) -> Header:
    """The header of a file that is all there: on one cut short OpenVINO ends the whole process."""
    try:
        header = read_header(path)
    except ValueError as error:
        raise EngineError(
            f"{path} is not a GGUF file: {error}. Expected one, such as those of "
            "huggingface.co/Qwen"
        ) from error
    n_bytes = path.stat().st_size
    if n_bytes < header.n_bytes:
        raise EngineError(
            f"{path} has {n_bytes} bytes, expected {header.n_bytes} from its header: it was cut "
            "short on its way; fetch it again"
        )
    return header


def _hub_parts(spec: str) -> tuple[str, str]:
    """(Repository, file) of "hub:OWNER/REPOSITORY/FILE.gguf"."""
    parts = spec.removeprefix("hub:").split("/", 2)
    if len(parts) < 3 or not all(parts) or not parts[2].endswith(".gguf"):
        raise InputError(
            f"cannot read {spec!r}; expected hub:OWNER/REPOSITORY/FILE.gguf, as in "
            "hub:Qwen/Qwen2.5-7B-Instruct-GGUF/qwen2.5-7b-instruct-q3_k_m.gguf"
        )
    return f"{parts[0]}/{parts[1]}", parts[2]


def _from_hub(spec: str) -> Path:
    from commonweal.models.fetching import fetch_hub_file

    repository, name = _hub_parts(spec)
    return fetch_hub_file(repository, name, None, lambda _: None)


def _load_tokenizer(folder: Path) -> Any:
    import openvino_genai as genai

    try:
        return genai.Tokenizer(str(folder))
    except RuntimeError as error:
        raise cannot_load(folder, error) from error
