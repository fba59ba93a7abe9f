"""What each welfare function would have picked, and what people made of it (paper D.5)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from commonweal.evaluation.metrics import VALUE, Metric, MetricTable, Subject, Whole, metric
from commonweal.evaluation.plotting.canvas import Canvas, Point, points
from commonweal.evaluation.rounds.predicted import Predicted, welfare
from commonweal.evaluation.rounds.rated import Rated, over_people
from commonweal.evaluation.section import Section
from commonweal.measures.bootstrap import Resampler
from commonweal.measures.ranks import MIN_RANKED, rank_correlations
from commonweal.welfare import TIE_TOLERANCE, welfare_name

if TYPE_CHECKING:
    from commonweal.evaluation.rounds.rated import BoolArray, IntArray
    from commonweal.measures.intervals import Estimate
    from commonweal.showing import Plot
    from commonweal.types import FloatArray

ALPHAS = (0.0, 0.5, 1.0, 2.0, 4.0, math.inf)
MIN_STATEMENTS = 2
STATISTICS = {"mean": "mean", "min": "minimum"}


@dataclass(frozen=True)
class Realised(Subject):
    """People's ratings of what a welfare function picks; as it is or less the utilitarian pick."""

    unsaid = ("is_difference",)
    alpha: float
    welfare: str
    statistic: str
    is_difference: bool = False

    @property
    def key(self) -> str:
        """Without the parts that it does not have."""
        less = "_minus_utilitarian" if self.is_difference else ""
        return f"welfare/{self.statistic}{less}/{self.alpha:g}"


@dataclass(frozen=True)
class ToGain(Subject):
    """People's ratings of a candidate by lot ("random") and of the "best"."""

    statistic: str
    welfare: str
    terms = (
        (
            "by lot",
            "how the group would have rated a candidate drawn at random, without any welfare "
            "function",
        ),
    )
    form = "welfare/{statistic}/{welfare}"


@dataclass(frozen=True)
class Alike(Subject):
    """How far two orders of candidates go together: ``measure`` says which, and how."""

    measure: str
    alpha: float
    welfare: str
    form = "welfare/{measure}/{alpha:g}"


def welfare_compared(rated: Rated, predicted: Predicted | None, resampler: Resampler) -> Section:
    """Realised mean and minimum of what each alpha picks, and the ranks predicted and realised.

    Args:
        rated: the rounds.
        predicted: the predictions of the reward model that selects; None without any.
        resampler: of its groups.
    """
    reference = _reference(rated, resampler)
    if predicted is None:
        reason = "the dataset holds no calibrated predictions, so nothing could have been picked"
        missing = tuple(
            Whole(f"welfare/{key}").unavailable(title, reason)
            for key, title in (("mean", "Realised mean"), ("min", "Realised minimum"))
        )
        tables = [MetricTable("What each welfare function picks", missing), reference]
    else:
        tables = [*_picks(rated, predicted, resampler), reference]
    by_whom = f" Selected by {predicted.reward_model}, graded by people." if predicted else ""
    return Section(
        "welfare",
        "Welfare functions compared",
        "Paper D.5",
        "Of the rated candidates of a round, of all policies together, each welfare function picks "
        "the one with the highest predicted welfare; realised are the mean and the minimum of the "
        f"group's own ratings of it. Where several tie, their mean counts.{by_whom}",
        tuple(tables),
        draw=_plots,
    )


def _plots(section: Section, canvas: Canvas) -> list[Plot | None]:
    def panel(statistic: str) -> list[Point]:
        picked = [one for one in section.having(Realised) if not one.subject.is_difference]
        metrics: list[Metric[Realised | ToGain]] = [*picked, *section.having(ToGain)]
        return points(
            (one for one in metrics if one.subject.statistic == statistic),
            lambda of: _TO_GAIN.get(of.welfare, of.welfare),
            lambda _: "these rounds",
        )

    return [
        canvas.forest(
            [("Realised mean, points", panel("mean")), ("Realised minimum, points", panel("min"))],
            "How the group rated the candidate that each welfare function picks.",
        )
    ]


_TO_GAIN = {"random": "by lot", "best": "best possible"}


