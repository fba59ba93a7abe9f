"""The plots of each section, made from its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from commonweal.evaluation.drawing.canvas import Canvas, Point
from commonweal.evaluation.metrics import Figure, Kind
from commonweal.evaluation.page.curves import (
    best_of_n_curves,
    calibration_curve,
    having,
    power_curves,
    rating_bars,
    win_rates_and_bounds,
)
from commonweal.evaluation.sections.win_rates import SPLIT_TITLES
from commonweal.showing import Plot

if TYPE_CHECKING:
    from commonweal.evaluation.evaluate import Evaluation


def plots(evaluation: Evaluation) -> dict[str, list[Plot]]:
    """The plots of each section by its key; those without anything to show are left out."""
    found: dict[str, list[Plot]] = {}
    canvas = Canvas(evaluation.about.people)
    with canvas.style():
        for section in evaluation.sections:
            make = _PLOTS.get(section.key)
            figures = {one.key: one for one in section.figures if one.value is not None}
            if make is not None and figures:
                found[section.key] = [plot for plot in make(canvas, figures) if plot is not None]
    return found


Figures = dict[str, Figure]


def _points(
    figures: Iterable[Figure], row: Callable[[Figure], str], series: Callable[[Figure], str]
) -> list[Point]:
    return [Point(row(one), series(one), one) for one in figures]


def _win_rates(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    def pair(one: Figure) -> str:
        return f"{one.of['policy']} over {one.of['against']}"

    words = {"mean": "mean", "median": "median", "min": "minimum", "person": "each person"}
    overall = [one for one in having(figures, "win_rate/") if one.of["rounds"] == "all"]
    parts = {
        **SPLIT_TITLES,
        "divisive": "divisive rounds",
        "not_divisive": "rounds that are not divisive",
    }
    by_part = [one for one in having(figures, "win_rate/mean/") if one.of["rounds"] in parts]
    return [
        canvas.forest(
            [("Win rate", _points(overall, pair, lambda one: words[one.of["statistic"]]))],
            "Win rates of one policy over another, ties left out; the line is a coin toss.",
            reference=0.5,
            limits=(0, 1),
        ),
        canvas.forest(
            [("Win rate, group mean", _points(by_part, pair, lambda one: parts[one.of["rounds"]]))],
            "The same by split and by divisiveness.",
            reference=0.5,
            limits=(0, 1),
        ),
    ]


def _divisiveness(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    def panel(start: str) -> list[Point]:
        return _points(
            having(figures, start), lambda one: one.of["policy"], lambda _: "these rounds"
        )

    return [
        canvas.forest(
            [
                ("Candidates less divisive", panel("less_divisive/")),
                ("Rounds with a unanimous one", panel("unanimous/")),
            ],
            "Left: candidates that divide the group less than the position statement. Right: "
            "divisive rounds where everybody agrees with some candidate.",
            limits=(0, 1),
        )
    ]


def _regression(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    def panel(outcome: str) -> list[Point]:
        kept = [
            one
            for one in having(figures, f"effect/{outcome}/")
            if not one.key.endswith("equal_length/length")
        ]
        return _points(
            kept,
            lambda one: f"{one.of['policy']} over {one.of['baseline']}",
            lambda one: "at equal length" if "/equal_length/" in one.key else "as it is",
        )

    return [
        canvas.forest(
            [("Points of agreement", panel("agreement")), ("Points of quality", panel("quality"))],
            "What a policy adds to a person's rating over another in the same round.",
            reference=0,
        ),
        canvas.forest(
            [
                (
                    "Log-odds, mixed-effects models",
                    _points(
                        having(figures, "mixed/"),
                        lambda one: f"{one.of['policy']} over {one.of['baseline']}",
                        lambda one: _MIXED[one.key.split("/")[1]],
                    ),
                )
            ],
            "What a policy adds to the log-odds of agreement, given the random effects.",
            reference=0,
        ),
    ]


_MIXED = {"logistic": "agreeing (logistic)", "ordinal": "a higher rating (ordinal)"}


def _against_human(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    rounds = {
        "all": "",
        **{split: f", {title}" for split, title in SPLIT_TITLES.items()},
        "divisive": ", divisive rounds",
        "not_divisive": ", rounds that are not divisive",
    }
    return [
        canvas.forest(
            [
                (
                    "Candidates rated above the others' opinions",
                    _points(
                        having(figures, "against_human/"),
                        lambda one: one.of["policy"] + rounds[one.of["rounds"]],
                        lambda one: f"{one.of['comparison']} against {one.of['comparison']}",
                    ),
                )
            ],
            "How often a person rates a policy's candidates above what the others wrote.",
            reference=0.5,
            limits=(0, 1),
        )
    ]


def _exclusion(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    return [
        canvas.forest(
            [
                (
                    "Included minus excluded, points",
                    _points(
                        having(figures, "inclusion/"),
                        lambda one: one.of["outcome"],
                        lambda one: one.of.get("policy", "all policies"),
                    ),
                )
            ],
            "How much higher people rate candidates that were written with their opinion.",
            reference=0,
        )
    ]


def _raters(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    kept = [one for one in figures.values() if one.kind == "number"]
    return [
        canvas.forest(
            [("Kappa or alpha", _points(kept, lambda one: one.title, lambda _: "these rounds"))],
            "Reliability within raters (kappa) and between raters (Krippendorff's alpha).",
            reference=0,
        )
    ]


def _welfare(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    def panel(statistic: str) -> list[Point]:
        names = {"random": "by lot", "best": "best possible"}
        return _points(
            having(figures, f"welfare/{statistic}/"),
            lambda one: names.get(one.of["welfare"], one.of["welfare"]),
            lambda _: "these rounds",
        )

    return [
        canvas.forest(
            [("Realised mean, points", panel("mean")), ("Realised minimum, points", panel("min"))],
            "What the group made of the candidate that each welfare function picks.",
        )
    ]


def _confounds(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    def panel(title: str, kind: Kind) -> list[tuple[str, list[Point]]]:
        kept = [one for one in having(figures, "confound/") if one.kind == kind]
        return [(title, _points(kept, _confound_row, lambda one: f"at equal {one.of['control']}"))]

    return [
        canvas.forest(
            panel("Share", "share"),
            "Win rates and shares where the sides are equally long, or of equal quality.",
            reference=0.5,
        ),
        canvas.forest(
            panel("Included minus excluded, points", "points"),
            "What being included adds to agreement where it adds nothing to quality.",
            reference=0,
        ),
    ]


def _confound_row(one: Figure) -> str:
    """The title without what is held equal, short enough for two lines."""
    title = one.title.rsplit(", ", 1)[0]
    if "/win_rate_person/" in one.key:
        title = title.replace("Each person's win rate of ", "") + ", each person"
    for more in ("Win rate of ", " against mean", " against best"):
        title = title.replace(more, "")
    return title


def _distributions(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    shares = [one for one in having(figures, "distribution/") if one.of["rating"] != "agree"]
    return [
        rating_bars(canvas, shares),
        canvas.forest(
            [
                (
                    "Share of ratings",
                    _points(
                        shares,
                        lambda one: one.title.removeprefix(f"{one.of['policy']}: "),
                        lambda one: one.of["policy"],
                    ),
                )
            ],
            "The same shares with their intervals.",
        ),
    ]


def _reward_model(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    words = {
        "within": "within a person",
        "agreed": "agreed against disagreed",
        "crossed": "crossed",
    }
    accuracy = canvas.forest(
        [
            (
                "Accuracy",
                _points(
                    having(figures, "accuracy/"),
                    lambda one: words[one.key.split("/")[1]],
                    lambda one: one.of["reward_model"],
                ),
            )
        ],
        "How often the reward model orders statements as people did; the line is guessing.",
        reference=0.5,
        limits=(0, 1),
    )
    return [accuracy, calibration_curve(canvas, having(figures, "calibration/bin/"))]


def _best_of_n(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    wins = having(figures, "best_of_n/win_rate/")
    return [best_of_n_curves(canvas, figures), win_rates_and_bounds(canvas, wins)]


def _power(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    return [power_curves(canvas, figures)]


_PLOTS: dict[str, Callable[[Canvas, Figures], list[Plot | None]]] = {
    "win_rates": _win_rates,
    "divisiveness": _divisiveness,
    "distributions": _distributions,
    "regression": _regression,
    "against_human": _against_human,
    "exclusion": _exclusion,
    "raters": _raters,
    "reward_model": _reward_model,
    "welfare": _welfare,
    "confounds": _confounds,
    "best_of_n": _best_of_n,
    "power": _power,
}
