"""How times, numbers and texts are shown."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import segno
from markupsafe import Markup, escape

from commonweal.types import RATING_NEUTRAL

if TYPE_CHECKING:
    from commonweal.study.keeping import Outcome
    from commonweal.study.results import Rated
    from commonweal.study.web.texts import Speak


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


def plain_result(t: Speak, outcomes: Sequence[Outcome], language: str) -> str:
    """How a session's questions came out, as a text to keep: everything that its page says."""
    parts = []
    for each in outcomes:
        lines = [each.row.question, date(each.row.ended_at), ""]
        if not each.rated:
            lines.append(t("result.nobody" if each.results else "result.none"))
        if each.before is not None:
            lines += [*_revised(t, each), ""]
        for place, rated in enumerate(each.rated):
            agreed = rated.is_agreed(each.n_asked)
            if place == 0:
                lines += [] if agreed else [t("result.no_agreement")]
                lines.append(t("result.statement" if agreed else "result.closest") + ":")
            elif place == 1:
                lines.append(t("result.others") + ":")
            n = rated.n
            lines += [rated.statement.text, _counted(t, rated, language)]
            if n < each.n_asked:
                lines.append(t("result.unrated", n=each.n_asked - n, asked=each.n_asked))
            lines.append("")
        if each.rated:
            n = each.rated[0].n
            people = t("result.one_person") if n == 1 else t("result.some_people", n=n)
            lines += [t("result.caveats_title") + ":", t("result.caveats", n=people), ""]
        parts.append("\n".join(lines))
    return ("\n\n".join(parts)).rstrip() + "\n"


def _revised(t: Speak, found: Outcome) -> list[str]:
    """What became of the statement when it was revised."""
    if not found.n_critics:
        return [t("revision.nobody")]
    counts = found.may_count_critics
    key = "critics" if counts else "some"
    said = [t(f"revision.{key}", n=found.n_critics, heard=found.n_heard)]
    if found.stands:
        return [*said, t("revision.nothing")]
    return [*said, t("revision.kept" if found.is_kept else "revision.taken")]


def _counted(t: Speak, rated: Rated, language: str) -> str:
    if rated.is_small:
        return t("result.few", n=rated.n, band=t(f"result.band_{rated.band}"))
    return t(
        "result.rated",
        n=rated.n,
        n_agree=rated.n_agree,
        n_disagree=rated.n_disagree,
        n_neutral=rated.n_neutral,
        mean=number(rated.mean, language),
    )


def qr_svg(address: str) -> Markup:
    """The address as a QR code: SVG without style or script."""
    out = io.BytesIO()
    segno.make(address, error="m").save(
        out, kind="svg", border=2, xmldecl=False, omitsize=True, dark="#000", light="#fff"
    )
    return Markup(out.getvalue().decode())  # noqa: S704 - made by the library from numbers alone
