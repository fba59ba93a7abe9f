"""Answers as JSON of a given form, from any engine: asked for, checked, and asked for again.

A server that can is held to the form by its own means (``response_format``); with one that cannot,
and with other engines, the words of the prompt must ask for JSON. Either way what comes is checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ValidationError

from commonweal.errors import EngineError
from commonweal.models.empties import why_all_empty
from commonweal.types import Completion, LanguageModel, Message, Prompt, Sampling

MAX_ATTEMPTS = 3
"""How often one answer is asked for before it counts as unread."""

T = TypeVar("T", bound=BaseModel)


@runtime_checkable
class TakesSchema(Protocol):
    """A language model that may hold its answers to a JSON schema."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        seeds: Sequence[int],
        sampling: Sampling | None = None,
        json_schema: Mapping[str, Any] | None = None,
    ) -> list[list[Completion]]:
        """As ``LanguageModel.generate``."""
        ...

    @property
    def takes_json_schema(self) -> bool:
        """Always true: by this it is told from other language models."""
        ...


@dataclass(frozen=True, slots=True)
class Unread:
    """An answer that was not of the form in any attempt: its text, and what is wrong with it."""

    text: str
    why: str


def generate_structured(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    form: type[T],
    *,
    seeds: Sequence[int],
    sampling: Sampling | None = None,
    max_attempts: int = MAX_ATTEMPTS,
) -> list[T | Unread]:
    """One answer of the form for each prompt, or what came instead.

    Args:
        model: any engine.
        prompts: each must ask for JSON in its own words.
        form: what an answer must be.
        seeds: one a prompt; attempt k draws with another seed made from it.
        sampling: without stops.
        max_attempts: how often one answer is asked for, each time with what was wrong before.

    Raises:
        EngineError: the model failed, or every first answer was empty.
    """
    outcomes: dict[int, T | Unread] = {}
    asked = dict(enumerate(prompts))
    for attempt in range(max_attempts):
        completions = _ask(
            model,
            list(asked.values()),
            form,
            [(seeds[i] + 1_000_003 * attempt) % 2**63 for i in asked],
            sampling,
        )
        if attempt == 0 and (why := why_all_empty(completions)):
            raise EngineError(f"{model.model_id}: {why}")
        again: dict[int, Prompt] = {}
        for i, completion in zip(asked, completions, strict=True):
            read = read_json(completion.text, form)
            outcomes[i] = read
            if isinstance(read, Unread):
                again[i] = _once_more(prompts[i], read)
        asked = again
        if not asked:
            break
    return [outcomes[i] for i in range(len(prompts))]


def read_json(text: str, form: type[T]) -> T | Unread:
    """The first JSON object in a text that has the form, whatever stands around it.

    Example:
        >>> class Rating(BaseModel):
        ...     rating: int
        >>> read_json('Here it is: {"rating": 6}. Fine?', Rating)
        Rating(rating=6)
    """
    why = "it holds no JSON object"
    for value in _objects(text):
        try:
            return form.model_validate_json(json.dumps(value))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the object"
            why = f"{where}: {first['msg']}"
    return Unread(text, why)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder, at = json.JSONDecoder(), 0
    while (match := re.compile(r"\{").search(text, at)) is not None:
        try:
            value, at = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            at = match.end()
            continue
        if isinstance(value, dict):
            yield value


def _ask(
    model: LanguageModel,
    prompts: list[Prompt],
    form: type[BaseModel],
    seeds: list[int],
    sampling: Sampling | None,
) -> list[Completion]:
    if isinstance(model, TakesSchema):
        schema = form.model_json_schema()
        answers = model.generate(prompts, seeds=seeds, sampling=sampling, json_schema=schema)
    else:
        answers = model.generate(prompts, seeds=seeds, sampling=sampling)
    return [answer[0] for answer in answers]


def _once_more(prompt: Prompt, unread: Unread) -> Prompt:
    refused = [Message("assistant", unread.text)] if unread.text.strip() else []
    ask = f"That cannot be read ({unread.why}). Answer with the JSON object alone."
    if not refused:  # two messages of the user in a row are refused by some templates
        return (*prompt[:-1], Message("user", f"{prompt[-1].content}\n\n{ask}"))
    return (*prompt, *refused, Message("user", ask))
