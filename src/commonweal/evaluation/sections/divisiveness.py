"""Whether statements divide a group less than the position statement did (paper D.6, D.7).

How far a statement divides a group is the size of the smaller side: the smaller of how many agree
and how many disagree, as a share of those who rated the position statement. It is 0 where nobody
agrees or nobody disagrees, and 0.5 where the group is split in two. Neutral is neither. A candidate
is *less divisive* where its share is smaller than the position statement's (docs/decisions/013).

Both shares are of the same people: only *complete* candidates count, which everybody who rated the
position statement has rated. Of a few of them, fewer are on the smaller side, and so a statement
that some have not rated would look less divisive, and unanimous, by that alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from commonweal.evaluation.metrics import VALUE, Metric, MetricTable, Subject, Term, Whole, metric
from commonweal.evaluation.plotting.canvas import Canvas, Point, points
from commonweal.evaluation.section import Section
from commonweal.frames import pl
from commonweal.measures.bootstrap import Resampler, by_group
from commonweal.measures.intervals import ratio

if TYPE_CHECKING:
    from commonweal.evaluation.rounds.rated import BoolArray, IntArray, Rated
    from commonweal.showing import Plot
    from commonweal.types import FloatArray

ALL = "all policies"
_DIVISIVE = (
    "divisive",
    "of a round: some people agree with its position statement and some disagree; neutral is "
    "neither",
)
_LESS = (
    "less divisive",
    "fewer people stand on the smaller side than with the position statement, the sentence that "
    "takes a side and that people rate first",
)
_UNANIMOUS = ("unanimous", "everybody who rated a statement agrees with it")
_PASS = ("pass", "one time that a person rated the statements: many rate them twice")


@dataclass(frozen=True)
class InDivisiveRounds(Subject):
    """Candidates of a policy, or of ``ALL``: those that are "less divisive", "agreed" of these, and
    rounds in which some one is "unanimous", by another rule where one is named.
    """

    unsaid = ("rule",)
    policy: str
    what: str
    rule: str = ""

    @property
    def key(self) -> str:
        """Without the parts that it does not have."""
        start = {"less divisive": "less_divisive", "agreed": "less_divisive_agreed"}
        by = f"unanimous_by/{self.rule.replace(' ', '_')}" if self.rule else "unanimous"
        return f"{start.get(self.what, by)}/{'all' if self.policy == ALL else self.policy}"

    @property
    def terms(self) -> tuple[Term, ...]:
        """What divisive is, and unanimous."""
        if self.what == "unanimous":
            return (_UNANIMOUS, _PASS) if self.rule else (_UNANIMOUS,)
        return (_DIVISIVE, _LESS) if self.what == "less divisive" else (_DIVISIVE,)

    def is_headline(self, _baseline: str, /) -> bool:
        """Those of all policies together."""
        return self.policy == ALL and self.what != "agreed" and not self.rule


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Each complete candidate of a policy in a divisive round, in the order of statements; n.

    Attributes:
        statement: int [n], its index.
        policy: int [n].
        round: int [n].
        group: int [n].
        is_less: float [n], 1 where it divides the group less than the position statement, else 0.
        agrees: float [n], 1 where more people agree with it than disagree, else 0.
        is_unanimous: float [n], 1 where everybody who rated it agrees, else 0.
        left_out: incomplete candidates in divisive rounds.
    """

    statement: IntArray
    policy: IntArray
    round: IntArray
    group: IntArray
    is_less: FloatArray
    agrees: FloatArray
    is_unanimous: FloatArray
    left_out: LeftOut


@dataclass(frozen=True, slots=True, eq=False)
class LeftOut:
    """Candidates of policies in divisive rounds that somebody who rated the position did not rate.

    n of them.

    Attributes:
        policy: int [n].
        round: int [n].
        may_be_unanimous: bool [n], nobody who rated it did not agree.
    """

    policy: IntArray
    round: IntArray
    may_be_unanimous: BoolArray


class _Of(NamedTuple):
    """Policies, ``ALL`` among them: which candidates, and which that are left out, are of each.

    Bool [n_candidates, n_names] and [n_left_out, n_names].
    """

    names: Sequence[str]
    mine: BoolArray
    out: BoolArray


