"""Whether people repeat themselves, and how far they agree with each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.datasets.reliability import DEFAULT_THRESHOLD, MIN_REPEATED, VERDICTS, reliability
from commonweal.evaluation.metrics import VALUE, Metric, MetricTable, Subject, Whole, metric
from commonweal.evaluation.plotting.canvas import Canvas, Point
from commonweal.evaluation.section import Section
from commonweal.frames import pl
from commonweal.measures.bootstrap import Resampler
from commonweal.measures.intervals import MIN_CLUSTERS
from commonweal.measures.raters import METRICS, coincidences, krippendorff_alpha

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.evaluation.rounds.rated import Rated
    from commonweal.showing import Plot
    from commonweal.types import FloatArray

FEW_GROUPS = 20
"""With fewer, the interval of Krippendorff's alpha is somewhat too narrow."""


@dataclass(frozen=True)
class Kappa(Subject):
    """How well people's two ratings of one outcome go together."""

    outcome: str
    terms = (
        (
            "kappa",
            "how well a person's two ratings of the same statements go together: 1 always the "
            "same, 0 no nearer than chance; the first and the second time are the two passes",
        ),
    )
    form = "kappa/{outcome}"

    def is_headline(self, _baseline: str, /) -> bool:
        """That of agreement."""
        return self.outcome == "agreement"


@dataclass(frozen=True)
class Alpha(Subject):
    """How far people agree with each other, by one of ``METRICS``."""

    outcome: str
    metric: str
    terms = (
        (
            "Krippendorff's alpha",
            "how far people agree with each other on the same statements: 1 all the same, 0 no "
            "more than by chance, below 0 less",
        ),
    )
    form = "krippendorff/{outcome}/{metric}"

    def is_headline(self, baseline: str, /) -> bool:
        """Where no policy wrote anything, the ordinal one of agreement."""
        return (self.outcome, self.metric, baseline) == ("agreement", "ordinal", "none")


def raters(
    everybody: Dataset,
    rated: Rated,
    resampler: Resampler,
    *,
    threshold: float = DEFAULT_THRESHOLD,
) -> Section:
    """Reliability within raters, of everybody, and between raters, of those who are left.

    Args:
        everybody: the rounds before anybody was left out.
        rated: the rounds without unreliable people.
        resampler: of the groups of ``rated``.
        threshold: the kappa below which people were left out.

    Raises:
        InputError: the threshold is not a kappa.
    """
    return Section(
        "raters",
        "How far the ratings can be relied on",
        "Paper 3.2",
        "Within raters: quadratic-weighted kappa between a person's first and second rating of the "
        "same statements, over all their rounds, for people with at least "
        f"{MIN_REPEATED} statements rated twice; a person counts in the first of their groups, by "
        "name. Between raters: Krippendorff's alpha of each person's first rating of each "
        "statement, unreliable people left out.",
        (
            _within(everybody, rated, resampler, threshold),
            _between(rated, resampler),
        ),
        draw=_plots,
    )


def _plots(section: Section, canvas: Canvas) -> list[Plot | None]:
    metrics = [*section.having(Kappa), *section.having(Alpha)]
    return [
        canvas.forest(
            [("Kappa or alpha", [Point(one.title, "these rounds", one) for one in metrics])],
            "Reliability within raters (kappa) and between raters (Krippendorff's alpha).",
            reference=0,
        )
    ]


# -------------------------------------------------------------------------------- within raters


