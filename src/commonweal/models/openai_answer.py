"""From a server's JSON to what the model said: one place for all envelopes.

Servers that call themselves compatible differ in where they put the text, the reasoning and the
reason for the end, and in what they leave out. Fields are known by what their names say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from commonweal.models.reasoning import is_opened_before, set_apart

_LENGTH = re.compile(r"length|max|limit|incomplete|truncat", re.IGNORECASE)
_FILTERED = re.compile(r"filter|safety|moderation|blocklist|prohibited", re.IGNORECASE)
_BROKEN_OFF = re.compile(r"abort|error|cancel|timeout|timed.out|fail|insufficient", re.IGNORECASE)
_REASONING = re.compile(
    r"think|thought|summary|analysis|^(?!(?:finish|stop|done)_?reason).*reason", re.IGNORECASE
)


class Reply(NamedTuple):
    """What the model said, taken out of its envelope.

    Attributes:
        answer: the text without its reasoning; not cut at any stop.
        reasoning: what it thought, "" where nothing shows.
        finish_reason: "stop" or "length".
        told: the finish reason in the server's word, "" for none.
        n_prompt_tokens: as the server counts, None where it does not tell.
        n_completion_tokens: likewise.
        n_reasoning_tokens: likewise, of those the reasoning's.
        called: the tool that the model called instead of answering, "" for none.
        is_closed_only: whether a mark ends reasoning that none opens: the prompt opened it.
    """

    answer: str
    reasoning: str
    finish_reason: Literal["stop", "length"]
    told: str
    n_prompt_tokens: int | None
    n_completion_tokens: int | None
    n_reasoning_tokens: int | None
    called: str
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
        told = f" (finish_reason {self.told})" if self.told else ""
        if _FILTERED.search(self.told):
            return f"the server's content filter took the answer out{told}"
        if self.called:
            return f"the model called the tool {self.called!r} instead of answering{told}"
        if self.finish_reason == "length":
            n = f"its {self.n_completion_tokens:,}" if self.n_completion_tokens else "all its"
            return f"the model used {n} tokens for reasoning and none was left for an answer{told}"
        if self.shows_reasoning:
            return f"the model sent reasoning alone and no answer{told}"
        return f"the server sent no text{told}"


def reply_in(body: Any) -> Reply | str:
    """The reply in the JSON of an answer, or what its shape lacks, in words."""
    choice = _choice(body)
    if choice is None:
        return "the answer has no choices[0].message.content"
    message = choice.get("message") or choice.get("delta") or choice
    if not isinstance(message, dict):
        return "the answer has no choices[0].message.content"
    content = message.get("content", message.get("text", message.get("response")))
    if content is not None and not isinstance(content, str | list | dict):
        return "the answer's choices[0].message.content is no text"
    if not (
        {"content", "text", "response", "role", "refusal", "tool_calls"} & set(message)
    ) and not (any(_REASONING.search(name) for name in message)):
        return "the answer has no choices[0].message.content"
    said = [text for kind, text in _parts(content) if kind == "text"]
    thoughts = [text for kind, text in _parts(content) if kind == "reasoning"]
    for name, value in message.items():
        if _REASONING.search(name):
            thoughts += [text for text in _texts(value) if text not in thoughts]
    parted = set_apart("".join(said))
    thoughts += [parted.reasoning] if parted.reasoning else []
    answer = parted.answer if parted.answer.strip() else ""
    if not answer and isinstance(refusal := message.get("refusal"), str):
        answer = refusal.strip()  # OpenAI's own field for it; the policy's parser knows refusals
    told = _finish(choice, body)
    if _FILTERED.search(told):
        answer = ""  # half a text would pass for a whole one
    usage = body.get("usage") if isinstance(body.get("usage"), dict) else body
    details = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or usage
    return Reply(
        answer=_whole(answer),
        reasoning=_whole("\n".join(thoughts)),
        finish_reason="length" if _LENGTH.search(told) else "stop",
        told=told,
        n_prompt_tokens=_count(usage, "prompt_tokens", "input_tokens", "prompt_eval_count"),
        n_completion_tokens=_count(usage, "completion_tokens", "output_tokens", "eval_count"),
        n_reasoning_tokens=_count(details, "reasoning_tokens"),
        called=_called(message),
        is_closed_only=is_opened_before("".join(said)),
    )


def broke_off(reply: Reply) -> bool:
    """Whether the server says that it stopped before the model did."""
    return bool(_BROKEN_OFF.search(reply.told))


def _choice(body: Any) -> dict[str, Any] | None:
    if not isinstance(body, dict):
        return None
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0]
    if isinstance(body.get("message"), dict) or isinstance(body.get("content"), list):
        return body  # Ollama's and Anthropic's own protocols, which some proxies pass on
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
        if _REASONING.search(kind) or content.get("thought") is True:
            yield from (("reasoning", text) for text in _texts(content))
        elif "tool" not in kind:
            inner = content.get("text", content.get("content", content.get("refusal")))
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
        for name in ("finish_reason", "finishReason", "stop_reason", "done_reason"):
            if isinstance(found := place.get(name), str) and found.strip():
                return found.strip()
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
    found = next((usage[n] for n in names if isinstance(usage, dict) and n in usage), None)
    return found if type(found) is int and found >= 0 else None


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()  # no lone surrogates further in
