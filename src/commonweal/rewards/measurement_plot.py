"""A measurement as one picture: accuracy with intervals, and observed beside predicted ratings."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

from commonweal.extras import needs
from commonweal.types import RATING_MAX, RATING_MIN, RATING_NEUTRAL

if TYPE_CHECKING:
    from commonweal.measures.intervals import Estimate
    from commonweal.rewards.measuring import Measurement

_OWN, _OTHER, _GREY = "#1b4f9c", "#c2510a", "#6b7485"


def plot_measurement(measured: Measurement) -> str:
    """The picture as SVG; the same measurement gives the same bytes."""
    with needs("plots", "the figure of a measurement"):
        import matplotlib as mpl
        from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "commonweal", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(10.5, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _accuracies(left, measured)
        _reliability(right, measured)
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
        figure.suptitle(f"{measured.model} on {measured.data}: {measured.whose}", fontsize=11)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _accuracies(axes: Any, measured: Measurement) -> None:
    kinds = (
        ("crossed", "crossed"),
        ("within_person", "within person"),
        ("same_statement", "same statement"),
    )
    scorers = (
        ("own opinion", measured.own, _OWN, "o"),
        ("another person's opinion", measured.swapped, _OTHER, "s"),
        ("no opinion", measured.statement_only, _GREY, "^"),
    )
    for offset, (label, metrics, colour, marker) in enumerate(scorers):
        for row, (name, _) in enumerate(kinds):
            _point(
                axes,
                getattr(metrics, name),
                row + 0.22 * (offset - 1),
                colour=colour,
                marker=marker,
                label=label if row == 0 else None,
            )
    _point(
        axes, measured.leniency, 2 + 0.44, colour="black", marker="D", label="how often they agree"
    )
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(3), [label for _, label in kinds])
    axes.set_ylim(2.8, -0.6)
    axes.set_xlabel("share ordered correctly, with 95% interval (guess: 0.5)")


def _point(
    axes: Any, estimate: Estimate, y: float, *, colour: str, marker: str, label: str | None
) -> None:
    if not estimate.n_comparisons:
        return
    spread = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
    axes.errorbar(
        [estimate.value], [y], xerr=spread, color=colour, marker=marker, capsize=3, label=label
    )


def _reliability(axes: Any, measured: Measurement) -> None:
    bins = measured.reliability.bins
    predicted, observed = [b.predicted for b in bins], [b.observed for b in bins]
    both = [*predicted, *observed, RATING_NEUTRAL]
    low = max(RATING_MIN, min(both) - 0.3)
    high = min(RATING_MAX, max(both) + 0.3)
    axes.plot([low, high], [low, high], color="black", linewidth=0.8, linestyle=":")
    axes.plot(predicted, observed, color=_OWN, marker="o")
    axes.set_xlabel("expected rating (1 to 7), tenths of all ratings")
    axes.set_ylabel(
        "mean real rating" + (" (votes as 2, 4, 6)" if measured.scale == "vote" else "")
    )
    axes.set_title(f"calibration error {measured.reliability.error.value:.2f} points", fontsize=10)