def sides(rated: Rated, *, above_neutral: bool = False) -> Sides:
    """The candidates of policies in divisive rounds, compared by those who rated the position.

    Args:
        rated: the rounds.
        above_neutral: unanimous is everybody above neutral, not a whole point above: the mean of a
            4 and a 5 is above and no whole point.
    """
    neutral, n = rated.about.scale.neutral, len(rated.words)
    agreement = rated.agreement

    def people(where: BoolArray) -> IntArray:
        return np.bincount(rated.cell_statement[where], minlength=n)

    same = rated.rated_position
    agree, disagree = people(same & (agreement > neutral)), people(same & (agreement < neutral))
    below = agreement <= neutral if above_neutral else agreement < neutral + 1
    unanimous = people(below) == 0
    position_raters = rated.position_raters[rated.statement_round]
    is_complete = people(same & ~np.isnan(agreement)) == position_raters
    is_rated = people(~np.isnan(agreement)) > 0
    asked = (rated.is_divisive[rated.statement_round] == 1) & ~rated.is_human & is_rated
    chosen, others = np.flatnonzero(asked & is_complete), np.flatnonzero(asked & ~is_complete)
    in_round = rated.statement_round[chosen]
    share = np.minimum(agree, disagree)[chosen] / position_raters[chosen]
    position = np.minimum(rated.position_agree, rated.position_disagree)[in_round]
    position = position / rated.position_raters[in_round]
    return Sides(
        statement=chosen,
        policy=rated.statement_policy[chosen],
        round=in_round,
        group=rated.statement_group[chosen],
        is_less=(share < position - 1e-9).astype(np.float64),
        agrees=(agree > disagree)[chosen].astype(np.float64),
        is_unanimous=unanimous[chosen].astype(np.float64),
        left_out=LeftOut(
            rated.statement_policy[others], rated.statement_round[others], unanimous[others]
        ),
    )


def divisiveness(rated: Rated, resampler: Resampler) -> Section:
    """How many candidates are less divisive, and how many divisive rounds reach unanimity."""
    section = ("divisiveness", "Divisive rounds", "Paper D.6 and D.7", _RULE)
    reason = nothing_divisive(rated)
    if reason:
        missing = tuple(
            Whole(key, headline=True).unavailable(title, reason)
            for key, title in (
                ("less_divisive/all", "Candidates less divisive"),
                ("unanimous/all", "Divisive rounds with a unanimous candidate"),
            )
        )
        return Section(*section, (MetricTable("Less divisive, and unanimous", missing),))
    sides_taken = sides(rated)
    names = [ALL, *rated.machine_policies]
    index = [-1, *(rated.policies.index(name) for name in rated.machine_policies)]

    def of_each(policy: IntArray) -> BoolArray:
        return np.stack([(policy == i) | (i < 0) for i in index], axis=1)

    of = _Of(names, of_each(sides_taken.policy), of_each(sides_taken.left_out.policy))
    return Section(
        *section,
        (
            _less(resampler, sides_taken, of),
            _unanimous(rated, resampler, sides_taken, of),
            MetricTable(
                "Unanimous, by other rules",
                tuple(
                    one
                    for rule, other, instead in _other_rules(rated)
                    for one in _of_each_policy(other, resampler, instead, of, rule)
                ),
                "How far the share depends on the rule: one of a person's passes, not the mean of "
                "all, or anything above neutral, not a whole point. If these lie far apart, the "
                "share is a property of the rule as much as of the group.",
            ),
        ),
        extra={
            "n_rounds_divisive": int((rated.is_divisive == 1).sum()),
            "n_rounds_not_divisive": int((rated.is_divisive == 0).sum()),
            "n_rounds_unknown": int(np.isnan(rated.is_divisive).sum()),
            "n_candidates_complete": len(sides_taken.round),
            "n_candidates_left_out": len(sides_taken.left_out.round),
        },
        draw=_plots,
    )


