"""How a session's result is saved: as a text, and as a table for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from commonweal.study.export.payments import safe_cell
from commonweal.study.web.formats import date, number
from commonweal.types import RATING_MAX, RATING_MIN

if TYPE_CHECKING:
    from commonweal.study.domain.outcome import RoundOutcome
    from commonweal.study.domain.results import RatedStatement
    from commonweal.study.web.translation import Translate

_POINTS = range(RATING_MIN, RATING_MAX + 1)
COLUMNS = (
    "question",
    "revision",
    "statement",
    "is_the_one_rated_highest",
    "is_agreed",
    "is_the_statement_before",
    "is_of_the_minority",
    "n_asked",
    "n_rated",
    "n_agree",
    "n_neutral",
    "n_disagree",
    "mean_agreement",
    *(f"n_gave_{point}" for point in _POINTS),
)
"""Of the table. ``revision`` is 0 where statements are written first, then 1 and so on."""


def plain_result(t: Translate, outcomes: Sequence[RoundOutcome], language: str) -> str:
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
            if place == 0:
                lines += _beside(t, each)
        if each.rated:
            n = each.rated[0].n
            people = t("result.one_person") if n == 1 else t("result.some_people", n=n)
            lines += [t("result.caveats_title") + ":", t("result.caveats", n=people), ""]
        parts.append("\n".join(lines))
    return ("\n\n".join(parts)).rstrip() + "\n"


def _revised(t: Translate, outcome: RoundOutcome) -> list[str]:
    """What became of the statement when it was revised."""
    if outcome.stands == "nobody":
        return [t("revision.nobody")]
    lines = []
    if outcome.n_critics:
        key = "critics" if outcome.may_count_critics else "some"
        lines.append(t(f"revision.{key}", n=outcome.n_critics, heard=outcome.n_heard))
    if outcome.stands:
        return [*lines, t(f"revision.{outcome.stands}")]
    if outcome.old is not None:
        lines.append(t("revision.kept" if outcome.is_kept else "revision.taken"))
    return [*lines, t("revision.by_hand")] if outcome.is_by_hand else lines


def _beside(t: Translate, outcome: RoundOutcome) -> list[str]:
    """What stands beside the statement: what divides, what the minority adds, what is shared."""
    lines = []
    best = outcome.rated[0]
    if outcome.divisive is not None and outcome.divisive.statement.id != best.statement.id:
        lines += [t("result.divides") + ":", outcome.divisive.statement.text, ""]
    elif outcome.divisive is not None and not best.is_agreed(outcome.n_asked):
        lines += [t("result.divides_too"), ""]
    if outcome.minority is not None:
        lines += [*_of_minority(t, outcome), ""]
    if outcome.shared:
        texts = [each.statement.text for each in outcome.shared]
        lines += [t("result.shared") + ":", *texts, t("result.shared_text"), ""]
    return lines


def _of_minority(t: Translate, outcome: RoundOutcome) -> list[str]:
    """What those who disagree would add, or why they are not heard."""
    if outcome.minority is None or not outcome.may_speak:
        return [t("minority.title") + ":", t(f"minority.none_{outcome.why_silent}")]
    about = t(f"minority.{outcome.minority.basis}")
    return [t("minority.title") + ":", outcome.minority.text, about]


def _counted(t: Translate, rated: RatedStatement, language: str) -> str:
    if rated.is_small:
        if rated.band == "one":
            return t("result.few_one")
        return t("result.few", n=rated.n, band=t(f"result.band_{rated.band}"))
    return t(
        "result.rated",
        n=rated.n,
        n_agree=rated.n_agree,
        n_disagree=rated.n_disagree,
        n_neutral=rated.n_neutral,
        mean=number(rated.mean, language),
    )


def table_of(outcomes: Sequence[RoundOutcome]) -> str:
    """How a session's questions came out, as CSV: a row for each statement that was rated,
    and one for the minority's sentence.

    Counts are blank where so few rated that they would give single answers away. A "'" stands
    before what a spreadsheet would calculate.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for outcome in outcomes:
        for one in _rounds_of(outcome):
            for place, rated in enumerate(one.rated):
                writer.writerow([safe_cell(cell) for cell in _cells(one, rated, place)])
        if outcome.minority is not None and outcome.may_speak:
            writer.writerow([safe_cell(cell) for cell in _theirs(outcome, outcome.minority.text)])
    return out.getvalue()


def _rounds_of(outcome: RoundOutcome) -> Iterator[RoundOutcome]:
    """The rounds on a question, the first first; one in which nothing new was rated is left out."""
    if outcome.before is not None:
        yield from _rounds_of(outcome.before)
    if not outcome.stands:
        yield outcome


def _cells(one: RoundOutcome, rated: RatedStatement, place: int) -> list[str]:
    """A statement's row."""
    counts: list[str] = [""] * (4 + len(_POINTS))
    if not rated.is_small:
        counts = [str(n) for n in (rated.n_agree, rated.n_neutral, rated.n_disagree)]
        counts += [f"{rated.mean:.2f}", *(map(str, rated.histogram or [""] * len(_POINTS)))]
    is_best = place == 0
    return [
        one.row.question,
        str(one.row.revision),
        rated.statement.text,
        _yes(is_best),
        _yes(is_best and rated.is_agreed(one.n_asked)),
        _yes(rated.statement.same_as_id is not None),
        _yes(False),
        str(one.n_asked),
        str(rated.n),
        *counts,
    ]


def _theirs(outcome: RoundOutcome, text: str) -> list[str]:
    """The row of the minority's sentence, which nobody rates."""
    cells = [outcome.row.question, str(outcome.row.revision), text, *map(_yes, (0, 0, 0, 1))]
    return [*cells, *[""] * (len(COLUMNS) - len(cells))]


def _yes(value: object) -> str:
    return "yes" if value else "no"
