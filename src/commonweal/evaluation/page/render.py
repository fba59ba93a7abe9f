"""An evaluation as one self-contained page, and as JSON: both from the same figures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING, Any

from commonweal.datasets.schema import WHOSE
from commonweal.evaluation.evaluate import headlines, plots
from commonweal.evaluation.metrics import Metric, Subject
from commonweal.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from commonweal.evaluation.evaluate import Evaluation
    from commonweal.evaluation.metrics import Term

SCHEMA = "commonweal/evaluation/1"

ONE_PAGE = 6
"""With fewer groups there are no intervals: the page shows the statements, and folds the rest."""


def write_page(evaluation: Evaluation, path: Path) -> None:
    """Writes the page to ``path``, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    write_whole(path, render_page(evaluation))


def render_page(evaluation: Evaluation) -> str:
    """The page as HTML. Everything that people or models wrote is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("commonweal.evaluation.page", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = {
        # Made by this program: every text in them is escaped where it is put in.
        key: [(Markup(plot.svg), plot.caption) for plot in made]  # noqa: S704
        for key, made in plots(evaluation).items()
    }
    shown = headlines(evaluation)
    return environment.get_template("evaluation.html.j2").render(
        css=(resources.files("commonweal") / "report.css").read_text(encoding="utf-8"),
        evaluation=evaluation,
        about=evaluation.about,
        whose=WHOSE[evaluation.about.people],
        headlines=[one for one in shown if one.value is not None],
        plots=drawn,
        one_page=ONE_PAGE,
        folded=int(evaluation.counts["groups"]) < ONE_PAGE,
        missing=_by_reason(evaluation),
        no_intervals=_common_reasons(evaluation),
        terms=_terms(shown),
        terms_of={section.key: _terms(section.figures) for section in evaluation.sections},
    )


def _terms(figures: Iterable[Metric[Subject]]) -> list[Term]:
    """The words in these figures that need one, and their meaning."""
    there = [one for one in figures if one.value is not None]
    terms = list(dict.fromkeys(term for one in there for term in one.subject.terms))
    floors = {f"{one.n_groups} groups: {one.p_value:.3f}" for one in there if one.p_is_floor}
    if floors:
        terms.append(
            (
                "p ≤",
                "all resamples lie on one side of 0; so few groups can show no smaller p "
                f"({'; '.join(sorted(floors))})",
            )
        )
    return terms


def _by_reason(evaluation: Evaluation) -> dict[str, list[str]]:
    """Why figures are missing, to the titles of those that are."""
    titles: dict[str, list[str]] = {}
    for figure in evaluation.figures.values():
        if figure.value is None:
            titles.setdefault(figure.says, []).append(figure.title)
    return titles


def _common_reasons(evaluation: Evaluation) -> dict[str, int]:
    """Why several figures have no interval, to how many: said once, not at each."""
    reasons = Counter(
        figure.no_interval
        for figure in evaluation.figures.values()
        if figure.value is not None and figure.no_interval
    )
    return {why: n for why, n in reasons.items() if n > 1}


def as_json(evaluation: Evaluation) -> str:
    """All figures as JSON: the page as data.

    Layout ``commonweal/evaluation/1``: ``about``, ``counts``, ``facts``, ``notes`` (what was
    repaired), ``policies`` (of a study: what each is), and ``sections`` with their tables of
    metrics, called figures (the attributes of ``Metric``; ``of`` is its subject).
    """
    about = evaluation.about
    return json.dumps(
        {
            "schema": SCHEMA,
            "about": {
                "name": about.name,
                "people": about.people,
                "whose_ratings": WHOSE[about.people],
                "scale": about.scale.name,
                "source": about.source,
                "licence": about.licence,
                "attribution": about.attribution,
            },
            "counts": evaluation.counts,
            "facts": evaluation.facts,
            "notes": list(evaluation.notes),
            "policies": {arm.name: asdict(arm) for arm in evaluation.arms},
            "sections": [
                _some(section, "key title source rule")
                | {
                    "tables": [
                        {"title": table.title}
                        | {"figures": [_some(one, _METRIC) for one in table.figures]}
                        | _some(table, "caution how")
                        for table in section.tables
                    ],
                    "extra": section.extra,
                }
                for section in evaluation.sections
            ],
        },
        default=asdict,  # of a published number
        ensure_ascii=False,
        indent=1,
        allow_nan=False,
    )


def _some(one: object, names: str) -> dict[str, Any]:
    return {name: getattr(one, name) for name in names.split()}


_METRIC = (
    "key title kind value low high n unit n_groups says of published p_value p_is_floor "
    "unavailable no_interval warning"
)


def write_json(evaluation: Evaluation, path: Path) -> None:
    """Writes ``as_json`` to ``path``, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    write_whole(path, as_json(evaluation) + "\n")
