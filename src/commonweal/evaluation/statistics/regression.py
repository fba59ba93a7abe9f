"""What a policy adds to a rating, each person compared with themselves (paper 4.1).

A linear model with a fixed effect for every person in every round, so that question, group,
participant and all that they have in common cancel, and with errors clustered by group. It needs
numpy alone, takes well under a second, and makes no assumption about how a group's ratings hang
together. The mixed-effects model of the paper is in ``mixed_models``; decision 014 says what each
is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from commonweal.datasets.words import n_words
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.measures.intervals import t_critical, t_p_value

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.types import FloatArray

    IndexArray = np.ndarray[tuple[int], np.dtype[np.intp]]

Outcome = Literal["agreement", "quality", "agrees"]
"""``agreement`` and ``quality`` in points of the dataset's scale; ``agrees`` is 1 above neutral and
0 otherwise, so its effects are differences in the share of people who agree."""

FEW_GROUPS = 10
"""Below this many groups, errors clustered by group are not to be relied on."""
WORDS_UNIT = 10


@dataclass(frozen=True, slots=True)
class Effect:
    """One coefficient with its interval.

    Attributes:
        name: the policy, or "length".
        estimate: what it adds, in the unit of the outcome; positive is more.
        standard_error: of the estimate, clustered by group.
        low: lower end of the 95 % interval.
        high: upper end.
        p_value: two-sided, of no effect.
    """

    name: str
    estimate: float
    standard_error: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, slots=True)
class PolicyEffects:
    """Each policy against the baseline.

    Attributes:
        outcome: what was explained.
        baseline: the policy that the others are compared with.
        effects: one a policy, the baseline left out, by name.
        length: what 10 more words in a statement add; None where it was not controlled for.
        n_ratings: people times statements; a person's passes are one mean.
        n_missing: people times statements that were shown and have no rating in any pass.
        n_people: participants whose ratings tell something: they rated two policies in a round.
        n_rounds: rounds of theirs.
        n_groups: groups of theirs.
        degrees_of_freedom: of the t reference, groups less one.
        model: the model in words.
        warnings: what a reader should know before believing it, in sentences.
    """

    outcome: Outcome
    baseline: str
    effects: tuple[Effect, ...]
    length: Effect | None
    n_ratings: int
    n_missing: int
    n_people: int
    n_rounds: int
    n_groups: int
    degrees_of_freedom: int
    model: str
    warnings: tuple[str, ...]


NO_ERROR = 1e-7
"""On the outcome's scale: a standard error of less is none. Rounding alone leaves 2e-9 on one
processor and less than 1e-9 on another, where two groups say the same."""


def policy_effects(
    dataset: Dataset,
    *,
    outcome: Outcome = "agreement",
    baseline: str,
    control_length: bool = False,
) -> PolicyEffects:
    """What each policy's statements add to a person's rating, over the baseline's in that round.

    Args:
        dataset: the rounds. A policy is whatever wrote a statement, ``human`` too.
        outcome: what is explained.
        baseline: the policy to compare with.
        control_length: compare statements of the same length: words are in the model, linearly.

    Raises:
        InputError: there is nothing to compare: no such policy, one policy alone, one group alone,
            nobody who rated a policy and the baseline in one round (also by way of a third), or
            lengths that do not differ.
    """
    rows = rating_rows(dataset, outcome)
    n_missing = rows["outcome"].null_count()
    rows = rows.drop_nulls("outcome")
    policies = other_policies(rows, baseline)
    # Who rated one policy alone in a round compares nothing there.
    rows = rows.filter(pl.col("policy").n_unique().over("round_id", "participant_id") > 1)
    names = list(policies)
    columns = [rows["policy"].to_numpy() == name for name in names]
    if control_length:
        names.append("length")
        columns.append(rows["words"].to_numpy() / WORDS_UNIT)
    # Rows are sorted, so each person's of a round stand together.
    person = rows.select(pl.struct("round_id", "participant_id").rle_id()).to_series().to_numpy()
    x = _demeaned(np.column_stack([np.asarray(c, dtype=float) for c in columns]), person)
    y = _demeaned(rows["outcome"].to_numpy()[:, None], person)[:, 0]
    _check_estimable(x, names, baseline)
    group = (rows["group_id"].rank("dense") - 1).to_numpy().astype(np.intp)
    n_groups = rows["group_id"].n_unique()
    if n_groups < 2:
        raise InputError(
            f"the ratings that can be compared come from {n_groups} group; expected at least 2: "
            "groups are the unit of uncertainty"
        )
    estimates, covariance = least_squares_cr2(x, y, group)
    # Rounding may leave a variance of nothing below 0, or an error just above it.
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    errors[errors <= NO_ERROR] = 0
    effects_of_all = _effects(names, estimates, errors, n_groups - 1)
    effects = tuple(effect for effect in effects_of_all if effect.name in policies)
    return PolicyEffects(
        outcome=outcome,
        baseline=baseline,
        effects=effects,
        length=effects_of_all[-1] if control_length else None,
        n_ratings=rows.height,
        n_missing=n_missing,
        n_people=rows["participant_id"].n_unique(),
        n_rounds=rows["round_id"].n_unique(),
        n_groups=n_groups,
        degrees_of_freedom=n_groups - 1,
        model=(
            f"{outcome} ~ policy (baseline {baseline})"
            + (" + words / 10" if control_length else "")
            + " + fixed effect of person in round; least squares; errors clustered by group (CR2), "
            "t with groups - 1 degrees of freedom"
        ),
        warnings=_warnings(n_groups),
    )


def rating_rows(dataset: Dataset, outcome: Outcome, *, first_pass: bool = False) -> pl.DataFrame:
    """One row for each person and shown statement of somebody else's, sorted, with what explains
    the rating.

    Columns: round_id, group_id, question_id, participant_id, candidate_id, policy, words, outcome
    (null where no pass has a rating).

    Args:
        dataset: the rounds.
        outcome: what is explained.
        first_pass: the first pass with a rating, not the mean of all passes.
    """
    neutral = dataset.about.scale.neutral
    rating = pl.col("quality" if outcome == "quality" else "agreement")
    value = (rating > neutral).cast(pl.Float64) if outcome == "agrees" else rating.cast(pl.Float64)
    ratings = dataset.ratings.with_columns(outcome=value)
    if first_pass:  # nulls last: a pass without a rating is no pass
        ratings = ratings.sort(pl.col("outcome").is_null(), "pass_index", maintain_order=True)
    outcome_of = pl.col("outcome").first() if first_pass else pl.col("outcome").mean()
    return (
        ratings.group_by("round_id", "participant_id", "candidate_id", maintain_order=first_pass)
        .agg(outcome=outcome_of)
        .join(
            dataset.candidates.filter("shown").select(
                "round_id",
                "candidate_id",
                "policy",
                "author_id",
                words=pl.col("text").map_elements(n_words, return_dtype=pl.Int64),
            ),
            on=["round_id", "candidate_id"],
        )
        .filter(pl.col("author_id").ne_missing(pl.col("participant_id")))
        .drop("author_id")
        .join(dataset.rounds.select("round_id", "group_id", "question_id"), on="round_id")
        .sort("round_id", "participant_id", "candidate_id")
    )


def other_policies(rows: pl.DataFrame, baseline: str) -> tuple[str, ...]:
    """The policies with ratings, by name, less the baseline.

    Raises:
        InputError: the baseline has no ratings, or no other policy has.
    """
    names = sorted(rows["policy"].unique().to_list())
    if baseline not in names:
        raise InputError(
            f"no rated statement is by the baseline {baseline!r}; expected one of "
            f"{', '.join(names) or 'no policy at all: nothing is rated'}"
        )
    if len(names) < 2:
        raise InputError(
            f"all rated statements are by {baseline!r}; an effect compares at least two policies"
        )
    return tuple(name for name in names if name != baseline)


# ----------------------------------------------------------------------------------- arithmetic


def least_squares_cr2(
    x: FloatArray, y: FloatArray, cluster: IndexArray
) -> tuple[FloatArray, FloatArray]:
    """Coefficients [k] and their covariance [k, k], robust to clusters: "CR2", the bias-reduced
    sandwich of Bell and McCaffrey (2002).

    Fixed effects that lie within clusters may have been taken out of ``x`` and ``y`` before: the
    result is as if they were in the model (Pustejovsky and Tipton 2018, theorem 2).

    Args:
        x: regressors [n, k], of full rank.
        y: outcome [n].
        cluster: the cluster of each row, counted from 0 without gaps [n].
    """
    bread = np.linalg.inv(x.T @ x)
    estimates = bread @ (x.T @ y)
    residuals = y - x @ estimates
    order = np.argsort(cluster, kind="stable")
    starts = np.searchsorted(cluster[order], np.arange(cluster.max() + 1))
    scores = np.empty((len(starts), x.shape[1]))
    root = np.linalg.cholesky(bread)
    for g, rows in enumerate(np.split(order, starts[1:])):
        # (I - H)^(-1/2) of the cluster's part of the hat matrix, through its few directions.
        directions, shares, _ = np.linalg.svd(x[rows] @ root, full_matrices=False)
        left = 1 - shares**2
        # A direction that this cluster alone determines has no residual to scale up.
        scale = np.where(left > 1e-10, left, np.inf) ** -0.5 - 1
        e = residuals[rows]
        adjusted = e + directions @ (scale * (directions.T @ e))
        scores[g] = x[rows].T @ adjusted
    return estimates, bread @ (scores.T @ scores) @ bread


def _effects(
    names: Sequence[str], estimates: FloatArray, errors: FloatArray, df: int
) -> tuple[Effect, ...]:
    critical = t_critical(df)
    return tuple(
        Effect(
            name=name,
            estimate=float(estimate),
            standard_error=float(error),
            low=float(estimate - critical * error),
            high=float(estimate + critical * error),
            p_value=t_p_value(float(estimate / error), df) if error > 0 else float(estimate == 0),
        )
        for name, estimate, error in zip(names, estimates, errors, strict=True)
    )


def _demeaned(values: FloatArray, person: IndexArray) -> FloatArray:
    """``values`` [n, k] less their mean over the rows of the same person in the same round."""
    if not len(values):
        return values
    sums = np.stack([np.bincount(person, weights=column) for column in values.T], axis=1)
    centred: FloatArray = values - (sums / np.bincount(person)[:, None])[person]
    return centred


def _check_estimable(x: FloatArray, names: Sequence[str], baseline: str) -> None:
    """Raises where a coefficient cannot be told from the fixed effects and the others."""
    scale = np.abs(x).max(axis=0, initial=0.0)
    if names[-1] == "length" and scale[-1] < 1e-9:
        raise InputError(
            "each person's statements have the same number of words in each round: there is no "
            "length to control for"
        )
    _, singular, directions = np.linalg.svd(x.T @ x)
    lost = np.abs(directions[singular <= 1e-9 * max(singular[0], 1e-300)]).max(axis=0, initial=0.0)
    if (lost > 1e-6).any():
        which = ", ".join(name for name, how in zip(names, lost, strict=True) if how > 1e-6)
        raise InputError(
            f"nobody rated {which} and the baseline {baseline!r} in one round, directly or by way "
            "of another policy; expected rounds with statements of both: policies are compared "
            "within a person and round"
        )


def _warnings(n_groups: int) -> tuple[str, ...]:
    if n_groups >= FEW_GROUPS:
        return ()
    return (
        f"There are {n_groups} groups only. With fewer than {FEW_GROUPS} the errors clustered by "
        "group rest on too few groups: the interval may be much too narrow or too wide.",
    )
