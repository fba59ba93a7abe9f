"""One request as the pages see it: who asks, the form, the language; and the answer to it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from commonweal.study.storage.tokens import new_token
from commonweal.study.storage.transaction import Transaction
from commonweal.study.web.app import App
from commonweal.study.web.limits import TooMuchError, network_of

MAX_BODY_BYTES = 128 * 1024
"""An opinion of 10,000 characters, each of four bytes written as %XX, is 120,000."""
MAX_FIELDS = 60
MAX_CHARACTERS = 20_000
"""Of one field: twice what an opinion may have."""
MAX_INTEGER = 2**31 - 1
"""The largest whole number that PostgreSQL takes for an INTEGER."""
COOKIE_SECONDS = 90 * 86_400
FORM_COOKIE = "cw_form"
"""Before somebody has a cookie of their own, forms are tied to this one."""


class RefusedError(Exception):
    """A request that is refused: a status, and the key of the text that says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


@dataclass
class PageRequest:
    """A request: what was sent, and by whom.

    Attributes:
        app: the application.
        form: the fields of a POST.
        cookie_name: the cookie that this kind of page is tied to.
        token: its value; a new one where the browser brought none.
        is_new: whether ``token`` was made just now.
        flags: what the screen found in an opinion that was sent.
        is_known: whether it is the cookie of somebody: a participant, researcher or facilitator.
    """

    app: App
    http: Request
    form: dict[str, str]
    cookie_name: str
    token: str
    is_new: bool
    language: str
    is_known: bool = False
    flags: list[str] | None = None
    set_cookies: dict[str, tuple[str, int] | None] = field(default_factory=dict)

    @property
    def csrf(self) -> str:
        """What a form of this browser must carry: nobody without the cookie can know it."""
        return csrf_of(self.token)

    @property
    def address(self) -> str:
        """The address that the request came from, as it is counted."""
        return network_of(self.http.client.host) if self.http.client else ""

    @property
    def counted_as(self) -> str:
        """A stranger's name to the limits: their form cookie if they bring one, or the address."""
        token = self.http.cookies.get(FORM_COOKIE, "")
        return token if self.app.is_form_token(token) else f"address {self.address}"

    @property
    def is_secure(self) -> bool:
        """Whether the browser uses TLS: a proxy that ends it need not be trusted to say so."""
        return self.url("/").startswith("https://")

    def url(self, path: str) -> str:
        """The full address of a page here. It never follows what a request calls this server."""
        if self.app.base_url:
            return f"{self.app.base_url}{path}"
        scheme = self.http.url.scheme
        host, port = self.http.scope.get("server") or ("localhost", None)
        usual = port is None or port == {"http": 80, "https": 443}.get(scheme)
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{host}{'' if usual else f':{port}'}{path}"

    def text(self, name: str) -> str:
        """A field of the form; "" where it is missing."""
        return self.form.get(name, "")

    def integer(self, name: str) -> int | None:
        """A field as a whole number that a database can hold; None where it is none."""
        return as_integer(self.form.get(name, ""))

    def translate(self, key: str, **filled: object) -> str:
        """A text in the visitor's language."""
        return self.app.translator(self.language)(key, **filled)

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """The page that a template makes."""
        html = self.app.templates.get_template(template).render(
            t=self.app.translator(self.language),
            language=self.language,
            other_languages=self._other_languages(),
            csrf=self.csrf,
            config=self.app.config,
            path=self.http.url.path,
            **values,
        )
        return HTMLResponse(html, status)

    def _other_languages(self) -> list[tuple[str, str]]:
        """(language, address of this page in it), for those that the study offers besides."""
        query = dict(self.http.query_params)
        return [
            (each, f"?{urlencode(query | {'lang': each})}")
            for each in self.app.config.languages
            if each != self.language
        ]

    def go(self, path: str) -> Response:
        """A redirect to a page here, to be fetched with GET."""
        return RedirectResponse(path, 303)

    def set_cookie(self, name: str, token: str | None, *, seconds: int = COOKIE_SECONDS) -> None:
        """Gives the browser a cookie with the answer, for so long, or takes it away."""
        self.set_cookies[name] = None if token is None else (token, seconds)


Handler = Callable[[PageRequest], Response]


def as_integer(text: str) -> int | None:
    """The whole number that the text is, from 0 to ``MAX_INTEGER``; None where it is none."""
    is_integer = text.isascii() and text.isdigit() and len(text) <= 10
    return int(text) if is_integer and int(text) <= MAX_INTEGER else None


def csrf_of(token: str) -> str:
    """The form token that belongs to a cookie."""
    return hashlib.sha256(f"form:{token}".encode("utf-8", "replace")).hexdigest()


