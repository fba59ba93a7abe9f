"""What goes over the wire to and from an OpenAI-compatible server: pure functions, no requests.

They check the URL, read an answer whatever it holds, and keep the key out of every message.
"""

from __future__ import annotations

import ipaddress
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from commonweal.errors import InputError
from commonweal.models.openai_streams import joined_stream

MAX_MESSAGE_CHARACTERS = 300
EXAMPLE = "Example: openai:http://127.0.0.1:8080/v1#smollm2-135m"

_SAYING = (
    "message", "msg", "detail", "details", "error", "errors", "error_msg", "error_message",
    "status_msg", "title", "description", "reason", "raw", "metadata", "base_resp",
)  # fmt: skip
_NAMING = ("param", "params", "parameter", "parameters", "field", "fields", "loc", "property")
_KINDS = ("code", "type", "status", "status_code")


class Failure(NamedTuple):
    """An attempt that may go better the next time.

    Attributes:
        message: what happened.
        retry_after_seconds: the wait that the server asked for.
        most_attempts: after how many attempts it counts as one for good; 0 for the engine's own
            limit.
        is_loading: whether the server says that its model is not ready yet.
    """

    message: str
    retry_after_seconds: float = 0.0
    most_attempts: int = 0
    is_loading: bool = False


class Answer(NamedTuple):
    """What the server sent; all but ``body`` is short and without the key.

    Attributes:
        status: of HTTP.
        body: its JSON, a stream joined to one answer; None where it is none or cut off.
        message: its message for people.
        error_text: the same after its error's code, type and parameter.
        named: the parameters that the error names in fields of their own.
        location: where a redirect leads.
        retry_after_seconds: the wait that it asks for.
        is_page: whether it is a page for a browser.
        is_error: whether its body is an error, whatever the status says.
        inner_status: the status that the body gives, 0 for none.
    """

    status: int
    body: Any
    message: str
    error_text: str
    named: str
    location: str
    retry_after_seconds: float
    is_page: bool
    is_error: bool
    inner_status: int


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
        problem = "a user name or password must not be in the URL (set the key's variable)"
    elif "?" in base_url:
        got = "a BASE_URL with '?'"
        problem = "it must have no query, which may hold a key; what is not secret goes behind the "
        problem += "model's name, as #MODEL?query.api-version=2024-10-21"
    elif not usable or base_url.endswith("/chat/completions"):
        problem = "BASE_URL needs http(s):// and a host, and ends before /chat/completions"
    elif not model.strip() or "#" in model or not model.isprintable():
        problem = "the model's name is missing, or holds '#' or a control character"
    else:
        return base_url, model.strip()
    raise InputError(f"{got}: {problem}. {EXAMPLE}")


def hint_at_path(base_url: str) -> str:
    """What may be wrong with the URL's path, in words; "" where nothing shows."""
    parts = [part for part in urlsplit(base_url).path.split("/") if part]
    versions = [part for part in parts if re.fullmatch(r"v\d\w*", part)]
    if len(versions) > 1 and len(set(versions)) < len(versions):
        return f"The URL has /{versions[-1]} twice: give it once"
    if not versions:
        return f"The URL has no /v1, where most servers answer: try openai:{base_url}/v1#MODEL"
    return ""


