"""What the plots are drawn with: SVG in which text stays text, and colours differ in lightness.

Whose ratings they are stands in every plot. The colours are those of Okabe and Ito (2008), which
people with any of the common colour-vision deficiencies can tell apart; markers differ in shape.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from commonweal.datasets.schema import WHOSE
from commonweal.evaluation.metrics import Metric, Published, S, Subject
from commonweal.extras import needs
from commonweal.showing import Plot

if TYPE_CHECKING:
    from commonweal.datasets.schema import People

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_WIDTH = 7.2
_ROW, _MARGIN = 0.42, 1.25
_LINE = 28


@dataclass(frozen=True, slots=True)
class Point:
    """A metric, the row that it is drawn in, and its series: one marker and colour."""

    row: str
    series: str
    metric: Metric[Subject]


def points(
    metrics: Iterable[Metric[S]], row: Callable[[S], str], series: Callable[[S], str]
) -> list[Point]:
    """Each metric in the row and the series that its subject has."""
    return [Point(row(one.subject), series(one.subject), one) for one in metrics]


class Canvas:
    """Makes figures that look alike, and turns them into SVG."""

    def __init__(self, people: People) -> None:
        self.whose = WHOSE[people]
        self._n_made = 0

    @staticmethod
    def style() -> Any:
        """A context in which everything is drawn alike; matplotlib's own settings are as before."""
        with needs("plots", "a figure"):
            import matplotlib as mpl

        return mpl.rc_context(
            {
                "svg.fonttype": "none",
                "svg.hashsalt": "commonweal",  # the same figures, the same bytes
                "text.parse_math": False,  # a "$" in a name is a "$"
                "font.family": "sans-serif",
                "font.size": 9.5,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.grid": True,
                "axes.axisbelow": True,
                "grid.color": "#d5dae3",
                "grid.linewidth": 0.6,
            }
        )

    def axes(self, n_rows: int, n_panels: int = 1) -> tuple[Any, list[Any]]:
        """A figure without a window or a global state, and its panels side by side."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(_WIDTH, _MARGIN + _ROW * n_rows), layout="constrained")
        axes = figure.subplots(1, n_panels, squeeze=False, sharey=n_panels > 1)
        return figure, list(axes[0])

    @staticmethod
    def in_percent(axis: Any) -> None:
        """Labels the axis of shares in per cent."""
        from matplotlib.ticker import PercentFormatter

        axis.set_major_formatter(PercentFormatter(1, decimals=0))

    @staticmethod
    def by_n(ax: Any, ns: Sequence[int], labels: Sequence[str]) -> None:
        """A logarithmic axis of these whole numbers."""
        ax.set_xscale("log", base=2)
        ax.set_xticks(ns, labels)
        ax.minorticks_off()

    def plot(self, figure: Any, caption: str) -> Plot:
        """The figure with whose ratings they are, as SVG with ids of its own."""
        from markupsafe import escape

        figure.supxlabel(f"Ratings: {self.whose}", fontsize=8.5, color="#566074", x=0.01, ha="left")
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        svg = buffer.getvalue()
        self._n_made += 1
        mark = f"plot{self._n_made}-"
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{mark}", svg)
        label = escape(f"{caption} Ratings: {self.whose}.")
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
        return Plot(svg, caption)

    def forest(
        self,
        panels: Sequence[tuple[str, Sequence[Point]]],
        caption: str,
        *,
        reference: float | None = None,
        limits: tuple[float, float] | None = None,
    ) -> Plot | None:
        """Values with their intervals, a row each; series differ in marker and colour."""
        every = [point for _, some in panels for point in some]
        if not every:
            return None
        rows = list(dict.fromkeys(point.row for point in every))
        series = list(dict.fromkeys(point.series for point in every))
        figure, axes = self.axes(round(len(rows) * max(1, 0.5 * len(series))), len(panels))
        for ax, (title, some) in zip(axes, panels, strict=True):
            self._forest_panel(ax, some, rows, series, reference)
            ax.set_xlabel(title)
            if limits is not None:
                ax.set_xlim(*limits)
        axes[0].set_yticks(range(len(rows)), [short(row) for row in rows])
        axes[0].set_ylim(len(rows) - 0.4, -0.6)
        handles = {
            label: handle
            for ax in axes
            for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        if len(handles) > 1:
            figure.legend(
                handles.values(), handles.keys(), loc="outside upper left", ncols=3, frameon=False
            )
        return self.plot(figure, caption)

    def _forest_panel(
        self,
        ax: Any,
        points: Sequence[Point],
        rows: list[str],
        series: list[str],
        reference: float | None,
    ) -> None:
        percent = any(point.metric.kind == "share" for point in points)
        if percent:
            self.in_percent(ax.xaxis)
        if reference is not None:
            ax.axvline(reference, color="#1d2330", linewidth=0.9)
        seen: set[str | None] = set()  # None is the paper's
        for point in points:
            i = series.index(point.series)
            y = rows.index(point.row) + 0.62 * ((i + 0.5) / len(series) - 0.5)
            one = point.metric
            whiskers = [[one.value - one.low], [one.high - one.value]] if one.interval else None  # type: ignore[operator]
            ax.errorbar(
                one.value,
                y,
                xerr=whiskers,
                fmt=MARKERS[i % len(MARKERS)],
                color=COLOURS[i % len(COLOURS)],
                capsize=2.5,
                markersize=5,
                label=point.series if point.series not in seen else None,
                clip_on=False,  # a marker at 100 % is a whole one
            )
            seen.add(point.series)
            if one.beside is not None and one.beside.value is not None:
                self._published(ax, one.beside, y, labelled=None not in seen)
                seen.add(None)
        ax.grid(visible=False, axis="y")

    @staticmethod
    def _published(ax: Any, paper: Published, y: float, *, labelled: bool) -> None:
        if paper.low is not None:
            y += 0.2  # beneath ours, so that both intervals can be seen
            ax.plot([paper.low, paper.high], [y, y], color="#566074", linestyle=":", linewidth=1.2)
        ax.plot(
            paper.value,
            y,
            marker="*",
            markersize=8,
            markerfacecolor="white",
            markeredgecolor="#566074",
            linestyle="none",
            clip_on=False,
            label="the paper's figure" if labelled else None,
        )


def short(text: str) -> str:
    """The text in at most three lines."""
    return textwrap.fill(text, _LINE, max_lines=3, placeholder="…", break_on_hyphens=False)
