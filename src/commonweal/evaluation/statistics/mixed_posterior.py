"""The mixed models as a posterior, sampled with bambi (extra `stats`): minutes, on request.

A fit that has not converged is an error, never a number.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import InputError
from commonweal.evaluation.statistics.convergence import NotConvergedError, diagnose, library, quiet
from commonweal.evaluation.statistics.mixed_models import (
    FACTORS,
    Difference,
    Kind,
    MixedModel,
    Ratings,
    one_sided,
    ratings_of,
)
from commonweal.measures.intervals import CONFIDENCE
from commonweal.types import no_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonweal.datasets.dataset import Dataset
    from commonweal.types import FloatArray, Progress

PRIOR_OF_A_DIFFERENCE = 2.0
"""Standard deviation, in log-odds: 95 % within 3.9, an odds ratio of 50."""
PRIOR_OF_SPREADS, PRIOR_OF_THRESHOLDS = 2.5, 5.0


def fit_posterior(
    dataset: Dataset,
    *,
    kind: Kind,
    seed: int = 0,
    n_draws: int = 2000,
    n_tune: int = 1000,
    n_chains: int = 4,
    on_progress: Progress = no_progress,
) -> MixedModel:
    """The largest mixed model of agreement by policy that the design allows, if it converges.

    For 60 groups of five and six statements on two cores about a minute, for the ordinal one about
    six.

    Args:
        dataset: the rounds.
        kind: as in ``ratings_of``.
        seed: the same seed and library versions, the same draws.
        n_draws: kept draws a chain.
        n_tune: draws a chain to adapt with, thrown away.
        n_chains: chains; convergence is told by comparing them.
        on_progress: told of each draw, in the stage "sample".

    Raises:
        InputError: there is nothing to compare, or one group only.
        MissingExtraError: bambi is not installed.
        NotConvergedError: the chains have not converged.
    """
    if n_chains < 2:
        raise InputError(
            f"n_chains is {n_chains}, expected at least 2: convergence compares chains"
        )
    ratings = ratings_of(dataset, kind)
    notes = [
        f"All ratings of {policy} are the {'same' if kind == 'logistic' else 'lowest or highest'}. "
        "The ratings put no bound on its effect; the size that is reported, and the end of its "
        "interval, come from the prior."
        for policy in one_sided(ratings.rows)
    ]
    bambi = library("bambi")
    columns = [f"policy{i}" for i in range(1, len(ratings.policies))]
    outcome = "agrees" if kind == "logistic" else "agreement"
    formula = f"{outcome} ~ {' + '.join(columns)} + " + " + ".join(
        f"(1|{term})" for term in ratings.terms
    )
    n_done, n_total = 0, n_chains * (n_draws + n_tune)

    def drawn(trace: object, draw: object) -> None:  # noqa: ARG001, the sampler names them
        nonlocal n_done
        n_done += 1
        on_progress("sample", n_done, n_total)

    with quiet():
        model = bambi.Model(
            formula,
            _as_pandas(ratings, columns, outcome, kind),
            family="bernoulli" if kind == "logistic" else "cumulative",
            priors=_priors(ratings, columns, kind),
            noncentered=True,
        )
        trace = model.fit(
            draws=n_draws,
            tune=n_tune,
            chains=n_chains,
            cores=min(n_chains, os.cpu_count() or 1),
            target_accept=0.95,
            random_seed=seed,
            progressbar=False,
            callback=drawn,
        )
    draws = {name: np.asarray(values) for name, values in trace.posterior.data_vars.items()}
    divergent = np.asarray(trace.sample_stats["diverging"])
    levels = {f"1|{term}" for term in ratings.terms}
    reported = {name: values for name, values in draws.items() if name not in levels}
    diagnostics = diagnose(reported, divergent)
    if problems := diagnostics.problems():
        raise NotConvergedError(
            f"the {kind} mixed model has not converged, so it has no result: "
            f"{'; '.join(problems)}. Try more draws (n_draws, n_tune), or use the linear model",
            diagnostics,
        )
    if diagnostics.n_divergent:
        notes.append(f"{diagnostics.n_divergent} of {diagnostics.n_draws} draws diverged.")
    effects = np.stack([draws[name] for name in columns], axis=-1)
    return MixedModel(
        kind=kind,
        fit="posterior",
        differences=tuple(
            _difference(first, second, effects @ contrast)
            for first, second, contrast in ratings.pairs
        ),
        spreads={term: float(np.median(draws[f"1|{term}_sigma"])) for term in ratings.terms},
        formula=formula,
        prior=prior_in_words(kind),
        n_ratings=ratings.rows.height,
        n_missing=ratings.n_missing,
        n_levels=ratings.n_levels,
        software=f"bambi {bambi.__version__}",
        warnings=(*notes, *ratings.notes),
        diagnostics=diagnostics,
    )


def prior_in_words(kind: Kind) -> str:
    """All priors of the model, weakly informative and the same of every policy."""
    rest = "the intercept" if kind == "logistic" else "thresholds"
    return (
        f"the log-odds between any two policies normal (0, {PRIOR_OF_A_DIFFERENCE:g}), each "
        f"random effect's standard deviation half-normal ({PRIOR_OF_SPREADS:g}), {rest} normal "
        f"with standard deviation {PRIOR_OF_THRESHOLDS:g}"
    )


def _priors(ratings: Ratings, columns: Sequence[str], kind: Kind) -> dict[str, Any]:
    prior = library("bambi").Prior
    # Columns are orthonormal, so that a difference of two policies has twice their variance.
    of_policy = prior("Normal", mu=0, sigma=PRIOR_OF_A_DIFFERENCE / math.sqrt(2))
    of_spread = prior("Normal", mu=0, sigma=prior("HalfNormal", sigma=PRIOR_OF_SPREADS))
    if kind == "logistic":
        rest = {"Intercept": prior("Normal", mu=0, sigma=PRIOR_OF_THRESHOLDS)}
    else:
        ordered = library("pymc.distributions.transforms").ordered
        n = ratings.rows["outcome"].n_unique() - 1
        start = np.linspace(-2, 2, n)
        rest = {
            "threshold": prior("Normal", mu=start, sigma=PRIOR_OF_THRESHOLDS, transform=ordered)
        }
    return (
        dict.fromkeys(columns, of_policy)
        | {f"1|{term}": of_spread for term in ratings.terms}
        | rest
    )


def _difference(first: str, second: str, draws: FloatArray) -> Difference:
    tail = (1 - CONFIDENCE) / 2
    low, middle, high = np.quantile(draws, [tail, 0.5, 1 - tail])
    return Difference(first, second, float(middle), float(low), float(high))


def _as_pandas(ratings: Ratings, columns: Sequence[str], outcome: str, kind: Kind) -> Any:
    """What bambi takes: the factors, the policy for its random effects, its coding, the outcome."""
    pd = library("pandas")
    rows = ratings.rows
    table = pd.DataFrame({name: rows[name].to_list() for name in (*FACTORS, "policy")})
    for name, column in zip(columns, ratings.design.T, strict=True):
        table[name] = column
    values = rows["outcome"].to_list()
    table[outcome] = values if kind == "logistic" else pd.Categorical(values, ordered=True)
    return table
