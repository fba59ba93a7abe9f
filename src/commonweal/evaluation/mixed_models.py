"""The mixed-effects models of agreement by policy (paper 4.1), sampled with bambi (extra `stats`).

Two outcomes: whether a rating agrees, logistic as in the paper, and the rating itself, ordinal
(cumulative logit). Crossed random effects for participant, question and group, and a deviation of
each policy for each of them. Decision 014 says why they look as they do.

A fit that has not converged is an error, never a number.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from commonweal.errors import InputError
from commonweal.evaluation.convergence import (
    Diagnostics,
    NotConvergedError,
    diagnose,
    library,
    quiet,
)
from commonweal.evaluation.regression import (
    FEW_GROUPS,
    Outcome,
    other_policies,
    rating_rows,
)
from commonweal.measures.intervals import CONFIDENCE
from commonweal.types import no_progress

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.types import FloatArray, Progress

Kind = Literal["logistic", "ordinal"]

MIN_LEVELS = 5
"""A variance between fewer participants, questions or groups than this cannot be told."""
MIN_RATINGS_PER_LEVEL = 1.5
"""With fewer ratings a level on average, a random effect cannot be told from the noise."""
FACTORS = ("participant", "question", "group", "statement")
TERMS = {
    **{name: (name,) for name in FACTORS},
    "participant:policy": ("participant", "policy"),
    "question:policy": ("question", "policy"),
    "group:policy": ("group", "policy"),
}
"""The random effects of the largest model, and the columns that name their levels."""


@dataclass(frozen=True, slots=True)
class LogOdds:
    """What one policy adds over the baseline, in log-odds; positive is more agreement.

    Logistic: of agreeing. Ordinal: of a rating above any given point of the scale. The interval
    is the equal-tailed 95 % one, so exp() of its ends is the interval of the odds ratio.

    Attributes:
        policy: the policy.
        estimate: the posterior median.
        low: the 2.5 % quantile.
        high: the 97.5 % quantile.
        probability_above_zero: the share of draws above 0.
    """

    policy: str
    estimate: float
    low: float
    high: float
    probability_above_zero: float


@dataclass(frozen=True, slots=True)
class MixedModel:
    """A mixed model that has converged.

    Attributes:
        kind: logistic or ordinal.
        baseline: the policy that the others are compared with.
        effects: one a policy, the baseline left out, by name.
        spreads: standard deviation of each random effect, in log-odds: the posterior median.
        formula: the model as bambi had it.
        n_ratings: one a person and statement: the first pass that has one.
        n_missing: people times shown statements with a rating in no pass.
        n_levels: how many participants, questions, groups and statements there are.
        diagnostics: how the sampling went.
        seed: of the sampling.
        software: the library and its version.
        warnings: what a reader should know before believing it, in sentences.
    """

    kind: Kind
    baseline: str
    effects: tuple[LogOdds, ...]
    spreads: Mapping[str, float]
    formula: str
    n_ratings: int
    n_missing: int
    n_levels: Mapping[str, int]
    diagnostics: Diagnostics
    seed: int
    software: str
    warnings: tuple[str, ...]


def fit_mixed_model(
    dataset: Dataset,
    *,
    kind: Kind,
    baseline: str,
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
        kind: ``logistic``: agrees (above neutral) or not (neutral is not agreement). ``ordinal``:
            the rating.
        baseline: the policy to compare with.
        seed: the same seed and library versions, the same draws.
        n_draws: kept draws a chain.
        n_tune: draws a chain to adapt with, thrown away.
        n_chains: chains; convergence is told by comparing them.
        on_progress: told of each draw, in the stage "sample".

    Raises:
        InputError: there is nothing to compare, or one group only.
        MissingLibraryError: bambi is not installed.
        NotConvergedError: the chains have not converged.
    """
    if n_chains < 2:
        raise InputError(
            f"n_chains is {n_chains}, expected at least 2: convergence compares chains"
        )
    outcome: Outcome = "agrees" if kind == "logistic" else "agreement"
    rows = rating_rows(dataset, outcome, first_pass=True)
    n_missing = rows["outcome"].null_count()
    rows = rows.drop_nulls("outcome").select(
        "policy",
        pl.col("outcome").cast(pl.Int64),
        participant="participant_id",
        question="question_id",
        group="group_id",
        statement=pl.concat_str("round_id", "candidate_id", separator="\n"),
    )
    policies = other_policies(rows, baseline)
    notes = _separation(rows, kind)
    terms, dropped = random_effects(rows)
    notes += [*_few_groups(rows, terms), *dropped]
    bambi = library("bambi")
    formula = f"{outcome} ~ policy + " + " + ".join(f"(1|{term})" for term in terms)
    n_done, n_total = 0, n_chains * (n_draws + n_tune)

    def drawn(trace: object, draw: object) -> None:  # noqa: ARG001, the sampler names them
        nonlocal n_done
        n_done += 1
        on_progress("sample", n_done, n_total)

    with quiet():
        model = bambi.Model(
            formula,
            _as_pandas(rows, outcome, kind, (baseline, *policies)),
            family="bernoulli" if kind == "logistic" else "cumulative",
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
    levels = [str(level) for level in np.asarray(trace.posterior["policy"].coords["policy_dim"])]
    divergent = np.asarray(trace.sample_stats["diverging"])
    reported = {name: values for name, values in draws.items() if name not in _offsets(terms)}
    diagnostics = diagnose(reported, divergent)
    if problems := diagnostics.problems():
        raise NotConvergedError(
            f"the {kind} mixed model has not converged, so it has no result: "
            f"{'; '.join(problems)}. Try more draws (n_draws, n_tune), or use the linear model",
            diagnostics,
        )
    if diagnostics.n_divergent:
        notes.append(f"{diagnostics.n_divergent} of {diagnostics.n_draws} draws diverged.")
    return MixedModel(
        kind=kind,
        baseline=baseline,
        effects=tuple(
            _log_odds(name, draws["policy"][..., levels.index(name)]) for name in policies
        ),
        spreads={term: float(np.median(draws[f"1|{term}_sigma"])) for term in terms},
        formula=formula,
        n_ratings=rows.height,
        n_missing=n_missing,
        n_levels={name: rows[name].n_unique() for name in FACTORS},
        diagnostics=diagnostics,
        seed=seed,
        software=f"bambi {bambi.__version__}",
        warnings=tuple(notes),
    )


def random_effects(rows: pl.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The random effects that this design can tell apart, and why the others are left out.

    Args:
        rows: one a rating, with the columns participant, question, group, statement, policy.
    """
    kept: dict[str, pl.Series] = {}
    why = []
    too_few: set[str] = set()
    for term, columns in TERMS.items():
        level = rows.select(pl.struct(columns).rank("dense")).to_series()
        n_levels = level.n_unique()
        same = next((name for name, other in kept.items() if _same_levels(level, other)), None)
        if term not in FACTORS and columns[0] in too_few:
            continue  # said of the factor itself
        if n_levels < MIN_LEVELS:
            too_few.add(term)
            reason = f"there are {n_levels}, and a variance needs at least {MIN_LEVELS}"
        elif rows.height < MIN_RATINGS_PER_LEVEL * n_levels:
            reason = (
                f"there are {n_levels} for {rows.height} ratings, too many to tell from the noise"
            )
        elif same is not None:
            reason = f"in this study it cannot be told from {same}, which stands for both"
        else:
            kept[term] = level
            continue
        why.append(f"No random effect of {term}: {reason}.")
    if not kept:
        raise InputError(
            "no random effect can be told in this study: " + " ".join(why) + " Use the linear model"
        )
    return tuple(kept), tuple(why)


def _same_levels(first: pl.Series, second: pl.Series) -> bool:
    pairs = pl.DataFrame({"first": first, "second": second}).unique().height
    return pairs == first.n_unique() == second.n_unique()


def _separation(rows: pl.DataFrame, kind: Kind) -> list[str]:
    """What is one-sided: there the prior, and not the ratings, says how large an effect is.

    Raises:
        InputError: all ratings are the same.
    """
    if rows["outcome"].n_unique() < 2:
        raise InputError(
            "all ratings are the same ("
            + ("all agree" if kind == "logistic" and rows["outcome"][0] else "no difference")
            + "): there is nothing to explain"
        )
    one_sided = (
        rows.group_by("policy")
        .agg(n=pl.col("outcome").n_unique())
        .filter(pl.col("n") == 1)["policy"]
        .sort()
    )
    return [
        f"All ratings of {policy} are the same. The ratings put no bound on its effect; the size "
        "that is reported, and the end of its interval, come from the prior."
        for policy in one_sided
    ]


def _few_groups(rows: pl.DataFrame, terms: tuple[str, ...]) -> list[str]:
    """What few groups do to the interval.

    Raises:
        InputError: there is one, whose people say nothing of another.
    """
    n_groups = rows["group"].n_unique()
    if n_groups < 2:
        raise InputError(
            "there is one group, and how far groups differ is not seen; expected ratings of two "
            "groups or more"
        )
    if n_groups >= FEW_GROUPS:
        return []
    if not any(term.split(":")[0] == "group" for term in terms):
        return [f"There are {n_groups} groups only. How far groups differ is not in the interval."]
    return [
        f"There are {n_groups} groups only. With fewer than {FEW_GROUPS} the variance between them "
        "comes largely from its prior."
    ]


def _log_odds(policy: str, draws: FloatArray) -> LogOdds:
    tail = (1 - CONFIDENCE) / 2
    low, middle, high = np.quantile(draws, [tail, 0.5, 1 - tail])
    return LogOdds(policy, float(middle), float(low), float(high), float((draws > 0).mean()))


def _offsets(terms: tuple[str, ...]) -> set[str]:
    """The single levels' effects, which are not reported."""
    return {f"1|{term}" for term in terms}


def _as_pandas(rows: pl.DataFrame, outcome: str, kind: Kind, policies: tuple[str, ...]) -> Any:
    """What bambi takes. Its baseline is the first category of an ordered one."""
    pd = library("pandas")
    table = pd.DataFrame({name: rows[name].to_list() for name in FACTORS})
    table["policy"] = pd.Categorical(rows["policy"].to_list(), categories=policies, ordered=True)
    values = rows["outcome"].to_list()
    table[outcome] = values if kind == "logistic" else pd.Categorical(values, ordered=True)
    return table
