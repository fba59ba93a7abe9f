"""A metric and what it says: the one source of the page, the JSON and the summary."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Generic, Literal, Self, TypeVar

from commonweal.measures.intervals import Estimate

Kind = Literal["share", "points", "number", "count"]
"""``share`` is shown as a percentage, ``points`` are of the rating scale, ``number`` has no unit,
``count`` is whole."""

Term = tuple[str, str]
"""A word that needs one, and its meaning."""

P_SHOWN = 0.001
"""Smaller p values are shown as smaller than this."""

VALUE = "{value}"
"""Stands in a sentence for the metric's value."""

_COUNTED = re.compile(r"\b(?:(people)|(candidate|rating|round|statement)s)\b")


def counted(n: int, unit: str) -> str:
    """A number of things in words; ``unit`` names them in the plural.

    Example:
        >>> counted(1200, "rounds"), counted(1, "people in a round that were not even")
        ('1,200 rounds', '1 person in a round that was not even')
    """
    if n == 1:
        unit = _COUNTED.sub(lambda match: match[2] or "person", unit, count=1)
        unit = unit.replace(" were ", " was ")
    return f"{n:,} {unit}"


@dataclass(frozen=True)
class Subject:
    """What a metric is of: each section has its own, with typed fields.

    The fields are the ``of`` of the JSON, in their order; those in ``unsaid`` and those without a
    value are left out. The JSON's ``key`` is made from them, by ``form`` or by a property.
    """

    unsaid: ClassVar[tuple[str, ...]] = ("measure",)
    form: ClassVar[str]

    @property
    def key(self) -> str:
        """Names the metric in the JSON, unique in an evaluation: ``form`` with the fields in it."""
        return self.form.format(**{each.name: getattr(self, each.name) for each in fields(self)})

    @property
    def terms(self) -> tuple[Term, ...]:
        """The words in its sentence that need one, and their meaning."""
        return ()

    def is_headline(self, _baseline: str, /) -> bool:
        """Whether it stands at the top of the page; ``baseline`` is "none" without policies."""
        return False

    def unavailable(self, title: str, reason: str) -> Metric[Self]:
        """The metric that cannot be computed, and why."""
        says = f"Not available: {reason}."
        return Metric(self, title, "number", None, None, None, 0, "", 0, says, unavailable=reason)

    def as_text(self) -> dict[str, str]:
        """The fields by name, as text."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: f"{value:g}" if isinstance(value, float) else str(value)
            for name, value in values.items()
            if name not in self.unsaid and value is not None
        }


@dataclass(frozen=True)
class Whole(Subject):
    """A metric of nothing finer than its key: one of a kind, or many that could not be computed."""

    unsaid = ("name", "headline")
    name: str
    headline: bool = False

    form = "{name}"

    def is_headline(self, _baseline: str, /) -> bool:
        """As it was made."""
        return self.headline


S = TypeVar("S", bound=Subject)
S_co = TypeVar("S_co", bound=Subject, covariant=True)


@dataclass(frozen=True, slots=True)
class Published:
    """What the paper reports: ``text`` as printed there, ``section`` where, the rest for plots."""

    text: str
    section: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Metric(Generic[S_co]):
    """One number, what it rests on, and what it says.

    Attributes:
        subject: what it is of, in typed fields.
        title: short, for tables.
        kind: how it is shown.
        value: None where it cannot be computed; ``unavailable`` then says why.
        low: lower end of the 95 % interval over groups; None without one (``no_interval``).
        high: upper end.
        n: how many of ``unit`` it rests on.
        unit: what is counted: "rounds".
        n_groups: groups that it rests on.
        says: what it says, one plain sentence.
        published: the paper's number, where there is one.
        p_value: two-sided, where a test is asked for.
        p_is_floor: p is at most that: so few resamples of so few groups can show no less.
        unavailable: why there is no value.
        no_interval: why there is no interval.
        warning: what to know before believing it.
    """

    subject: S_co
    title: str
    kind: Kind
    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    n_groups: int
    says: str
    published: Published | None = None
    p_value: float | None = None
    p_is_floor: bool = False
    unavailable: str = ""
    no_interval: str = ""
    warning: str = ""

    @property
    def key(self) -> str:
        """Names it in the JSON, unique in an evaluation."""
        return self.subject.key

    @property
    def of(self) -> Mapping[str, str]:
        """What it is of, by name, as in the JSON: {"policy": "sft_base"}."""
        return self.subject.as_text()

    @property
    def shown(self) -> str:
        """The value for reading: "65.6 %"."""
        return "not available" if self.value is None else shown(self.value, self.kind)

    @property
    def n_shown(self) -> str:
        """What it rests on, for reading: "12 rounds"."""
        return counted(self.n, self.unit)

    @property
    def beside(self) -> Published | None:
        """The paper's number, where this one can stand beside it: it has an interval."""
        return self.published if self.interval else None

    @property
    def p_shown(self) -> str:
        """The p value for reading: "p = 0.030", "p ≤ 0.019" at its floor; empty without one."""
        if self.p_value is None:
            return ""
        if self.p_value < P_SHOWN:
            return "p < 0.001"
        return f"p {'≤' if self.p_is_floor else '='} {self.p_value:.3f}"

    @property
    def interval(self) -> str:
        """The interval for reading: "[61.9, 69.3]"; empty where there is none."""
        if self.low is None or self.high is None:
            return ""
        ends = (shown(end, self.kind).removesuffix(" %") for end in (self.low, self.high))
        return f"[{', '.join(ends)}]"