def endpoint(app: App, handler: Handler, *, cookie: str = FORM_COOKIE) -> Any:
    """The handler as Starlette calls it: form read and checked, run in a thread."""

    async def answer(http: Request) -> Response:
        request = request_of(app, http, cookie)
        try:
            await _count(request)
            if "\0" in http.url.path:  # which PostgreSQL takes in no text
                raise RefusedError(404, "error.not_found")
            if http.method == "POST":
                request.form = await _read_form(http)
                _check_origin(http)
                sent = request.text("csrf").encode("utf-8", "replace")
                if not hmac.compare_digest(sent, request.csrf.encode()):
                    raise RefusedError(403, "error.form")
            response = await run_in_threadpool(partial(handler, request))
        except RefusedError as refused:
            response = refuse(request, refused.status, refused.text)
        except TooMuchError:
            response = refuse(request, 429, "error.too_many")
            response.headers["Retry-After"] = "60"
            if http.method == "GET" and not request.is_known:
                # The cookie that comes with this answer sets them apart from their neighbours.
                response.headers["Refresh"] = "3"
        if request.is_new and cookie == FORM_COOKIE and FORM_COOKIE not in request.set_cookies:
            request.set_cookie(FORM_COOKIE, request.token)
        if (asked := http.query_params.get("lang", "")) in app.config.languages:
            request.set_cookie("cw_language", asked)
        for name, given in request.set_cookies.items():
            if given is None:
                response.delete_cookie(name, path="/")
            else:
                token, seconds = given
                response.set_cookie(
                    name,
                    token,
                    max_age=seconds,
                    path="/",
                    httponly=True,
                    samesite="lax",
                    secure=request.is_secure,
                )
        return response

    return answer


def stream(
    app: App, cookie: str, whose: Callable[[Transaction, str], tuple[int, int | None] | None]
) -> Any:
    """The events of a page as Starlette calls them.

    Args:
        app: the application.
        cookie: whose value is given to ``whose``.
        whose: from that to the group and, where presence is noted, the person; None is nobody.
    """

    async def answer(http: Request) -> Response:
        request, limits = request_of(app, http, cookie), app.limits

        def find() -> tuple[int, int | None] | None:
            with app.store.read() as db:
                return whose(app.reading(db), request.token)

        try:
            await _count(request)
            listener = await run_in_threadpool(find)
            if listener is None:
                limits.count(f"stray streams {request.address}", limits.failures)
                return Response(status_code=204)  # tells the browser not to come back
            limits.check_streams(request.token)
        except TooMuchError:
            return Response(status_code=429)
        key, person_id = listener
        events = app.live.stream(key, partial(app.live.version, key), person_id)
        return StreamingResponse(
            limits.held(request.token, events),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    return answer


async def _count(request: PageRequest) -> None:
    """Counts a request: of somebody who is known by their cookie, of a stranger by another one.

    Raises:
        TooMuchError: that is one too many.
    """
    app, method = request.app, request.http.method
    if not request.is_new and request.cookie_name != FORM_COOKIE:
        request.is_known = await run_in_threadpool(app.knows, request.token)
    if request.is_known:
        app.limits.count_token(method, request.token)
    elif (who := request.counted_as).startswith("address "):
        app.limits.count(who, app.limits.per_address)
    else:
        app.limits.count_token(method, who, is_known=False)


def refuse(request: PageRequest, status: int, text: str) -> Response:
    """A page that says in plain words why a request was refused."""
    return request.page("message.html.j2", status=status, title="page.error_title", text=text)


def request_of(app: App, http: Request, cookie: str) -> PageRequest:
    """The request, before its form is read."""
    token = http.cookies.get(cookie, "")
    is_new = not 20 <= len(token) <= 100 or not token.isascii()
    if cookie == FORM_COOKIE:
        is_new = not app.is_form_token(token)
    if is_new:
        token = app.new_form_token() if cookie == FORM_COOKIE else new_token()
    asked = http.query_params.get("lang", "") or http.cookies.get("cw_language", "")
    return PageRequest(
        app=app,
        http=http,
        form={},
        cookie_name=cookie,
        token=(app.new_form_token() if cookie == FORM_COOKIE else new_token()) if is_new else token,
        is_new=is_new,
        language=app.choose_language(asked, http.headers.get("accept-language", "")),
    )


async def _read_form(http: Request) -> dict[str, str]:
    """The fields of an urlencoded form of bounded size. The last of a name counts."""
    kind = http.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise RefusedError(415, "error.form")
    body = bytearray()
    try:
        async for chunk in http.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise RefusedError(413, "error.too_large")
    except ClientDisconnect:  # broken off, or too slow
        raise RefusedError(400, "error.form") from None
    try:
        fields = parse_qsl(
            bytes(body).decode("ascii", "replace"),
            keep_blank_values=True,
            max_num_fields=MAX_FIELDS,
            encoding="utf-8",
            errors="replace",
        )
    except ValueError:
        raise RefusedError(400, "error.form") from None
    if any(len(value) > MAX_CHARACTERS for _, value in fields):
        raise RefusedError(413, "error.too_large")
    return {name: value.replace("\0", " ") for name, value in fields}


def _check_origin(http: Request) -> None:
    """Refuses a form that another site's page has sent (browsers say so)."""
    sent_by = http.headers.get("sec-fetch-site", "")
    if sent_by and sent_by not in ("same-origin", "none"):
        raise RefusedError(403, "error.form")
