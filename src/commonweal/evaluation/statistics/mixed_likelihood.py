"""The mixed models fitted by their likelihood: in seconds, with scipy alone, no prior."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError
from commonweal.evaluation.statistics.cumulative import Fit, NoFitError, fit_cumulative
from commonweal.evaluation.statistics.mixed_models import (
    TERMS,
    Difference,
    Kind,
    MixedModel,
    one_sided,
    ratings_of,
)
from commonweal.frames import pl
from commonweal.measures.intervals import t_critical, t_p_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonweal.datasets.dataset import Dataset
    from commonweal.types import FloatArray

MOST_RATINGS = 4_000
"""More take longer than a quick answer may: then whole groups are drawn by lot."""


def fit_likelihood(dataset: Dataset, *, kind: Kind, seed: int = 0) -> MixedModel:
    """The largest mixed model of agreement by policy that the design allows, by its likelihood.

    The standard deviations of the random effects maximise the restricted likelihood, by Laplace's
    approximation. Intervals are of Student's t with groups less one degrees of freedom, given these
    standard deviations.

    Args:
        dataset: the rounds.
        kind: as in ``ratings_of``.
        seed: which groups are drawn where there are more than ``MOST_RATINGS`` ratings.

    Raises:
        InputError: there is nothing to compare, one group only, or a policy all of whose ratings
            are the lowest or the highest: its effect has no bound then.
        NoFitError: the likelihood has no maximum that was found.
    """
    dataset, drawn = _some_groups(dataset, seed)
    ratings = ratings_of(dataset, kind)
    rows = ratings.rows
    if named := one_sided(rows):
        raise InputError(
            f"all ratings of {', '.join(named)} are the "
            f"{'same' if kind == 'logistic' else 'lowest or the highest'}: the ratings put no "
            "bound on the effect; --regression fits it with a prior"
        )
    levels = [
        rows.select(pl.struct(TERMS[term]).rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()
        for term in ratings.terms
    ]
    y = (rows["outcome"].rank("dense").cast(pl.Int64) - 1).to_numpy()
    fit = fit_cumulative(y, ratings.design, levels)
    df = ratings.n_levels["group"] - 1
    return MixedModel(
        kind=kind,
        fit="likelihood",
        differences=tuple(
            _difference(first, second, contrast, fit, df)
            for first, second, contrast in ratings.pairs
        ),
        spreads=dict(zip(ratings.terms, fit.spreads.tolist(), strict=True)),
        formula=formula_of(kind, ratings.terms),
        prior="",
        n_ratings=rows.height,
        n_missing=ratings.n_missing,
        n_levels=ratings.n_levels,
        software="commonweal, with scipy's sparse matrices",
        warnings=(*drawn, *ratings.notes),
    )


def formula_of(kind: Kind, terms: Sequence[str]) -> str:
    """The model in a line, as the field writes it."""
    outcome = "agrees" if kind == "logistic" else "agreement"
    return f"{outcome} ~ policy (sum to zero) + " + " + ".join(f"(1|{term})" for term in terms)


def _difference(first: str, second: str, contrast: FloatArray, fit: Fit, df: int) -> Difference:
    estimate = float(contrast @ fit.effects)
    variance = float(contrast @ fit.covariance @ contrast)
    if not 0 < variance < MAX_STANDARD_ERROR**2:
        raise NoFitError(
            f"the ratings put no bound on what {first} adds over {second}: one of them tells the "
            "ratings without fail"
        )
    error = math.sqrt(variance)
    reach = t_critical(df) * error
    return Difference(
        first, second, estimate, estimate - reach, estimate + reach, t_p_value(estimate / error, df)
    )


MAX_STANDARD_ERROR = 5.0
"""In log-odds. A larger one is of an effect that runs away: exp(5) is an odds ratio of 148."""


def _some_groups(dataset: Dataset, seed: int) -> tuple[Dataset, list[str]]:
    """The dataset, or as many whole groups of it as have ``MOST_RATINGS`` ratings at most."""
    cells = dataset.ratings.join(
        dataset.candidates.filter("shown").select("round_id", "candidate_id"),
        on=["round_id", "candidate_id"],
        how="semi",
    ).unique(["round_id", "candidate_id", "participant_id"])
    if cells.height <= MOST_RATINGS:
        return dataset, []
    n_of = (
        cells.join(dataset.rounds.select("round_id", "group_id"), on="round_id")
        .group_by("group_id")
        .len()
        .sort("group_id")
    )
    order = np.random.default_rng(seed).permutation(n_of.height)
    n_kept = max(2, int((n_of["len"].to_numpy()[order].cumsum() <= MOST_RATINGS).sum()))
    if n_kept >= n_of.height:
        return dataset, []
    kept = n_of["group_id"].gather(order[:n_kept])
    rounds = dataset.rounds.filter(pl.col("group_id").is_in(kept.implode()))
    some = replace(
        dataset,
        rounds=rounds,
        ratings=dataset.ratings.join(rounds.select("round_id"), on="round_id", how="semi"),
    )
    return some, [
        f"Fitted to {n_kept:,} of {n_of.height:,} groups, drawn by lot, to answer in seconds: its "
        "interval is wider than that of all. --regression fits all of them."
    ]