@dataclass(frozen=True, slots=True)
class MetricTable:
    """Metrics of one kind.

    Attributes:
        title: for reading.
        figures: the metrics, called so in the JSON.
        caution: what they do not say; every one of them is meant.
        how: how they were computed, where the section's rule does not say it.
    """

    title: str
    figures: tuple[Metric[Subject], ...]
    caution: str = ""
    how: str = ""


def shown(value: float, kind: Kind) -> str:
    """A number for reading: "65.6 %", "0.47", "12"; a true minus sign.

    Example:
        >>> shown(0.6561, "share"), shown(-0.125, "points"), shown(3.0, "count")
        ('65.6 %', '−0.13', '3')
    """
    if kind == "share":
        text = f"{100 * value:.1f} %"
    elif kind == "count":
        text = f"{value:,.0f}"
    else:
        text = f"{_half_away(value):.2f}"
    if not any(digit in text for digit in "123456789"):
        text = text.lstrip("-")  # no negative zero
    return text.replace("-", "−")


def _half_away(value: float) -> float:
    """Rounded to two digits, halves away from zero, as people do."""
    return math.copysign(math.floor(abs(value) * 100 + 0.5 + 1e-9) / 100, value)


def metric(
    estimate: Estimate,
    subject: S,
    title: str,
    *,
    kind: Kind,
    n: int,
    unit: str,
    says: str,
    nothing: str,
    test: bool = False,
    warning: str = "",
) -> Metric[S]:
    """The estimate as a metric; one that says why where there is no value.

    Args as the attributes of ``Metric``, and: ``says`` has ``VALUE`` where the value for reading
    goes, ``nothing`` says why there is no value, where there is none, ``test`` keeps the p value.
    """
    if math.isnan(estimate.value):
        return subject.unavailable(title, nothing)
    has_interval = not estimate.no_interval
    return Metric(
        subject,
        title,
        kind,
        estimate.value,
        estimate.low if has_interval else None,
        estimate.high if has_interval else None,
        n,
        unit,
        estimate.n_clusters,
        says.replace(VALUE, shown(estimate.value, kind)),
        p_value=estimate.p_value if test and has_interval else None,
        p_is_floor=bool(test and has_interval and estimate.p_is_floor),
        no_interval=estimate.no_interval,
        warning=warning,
    )
