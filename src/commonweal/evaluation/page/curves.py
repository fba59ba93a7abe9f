"""Plots that are more than rows of intervals: stacked bars and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from commonweal.evaluation.drawing.canvas import COLOURS, MARKERS, Canvas, short
from commonweal.evaluation.metrics import Figure
from commonweal.evaluation.sections.best_of_n import kl_bound, win_rate_bound
from commonweal.showing import Plot

# From orange by grey to blue, the house's scale of disagreement and agreement.
_LOW, _MIDDLE, _HIGH = (202, 92, 12), (236, 236, 236), (24, 90, 169)


def having(figures: Mapping[str, Figure], start: str) -> list[Figure]:
    """The figures whose keys begin so."""
    return [one for key, one in figures.items() if key.startswith(start)]


def rating_bars(canvas: Canvas, shares: Sequence[Figure]) -> Plot:
    """The share of each rating by policy, as one bar a policy."""
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
    return canvas.plot(
        drawing,
        "How the ratings of each policy's statements are spread, lowest rating on the left.",
    )


def _diverging(i: int, n: int) -> tuple[str, str]:
    """The colour of step i of n from disagreement to agreement, and an ink that can be read."""
    place = 2 * i / (n - 1) - 1
    end = _HIGH if place > 0 else _LOW
    channels = [
        round(start + (stop - start) * abs(place)) for start, stop in zip(_MIDDLE, end, strict=True)
    ]
    light = 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]
    return "#{:02x}{:02x}{:02x}".format(*channels), "#000000" if light > 120 else "#ffffff"


def calibration_curve(canvas: Canvas, bins: Sequence[Figure]) -> Plot | None:
    """The mean rating given where so much was expected."""
    if not bins:
        return None
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
    return canvas.plot(drawing, caption)


def best_of_n_curves(canvas: Canvas, figures: Mapping[str, Figure]) -> Plot:
    """Realised and predicted welfare of the best of n, by n."""
    kinds = (("realised", "people's ratings"), ("predicted", "selector's own score"))
    drawing, axes = canvas.axes(7, 2)
    for ax, statistic, title in zip(axes, ("mean", "min"), ("Mean", "Minimum"), strict=True):
        for kind, style in zip(kinds, ("-", ":"), strict=True):
            found = having(figures, f"best_of_n/{kind[0]}/{statistic}/")
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
        ns = sorted({int(one.of["n"]) for one in figures.values() if "by" in one.of})
        ax.set_xscale("log", base=2)
        ax.set_xticks(ns, [str(n) for n in ns])
        ax.minorticks_off()
        ax.set_xlabel("Best of n")
        ax.set_ylabel(f"{title} of the group's ratings")
    drawing.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False
    )
    return canvas.plot(
        drawing,
        "The best of n, by people's ratings (solid) and by the selector's own score (dotted), "
        "which must rise.",
    )


def win_rates_and_bounds(canvas: Canvas, wins: Sequence[Figure]) -> Plot | None:
    """Win rates of the best of n beside the highest that is possible, and the most KL."""
    if not wins:
        return None
    from matplotlib.ticker import PercentFormatter

    most = max(int(one.of["n"]) for one in wins)
    ns = [1 << k for k in range(most.bit_length()) if 1 << k <= most]
    ns = sorted({*ns, *(int(one.of["n"]) for one in wins)})
    drawing, (ax,) = canvas.axes(7)
    ax.plot(ns, [win_rate_bound(n) for n in ns], "--", color="#1d2330", label="n / (n + 1)")
    series = dict.fromkeys((one.of["policy"], one.of["statistic"]) for one in wins)
    for i, (policy, statistic) in enumerate(series):
        mine = [
            one for one in wins if (one.of["policy"], one.of["statistic"]) == (policy, statistic)
        ]
        for one in mine:
            ends = None
            if one.low is not None and one.high is not None and one.value is not None:
                ends = [[one.value - one.low], [one.high - one.value]]
            # Side by side, or intervals of one n would lie on each other.
            ax.errorbar(
                int(one.of["n"]) * 1.05 ** (i - (len(series) - 1) / 2),
                one.value,
                yerr=ends,
                fmt=MARKERS[i % len(MARKERS)],
                color=COLOURS[i % len(COLOURS)],
                capsize=2.5,
                label=f"{short(policy)}, {statistic}" if one is mine[0] else None,
            )
    ax.set_xscale("log", base=2)
    ax.set_xticks(ns, [f"{n}\nKL ≤ {kl_bound(n):.2f}" for n in ns])
    ax.minorticks_off()
    ax.set_xlabel("Best of n, and how far that can lead from the policy, in nats")
    ax.set_ylabel("Win rate over one more draw")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    drawing.legend(
        *ax.get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False
    )
    return canvas.plot(
        drawing, "Win rates of the best of n, and the highest that is possible (dashed)."
    )


def power_curves(canvas: Canvas, figures: Mapping[str, Figure]) -> Plot:
    """Groups needed by win rate."""
    words = {"pilot": "these rounds as the pilot", "assumed": "assumptions alone"}
    drawing, (ax,) = canvas.axes(6)
    for i, (key, label) in enumerate(words.items()):
        mine = having(figures, f"power/{key}/")
        if mine:
            x = [float(one.of["win_rate"]) for one in mine]
            y = [one.value or 0.0 for one in mine]
            ax.plot(x, y, marker=MARKERS[i], color=COLOURS[i], label=label)
            for at, groups in zip(x, y, strict=True):
                ax.annotate(f"{groups:.0f}", (at, groups), (4, 4), textcoords="offset points")
    from matplotlib.ticker import LogLocator, PercentFormatter, ScalarFormatter

    ax.set_xticks(sorted({float(one.of["win_rate"]) for one in figures.values()}))
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.minorticks_off()  # their labels would be TeX, which nothing here reads
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_xlabel("True win rate")
    ax.set_ylabel("Groups for 80 % power")
    ax.legend(frameon=False)
    return canvas.plot(drawing, "Groups that a study needs to tell a win rate from a coin toss.")
