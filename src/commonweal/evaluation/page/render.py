"""An evaluation as one self-contained page, and as JSON: both from the same figures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING

from commonweal.datasets.schema import WHOSE
from commonweal.evaluation.page.plots import plots
from commonweal.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from commonweal.evaluation.evaluate import Evaluation
    from commonweal.evaluation.metrics import Figure

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
    "revision/gain/agreement/",
)
"""The keys of the headline figures, or, with "/" at the end, how they begin; as in the paper."""
WITHOUT_POLICIES = ("distribution/", "krippendorff/agreement/ordinal")
"""Likewise where nothing was written by a policy, and none of the figures above can be computed."""
WITHOUT = ("win_rate", "against_human/mean", "against_human/best", "accuracy/crossed")
"""The keys under which it is said that there is no such figure."""


TERMS = {
    "win_rate/": (
        "win rate",
        "how often one policy's statements are rated above another's in the same round; a policy "
        "is a way of writing statements, and rounds where both are even are left out",
    ),
    "less_divisive": (
        "divisive",
        "of a round: some people agree with its position statement and some disagree; neutral is "
        "neither",
    ),
    "less_divisive/": (
        "less divisive",
        "fewer people stand on the smaller side than with the position statement, the sentence "
        "that takes a side and that people rate first",
    ),
    "unanimous": ("unanimous", "everybody who rated a statement agrees with it"),
    "unanimous_by/": ("pass", "one time that a person rated the statements: many rate them twice"),
    "kappa/": (
        "kappa",
        "how well a person's two ratings of the same statements go together: 1 always the same, 0 "
        "no nearer than chance; the first and the second time are the two passes",
    ),
    "krippendorff/": (
        "Krippendorff's alpha",
        "how far people agree with each other on the same statements: 1 all the same, 0 no more "
        "than by chance, below 0 less",
    ),
    "mixed/": (
        "log-odds",
        "the logarithm of the odds: 0 is no difference, 0.7 is twice the odds, -0.7 half of them",
    ),
    "welfare/": (
        "by lot",
        "what the group would have made of a candidate drawn at random, with no welfare function "
        "at work",
    ),
    "inclusion/": ("included", "the policy saw the person's opinion when it wrote the statement"),
    "accuracy/crossed": (
        "crossed accuracy",
        "how often the reward model tells which of two people agrees with which of two statements",
    ),
}
"""Words that need one: by how the keys of their figures begin, word and meaning."""
ONE_PAGE = 6
"""With fewer groups there are no intervals: the page shows the statements, and folds the rest."""


def headlines(evaluation: Evaluation) -> list[Figure]:
    """The headline figures, in the order of the sections; win rates over the baseline alone."""
    baseline = evaluation.facts["baseline"]
    wanted = HEADLINES + (WITHOUT_POLICIES if baseline == "none" else ())
    starts = tuple(one for one in wanted if one.endswith("/"))
    return [
        figure
        for key, figure in evaluation.figures.items()
        if key in WITHOUT
        or key in wanted
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


def _terms(figures: Iterable[Figure]) -> list[tuple[str, str]]:
    """The words in these figures that need one, and their meaning."""
    there = [one for one in figures if one.value is not None]
    found = [
        term for start, term in TERMS.items() if any(one.key.startswith(start) for one in there)
    ]
    floors = {f"{one.n_groups} groups: {one.p_value:.3f}" for one in there if one.p_is_floor}
    if floors:
        found.append(
            (
                "p ≤",
                "all resamples lie on one side of 0; so few groups can show no smaller p "
                f"({'; '.join(sorted(floors))})",
            )
        )
    return found


def _by_reason(evaluation: Evaluation) -> dict[str, list[str]]:
    """Why figures are missing, to the titles of those that are."""
    found: dict[str, list[str]] = {}
    for figure in evaluation.figures.values():
        if figure.value is None:
            found.setdefault(figure.says, []).append(figure.title)
    return found


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
    figures (the attributes of ``Figure``).
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
