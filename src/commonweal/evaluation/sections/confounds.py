"""Each headline figure again, with length and quality held equal.

Longer statements may be liked for their length, and better written ones for their writing. A
logistic regression explains the outcome of a comparison (1 for a win, 0 for a loss) by the
difference in length, or in quality; the figure is its share of wins at no difference. It is
resampled with everything else, slope included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from commonweal.evaluation.metrics import (
    VALUE,
    Figure,
    Section,
    Table,
    figure,
    unavailable,
)
from commonweal.evaluation.rounds.rated import HUMAN, SAME, Rated, over_people, over_policies, sign
from commonweal.evaluation.sections.divisiveness import nothing_divisive, reached_by, sides
from commonweal.evaluation.sections.exclusion import differences as medians_apart
from commonweal.evaluation.sections.exclusion import nothing_excluded
from commonweal.evaluation.sections.human_opinions import differences, nothing_to_compare
from commonweal.evaluation.sections.win_rates import by_round, pairs_of
from commonweal.measures.bootstrap import Resampler, by_group
from commonweal.measures.intervals import ratio

if TYPE_CHECKING:
    from commonweal.evaluation.rounds.rated import IntArray
    from commonweal.types import FloatArray

MIN_BEYOND = 0.05
"""With a smaller share of comparisons on one side of no difference, the curve is all there is."""


class Control(NamedTuple):
    """What is held equal: its name, and its value for each statement, float [S]."""

    key: str
    title: str
    unit: str
    values: FloatArray

    def of_person_rounds(self, rated: Rated) -> FloatArray:
        """The mean of each policy's statements for each person in a round, float [Q, n_policies].

        Words of those that the person rated; or the person's own ratings of their quality.
        """
        people = rated.person_rounds
        return people.words if self.key == "length" else people.quality

    def of_the_best(self, rated: Rated) -> FloatArray:
        """Likewise, of the statements that the person rated highest, float [Q, n_policies]."""
        people, n_policies = rated.person_rounds, len(rated.policies)
        item = people.cell * n_policies + rated.statement_policy[rated.cell_statement]
        values = rated.words[rated.cell_statement] if self.key == "length" else rated.quality
        is_best = rated.agreement > people.best.ravel()[item] - SAME  # nan is not
        kept = np.where(is_best, values, np.nan)
        return over_people(kept, item, people.best.size, "mean").reshape(people.best.shape)


def confounds(rated: Rated, resampler: Resampler, baseline: str | None) -> Section:
    """Win rates, figures against human opinions and of divisiveness, one thing held equal."""
    mean_quality = over_people(rated.quality, rated.cell_statement, len(rated.words), "mean")
    rated_words = np.where(np.isnan(rated.group_agreement["mean"]), np.nan, rated.words)
    tables = []
    for control in (
        Control("length", "length", "words", rated_words),
        Control("quality", "mean quality", "points of quality", mean_quality),
    ):
        figures = [
            *_win_rates(rated, resampler, baseline, control),
            *_against_human(rated, resampler, control),
            *_divisive(rated, resampler, control),
            _inclusion(rated, resampler, control),
        ]
        tables.append(
            Table(
                f"At equal {control.title}",
                tuple(figures),
                _CAUTIONS[control.key],
            )
        )
    return Section(
        "confounds",
        "Length and quality held equal",
        "Not in the paper",
        "A logistic regression explains the outcome of each comparison by the difference in words "
        "(or in mean quality) between the two sides; the figure is what it says where there is no "
        "difference. All candidates together are compared with the position statement; policies "
        "that are not compared with each other are, at the average of their candidates. The "
        "uncontrolled figures, and the paper's, are in their own sections.",
        tuple(tables),
    )


_CAUTIONS = {
    "length": "The curve may be the wrong one. Length was not assigned by lot: what makes a "
    "statement long may itself be what people like.",
    "quality": "Quality was rated by the same people at the same moment, so agreement may have "
    "raised it. Holding it equal then takes away too much.",
}


def _win_rates(
    rated: Rated, resampler: Resampler, baseline: str | None, control: Control
) -> list[Figure]:
    pairs = pairs_of(rated, baseline)
    if not pairs:
        reason = "a win rate compares two policies"
        return [unavailable(f"confound/{control.key}/win_rate", "Win rate", reason)]
    agreement = by_round(rated, "mean")
    shape = (len(rated.round_ids), len(rated.policies))
    values = over_policies(control.values, rated.statement_round, rated.statement_policy, shape)
    index = {name: i for i, name in enumerate(rated.policies)}
    first, second = ([index[name] for name in side] for side in zip(*pairs, strict=True))
    people, of_person = rated.person_rounds, control.of_person_rounds(rated)

    def shares(
        by: FloatArray, x: FloatArray, group: IntArray, start: str, title: str, unit: str
    ) -> list[Figure]:
        return _at_zero(
            resampler,
            control,
            x=x[:, first] - x[:, second],
            y=_outcome(sign(by[:, first] - by[:, second])),
            group=group,
            keys=[f"{start}/{pair.first}/{pair.second}" for pair in pairs],
            titles=[f"{title} of {pair.first} over {pair.second}" for pair in pairs],
            policies=[pair.first for pair in pairs],
            unit=unit,
        )

    return [
        *shares(
            agreement,
            values,
            rated.round_group,
            "win_rate",
            "Win rate",
            "rounds that were not even",
        ),
        *shares(
            people.mean,
            of_person,
            people.group,
            "win_rate_person",
            "Each person's win rate",
            "people in a round that were not even",
        ),
    ]


def _against_human(rated: Rated, resampler: Resampler, control: Control) -> list[Figure]:
    reason = nothing_to_compare(rated)
    if reason:
        key = f"confound/{control.key}/against_human"
        return [unavailable(key, "Against human opinions", reason)]
    columns = [rated.policies.index(name) for name in rated.machine_policies]
    human = [rated.policies.index(HUMAN)]
    return [
        one
        for comparison, start, values in (
            ("mean", "against_human", control.of_person_rounds(rated)),
            ("best", "against_human_best", control.of_the_best(rated)),
        )
        for one in _at_zero(
            resampler,
            control,
            x=values[:, columns] - values[:, human],
            y=_outcome(sign(differences(rated, comparison))),
            group=rated.person_rounds.group,
            keys=[f"{start}/{name}" for name in rated.machine_policies],
            titles=[
                f"{name} over people's opinions, {comparison} against {comparison}"
                for name in rated.machine_policies
            ],
            policies=list(rated.machine_policies),
            unit="people in a round that were not even",
        )
    ]


def _divisive(rated: Rated, resampler: Resampler, control: Control) -> list[Figure]:
    """Less divisive and unanimous: all candidates beside the position, policies beside each other.

    A policy is taken at the average length (quality) of all candidates in divisive rounds.
    """
    less, unanimous = (f"confound/{control.key}/{key}" for key in ("less_divisive", "unanimous"))
    title, unanimous_title = "Less divisive than the position", "Some candidate is unanimous"
    if reason := nothing_divisive(rated):
        return [unavailable(less, title, reason), unavailable(unanimous, unanimous_title, reason)]
    found = sides(rated)
    values = control.values[found.statement]
    figures = []
    if control.key == "length":
        figures += _at_zero(
            resampler,
            control,
            x=(values - rated.position_words[found.round])[:, None],
            y=found.is_less[:, None],
            group=found.group,
            keys=["less_divisive/all"],
            titles=[f"{title}, all policies"],
            policies=["all policies"],
            unit="candidates in divisive rounds",
            at="at the position statement's length",
        )
    else:
        reason = "the quality of position statements was not rated"
        figures.append(unavailable(f"{less}/all", f"{title}, all policies", reason))
    reason = (
        f"a share of rounds has no other side to be of equal {control.title} with; the policies "
        "are compared below"
    )
    figures.append(unavailable(f"{unanimous}/all", f"{unanimous_title}, all policies", reason))
    names = list(rated.machine_policies)
    if len(names) < 2:
        reason = (
            f"over all candidates it is at their average {control.title} already; it would compare "
            "policies, and there is one"
        )
        return [
            *figures,
            unavailable(less, title, reason),
            unavailable(unanimous, unanimous_title, reason),
        ]
    columns = np.array([rated.policies.index(name) for name in names])
    mine = found.policy[:, None] == columns
    at = f"at average {control.title}"
    figures += _at_zero(
        resampler,
        control,
        x=np.where(mine, _centred(values)[:, None], np.nan),
        y=np.where(mine, found.is_less[:, None], np.nan),
        group=found.group,
        keys=[f"less_divisive/{name}" for name in names],
        titles=[f"{title}, {name}" for name in names],
        policies=names,
        unit="candidates in divisive rounds",
        at=at,
    )
    # A policy's candidates of a round together: their mean, and whether some one is unanimous.
    shape = (len(rated.round_ids), len(rated.policies))
    of_round = over_policies(values, found.round, found.policy, shape)[:, columns]
    n_out = by_group(found.left_out.policy[:, None] == columns, found.left_out.round, shape[0])
    asked = (by_group(mine, found.round, shape[0]) > 0) & (n_out == 0)
    return figures + _at_zero(
        resampler,
        control,
        x=_centred(np.where(asked, of_round, np.nan)),
        y=np.where(asked, reached_by(rated, found, mine), np.nan),
        group=rated.round_group,
        keys=[f"unanimous/{name}" for name in names],
        titles=[f"{unanimous_title}, {name}" for name in names],
        policies=names,
        unit="divisive rounds",
        at=at,
    )


def _centred(values: FloatArray) -> FloatArray:
    """Less their mean; nan stays."""
    return values if np.isnan(values).all() else values - np.nanmean(values)


def _inclusion(rated: Rated, resampler: Resampler, control: Control) -> Figure:
    """The difference in agreement where those included and excluded see the same quality."""
    key, title = f"confound/{control.key}/inclusion", "Included minus excluded"
    if control.key == "length":
        reason = "it compares two ratings of one statement, so length cannot explain it"
        return unavailable(key, title, reason)
    if reason := nothing_excluded(rated):
        return unavailable(key, title, reason)
    x, y = (medians_apart(rated, outcome) for outcome in ("quality", "agreement"))
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known], y[known]
    terms = np.stack([np.ones_like(x), x, x * x, y, x * y], axis=1)
    sums = by_group(terms, rated.statement_group[known], rated.n_groups)

    def intercept(sums: FloatArray) -> FloatArray:
        n, sx, sxx, sy, sxy = np.moveaxis(sums, -1, 0)
        return ratio(sy * sxx - sx * sxy, n * sxx - sx * sx)[..., None]

    (estimate,) = resampler.estimate(sums, intercept, sums[:, :1] > 0)
    return figure(
        estimate,
        key,
        f"{title}, agreement, at equal quality",
        kind="points",
        n=len(x),
        unit="candidates",
        says=f"People whose opinion the policy saw gave its candidates {VALUE} points more for "
        "agreement where they rated the quality as people did whose opinion it did not see (a "
        "straight line).",
        nothing="there is no difference in quality to hold equal",
        of={"outcome": "agreement", "policy": "all policies", "control": control.key},
    )


def _outcome(signs: FloatArray) -> FloatArray:
    """1 a win, 0 a loss, nan for the rest."""
    return np.where(np.abs(signs) == 1, (signs == 1).astype(np.float64), np.nan)


def _at_zero(
    resampler: Resampler,
    control: Control,
    *,
    x: FloatArray,
    y: FloatArray,
    group: IntArray,
    keys: list[str],
    titles: list[str],
    policies: list[str],
    unit: str,
    at: str = "",
) -> list[Figure]:
    """One figure a column: the share of y at x = 0."""
    estimates = resampler.at_zero(x, y, group)
    known = ~(np.isnan(x) | np.isnan(y))
    at = at or f"at equal {control.title}"
    figures = []
    for i, estimate in enumerate(estimates):
        here = x[known[:, i], i]
        beyond = min((here >= 0).mean(), (here <= 0).mean()) if len(here) else 0.0
        mean = f"{here.mean():+.1f}".replace("-", "−") if len(here) else ""
        figures.append(
            figure(
                estimate,
                f"confound/{control.key}/{keys[i]}",
                f"{titles[i]}, {at}",
                kind="share",
                n=len(here),
                unit=unit,
                says=f"{titles[i]}: {VALUE} {at}. The difference is {mean} {control.unit} on "
                "average.",
                nothing=f"there is no difference in {control.title} to hold equal, or the outcome "
                "follows from it without fail"
                if len(here)
                else f"no comparison has both an outcome and {control.title}",
                of={"policy": policies[i], "control": control.key},
                warning=f"Only {100 * beyond:.0f} % of the comparisons lie on the other side of no "
                "difference: the curve is extended to where there is next to no data."
                if beyond < MIN_BEYOND
                else "",
            )
        )
    return figures