def _plots(section: Section, canvas: Canvas) -> list[Plot | None]:
    def panel(what: str) -> list[Point]:
        metrics = section.having(InDivisiveRounds)
        kept = [one for one in metrics if one.subject.what == what and not one.subject.rule]
        return points(kept, lambda of: of.policy, lambda _: "these rounds")

    return [
        canvas.forest(
            [
                ("Candidates less divisive", panel("less divisive")),
                ("Rounds with a unanimous one", panel("unanimous")),
            ],
            "Left: candidates that divide the group less than the position statement. Right: "
            "divisive rounds where everybody agrees with some candidate.",
            limits=(0, 1),
        )
    ]


_RULE = (
    "Ratings are binarised: above neutral agrees, below disagrees, neutral is neither. A round is "
    "divisive if somebody agrees and somebody disagrees with its position statement. How far a "
    "statement divides is the smaller side's share of the people who rated the position statement, "
    "the same people for both; a candidate is less divisive if that share is smaller than the "
    "position statement's. A candidate is unanimous if everybody who rated it "
    "gives at least one point above neutral (5 of 7). A candidate counts only if everybody who "
    "rated the position statement has rated it, and for unanimity a round counts only if that "
    "holds for all its candidates: otherwise a statement would divide people less just because "
    "fewer rated it."
)


def nothing_divisive(rated: Rated) -> str:
    """Why nothing can be said; empty where something can."""
    if not rated.machine_policies:
        return "no statement was written by a policy: all are people's"
    if np.isnan(rated.is_divisive).all():
        return "in no round did two people rate a position statement"
    if not (rated.is_divisive == 1).any():
        return "no round is divisive: in none does one person agree and another disagree"
    return ""


def _less(resampler: Resampler, sides_taken: Sides, of: _Of) -> MetricTable:
    less = np.where(of.mine, sides_taken.is_less[:, None], np.nan)
    agrees = np.where(less == 1, sides_taken.agrees[:, None], np.nan)
    means = resampler.means(np.concatenate([less, agrees], axis=1), sides_taken.group)
    metrics: list[Metric[InDivisiveRounds]] = []
    n_outs = of.out.sum(axis=0).tolist()
    for name, (estimate, n), n_out in zip(of.names, means, n_outs, strict=False):
        whose = "candidates" if name == ALL else f"candidates of {name}"
        metrics.append(
            metric(
                estimate,
                InDivisiveRounds(name, "less divisive"),
                f"Less divisive than the position, {name}",
                kind="share",
                n=n,
                unit="candidates in divisive rounds",
                says=f"{VALUE} of the {whose} in divisive rounds divided the group less than the "
                "position statement did.",
                nothing=f"no {whose} in divisive rounds were rated by everybody who rated the "
                "position statement",
                warning=f"Left out: {n_out:,} of {n + n_out:,} {whose}, which not everybody who "
                "rated the position statement has rated."
                if n_out
                else "",
            )
        )
    for name, (estimate, n) in zip(of.names, means[len(of.names) :], strict=True):
        metrics.append(
            metric(
                estimate,
                InDivisiveRounds(name, "agreed"),
                f"Of these, agreed with, {name}",
                kind="share",
                n=n,
                unit="less divisive candidates",
                says=f"In {VALUE} of the less divisive candidates ({name}) more people agree than "
                "disagree; in the others the group is more of one mind because it rejects them, "
                "or has no view.",
                nothing=f"no candidate of {name} is less divisive",
            )
        )
    return MetricTable(
        "Candidates less divisive than the position statement",
        tuple(metrics),
        "A position statement takes a side on purpose, so a vaguer text divides less whatever it "
        "says. A statement that everybody rejects divides nobody either. Candidates that somebody "
        "did not rate are left out, which is fair only if it was by chance.",
    )


