"""What goes over the wire to and from an OpenAI-compatible server: pure functions, no requests.

They check the URL, read an answer whatever it holds, and keep the key out of every message.
"""

from __future__ import annotations

import ipaddress
import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import httpx

from commonweal.errors import InputError
from commonweal.types import Completion

MAX_MESSAGE_CHARACTERS = 300

FINISH_REASONS: dict[str | None, Literal["stop", "length"]] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", None), "stop"),
    "content_filter": "stop",  # the text is taken as given: the policy's parser judges it
    "length": "length",
    "max_tokens": "length",
}


class Failure(NamedTuple):
    """An attempt that may go better the next time; with the wait that the server asked for."""

    message: str
    retry_after_seconds: float = 0.0


class Answer(NamedTuple):
    """What the server sent; all but ``body`` is short and without the key."""

    status: int
    body: Any
    said: str  # its message for people
    told: str  # the same after its error's code, type and parameter
    location: str
    retry_after_seconds: float


def checked(base_url: str, model: str) -> tuple[str, str]:
    """Returns base URL and model as they are used, once nothing is wrong with them."""
    shown = re.sub(r"^(\w+://)?.*@", r"\1***@", f"{base_url}#{model}", flags=re.DOTALL)
    got = f"{shown[:200]!r} is not BASE_URL#MODEL"
    base_url = base_url.strip().rstrip("/")
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(httpx.URL(base_url).host)
        usable = usable and parts.port != 0 and base_url.isprintable() and " " not in base_url
    except (ValueError, httpx.InvalidURL):
        usable = False
    if "@" in base_url:
        problem = "a user name or password must not stand in the URL (set the key's variable)"
    elif "?" in base_url:
        got, problem = "a BASE_URL with '?'", "it must have no query (which may hold a key)"
    elif not usable or base_url.endswith("/chat/completions"):
        problem = "BASE_URL needs http(s):// and a host, and ends before /chat/completions"
    elif not model.strip() or "#" in model or not model.isprintable():
        problem = "the model's name is missing, or holds '#' or a control character"
    else:
        return base_url, model.strip()
    raise InputError(f"{got}: {problem}. Example: openai:http://127.0.0.1:8080/v1#smollm2-135m")


def is_loopback(url: str) -> bool:
    """Returns whether the URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read(answer: httpx.Response, content: bytes, key: str) -> Answer:
    """Returns the answer with its JSON (None where it is none) and its message taken out."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    error = body.get("error", body) if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {"message": error}
    text = content[:4000].decode("utf-8", "replace")
    said = cleaned(str(error.get("message") or error.get("detail") or text), key) or "(no message)"
    names = cleaned(" ".join(str(error.get(name)) for name in ("code", "type", "param")), key)
    location = cleaned(answer.headers.get("location", "elsewhere"), key)
    wait = retry_after_seconds(answer.headers.get("retry-after", ""))
    return Answer(answer.status_code, body, said, f"{names} {said}", location, wait)


def completion_in(answer: Answer, seed: int, key: str) -> Completion | Failure:
    """Returns the completion in a 200 answer, or what is wrong with its JSON or its shape."""
    match answer.body:
        case {"choices": [{"message": {"content": str() | None as text} as message} as choice, *_]}:
            reason = choice.get("finish_reason")
        case None:
            return Failure(f"the answer is not JSON, or cut off: {answer.said}")
        case _:
            return Failure(f"the answer has no choices[0].message.content: {answer.said}")
    if not isinstance(reason, str | None) or reason not in FINISH_REASONS:
        return Failure(f"the server broke off, finish_reason {cleaned(str(reason), key)!r}")
    if text is None and isinstance(message.get("refusal"), str):
        text = message["refusal"]  # OpenAI's own field for it; the policy's parser knows refusals
    usage = answer.body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    n_prompt, n_completion = (n if type(n) is int and n >= 0 else None for n in counts)
    text = (text or "").encode("utf-8", "replace").decode()  # no lone surrogates further in
    return Completion(text, FINISH_REASONS[reason], seed, n_prompt, n_completion)


def cleaned(text: str, key: str) -> str:
    """Returns ``text`` on one printable line of bounded length, without any part of the key."""
    line = "".join(c if c.isprintable() else " " for c in text[: 10 * MAX_MESSAGE_CHARACTERS])
    size = min(len(key), 8)  # servers also echo a key in part
    parts = {key[i : i + size] for i in range(len(key) - size + 1)} - {""}
    words = ["[key]" if any(part in word for part in parts) else word for word in line.split()]
    line = " ".join(words)
    return line if len(line) <= MAX_MESSAGE_CHARACTERS else line[:MAX_MESSAGE_CHARACTERS] + "..."


def retry_after_seconds(header: str) -> float:
    """Returns the wait that a Retry-After header asks for, in seconds or as a date; else 0."""
    if re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]+)?\s*", header):
        return float(header)
    try:
        date = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return 0.0
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
