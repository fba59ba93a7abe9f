"""Each headline figure again, with length and quality held equal.

Longer statements may be liked for their length, and better written ones for their writing. A
logistic regression explains the outcome of a comparison (1 for a win, 0 for a loss) by the
difference in length, or in quality; the metric is its share of wins at no difference. It is
resampled with everything else, slope included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from commonweal.datasets.arms import HUMAN
from commonweal.evaluation.metrics import VALUE, Metric, MetricTable, Subject, Whole, metric
from commonweal.evaluation.plotting.canvas import Canvas, Point
from commonweal.evaluation.rounds.rated import SAME, Rated, over_people, sign, won
from commonweal.evaluation.section import Section
from commonweal.evaluation.sections.divisiveness import ALL, nothing_divisive, reached_by, sides
from commonweal.evaluation.sections.exclusion import differences as medians_apart
from commonweal.evaluation.sections.exclusion import nothing_excluded
from commonweal.evaluation.sections.human_opinions import differences, nothing_to_compare
from commonweal.evaluation.sections.win_rates import pair_differences, pairs_of
from commonweal.measures.bootstrap import Resampler, by_group
from commonweal.measures.intervals import ratio

if TYPE_CHECKING:
    from commonweal.evaluation.rounds.rated import IntArray
    from commonweal.showing import Plot
    from commonweal.types import FloatArray

MIN_BEYOND = 0.05
"""With a smaller share of comparisons on one side of no difference, the curve is all there is."""


_TITLES = {
    "win_rate": ("Win rate of {0} over {1}", "{0} over {1}"),
    "win_rate_person": ("Each person's win rate of {0} over {1}", "{0} over {1}, each person"),
    "against_human": (
        "{0} over people's opinions, mean against mean",
        "{0} over people's opinions, mean",
    ),
    "against_human_best": (
        "{0} over people's opinions, best against best",
        "{0} over people's opinions, best",
    ),
    "less_divisive": ("Less divisive than the position, {0}",) * 2,
    "unanimous": ("Some candidate is unanimous, {0}",) * 2,
}
"""What is measured to its title, and to a row of the plot: policy and other policy."""


@dataclass(frozen=True)
class AtEqual(Subject):
    """One of ``_TITLES`` of a policy, with one thing held equal."""

    unsaid = ("measure", "against")
    measure: str
    policy: str
    control: str
    against: str = ""

    @property
    def key(self) -> str:
        """Without the parts that it does not have."""
        whose = "all" if self.policy == ALL else self.policy
        over = f"/{self.against}" if self.against else ""
        return f"confound/{self.control}/{self.measure}/{whose}{over}"

    @property
    def title(self) -> str:
        """For tables, without what is held equal."""
        return _TITLES[self.measure][0].format(self.policy, self.against)

    @property
    def row(self) -> str:
        """For the plot, short enough for two lines."""
        return _TITLES[self.measure][1].format(self.policy, self.against)


@dataclass(frozen=True)
class InclusionAtEqual(Subject):
    """What being included adds to an outcome, with one thing held equal."""

    outcome: str
    policy: str
    control: str
    form = "confound/{control}/inclusion"


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
        metrics = [
            *_win_rates(rated, resampler, baseline, control),
            *_against_human(rated, resampler, control),
            *_divisive(rated, resampler, control),
            _inclusion(rated, resampler, control),
        ]
        tables.append(
            MetricTable(
                f"At equal {control.title}",
                tuple(metrics),
                _CAUTIONS[control.key],
            )
        )
    return Section(
        "confounds",
        "Length and quality held equal",
        "Not in the paper",
        "A logistic regression explains the outcome of each comparison by the difference in words "
        "(or in mean quality) between the two sides; the figure is its prediction for no "
        "difference. All candidates together are compared with the position statement; the "
        "shares of single policies are compared with each other, at the average of their "
        "candidates. The "
        "uncontrolled figures, and the paper's, are in their own sections.",
        tuple(tables),
        draw=_plots,
    )


def _plots(section: Section, canvas: Canvas) -> list[Plot | None]:
    shares = [
        Point(one.subject.row, f"at equal {one.subject.control}", one)
        for one in section.having(AtEqual)
    ]
    inclusion = [
        Point(f"{_INCLUSION}, {of.outcome}", f"at equal {of.control}", one)
        for one in section.having(InclusionAtEqual)
        for of in (one.subject,)
    ]
    return [
        canvas.forest(
            [("Share", shares)],
            "Win rates and shares where the sides are equally long, or of equal quality.",
            reference=0.5,
        ),
        canvas.forest(
            [(f"{_INCLUSION}, points", inclusion)],
            "What being included adds to agreement where it adds nothing to quality.",
            reference=0,
        ),
    ]


_INCLUSION = "Included minus excluded"


_CAUTIONS = {
    "length": "The curve may be the wrong one. Length was not assigned by lot: what makes a "
    "statement long may itself be what people like.",
    "quality": "Quality was rated by the same people at the same moment, so agreement may have "
    "raised it. Holding it equal then takes away too much.",
}


def _missing(control: Control, key: str, title: str, reason: str) -> Metric[Subject]:
    return Whole(f"confound/{control.key}/{key}").unavailable(title, reason)


def _win_rates(
    rated: Rated, resampler: Resampler, baseline: str | None, control: Control
) -> list[Metric[Subject]]:
    pairs = pairs_of(rated, baseline)
    if not pairs:
        return [_missing(control, "win_rate", "Win rate", "a win rate compares two policies")]
    agreement, values = rated.by_round("mean"), rated.over_policies(control.values)
    people, of_person = rated.person_rounds, control.of_person_rounds(rated)

    def shares(
        by: FloatArray, x: FloatArray, group: IntArray, measure: str, unit: str
    ) -> list[Metric[Subject]]:
        return _at_zero(
            resampler,
            control,
            x=pair_differences(rated, x, pairs),
            y=won(sign(pair_differences(rated, by, pairs))),
            group=group,
            subjects=[
                AtEqual(measure, pair.first, control.key, against=pair.second) for pair in pairs
            ],
            unit=f"{unit} that were not even",
        )

    return [
        *shares(agreement, values, rated.round_group, "win_rate", "rounds"),
        *shares(people.mean, of_person, people.group, "win_rate_person", "people in a round"),
    ]


def _against_human(rated: Rated, resampler: Resampler, control: Control) -> list[Metric[Subject]]:
    reason = nothing_to_compare(rated)
    if reason:
        return [_missing(control, "against_human", "Against human opinions", reason)]
    columns = [rated.policies.index(name) for name in rated.machine_policies]
    human = [rated.policies.index(HUMAN)]
    return [
        one
        for comparison, measure, values in (
            ("mean", "against_human", control.of_person_rounds(rated)),
            ("best", "against_human_best", control.of_the_best(rated)),
        )
        for one in _at_zero(
            resampler,
            control,
            x=values[:, columns] - values[:, human],
            y=won(sign(differences(rated, comparison))),
            group=rated.person_rounds.group,
            subjects=[AtEqual(measure, name, control.key) for name in rated.machine_policies],
            unit="people in a round that were not even",
        )
    ]


def _divisive(rated: Rated, resampler: Resampler, control: Control) -> list[Metric[Subject]]:
    """Less divisive and unanimous: all candidates beside the position, policies beside each other.

    A policy is taken at the average length (quality) of all candidates in divisive rounds.
    """
    title, unanimous_title = "Less divisive than the position", "Some candidate is unanimous"

    def neither(reason: str) -> list[Metric[Subject]]:
        return [
            _missing(control, "less_divisive", title, reason),
            _missing(control, "unanimous", unanimous_title, reason),
        ]

    if reason := nothing_divisive(rated):
        return neither(reason)
    sides_taken = sides(rated)
    values = control.values[sides_taken.statement]
    metrics: list[Metric[Subject]] = []
    if control.key == "length":
        metrics += _at_zero(
            resampler,
            control,
            x=(values - rated.position_words[sides_taken.round])[:, None],
            y=sides_taken.is_less[:, None],
            group=sides_taken.group,
            subjects=[AtEqual("less_divisive", ALL, control.key)],
            unit="candidates in divisive rounds",
            at="at the position statement's length",
        )
    else:
        reason = "the quality of position statements was not rated"
        metrics.append(_missing(control, "less_divisive/all", f"{title}, {ALL}", reason))
    reason = (
        f"a share of rounds has no other side to be of equal {control.title} with; the policies "
        "are compared below"
    )
    metrics.append(_missing(control, "unanimous/all", f"{unanimous_title}, {ALL}", reason))
    names = list(rated.machine_policies)
    if len(names) < 2:
        return metrics + neither(
            f"over all candidates it is at their average {control.title} already; it would compare "
            "policies, and there is one"
        )
    columns = np.array([rated.policies.index(name) for name in names])
    mine = sides_taken.policy[:, None] == columns
    at = f"at average {control.title}"
    metrics += _at_zero(
        resampler,
        control,
        x=np.where(mine, _centred(values)[:, None], np.nan),
        y=np.where(mine, sides_taken.is_less[:, None], np.nan),
        group=sides_taken.group,
        subjects=[AtEqual("less_divisive", name, control.key) for name in names],
        unit="candidates in divisive rounds",
        at=at,
    )
    # A policy's candidates of a round together: their mean, and whether some one is unanimous.
    of_round = rated.over_policies(values, sides_taken.statement)[:, columns]
    n_rounds = len(rated.round_ids)
    n_out = by_group(
        sides_taken.left_out.policy[:, None] == columns, sides_taken.left_out.round, n_rounds
    )
    asked = (by_group(mine, sides_taken.round, n_rounds) > 0) & (n_out == 0)
    return metrics + _at_zero(
        resampler,
        control,
        x=_centred(np.where(asked, of_round, np.nan)),
        y=np.where(asked, reached_by(rated, sides_taken, mine), np.nan),
        group=rated.round_group,
        subjects=[AtEqual("unanimous", name, control.key) for name in names],
        unit="divisive rounds",
        at=at,
    )


def _centred(values: FloatArray) -> FloatArray:
    """Less their mean; nan stays."""
    return values if np.isnan(values).all() else values - np.nanmean(values)


def _inclusion(rated: Rated, resampler: Resampler, control: Control) -> Metric[Subject]:
    """The difference in agreement where those included and excluded see the same quality."""
    reason = nothing_excluded(rated)
    if control.key == "length":
        reason = "it compares two ratings of one statement, so length cannot explain it"
    if reason:
        return _missing(control, "inclusion", _INCLUSION, reason)
    x, y = (medians_apart(rated, outcome) for outcome in ("quality", "agreement"))
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known], y[known]
    terms = np.stack([np.ones_like(x), x, x * x, y, x * y], axis=1)
    sums = by_group(terms, rated.statement_group[known], rated.n_groups)

    def intercept(sums: FloatArray) -> FloatArray:
        n, sx, sxx, sy, sxy = np.moveaxis(sums, -1, 0)
        return ratio(sy * sxx - sx * sxy, n * sxx - sx * sx)[..., None]

    (estimate,) = resampler.estimate(sums, intercept, sums[:, :1] > 0)
    return metric(
        estimate,
        InclusionAtEqual("agreement", ALL, control.key),
        f"{_INCLUSION}, agreement, at equal quality",
        kind="points",
        n=len(x),
        unit="candidates",
        says=f"People whose opinion the policy saw gave its candidates {VALUE} points more for "
        "agreement where they rated the quality as people did whose opinion it did not see (a "
        "straight line).",
        nothing="there is no difference in quality to hold equal",
    )


def _at_zero(
    resampler: Resampler,
    control: Control,
    *,
    x: FloatArray,
    y: FloatArray,
    group: IntArray,
    subjects: Sequence[AtEqual],
    unit: str,
    at: str = "",
) -> list[Metric[Subject]]:
    """One a column: the share of y at x = 0."""
    estimates = resampler.at_zero(x, y, group)
    known = ~(np.isnan(x) | np.isnan(y))
    at = at or f"at equal {control.title}"
    metrics: list[Metric[Subject]] = []
    for i, (estimate, of) in enumerate(zip(estimates, subjects, strict=True)):
        here = x[known[:, i], i]
        beyond = min((here >= 0).mean(), (here <= 0).mean()) if len(here) else 0.0
        mean = f"{here.mean():+.1f}".replace("-", "−") if len(here) else ""
        metrics.append(
            metric(
                estimate,
                of,
                f"{of.title}, {at}",
                kind="share",
                n=len(here),
                unit=unit,
                says=f"{of.title}: {VALUE} {at}. The difference is {mean} {control.unit} on "
                "average.",
                nothing=f"there is no difference in {control.title} to hold equal, or it "
                "determines the outcome completely"
                if len(here)
                else f"no comparison has both an outcome and {control.title}",
                warning=f"Only {100 * beyond:.0f} % of the comparisons lie on the other side of no "
                "difference: the curve is extended to where there is next to no data."
                if beyond < MIN_BEYOND
                else "",
            )
        )
    return metrics