def _within(
    everybody: Dataset, rated: Rated, resampler: Resampler, threshold: float
) -> MetricTable:
    people = reliability(everybody, threshold=threshold)
    first_group = (
        everybody.ratings.select("round_id", "participant_id")
        .unique()
        .join(everybody.rounds.select("round_id", "group_id"), on="round_id")
        .group_by("participant_id")
        .agg(pl.col("group_id").min())
    )
    people = people.join(first_group, on="participant_id").sort("participant_id")
    group = pl.Series(rated.group_names).search_sorted(people["group_id"]).to_numpy()
    kappa, kappa_quality = (
        people[name].fill_null(np.nan).to_numpy() for name in ("kappa", "kappa_quality")
    )
    judged = people["verdict"].is_in([VERDICTS[0], VERDICTS[1]]).to_numpy()
    out = (people["verdict"] == VERDICTS[1]).to_numpy()
    # Nothing is said of people with too few repeated statements, of quality neither.
    kappa, kappa_quality = (np.where(judged, each, np.nan) for each in (kappa, kappa_quality))
    columns = [kappa, kappa_quality, np.where(judged, out.astype(float), np.nan)]
    means = resampler.means(np.stack(columns, axis=1), group.astype(np.int64))
    verdicts = dict(people["verdict"].value_counts().iter_rows())
    repeats = bool((everybody.ratings["pass_index"] > 0).any())
    nothing = (
        f"nobody rated {MIN_REPEATED} statements twice"
        if repeats
        else "no statement was rated twice by one person"
    )
    metrics: list[Metric[Subject]] = [
        metric(
            estimate,
            Kappa(outcome),
            f"Mean kappa, {outcome}",
            kind="number",
            n=n,
            unit="people",
            says=f"A person's two ratings of {outcome} of the same statement go together with a "
            f"kappa of {VALUE} on average; 1 is always the same, 0 no nearer than chance.",
            nothing=nothing,
        )
        for (estimate, n), outcome in zip(means[:2], ("agreement", "quality"), strict=True)
    ]
    metrics.append(
        metric(
            means[2][0],
            Whole("unreliable", headline=True),
            "People left out as unreliable",
            kind="share",
            n=means[2][1],
            unit="people with a kappa",
            says=f"{VALUE} of the people with a kappa are below {threshold:g} and left out of "
            "everything else here.",
            nothing=nothing,
        )
    )
    counts = ", ".join(f"{verdicts.get(name, 0):,} {name}" for name in VERDICTS)
    return MetricTable(
        "Within raters",
        tuple(metrics),
        f"Everybody who rated: {counts}; only the unreliable are left out. A person may remember "
        "a first rating, which makes kappa too high, or change their mind, which makes it too low.",
    )


# ------------------------------------------------------------------------------- between raters


def _between(rated: Rated, resampler: Resampler) -> MetricTable:
    metrics: list[Metric[Alpha]] = []
    for outcome in ("agreement", "quality"):
        counts = first_rating_counts(rated, outcome)
        per_group = coincidences(counts, rated.statement_group, rated.n_groups)
        n_units = int((counts.sum(axis=1) > 1).sum())
        adds = np.repeat(per_group.sum(axis=(1, 2))[:, None] > 0, 2, axis=1)
        points = counts.shape[1]

        def alphas(sums: FloatArray, points: int = points) -> FloatArray:
            table = sums.reshape(*sums.shape[:-1], points, points)
            return np.stack([krippendorff_alpha(table, each) for each in METRICS], axis=-1)

        estimates = resampler.jackknife(per_group.reshape(rated.n_groups, -1), alphas, adds)
        metrics += [
            metric(
                estimate,
                Alpha(outcome, each),
                f"Krippendorff's alpha, {outcome}, {each}",
                kind="number",
                n=n_units,
                unit="statements rated by two people or more",
                says=f"Ratings of {outcome} of one statement by different people go together with "
                f"{VALUE} ({each}); 1 is always the same, 0 as if of different statements.",
                nothing=f"no statement has ratings of {outcome} by two people, or all ratings are "
                "the same",
                warning=f"With fewer than {FEW_GROUPS} groups its interval contains the true value "
                "in 92 to 94 % of studies, and its upper end is too low more often than its lower "
                "end is too high."
                if MIN_CLUSTERS <= estimate.n_clusters < FEW_GROUPS
                else "",
            )
            for each, estimate in zip(METRICS, estimates, strict=True)
        ]
    return MetricTable(
        "Between raters",
        tuple(metrics),
        "For agreement a low value is no fault of the raters: people with different views are "
        "asked for those views. For quality it says how far quality is a matter of taste.",
        "The intervals leave out each group in turn (jackknife, Student's t): groups drawn twice "
        "would agree with themselves.",
    )


def first_rating_counts(rated: Rated, outcome: str) -> FloatArray:
    """How many people gave each rating first, float [S, n_points]."""
    scale = rated.about.scale
    first = (
        rated.passes.drop_nulls(outcome)
        .group_by("statement", "person")
        .agg(pl.col(outcome).sort_by("pass_index").first())
    )
    points = scale.high - scale.low + 1
    cell = first["statement"].to_numpy() * points + first[outcome].to_numpy() - scale.low
    counts = np.bincount(cell, minlength=len(rated.words) * points)
    return counts.reshape(-1, points).astype(np.float64)
