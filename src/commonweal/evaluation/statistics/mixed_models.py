"""The mixed-effects models of agreement by policy (paper 4.1): what both fits of them share.

Two outcomes: whether a rating agrees, logistic as in the paper, and the rating itself, ordinal
(cumulative logit). Crossed random effects for participant, question and group, and a deviation of
each policy for each of them. No policy is special: their effects sum to zero, and every two of
them are compared. ``mixed_likelihood`` fits the models in seconds, ``mixed_posterior`` samples them
in minutes. Decision 014 says why they look as they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from commonweal.errors import InputError
from commonweal.evaluation.statistics.regression import FEW_GROUPS, Outcome, rating_rows
from commonweal.frames import pl

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.evaluation.statistics.convergence import Diagnostics
    from commonweal.types import FloatArray

Kind = Literal["logistic", "ordinal"]
Fit = Literal["likelihood", "posterior"]

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
class Difference:
    """What one policy adds over another, in log-odds; positive is more agreement.

    Logistic: of agreeing. Ordinal: of a rating above any given point of the scale. exp() of the
    interval's ends is the interval of the odds ratio.

    Attributes:
        policy: the policy.
        against: the other.
        estimate: the mode of the likelihood, or the posterior median.
        low: lower end of the 95 % interval; of a posterior the equal-tailed one.
        high: upper end.
        p_value: two-sided, of no difference; None of a posterior.
    """

    policy: str
    against: str
    estimate: float
    low: float
    high: float
    p_value: float | None = None

    @property
    def turned(self) -> Difference:
        """The same with the policies changed over."""
        return replace(
            self,
            policy=self.against,
            against=self.policy,
            estimate=-self.estimate,
            low=-self.high,
            high=-self.low,
        )


@dataclass(frozen=True, slots=True)
class MixedModel:
    """A mixed model that has been fitted.

    Attributes:
        kind: logistic or ordinal.
        fit: how it was fitted.
        differences: of every two policies, each pair once, by name.
        spreads: standard deviation of each random effect, in log-odds.
        formula: the model.
        prior: all priors, in words; empty where there are none.
        n_ratings: one a person and statement: the first pass that has one.
        n_missing: people times shown statements with a rating in no pass.
        n_levels: how many participants, questions, groups and statements there are.
        software: what fitted it.
        warnings: what a reader should know before believing it, in sentences.
        diagnostics: how the sampling went; None without.
    """

    kind: Kind
    fit: Fit
    differences: tuple[Difference, ...]
    spreads: Mapping[str, float]
    formula: str
    prior: str
    n_ratings: int
    n_missing: int
    n_levels: Mapping[str, int]
    software: str
    warnings: tuple[str, ...]
    diagnostics: Diagnostics | None = None

    def over(self, policy: str, against: str) -> Difference:
        """What ``policy`` adds over ``against``; the same model whichever way it is read.

        Raises:
            InputError: one of them is not in the model.
        """
        for one in self.differences:
            if (one.policy, one.against) == (policy, against):
                return one
            if (one.against, one.policy) == (policy, against):
                return one.turned
        names = sorted({name for one in self.differences for name in (one.policy, one.against)})
        raise InputError(
            f"no difference of {policy!r} over {against!r}; expected two of {', '.join(names)}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Ratings:
    """What a mixed model is fitted to.

    Attributes:
        rows: one a rating: policy, outcome (int), and the columns of ``FACTORS``.
        policies: by name, at least two.
        terms: the random effects that the design can tell apart.
        coding: float [n_policies, n_policies - 1], ``sum_to_zero``.
        n_missing: as in ``MixedModel``.
        notes: what was left out, in sentences.
    """

    rows: pl.DataFrame
    policies: tuple[str, ...]
    terms: tuple[str, ...]
    coding: FloatArray
    n_missing: int
    notes: tuple[str, ...]

    @property
    def n_levels(self) -> dict[str, int]:
        """How many participants, questions, groups and statements there are."""
        return {name: self.rows[name].n_unique() for name in FACTORS}

    @property
    def design(self) -> FloatArray:
        """The fixed effects of each rating's policy, float [n_ratings, n_policies - 1]."""
        index = {name: i for i, name in enumerate(self.policies)}
        coded: FloatArray = self.coding[[index[name] for name in self.rows["policy"]]]
        return coded

    @property
    def pairs(self) -> tuple[tuple[str, str, FloatArray], ...]:
        """Every two policies, and the contrast of them in the fixed effects."""
        return tuple(
            (self.policies[i], self.policies[j], self.coding[i] - self.coding[j])
            for i, j in combinations(range(len(self.policies)), 2)
        )


def sum_to_zero(n_policies: int) -> FloatArray:
    """A coding of policies in which none is special, float [n_policies, n_policies - 1].

    Its columns are orthonormal and sum to zero: effects ``coding @ b`` sum to zero, and ``b`` with
    one normal prior each gives all policies the same prior, and every two the same difference.
    """
    from scipy.linalg import helmert

    coding: FloatArray = helmert(n_policies).T
    return coding


def ratings_of(dataset: Dataset, kind: Kind) -> Ratings:
    """The ratings and the random effects of the largest model that the design allows.

    Args:
        dataset: the rounds. A policy is whatever wrote a statement, ``human`` too.
        kind: ``logistic``: agrees (above neutral) or not (neutral is not agreement). ``ordinal``:
            the rating.

    Raises:
        InputError: there is nothing to compare, or one group only.
    """
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
    policies = tuple(sorted(rows["policy"].unique().to_list()))
    if len(policies) < 2:
        there = policies[0] if policies else "nothing"
        raise InputError(
            f"a mixed model compares at least two policies, and what is rated is by {there}"
        )
    if rows["outcome"].n_unique() < 2:
        raise InputError(
            "all ratings are the same ("
            + ("all agree" if kind == "logistic" and rows["outcome"][0] else "no difference")
            + "): there is nothing to explain"
        )
    terms, dropped = random_effects(rows)
    return Ratings(
        rows,
        policies,
        terms,
        sum_to_zero(len(policies)),
        n_missing,
        (*_few_groups(rows, terms), *dropped),
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


def one_sided(rows: pl.DataFrame) -> list[str]:
    """The policies all of whose ratings are the lowest that there is, or all the highest."""
    lowest, highest = rows["outcome"].min(), rows["outcome"].max()
    extremes = rows.group_by("policy").agg(
        low=pl.col("outcome").min(), high=pl.col("outcome").max()
    )
    return (
        extremes.filter((pl.col("high") == lowest) | (pl.col("low") == highest))["policy"]
        .sort()
        .to_list()
    )


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
        "is hardly known."
    ]
