"""Serving a study: one process, on an address of this machine."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from commonweal.errors import InputError
from commonweal.study.web.app import App
from commonweal.study.web.connections import Unfinished, allow_many_files, guarded
from commonweal.study.web.routes import asgi
from commonweal.study.writing.working import ENDING


def bound(host: str, port: int) -> socket.socket:
    """Returns a socket that has the port and does not listen yet: got before a model is loaded, so
    that a port that is taken is said at once.

    Raises:
        InputError: the port cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small answers at once (TCP_NODELAY) only where the protocol is named: otherwise
    # every page waits up to 40 ms for the browser's acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise _unusable((host, port), error) from None
    return listening


def _unusable(address: tuple[str, int], error: OSError) -> InputError:
    host, port = address
    return InputError(
        f"cannot listen on {host}, port {port}: {error.strerror}; give another --port"
    )


def serve(
    app: App,
    listening: socket.socket,
    *,
    tls_certificate: Path | None = None,
    tls_key: Path | None = None,
    trusted_proxy: str = "",
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serves until Ctrl-C.

    Args:
        app: the study.
        listening: what to listen on, from :func:`bound`.
        tls_certificate: with ``tls_key``, serve over TLS.
        tls_key: its key.
        trusted_proxy: the address of a proxy whose X-Forwarded headers are believed; "" is none.
        on_ready: called when the port is open.

    Raises:
        InputError: somebody else listens on the port by now.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    try:
        listening.listen(
            2048
        )  # whoever comes between the addresses' being shown and the start waits
    except OSError as error:
        raise _unusable(listening.getsockname()[:2], error) from None
    options: dict[str, Any] = {}
    if tls_certificate is not None and tls_key is not None:
        options = {"ssl_certfile": str(tls_certificate), "ssl_keyfile": str(tls_key)}
    config = configuration(app, trusted_proxy=trusted_proxy, **options)
    allow_many_files()
    on_ready()
    server = _Server(config, app)
    try:
        server.run(sockets=[listening])
    finally:
        app.store.close()


def configuration(
    app: App, *, trusted_proxy: str, unfinished: Unfinished | None = None, **options: Any
) -> uvicorn.Config:
    """How an app is served: nothing secret is logged, no proxy is believed but the named, and no
    connection is waited for longer than a browser takes.
    """
    of_proxy = frozenset(filter(None, (each.strip() for each in trusted_proxy.split(","))))
    return uvicorn.Config(
        asgi(app),
        http=guarded(unfinished or Unfinished(trusted=of_proxy)),
        log_level="warning",
        access_log=False,  # addresses of private links are secrets
        server_header=False,
        proxy_headers=bool(trusted_proxy),
        forwarded_allow_ips=trusted_proxy or "127.0.0.1",
        timeout_graceful_shutdown=3,
        **options,
    )


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Until it is served: what ends the process at once, a system that shuts down or a window that
    is closed while a model loads, ends it as an error does, so that what was begun is cleared away.
    """

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, end) for each in ENDING if each != signal.SIGINT}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class _Server(uvicorn.Server):
    """Ends the event streams when it is told to stop: they would keep it for ever."""

    def __init__(self, config: uvicorn.Config, app: App) -> None:
        super().__init__(config)
        self._app = app

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Every way of ending it ends it in order: Ctrl-C, a system that shuts down, a terminal
        whose window is closed. Uvicorn knows the first two, and dies of them once it has ended.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in ENDING}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.live.close()
        await super().shutdown(sockets)


def is_local(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address_in_the_network() -> str:
    """This machine's address as others in its network see it; 127.0.0.1 where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: only asks which way it would go
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
