"""An evaluation as one self-contained page, and as JSON: both from the same figures."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING

from commonweal.evaluation.canvas import WHOSE
from commonweal.evaluation.plots import plots
from commonweal.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from commonweal.evaluation.evaluate import Evaluation
    from commonweal.evaluation.figures import Figure

SCHEMA = "commonweal/evaluation/1"

HEADLINES = (
    "win_rate/mean/all/",
    "less_divisive/all",
    "unanimous/all",
    "against_human/mean/all/",
    "against_human/best/all/",
    "inclusion/agreement",
    "inclusion/quality",
    "kappa/agreement",
    "unreliable",
    "accuracy/crossed/",
)
"""How the keys of the headline figures begin, in the order of the paper."""
WITHOUT_POLICIES = ("distribution/", "krippendorff/agreement/ordinal")
"""Likewise where nothing was written by a policy, and none of the figures above can be computed."""
WITHOUT = ("win_rate", "against_human/mean", "against_human/best", "accuracy/crossed")
"""The keys under which it is said that there is no such figure."""


def headlines(evaluation: Evaluation) -> list[Figure]:
    """The headline figures, in the order of the sections; win rates over the baseline alone."""
    baseline = evaluation.facts["baseline"]
    starts = HEADLINES + (WITHOUT_POLICIES if baseline == "none" else ())
    return [
        figure
        for key, figure in evaluation.figures.items()
        if key in WITHOUT
        or (figure.published is not None and figure.value is not None)
        or (key.startswith(starts) and figure.of.get("against", baseline) == baseline)
    ]


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
        loader=PackageLoader("commonweal.evaluation", ""),
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
    return environment.get_template("evaluation.html.j2").render(
        css=(resources.files("commonweal") / "report.css").read_text(encoding="utf-8"),
        evaluation=evaluation,
        about=evaluation.about,
        whose=WHOSE[evaluation.about.people],
        headlines=headlines(evaluation),
        plots=drawn,
    )


def as_json(evaluation: Evaluation) -> str:
    """All figures as JSON: the page as data.

    Layout ``commonweal/evaluation/1``: ``about``, ``counts``, ``facts``, and ``sections`` with
    their tables of figures (the attributes of ``Figure``).
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
            "sections": [asdict(section) for section in evaluation.sections],
        },
        ensure_ascii=False,
        indent=1,
        allow_nan=False,
    )


def write_json(evaluation: Evaluation, path: Path) -> None:
    """Writes ``as_json`` to ``path``, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    write_whole(path, as_json(evaluation) + "\n")
