"""A figure and what it says: the one source of the page, the JSON and the summary."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from commonweal.evaluation.published import Published, published_beside
from commonweal.measures.intervals import Estimate

Kind = Literal["share", "points", "number", "count"]
"""``share`` is shown as a percentage, ``points`` are of the rating scale, ``number`` has no unit,
``count`` is whole."""

P_SHOWN = 0.001
"""Smaller p values are shown as smaller than this."""

VALUE = "{value}"
"""Stands in a sentence for the figure's value."""

_COUNTED = re.compile(r"\b(?:(people)|(candidate|rating|round|statement)s)\b")


def counted(n: int, unit: str) -> str:
    """A number of things in words; ``unit`` names them in the plural.

    Example:
        >>> counted(1200, "rounds"), counted(1, "people in a round that were not even")
        ('1,200 rounds', '1 person in a round that was not even')
    """
    if n == 1:
        unit = _COUNTED.sub(lambda found: found[2] or "person", unit, count=1)
        unit = unit.replace(" were ", " was ")
    return f"{n:,} {unit}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, what it rests on, and what it says.

    Attributes:
        key: names it in the JSON, unique in an evaluation.
        title: short, for tables.
        kind: how it is shown.
        value: None where it cannot be computed; ``unavailable`` then says why.
        low: lower end of the 95 % interval over groups; None without one (``no_interval``).
        high: upper end.
        n: how many of ``unit`` it rests on.
        unit: what is counted: "rounds".
        n_groups: groups that it rests on.
        says: what it says, one plain sentence.
        of: what it is of, by name: {"policy": "sft_base"}.
        published: the paper's figure, where there is one.
        p_value: two-sided, where a test is asked for.
        p_is_floor: p is at most that: so few resamples of so few groups can show no less.
        unavailable: why there is no value.
        no_interval: why there is no interval.
        warning: what to know before believing it.
    """

    key: str
    title: str
    kind: Kind
    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    n_groups: int
    says: str
    of: Mapping[str, str] = field(default_factory=dict)
    published: Published | None = None
    p_value: float | None = None
    p_is_floor: bool = False
    unavailable: str = ""
    no_interval: str = ""
    warning: str = ""

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
        """The paper's figure, where this one can stand beside it: it has an interval."""
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
class Table:
    """Figures of one kind.

    Attributes:
        title: for reading.
        figures: what is in it.
        caution: what they do not say; every one of them is meant.
        how: how they were computed, where the section's rule does not say it.
    """

    title: str
    figures: tuple[Figure, ...]
    caution: str
    how: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the evaluation.

    Attributes:
        key: names it.
        title: for reading.
        source: where the paper has it.
        rule: how the figures come about.
        tables: the figures.
        extra: numbers behind a plot that are not figures of their own, for the JSON.
    """

    key: str
    title: str
    source: str
    rule: str
    tables: tuple[Table, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures of all tables."""
        return tuple(figure for table in self.tables for figure in table.figures)


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


def figure(
    estimate: Estimate,
    key: str,
    title: str,
    *,
    kind: Kind,
    n: int,
    unit: str,
    says: str,
    nothing: str,
    of: Mapping[str, str] | None = None,
    test: bool = False,
    warning: str = "",
) -> Figure:
    """The estimate as a figure; one that says why where there is no value.

    Args:
        estimate: value and interval.
        key: as in ``Figure``, like all that is not described here.
        title: for tables.
        kind: how it is shown.
        n: how many.
        unit: of what.
        says: the sentence, with ``VALUE`` where the value for reading goes.
        nothing: why there is no value, where there is none.
        of: what it is of.
        test: keep the p value.
        warning: what to know before believing it.
    """
    if math.isnan(estimate.value):
        return unavailable(key, title, nothing, of=of)
    has_interval = not estimate.no_interval
    return Figure(
        key,
        title,
        kind,
        estimate.value,
        estimate.low if has_interval else None,
        estimate.high if has_interval else None,
        n,
        unit,
        estimate.n_clusters,
        says.replace(VALUE, shown(estimate.value, kind)),
        of or {},
        published_beside(key),
        p_value=estimate.p_value if test and has_interval else None,
        p_is_floor=bool(test and has_interval and estimate.p_is_floor),
        no_interval=estimate.no_interval,
        warning=warning,
    )


def unavailable(
    key: str,
    title: str,
    reason: str,
    *,
    of: Mapping[str, str] | None = None,
) -> Figure:
    """A figure that cannot be computed, and why."""
    return Figure(
        key,
        title,
        "number",
        None,
        None,
        None,
        0,
        "",
        0,
        f"Not available: {reason}.",
        of or {},
        published_beside(key),
        unavailable=reason,
    )
