"""How the ratings of each policy's statements are spread over the scale (paper figure 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from commonweal.evaluation.metrics import VALUE, Figure, Section, Table, figure
from commonweal.measures.bootstrap import Resampler
from commonweal.types import AGREEMENT_SCALE, QUALITY_SCALE, RATING_MAX

if TYPE_CHECKING:
    from commonweal.evaluation.rounds.rated import Rated
    from commonweal.types import FloatArray


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
            Table(
                "Ratings that agree",
                tuple(agreeing),
                "Agreement with a statement says nothing of whether it is worth agreeing with.",
            ),
            Table(
                "All ratings of agreement by policy",
                tuple(shares),
                "Ratings of one person, and of one group, resemble each other; the intervals take "
                "that in, the bars do not show it.",
            ),
            Table(
                "All ratings of quality by policy",
                tuple(quality),
                "Quality is what raters make of the writing; who agrees may also rate it higher.",
            ),
        ),
    )


def _shares(rated: Rated, resampler: Resampler, outcome: str) -> tuple[list[Figure], list[Figure]]:
    """The share of each point, and of points above neutral, of every policy."""
    scale = rated.about.scale
    points = np.arange(scale.low, scale.high + 1)
    counts = rating_counts(rated, outcome)
    start = "distribution" if outcome == "agreement" else "quality_distribution"
    what = "ratings" if outcome == "agreement" else "ratings of quality"
    totals = counts.sum(axis=2)
    agree = counts[:, :, points > scale.neutral].sum(axis=2, keepdims=True)
    above = np.concatenate([counts, agree], axis=2)
    n_columns = above.shape[2]
    estimates = resampler.ratios(
        above.reshape(rated.n_groups, -1), np.repeat(totals, n_columns, axis=1)
    )
    shares: list[Figure] = []
    agreeing: list[Figure] = []
    for i, estimate in enumerate(estimates):
        policy, column = rated.policies[i // n_columns], i % n_columns
        is_point = column < len(points)
        point = int(points[column]) if is_point else 0
        title = (
            f"{point} ({_word(point, scale.name, outcome)})".replace("-", "−")
            if is_point
            else f"above {scale.neutral}"
        )
        (shares if is_point else agreeing).append(
            figure(
                estimate,
                f"{start}/{policy}/{point if is_point else 'agree'}",
                f"{policy}: {title}",
                kind="share",
                n=int(totals[:, i // n_columns].sum()),
                unit="ratings",
                says=f"{VALUE} of the {what} of statements of {policy} are {title}.",
                nothing=f"no statement of {policy} has {what}",
                of={"policy": policy, "rating": str(point) if is_point else "agree"},
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