def pick(predicted: FloatArray, realised: FloatArray, item_round: IntArray, n: int) -> FloatArray:
    """What the pick of each round realised, float [n]; the mean over those that tie.

    Args:
        predicted: what is maximised, one a candidate.
        realised: what counts, one a candidate.
        item_round: int, the round of each candidate.
        n: how many rounds there are.
    """
    is_best = _is_best(predicted, item_round, n)
    return over_people(np.where(is_best, realised, np.nan), item_round, n, "mean")


def same_pick(first: FloatArray, second: FloatArray, item_round: IntArray, n: int) -> FloatArray:
    """1 where both pick the same candidate, or the same tied ones, else 0: float [n].

    nan in rounds without candidates. Arguments as in ``pick``.
    """
    differs = _is_best(first, item_round, n) != _is_best(second, item_round, n)
    apart = np.bincount(item_round[differs], minlength=n) > 0
    return np.where(np.bincount(item_round, minlength=n) > 0, (~apart).astype(np.float64), np.nan)


def _is_best(predicted: FloatArray, item_round: IntArray, n: int) -> BoolArray:
    best = over_people(predicted, item_round, n, "max")[item_round]
    result: BoolArray = predicted >= best - TIE_TOLERANCE * np.abs(best)
    return result


def _candidates(rated: Rated, predicted: Predicted) -> tuple[IntArray, IntArray]:
    """The candidates with predictions and ratings, in rounds with two or more.

    Returns:
        Their index in ``found`` and in ``rated``.
    """
    realised = rated.group_agreement["mean"]
    index = np.flatnonzero(predicted.statement >= 0)
    index = index[~np.isnan(realised[predicted.statement[index]])]
    n_in_round = np.bincount(predicted.round[index], minlength=len(rated.round_ids))
    index = index[n_in_round[predicted.round[index]] >= MIN_STATEMENTS]
    return index, predicted.statement[index]


def _picks(rated: Rated, predictions: Predicted, resampler: Resampler) -> tuple[MetricTable, ...]:
    index, statement = _candidates(rated, predictions)
    rounds = rated.statement_round[statement]
    n_rounds = len(rated.round_ids)
    low = rated.about.scale.low
    columns: dict[Realised | Alike, FloatArray] = {}
    for alpha in ALPHAS:
        name = welfare_name(alpha)
        predicted = predictions.welfare(alpha)[index]
        for statistic in STATISTICS:
            ratings = rated.group_agreement[statistic][statement]
            columns[Realised(alpha, name, statistic)] = pick(predicted, ratings, rounds, n_rounds)
        # Eq. 1 needs utilities above 0: the lowest point of the scale counts as 1.
        realised = welfare(
            rated.agreement - low + 1, rated.cell_statement, len(rated.words), alpha
        )[statement]
        ranks = rank_correlations(predicted, realised, rounds, n_rounds)
        columns[Alike("rank_correlation", alpha, name)] = ranks
    first = welfare_name(ALPHAS[0])
    for alpha in ALPHAS[1:]:
        for statistic in STATISTICS:
            mine = Realised(alpha, welfare_name(alpha), statistic)
            utilitarian = columns[Realised(ALPHAS[0], first, statistic)]
            columns[replace(mine, is_difference=True)] = columns[mine] - utilitarian
    of_utilitarian = predictions.welfare(ALPHAS[0])[index]
    for alpha in ALPHAS[1:]:
        name = welfare_name(alpha)
        both = predictions.welfare(alpha)[index], of_utilitarian, rounds, n_rounds
        columns[Alike("same_pick", alpha, name)] = same_pick(*both)
        columns[Alike("rank_correlation_with_utilitarian", alpha, name)] = rank_correlations(*both)
    means = resampler.means(np.stack(list(columns.values()), axis=1), rated.round_group)
    picks = [
        _of_pick(of, *mean)
        for of, mean in zip(columns, means, strict=True)
        if isinstance(of, Realised)
    ]
    orders = [
        _of_order(of, *mean)
        for of, mean in zip(columns, means, strict=True)
        if isinstance(of, Alike)
    ]
    same = "; ".join(
        f"{one.shown} of them under {one.subject.welfare}"
        for one in orders
        if one.subject.measure == "same_pick"
    )
    return (
        MetricTable(
            "What each welfare function picks",
            tuple(one for one in picks if not one.subject.is_difference),
            "Only candidates that people rated could be picked here. Where they were shown because "
            "a welfare function had picked them, there was less to choose between.",
        ),
        MetricTable(
            "Each pick less the utilitarian one",
            tuple(one for one in picks if one.subject.is_difference),
            f"Rounds with the same pick under both add 0: {same}.",
        ),
        MetricTable(
            "How far the functions agree with utilitarian",
            tuple(one for one in orders if one.subject.measure != "rank_correlation"),
            "Both are predictions of one reward model: that two functions agree says nothing about "
            "whether people would.",
        ),
        MetricTable(
            "Predicted and realised order",
            tuple(one for one in orders if one.subject.measure == "rank_correlation"),
            "The mean of rounds, each counting the same; ranks of a few candidates are coarse.",
        ),
    )


