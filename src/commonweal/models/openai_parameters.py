"""What is asked of a server beside the prompt, and what is left out once the server refuses it.

Nobody lists the ways in which servers say no. A refusal counts as one when it names, in any words
or in a field of its own, something optional that was sent.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from commonweal.models.openai_wire import Answer
from commonweal.models.system_role import fold_system
from commonweal.types import Message, Prompt, Sampling

N_SEEDS = 2**31  # llama.cpp keeps 32 bits of a seed, and some servers take -1 for "random"

TOO_LONG = re.compile(
    r"context.?(length|size|window)|maximum context|(prompt|input) is too long|num_ctx|n_ctx"
    r"|max(imum)?.?(model|seq|input|prompt).?(len|length|tokens)|too many (input |prompt )?tokens"
    r"|kontext|contexte|contexto|上下文|最大长度|长度超|コンテキスト",
    re.IGNORECASE,
)

WITHOUT = {
    "temperature": "it is left out, so the server's own temperature holds",
    "top_p": "it is left out, so the server's own top_p holds",
    "frequency_penalty": "it is left out, so completions may repeat themselves more",
    "seed": "it is left out, so the same seed will not bring the same text again",
    "stop": "it is left out; completions are cut here instead",
    "max_tokens": "it is left out, so an answer ends where the server ends it",
    "stream": "it is left out; a stream that comes is read",
    "response_format": "it is left out; JSON is asked for in words and checked here",
}

_NAMES = {
    "temperature": r"temperature",
    "top_p": r"top[\s_.-]?p",
    "frequency_penalty": r"frequency[\s_.-]?penalty|penalties",
    "seed": r"(?:random[\s_.-]?)?seed",
    "stop": r"stop(?:[\s_.-]?(?:sequences?|strings?|words?|tokens?))?",
    "max_tokens": r"max[\s_.-]?(?:completion|output|new)?[\s_.-]?tokens?",
    "max_completion_tokens": r"max[\s_.-]?(?:completion|output|new)?[\s_.-]?tokens?",
    "stream": r"stream(?:ing)?",
    "response_format": r"response[\s_.-]?format|json[\s_.-]?schema|structured[\s_.-]?outputs?",
}
# Beside letters of another script a word has no edge that \b would see.
_PATTERNS = {
    name: re.compile(rf"(?<![A-Za-z0-9_])(?:{names})(?![A-Za-z0-9_])", re.IGNORECASE)
    for name, names in _NAMES.items()
}
_LIMITS = ("max_tokens", "max_completion_tokens")
_RANGE = re.compile(
    r"less than|at most|(?:no|not) more than|exceed|maximum|too (?:large|high|big|many)|<=|≤"
    r"|\brange\b|\bbetween\b|\bup to\b",
    re.IGNORECASE,
)
"""With these words a server takes a limit on tokens, and not one as high."""
_NUMBER = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\w,])|(?<![\w.,])\d{1,9}(?!\w)")
_LEAST_TOKENS = 256
"""No server finds so few too many: what it says then is about something else."""
_QUOTED = r"['\"`‘“«]{}['\"`’”»]"
_SYSTEM = re.compile(r"system|developer|系统|システム", re.IGNORECASE)
_ROLE = re.compile(r"\brol|\brôle|role|角色|ロール|template|jinja|alternat", re.IGNORECASE)

NO_REFUSALS = (401, 402, 407, 408, 425, 429)
"""Statuses whose messages name parameters for other reasons: a key, credit, limits a minute."""

SEARCHED = (
    "system", "temperature", "top_p", "stop", "seed", "frequency_penalty", "response_format",
)  # fmt: skip
"""What is looked for where a refusal names nothing that we know, the most wanted first. Not the
limit on tokens: without it an answer may not end."""

Try = Callable[[dict[str, Any]], Awaitable[bool]]
"""Sends a body, and says whether a completion came."""


class Parameters:
    """What this server takes, as learnt from its refusals; the same for all requests of a run.

    Args:
        owner: whose notes these are.
        extra: what the user adds to the body; never left out.
    """

    def __init__(self, owner: str, extra: Mapping[str, Any]) -> None:
        self._owner, self._extra = owner, extra
        self._notes: dict[str, str] = {}
        self._limit = "max_tokens"  # the name under which the limit is sent; "" for none
        self._most_tokens: int | None = None  # of that limit, where the server takes no more
        self._asks_for_stream = False
        self._folds_system = False
        self._proven: set[str] = set()  # what a request held that was answered
        self._in_vain: set[frozenset[str]] = set()

    @property
    def notes(self) -> tuple[str, ...]:
        """What is sent otherwise than asked for, a sentence each."""
        return tuple(self._notes.values())

    def payload(
        self,
        model: str,
        prompt: Prompt,
        seed: int,
        sampling: Sampling,
        *,
        n_reasoning_tokens: int,
        sends_stops: bool,
        json_schema: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """The body of one request."""
        asked: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed % N_SEEDS,
            "stream": self._asks_for_stream,
        }
        if self._limit:
            n_tokens = sampling.max_tokens + n_reasoning_tokens
            asked = {self._limit: min(n_tokens, self._most_tokens or n_tokens), **asked}
        if sampling.frequency_penalty:
            asked["frequency_penalty"] = sampling.frequency_penalty
        # The end of a line is cut here: at the server it would end the reasoning, or the blank line
        # before the answer. A model that reasons gets no stop at all.
        stops = [stop for stop in sampling.stop if stop.strip()]
        if stops and sends_stops:
            asked["stop"] = stops
        if json_schema is not None:
            asked["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": dict(json_schema)},
            }
        kept = {name: value for name, value in asked.items() if name not in self._notes}
        kept.update({self._limit: asked[self._limit]} if self._limit else {})
        if self._asks_for_stream:
            kept["stream"] = True
        messages = [{"role": role, "content": text} for role, text in self._folded(prompt)]
        return _merged({"model": model, "messages": messages, **kept}, self._extra)

    def left_out_by(self, answer: Answer, payload: Mapping[str, Any]) -> bool:
        """Whether the answer refuses something optional that was sent: it is left out from now on.

        ``answer.status`` may be any that says no; the caller has seen to those that pass.
        """
        if TOO_LONG.search(answer.error_text):
            return False
        names = self._named(answer, payload)
        folds = self._refuses_system(answer, payload)
        if folds and ("message" in answer.named or not names):
            self._fold()
            return True
        if not names:
            return False
        if names[0] in _LIMITS and self._lowers(answer, payload[names[0]]):
            return True
        self._leave_out(names[0], payload)
        return True

    def _lowers(self, answer: Answer, n_sent: int) -> bool:
        """Whether the refusal is of so many tokens alone: fewer are asked for from now on.

        As many as it tells, where it tells a number below what was sent, else half as many.
        """
        if n_sent <= _LEAST_TOKENS or not _RANGE.search(answer.error_text):
            return False
        told = (int(number.replace(",", "")) for number in _NUMBER.findall(answer.message))
        most = max((n for n in told if _LEAST_TOKENS <= n < n_sent), default=n_sent // 2)
        self._most_tokens = min(most, self._most_tokens or most)
        self._notes["most tokens"] = (
            f"{self._owner} takes at most {self._most_tokens:,} tokens for reasoning and answer: "
            "no more are asked for."
        )
        return True

    def proven(self, payload: Mapping[str, Any]) -> None:
        """Learns that the server takes what this request held."""
        self._proven.update(self._optional(payload))

    async def search(self, payload: Mapping[str, Any], is_taken: Try) -> bool:
        """Whether the next request is another one, after a refusal in words that we do not know.

        The same is sent once without anything optional that the server has not taken before. Where
        that is refused too, the refusal is about something else. Otherwise one thing after another
        is sent again, and what is refused then is left out from now on.
        """
        sent = self._optional(payload)
        if any(name in self._notes for name in sent):
            return True  # another request has seen to it meanwhile
        doubtful = [name for name in sent if name not in self._proven]
        if not doubtful or frozenset(doubtful) in self._in_vain:
            return False
        if not await is_taken(_without(payload, doubtful)):
            self._in_vain.add(frozenset(doubtful))
            return False
        refused: list[str] = []
        for at, name in enumerate(doubtful, start=1):
            if await is_taken(_without(payload, [*refused, *doubtful[at:]])):
                self._proven.add(name)
                continue
            refused.append(name)
            if name == "system":
                self._fold()
            else:
                self._leave_out(name, payload)
        return True

    def _optional(self, payload: Mapping[str, Any]) -> list[str]:
        """The names of what the request held that may be left out."""
        has_system = payload["messages"][0]["role"] == "system"
        sent = {*payload, *(["system"] if has_system else [])} - {*self._extra}
        return [name for name in SEARCHED if name in sent]

    def _fold(self) -> None:
        self._folds_system = True
        self._notes["system"] = (
            f"{self._owner} takes no system message: the instructions stand before the first "
            "message instead."
        )

    def _leave_out(self, name: str, payload: Mapping[str, Any]) -> None:
        if name in _LIMITS:
            if name == self._limit:  # otherwise another request has seen to it
                self._limit = "max_completion_tokens" if name == "max_tokens" else ""
            did = (
                "'max_completion_tokens' is sent instead" if self._limit else WITHOUT["max_tokens"]
            )
            self._notes["max_tokens"] = f"{self._owner} does not take 'max_tokens': {did}."
            return
        if name == "stream" and payload["stream"] is False:
            self._asks_for_stream = True
            did = "a stream is asked for and joined"
        else:
            self._asks_for_stream = self._asks_for_stream and name != "stream"
            did = WITHOUT[name]
        self._notes[name] = f"{self._owner} does not take {name!r}: {did}."

    def _named(self, answer: Answer, payload: Mapping[str, Any]) -> list[str]:
        """Optional things that the refusal names and the request held, the likeliest first."""
        sent = [n for n in _PATTERNS if n in payload and n not in self._extra]
        in_field = [n for n in sent if _PATTERNS[n].search(answer.named)]
        if in_field:
            return in_field
        places: list[tuple[bool, int, str]] = []
        for name in sent:
            pattern = _PATTERNS[name].pattern
            quoted = re.search(
                _QUOTED.format(f"(?:[\\w.]*\\.)?(?:{pattern})"), answer.message, re.I
            )
            at = quoted or _PATTERNS[name].search(answer.error_text)
            if at and not (answer.status >= 500 and not quoted):
                places.append((not quoted, at.start(), name))
        places.sort()
        names = [name for _, _, name in places]
        if set(names) == {"temperature", "top_p"} and places[0][0] == places[1][0]:
            return ["top_p", "temperature"]  # one of the two: the temperature matters more
        return names

    def _refuses_system(self, answer: Answer, payload: Mapping[str, Any]) -> bool:
        if payload["messages"][0]["role"] != "system":
            return False
        about_role = bool(_ROLE.search(answer.error_text))
        return (
            about_role
            if answer.status >= 500
            else about_role or bool(_SYSTEM.search(answer.error_text))
        )

    def _folded(self, prompt: Prompt) -> list[tuple[str, str]]:
        if not self._folds_system:
            return [(role, text) for role, text in prompt]
        return fold_system(prompt)


def _without(payload: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The request without these, the system message in the first of the user's."""
    kept = {name: value for name, value in payload.items() if name not in names}
    if "system" in names:
        prompt = tuple(Message(each["role"], each["content"]) for each in payload["messages"])
        folded = fold_system(prompt)
        kept["messages"] = [{"role": role, "content": text} for role, text in folded]
    return kept


def names_limit(answer: Answer, payload: Mapping[str, Any]) -> bool:
    """Whether the refusal names the limit on tokens that the request held."""
    return any(name in payload and _PATTERNS[name].search(answer.error_text) for name in _LIMITS)


def _merged(base: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``extra`` in it, table by table; a null takes out what we would send."""
    for name, value in extra.items():
        if value is None:
            base.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(base.get(name), dict):
            base[name] = _merged(dict(base[name]), value)
        else:
            base[name] = value
    return base
