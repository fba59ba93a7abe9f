"""A stream that comes although none was asked for, joined to one chat completion."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

# Of events and of lines of JSON. A text in JSON may hold the other ends that ``splitlines`` knows.
_LINE_END = re.compile(r"\r\n|\n|\r")


def joined_stream(content: bytes) -> dict[str, Any] | None:
    """The answer that server-sent events or lines of JSON bring piece by piece.

    None where the content is neither, or where the stream ends before the answer does: half a
    statement would pass for a whole one.
    """
    text = content.decode("utf-8-sig", "replace").lstrip()
    if text.startswith(":"):  # comments that keep the line open; a whole answer may follow
        lines = _LINE_END.split(text)
        try:
            body = json.loads("\n".join(line for line in lines if not line.startswith(":")))
        except (ValueError, RecursionError):
            body = None
        if isinstance(body, dict):
            return body
    if (body := _before_done(text)) is not None:
        return body
    is_events = text.startswith(("data:", ":", "event:", "id:", "retry:"))
    pieces: list[dict[str, Any]] = []
    is_ended = False
    for line in _payloads(text) if is_events else _LINE_END.split(text):
        if not line.strip():
            continue
        if line.strip() == "[DONE]":
            is_ended = True
            break
        try:
            piece = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(piece, dict):
            return None
        pieces.append(piece)
    if not pieces or (len(pieces) == 1 and not is_events):
        return None
    if error := next((each for each in pieces if each.get("error")), None):
        return error
    return _joined(pieces, is_ended=is_ended)


def _before_done(text: str) -> dict[str, Any] | None:
    """A whole answer that only the end of a stream follows."""
    if text[:1] != "{":
        return None
    try:
        body, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    is_done = re.fullmatch(r"\s*(?:data:\s*)?\[DONE\]\s*", text[end:])
    return body if is_done and isinstance(body, dict) else None


def _payloads(text: str) -> Iterator[str]:
    """The data of each event; an event's lines of data are one text."""
    data: list[str] = []
    for line in [*_LINE_END.split(text), ""]:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []


def _joined(pieces: list[dict[str, Any]], *, is_ended: bool) -> dict[str, Any] | None:
    message: dict[str, Any] = {}
    usage: Any = None
    reason: Any = None
    for piece in pieces:
        usage = piece.get("usage") or usage
        kind = str(piece.get("type") or "")
        if kind == "message_start":
            continue
        if kind in ("response.completed", "response.incomplete"):
            return piece["response"] if isinstance(piece.get("response"), dict) else None
        choices = piece.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else piece
        if not isinstance(choice, dict) or choice.get("index") not in (0, None):
            continue
        part = choice.get("delta") or choice.get("message") or {}
        for name, value in part.items() if isinstance(part, dict) else ():
            if name not in ("type", "stop_reason"):
                message[name] = _added(message.get(name), value)
        if isinstance(part, dict):
            reason = part.get("stop_reason") or reason
        if isinstance(text := choice.get("text") or choice.get("response"), str):
            message["content"] = _added(message.get("content"), text)
        reason = choice.get("finish_reason") or choice.get("done_reason") or reason
        is_ended = is_ended or piece.get("done") is True or reason is not None
        is_ended = is_ended or kind == "message_stop"
    if not is_ended or not message:
        return None
    return {"choices": [{"message": message, "finish_reason": reason}], "usage": usage}


def _added(before: Any, value: Any) -> Any:
    if isinstance(before, str) and isinstance(value, str):
        if len(before) > 8 and value.startswith(before):
            return value  # each piece holds all that came before it
        return before + value
    if isinstance(before, list) and isinstance(value, list):
        return before + value
    return value if value is not None else before
