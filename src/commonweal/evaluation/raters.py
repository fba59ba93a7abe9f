"""Whether people repeat themselves, and how far they agree with each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from commonweal.datasets.reliability import DEFAULT_THRESHOLD, MIN_REPEATED, VERDICTS, reliability
from commonweal.evaluation.bootstrap import MIN_GROUPS, Resampler, by_group, ratio
from commonweal.evaluation.figures import VALUE, Figure, Section, Table, figure

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.evaluation.rated import IntArray, Rated
    from commonweal.types import FloatArray

FEW_GROUPS = 20
"""With fewer, the interval of Krippendorff's alpha is somewhat too narrow."""


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
    )


# -------------------------------------------------------------------------------- within raters


def _within(everybody: Dataset, rated: Rated, resampler: Resampler, threshold: float) -> Table:
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
    above = np.stack([kappa, kappa_quality, out.astype(float)], axis=1)
    below = np.stack([~np.isnan(kappa), ~np.isnan(kappa_quality), judged], axis=1)
    estimates = resampler.ratios(
        *(by_group(each, group.astype(np.int64), rated.n_groups) for each in (above, below))
    )
    verdicts = dict(people["verdict"].value_counts().iter_rows())
    repeats = bool((everybody.ratings["pass_index"] > 0).any())
    nothing = (
        f"nobody rated {MIN_REPEATED} statements twice"
        if repeats
        else "no statement was rated twice by one person"
    )
    figures: list[Figure] = [
        figure(
            estimate,
            f"kappa/{outcome}",
            f"Mean kappa, {outcome}",
            kind="number",
            n=int(below[:, i].sum()),
            unit="people",
            says=f"A person's two ratings of {outcome} of the same statement go together with a "
            f"kappa of {VALUE} on average; 1 is always the same, 0 no nearer than chance.",
            nothing=nothing,
            of={"outcome": outcome},
        )
        for i, (estimate, outcome) in enumerate(
            zip(estimates[:2], ("agreement", "quality"), strict=True)
        )
    ]
    figures.append(
        figure(
            estimates[2],
            "unreliable",
            "People left out as unreliable",
            kind="share",
            n=int(judged.sum()),
            unit="people with a kappa",
            says=f"{VALUE} of the people with a kappa are below {threshold:g} and left out of "
            "everything else here.",
            nothing=nothing,
        )
    )
    counts = ", ".join(f"{verdicts.get(name, 0):,} {name}" for name in VERDICTS)
    return Table(
        "Within raters",
        tuple(figures),
        f"Everybody who rated: {counts}; only the unreliable are left out. A person may remember "
        "a first rating, which makes kappa too high, or change their mind, which makes it too low.",
    )


# ------------------------------------------------------------------------------- between raters


def _between(rated: Rated, resampler: Resampler) -> Table:
    figures: list[Figure] = []
    for outcome in ("agreement", "quality"):
        counts = first_rating_counts(rated, outcome)
        per_group = coincidences(counts, rated.statement_group, rated.n_groups)
        n_units = int((counts.sum(axis=1) > 1).sum())
        adds = np.repeat(per_group.sum(axis=(1, 2))[:, None] > 0, 2, axis=1)
        points = counts.shape[1]

        def alphas(sums: FloatArray, points: int = points) -> FloatArray:
            table = sums.reshape(*sums.shape[:-1], points, points)
            return np.stack([krippendorff_alpha(table, metric) for metric in METRICS], axis=-1)

        estimates = resampler.jackknife(per_group.reshape(rated.n_groups, -1), alphas, adds)
        figures += [
            figure(
                estimate,
                f"krippendorff/{outcome}/{metric}",
                f"Krippendorff's alpha, {outcome}, {metric}",
                kind="number",
                n=n_units,
                unit="statements rated by two people or more",
                says=f"Ratings of {outcome} of one statement by different people go together with "
                f"{VALUE} ({metric}); 1 is always the same, 0 as if of different statements.",
                nothing=f"no statement has ratings of {outcome} by two people, or all ratings are "
                "the same",
                of={"outcome": outcome, "metric": metric},
                warning=f"With fewer than {FEW_GROUPS} groups its interval holds the truth in 92 "
                "to 94 % of studies, and its upper end is too low more often than its lower end "
                "is too high."
                if MIN_GROUPS <= estimate.n_groups < FEW_GROUPS
                else "",
            )
            for metric, estimate in zip(METRICS, estimates, strict=True)
        ]
    return Table(
        "Between raters",
        tuple(figures),
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


def coincidences(counts: FloatArray, unit_group: IntArray, n_groups: int) -> FloatArray:
    """Krippendorff's coincidences, summed over each group's units: [n_groups, points, points].

    How often two ratings of one unit by different people are c and k, each unit weighted so that a
    rating counts once.

    Args:
        counts: how often each unit was given each rating, float [n_units, n_points].
        unit_group: int [n_units].
        n_groups: how many groups.
    """
    n_points = counts.shape[1]
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(n_points)
    pairs[:, diagonal, diagonal] -= counts
    n_ratings = counts.sum(axis=1)
    pairs *= ratio(np.ones_like(n_ratings), n_ratings - 1)[:, None, None]  # nan with one rating
    pairs[n_ratings < 2] = 0
    return by_group(pairs.reshape(len(counts), -1), unit_group, n_groups).reshape(
        n_groups, n_points, n_points
    )


def krippendorff_alpha(coincidence: FloatArray, metric: str) -> FloatArray:
    """Krippendorff's alpha, [...], from coincidences [..., n_points, n_points].

    1 - observed / expected disagreement (Krippendorff 2011, Computing Krippendorff's
    Alpha-Reliability); nan where no disagreement could be expected.

    Args:
        coincidence: of ``coincidences``.
        metric: "ordinal" or "interval".
    """
    distance = METRICS[metric]
    n_each = coincidence.sum(axis=-1)
    n = n_each.sum(axis=-1)
    delta = distance(n_each)
    observed = (coincidence * delta).sum(axis=(-1, -2))
    outer = n_each[..., :, None] * n_each[..., None, :]
    expected = (outer * delta).sum(axis=(-1, -2))  # delta is 0 on the diagonal
    return 1 - ratio((n - 1) * observed, expected)


def _ordinal(n_each: FloatArray) -> FloatArray:
    """Squared number of ratings from the middle of one point to the middle of the other."""
    middle = np.cumsum(n_each, axis=-1) - n_each / 2
    result: FloatArray = (middle[..., :, None] - middle[..., None, :]) ** 2
    return result


def _interval(n_each: FloatArray) -> FloatArray:
    point = np.arange(n_each.shape[-1], dtype=np.float64)
    result: FloatArray = (point[:, None] - point) ** 2
    return result


METRICS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "ordinal": _ordinal,
    "interval": _interval,
}
"""How far two ratings are apart."""
