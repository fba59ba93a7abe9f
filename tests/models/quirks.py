"""Servers and models as users meet them: each quirk with its right result.

A *quirk* answers every request in its own way. ``SAID`` is what the model means to say.
"""

from __future__ import annotations

import gzip
import json
from typing import Any, NamedTuple

from faulty_server import Exchange, Fault, answer_body, error, says

SAID = "We want buses that run on time."
THOUGHT = "Okay, they differ.\nMost want cheaper buses, so I will begin with that."


class Right(NamedTuple):
    """The right result of a quirk: the text, or parts of the error; parts of the notes."""

    text: str | None
    says: tuple[str, ...] = ()
    n_most: int = 99


def message(more: dict[str, Any], reason: str | None = "stop", **top: Any) -> Fault:
    body = {"choices": [{"index": 0, "message": more, "finish_reason": reason}], **top}
    return says(json.dumps(body).encode())


def unless(is_bad: Any, bad: Fault, good: Fault | None = None) -> Fault:
    """``bad`` for requests of which ``is_bad`` (given the body) is true."""

    def quirk(exchange: Exchange) -> None:
        (bad if is_bad(exchange.body) else good or says(answer_body(SAID)))(exchange)

    return quirk


def refuses(name: str, words: str, status: int = 400, **fields: Any) -> Fault:
    return unless(lambda body: name in body, error(status, words, **fields))


def raw_refusal(name: str, content: object, status: int = 400) -> Fault:
    return unless(lambda body: name in body, says(json.dumps(content).encode(), status))


def has_system(body: dict[str, Any]) -> bool:
    return bool(body["messages"][0]["role"] == "system")


def budget(body: dict[str, Any]) -> int:
    return int(body.get("max_tokens") or body.get("max_completion_tokens") or 10**6)


def thinks_long(tokens: int, how: str) -> Fault:
    """Reasons for so many tokens before it answers, and shows it in one of the ways."""
    cut = {
        "field": message({"content": None, "reasoning_content": THOUGHT}, "length"),
        "tags": message({"content": f"<think>{THOUGHT}"}, "length"),
        "hidden": message({"content": ""}, "length", usage={"completion_tokens": 160}),
    }
    cut |= dict.fromkeys(("unmarked", "unmarked for ever"), message({"content": THOUGHT}, "length"))
    whole = {
        "field": message({"content": SAID, "reasoning_content": THOUGHT}),
        "tags": message({"content": f"<think>{THOUGHT}</think>{SAID}"}),
        "hidden": message({"content": SAID}),
        "unmarked": message({"content": f"{THOUGHT}\n</think>\n\n{SAID}"}),
        "unmarked for ever": message({"content": THOUGHT}, "length"),
    }
    return unless(lambda body: budget(body) < tokens, cut[how], whole[how])


def sse(*chunks: dict[str, Any], end: str = "data: [DONE]\n\n") -> bytes:
    lines = [": keep-alive\n\n", *(f"data: {json.dumps(each)}\n\n" for each in chunks), end]
    return "".join(lines).encode()


def piece(text: str | None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text, **more}, "finish_reason": reason}]}


def packed(content: bytes) -> Fault:
    return says(gzip.compress(content), Content_Encoding="gzip")


PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]},
    {"type": "text", "text": SAID[:10]},
    {"type": "output_text", "text": SAID[10:]},
]
DETAILS = [{"type": "reasoning.text", "text": THOUGHT}]
OK = Right(SAID)

