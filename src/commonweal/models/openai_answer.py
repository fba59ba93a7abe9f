"""From a server's JSON to what the model said: one place for all envelopes.

Servers that call themselves compatible differ in where they put the text, the reasoning and the
reason for the end, and in what they leave out. Fields are known by what their names say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from commonweal.models.reasoning import is_opened_before, set_apart

_LENGTH = re.compile(r"length|max|limit|incomplete|truncat|exceed", re.IGNORECASE)
_FILTERED = re.compile(
    r"filter|safety|moderation|blocklist|prohibited|refus|guardrail|sensitive|recitation|spii",
    re.IGNORECASE,
)
_BROKEN_OFF = re.compile(r"abort|error|cancel|timeout|timed.out|fail|insufficient", re.IGNORECASE)
_REASONING = re.compile(
    r"think|thought|summary|analysis|^(?!(?:finish|stop|done)_?reason).*reason", re.IGNORECASE
)
_THOUGHT_PART = re.compile(r"reasoning(?:_?content|_?text)?$|thinking$", re.IGNORECASE)
_HOLDING = ("text", "content", "parts", "refusal")
_WRAPPERS = ("result", "data", "response", "output", "body", "completion", "candidates")
_CUT = ("truncated", "prompt_truncated", "input_truncated", "is_truncated")
_USAGE = ("usage", "usageMetadata")
_PROMPT_TOKENS = (
    "prompt_tokens", "input_tokens", "promptTokens", "inputTokens", "promptTokenCount",
    "prompt_eval_count",
)  # fmt: skip
_COMPLETION_TOKENS = (
    "completion_tokens", "output_tokens", "completionTokens", "outputTokens",
    "candidatesTokenCount", "eval_count",
)  # fmt: skip


class Reply(NamedTuple):
    """What the model said, taken out of its envelope.

    Attributes:
        answer: the text without its reasoning; not cut at any stop.
        reasoning: what it thought, "" where nothing shows.
        finish_reason: "stop" or "length".
        server_reason: the finish reason in the server's word, "" for none.
        n_prompt_tokens: as the server counts, None where it does not tell.
        n_completion_tokens: likewise.
        n_reasoning_tokens: likewise, of those the reasoning's.
        called: the tool that the model called instead of answering, "" for none.
        says_cut: whether the server says itself that it cut the prompt.
        is_closed_only: whether a mark ends reasoning that none opens: the prompt opened it.
    """

    answer: str
    reasoning: str
    finish_reason: Literal["stop", "length"]
    server_reason: str
    n_prompt_tokens: int | None
    n_completion_tokens: int | None
    n_reasoning_tokens: int | None
    called: str
    says_cut: bool
    is_closed_only: bool

    @property
    def shows_reasoning(self) -> bool:
        """Whether the model thinks before it answers, as far as this reply tells."""
        return bool(self.reasoning.strip() or self.n_reasoning_tokens)

    @property
    def why_empty(self) -> str:
        """Why there is no answer, in words; "" where there is one."""
        if self.answer:
            return ""
        reason = f" (finish_reason {self.server_reason})" if self.server_reason else ""
        if _FILTERED.search(self.server_reason):
            return f"the server's content filter took the answer out{reason}"
        if self.called:
            return f"the model called the tool {self.called!r} instead of answering{reason}"
        if self.finish_reason == "length":
            n = f"its {self.n_completion_tokens:,}" if self.n_completion_tokens else "all its"
            return (
                f"the model used {n} tokens for reasoning and none was left for an answer{reason}"
            )
        if self.shows_reasoning:
            return f"the model sent reasoning alone and no answer{reason}"
        return f"the server sent no text{reason}"


def reply_in(body: Any) -> Reply | str:
    """The reply in the JSON of an answer, or what its shape lacks, in words."""
    body, choice = _unwrapped(body)
    if choice is None:
        return "the answer has no choices[0].message.content"
    message = choice.get("message") or choice.get("delta") or choice
    message = {"content": message} if isinstance(message, str) else message
    if not isinstance(message, dict):
        return "the answer has no choices[0].message.content"
    content = message.get("content", message.get("text", message.get("response")))
    if content is not None and not isinstance(content, str | list | dict):
        return "the answer's choices[0].message.content is not a text"
    if not (
        {"content", "text", "response", "role", "refusal", "tool_calls"} & set(message)
    ) and not (any(_REASONING.search(name) for name in message)):
        return "the answer has no choices[0].message.content"
    texts = [text for kind, text in _parts(content) if kind == "text"]
    thoughts = [text for kind, text in _parts(content) if kind == "reasoning"]
    for name, value in message.items():
        if _REASONING.search(name):
            thoughts += [text for text in _texts(value) if text not in thoughts]
    parted = set_apart(_without_copy("".join(texts), thoughts))
    thoughts += [parted.reasoning] if parted.reasoning else []
    answer = parted.answer if parted.answer.strip() else ""
    if not answer and isinstance(refusal := message.get("refusal"), str):
        answer = refusal.strip()  # OpenAI's own field for it; the policy's parser knows refusals
    reason = _finish(choice, body)
    if _FILTERED.search(reason):
        answer = ""  # half a text would pass for a whole one
    usage = next((body[n] for n in _USAGE if isinstance(body.get(n), dict)), body)
    details = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or usage
    return Reply(
        answer=_whole(answer),
        reasoning=_whole("\n".join(thoughts)),
        finish_reason="length" if _LENGTH.search(reason) else "stop",
        server_reason=reason,
        n_prompt_tokens=_count(usage, *_PROMPT_TOKENS),
        n_completion_tokens=_count(usage, *_COMPLETION_TOKENS),
        n_reasoning_tokens=_count(details, "reasoning_tokens"),
        called=_called(message),
        says_cut=any(place.get(name) is True for place in (body, choice) for name in _CUT),
        is_closed_only=is_opened_before("".join(texts)),
    )


def _without_copy(text: str, thoughts: list[str]) -> str:
    """What was said without the reasoning, where the content repeats the reasoning's own field."""
    thought = "\n".join(thoughts).strip()
    rest = text.lstrip().removeprefix(thought) if thought else text
    return text if rest == text.lstrip() or not rest.strip() else rest.strip()


