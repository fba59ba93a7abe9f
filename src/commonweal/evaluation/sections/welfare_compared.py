"""What each welfare function would have picked, and what people made of it (paper D.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from commonweal.evaluation.metrics import VALUE, Figure, Section, Table, figure, unavailable
from commonweal.evaluation.rounds.predicted import Predicted, welfare
from commonweal.evaluation.rounds.rated import Rated, over_people
from commonweal.measures.bootstrap import Resampler, by_group
from commonweal.measures.ranks import MIN_RANKED, rank_correlations
from commonweal.welfare import TIE_TOLERANCE, welfare_name

if TYPE_CHECKING:
    from commonweal.evaluation.rounds.rated import BoolArray, IntArray
    from commonweal.measures.intervals import Estimate
    from commonweal.types import FloatArray

ALPHAS = (0.0, 0.5, 1.0, 2.0, 4.0, math.inf)
MIN_STATEMENTS = 2
STATISTICS = {"mean": "mean", "min": "minimum"}


def welfare_compared(rated: Rated, found: Predicted | None, resampler: Resampler) -> Section:
    """Realised mean and minimum of what each alpha picks, and the ranks predicted and realised.

    Args:
        rated: the rounds.
        found: the predictions of the reward model that selects; None without any.
        resampler: of its groups.
    """
    reference = _reference(rated, resampler)
    if found is None:
        reason = "the dataset holds no calibrated predictions, so nothing could have been picked"
        missing = tuple(
            unavailable(f"welfare/{key}", title, reason)
            for key, title in (("mean", "Realised mean"), ("min", "Realised minimum"))
        )
        tables = [Table("What each welfare function picks", missing, ""), reference]
    else:
        tables = [*_picks(rated, found, resampler), reference]
    by_whom = f" Selected by {found.reward_model}, graded by people." if found else ""
    return Section(
        "welfare",
        "Welfare functions compared",
        "Paper D.5",
        "Of the rated candidates of a round, of all policies together, each welfare function picks "
        "the one with the highest predicted welfare; realised are the mean and the minimum of the "
        f"group's own ratings of it. Where several tie, their mean counts.{by_whom}",
        tuple(tables),
    )


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


def _candidates(rated: Rated, found: Predicted) -> tuple[IntArray, IntArray]:
    """The candidates with predictions and ratings, in rounds with two or more.

    Returns:
        Their index in ``found`` and in ``rated``.
    """
    realised = rated.group_agreement["mean"]
    index = np.flatnonzero(found.statement >= 0)
    index = index[~np.isnan(realised[found.statement[index]])]
    n_in_round = np.bincount(found.round[index], minlength=len(rated.round_ids))
    index = index[n_in_round[found.round[index]] >= MIN_STATEMENTS]
    return index, found.statement[index]


def _picks(rated: Rated, found: Predicted, resampler: Resampler) -> tuple[Table, ...]:
    index, statement = _candidates(rated, found)
    rounds = rated.statement_round[statement]
    n_rounds = len(rated.round_ids)
    low = rated.about.scale.low
    columns: list[FloatArray] = []
    for alpha in ALPHAS:
        predicted = found.welfare(alpha)[index]
        columns += [
            pick(predicted, rated.group_agreement[statistic][statement], rounds, n_rounds)
            for statistic in STATISTICS
        ]
        # Eq. 1 needs utilities above 0: the lowest point of the scale counts as 1.
        realised = welfare(
            rated.agreement - low + 1, rated.cell_statement, len(rated.words), alpha
        )[statement]
        columns.append(rank_correlations(predicted, realised, rounds, n_rounds))
    n_first = len(columns)
    for i in range(3, n_first, 3):  # each pick less the utilitarian one
        columns += [columns[i] - columns[0], columns[i + 1] - columns[1]]
    n_compared = len(columns)
    utilitarian = found.welfare(ALPHAS[0])[index]
    for alpha in ALPHAS[1:]:
        predicted = found.welfare(alpha)[index]
        columns += [
            same_pick(predicted, utilitarian, rounds, n_rounds),
            rank_correlations(predicted, utilitarian, rounds, n_rounds),
        ]
    values = np.stack(columns, axis=1)
    estimates, ns = _means(values, rated, resampler)
    nothing = "no round has two candidates with predictions and ratings"
    picked, ranked, compared, alike = [], [], [], []
    for a, alpha in enumerate(ALPHAS):
        name = welfare_name(alpha)
        of = {"alpha": f"{alpha:g}", "welfare": name}
        for s, (statistic, title) in enumerate(STATISTICS.items()):
            i = 3 * a + s
            picked.append(
                figure(
                    estimates[i],
                    f"welfare/{statistic}/{alpha:g}",
                    f"Realised {title}, {name}",
                    kind="points",
                    n=ns[i],
                    unit="rounds",
                    says=f"The {title} of the group's ratings of what {name} picks is {VALUE} on "
                    "average.",
                    nothing=nothing,
                    of=of | {"statistic": statistic},
                )
            )
            if a:
                i = n_first + 2 * (a - 1) + s
                compared.append(
                    figure(
                        estimates[i],
                        f"welfare/{statistic}_minus_utilitarian/{alpha:g}",
                        f"Realised {title}, {name} less utilitarian",
                        kind="points",
                        n=ns[i],
                        unit="rounds",
                        says=f"What {name} picks has a {title} rating {VALUE} points above that of "
                        "what utilitarian picks in the same round.",
                        nothing=nothing,
                        of=of | {"statistic": statistic},
                    )
                )
        if a:
            i = n_compared + 2 * (a - 1)
            alike += [
                figure(
                    estimates[i],
                    f"welfare/same_pick/{alpha:g}",
                    f"Same pick, {name} and utilitarian",
                    kind="share",
                    n=ns[i],
                    unit="rounds",
                    says=f"In {VALUE} of the rounds {name} and utilitarian pick the same "
                    "candidate.",
                    nothing=nothing,
                    of=of,
                ),
                figure(
                    estimates[i + 1],
                    f"welfare/rank_correlation_with_utilitarian/{alpha:g}",
                    f"Rank correlation, {name} and utilitarian",
                    kind="number",
                    n=ns[i + 1],
                    unit=f"rounds with {MIN_RANKED} candidates or more that differ",
                    says=f"Within a round, {name} and utilitarian rank the candidates with a "
                    f"Spearman correlation of {VALUE} on average; 1 is the same order.",
                    nothing=f"no round has {MIN_RANKED} candidates that differ in both",
                    of=of,
                ),
            ]
        ranked.append(
            figure(
                estimates[3 * a + 2],
                f"welfare/rank_correlation/{alpha:g}",
                f"Rank correlation, {name}",
                kind="number",
                n=ns[3 * a + 2],
                unit=f"rounds with {MIN_RANKED} candidates or more that differ",
                says=f"Within a round, candidates ranked by predicted and by realised welfare "
                f"({name}) have a Spearman correlation of {VALUE} on average; 1 is the same order.",
                nothing=f"no round has {MIN_RANKED} candidates that differ in both",
                of=of,
            )
        )
    return (
        Table(
            "What each welfare function picks",
            tuple(picked),
            "Only candidates that people rated could be picked here. Where they were shown because "
            "a welfare function had picked them, there was less to choose between.",
        ),
        Table(
            "Each pick less the utilitarian one",
            tuple(compared),
            f"Rounds with the same pick under both add 0: {_shares(alike[::2])}.",
        ),
        Table(
            "How far the functions agree with utilitarian",
            tuple(alike),
            "Both are predictions of one reward model: that two functions agree says nothing of "
            "whether people would.",
        ),
        Table(
            "Predicted and realised order",
            tuple(ranked),
            "The mean of rounds, each counting the same; ranks of a few candidates are coarse.",
        ),
    )


def _shares(same: Sequence[Figure]) -> str:
    """How often each picks as utilitarian does, in words."""
    return "; ".join(f"{one.shown} of them under {one.of['welfare']}" for one in same)


def _reference(rated: Rated, resampler: Resampler) -> Table:
    """What there was to gain: a candidate drawn by lot, and the best by people's own ratings."""
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
            names.append((statistic, key, title, says))
    estimates, ns = _means(np.stack(columns, axis=1), rated, resampler)
    return Table(
        "What there was to gain",
        tuple(
            figure(
                estimate,
                f"welfare/{statistic}/{key}",
                f"Realised {title}, {'by lot' if key == 'random' else 'best possible'}",
                kind="points",
                n=n,
                unit="rounds",
                says=says,
                nothing="no round has two rated candidates of policies",
                of={"statistic": statistic, "welfare": key},
            )
            for estimate, n, (statistic, key, title, says) in zip(estimates, ns, names, strict=True)
        ),
        "The best possible is picked by the ratings that grade it: it takes chance for merit, and "
        "no selector could reach it on new ratings.",
    )


def _means(
    values: FloatArray, rated: Rated, resampler: Resampler
) -> tuple[list[Estimate], list[int]]:
    """Means over rounds [R, n_columns] with intervals, and how many rounds each rests on."""
    known: BoolArray = ~np.isnan(values)
    estimates = resampler.ratios(
        by_group(values, rated.round_group, rated.n_groups),
        by_group(known, rated.round_group, rated.n_groups),
    )
    return estimates, known.sum(axis=0).tolist()
