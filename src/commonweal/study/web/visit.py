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
from commonweal.study.storage.transaction import Turn
from commonweal.study.web.app import Site
from commonweal.study.web.limits import TooMuchError, network_of

MAX_BODY_BYTES = 128 * 1024
"""An opinion of 10,000 characters, each of four bytes written as %XX, is 120,000."""
MAX_FIELDS = 60
MAX_CHARACTERS = 20_000
"""Of one field: twice what an opinion may have."""
MAX_WHOLE = 2**31 - 1
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
class Visit:
    """A request: what was sent, and by whom.

    Attributes:
        site: the application.
        form: the fields of a POST.
        cookie_name: the cookie that this kind of page is tied to.
        token: its value; a new one where the browser brought none.
        is_new: whether ``token`` was made just now.
        flags: what the screen found in an opinion that was sent.
        is_known: whether it is the cookie of somebody: a participant, researcher or facilitator.
    """

    site: Site
    request: Request
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
        return network_of(self.request.client.host) if self.request.client else ""

    @property
    def counted_as(self) -> str:
        """A stranger's name to the limits: their form cookie if they bring one, or the address."""
        token = self.request.cookies.get(FORM_COOKIE, "")
        return token if self.site.is_form_token(token) else f"address {self.address}"

    @property
    def is_secure(self) -> bool:
        """Whether the browser uses TLS: a proxy that ends it need not be trusted to say so."""
        return self.url("/").startswith("https://")

    def url(self, path: str) -> str:
        """The full address of a page here. It never follows what a request calls this server."""
        if self.site.base_url:
            return f"{self.site.base_url}{path}"
        scheme = self.request.url.scheme
        host, port = self.request.scope.get("server") or ("localhost", None)
        usual = port is None or port == {"http": 80, "https": 443}.get(scheme)
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{host}{'' if usual else f':{port}'}{path}"

    def text(self, name: str) -> str:
        """A field of the form; "" where it is missing."""
        return self.form.get(name, "")

    def whole(self, name: str) -> int | None:
        """A field as a whole number that a database can hold; None where it is none."""
        return as_whole(self.form.get(name, ""))

    def speak(self, key: str, **filled: object) -> str:
        """A text in the visitor's language."""
        return self.site.speaker(self.language)(key, **filled)

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """The page that a template makes."""
        html = self.site.templates.get_template(template).render(
            t=self.site.speaker(self.language),
            language=self.language,
            other_languages=self._other_languages(),
            csrf=self.csrf,
            config=self.site.config,
            path=self.request.url.path,
            **values,
        )
        return HTMLResponse(html, status)

    def _other_languages(self) -> list[tuple[str, str]]:
        """(language, address of this page in it), for those that the study offers besides."""
        query = dict(self.request.query_params)
        return [
            (each, f"?{urlencode(query | {'lang': each})}")
            for each in self.site.config.languages
            if each != self.language
        ]

    def go(self, path: str) -> Response:
        """A redirect to a page here, to be fetched with GET."""
        return RedirectResponse(path, 303)

    def set_cookie(self, name: str, token: str | None, *, seconds: int = COOKIE_SECONDS) -> None:
        """Gives the browser a cookie with the answer, for so long, or takes it away."""
        self.set_cookies[name] = None if token is None else (token, seconds)


Handler = Callable[[Visit], Response]


def as_whole(text: str) -> int | None:
    """The whole number that the text is, from 0 to ``MAX_WHOLE``; None where it is none."""
    is_whole = text.isascii() and text.isdigit() and len(text) <= 10
    return int(text) if is_whole and int(text) <= MAX_WHOLE else None


def csrf_of(token: str) -> str:
    """The form token that belongs to a cookie."""
    return hashlib.sha256(f"form:{token}".encode("utf-8", "replace")).hexdigest()


