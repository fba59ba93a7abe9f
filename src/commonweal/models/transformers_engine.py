"""A chat model in transformers as a LanguageModel: ``hf:PATH`` (extra ``train``).

PATH is a folder that ``save_pretrained`` wrote, a ``.gguf`` file, or an id on the model hub. Torch
and transformers are imported when a model is loaded, not before.

Sampling is done here rather than by ``generate()``, which has one random stream for a whole batch:
here each completion has a stream of its own, so what it says depends on its prompt and its seed,
not on what it was batched with (up to floating-point rounding, which differs with the batch).
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np

from commonweal.calling import check, held
from commonweal.errors import EngineError, InputError
from commonweal.extras import needs
from commonweal.models.chat_text import ChatText
from commonweal.models.reasoning import opening_at_the_end, set_apart
from commonweal.types import Completion, Message, Prompt, Sampling

__all__ = ["TransformersModel"]

WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")
HUB_ID = r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?"


class TransformersModel:
    """A decoder-only chat model that transformers loads.

    The model's own ``generation_config`` gives the end-of-text tokens and nothing else: how
    completions are drawn is wholly in ``Sampling``.

    Safe to share between threads: their calls wait for each other. A call that is cancelled or
    over its time ends at the next token, and leaves nothing behind.

    Args:
        model: a causal language model, in evaluation mode, on its device.
        tokenizer: its tokenizer, with a chat template.
        model_id: the name under which it is recorded.
        path: where its weights lie, for the hash; None where they are not local.
        batch_size: most completions drawn at once.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        model_id: str,
        path: Path | None = None,
        batch_size: int = 16,
    ) -> None:
        if not tokenizer.chat_template:
            raise EngineError(
                f"{model_id}: the tokenizer has no chat template, so this is a base model. Use an "
                "instruction-tuned one, or set tokenizer.chat_template and save it"
            )
        self._torch: Any = importlib.import_module("torch")
        self._model, self._tokenizer, self._model_id = model, tokenizer, model_id
        self._chat = ChatText(tokenizer)
        self._path, self._batch_size = path, batch_size
        self._notes: tuple[str, ...] = ()
        self._lock = Lock()
        ends = getattr(model.generation_config, "eos_token_id", None)
        ends = ends if isinstance(ends, list) else [ends]
        self._ends = {end for end in (*ends, tokenizer.eos_token_id) if end is not None}

    @classmethod
    def from_spec(cls, path: str) -> TransformersModel:
        """Returns the model at ``path``, on the GPU where there is one.

        Raises:
            InputError: nothing is there, or it is not a model's folder or file.
            EngineError: torch or transformers is missing, or they cannot load it.
        """
        path = path.removeprefix("hf:")
        source, options, local = located(path)
        torch, transformers = _libraries()
        has_gpu = torch.cuda.is_available()
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, **options)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                source, dtype="auto" if has_gpu else torch.float32, **options
            )
        except Exception as error:  # transformers passes on whatever its many parts raise
            known = "" if local else " (it is not a folder here, so it was taken for a hub id)"
            reason = " ".join(str(error).split())[:400]
            raise EngineError(
                f"hf:{path}: transformers could not load it{known}: {type(error).__name__}: "
                f"{reason}. Without a network, give the path of a folder or a .gguf file"
            ) from error
        model = model.to("cuda" if has_gpu else "cpu").eval()
        return cls(model, tokenizer, model_id=f"hf:{path}", path=local)

    @staticmethod
    def check_spec(path: str) -> None:
        """Returns where the path is a model's, or may be a name on the hub.

        Raises:
            InputError: it is neither.
        """
        located(path)

    @property
    def model_id(self) -> str:
        """The name ``hf:PATH``."""
        return self._model_id

    @cached_property
    def weights_hash(self) -> str | None:
        """The sha256 of the local weight files, one after the other by name; None for a hub id."""
        if self._path is None:
            return None
        files = [self._path]
        if self._path.is_dir():
            files = sorted(file for kind in WEIGHT_FILES for file in self._path.glob(kind))
        digest = hashlib.sha256()
        for file in files:
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the model's chat template does not take, a sentence each."""
        return self._notes

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

        Sample j of prompt i is drawn with seed ``seeds[i] + j``.

        Raises:
            EngineError: a prompt and its answer do not fit the model's context.
            InputError: the arguments do not fit together.
        """
        if len(seeds) != len(prompts) or n_samples < 1:
            got = f"{len(prompts)} prompts, {len(seeds)} seeds, n_samples = {n_samples}"
            raise InputError(f"generate: got {got}; expected a seed a prompt and n_samples >= 1")
        sampling = sampling or Sampling()
        tokens = [self._prompt_tokens(prompt) for prompt in prompts]
        for i, ids in enumerate(tokens):
            self._check_context(f"prompt {i + 1}", len(ids), sampling.max_tokens)
        rows = [(i, seeds[i] + j) for i in range(len(prompts)) for j in range(n_samples)]
        completions: list[Completion] = []
        for start in range(0, len(rows), self._batch_size):
            batch = rows[start : start + self._batch_size]

            def report(n_done: int, n_before: int = start) -> None:
                if on_done:
                    on_done(n_before + n_done)

            with held(self._lock), self._torch.inference_mode():
                completions += self._draw_batch(
                    [tokens[i] for i, _ in batch], [seed for _, seed in batch], sampling, report
                )
        return [completions[i : i + n_samples] for i in range(0, len(completions), n_samples)]

    def count_tokens(self, text: str) -> int | None:
        """The number of tokens in ``text``, without those that a chat template would add."""
        return len(self._text_tokens(text))

    def log_probabilities(
        self, prompts: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[list[float]]:
        """Returns the natural log-probability of each token of ``continuations[i]`` as the
        assistant's answer to ``prompts[i]``: [n_prompts][n_tokens of that continuation].

        The continuation is tokenized by itself and follows the chat template's opening of the
        assistant's turn. The end of that turn is not scored.

        Raises:
            EngineError: a prompt and its continuation do not fit the model's context.
            InputError: the numbers of prompts and continuations differ.
        """
        if len(prompts) != len(continuations):
            got = f"{len(prompts)} prompts, {len(continuations)} continuations"
            raise InputError(f"log_probabilities: got {got}; expected as many of each")
        return [
            self._score(i, self._prompt_tokens(prompt), self._text_tokens(continuation))
            for i, (prompt, continuation) in enumerate(zip(prompts, continuations, strict=True))
        ]

    def _score(self, index: int, prompt: list[int], continuation: list[int]) -> list[float]:
        if not continuation:
            return []
        self._check_context(f"prompt {index + 1}", len(prompt), len(continuation))
        torch, n = self._torch, len(continuation)
        ids = torch.tensor([prompt + continuation], device=self._model.device)
        check()
        with held(self._lock), torch.inference_mode():
            # The logits at a token are of the next: those before the first, not after the last.
            logits = self._model(input_ids=ids, **self._last_logits(n + 1)).logits[0, -n - 1 : -1]
            scores = logits.float().log_softmax(dim=-1)
            return [float(x) for x in scores[torch.arange(n), ids[0, -n:]]]

    def _draw_batch(
        self,
        prompts: list[list[int]],
        seeds: list[int],
        sampling: Sampling,
        report: Callable[[int], None],
    ) -> list[Completion]:
        """Returns one completion for each row; rows that have ended leave the batch."""
        torch, device = self._torch, self._model.device
        drawn: list[list[int]] = [[] for _ in prompts]
        done: dict[int, Completion] = {}
        streams = [np.random.default_rng(seed % 2**64) for seed in seeds]

        # Each different prompt is read once; its rows then share what was computed.
        unique = list(dict.fromkeys(map(tuple, prompts)))
        ids, mask = self._padded_left(unique)
        places = (mask.cumsum(dim=-1) - 1).clamp(min=0)
        out = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=places,
            use_cache=True,
            **self._last_logits(1),
        )
        copies = torch.tensor([unique.index(tuple(prompt)) for prompt in prompts], device=device)
        cache, logits = out.past_key_values, out.logits[copies, -1]
        cache.batch_select_indices(copies)
        mask, places = mask[copies], places[copies, -1:]
        active = list(range(len(prompts)))  # the rows still in the batch, in its order

        while True:
            check()
            before = [drawn[row] for row in active]
            chosen = self._choose(logits, before, [streams[row] for row in active], sampling)
            for row, token in zip(active, chosen, strict=True):
                drawn[row].append(token)
                completion = self._ended(drawn[row], len(prompts[row]), seeds[row], sampling)
                if completion:
                    done[row] = completion
            kept = [k for k, row in enumerate(active) if row not in done]
            if len(kept) < len(active):
                report(len(done))
            if not kept:
                return [done[row] for row in range(len(prompts))]
            if len(kept) < len(active):
                keep = torch.tensor(kept, device=device)
                cache.batch_select_indices(keep)
                mask, places = mask[keep], places[keep]
                active = [active[k] for k in kept]
            places = places + 1
            mask = torch.cat([mask, mask.new_ones(len(active), 1)], dim=-1)
            logits = self._model(
                input_ids=torch.tensor([[drawn[row][-1]] for row in active], device=device),
                attention_mask=mask,
                position_ids=places,
                past_key_values=cache,
                use_cache=True,
            ).logits[:, -1]

    def _choose(
        self,
        logits: Any,
        drawn: list[list[int]],
        streams: list[np.random.Generator],
        sampling: Sampling,
    ) -> list[int]:
        """Returns the next token of each row; one number is taken from each row's stream."""
        torch = self._torch
        scores = logits.float()
        if sampling.frequency_penalty:
            for row, ids in enumerate(drawn):
                counts = np.bincount(ids, minlength=scores.shape[-1])
                scores[row] -= sampling.frequency_penalty * torch.tensor(counts).to(scores)
        if sampling.temperature == 0:
            return [int(token) for token in scores.argmax(dim=-1)]
        # The inverse of the distribution function: the same draw on any device, and a rounding
        # error moves it only across the edge between two tokens.
        scores = scores.double()
        scores = (scores - scores.amax(dim=-1, keepdim=True)) / sampling.temperature
        masses, order = scores.softmax(dim=-1), None
        if sampling.top_p < 1:  # the nucleus: the tokens with less than top_p before them
            masses, order = masses.sort(dim=-1, descending=True, stable=True)
            masses = masses.where(masses.cumsum(dim=-1) - masses < sampling.top_p, 0.0)
        reached = masses.cumsum(dim=-1)
        draws = torch.tensor([[stream.random()] for stream in streams], dtype=torch.float64)
        target = draws.to(reached.device) * reached[:, -1:]
        last = (reached < reached[:, -1:]).sum(dim=-1, keepdim=True)  # none beyond, by rounding
        places = torch.searchsorted(reached, target, right=True).minimum(last)
        places = places if order is None else order.gather(-1, places)
        return [int(token) for token in places[:, 0]]

    def _ended(
        self, drawn: list[int], n_prompt: int, seed: int, sampling: Sampling
    ) -> Completion | None:
        """Returns the completion if it has ended: by end of text, a stop string, or its length."""
        at_end = drawn[-1] in self._ends
        at_length = len(drawn) >= sampling.max_tokens
        if not (at_end or at_length or sampling.stop):
            return None
        text = self._tokenizer.decode(
            drawn[:-1] if at_end else drawn,
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        parted = set_apart(self._opening + text)
        is_reasoning = bool(parted.reasoning) or parted.is_open
        # A stop belongs to the answer: what the model thinks aloud may have many lines.
        uncut = parted.answer if is_reasoning else text
        cuts = [uncut.find(stop) for stop in sampling.stop if stop and stop in uncut]
        if not (at_end or at_length or cuts):
            return None
        answer = uncut[: min(cuts)] if cuts else uncut
        reason: Literal["stop", "length"] = "stop" if at_end or cuts else "length"
        if not is_reasoning:
            return Completion(answer, reason, seed, n_prompt, len(drawn))
        why = f"the model used its {len(drawn):,} tokens for reasoning" if parted.is_open else ""
        return Completion(answer, reason, seed, n_prompt, len(drawn), parted.reasoning, why)

    def _padded_left(self, rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """Returns token ids and attention mask, both [n_rows, longest row]."""
        torch, longest = self._torch, max(map(len, rows))
        fill = min(self._ends, default=0)
        ids = [[fill] * (longest - len(row)) + list(row) for row in rows]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        device = self._model.device
        return torch.tensor(ids, device=device), torch.tensor(mask, device=device)

    def _last_logits(self, n: int) -> dict[str, int]:
        """The argument that spares the logits of all but the last ``n`` places, where known."""
        return {"logits_to_keep": n} if self._model._supports_logits_to_keep() else {}

    def _text_tokens(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _prompt_tokens(self, prompt: Prompt) -> list[int]:
        """Returns the prompt's tokens, up to and with the opening of the assistant's turn."""
        try:
            text, is_folded = self._chat.filled(prompt)
        except ValueError as error:
            raise EngineError(f"{self._model_id}: {error}") from error
        if is_folded:
            self._notes = (
                f"{self._model_id} takes no system message: the instructions stand before the "
                "first message instead.",
            )
        return self._text_tokens(text)

    @cached_property
    def _opening(self) -> str:
        """The mark with which the template opens reasoning all the same: the text begins there."""
        return opening_at_the_end(self._chat.filled((Message("user", "x"),))[0])

    def _check_context(self, what: str, n_prompt: int, n_answer: int) -> None:
        config = self._model.config.get_text_config()
        limit = getattr(config, "max_position_embeddings", None)
        if limit and n_prompt + n_answer > limit:
            raise EngineError(
                f"{self._model_id}: {what} has {n_prompt} tokens and its answer up to {n_answer}, "
                f"together more than the model's context of {limit}. Give fewer or shorter "
                "opinions, or a lower max_tokens"
            )


def _libraries() -> tuple[Any, Any]:
    """Returns the modules torch and transformers."""
    with needs("train", "the hf: engine"):
        return importlib.import_module("torch"), importlib.import_module("transformers")


def located(path: str) -> tuple[str, dict[str, str], Path | None]:
    """Returns what ``from_pretrained`` takes (source, options), and the local path if it is one."""
    example = "Example: hf:runs/my-model (a folder), hf:model.gguf, or hf:ORGANISATION/NAME"
    place = Path(path).expanduser()
    if place.suffix == ".gguf":
        if not place.is_file():
            raise InputError(f"hf:{path}: there is no such .gguf file. {example}")
        return str(place.parent), {"gguf_file": place.name}, place
    if place.is_dir() and path.strip():
        # PEFT's adapters name their base, which transformers loads with them.
        if not any((place / name).is_file() for name in ("config.json", "adapter_config.json")):
            raise InputError(
                f"hf:{path}: the folder holds no config.json and no adapter_config.json, so no "
                f"model. {example}"
            )
        return str(place), {}, place
    if place.exists() and path.strip():
        raise InputError(f"hf:{path}: this file is neither a folder nor a .gguf file. {example}")
    if not re.fullmatch(HUB_ID, path):
        raise InputError(f"hf:{path}: no such folder, and no name on the hub either. {example}")
    return path, {}, None
