"""Programs that take part through the pages, as a browser without scripts would.

A ``Browser`` reads forms out of HTML and sends them. A ``Bot`` has an opinion of its own on each
question and acts on whatever page it is shown. Whoever a bot joins as is marked as simulated.
"""

from __future__ import annotations

import hashlib
import html
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx
import numpy as np

from commonweal.errors import CommonwealError
from commonweal.participants import Participant
from commonweal.participants.latent import LatentPerson
from commonweal.study.question_set import QuestionConfig
from commonweal.types import Question


@dataclass
class Form:
    """A form of a page: where it goes, what its fields hold, what may be chosen."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class Browser(HTMLParser):
    """A browser without scripts: cookies, pages, forms.

    Attributes:
        forms: of the page shown last, by action.
        key: names the page shown last ("" where it is none of a participant's).
        status: of the last answer.
        html: the page itself.
        headings: the texts of its <h1> and <h2>.
    """

    def __init__(self, client: httpx.Client) -> None:
        super().__init__()
        self._client = client
        self.status, self.html, self.key = 0, "", ""
        self.forms: dict[str, Form] = {}
        self.headings: list[str] = []
        self.quotes: list[str] = []
        self._form: Form | None = None
        self._area = ""
        self._into: list[str] | None = None

    def get(self, path: str) -> httpx.Response:
        """Fetches a page, and follows redirects."""
        return self._took(self._client.get(path, follow_redirects=True))

    def send(self, action: str, *, button: str = "", **fields: str) -> httpx.Response:
        """Sends the form of that action with what it holds and these fields; follows redirects.

        Raises:
            CommonwealError: the page has no such form.
        """
        if action not in self.forms:
            raise CommonwealError(
                f"the page {self.key!r} has no form {action!r}; it has {sorted(self.forms)}"
            )
        form = self.forms[action]
        pressed = {name: value for name, value in form.buttons if value == button}
        data = {**form.fields, **fields, **pressed}
        return self.post(form.action, data)

    def post(self, path: str, data: dict[str, str]) -> httpx.Response:
        """Sends fields to a path; follows redirects."""
        return self._took(self._client.post(path, data=data, follow_redirects=True))

    def _took(self, response: httpx.Response) -> httpx.Response:
        self.status, self.html, self.key = response.status_code, response.text, ""
        self.forms, self.headings, self.quotes = {}, [], []
        self._form, self._area, self._into = None, "", None
        self.reset()
        self.feed(response.text)
        return response

    # ------------------------------------------------------------------------- reading a page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes forms, fields and headings."""
        given = {name: value or "" for name, value in attrs}
        if tag == "main":
            self.key = given.get("data-key", "")
        elif tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get"))
            self.forms[self._form.action] = self._form
        elif tag in ("h1", "h2"):
            self.headings.append("")
            self._into = self.headings
        elif tag == "blockquote":
            self.quotes.append("")
            self._into = self.quotes
        elif self._form is not None and tag == "input":
            kind, name = given.get("type", "text"), given.get("name", "")
            if kind in ("radio", "checkbox"):
                self._form.choices.setdefault(name, []).append(given.get("value", "on"))
            else:
                self._form.fields[name] = given.get("value", "")
        elif self._form is not None and tag == "textarea":
            self._area = given.get("name", "")
            self._form.fields[self._area] = ""
        elif self._form is not None and tag == "button" and given.get("name"):
            self._form.buttons.append((given["name"], given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        """Ends a form, a text field, a heading."""
        if tag == "form":
            self._form = None
        elif tag == "textarea" and self._form is not None:
            # The first line end after <textarea> is not part of the text.
            self._form.fields[self._area] = self._form.fields[self._area].removeprefix("\n")
            self._area = ""
        elif tag in ("h1", "h2", "blockquote"):
            self._into = None

    def handle_data(self, data: str) -> None:
        """Keeps what stands in text fields, headings and quotations."""
        if self._area and self._form is not None:
            self._form.fields[self._area] += data
        elif self._into is not None:
            self._into[-1] += data


_FOR = (
    "I am all for it. It would help people who have little, and it is fair.",
    "I support this. The benefits are larger than what it would cost.",
    "On the whole yes, if it is done step by step and paid for honestly.",
)
_AGAINST = (
    "I am against it. It costs too much and helps the wrong people.",
    "I oppose this. We should leave the choice to people themselves.",
    "On the whole no, although I see why some want it, there are better ways.",
)
_WISHES = (
    "Say who pays for it, and what it costs.",
    "It leaves out those who live outside the town.",
    "I would say it more carefully: not all of us want that.",
)
CRITICAL = 0.5
"""The share who would change something."""
_WORDS = {"support": 1, "benefit": 1, "help": 1, "fair": 1, "for it": 1}
_WORDS |= {"oppose": -1, "against": -1, "cost": -1, "too much": -1, "should not": -1}


@dataclass
class Bot:
    """Somebody who is not there, with a stance on each question from -1 to 1.

    Ratings follow from the distance between the stance and what the statement's words lean to:
    crude, and nobody's. They show that the study works, and nothing about people. With a
    ``person`` it writes and rates as that one, of whom the truth is known.

    Attributes:
        browser: what it takes part with.
        rng: its chance.
        questions: of the study: a page shows one of them, or its position statement.
        person: whose opinions and ratings it gives, of a crowd that knows the questions.
        sent: (page, fields) of everything that the server took.
        written, criticised: the rounds in which the server took its opinion, and its critique.
        truths: of a latent person, the agreement before noise of each rating that it sent.
    """

    browser: Browser
    rng: np.random.Generator
    check_answers: tuple[int, ...] = ()
    questions: tuple[QuestionConfig, ...] = ()
    person: Participant | None = None
    stances: dict[str, float] = field(default_factory=dict)
    sent: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    criticised: set[str] = field(default_factory=set)
    truths: dict[str, float] = field(default_factory=dict)
    _seen: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def kind(self) -> str:
        """Which page it is on, from the forms that the page has."""
        forms = self.browser.forms
        for kind, action in (
            ("consent", "/join"),
            ("consent", "/here/consent"),
            ("instructions", "/here/instructions"),
            ("check", "/here/check"),
            ("rate", "/here/rate"),
            ("opinion", "/here/opinion"),
            ("critique", "/here/critique"),
            ("result", "/here/continue"),
        ):
            if action in forms:
                return kind
        return "end" if self.browser.key.startswith("end") else "waiting"

    def act(self) -> str:
        """Does what the page asks for; says what kind of page it was."""
        kind = self.kind()
        send = self.browser.send
        if kind == "consent":
            send("/join" if "/join" in self.browser.forms else "/here/consent", button="agree")
        elif kind == "instructions":
            send("/here/instructions")
        elif kind == "check":
            send("/here/check", **{f"answer{n}": str(a) for n, a in enumerate(self.check_answers)})
        elif kind == "opinion":
            text = self._opinion()
            number = self.browser.forms["/here/opinion"].fields["round"]
            if is_taken(send("/here/opinion", text=text)):
                self.written.add(number)
        elif kind == "critique":
            self._criticise()
        elif kind == "rate":
            self._rate()
        elif kind == "result":
            send("/here/continue")
        else:
            self.browser.get("/here")
        return kind

    def asked(self) -> Question:
        """The question that the page is about: its text or its position statement stands there.

        Raises:
            CommonwealError: none of the study's questions does.
        """
        page = html.unescape(self.browser.html)
        candidates = [
            each
            for each in self.questions
            if each.text in page or (each.position and each.position in self.browser.quotes)
        ]
        if not candidates:
            raise CommonwealError(f"the page {self.browser.key!r} shows none of the questions")
        # A question may be a part of another.
        one = max(candidates, key=lambda each: len(each.text))
        return Question(one.text, one.key)

    def _crude_stance(self) -> float:
        return self.stance(self.asked().text if self.questions else "")

    def stance(self, question: str) -> float:
        """Its stance on a question: the same each time it is asked."""
        if question not in self.stances:
            self.stances[question] = float(self.rng.uniform(-1, 1))
        return self.stances[question]

    def _opinion(self) -> str:
        if self.person is not None:
            return self.person.opinion(self.asked())
        stance = self._crude_stance()
        texts = _FOR if stance > 0 else _AGAINST
        first, second = self.rng.permutation(len(texts))[:2]
        return f"{texts[first]} {texts[second]}"

    def _criticise(self) -> None:
        """Half would change something: crude, and nobody's, as the ratings are."""
        form = self.browser.forms["/here/critique"]
        action, fields = "/here/stands", {}
        if self.rng.random() < CRITICAL:
            wish = _WISHES[int(self.rng.integers(len(_WISHES)))]
            action, fields = "/here/critique", {"text": wish}
        if is_taken(self.browser.send(action, **fields)):
            self.criticised.add(form.fields["round"])

    def _rate(self) -> None:
        form = self.browser.forms["/here/rate"]
        before = form.fields["presentation"]
        if self.person is None:
            fields = self._crude_rating(form)
        else:
            fields = self._rating_of(self.person, form, before)
        response = self.browser.send("/here/rate", **fields)
        if is_taken(response):
            self.sent.append((before, fields))

    def _rating_of(self, person: Participant, form: Form, presentation: str) -> dict[str, str]:
        """What the person gives the statement on the page, of which this is one presentation."""
        question, statement = self.asked(), self.browser.quotes[0]
        if "quality" not in form.choices:
            given = person.rate_position(question, statement)
            return {"agreement": str(given)} if given is not None else {}
        seen = self._seen.setdefault((question.text, statement), [])
        if presentation not in seen:
            seen.append(presentation)
        rating = person.rate(question, statement, seen.index(presentation))
        if isinstance(person, LatentPerson):
            self.truths[presentation] = person.true_agreement(question, statement)
        return {"agreement": str(rating.agreement), "quality": str(rating.quality)}

    def _crude_rating(self, form: Form) -> dict[str, str]:
        statement = self.browser.quotes[0].lower() if self.browser.quotes else ""
        leans = [value for word, value in _WORDS.items() if word in statement]
        lean = float(np.mean(leans)) if leans else 0.0
        stance = self._crude_stance()
        mean = 6.5 - 2.5 * abs(stance - lean)
        fields = {}
        for name, centre in (("agreement", mean), ("quality", 4.5)):
            if name in form.choices:
                value = int(np.clip(round(self.rng.normal(centre, 0.8)), 1, 7))
                fields[name] = str(value)
        return fields

    def send_again(self) -> None:
        """Sends its last rating once more, as a double click or a second tab would."""
        if self.sent and self.browser.forms:
            presentation, fields = self.sent[-1]
            csrf = next(iter(self.browser.forms.values())).fields.get("csrf", "")
            data: dict[str, Any] = {**fields, "presentation": presentation, "csrf": csrf}
            self.browser.post("/here/rate", data)


def is_taken(response: httpx.Response) -> bool:
    """Whether the server said that it kept what was sent: it led on, and not as a stale form."""
    return bool(response.history) and response.status_code == 200 and not response.url.query


def seed_of(*parts: object) -> int:
    """A seed made from names."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big")
