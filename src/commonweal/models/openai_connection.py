"""The way to one server: its URL, the key, what goes with each request, and the answer's bytes."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import httpx

from commonweal.errors import EngineError, InputError
from commonweal.models.openai_options import ServerOptions
from commonweal.models.openai_turns import turn
from commonweal.models.openai_wire import Answer, Failure, cleaned, is_loopback, read, unpacked
from commonweal.types import Sampling

KEY_VARIABLES = ("COMMONWEAL_OPENAI_API_KEY", "OPENAI_API_KEY")
"""Where the key is read from. The first that is set counts; set to nothing, no key is sent."""

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Whose certificates are believed, where not those that httpx brings."""

MAX_ANSWER_BYTES = 8_000_000
FIRST_CONTACT_ATTEMPTS = 2
"""Tries to reach a server that never answered: mostly it is not there."""


@cache
def _tls(file: str | None, folder: str | None) -> ssl.SSLContext:
    """What certificates are checked with. Reading the authorities takes longer than most requests
    to prepare, so it is done once.
    """
    return httpx.create_ssl_context(trust_env=bool(file or folder))


class RequestSettings(NamedTuple):
    """What all requests of one call share."""

    sampling: Sampling
    key: str
    headers: dict[str, str]
    query: dict[str, str]
    hidden: tuple[str, ...]
    json_schema: Mapping[str, Any] | None


class Connection:
    """The way to one server. It keeps no key.

    Args:
        base_url: up to and without ``/chat/completions``.
        owner: the model's id, for messages.
        options: the user's own headers and query.
        timeout_seconds: longest wait for one whole answer.
    """

    def __init__(
        self, base_url: str, owner: str, options: ServerOptions, *, timeout_seconds: float
    ) -> None:
        self._base_url, self._owner, self._options = base_url, owner, options
        self._timeout_seconds = timeout_seconds
        self._was_reached = False

    async def post(
        self, client: httpx.AsyncClient, payload: dict[str, Any], settings: RequestSettings
    ) -> Answer | Failure:
        """The answer to one request, or why there is none.

        Raises:
            EngineError: the answer is larger than any completion.
        """
        content = bytearray()
        try:
            async with (
                turn(),
                asyncio.timeout(self._timeout_seconds),
                client.stream(
                    "POST",
                    f"{self._base_url}/chat/completions",
                    content=json.dumps(payload),
                    params=settings.query or None,
                ) as answer,
            ):
                self._was_reached = True
                async for chunk in answer.aiter_raw():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        break
        except TimeoutError:
            limit = f"{self._timeout_seconds:g} s"
            return Failure(f"no whole answer within {limit} (option timeout_seconds)")
        except httpx.TransportError as error:
            message = cleaned(f"{type(error).__name__}: {error}", settings.hidden)
            is_new = isinstance(error, httpx.ConnectError) and not self._was_reached
            return Failure(message, most_attempts=FIRST_CONTACT_ATTEMPTS if is_new else 0)
        encoding = answer.headers.get("content-encoding", "")
        body = unpacked(bytes(content), encoding, most_bytes=MAX_ANSWER_BYTES)
        if body is None:
            packed = cleaned(encoding, settings.hidden)
            return Failure(f"the answer is packed ({packed}) although none was asked for", 0.0, 2)
        if len(body) > MAX_ANSWER_BYTES:
            raise EngineError(
                f"{self._owner}: the answer is larger than {MAX_ANSWER_BYTES:,} bytes, far more "
                f"than a completion. Is {self._base_url} a chat-completions server?"
            )
        return read(answer, body, settings.hidden)

    def settings(
        self, sampling: Sampling, json_schema: Mapping[str, Any] | None
    ) -> RequestSettings:
        """What the requests of one call share, with the key as it is now.

        Raises:
            InputError: a secret cannot be sent, or would leave this machine unencrypted.
        """
        key = self._key()
        headers, hidden = self._options.filled(self._options.headers)
        query, also_hidden = self._options.filled(self._options.query)
        hidden += also_hidden
        if hidden:
            self._refuse_open_road("what an environment variable holds for the server's options")
        return RequestSettings(sampling, key, headers, query, (key, *hidden), json_schema)

    def client(self, settings: RequestSettings) -> httpx.AsyncClient:
        """A client for the requests of one call.

        Raises:
            EngineError: the environment names a proxy or certificates that cannot be used.
        """
        # Compressed answers are not asked for: a small one can unpack to any size.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        headers |= {"Authorization": f"Bearer {settings.key}"} if settings.key else {}
        trust_env = not is_loopback(self._base_url)  # no proxy to this machine
        authorities = [os.environ.get(name) if trust_env else None for name in AUTHORITIES]
        try:
            return httpx.AsyncClient(
                headers=headers | settings.headers,
                timeout=None,  # noqa: S113 - one limit on the whole attempt: a drip ends too
                follow_redirects=False,  # the key and the opinions go where the user said
                trust_env=trust_env,
                verify=_tls(*authorities),
            )
        except OSError as error:
            names = [name for name in AUTHORITIES if trust_env and os.environ.get(name)]
            if not names:
                raise
            raise EngineError(
                f"{self._owner}: the certificates in {', '.join(names)} cannot be used ({error}); "
                "expected a file, or a folder, of certificates as PEM"
            ) from None
        except (ImportError, ValueError, httpx.InvalidURL):
            names = sorted(name for name in os.environ if name.lower() in PROXY_VARIABLES)
            if not names:
                raise
            # Without the value or the cause, which may hold a password.
            raise EngineError(
                f"{self._owner}: the proxy in {', '.join(names)} cannot be used; expected "
                "http://HOST:PORT or https://HOST:PORT (for socks5:// first: pip install socksio)"
            ) from None

    def _key(self) -> str:
        """Returns the key from the environment, or "" for none."""
        name = next((name for name in KEY_VARIABLES if name in os.environ), "")
        key = os.environ.get(name, "").strip()
        if not all("!" <= character <= "~" for character in key):
            # Said here because the HTTP library's own complaint would print the key.
            raise InputError(
                f"{name}: the key holds a blank or a non-ASCII character; set it again"
            )
        if key:
            self._refuse_open_road(f"the key in {name}")
        return key

    def _refuse_open_road(self, what: str) -> None:
        """Raises where a secret would leave this machine unencrypted."""
        if not self._base_url.startswith("https:") and not is_loopback(self._base_url):
            raise InputError(
                f"{self._owner}: {what} would travel unencrypted. Use an https:// "
                f"URL, or, if the server needs no key, set {KEY_VARIABLES[0]} to nothing"
            )
