"""Every figure that a reward model is judged by, on rounds that no part of it was fitted to.

How to read each: docs/reward_model.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.datasets.schema import VOTE
from commonweal.measures.accuracy import (
    ANY_DIFFERENCE,
    crossed_accuracy,
    leniency,
    same_statement_accuracy,
    within_person_accuracy,
)
from commonweal.measures.intervals import (
    N_RESAMPLES,
    NOTHING,
    Estimate,
    Resampled,
    mean_of,
    resample,
)
from commonweal.measures.ranks import rank_correlation
from commonweal.rewards.reliability import Reliability, measure_reliability
from commonweal.rewards.resampling import Draws, Unit
from commonweal.rewards.scoring import MAX_PEOPLE, SEED, ScoredRound, rng_of, score_rounds
from commonweal.rewards.selection import MAX_GROUPS, SelectionScores, measure_selection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.datasets.dataset import About, Dataset
    from commonweal.types import FloatArray, RewardModel

    BoolArray = NDArray[np.bool_]


WHOSE = {
    "human": "people's ratings of these statements in these rounds",
    "replayed": "real people's answers, given elsewhere, replayed",
    "simulated": "nobody's ratings: made up by rule, by a language model or by hand",
}
"""Whose ratings a dataset holds, in words."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a scorer gets right. An ``Estimate`` with n_comparisons 0 could not be measured.

    Attributes:
        crossed: see ``measures.accuracy``, as the others.
        within_person: a statement agreed with against one disagreed with.
        comparisons: any two statements that a person rated differently (the training objective).
        same_statement: who agreed against who disagreed.
        correlation: Spearman's, of reward and rating within a question; on 5 or 7 points only.
    """

    crossed: Estimate
    within_person: Estimate
    comparisons: Estimate
    same_statement: Estimate
    correlation: Estimate


@dataclass(frozen=True, slots=True)
class ByLength:
    """Within-person accuracy by length of statement in words, and whether long ones score higher.

    A model that likes long statements is right where the longer one was agreed with, and wrong
    where the shorter one was.

    Attributes:
        short: both statements in the shortest third of their round; ``medium`` and ``long`` alike.
        longer_agreed: from different thirds, and the person agreed with the longer one.
        shorter_agreed: and the person agreed with the shorter one.
        score_correlation: Spearman's, of length and mean score of a statement.
        rating_correlation: the same of length and mean rating, to compare it with.
    """

    short: Estimate
    medium: Estimate
    long: Estimate
    longer_agreed: Estimate
    shorter_agreed: Estimate
    score_correlation: Estimate
    rating_correlation: Estimate


@dataclass(frozen=True, slots=True)
class Measurement:
    """One reward model on one dataset.

    Attributes:
        people: whose ratings they are (docs/record_format.md).
        resampled: what the intervals resample.
        own: with each person's own opinion.
        swapped: with the opinion of another person of the same round instead (mean of a few swaps).
        statement_only: with the mean score over many people's opinions instead.
        swapped_drop: ``own`` less ``swapped``, with paired intervals; likewise the next.
        leniency: same-statement accuracy of who only knows how often each person agrees. Of rounds
            in which each person rated two statements it is left out: who agreed with one of two
            has disagreed with the other, and it would be 0 whatever people think.
        n_missing: ratings that are left out everywhere, since the model gave no reward for them or
            for another's opinion in their place.
    """

    model: str
    weights_hash: str
    data: str
    people: str
    scale: str
    n_rounds: int
    n_people: int
    n_statements: int
    n_ratings: int
    resampled: Unit
    seed: int
    own: Metrics
    swapped: Metrics
    statement_only: Metrics
    swapped_drop: Metrics
    statement_only_drop: Metrics
    leniency: Estimate
    reliability: Reliability
    by_length: ByLength
    selection: SelectionScores | None
    n_missing: int = 0

    @property
    def whose(self) -> str:
        """Whose ratings they are, in words."""
        return WHOSE[self.people]


def measure(
    model: RewardModel,
    dataset: Dataset,
    *,
    name: str | None = None,
    seed: int = SEED,
    n_draws: int = N_RESAMPLES,
    max_people: int = MAX_PEOPLE,
    max_groups: int = MAX_GROUPS,
    on_done: Callable[[int, int], None] | None = None,
) -> Measurement:
    """Every figure of ``model`` on ``dataset``.

    Where there are several rounds, a figure is its mean over them. Where there are at least
    ``MIN_QUESTIONS`` topics, or else questions, the intervals resample these, and speak about other
    ones too; otherwise they resample the people of each round, and speak about these alone.

    Args:
        model: what is measured.
        dataset: rounds that no part of the model, its calibration included, was fitted to.
        name: what the data are called; the dataset's name by default.
        seed: the same seed, the same people, swaps, groups and draws, for every model.
        n_draws: of the bootstrap.
        max_people: people measured in a round; of more, as many are drawn.
        max_groups: groups of one round for the selection.
        on_done: called with (n_pairs_scored, n_pairs).

    Raises:
        InputError: no round has a rating by somebody with an opinion.
        CommonwealError: as ``score_rounds``.
    """
    rounds = score_rounds(model, dataset, seed=seed, max_people=max_people, on_done=on_done)
    return measure_scored(
        model, rounds, dataset.about, name=name, seed=seed, n_draws=n_draws, max_groups=max_groups
    )


def measure_scored(
    model: RewardModel,
    rounds: Sequence[ScoredRound],
    about: About,
    *,
    name: str | None = None,
    seed: int = SEED,
    n_draws: int = N_RESAMPLES,
    max_groups: int = MAX_GROUPS,
) -> Measurement:
    """As ``measure``, of rounds that were scored before; ``about`` says what they are."""
    draws = Draws.of([r.rated for r in rounds], seed, n_draws)
    own = _Accuracies.of([(r.own,) for r in rounds], rounds, draws)
    swapped = _Accuracies.of([r.swapped for r in rounds], rounds, draws)
    statement_only = _Accuracies.of([(r.statement_only,) for r in rounds], rounds, draws)
    # The drop is over the rounds that have both: with one person there is nobody to swap with.
    swappable = _Accuracies.of([(r.own,) if r.swapped else () for r in rounds], rounds, draws)
    return Measurement(
        model=model.name,
        weights_hash=model.weights_hash,
        data=name or about.name,
        people=about.people,
        scale=about.scale.name,
        n_rounds=len(rounds),
        n_people=sum(len(r.rated.opinions) for r in rounds),
        n_statements=sum(int(np.isfinite(r.own).any(axis=0).sum()) for r in rounds),
        n_ratings=sum(int(np.isfinite(r.own).sum()) for r in rounds),
        n_missing=sum(r.n_missing for r in rounds),
        resampled=draws.unit,
        seed=seed,
        own=own.metrics,
        swapped=swapped.metrics,
        statement_only=statement_only.metrics,
        swapped_drop=swappable.minus(swapped).metrics,
        statement_only_drop=own.minus(statement_only).metrics,
        leniency=draws.mean(
            [
                same_statement_accuracy(leniency(r.rated.ratings), r.rated.answers, times)
                if np.isfinite(r.rated.ratings).sum(axis=1).max() > 2
                else NOTHING
                for r, times in zip(rounds, draws.times, strict=True)
            ]
        ).estimate,
        reliability=measure_reliability(rounds, model.calibration, draws),
        by_length=_by_length(rounds, draws, seed),
        selection=measure_selection(
            rounds, model.calibration, draws, seed=seed, max_groups=max_groups
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Accuracies:
    """``Metrics`` before they are summed up."""

    parts: tuple[Resampled, ...]

    @classmethod
    def of(
        cls,
        predictions: Sequence[Sequence[FloatArray]],
        rounds: Sequence[ScoredRound],
        draws: Draws,
    ) -> _Accuracies:
        """Of one or several predictions a round, whose figures are averaged."""
        kinds: list[list[Resampled]] = [[] for _ in range(5)]
        for repeats, scored, times in zip(predictions, rounds, draws.times, strict=True):
            accuracies = [_accuracies(given, scored, times) for given in repeats]
            for number, kind in enumerate(kinds):
                kind.append(mean_of([one[number] for one in accuracies]))
        return cls(tuple(draws.mean(kind) for kind in kinds))

    def minus(self, other: _Accuracies) -> _Accuracies:
        return _Accuracies(tuple(a.minus(b) for a, b in zip(self.parts, other.parts, strict=True)))

    @property
    def metrics(self) -> Metrics:
        return Metrics(*(part.estimate for part in self.parts))


def _accuracies(given: FloatArray, scored: ScoredRound, times: FloatArray) -> tuple[Resampled, ...]:
    """In the order of ``Metrics``."""
    rated = scored.rated
    return (
        crossed_accuracy(given, rated.answers, times),
        within_person_accuracy(given, rated.answers, times),
        within_person_accuracy(given, rated.ratings, times, gap=ANY_DIFFERENCE),
        same_statement_accuracy(given, rated.answers, times),
        NOTHING if rated.scale == VOTE else _correlation(given, scored, times),
    )


def _correlation(given: FloatArray, scored: ScoredRound, times: FloatArray) -> Resampled:
    rows, columns = np.nonzero(np.isfinite(given))
    return rank_correlation(given[rows, columns], scored.rated.ratings[rows, columns], times, rows)


def _by_length(rounds: Sequence[ScoredRound], draws: Draws, seed: int) -> ByLength:
    kinds: list[list[Resampled]] = [[] for _ in range(7)]
    for scored, times in zip(rounds, draws.times, strict=True):
        rated = scored.rated
        columns = np.flatnonzero(np.isfinite(rated.ratings).any(axis=0))
        own, answers = scored.own[:, columns], rated.answers[:, columns]
        lengths = np.array([len(rated.statements[j].split()) for j in columns], dtype=np.float64)
        third = np.searchsorted(np.quantile(lengths, [1 / 3, 2 / 3]), lengths, side="left")
        masks: list[BoolArray] = [(third[:, None] == t) & (third[None, :] == t) for t in range(3)]
        masks += [third[:, None] > third[None, :], third[:, None] < third[None, :]]
        measures = [within_person_accuracy(own, answers, times, allowed=mask) for mask in masks]
        # Where not whole questions are, statements are resampled: these correlations rest on them.
        drawn = np.ones((1, len(columns)))
        if draws.clusters is None:
            rng = rng_of(seed, "statements", rated.round_id)
            drawn = resample(len(columns), rng, len(times))
        measures += [
            rank_correlation(lengths, np.nanmean(values, axis=0), drawn)
            for values in (own, rated.ratings[:, columns])
        ]
        for kind, one in zip(kinds, measures, strict=True):
            kind.append(one)
    return ByLength(*(draws.mean(kind).estimate for kind in kinds))
