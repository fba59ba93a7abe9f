"""The application as a server calls it: every address, and the pages of what is not there."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from commonweal.study.domain.faults import kind_and_place
from commonweal.study.web import facilitator, participant, researcher
from commonweal.study.web.app import App
from commonweal.study.web.limits import Headers
from commonweal.study.web.request import refuse, request_of

log = logging.getLogger("commonweal.study")


def asgi(app: App) -> ASGIApp:
    """The application as a server calls it."""
    routes: list[Any] = [Mount("/static", StaticFiles(packages=[(__package__, "static")]))]
    routes += [Route("/health", _health), *participant.routes(app)]
    if app.kind == "quick":
        routes += facilitator.routes(app)
    routes += researcher.routes(app)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with app.running():
            yield

    async def not_found(http: Request, error: Exception) -> Response:
        request = request_of(app, http, "cw_here")
        return refuse(request, getattr(error, "status_code", 404), "error.not_found")

    async def fault(http: Request, error: Exception) -> Response:
        # The path may hold a token, and the error's message what somebody wrote: of them only the
        # path's first part and the error's kind and place are noted.
        path = http.url.path.strip("/").partition("/")[0]
        log.error("a fault at /%s: %s", path, kind_and_place(error))
        return refuse(request_of(app, http, "cw_here"), 500, "error.fault")

    pages = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={404: not_found, 405: not_found, 500: fault},
    )
    # Around everything: the page of a fault is made outside the application's own middleware.
    return Headers(pages, is_secure=app.base_url.startswith("https://"))


async def _health(_request: Request) -> Response:
    return PlainTextResponse("ok")