def _of_pick(of: Realised, estimate: Estimate, n: int) -> Metric[Realised]:
    title = STATISTICS[of.statistic]
    less = " less utilitarian" if of.is_difference else ""
    return metric(
        estimate,
        of,
        f"Realised {title}, {of.welfare}{less}",
        kind="points",
        n=n,
        unit="rounds",
        says=f"What {of.welfare} picks has a {title} rating {VALUE} points above that of what "
        "utilitarian picks in the same round."
        if of.is_difference
        else f"The {title} of the group's ratings of what {of.welfare} picks is {VALUE} on "
        "average.",
        nothing="no round has two candidates with predictions and ratings",
    )


def _of_order(of: Alike, estimate: Estimate, n: int) -> Metric[Alike]:
    name = of.welfare
    if of.measure == "same_pick":
        return metric(
            estimate,
            of,
            f"Same pick, {name} and utilitarian",
            kind="share",
            n=n,
            unit="rounds",
            says=f"In {VALUE} of the rounds {name} and utilitarian pick the same candidate.",
            nothing="no round has two candidates with predictions and ratings",
        )
    is_realised = of.measure == "rank_correlation"
    return metric(
        estimate,
        of,
        f"Rank correlation, {name}" + ("" if is_realised else " and utilitarian"),
        kind="number",
        n=n,
        unit=f"rounds with {MIN_RANKED} candidates or more that differ",
        says=f"Within a round, candidates ranked by predicted and by realised welfare ({name}) "
        f"have a Spearman correlation of {VALUE} on average; 1 is the same order."
        if is_realised
        else f"Within a round, {name} and utilitarian rank the candidates with a Spearman "
        f"correlation of {VALUE} on average; 1 is the same order.",
        nothing=f"no round has {MIN_RANKED} candidates that differ in both",
    )


def _reference(rated: Rated, resampler: Resampler) -> MetricTable:
    """What could be gained: a candidate drawn by lot, and the best by people's own ratings."""
    n_rounds = len(rated.round_ids)
    usable = ~rated.is_human & ~np.isnan(rated.group_agreement["mean"])
    n_in_round = np.bincount(rated.statement_round[usable], minlength=n_rounds)
    usable &= n_in_round[rated.statement_round] >= MIN_STATEMENTS
    rounds = rated.statement_round[usable]
    columns, names = [], []
    for statistic, title in STATISTICS.items():
        values = rated.group_agreement[statistic][usable]
        for key, how, says in (
            ("random", "mean", f"A candidate drawn by lot has a {title} rating of {VALUE}."),
            (
                "best",
                "max",
                f"The candidate with the highest {title} rating of its round has {VALUE}; no "
                "selection can do better.",
            ),
        ):
            columns.append(over_people(values, rounds, n_rounds, how))
            names.append((ToGain(statistic, key), title, says))
    means = resampler.means(np.stack(columns, axis=1), rated.round_group)
    return MetricTable(
        "What could be gained",
        tuple(
            metric(
                estimate,
                of,
                f"Realised {title}, {_TO_GAIN[of.welfare]}",
                kind="points",
                n=n,
                unit="rounds",
                says=says,
                nothing="no round has two rated candidates of policies",
            )
            for (estimate, n), (of, title, says) in zip(means, names, strict=True)
        ),
        "The best possible is picked by the ratings that grade it: it takes chance for merit, and "
        "no selector could reach it on new ratings.",
    )
