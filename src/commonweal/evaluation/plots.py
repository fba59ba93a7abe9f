"""The plots of each section, made from its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from commonweal.evaluation.canvas import COLOURS, MARKERS, Canvas, Plot, Point, short
from commonweal.evaluation.figures import Figure
from commonweal.evaluation.win_rates import SPLIT_TITLES

if TYPE_CHECKING:
    from commonweal.evaluation.evaluate import Evaluation

# From orange by grey to blue, the house's scale of disagreement and agreement.
_LOW, _MIDDLE, _HIGH = (202, 92, 12), (236, 236, 236), (24, 90, 169)


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


def _having(figures: Figures, start: str) -> list[Figure]:
    return [one for key, one in figures.items() if key.startswith(start)]


def _points(
    figures: Iterable[Figure], row: Callable[[Figure], str], series: Callable[[Figure], str]
) -> list[Point]:
    return [Point(row(one), series(one), one) for one in figures]


def _win_rates(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    def pair(one: Figure) -> str:
        return f"{one.of['policy']} over {one.of['against']}"

    words = {"mean": "mean", "median": "median", "min": "minimum", "person": "each person"}
    overall = [one for one in _having(figures, "win_rate/") if one.of["rounds"] == "all"]
    parts = {
        **SPLIT_TITLES,
        "divisive": "divisive rounds",
        "not_divisive": "rounds that are not divisive",
    }
    by_part = [one for one in _having(figures, "win_rate/mean/") if one.of["rounds"] in parts]
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
            _having(figures, start), lambda one: one.of["policy"], lambda _: "these rounds"
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


def _distributions(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    shares = [one for one in _having(figures, "distribution/") if one.of["rating"] != "agree"]
    policies = list(dict.fromkeys(one.of["policy"] for one in shares))
    ratings = list(dict.fromkeys(one.of["rating"] for one in shares))
    drawing, (ax,) = canvas.axes(len(policies) + 1)
    left = dict.fromkeys(policies, 0.0)
    for i, rating in enumerate(ratings):
        colour, ink = _diverging(i, len(ratings))
        mine = {one.of["policy"]: one for one in shares if one.of["rating"] == rating}
        widths = [mine[name].value or 0.0 for name in policies]
        ax.barh(
            range(len(policies)),
            widths,
            left=[left[name] for name in policies],
            color=colour,
            edgecolor="white",
            linewidth=0.8,
            label=rating.replace("-", "−"),
        )
        for y, (name, width) in enumerate(zip(policies, widths, strict=True)):
            if width >= 0.05:
                middle = left[name] + width / 2
                text = f"{rating}: {100 * width:.0f}".replace("-", "−")
                ax.text(middle, y, text, color=ink, ha="center", va="center", fontsize=8)
            left[name] += width
    from matplotlib.ticker import PercentFormatter

    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_xlim(0, 1)
    ax.set_yticks(range(len(policies)), [short(name) for name in policies])
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.set_xlabel("Share of ratings; in the bars, rating: per cent")
    return [
        canvas.plot(
            drawing,
            "How the ratings of each policy's statements are spread, lowest rating on the left. "
            "Intervals are in the table.",
        )
    ]


def _diverging(i: int, n: int) -> tuple[str, str]:
    """The colour of step i of n from disagreement to agreement, and an ink that can be read."""
    place = 2 * i / (n - 1) - 1
    end = _HIGH if place > 0 else _LOW
    channels = [
        round(start + (stop - start) * abs(place)) for start, stop in zip(_MIDDLE, end, strict=True)
    ]
    light = 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]
    return "#{:02x}{:02x}{:02x}".format(*channels), "#000000" if light > 120 else "#ffffff"


def _regression(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    def panel(outcome: str) -> list[Point]:
        kept = [
            one
            for one in _having(figures, f"effect/{outcome}/")
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
            "What a policy adds to a person's rating over the baseline in the same round.",
            reference=0,
        )
    ]


def _against_human(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    rounds = {
        "all": "",
        "divisive": ", divisive rounds",
        "not_divisive": ", rounds that are not divisive",
    }
    return [
        canvas.forest(
            [
                (
                    "Candidates rated above the others' opinions",
                    _points(
                        _having(figures, "against_human/"),
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
                        _having(figures, "inclusion/"),
                        lambda one: one.of["outcome"],
                        lambda _: "these rounds",
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
                    _having(figures, "accuracy/"),
                    lambda one: words[one.key.split("/")[1]],
                    lambda one: one.of["reward_model"],
                ),
            )
        ],
        "How often the reward model orders statements as people did; the line is guessing.",
        reference=0.5,
        limits=(0, 1),
    )
    bins = _having(figures, "calibration/bin/")
    if not bins:
        return [accuracy]
    drawing, (ax,) = canvas.axes(7)
    ax.plot([1, 7], [1, 7], color="#1d2330", linewidth=0.9, label="perfect")
    for i, name in enumerate(dict.fromkeys(one.of["reward_model"] for one in bins)):
        mine = [one for one in bins if one.of["reward_model"] == name]
        x = [float(one.of["expected"]) for one in mine]
        y = [one.value or 0.0 for one in mine]
        colour = COLOURS[i % len(COLOURS)]
        marker = MARKERS[i % len(MARKERS)]
        ax.plot(x, y, marker=marker, color=colour, markersize=5, label=short(name))
        for at, one in zip(x, mine, strict=True):
            if one.low is not None:
                ax.plot([at, at], [one.low, one.high], color=colour, linewidth=1)
    ax.set_xlim(1, 7)
    ax.set_ylim(1, 7)
    ax.set_xlabel("Expected rating")
    ax.set_ylabel("Mean rating given")
    ax.legend(frameon=False)
    caption = "Calibration: mean rating given where so much was expected, in bins."
    return [accuracy, canvas.plot(drawing, caption)]


def _welfare(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    def panel(statistic: str) -> list[Point]:
        names = {"random": "by lot", "best": "best possible"}
        return _points(
            _having(figures, f"welfare/{statistic}/"),
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
    shares = _having(figures, "confound/")
    rows = {one.key: one.title.rsplit(", ", 1)[0] for one in shares}
    return [
        canvas.forest(
            [
                (
                    "Share",
                    _points(
                        shares,
                        lambda one: rows[one.key],
                        lambda one: f"at equal {one.of['control']}",
                    ),
                )
            ],
            "Win rates and shares where the sides are equally long, or of equal quality.",
            reference=0.5,
        )
    ]


def _best_of_n(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    kinds = (("realised", "people's ratings"), ("predicted", "selector's own score"))
    drawing, axes = canvas.axes(7, 2)
    for ax, statistic, title in zip(axes, ("mean", "min"), ("Mean", "Minimum"), strict=True):
        for kind, style in zip(kinds, ("-", ":"), strict=True):
            found = _having(figures, f"best_of_n/{kind[0]}/{statistic}/")
            for i, policy in enumerate(dict.fromkeys(one.of["policy"] for one in found)):
                mine = [one for one in found if one.of["policy"] == policy]
                ax.plot(
                    [int(one.of["n"]) for one in mine],
                    [one.value or 0.0 for one in mine],
                    marker=MARKERS[i % len(MARKERS)],
                    color=COLOURS[i % len(COLOURS)],
                    linestyle=style,
                    markerfacecolor="white" if style == ":" else None,
                    label=f"{short(policy)}, {kind[1]}",
                )
                for one in mine if style == "-" else ():
                    if one.low is not None:
                        n = int(one.of["n"])
                        ax.plot([n, n], [one.low, one.high], color=COLOURS[i % len(COLOURS)])
        ns = sorted({int(one.of["n"]) for one in figures.values()})
        ax.set_xscale("log", base=2)
        ax.set_xticks(ns, [str(n) for n in ns])
        ax.minorticks_off()
        ax.set_xlabel("Best of n")
        ax.set_ylabel(f"{title} of the group's ratings")
    drawing.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False
    )
    return [
        canvas.plot(
            drawing,
            "The best of n, by people's ratings (solid) and by the selector's own score (dotted), "
            "which must rise.",
        )
    ]


def _power(canvas: Canvas, figures: Figures) -> list[Plot | None]:
    words = {"pilot": "these rounds as the pilot", "assumed": "assumptions alone"}
    drawing, (ax,) = canvas.axes(6)
    for i, (key, label) in enumerate(words.items()):
        mine = _having(figures, f"power/{key}/")
        if mine:
            x = [float(one.of["win_rate"]) for one in mine]
            y = [one.value or 0.0 for one in mine]
            ax.plot(x, y, marker=MARKERS[i], color=COLOURS[i], label=label)
            for at, groups in zip(x, y, strict=True):
                ax.annotate(f"{groups:.0f}", (at, groups), (4, 4), textcoords="offset points")
    from matplotlib.ticker import PercentFormatter, ScalarFormatter

    ax.set_xticks(sorted({float(one.of["win_rate"]) for one in figures.values()}))
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_xlabel("True win rate")
    ax.set_ylabel("Groups for 80 % power")
    ax.legend(frameon=False)
    return [canvas.plot(drawing, "Groups that a study needs to tell a win rate from a coin toss.")]


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
