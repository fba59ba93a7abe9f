"""What a user adds to the requests that go to a server, written behind the model's name.

``openai:BASE_URL#MODEL?timeout_seconds=900&body.enable_thinking=false&header.api-key=$MY_KEY``.
The same works in a TOML file (``options=FILE.toml``), and for every server in the environment.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from commonweal.errors import InputError
from commonweal.files import read_text
from commonweal.reading.toml import load_toml

VARIABLE = "COMMONWEAL_OPENAI_OPTIONS"
"""Options for every server: ``name=value&...`` or the path of a TOML file. A spec goes first."""

MAX_FILE_BYTES = 100_000

_LIMITS = {
    "timeout_seconds": "the longest wait for one whole answer",
    "loading_seconds": "the longest wait for a server that loads its model",
    "reasoning_tokens": "tokens for reasoning, beside those for the answer",
    "concurrency": "most requests at once",
    "max_attempts": "most tries for one completion",
}
_TABLES = {"body": "body", "query": "query", "header": "headers"}
_OURS = ("model", "messages")
_SECRET = re.compile(
    r"auth|cookie|secret|password|signature|\bsig\b|credential|(?:^|[-_])(?:key|token)$|^code$",
    re.I,
)
_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_EXPECTED = (
    f"expected {', '.join(_LIMITS)}, body.NAME, query.NAME, header.NAME or options=FILE.toml "
    "(docs/servers.md)"
)
_EXAMPLE = "Example: timeout_seconds=900&body.enable_thinking=false"


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What is added to the requests; everything that is None or empty stays as it is by default.

    Attributes:
        timeout_seconds: the longest wait for one whole answer.
        loading_seconds: the longest wait for a server that loads its model.
        reasoning_tokens: tokens for reasoning beside those for the answer.
        concurrency: most requests at once.
        max_attempts: most tries for one completion.
        body: fields of the JSON, tables merged; null takes out what we would send.
        query: of the URL. Values may name environment variables ($NAME).
        headers: likewise.
    """

    timeout_seconds: float | None = None
    loading_seconds: float | None = None
    reasoning_tokens: int | None = None
    concurrency: int | None = None
    max_attempts: int | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def over(self, other: ServerOptions) -> ServerOptions:
        """These options, and of the other those that these do not set."""
        limits: dict[str, Any] = {
            name: ours if (ours := getattr(self, name)) is not None else getattr(other, name)
            for name in _LIMITS
        }
        return ServerOptions(
            **limits,
            body=_deep(other.body, self.body),
            query={**other.query, **self.query},
            headers={**other.headers, **self.headers},
        )

    def suffix(self) -> str:
        """What of them may change a text, as it stands behind a model's name; "" for nothing."""
        parts = [f"body.{name}={_as_text(value)}" for name, value in _flat(self.body)]
        parts += [f"query.{name}={quote(value, safe='$')}" for name, value in self.query.items()]
        if self.reasoning_tokens is not None:
            parts.append(f"reasoning_tokens={self.reasoning_tokens}")
        return "?" + "&".join(sorted(parts)) if parts else ""

    def filled(self, values: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
        """The values with environment variables filled in, and what was filled in.

        Raises:
            InputError: a variable is not set, or holds what cannot be sent.
        """
        secrets: list[str] = []

        def fill(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            value = os.environ.get(name, "").strip()
            if not value or not all(" " <= character <= "~" for character in value):
                problem = "is not set" if not value else "holds a non-ASCII or control character"
                raise InputError(
                    f"the environment variable {name}, which the server's options name, {problem}"
                )
            secrets.append(value)
            return value

        return {name: _REFERENCE.sub(fill, value) for name, value in values.items()}, secrets


def read_options(text: str, *, where: str) -> ServerOptions:
    """The options that stand behind a model's name: ``name=value&name=value``.

    Raises:
        InputError: one is unknown, has a value of another kind, or would put a secret into the
            name under which the model is recorded.
    """
    options = ServerOptions()
    for part in filter(None, text.split("&")):
        name, equals, value = part.partition("=")
        name, value = unquote(name.strip()), unquote(value.strip())
        if not equals:
            raise InputError(f"{where}: {name!r} has no value; {_EXPECTED}. {_EXAMPLE}")
        if name == "options":
            options = options.over(_read_file(Path(value), where))
            continue
        head, dot, rest = name.partition(".")
        table: dict[str, Any] = {}
        if dot and head in _TABLES and rest:
            table = {head: _nested(rest, _value(value)) if head == "body" else {rest: value}}
        elif name in _LIMITS:
            table = {name: _value(value)}
        else:
            raise InputError(f"{where}: unknown option {name!r}; {_EXPECTED}. {_EXAMPLE}")
        options = _options(table, where).over(options)
    return options


def options_from_environment() -> ServerOptions:
    """What ``COMMONWEAL_OPENAI_OPTIONS`` sets for every server.

    Raises:
        InputError: as ``read_options``.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if text.endswith(".toml") and "=" not in text:
        return _read_file(Path(text), VARIABLE)
    return read_options(text, where=VARIABLE)


def _deep(before: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(before)
    for name, value in new.items():
        old = both.get(name)
        both[name] = (
            _deep(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return both


def _read_file(path: Path, where: str) -> ServerOptions:
    text = read_text(
        path.expanduser(), expected="options of a server as .toml", max_bytes=MAX_FILE_BYTES
    )
    return _options(load_toml(path, text), f"{path} (named in {where})")


def _options(table: Mapping[str, Any], where: str) -> ServerOptions:
    options: dict[str, Any] = {}
    for name, value in table.items():
        if name in _LIMITS:
            options[name] = _limit(name, value, where)
        elif name in _TABLES or name in _TABLES.values():
            kind = _TABLES.get(name, name)
            if not isinstance(value, Mapping):
                raise InputError(
                    f"{where}: {name} is {value!r}, expected a table of names and values"
                )
            options[kind] = _body(value, where) if kind == "body" else _plain(value, kind, where)
        else:
            raise InputError(f"{where}: unknown option {name!r}; {_EXPECTED}")
    return ServerOptions(**options)


def _limit(name: str, value: object, where: str) -> float | int:
    is_whole = name in ("reasoning_tokens", "concurrency", "max_attempts")
    least = 0 if name in ("reasoning_tokens", "loading_seconds") else 1 if is_whole else 0.001
    kind = int if is_whole else int | float
    if isinstance(value, bool) or not isinstance(value, kind) or not least <= value < 1e9:
        expected = f"a {'whole ' if is_whole else ''}number, at least {least:g}"
        raise InputError(f"{where}: {name} ({_LIMITS[name]}) is {value!r}, expected {expected}")
    return value


def _body(value: Mapping[str, Any], where: str) -> dict[str, Any]:
    for name, each in value.items():
        if name in _OURS:
            raise InputError(f"{where}: body.{name} is commonweal's own to write; leave it out")
        try:
            json.dumps(each, allow_nan=False)
        except (TypeError, ValueError):  # a date of TOML, nan
            raise InputError(
                f"{where}: body.{name} is {each!r}, which JSON cannot hold; expected texts in "
                "quotation marks, finite numbers, true, false, lists or tables"
            ) from None
    for path in _names(value):
        if _SECRET.search(path[-1]):
            raise InputError(
                f"{where}: body.{'.'.join(path)} may hold a secret; send it as a header from $NAME"
            )
    return dict(value)


def _names(value: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every name in a JSON value, whatever holds it."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield (*before, str(name))
            yield from _names(each, (*before, str(name)))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _names(each, (*before, str(number)))


def _plain(value: Mapping[str, Any], kind: str, where: str) -> dict[str, str]:
    plain = {}
    for name, each in value.items():
        if (
            isinstance(each, Mapping | list)
            or not str(each).isascii()
            or not str(each).isprintable()
        ):
            raise InputError(f"{where}: {kind}.{name} is {each!r}, expected plain ASCII text")
        if kind == "headers" and not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise InputError(f"{where}: {name!r} is not a valid header name")
        text = str(each).lower() if isinstance(each, bool) else str(each)
        if _SECRET.search(name) and not _REFERENCE.search(text):
            raise InputError(
                f"{where}: {kind}.{name} may hold a secret, which must not stand in a command or a "
                f"file; set an environment variable and write $NAME, as {kind}.{name}=$MY_KEY"
            )
        plain[name] = text
    return plain


def _value(text: str) -> Any:
    """The value as JSON where it is some, else as it stands."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _nested(name: str, value: Any) -> dict[str, Any]:
    head, dot, rest = name.partition(".")
    return {head: _nested(rest, value) if dot and rest else value}


def _flat(body: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in body.items():
        if isinstance(value, Mapping) and value:
            flat += _flat(value, f"{before}{name}.")
        else:
            flat.append((before + name, value))
    return flat


def _as_text(value: Any) -> str:
    text = value if isinstance(value, str) and _value(value) == value else json.dumps(value)
    return quote(text, safe="[]{}:,\" '/")