def endpoint(site: Site, handler: Handler, *, cookie: str = FORM_COOKIE) -> Any:
    """The handler as Starlette calls it: form read and checked, run in a thread."""

    async def answer(request: Request) -> Response:
        visit = visit_of(site, request, cookie)
        try:
            await _count(visit)
            if "\0" in request.url.path:  # which PostgreSQL takes in no text
                raise RefusedError(404, "error.not_found")
            if request.method == "POST":
                visit.form = await _read_form(request)
                _check_origin(request)
                sent = visit.text("csrf").encode("utf-8", "replace")
                if not hmac.compare_digest(sent, visit.csrf.encode()):
                    raise RefusedError(403, "error.form")
            response = await run_in_threadpool(partial(handler, visit))
        except RefusedError as refused:
            response = refuse(visit, refused.status, refused.text)
        except TooMuchError:
            response = refuse(visit, 429, "error.too_many")
            response.headers["Retry-After"] = "60"
            if request.method == "GET" and not visit.is_known:
                # The cookie that comes with this answer sets them apart from their neighbours.
                response.headers["Refresh"] = "3"
        if visit.is_new and cookie == FORM_COOKIE and FORM_COOKIE not in visit.set_cookies:
            visit.set_cookie(FORM_COOKIE, visit.token)
        if (asked := request.query_params.get("lang", "")) in site.config.languages:
            visit.set_cookie("cw_language", asked)
        for name, given in visit.set_cookies.items():
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
                    secure=visit.is_secure,
                )
        return response

    return answer


def stream(
    site: Site, cookie: str, whose: Callable[[Turn, str], tuple[int, int | None] | None]
) -> Any:
    """The events of a page as Starlette calls them.

    Args:
        site: the application.
        cookie: whose value is given to ``whose``.
        whose: from that to the group and, where presence is noted, the person; None is nobody.
    """

    async def answer(request: Request) -> Response:
        visit, limits = visit_of(site, request, cookie), site.limits

        def find() -> tuple[int, int | None] | None:
            with site.store.read() as db:
                return whose(site.reading(db), visit.token)

        try:
            await _count(visit)
            found = await run_in_threadpool(find)
            if found is None:
                limits.count(f"stray streams {visit.address}", limits.failures)
                return Response(status_code=204)  # tells the browser not to come back
            limits.check_streams(visit.token)
        except TooMuchError:
            return Response(status_code=429)
        key, person_id = found
        events = site.live.stream(key, partial(site.live.version, key), person_id)
        return StreamingResponse(
            limits.held(visit.token, events),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    return answer


async def _count(visit: Visit) -> None:
    """Counts a request: of somebody who is known by their cookie, of a stranger by another one.

    Raises:
        TooMuchError: that is one too many.
    """
    site, method = visit.site, visit.request.method
    if not visit.is_new and visit.cookie_name != FORM_COOKIE:
        visit.is_known = await run_in_threadpool(site.knows, visit.token)
    if visit.is_known:
        site.limits.count_token(method, visit.token)
    elif (who := visit.counted_as).startswith("address "):
        site.limits.count(who, site.limits.per_address)
    else:
        site.limits.count_token(method, who, is_known=False)


def refuse(visit: Visit, status: int, text: str) -> Response:
    """A page that says in plain words why a request was refused."""
    return visit.page("message.html.j2", status=status, title="page.error_title", text=text)


def visit_of(site: Site, request: Request, cookie: str) -> Visit:
    """The request, before its form is read."""
    token = request.cookies.get(cookie, "")
    is_new = not 20 <= len(token) <= 100 or not token.isascii()
    if cookie == FORM_COOKIE:
        is_new = not site.is_form_token(token)
    if is_new:
        token = site.new_form_token() if cookie == FORM_COOKIE else new_token()
    asked = request.query_params.get("lang", "") or request.cookies.get("cw_language", "")
    return Visit(
        site=site,
        request=request,
        form={},
        cookie_name=cookie,
        token=(site.new_form_token() if cookie == FORM_COOKIE else new_token())
        if is_new
        else token,
        is_new=is_new,
        language=site.choose_language(asked, request.headers.get("accept-language", "")),
    )


async def _read_form(request: Request) -> dict[str, str]:
    """The fields of an urlencoded form of bounded size. The last of a name counts."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise RefusedError(415, "error.form")
    body = bytearray()
    try:
        async for chunk in request.stream():
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


def _check_origin(request: Request) -> None:
    """Refuses a form that another site's page has sent (browsers say so)."""
    site = request.headers.get("sec-fetch-site", "")
    if site and site not in ("same-origin", "none"):
        raise RefusedError(403, "error.form")
