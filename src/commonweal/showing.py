"""How results show themselves in a notebook: tables as HTML, plots as SVG, rows as a frame."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from commonweal.errors import InputError
from commonweal.extras import needs
from commonweal.files import write_whole
from commonweal.types import RATING_MAX, RATING_MIN, RATING_NEUTRAL

if TYPE_CHECKING:
    from commonweal.types import FloatArray

FrameKind = Literal["polars", "pandas"]
MAX_ROWS_DRAWN = 12
"""More candidates cannot be told apart in one picture."""
_LINE = 60
_SETTINGS: Any = {
    "svg.hashsalt": "commonweal",  # the same figures, the same bytes
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a "$" in a name is a "$"
}


@dataclass(frozen=True, slots=True)
class Plot:
    """An SVG and the sentence beneath it. A notebook shows both."""

    svg: str
    caption: str

    def save(self, path: str | Path) -> None:
        """Writes the picture.

        Raises:
            InputError: the name does not end in .svg, or it cannot be written.
        """
        if Path(path).suffix != ".svg":
            raise InputError(f"the file is {str(path)!r}; expected a name that ends in .svg")
        write_whole(Path(path), self.svg)

    def _repr_html_(self) -> str:
        return f"<figure>{self.svg}<figcaption>{escape(self.caption)}</figcaption></figure>"


def html_table(title: str, rows: Sequence[Sequence[object]], *, header: Sequence[str] = ()) -> str:
    """A table with what people and models wrote escaped; the first cell of a row is its name."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>"
        + "".join(
            f'<{tag} style="text-align:left">{escape(str(cell))}</{tag}>'
            for tag, cell in zip(("th", *["td"] * (len(row) - 1)), row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<table><caption style="text-align:left"><strong>{escape(title)}</strong></caption>'
        f"{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"
    )


def frame_of(columns: Mapping[str, Sequence[Any]], kind: FrameKind) -> Any:
    """The columns as a polars or pandas data frame.

    Raises:
        InputError: another kind, or pandas is not installed.
    """
    if kind == "polars":
        with needs("data", "a frame of polars"):
            import polars as pl

        return pl.DataFrame(dict(columns), strict=False)
    if kind != "pandas":
        raise InputError(f"the kind of frame is {kind!r}; expected 'polars' or 'pandas'")
    try:
        import pandas as pd
    except ImportError:
        raise InputError(
            "pandas is not installed: pip install pandas, or take the polars frame"
        ) from None
    return pd.DataFrame(dict(columns))


def plot_ratings(
    names: Sequence[str],
    expected: FloatArray,
    welfare: FloatArray,
    *,
    best: int | None,
    caption: str,
) -> Plot:
    """Candidates one below the other, a mark for each person's expected rating.

    Args:
        names: the candidates', best first.
        expected: [n_participants, n_candidates], 1 to 7, in their order.
        welfare: [n_candidates], in the unit of the ratings; nan where it has another.
        best: which candidate is the statement, if one is.
        caption: the sentence beneath.
    """
    with needs("plots", "a plot"):
        import matplotlib as mpl
        from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        labels = [textwrap.fill(name, _LINE, max_lines=2, placeholder="…") for name in names]
        drawing = Figure(figsize=(9, 1.2 + 0.5 * len(names)), layout="constrained")
        axes = drawing.subplots()
        axes.axvline(RATING_NEUTRAL, color="#566074", linewidth=0.8, linestyle=":")
        for row, ratings in enumerate(expected.T):
            colour = "#0072B2" if row == best else "#566074"
            label = "a person" if row == 0 else None
            axes.scatter(ratings, [row] * len(ratings), s=26, color=colour, alpha=0.6, label=label)
        axes.scatter(welfare, range(len(names)), marker="D", s=34, color="#D55E00", label="welfare")
        axes.set_yticks(range(len(names)), labels, fontsize=8)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(RATING_MIN, RATING_MAX)
        axes.set_xlabel("expected rating, 1 (strongly disagree) to 7 (strongly agree)")
        axes.legend(loc="lower right", fontsize=8, frameon=False)
        return Plot(svg_of(drawing, caption), caption)


def plot_shares(
    names: Sequence[str], shares: Sequence[Sequence[float]], steps: Sequence[str], caption: str
) -> Plot:
    """A bar for each name, divided into the shares of the steps of a scale.

    Args:
        names: what the bars are of.
        shares: [n_names][n_steps], each row adds up to 1.
        steps: the scale's, lowest first.
        caption: the sentence beneath.
    """
    with needs("plots", "a plot"):
        import matplotlib as mpl
        from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        drawing = Figure(figsize=(9, 1.4 + 0.45 * len(names)), layout="constrained")
        axes = drawing.subplots()
        colours = mpl.colormaps["PuOr"].resampled(len(steps) + 2)
        for index, step in enumerate(steps):
            left = [sum(row[:index]) for row in shares]
            widths = [row[index] for row in shares]
            axes.barh(range(len(names)), widths, left=left, color=colours(index + 1), label=step)
        axes.set_yticks(range(len(names)), [textwrap.shorten(n, _LINE) for n in names], fontsize=8)
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of ratings")
        drawing.legend(loc="outside upper center", ncols=len(steps), fontsize=8, frameon=False)
        return Plot(svg_of(drawing, caption), caption)


def svg_of(drawing: Any, label: str) -> str:
    """A matplotlib figure as SVG, with a label for who cannot see it; the same bytes each time."""
    buffer = io.StringIO()
    drawing.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
