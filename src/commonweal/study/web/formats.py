"""How times, numbers and texts are shown."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import segno
from markupsafe import Markup, escape


def paragraphs(text: str) -> Markup:
    """The text escaped, a paragraph for each block between blank lines."""
    blocks = [block.strip() for block in text.strip().split("\n\n")]
    return Markup("").join(
        Markup('<p dir="auto">{}</p>').format(escape(block)) for block in blocks if block
    )


def clock(seconds: float) -> str:
    """The time of day at the server, "14:05"; the page's script shows the reader's own."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M")


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


def qr_svg(address: str) -> Markup:
    """The address as a QR code: SVG without style or script."""
    out = io.BytesIO()
    segno.make(address, error="m").save(
        out, kind="svg", border=2, xmldecl=False, omitsize=True, dark="#000", light="#fff"
    )
    return Markup(out.getvalue().decode())  # noqa: S704 - made by the library from numbers alone
