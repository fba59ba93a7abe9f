"""How the ratings of each policy's statements are spread over the scale (paper figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from commonweal.evaluation.metrics import VALUE, Metric, MetricTable, Subject, metric
from commonweal.evaluation.plotting.canvas import Canvas, points, short
from commonweal.evaluation.section import Section
from commonweal.measures.bootstrap import Resampler
from commonweal.types import AGREEMENT_SCALE, QUALITY_SCALE, RATING_MAX

if TYPE_CHECKING:
    from commonweal.evaluation.rounds.rated import Rated
    from commonweal.showing import Plot
    from commonweal.types import FloatArray

# From orange by grey to blue, the house's scale of disagreement and agreement.
_LOW, _MIDDLE, _HIGH = (202, 92, 12), (236, 236, 236), (24, 90, 169)


@dataclass(frozen=True)
class RatingShare(Subject):
    """The share of a policy's ratings that are this one, ``words``, or that "agree"."""

    unsaid = ("outcome", "words")
    policy: str
    rating: int | Literal["agree"]
    outcome: str
    words: str

    @property
    def key(self) -> str:
        """Without the parts that it does not have."""
        start = "distribution" if self.outcome == "agreement" else "quality_distribution"
        return f"{start}/{self.policy}/{self.rating}"

    def is_headline(self, baseline: str, /) -> bool:
        """All of agreement, where no policy wrote anything."""
        return baseline == "none" and self.outcome == "agreement"


def distributions(rated: Rated, resampler: Resampler) -> Section:
    """The share of each rating of agreement and quality by policy, and of ratings that agree."""
    shares, agreeing = _shares(rated, resampler, "agreement")
    quality, _ = _shares(rated, resampler, "quality")
    return Section(
        "distributions",
        "How ratings are spread",
        "Paper figure 3",
        "Every rating counts once, repeated ones too: averages would fall between the points of "
        "the scale.",
        (
            MetricTable(
                "Ratings that agree",
                tuple(agreeing),
                "Agreement with a statement says nothing about whether it is worth agreeing with.",
            ),
            MetricTable(
                "All ratings of agreement by policy",
                tuple(shares),
                "Ratings of one person, and of one group, resemble each other; the intervals take "
                "that into account, the bars do not.",
            ),
            MetricTable(
                "All ratings of quality by policy",
                tuple(quality),
                "Quality is how raters judge the writing; people who agree may also rate it "
                "higher.",
            ),
        ),
        draw=_plots,
    )


def _shares(
    rated: Rated, resampler: Resampler, outcome: str
) -> tuple[list[Metric[RatingShare]], list[Metric[RatingShare]]]:
    """The share of each point, and of points above neutral, of every policy."""
    scale = rated.about.scale
    ratings = range(scale.low, scale.high + 1)
    counts = rating_counts(rated, outcome)
    what = "ratings" if outcome == "agreement" else "ratings of quality"
    totals = counts.sum(axis=2)
    agree = counts[:, :, np.array(ratings) > scale.neutral].sum(axis=2, keepdims=True)
    above = np.concatenate([counts, agree], axis=2)
    n_columns = above.shape[2]
    estimates = resampler.ratios(
        above.reshape(rated.n_groups, -1), np.repeat(totals, n_columns, axis=1)
    )
    shares: list[Metric[RatingShare]] = []
    agreeing: list[Metric[RatingShare]] = []
    for i, estimate in enumerate(estimates):
        policy, column = rated.policies[i // n_columns], i % n_columns
        of = RatingShare(policy, "agree", outcome, f"above {scale.neutral}")
        if column < len(ratings):
            rating = ratings[column]
            words = f"{rating} ({_word(rating, scale.name, outcome)})".replace("-", "−")
            of = RatingShare(policy, rating, outcome, words)
        (agreeing if of.rating == "agree" else shares).append(
            metric(
                estimate,
                of,
                f"{policy}: {of.words}",
                kind="share",
                n=int(totals[:, i // n_columns].sum()),
                unit="ratings",
                says=f"{VALUE} of the {what} of statements of {policy} are {of.words}.",
                nothing=f"no statement of {policy} has {what}",
            )
        )
    return shares, agreeing


def rating_counts(rated: Rated, outcome: str = "agreement") -> FloatArray:
    """How often each rating was given, float [n_groups, n_policies, n_points], all passes."""
    scale = rated.about.scale
    passes = rated.passes.select("statement", outcome).drop_nulls(outcome)
    statement = passes["statement"].to_numpy()
    point = passes[outcome].to_numpy() - scale.low
    shape = (rated.n_groups, len(rated.policies), scale.high - scale.low + 1)
    cell = np.ravel_multi_index(
        (rated.statement_group[statement], rated.statement_policy[statement], point), shape
    )
    return np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)


def _word(point: int, scale: str, outcome: str) -> str:
    if scale == "vote":
        return ("disagree", "pass", "agree")[point + 1]
    if scale == "likert-7" and 1 <= point <= RATING_MAX:
        words = AGREEMENT_SCALE if outcome == "agreement" else QUALITY_SCALE
        return words[point - 1].lower()
    return "of 5"


def _plots(section: Section, canvas: Canvas) -> list[Plot | None]:
    shares = [
        one
        for one in section.having(RatingShare)
        if one.subject.outcome == "agreement" and one.subject.rating != "agree"
    ]
    rows = points(shares, lambda of: of.words, lambda of: of.policy)
    caption = "The same shares with their intervals."
    return [_bars(canvas, shares), canvas.forest([("Share of ratings", rows)], caption)]


def _bars(canvas: Canvas, shares: Sequence[Metric[RatingShare]]) -> Plot:
    """The share of each rating by policy, as one bar a policy."""
    policies = list(dict.fromkeys(one.subject.policy for one in shares))
    ratings = list(dict.fromkeys(one.subject.rating for one in shares))
    figure, (ax,) = canvas.axes(len(policies) + 1)
    left = dict.fromkeys(policies, 0.0)
    for i, rating in enumerate(ratings):
        colour, ink = _diverging(i, len(ratings))
        mine = {one.subject.policy: one for one in shares if one.subject.rating == rating}
        widths = [mine[name].value or 0.0 for name in policies]
        ax.barh(
            range(len(policies)),
            widths,
            left=[left[name] for name in policies],
            color=colour,
            edgecolor="white",
            linewidth=0.8,
            label=f"{rating}".replace("-", "−"),
        )
        for y, (name, width) in enumerate(zip(policies, widths, strict=True)):
            if width >= 0.05:
                middle = left[name] + width / 2
                text = f"{rating}: {100 * width:.0f}".replace("-", "−")
                ax.text(middle, y, text, color=ink, ha="center", va="center", fontsize=8)
            left[name] += width
    canvas.in_percent(ax.xaxis)
    ax.set_xlim(0, 1)
    ax.set_yticks(range(len(policies)), [short(name) for name in policies])
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.set_xlabel("Share of ratings; in the bars, rating: per cent")
    return canvas.plot(
        figure,
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