def _other_rules(rated: Rated) -> Iterator[tuple[str, Rated, Sides]]:
    """Each other rule of what is unanimous: its name, and the rounds and candidates by it."""
    yield "above neutral", rated, sides(rated, above_neutral=True)
    known = rated.passes.drop_nulls("agreement")
    if known["pass_index"].n_unique() < 2:
        return
    cells = pl.DataFrame({"statement": rated.cell_statement, "person": rated.cell_person})
    for rule, keep in (("first pass", "first"), ("last pass", "last")):
        one = known.sort("pass_index").unique(["statement", "person"], keep=keep)  # type: ignore[arg-type]
        given = cells.join(one, on=["statement", "person"], how="left", maintain_order="left")
        agreement = given["agreement"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        other = replace(rated, agreement=agreement)
        yield rule, other, sides(other)


def _unanimous(rated: Rated, resampler: Resampler, sides_taken: Sides, of: _Of) -> MetricTable:
    n_rounds = len(rated.round_ids)
    complete = by_group(of.mine, sides_taken.round, n_rounds)
    asked = (complete > 0) & (by_group(of.out, sides_taken.left_out.round, n_rounds) == 0)
    per_round = ", ".join(
        f"{name} {complete[asked[:, i], i].mean() if asked[:, i].any() else 0:.1f}"
        for i, name in enumerate(of.names)
    )
    return MetricTable(
        "Divisive rounds with a unanimous candidate",
        tuple(_of_each_policy(rated, resampler, sides_taken, of)),
        "The more candidates a round has, and the fewer people, the more easily one is unanimous. "
        f"Candidates a round here: {per_round}.",
    )


def _of_each_policy(
    rated: Rated, resampler: Resampler, sides_taken: Sides, of: _Of, rule: str = ""
) -> list[Metric[InDivisiveRounds]]:
    n_rounds = len(rated.round_ids)
    complete, reached = (
        by_group(of.mine, sides_taken.round, n_rounds),
        reached_by(rated, sides_taken, of.mine),
    )
    incomplete, may_be = (
        by_group(where, sides_taken.left_out.round, n_rounds)
        for where in (of.out, of.out * sides_taken.left_out.may_be_unanimous[:, None])
    )
    asked = (complete > 0) & (incomplete == 0)
    there = complete + incomplete > 0
    sums = [
        by_group(where, rated.round_group, rated.n_groups)
        for where in (reached & asked, asked, reached, (may_be > 0) & ~reached, there)
    ]
    k = len(of.names)

    def within_bounds(sums: FloatArray) -> FloatArray:
        won, n, yes, open_, n_all = (sums[..., i * k : (i + 1) * k] for i in range(5))
        least, most = ratio(yes, n_all), ratio(yes + open_, n_all)
        # Nothing open: known of every round, whether or not everything was rated.
        share = np.where(open_ == 0, least, ratio(won, n))
        return np.minimum(np.maximum(share, least), most)

    is_open = (may_be > 0) & ~reached
    # The groups that the share rests on: those of rounds left out only bound it.
    counted = np.where(is_open.any(axis=0), sums[1], sums[4]) > 0
    estimates = resampler.estimate(np.concatenate(sums, axis=1), within_bounds, counted)
    metrics = []
    for i, (name, estimate) in enumerate(zip(of.names, estimates, strict=True)):
        n_all = int(there[:, i].sum())
        n = int(asked[:, i].sum()) if is_open[:, i].any() else n_all
        left_out = ""
        if n_all > n:
            least, most = reached[:, i].sum() / n_all, (reached | (may_be > 0))[:, i].sum() / n_all
            left_out = (
                f"{n_all - n:,} of {n_all:,} rounds are left out: not everybody who rated the "
                f"position statement has rated each candidate. Over all of them it is at least "
                f"{least:.1%} and at most {most:.1%}".replace("%", " %")
            )
        metrics.append(
            metric(
                estimate,
                InDivisiveRounds(name, "unanimous", rule),
                f"Some candidate is unanimous, {name}" + (f", {rule}" if rule else ""),
                kind="share",
                n=n,
                unit="divisive rounds",
                says=f"In {VALUE} of the divisive rounds everybody who rated it agreed with some "
                f"candidate ({name}){_SAYS[rule]}.",
                nothing=left_out or f"no candidate of {name} in a divisive round was rated",
                warning=left_out and f"{left_out}.",
            )
        )
    return metrics


def reached_by(rated: Rated, sides_taken: Sides, mine: BoolArray) -> BoolArray:
    """Whether some complete candidate of these is unanimous, bool [R, n_sets of candidates]."""
    unanimous = mine * sides_taken.is_unanimous[:, None]
    result: BoolArray = by_group(unanimous, sides_taken.round, len(rated.round_ids)) > 0
    return result


_SAYS = {
    "": "",
    "above neutral": ", anything above neutral counted as agreeing",
    "first pass": ", by the first rating of each person alone",
    "last pass": ", by the last rating of each person alone",
}
