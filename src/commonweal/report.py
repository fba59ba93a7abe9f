"""One self-contained page about one agreement: nothing is loaded from anywhere, no script runs."""

from __future__ import annotations

from collections import Counter
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonweal.rules import PAPERS_RULES, described
from commonweal.types import AGREEMENT_SCALE, RATING_MAX, RATING_MIN, RATING_NEUTRAL

if TYPE_CHECKING:
    from jinja2 import Template

    from commonweal.result import Agreement

# From orange by white to blue: told apart with any of the common colour-vision deficiencies.
_DISAGREE, _NEUTRAL, _AGREE = (202, 92, 12), (255, 255, 255), (24, 90, 169)


def write_report(result: Agreement, path: str | Path) -> None:
    """Writes the page about ``result`` to ``path``, whole or not at all."""
    from commonweal.files import write_whole

    write_whole(Path(path), render_report(result))


def render_report(result: Agreement) -> str:
    """The page about ``result`` as HTML. Everything that people or models wrote is escaped."""
    columns = result.ranking.order
    rows = [
        {
            "id": opinion.id,
            "omitted": opinion.id in result.omitted,
            "cells": [_cell(float(result.utilities[row, c])) for c in columns],
        }
        for row, opinion in enumerate(result.opinions)
    ]
    candidates = [
        {
            "id": result.candidates[c].id,
            "text": result.candidates[c].text,
            "rank": result.ranking.ranks[c],
            "welfare": f"{result.welfare[c]:.2f}",
            "lowest": f"{result.utilities[:, c].min():.1f}",
            "chosen": c == result.closest_index,
        }
        for c in columns
    ]
    legend = [
        _cell(float(rating)) | {"text": f"{rating} {AGREEMENT_SCALE[rating - 1].lower()}"}
        for rating in range(RATING_MIN, RATING_MAX + 1)
    ]
    facts = [(name.replace("_", " "), value) for name, value in result.provenance.items()]
    facts += [("prompt hash", each.prompt_hash) for each in result.candidates[:1]]
    facts += [(f"{stage}, seconds", value) for stage, value in result.timings_seconds.items()]
    return _template().render(
        result=result,
        css=(resources.files("commonweal") / "report.css").read_text(encoding="utf-8"),
        candidates=candidates,
        rows=rows,
        legend=legend,
        others=_others(result),
        tied=[each.id for each in result.tied],
        reasons=Counter(str(r.reason) for r in result.rejections).most_common(),
        facts=facts,
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("commonweal", ""), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html.j2")


def _others(result: Agreement) -> list[dict[str, Any]]:
    others = []
    for rule in PAPERS_RULES:
        other = result.under(rule)
        best = other.closest_index
        if best is None:
            continue
        others.append(
            {
                "name": rule.name,
                "means": described(rule),
                "id": other.candidates[best].id,
                "same": best == result.closest_index,
                "welfare": f"{other.welfare[best]:.2f}",
                "lowest": f"{other.utilities[:, best].min():.1f}",
            }
        )
    return others


def _cell(rating: float) -> dict[str, str]:
    """The number with its background, and an ink that can be read on it."""
    span = RATING_MAX - RATING_NEUTRAL
    strength = min(abs(rating - RATING_NEUTRAL) / span, 1.0)
    end = _AGREE if rating >= RATING_NEUTRAL else _DISAGREE
    red, green, blue = (
        round(start + (stop - start) * strength) for start, stop in zip(_NEUTRAL, end, strict=True)
    )
    # Below this luminance white has more contrast than black; either then has at least 4.5.
    dark = _luminance(red, green, blue) < 0.179
    return {
        "text": f"{rating:.1f}",
        "background": f"#{red:02x}{green:02x}{blue:02x}",
        "ink": "#ffffff" if dark else "#000000",
    }


def _luminance(red: int, green: int, blue: int) -> float:
    """Relative luminance of WCAG 2.2, from 0 (black) to 1 (white)."""
    linear = [
        c / 12.92 if (c := value / 255) <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for value in (red, green, blue)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