def is_loopback(url: str) -> bool:
    """Returns whether the URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def unpacked(content: bytes, encoding: str, *, most_bytes: int) -> bytes | None:
    """The content without gzip or deflate, at most one byte more than ``most_bytes``.

    None where it is packed in another way or damaged. We ask for none of it; some proxies pack all
    the same.
    """
    encoding = encoding.strip().casefold()
    if content[:2] != b"\x1f\x8b" and encoding in ("", "identity"):
        return content
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        return None
    for bits in (32 + zlib.MAX_WBITS, -zlib.MAX_WBITS):  # with a header of either kind, and bare
        unpacker = zlib.decompressobj(bits)
        try:
            body = unpacker.decompress(content, most_bytes + 1)
        except zlib.error:
            continue
        return body if unpacker.eof or len(body) > most_bytes else None
    return None


def read(answer: httpx.Response, content: bytes, secrets: Sequence[str]) -> Answer:
    """Returns the answer with its JSON (None where it is none) and its message taken out."""
    body = _parsed(content, answer.charset_encoding)
    if isinstance(body, list) and body and isinstance(body[0], dict):
        body = body[0]  # an error in a list of one
    text = content[:4000].decode("utf-8", "replace")
    is_page = text.lstrip("\ufeff \r\n\t")[:1] == "<"
    sayings = list(dict.fromkeys(filter(None, map(str.strip, _strings(body, _SAYING)))))
    said = "; ".join(each for each in sayings if each) or _visible(text)
    message = cleaned(said, secrets) or "(no message)"
    named = " ".join(_strings(body, _NAMING))
    kinds = " ".join(str(each) for each in _values(body, _KINDS))
    return Answer(
        status=answer.status_code,
        body=body,
        message=message,
        error_text=f"{cleaned(f'{kinds} {named}', secrets)} {message}",
        named=cleaned(named, secrets),
        location=cleaned(answer.headers.get("location", "elsewhere"), secrets),
        retry_after_seconds=_wait(answer.headers, body, said),  # uncut: it comes last in a long one
        is_page=is_page,
        is_error=_is_error(body),
        inner_status=next(
            (n for n in map(_as_status, _values(body, _KINDS)) if n), 0
        ),
    )  # fmt: skip


def _parsed(content: bytes, charset: str | None) -> Any:
    """The JSON in the content, a stream joined; in the charset that was told, or near UTF-8."""
    try:
        parsed = json.loads(content)
    except UnicodeDecodeError:
        try:
            content = content.decode(charset or "utf-8", "replace").encode()
        except LookupError:
            content = content.decode("utf-8", "replace").encode()
        return _parsed(content, None)
    except (ValueError, RecursionError):
        return joined_stream(content)
    if isinstance(parsed, str) and parsed.lstrip()[:1] == "{":  # JSON within a text
        return _parsed(parsed.encode("utf-8", "replace"), None)
    return parsed


def _is_error(body: Any) -> bool:
    if not isinstance(body, dict) or body.get("choices"):
        return False
    kind = str(body.get("type") or body.get("object") or "")
    return bool(body.get("error") or body.get("errors") or kind == "error" or "detail" in body)


def _as_status(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{3}", value):
        value = int(value)
    return value if type(value) is int and 400 <= value < 600 else 0


def _strings(node: Any, names: Sequence[str], depth: int = 6) -> Iterator[str]:
    """All texts under these names, and under those in them."""
    for value in _values(node, names, depth):
        if isinstance(value, list):
            yield from (str(each) for each in value if isinstance(each, str | int))
        elif isinstance(value, str):
            yield value


def _values(node: Any, names: Sequence[str], depth: int = 6) -> Iterator[Any]:
    if depth == 0:
        return
    if isinstance(node, list):
        for each in node[:20]:
            yield from _values(each, names, depth - 1)
    elif isinstance(node, dict):
        for name in sorted(node, key=lambda n: names.index(n) if n in names else len(names)):
            if name in names and node[name] is not None:
                yield node[name]
            if name in _SAYING:  # choices, usage and their like hold no message
                yield from _values(node[name], names, depth - 1)


def _visible(text: str) -> str:
    """The text, of a page its title or what it shows."""
    if "<html" not in text[:1000].casefold() and "<!doctype" not in text[:1000].casefold():
        return text
    if title := re.search(r"<title[^>]*>(.*?)</title>", text, re.DOTALL | re.IGNORECASE):
        return f"a page titled {title[1].strip()!r}"
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    return f"a page: {re.sub(r'<[^>]*>', ' ', text)}"


def cleaned(text: str, secrets: Sequence[str]) -> str:
    """Returns ``text`` on one printable line of bounded length, without any part of a secret."""
    line = "".join(c if c.isprintable() else " " for c in text[: 10 * MAX_MESSAGE_CHARACTERS])
    parts: set[str] = set()
    for secret in secrets:
        size = min(len(secret), 8)  # servers also echo a key in part
        parts |= {secret[i : i + size] for i in range(len(secret) - size + 1)} - {""}
    words = ["[key]" if any(part in word for part in parts) else word for word in line.split()]
    line = " ".join(words)
    return line if len(line) <= MAX_MESSAGE_CHARACTERS else line[:MAX_MESSAGE_CHARACTERS] + "..."


def _wait(headers: httpx.Headers, body: Any, said: str) -> float:
    """The wait that headers, body or words ask for, in seconds."""
    waits = [retry_after_seconds(headers.get("retry-after", ""))]
    waits.append(retry_after_seconds(headers.get("retry-after-ms", "")) / 1000)
    estimate = body.get("estimated_time") if isinstance(body, dict) else None
    if isinstance(estimate, int | float) and 0 < estimate < 1e6:
        waits.append(float(estimate))
    waits.append(told_wait_seconds(said))
    return max(waits)


_AGAIN_IN = re.compile(
    r"(?:again|retry|wait)\D{0,24}?((?:\d+(?:\.\d+)?\s*(?:ms|d(?:ays?)?|h(?:ours?|rs?)?"
    r"|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?)(?![a-z])\s*)+)",
    re.IGNORECASE,
)
_SECONDS = {"ms": 0.001, "d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def told_wait_seconds(message: str) -> float:
    """The wait that a message asks for in words ("try again in 7h12m"), in seconds."""
    match = _AGAIN_IN.search(message)
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|[dhms])", match[1].lower()) if match else []
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


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
