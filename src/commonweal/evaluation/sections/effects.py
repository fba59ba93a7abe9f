"""Regressions as figures: what each policy adds to a rating (paper 4.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from commonweal.errors import InputError, MissingExtraError
from commonweal.evaluation.metrics import VALUE, Metric, MetricTable, Subject, Whole, shown
from commonweal.evaluation.plotting.canvas import Canvas, Point, points
from commonweal.evaluation.section import Section
from commonweal.evaluation.statistics.convergence import NotConvergedError
from commonweal.evaluation.statistics.cumulative import NoFitError
from commonweal.evaluation.statistics.mixed_likelihood import fit_likelihood
from commonweal.evaluation.statistics.mixed_posterior import fit_posterior
from commonweal.evaluation.statistics.regression import Effect, Outcome, policy_effects
from commonweal.types import no_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonweal.datasets.dataset import Dataset
    from commonweal.evaluation.metrics import Kind as Shown
    from commonweal.evaluation.sections.win_rates import Pair
    from commonweal.evaluation.statistics.mixed_models import Difference, Kind, MixedModel
    from commonweal.showing import Plot
    from commonweal.types import Progress

OUTCOMES: tuple[Outcome, ...] = ("agreement", "agrees", "quality")
KINDS: tuple[Kind, ...] = ("logistic", "ordinal")


@dataclass(frozen=True)
class Added(Subject):
    """What a policy adds to an outcome over ``baseline``, which in ``is_other`` is another one."""

    unsaid = ("equal_length", "is_other")
    policy: str
    outcome: Outcome
    baseline: str
    equal_length: bool
    is_other: bool = False

    @property
    def key(self) -> str:
        """Without the parts that it does not have."""
        length = "/equal_length" if self.equal_length else ""
        over = f"/over/{self.baseline}" if self.is_other else ""
        return f"effect/{self.outcome}{length}/{self.policy}{over}"


@dataclass(frozen=True)
class NoMixedModel(Subject):
    """A mixed model that could not be fitted or sampled."""

    unsaid = ("kind",)
    kind: Kind
    form = "mixed/{kind}"


class AddedByLength(Added):
    """What 10 more words add; the policy is called "length"."""


@dataclass(frozen=True)
class LogOdds(Subject):
    """What a policy adds over ``baseline``, or another, by a mixed model."""

    unsaid = ("kind", "is_other")
    policy: str
    baseline: str
    fit: str
    kind: Kind
    is_other: bool
    terms = (
        (
            "log-odds",
            "the logarithm of the odds: 0 is no difference, 0.7 is twice the odds, -0.7 half of "
            "them",
        ),
    )

    @property
    def key(self) -> str:
        """Without the parts that it does not have."""
        over = f"/over/{self.baseline}" if self.is_other else ""
        return f"mixed/{self.kind}/{self.policy}{over}"


def effects(
    dataset: Dataset,
    baseline: str | None,
    pairs: Sequence[Pair] = (),
    *,
    sample_mixed_models: bool = False,
    seed: int = 0,
    on_progress: Progress = no_progress,
) -> Section:
    """Each pair of policies: the fast regression, and the mixed models.

    A mixed model that cannot be fitted, or has not converged, is a metric without a value, which
    says why; the others stand.

    Raises:
        MissingExtraError: mixed models are to be sampled and their library is not installed.
    """
    tables = [
        MetricTable(
            "Fixed effect of each person in each round, errors clustered by group",
            tuple(
                one
                for outcome in OUTCOMES
                for control in (False, True)
                for one in _fast(dataset, baseline, outcome, control_length=control)
            ),
            "It compares policies as they were rated, not why. Points of a scale are taken for "
            "equal steps; the ordinal model does without that.",
        )
    ]
    others = _other_pairs(dataset, pairs, baseline)
    if others:
        tables.append(
            MetricTable(
                "The same for every other pair of policies",
                tuple(others),
                "The same regressions, read against another policy: no new evidence.",
            )
        )
    for kind in KINDS:
        tables += _mixed_tables(
            dataset, kind, baseline, pairs, seed, on_progress if sample_mixed_models else None
        )
    return Section(
        "regression",
        "Regressions",
        "Paper 4.1",
        "Fixed effects: the policy explains a person's ratings in a round; each person in each "
        "round has their own level. Mixed: random effects for participant, question and group, "
        "and for each of these a deviation of each policy, if the data can tell them apart; the "
        "policies' effects sum to zero, so that none is special and every two are compared.",
        tuple(tables),
        draw=_plots,
    )


def _plots(section: Section, canvas: Canvas) -> list[Plot | None]:
    def pair(of: Added | LogOdds) -> str:
        return f"{of.policy} over {of.baseline}"

    def panel(outcome: Outcome) -> list[Point]:
        added = [one for one in section.having(Added) if one.subject.outcome == outcome]
        return points(added, pair, lambda of: "at equal length" if of.equal_length else "as it is")

    words = {"logistic": "agreeing (logistic)", "ordinal": "a higher rating (ordinal)"}
    mixed = points(section.having(LogOdds), pair, lambda of: words[of.kind])
    return [
        canvas.forest(
            [("Points of agreement", panel("agreement")), ("Points of quality", panel("quality"))],
            "What a policy adds to a person's rating over another in the same round.",
            reference=0,
        ),
        canvas.forest(
            [("Log-odds, mixed-effects models", mixed)],
            "What a policy adds to the log-odds of agreement, given the random effects.",
            reference=0,
        ),
    ]


def _other_pairs(
    dataset: Dataset, pairs: Sequence[Pair], baseline: str | None
) -> list[Metric[Subject]]:
    """The pairs without the baseline; those that cannot be estimated are left out."""
    wanted = [pair for pair in pairs if baseline not in pair]
    metrics: list[Metric[Subject]] = []
    for outcome in OUTCOMES:
        for second in dict.fromkeys(pair.second for pair in wanted):
            firsts = {pair.first for pair in wanted if pair.second == second}
            metrics += [
                replace(one, subject=replace(of, is_other=True))
                for one in _fast(dataset, second, outcome, control_length=False)
                if isinstance(of := one.subject, Added) and of.policy in firsts
            ]
    return metrics


FEW = "the groups are too few, or too much alike, to estimate an error from"


def _fast(
    dataset: Dataset, baseline: str | None, outcome: Outcome, *, control_length: bool
) -> list[Metric[Subject]]:
    subject = Whole(f"effect/{outcome}" + ("/equal_length" if control_length else ""))
    title = f"{outcome.capitalize()}" + (", at equal length" if control_length else "")
    if baseline is None:
        return [subject.unavailable(title, "no statement was written by a policy")]
    try:
        effects = policy_effects(
            dataset, outcome=outcome, baseline=baseline, control_length=control_length
        )
    except InputError as error:
        return [subject.unavailable(title, str(error))]
    kind: Shown = "share" if outcome == "agrees" else "points"
    what = {
        "agreement": "points of agreement",
        "quality": "points of quality",
        "agrees": "percentage points to the share of ratings that agree",
    }[outcome]
    at = " at equal length" if control_length else ""

    def one(effect: Effect, of: Added, title: str, says: str) -> Metric[Subject]:
        # Two or three groups that say the same leave nothing to estimate an error from.
        is_known = effect.standard_error > 0
        return Metric(
            of,
            title,
            kind,
            effect.estimate,
            effect.low if is_known else None,
            effect.high if is_known else None,
            effects.n_ratings,
            "people times statements",
            effects.n_groups,
            says.replace(VALUE, shown(effect.estimate, kind).removesuffix(" %")),
            p_value=effect.p_value if is_known else None,
            no_interval="" if is_known else FEW,
            warning=" ".join(effects.warnings),
        )

    metrics = [
        one(
            effect,
            Added(effect.name, outcome, baseline, control_length),
            f"{effect.name} over {baseline}, {outcome}{at}",
            f"A statement of {effect.name} adds {VALUE} {what} over one of {baseline}{at}, for the "
            "same person in the same round.",
        )
        for effect in effects.effects
    ]
    if effects.length is not None:
        metrics.append(
            one(
                effects.length,
                AddedByLength("length", outcome, baseline, control_length),
                f"10 more words, {outcome}",
                f"10 more words add {VALUE} {what}, whatever the policy.",
            )
        )
    return metrics


def _mixed_tables(
    dataset: Dataset,
    kind: Kind,
    baseline: str | None,
    pairs: Sequence[Pair],
    seed: int,
    on_sample: Progress | None,
) -> list[MetricTable]:
    """The mixed model by its likelihood, or sampled where ``on_sample`` is told of it.

    Where the sampling has not converged, that is said, and the likelihood stands in.
    """
    title = f"Mixed-effects model, {kind}"
    tables: list[MetricTable] = []
    try:
        if baseline is None:
            raise InputError("no statement was written by a policy")
        if on_sample is not None:
            try:
                sampled = fit_posterior(dataset, kind=kind, seed=seed, on_progress=on_sample)
            except NotConvergedError as error:
                missing = NoMixedModel(kind).unavailable(f"{title}, sampled", str(error))
                tables.append(MetricTable(f"{title}, sampled", (missing,)))
            else:
                return [_mixed(sampled, baseline, pairs)]
        model = fit_likelihood(dataset, kind=kind, seed=seed)
    except MissingExtraError:
        raise
    except (InputError, NoFitError) as error:
        missing = NoMixedModel(kind).unavailable(title, str(error))
        return tables or [MetricTable(title, (missing,))]
    return [*tables, _mixed(model, baseline, pairs)]


def _mixed(model: MixedModel, baseline: str, pairs: Sequence[Pair]) -> MetricTable:
    """Every policy over the baseline, then every other pair."""
    names = sorted({name for one in model.differences for name in (one.policy, one.against)})
    wanted = [(name, baseline) for name in names if name != baseline]
    wanted += [pair for pair in pairs if baseline not in pair and {*pair} <= {*names}]
    if model.diagnostics is not None:
        diagnostics = model.diagnostics
        ess = min(diagnostics.min_ess_bulk, diagnostics.min_ess_tail)
        how = (
            f"{model.formula}; {model.software}; R-hat at most {diagnostics.max_r_hat:.3f}, "
            f"effective sample size at least {ess:.0f}. Priors: {model.prior}. Intervals are of "
            "the posterior, not of resampled groups."
        )
    else:
        how = (
            f"{model.formula}; restricted likelihood, Laplace's approximation; {model.software}. "
            "No prior. Intervals are of Student's t with groups less one degrees of freedom, not "
            "of resampled groups. --regression samples the posterior instead, in minutes."
        )
    spreads = ", ".join(f"{name} {spread:.2f}" for name, spread in model.spreads.items())
    return MetricTable(
        f"Mixed-effects model, {model.kind}" + (", sampled" if model.diagnostics else ""),
        tuple(
            _difference(model, model.over(policy, against), baseline) for policy, against in wanted
        ),
        "Log-odds are conditional on the random effects, so they are larger than the effect on a "
        "share of people, and they are not points of the scale.",
        f"{how} Standard deviations of the random effects: {spreads}.",
    )


def _difference(model: MixedModel, one: Difference, baseline: str) -> Metric[LogOdds]:
    return Metric(
        LogOdds(one.policy, one.against, model.fit, model.kind, one.against != baseline),
        f"{one.policy} over {one.against}, log-odds, {model.kind}",
        "points",
        one.estimate,
        one.low,
        one.high,
        model.n_ratings,
        "people times statements",
        model.n_levels.get("group", 0),
        f"A statement of {one.policy} adds {shown(one.estimate, 'points')} to the log-odds of "
        f"{_OF[model.kind]} over one of {one.against}: the odds are "
        f"{math.exp(one.estimate):.2f} times as high.",
        p_value=one.p_value,
        warning=" ".join(model.warnings),
    )


_OF = {"logistic": "agreeing", "ordinal": "a rating above any given point"}
