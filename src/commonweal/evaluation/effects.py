"""Regressions as figures: what each policy adds to a rating (paper 4.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from commonweal.errors import InputError
from commonweal.evaluation.figures import VALUE, Figure, Section, Table, shown, unavailable
from commonweal.evaluation.regression import Effect, Outcome, policy_effects
from commonweal.types import no_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonweal.datasets.dataset import Dataset
    from commonweal.evaluation import figures
    from commonweal.evaluation.mixed_models import Kind, MixedModel
    from commonweal.evaluation.win_rates import Pair
    from commonweal.types import Progress

OUTCOMES: tuple[Outcome, ...] = ("agreement", "agrees", "quality")
KINDS: tuple[Kind, ...] = ("logistic", "ordinal")


def effects(
    dataset: Dataset,
    baseline: str | None,
    pairs: Sequence[Pair] = (),
    *,
    with_mixed_models: bool = False,
    seed: int = 0,
    on_progress: Progress = no_progress,
) -> Section:
    """Each pair of policies: the fast regression, and the mixed models where wanted.

    A mixed model that cannot be fitted, or has not converged, is a figure without a value, which
    says why; the others stand.

    Raises:
        MissingLibraryError: mixed models are wanted and their library is not installed.
    """
    tables = [
        Table(
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
            Table(
                "The same for every other pair of policies",
                tuple(others),
                "The same regressions, read against another policy: no new evidence.",
            )
        )
    if with_mixed_models:
        from commonweal.evaluation.convergence import MissingLibraryError, NotConvergedError
        from commonweal.evaluation.mixed_models import fit_mixed_model

        for kind in KINDS:
            title = f"Mixed-effects model, {kind}"
            try:
                if baseline is None:
                    raise InputError("no statement was written by a policy")
                model = fit_mixed_model(
                    dataset, kind=kind, baseline=baseline, seed=seed, on_progress=on_progress
                )
            except MissingLibraryError:
                raise
            except (InputError, NotConvergedError) as error:
                tables.append(Table(title, (unavailable(f"mixed/{kind}", title, str(error)),), ""))
            else:
                tables.append(_mixed(model))
    else:
        reason = "mixed models take minutes and were not asked for; --regression fits them"
        missing = tuple(
            unavailable(f"mixed/{kind}", f"Mixed-effects model, {kind}", reason) for kind in KINDS
        )
        tables.append(Table("Mixed-effects models", missing, ""))
    return Section(
        "regression",
        "Regressions",
        "Paper 4.1",
        "Fast: a person's ratings in a round are explained by the policy, each person in each "
        "round having a level of their own. Mixed: random effects for participant, question and "
        "group and a deviation of each policy for each of them, where the data can tell them.",
        tuple(tables),
    )


def _other_pairs(dataset: Dataset, pairs: Sequence[Pair], baseline: str | None) -> list[Figure]:
    """The pairs without the baseline; those that cannot be estimated are left out."""
    wanted = [pair for pair in pairs if baseline not in pair]
    found = []
    for outcome in OUTCOMES:
        for second in dict.fromkeys(pair.second for pair in wanted):
            firsts = {pair.first for pair in wanted if pair.second == second}
            found += [
                replace(one, key=f"{one.key}/over/{second}")
                for one in _fast(dataset, second, outcome, control_length=False)
                if one.of.get("policy") in firsts
            ]
    return found


NO_ERROR = 1e-9
"""An error of less is none: rounding."""
FEW = "the groups are too few, or too much alike, to estimate an error from"


def _fast(
    dataset: Dataset, baseline: str | None, outcome: Outcome, *, control_length: bool
) -> list[Figure]:
    key = f"effect/{outcome}" + ("/equal_length" if control_length else "")
    title = f"{outcome.capitalize()}" + (", at equal length" if control_length else "")
    if baseline is None:
        return [unavailable(key, title, "no statement was written by a policy")]
    try:
        found = policy_effects(
            dataset, outcome=outcome, baseline=baseline, control_length=control_length
        )
    except InputError as error:
        return [unavailable(key, title, str(error))]
    kind: figures.Kind = "share" if outcome == "agrees" else "points"
    what = {
        "agreement": "points of agreement",
        "quality": "points of quality",
        "agrees": "percentage points to the share of ratings that agree",
    }[outcome]
    at = " at equal length" if control_length else ""

    def one(effect: Effect, name: str, title: str, says: str) -> Figure:
        # Two or three groups that say the same leave nothing to estimate an error from.
        is_known = effect.standard_error > NO_ERROR
        return Figure(
            f"{key}/{name}",
            title,
            kind,
            effect.estimate,
            effect.low if is_known else None,
            effect.high if is_known else None,
            found.n_ratings,
            "people times statements",
            found.n_groups,
            says.replace(VALUE, shown(effect.estimate, kind).removesuffix(" %")),
            {"policy": name, "outcome": outcome, "baseline": baseline},
            p_value=effect.p_value if is_known else None,
            no_interval="" if is_known else FEW,
            warning=" ".join(found.warnings),
        )

    found_figures = [
        one(
            effect,
            effect.name,
            f"{effect.name} over {baseline}, {outcome}{at}",
            f"A statement of {effect.name} adds {VALUE} {what} over one of {baseline}{at}, for the "
            "same person in the same round.",
        )
        for effect in found.effects
    ]
    if found.length is not None:
        found_figures.append(
            one(
                found.length,
                "length",
                f"10 more words, {outcome}",
                f"10 more words add {VALUE} {what}, whatever the policy.",
            )
        )
    return found_figures


def _mixed(model: MixedModel) -> Table:
    diagnostics = model.diagnostics
    return Table(
        f"Mixed-effects model, {model.kind}",
        tuple(
            Figure(
                f"mixed/{model.kind}/{effect.policy}",
                f"{effect.policy} over {model.baseline}, log-odds, {model.kind}",
                "points",
                effect.estimate,
                effect.low,
                effect.high,
                model.n_ratings,
                "people times statements",
                model.n_levels.get("group", 0),
                f"A statement of {effect.policy} adds {shown(effect.estimate, 'points')} to the "
                f"log-odds of {_OF[model.kind]} over one of {model.baseline}.",
                {"policy": effect.policy, "baseline": model.baseline},
                warning=" ".join(model.warnings),
            )
            for effect in model.effects
        ),
        "Log-odds are given the random effects, so they are larger than the effect on a share of "
        "people, and no points of the scale.",
        f"{model.formula}; {model.software}; R-hat at most {diagnostics.max_r_hat:.3f}, effective "
        f"sample size at least {min(diagnostics.min_ess_bulk, diagnostics.min_ess_tail):.0f}. "
        "Intervals are of the posterior, not of resampled groups.",
    )


_OF = {"logistic": "agreeing", "ordinal": "a rating above any given point"}