def broke_off(reply: Reply) -> bool:
    """Whether the server says that it stopped before the model did."""
    return bool(_BROKEN_OFF.search(reply.server_reason))


def _unwrapped(body: Any, depth: int = 3) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The object that holds the choice, and the choice: gateways put a model's own answer into
    an envelope of theirs.
    """
    if not isinstance(body, dict):
        return {}, None
    if (choice := _choice(body)) is not None or depth == 0:
        return body, choice
    for name in _WRAPPERS:
        inner = body.get(name)
        inner = inner[0] if isinstance(inner, list) and inner else inner
        inner_body, choice = _unwrapped(inner, depth - 1)
        if choice is not None:
            return {**body, **inner_body}, choice
    return body, None


def _choice(body: dict[str, Any]) -> dict[str, Any] | None:
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0]
    # Protocols of other services, which some proxies pass on.
    if isinstance(body.get("message"), dict) or isinstance(body.get("content"), list | dict):
        return body
    if isinstance(body.get("response"), str):
        return body
    if isinstance(output := body.get("output"), list):
        messages = [each for each in output if isinstance(each, dict)]
        content = [each for each in messages if each.get("type") == "message"]
        thoughts = [each for each in messages if each.get("type") == "reasoning"]
        if content:
            return {"message": {"content": content[0].get("content"), "reasoning": thoughts},
                    "finish_reason": body.get("status")}  # fmt: skip
    return None


def _parts(content: Any) -> Iterator[tuple[Literal["text", "reasoning"], str]]:
    """The texts of a message's content and what each is."""
    if isinstance(content, str):
        yield "text", content
    elif isinstance(content, list):
        for part in content:
            yield from _parts(part)
    elif isinstance(content, dict):
        kind = str(content.get("type", "text"))
        is_thought = content.get("thought") is True or any(map(_THOUGHT_PART.match, content))
        if _REASONING.search(kind) or is_thought:
            yield from (("reasoning", text) for text in _texts(content))
        elif "tool" not in kind:
            inner = next((content[n] for n in _HOLDING if content.get(n) is not None), None)
            yield from _parts(inner.get("value") if isinstance(inner, dict) else inner)


def _texts(value: Any) -> Iterator[str]:
    """All texts for people in a value, whatever its shape."""
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name in ("text", "content") or _REASONING.search(name):
                yield from _texts(each)


def _finish(choice: dict[str, Any], body: dict[str, Any]) -> str:
    for place in (choice, body):
        for name in ("finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason"):
            if isinstance(value := place.get(name), str) and value.strip():
                return value.strip()
    return ""


def _called(message: dict[str, Any]) -> str:
    calls = message.get("tool_calls")
    call = calls[0] if isinstance(calls, list) and calls else message.get("function_call")
    if not isinstance(call, dict):
        return ""
    inner = call.get("function")
    name = inner.get("name") if isinstance(inner, dict) else call.get("name")
    return str(name or "?")


def _count(usage: Any, *names: str) -> int | None:
    count = next((usage[n] for n in names if isinstance(usage, dict) and n in usage), None)
    return count if type(count) is int and count >= 0 else None


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()  # no lone surrogates further in
