"""How times, numbers and texts are shown."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime

import segno
from markupsafe import Markup, escape

from commonweal.types import RATING_NEUTRAL


def paragraphs(text: str) -> Markup:
    """The text escaped, a paragraph for each block between blank lines."""
    blocks = [block.strip() for block in text.strip().split("\n\n")]
    return Markup("").join(
        Markup('<p dir="auto">{}</p>').format(escape(block)) for block in blocks if block
    )


def clock(seconds: float) -> str:
    """The time of day at the server, "14:05 CET", with the date where it is not today; the page's
    script shows the reader's own.
    """
    at, today = datetime.fromtimestamp(seconds).astimezone(), datetime.now().astimezone().date()
    return at.strftime("%H:%M %Z" if at.date() == today else "%Y-%m-%d %H:%M %Z")


def iso(seconds: float) -> str:
    """The time for a <time> element."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def date(seconds: float | None) -> str:
    """Date and time, UTC; a dash where there is none."""
    if seconds is None:
        return "–"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def number(value: float, language: str = "en") -> str:
    """A number with one decimal, as the language writes it."""
    text = f"{value:.1f}"
    return text.replace(".", ",") if language == "de" else text


def person_bars(ratings: Sequence[float], says: str) -> Markup:
    """A bar for each person, as high as their rating from 1 to 7, as SVG without style or script.

    The highest stands first, so that nobody's place in the group is told.
    """
    width, height = 12 * len(ratings) + 2, 7 * 8
    bars = []
    for place, each in enumerate(ratings):
        side = "for" if each > RATING_NEUTRAL else "against" if each < RATING_NEUTRAL else "between"
        tall = round(8 * each, 1)
        bars.append(
            f'<rect class="{side}" x="{12 * place + 2}" y="{height - tall}" width="9" '
            f'height="{tall}"/>'
        )
    middle = height - 8 * RATING_NEUTRAL
    return Markup(
        '<svg class="bars" role="img" aria-label="{says}" viewBox="0 0 {width} {height}" '
        'width="{wide}" height="{high}">{bars}<line x1="0" x2="{width}" y1="{middle}" '
        'y2="{middle}"/></svg>'
    ).format(
        says=says,
        width=width,
        height=height,
        wide=2 * width,
        high=2 * height,
        bars=Markup("".join(bars)),  # noqa: S704 - made of numbers alone
        middle=middle,
    )


def qr_svg(address: str) -> Markup:
    """The address as a QR code: SVG without style or script."""
    out = io.BytesIO()
    segno.make(address, error="m").save(
        out, kind="svg", border=2, xmldecl=False, omitsize=True, dark="#000", light="#fff"
    )
    return Markup(out.getvalue().decode())  # noqa: S704 - made by the library from numbers alone
