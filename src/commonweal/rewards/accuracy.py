"""How often a reward model orders statements as people did, in ways that a guess cannot pass.

Each measure compares predictions [n_people, n_statements] with what the same people said of the
same statements: 1 agreed, -1 disagreed, anything else (0, nan) is no answer either way; where the
prediction is nan there is none to compare. Equal predictions count one half, so a model that
ignores what is measured gets exactly 0.5.

Intervals are bootstraps: ``times`` says how often each person counts in each draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from commonweal.rewards.resampling import NOTHING, Resampled, ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

    BoolArray = NDArray[np.bool_]

AGREED_AGAINST_DISAGREED = 2.0
"""How far apart two answers are of which one agreed and the other disagreed."""

_TIED = 1e-9
"""Differences that are rounding only are ties: a model blind to the opinion gets 0.5 exactly."""

_BLOCK_ELEMENTS = 1 << 22


def within_person_accuracy(
    predictions: FloatArray,
    answers: FloatArray,
    times: FloatArray,
    *,
    gap: float = AGREED_AGAINST_DISAGREED,
    allowed: BoolArray | None = None,
) -> Resampled:
    """For one person: does what they agreed with score above what they disagreed with?

    Each person counts the same.

    Args:
        predictions: float64 [n_people, n_statements].
        answers: float64 [n_people, n_statements].
        times: float64 [n_draws, n_people].
        gap: how far apart two answers must be to be compared. With ratings for answers and the
            smallest gap, any two statements that a person rated differently (paper 3.3).
        allowed: [n_statements, n_statements]; which (preferred, other) count. All by default.
    """
    answers = _predicted(predictions, answers)
    shares = np.full(len(answers), np.nan)
    n_comparisons = 0
    for person, (row, said) in enumerate(zip(predictions, answers, strict=True)):
        known = np.flatnonzero(~np.isnan(said))
        compared = said[known, None] - said[known] >= gap
        if allowed is not None:
            compared &= allowed[np.ix_(known, known)]
        if n := int(compared.sum()):
            shares[person] = _right(row[known, None] - row[known])[compared].mean()
            n_comparisons += n
    return _mean_of_people(shares, times, n_comparisons)


def same_statement_accuracy(
    predictions: FloatArray, answers: FloatArray, times: FloatArray
) -> Resampled:
    """For one statement: does who agreed with it score above who disagreed with it?

    Each statement counts the same. A pair of people counts as often as both were drawn. A model
    that only knows how often a person agrees does better than 0.5 here: see ``leniency``.

    Args: as for ``within_person_accuracy``.
    """
    answers = _predicted(predictions, answers)
    values, draws = [], []
    compared_people = np.zeros(len(answers), dtype=bool)
    n_comparisons = 0
    by_person = np.ascontiguousarray(times.T)  # rows are gathered: several times as fast
    for column, said in zip(predictions.T, answers.T, strict=True):
        agreed, disagreed = np.flatnonzero(said == 1), np.flatnonzero(said == -1)
        if not agreed.size or not disagreed.size:
            continue
        right = _right(column[agreed, None] - column[disagreed])
        high, low = by_person[agreed], by_person[disagreed]
        weight = high.sum(axis=0) * low.sum(axis=0)
        draws.append(ratio(((right.T @ high) * low).sum(axis=0), weight))
        values.append(float(right.mean()))
        compared_people[agreed] = compared_people[disagreed] = True
        n_comparisons += right.size
    if not values:
        return NOTHING
    stacked = np.stack(draws)
    known = np.isfinite(stacked)
    return Resampled(
        float(np.mean(values)),
        ratio(np.nan_to_num(stacked).sum(axis=0), known.sum(axis=0)),
        int(compared_people.sum()),
        n_comparisons,
    )


def crossed_accuracy(predictions: FloatArray, answers: FloatArray, times: FloatArray) -> Resampled:
    """Two people, two statements: A agreed with 1 and not 2, B with 2 and not 1.

    Is score(A,1) - score(A,2) - score(B,1) + score(B,2) above 0? Popular statements and lenient
    people cancel. Each pair of people counts the same, and as often as both were drawn.

    Args: as for ``within_person_accuracy``.
    """
    answers = _predicted(predictions, answers)
    n_people = len(answers)
    rights, counts = np.zeros((n_people, n_people)), np.zeros((n_people, n_people))
    for a in range(n_people):
        agreed, disagreed = np.flatnonzero(answers[a] == 1), np.flatnonzero(answers[a] == -1)
        n_pairs = agreed.size * disagreed.size
        if not n_pairs:
            continue
        step = max(1, _BLOCK_ELEMENTS // n_pairs)
        for start in range(0, a, step):
            others = slice(start, min(a, start + step))
            first = answers[others, agreed] == -1
            second = answers[others, disagreed] == 1
            b, i, j = np.nonzero(first[:, :, None] & second[:, None, :])
            b += start
            one, two = agreed[i], disagreed[j]
            lean = predictions[a, one] - predictions[a, two]
            right = _right(lean - (predictions[b, one] - predictions[b, two]))
            rights[a] += np.bincount(b, right, minlength=n_people)
            counts[a] += np.bincount(b, minlength=n_people)
    known = counts > 0
    if not known.any():
        return NOTHING
    shares = np.where(known, rights / np.maximum(counts, 1), 0.0)
    drawn = ((times @ shares) * times).sum(axis=1)
    weight = ((times @ known.astype(np.float64)) * times).sum(axis=1)
    return Resampled(
        float(shares[known].mean()),
        ratio(drawn, weight),
        int((known.any(axis=0) | known.any(axis=1)).sum()),
        int(counts.sum()),
    )


def leniency(ratings: FloatArray) -> FloatArray:
    """What somebody predicts who only knows how often each person agrees, [n_people, n_statements].

    The mean of a person's other ratings; nan where there is no rating, or no other. For
    ``same_statement_accuracy`` alone: what is left out differs from statement to statement, which
    turns every comparison of two statements round.
    """
    known = ~np.isnan(ratings)
    others = known.sum(axis=1, keepdims=True) - 1
    sums = np.nansum(ratings, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: FloatArray = np.where(known & (others > 0), (sums - ratings) / others, np.nan)
    return means


def rank_correlation(x: FloatArray, y: FloatArray, times: FloatArray) -> Resampled:
    """Spearman's correlation of ``x`` and ``y`` [n_items], ties at their mean rank.

    In a draw the items keep their rank and count ``times`` [n_draws, n_items].
    """
    if len(x) < 3:
        return NOTHING
    both = np.stack([_ranks(x), _ranks(y)])
    both -= both.mean(axis=1, keepdims=True)
    if not (np.abs(both).max(axis=1) > 0).all():
        return NOTHING  # one of them is the same for all
    whole = _weighted_correlation(both, np.ones((1, len(x))))
    return Resampled(float(whole[0]), _weighted_correlation(both, times), len(x), len(x))


def _weighted_correlation(both: FloatArray, times: FloatArray) -> FloatArray:
    x, y = both
    weight = times.sum(axis=1)
    mean_x, mean_y = ratio(times @ x, weight), ratio(times @ y, weight)
    cov = ratio(times @ (x * y), weight) - mean_x * mean_y
    var_x = ratio(times @ (x * x), weight) - mean_x**2
    var_y = ratio(times @ (y * y), weight) - mean_y**2
    spread = var_x * var_y
    return ratio(cov, np.sqrt(np.where(spread > _TIED, spread, 0.0)))


def _ranks(values: FloatArray) -> FloatArray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: FloatArray = (last - (counts - 1) / 2)[inverse]
    return middle


def _predicted(predictions: FloatArray, answers: FloatArray) -> FloatArray:
    return np.where(np.isnan(predictions), np.nan, answers)


def _right(differences: FloatArray) -> FloatArray:
    """1 where the difference is above 0, one half where it is nothing, else 0."""
    return np.where(np.abs(differences) < _TIED, 0.5, differences > 0)


def _mean_of_people(shares: FloatArray, times: FloatArray, n_comparisons: int) -> Resampled:
    known = np.isfinite(shares)
    if not known.any():
        return NOTHING
    drawn = times[:, known]
    return Resampled(
        float(shares[known].mean()),
        ratio(drawn @ shares[known], drawn.sum(axis=1)),
        int(known.sum()),
        n_comparisons,
    )
