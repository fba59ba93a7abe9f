"""Each headline figure again, with length and quality held equal.

Longer statements may be liked for their length, and better written ones for their writing. A
logistic regression explains the outcome of a comparison (1 for a win, 0 for a loss) by the
difference in length, or in quality; the figure is its share of wins at no difference. It is
resampled with everything else, slope included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from commonweal.evaluation.bootstrap import Resampler
from commonweal.evaluation.divisiveness import nothing_divisive, sides
from commonweal.evaluation.figures import (
    VALUE,
    Figure,
    Section,
    Table,
    figure,
    unavailable,
)
from commonweal.evaluation.human_opinions import differences, nothing_to_compare
from commonweal.evaluation.rated import HUMAN, Rated, over_people, over_policies, sign
from commonweal.evaluation.win_rates import by_round, pairs_of

if TYPE_CHECKING:
    from commonweal.evaluation.rated import IntArray
    from commonweal.types import FloatArray

MIN_BEYOND = 0.05
"""With a smaller share of comparisons on one side of no difference, the curve is all there is."""


class Control(NamedTuple):
    """What is held equal: its name, and its value for each statement, float [S]."""

    key: str
    title: str
    unit: str
    values: FloatArray


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
            *_less_divisive(rated, resampler, control),
        ]
        if control.key == "length":
            figures.append(
                unavailable(
                    "confound/length/inclusion",
                    "Included minus excluded",
                    "it compares two ratings of one statement, so length cannot explain it",
                )
            )
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
        "difference. Policies that are not compared with each other are compared at the average of "
        "their candidates. The uncontrolled figures, and the paper's, are in their own sections.",
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
    signs = sign(agreement[:, first] - agreement[:, second])
    return _at_zero(
        resampler,
        control,
        x=values[:, first] - values[:, second],
        y=_outcome(signs),
        group=rated.round_group,
        keys=[f"win_rate/{pair.first}/{pair.second}" for pair in pairs],
        titles=[f"Win rate of {pair.first} over {pair.second}" for pair in pairs],
        policies=[pair.first for pair in pairs],
        unit="rounds that were not even",
    )


def _against_human(rated: Rated, resampler: Resampler, control: Control) -> list[Figure]:
    reason = nothing_to_compare(rated)
    if reason:
        key = f"confound/{control.key}/against_human"
        return [unavailable(key, "Against human opinions, mean against mean", reason)]
    people = rated.person_rounds
    values = people.words if control.key == "length" else people.quality
    columns = [rated.policies.index(name) for name in rated.machine_policies]
    return _at_zero(
        resampler,
        control,
        x=values[:, columns] - values[:, [rated.policies.index(HUMAN)]],
        y=_outcome(sign(differences(rated, "mean"))),
        group=people.group,
        keys=[f"against_human/{name}" for name in rated.machine_policies],
        titles=[f"{name} over people's opinions" for name in rated.machine_policies],
        policies=list(rated.machine_policies),
        unit="people in a round that were not even",
    )


def _less_divisive(rated: Rated, resampler: Resampler, control: Control) -> list[Figure]:
    key = f"confound/{control.key}/less_divisive"
    title = "Candidates less divisive than the position"
    if reason := nothing_divisive(rated):
        return [unavailable(key, title, reason)]
    if len(rated.machine_policies) < 2:
        reason = (
            f"over all candidates it is at their average {control.title} already; it would compare "
            "policies, and there is one"
        )
        return [unavailable(key, title, reason)]
    found = sides(rated)
    columns = [rated.policies.index(name) for name in rated.machine_policies]
    mine = found.policy[:, None] == np.array(columns)
    values = control.values[found.statement]
    centred = values - np.nanmean(values) if not np.isnan(values).all() else values
    return _at_zero(
        resampler,
        control,
        x=np.where(mine, centred[:, None], np.nan),
        y=np.where(mine, found.is_less[:, None], np.nan),
        group=found.group,
        keys=[f"less_divisive/{name}" for name in rated.machine_policies],
        titles=[f"Less divisive than the position, {name}" for name in rated.machine_policies],
        policies=list(rated.machine_policies),
        unit="candidates in divisive rounds",
        at=f"at average {control.title}",
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
                warning=f"Only {beyond:.0%} of the comparisons lie on the other side of no "
                "difference: the curve is extended to where there is next to no data."
                if beyond < MIN_BEYOND
                else "",
            )
        )
    return figures