QUIRKS: dict[str, tuple[Fault, Right]] = {
    # reasoning: tests/models/test_reasoning.py has the notations
    "reasoning_content": (message({"content": SAID, "reasoning_content": THOUGHT}), OK),
    "reasoning": (message({"content": SAID, "reasoning": THOUGHT}), OK),
    "thinking": (message({"content": SAID, "thinking": THOUGHT}), OK),
    "reasoning_details": (message({"content": SAID, "reasoning_details": DETAILS}), OK),
    "parts": (message({"content": PARTS}), OK),
    "field for 300 tokens": (thinks_long(300, "field"), OK),
    "tags for 300 tokens": (thinks_long(300, "tags"), OK),
    "hidden for 300 tokens": (thinks_long(300, "hidden"), OK),
    "unmarked for 300 tokens": (thinks_long(300, "unmarked"), OK),
    "unmarked for 9000 tokens": (thinks_long(9000, "unmarked"), OK),
    "unmarked for ever": (
        thinks_long(300, "unmarked for ever"),
        Right("", ("tokens for reasoning", "finish_reason length"), 4),
    ),
    "short answers closed, long ones not": (
        unless(
            lambda b: "one word yes" not in b["messages"][-1]["content"],
            message({"content": THOUGHT}, "length"),
            message({"content": f"{THOUGHT}</think>yes"}),
        ),
        Right("", ("tokens for reasoning",), 4),
    ),
    "never ends, and does not reason": (
        unless(
            lambda b: "one word yes" not in b["messages"][-1]["content"],
            message({"content": f"{SAID}\n\nQuestion: what else?"}, "length"),
            message({"content": "Yes.\nQuestion: what else?"}, "length"),
        ),
        OK,
    ),
    "field for 9000 tokens": (thinks_long(9000, "field"), OK),
    "a copy of the reasoning before": (
        message({"content": f"{THOUGHT}\n\n{SAID}", "reasoning_content": THOUGHT}), OK,
    ),
    "parts that cut a mark": (
        message({"content": [{"type": "text", "text": each} for each in
                             ("<thi", f"nk>{THOUGHT}</thin", "k>", SAID)]}), OK,
    ),
    "parts of parts": (
        message({"content": {"parts": [{"text": THOUGHT, "thought": True}, {"text": SAID}]}}), OK,
    ),
    # leading in
    "blank line": (message({"content": f"\n\n{SAID}"}), OK),
    "preamble": (message({"content": f"Here is one statement:\n\n{SAID}\n\nMore?"}), OK),
    # refused parameters
    "no seed": (refuses("seed", "Unknown name “seed”"), OK),
    "no top_p": (refuses("top_p", "`temperature` and `top_p`: pick one"), OK),
    "no temperature": (refuses("temperature", "Invalid", param="temperature"), OK),
    "no max_tokens": (refuses("max_tokens", "Use max_completion_tokens, not 'max_tokens'"), OK),
    "neither limit": (
        unless(lambda b: budget(b) < 10**6, error(422, "maxTokens is not a field")), OK,
    ),
    "no stream": (refuses("stream", "unexpected field stream", 405), OK),
    "in French": (refuses("seed", "Le paramètre « seed » n'est pas pris en charge."), OK),
    "in Chinese": (refuses("top_p", "不支持参数top_p"), OK),
    "in camel case": (refuses("top_p", "topP cannot be set"), OK),
    "in a 500": (refuses("seed", "got an unexpected keyword argument 'seed'", 500), OK),
    "in a 200": (refuses("seed", "unsupported: seed", 200), OK),
    "in a list": (
        raw_refusal("seed", {"detail": [{"loc": ["body", "seed"], "msg": "Extra"}]}, 422), OK,
    ),
    "in a field alone": (raw_refusal("seed", {"error": {"message": "no", "param": "seed"}}), OK),
    "in a list of errors": (raw_refusal("seed", [{"error": {"message": "seed?"}}]), OK),
    "no system message": (unless(has_system, error(400, "System role not supported")), OK),
    "roles must alternate": (
        unless(has_system, error(500, "Conversation roles must alternate user/assistant")), OK,
    ),
    "by another word": (refuses("top_p", "Nucleus sampling is not available for this model"), OK),
    "in Spanish": (refuses("temperature", "La temperatura no está permitida"), OK),
    "without a name": (refuses("seed", "unrecognized request argument"), OK),
    "two without a name": (
        unless(lambda b: "seed" in b or "frequency_penalty" in b, error(400, "no")), OK,
    ),
    "as a key": (
        raw_refusal("seed", {"title": "Invalid", "status": 400, "errors": {"$.seed": ["?"]}}), OK,
    ),
    "as a target": (
        raw_refusal("seed", {"error": {"message": "Bad", "innererror": {"target": "seed"}}}), OK,
    ),
    "a system message, by what may be": (
        unless(has_system, error(400, "Only user and assistant messages are allowed")), OK,
    ),
    "a system message, by the first": (
        unless(has_system, error(422, "The first message must be from the user")), OK,
    ),
    # envelopes
    "no finish_reason": (message({"content": SAID}, None), OK),
    "empty finish_reason": (message({"content": SAID}, ""), OK),
    "unknown finish_reason": (message({"content": SAID}, "done_for_today"), OK),
    "events": (
        says(sse(piece("We want buses "), piece("that run on time."), piece(None, "stop"))), OK,
    ),
    "events that think": (
        says(sse(piece(None, reasoning_content=THOUGHT), piece(SAID), piece("", "stop"))), OK,
    ),
    "events with the whole": (
        says(sse({"choices": [{"message": {"content": SAID}, "finish_reason": "stop"}]})), OK,
    ),
    "lines": (
        says(b'{"message": {"content": "We want buses "}, "done": false}\n'
             b'{"message": {"content": "that run on time."}, "done": true}\n'), OK,
    ),
    "events with line ends of other kinds in a text": (
        says("".join(f"data: {json.dumps(each, ensure_ascii=False)}\r\n\r\n" for each in
                     (piece("We want\u2028buses\x85"), piece("that\u2029run."), piece("", "stop"))
                     ).encode()), Right("We want\u2028buses\x85that\u2029run."),
    ),
    "lines with line ends of other kinds in a text": (
        says('{"message": {"content": "We want\u2028"}}\n{"message": {"content": "buses."},'
             ' "done": true}\n'.encode()), Right("We want\u2028buses."),
    ),
    "blank lines before": (says(b"\n" * 30 + answer_body(SAID)), OK),
    "a byte order mark": (says(b"\xef\xbb\xbf" + answer_body(SAID)), OK),
    "gzip": (packed(answer_body(SAID)), OK),
    "comments before": (says(b": PROCESSING\n\n: PROCESSING\n\n" + answer_body(SAID)), OK),
    "a gateway's own": (
        says(json.dumps({"success": True, "errors": [], "result": {"response": SAID}}).encode()),
        OK,
    ),
    "in data": (says(b'{"code": 0, "data": ' + answer_body(SAID) + b"}"), OK),
    "JSON in a text": (says(json.dumps(answer_body(SAID).decode()).encode()), OK),
    "a message that is text": (
        says(json.dumps({"choices": [{"message": SAID, "finish_reason": "stop"}]}).encode()), OK,
    ),
    "candidates": (
        says(json.dumps({"candidates": [{"content": {"parts": [
            {"text": THOUGHT, "thought": True}, {"text": SAID}]}, "finishReason": "STOP"}]})
            .encode()), OK,
    ),
    "output": (
        says(json.dumps({"output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": THOUGHT}}}, {"text": SAID}]}},
            "stopReason": "end_turn"}).encode()), OK,
    ),
    "the end of a stream behind it": (says(answer_body(SAID) + b"\n\ndata: [DONE]\n\n"), OK),
    "events of blocks": (
        says(sse({"type": "message_start", "message": {"content": []}},
                 {"type": "content_block_delta", "delta": {"type": "thinking_delta",
                  "thinking": THOUGHT}},
                 {"type": "content_block_delta", "delta": {"type": "text_delta",
                  "text": "We want buses "}},
                 {"type": "content_block_delta", "delta": {"type": "text_delta",
                  "text": "that run on time."}},
                 {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, end="")), OK,
    ),
    "events of responses": (
        says(sse({"type": "response.output_text.delta", "delta": SAID[:9]},
                 {"type": "response.completed", "response": {"status": "completed", "output": [
                     {"type": "message", "content": [{"type": "output_text", "text": SAID}]}]}},
                 end="")), OK,
    ),
    "a letter of another charset": (
        says('{"choices": [{"message": {"content": "Wir möchten Busse."}}]}'.encode("latin-1"),
             Content_Type="application/json; charset=iso-8859-1"), Right("Wir möchten Busse."),
    ),
    "a protocol of its own": (
        says(json.dumps({"message": {"content": SAID, "thinking": THOUGHT}}).encode()),
        OK,
    ),
    "a finish reason with parts": (
        says(json.dumps({"choices": [{"message": {"content": SAID},
             "finish_reason": {"type": "stop", "matched": 2}}]}).encode()), OK,
    ),
    "one temperature only": (
        unless(lambda b: b.get("temperature", 1) != 1,
               error(400, "invalid temperature: only 1 is allowed for this model")), OK,
    ),
    "filtered": (
        message({"content": "We want"}, "content_filter"), Right("", ("content filter took",), 1),
    ),
    "no usage": (message({"content": SAID}, usage=None), OK),
    "no message": (says(b'{"choices": [{"text": "We agree."}]}'), Right("We agree.")),
    # empty, and why
    "a tool": (
        message({"content": None, "tool_calls": [{"function": {"name": "search"}}]}, "tool_calls"),
        Right("", ("called the tool 'search'",)),
    ),
    "reasoning for ever": (
        message({"content": "", "reasoning": THOUGHT}, "length", usage={"completion_tokens": 99}),
        Right("", ("used its 99 tokens for reasoning", "finish_reason length"), 3),
    ),
    "reasoning alone": (
        message({"content": None, "reasoning_content": THOUGHT}),
        Right("", ("sent reasoning alone",), 1),
    ),
    # errors
    "a page": (
        says(b"<!doctype html><title>Sign in</title>"),
        Right(None, ("a page titled 'Sign in'",), 1),
    ),
    "no choices": (says(b'{"choices": []}'), Right(None, ("choices are empty",), 1)),
    "an error in a 200": (
        says(b'{"error": "Unexpected endpoint"}'), Right(None, ("Unexpected endpoint",), 1),
    ),
    "too busy, in a 200": (
        says(b'{"error": {"message": "no room", "code": 429}}'), Right(None, ("no room",), 2),
    ),
    "no credit": (
        error(429, "You have no credit", code="insufficient_quota"),
        Right(None, ("no credit or quota",), 1),
    ),
    "to pay": (error(402, "fewer max_tokens, please"), Right(None, ("fewer max_tokens",), 1)),
    "hours to wait": (
        error(429, "Rate limit reached. Please try again in 7h12m."),
        Right(None, ("come back in 432 min",), 1),
    ),
    "a model that cannot be loaded": (
        error(500, "llama runner process has terminated: error loading model: out of memory"),
        Right(None, ("error loading model",), 1),
    ),
    "a model that does not fit": (
        error(500, "model requires more system memory (5.6 GiB) than is available (3.1 GiB)"),
        Right(None, ("requires more system memory",), 1),
    ),
    "no such model, in a 500": (
        error(500, "model 'm' not found, try pulling it first"),
        Right(None, ("not found",), 1),
    ),
    "cut, and said": (
        message({"content": SAID}, truncated=True),
        Right(None, ("the server cut the prompt. It says so itself",), 1),
    ),
    "too long, in a 500": (
        error(500, "input length 5000 exceeds context window 4096"),
        Right(None, ("do not fit",), 1),
    ),
    "too long, in Chinese": (
        error(400, "输入长度超过模型最大长度 2048"), Right(None, ("do not fit",), 1),
    ),
    "what it does not like": (error(400, "no"), Right(None, ("HTTP 400, no",), 2)),
    "half a stream": (says(sse(piece("We want"), end="")), Right(None, ("cut off",), 5)),
}  # fmt: skip
