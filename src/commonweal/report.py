"""One self-contained page about one agreement, for whoever leads the group: nothing is loaded.

Its one script is ours, for two buttons; the page's policy names its hash, so no other can run.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from functools import cache
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonweal.large.picture import map_svg
from commonweal.outcomes import UNSURE_POINTS, Verdict, is_near_copy
from commonweal.reading.differences import word_differences
from commonweal.result import Agreement
from commonweal.rules import PAPERS_RULES, described
from commonweal.types import AGREEMENT_SCALE, RATING_MAX, RATING_MIN, RATING_NEUTRAL

if TYPE_CHECKING:
    from jinja2 import Template

MAX_ALTERNATIVES = 3
_TESTED = ("probe", "reader")
"""Reward models whose ranges were checked, by grades of language models."""
_KINDS = {Verdict.AGREES: "agrees", Verdict.UNSURE: "unsure", Verdict.DISAGREES: "disagrees"}

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
    set_aside, no_better = result.set_aside, result.revised_no_better()
    candidates = [
        {
            "id": result.candidates[c].id,
            "text": result.candidates[c].text,
            "author": result.candidates[c].author,
            "rank": result.ranking.ranks[c],
            "welfare": f"{result.welfare[c]:.2f}",
            "lowest": f"{result.utilities[:, c].min():.1f}",
            "chosen": c == result.closest_index and result.statement is not None,
            "quality": "" if result.qualities is None else f"{result.qualities[c]:.1f}",
            "weak": c in result.weak,
            "no_better": c in no_better and c not in result.weak,
            "unlisted": c in set_aside - result.weak - no_better and c not in result.proposed,
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
    script = (resources.files("commonweal") / "report.js").read_text(encoding="utf-8")
    people = _people(result)
    return _template().render(
        result=result,
        script=script,
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        people=people,
        changed=_changed(result),
        against=[each["id"] for each in people if each["kind"] == "disagrees"],
        summary=_summary(result),
        has_ranges=result.low is not None,
        is_tested=result.provenance.get("reward_model") in _TESTED,
        alternatives=_alternatives(result),
        proposed=_proposed(result),
        css=(resources.files("commonweal") / "report.css").read_text(encoding="utf-8"),
        candidates=candidates,
        rows=rows,
        legend=legend,
        others=_others(result),
        tied=[each.id for each in result.tied],
        reasons=Counter(str(r.reason) for r in result.rejections).most_common(),
        facts=facts,
        verdicts=_summary(result),
        texts={each.id: each.text for each in result.candidates},
        map=map_svg(result) if result.population and result.population.places else "",
    )


def _changed(result: Agreement) -> dict[str, Any] | None:
    """What a round of critique changed, and for whom; None of a first round."""
    before = result.before
    if before is None or before.closest is None or result.closest is None:
        return None
    critics = {each.participant_id for each in result.critiques}
    gains = []
    for who, is_in in (("said what they would change", True), ("would change nothing", False)):
        changes = [gain for name, gain in result.gains.items() if (name in critics) is is_in]
        if changes:
            gains.append(
                f"Of those who {who} ({len(changes)}), predicted agreement with the new text "
                f"differs from that with the old by {sum(changes) / len(changes):+.1f} of 7 points "
                "on average."
            )
    return {"parts": word_differences(before.closest.text, result.closest.text), "gains": gains}


def _people(result: Agreement) -> list[dict[str, Any]]:
    """Everybody with a bar in per cent of the scale: the range, or what one step around is."""
    index = result.closest_index
    if index is None:
        return []
    expected = result.utilities[:, index]
    low = expected - UNSURE_POINTS if result.low is None else result.low[:, index]
    high = expected + UNSURE_POINTS if result.high is None else result.high[:, index]
    low, high = low.clip(RATING_MIN, RATING_MAX), high.clip(RATING_MIN, RATING_MAX)
    span = RATING_MAX - RATING_MIN
    return [
        {
            "id": opinion.id,
            "omitted": opinion.id in result.omitted,
            "kind": _KINDS[verdict],
            "said": verdict.value,
            "left": round(100 * float(low[row] - RATING_MIN) / span, 1),
            "width": round(100 * float(high[row] - low[row]) / span, 1),
        }
        for row, (opinion, verdict) in enumerate(
            zip(result.opinions, result.verdicts(index), strict=True)
        )
    ]


def _summary(result: Agreement) -> str:
    """What is predicted of the text that is shown, or that nothing is."""
    if result.closest_index is None:
        return ""
    return (
        _counted(result, result.closest_index)
        or "The model can't tell of anybody whether they would agree. Ask them."
    )


def _counted(result: Agreement, column: int, *, but: str = "") -> str:
    """How many likely agree and disagree, without who wrote it; nothing where that can be told of
    nobody.
    """
    verdicts = [
        verdict
        for opinion, verdict in zip(result.opinions, result.verdicts(column), strict=True)
        if opinion.id != but
    ]
    counts = Counter(verdicts)
    if set(counts) == {Verdict.UNSURE}:
        return ""
    return (
        f"Of {f'the other {len(verdicts)}' if but else len(verdicts)}, {counts[Verdict.AGREES]} "
        f"likely to agree and {counts[Verdict.DISAGREES]} likely to disagree; for "
        f"{counts[Verdict.UNSURE]} the model can't tell."
    )


def _alternatives(result: Agreement) -> list[dict[str, str]]:
    """The best candidates worth showing that are no near-copies of the closest or each other; the
    most sensible where the model that wrote them needs a shortlist.
    """
    if result.closest is None:
        return []
    kept = [result.closest.text]
    alternatives: list[dict[str, str]] = []
    for column in dict.fromkeys((*result.by_sense, *result.ranking.order)):
        if column in result.proposed:  # it has a place of its own
            continue
        text = result.candidates[column].text
        is_new = not any(is_near_copy(text, one) for one in kept)
        if column not in result.weak and is_new and len(alternatives) < MAX_ALTERNATIVES:
            kept.append(text)
            its_id = result.candidates[column].id
            alternatives.append({"id": its_id, "text": text, "said": _counted(result, column)})
    return alternatives


def _proposed(result: Agreement) -> list[dict[str, str]]:
    """What people proposed in their own words, with whose they are."""
    return [
        {
            "id": candidate.id,
            "text": candidate.text,
            "author": candidate.author,
            "said": _counted(result, column, but=candidate.author),
        }
        for column in result.also_proposed
        for candidate in (result.candidates[column],)
    ]


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
