"""The reward model on the same rounds: how it orders statements, and whether it is calibrated.

Paper 3.3 and 3.4. People's ratings are the measure here and the model's predictions what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from commonweal.datasets.schema import LIKERT_7
from commonweal.evaluation.bootstrap import Resampler, by_group, ratio
from commonweal.evaluation.figures import VALUE, Figure, Section, Table, figure, unavailable
from commonweal.evaluation.predicted import reward_models, statement_index
from commonweal.evaluation.rated import SAME, Rated
from commonweal.types import RATING_MAX, RATING_MIN

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.evaluation.rated import IntArray
    from commonweal.types import FloatArray

N_BINS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Cells with a rating and a prediction, sorted by person in round, then statement; n of them.

    Attributes:
        person_round: int [n], the person in the round, rising.
        statement: int [n].
        group: int [n].
        rating: float [n], on the dataset's scale.
        reward: float [n].
        expected: float [n], on the seven-point scale; nan where uncalibrated.
    """

    person_round: IntArray
    statement: IntArray
    group: IntArray
    rating: FloatArray
    reward: FloatArray
    expected: FloatArray


def judged(dataset: Dataset, rated: Rated, reward_model: str) -> Judged:
    """What people rated and this reward model predicted."""
    people = pl.DataFrame({"participant_id": pl.Series(rated.person_ids, dtype=pl.String)})
    cells = pl.DataFrame(
        {
            "statement": rated.cell_statement,
            "person": rated.cell_person,
            "person_round": rated.person_rounds.cell,
            "rating": rated.agreement,
        }
    ).filter(pl.col("rating").is_not_nan())
    found = (
        dataset.predictions.filter(pl.col("reward_model") == reward_model)
        .join(statement_index(rated), on=["round_id", "candidate_id"])
        .join(
            people.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("person")),
            on="participant_id",
        )
        .select("statement", "person", "reward", "expected_rating")
        .join(cells, on=["statement", "person"])
        .sort("person_round", "statement")
    )
    statement = found["statement"].to_numpy()
    return Judged(
        person_round=found["person_round"].to_numpy(),
        statement=statement,
        group=rated.statement_group[statement],
        rating=found["rating"].to_numpy(),
        reward=found["reward"].to_numpy(),
        expected=found["expected_rating"].fill_null(np.nan).to_numpy(),
    )


def reward_model(dataset: Dataset, rated: Rated, resampler: Resampler) -> Section:
    """Accuracy and calibration of each reward model that made predictions."""
    tables: list[Table] = []
    for name in reward_models(dataset):
        found = judged(dataset, rated, name)
        tables.append(_accuracies(found, name, rated, resampler))
        tables.append(_calibration(found, name, rated, resampler))
    if not tables:
        reason = "the dataset holds no predictions of a reward model"
        keys = (
            ("accuracy/within", "Accuracy within a person"),
            ("accuracy/crossed", "Crossed accuracy"),
            ("calibration/error", "Expected calibration error"),
        )
        missing = tuple(unavailable(key, title, reason) for key, title in keys)
        tables.append(Table("Accuracy and calibration", missing, ""))
    return Section(
        "reward_model",
        "The reward model on these rounds",
        "Paper 3.3 and 3.4",
        "Predictions are compared with the same people's ratings. Within a person: of two "
        "statements that a person rated differently, does the one rated higher score higher? "
        "Crossed: one person agreed with the first statement and disagreed with the second, "
        "another the reverse; is the first person's lean to the first statement the stronger? "
        "Equal scores count one half. Calibration: expected against given ratings, in "
        f"{N_BINS} bins of equal width.",
        tuple(tables),
    )


# -------------------------------------------------------------------------------------- accuracy


def _accuracies(found: Judged, name: str, rated: Rated, resampler: Resampler) -> Table:
    neutral = rated.about.scale.neutral
    parts = [
        within_person(found, rated.n_groups),
        within_person(found, rated.n_groups, neutral),
        crossed(found, neutral, rated.n_groups),
    ]
    right, total = (np.stack(side, axis=1) for side in zip(*parts, strict=True))
    kinds = (
        (
            "within",
            "Accuracy within a person",
            "pairs of statements rated differently by one person",
            "Of two statements that a person rated differently, the reward model scores the one "
            f"rated higher above the other in {VALUE} of pairs; guessing gets 50 %.",
            "nobody rated two statements with predictions differently",
        ),
        (
            "agreed",
            "Accuracy within a person, agreed against disagreed",
            "pairs of a statement agreed with and one disagreed with by one person",
            "Of a statement that a person agrees with and one that they disagree with, the reward "
            f"model scores the first above the second in {VALUE} of pairs; guessing gets 50 %.",
            "nobody agreed with one statement and disagreed with another",
        ),
        (
            "crossed",
            "Crossed accuracy",
            "crossed quadruples of two people and two statements",
            "Where one person agrees with the first statement and not the second, and another the "
            f"reverse, the reward model tells who is who in {VALUE}; a model that ignores the "
            "opinion gets 50 %.",
            "no two people were on opposite sides of two statements",
        ),
    )
    return Table(
        f"Accuracy of {name}",
        tuple(
            figure(
                estimate,
                f"accuracy/{key}/{name}",
                f"{title}, {name}",
                kind="share",
                n=int(total[:, i].sum()),
                unit=unit,
                says=says,
                nothing=nothing,
                of={"reward_model": name},
            )
            for i, (estimate, (key, title, unit, says, nothing)) in enumerate(
                zip(resampler.jackknife_shares(right, total), kinds, strict=True)
            )
        ),
        "Rounds in which a model was trained would flatter it. People are not perfectly "
        "consistent, so no model can reach 100 %. Every pair counts the same: people and rounds "
        "with many statements count more.",
        "The intervals leave out each group in turn (jackknife, Student's t, in log-odds): a few "
        "groups have most of the quadruples, and resamples without them lie too high.",
    )


def within_person(
    found: Judged, n_groups: int, neutral: float | None = None
) -> tuple[FloatArray, FloatArray]:
    """Pairs ordered rightly and all pairs within a person, by group: two of float [n_groups].

    ``neutral``: only pairs of a rating above and one below it; None: any two that differ.
    """
    right, total = np.zeros(n_groups), np.zeros(n_groups)
    for i, j in _pairs(found):
        gap = found.rating[i] - found.rating[j]
        counted = np.abs(gap) > SAME
        if neutral is not None:
            counted &= (found.rating[i] - neutral) * (found.rating[j] - neutral) < 0
        i, j, gap = i[counted], j[counted], gap[counted]
        lead = (found.reward[i] - found.reward[j]) * np.sign(gap)
        group = found.group[i]
        right += np.bincount(group, _right(lead), minlength=n_groups)
        total += np.bincount(group, minlength=n_groups)
    return right, total


def crossed(found: Judged, neutral: float, n_groups: int) -> tuple[FloatArray, FloatArray]:
    """Quadruples ordered rightly and all quadruples, by group: two of float [n_groups].

    Each is a pair of two people's leans to one of the same two statements. So for two statements it
    is the Mann-Whitney count between those who are for the first and those who are for the second.
    """
    keys, leans, firsts, groups = [], [], [], []
    n_statements = int(found.statement.max(initial=-1)) + 1
    for i, j in _pairs(found):
        opposed = (found.rating[i] - neutral) * (found.rating[j] - neutral) < 0
        i, j = i[opposed], j[opposed]
        keys.append(found.statement[i] * n_statements + found.statement[j])
        leans.append(np.round(found.reward[i] - found.reward[j], 9))
        firsts.append(found.rating[i] > found.rating[j])
        groups.append(found.group[i])
    if not keys:
        return np.zeros(n_groups), np.zeros(n_groups)
    key, lean, is_first, group = (np.concatenate(part) for part in (keys, leans, firsts, groups))
    order = np.lexsort((lean, key))
    key, lean, is_first, group = key[order], lean[order], is_first[order], group[order]
    # Those for the second statement, counted up to each place, and at the ends of each run.
    seconds = np.concatenate([[0], np.cumsum(~is_first)])
    key_start, key_end = _runs(np.append(True, key[1:] != key[:-1])[: len(key)])
    tie_start, tie_end = _runs(
        np.append(True, (key[1:] != key[:-1]) | (lean[1:] != lean[:-1]))[: len(key)]
    )
    below = seconds[tie_start] - seconds[key_start]
    equal = seconds[tie_end] - seconds[tie_start]
    wins = np.where(is_first, below + equal / 2, 0.0)
    pairs = np.where(is_first, seconds[key_end] - seconds[key_start], 0.0)
    return (
        np.bincount(group, wins, minlength=n_groups).astype(np.float64),
        np.bincount(group, pairs, minlength=n_groups).astype(np.float64),
    )


def _pairs(found: Judged) -> Iterator[tuple[IntArray, IntArray]]:
    """Each two statements of a person in a round once, the first before the second, by distance."""
    n = len(found.person_round)
    distance, start = 1, np.arange(n)
    while len(start := start[start + distance < n]):
        start = start[found.person_round[start] == found.person_round[start + distance]]
        if len(start):
            yield start, start + distance
        distance += 1


def _runs(is_new: FloatArray) -> tuple[IntArray, IntArray]:
    """Where the run of each place begins and ends, int [n]; ``is_new`` says where one begins."""
    starts = np.flatnonzero(is_new)
    run = np.cumsum(is_new) - 1
    return starts[run], np.append(starts[1:], len(is_new))[run]


def _right(lead: FloatArray) -> FloatArray:
    return np.where(np.abs(lead) < SAME, 0.5, (lead > 0).astype(np.float64))


# ----------------------------------------------------------------------------------- calibration


def _calibration(found: Judged, name: str, rated: Rated, resampler: Resampler) -> Table:
    title = f"Calibration of {name}"
    known = ~np.isnan(found.expected)
    reason = ""
    if rated.about.scale != LIKERT_7:
        reason = (
            f"expected ratings are on the seven-point scale and people rated on {rated.about.scale}"
        )
    elif not known.any():
        reason = f"{name} has no calibrated predictions of what was rated"
    if reason:
        missing = tuple(
            unavailable(f"calibration/{key}/{name}", f"{what}, {name}", reason)
            for key, what in (("error", "Expected calibration error"), ("bias", "Mean error"))
        )
        return Table(title, missing, "")
    expected, rating, group = found.expected[known], found.rating[known], found.group[known]
    place = (expected - RATING_MIN) / (RATING_MAX - RATING_MIN) * N_BINS
    member = np.eye(N_BINS)[np.clip(place.astype(np.int64), 0, N_BINS - 1)]
    sums = by_group(
        np.concatenate([member, member * rating[:, None], member * expected[:, None]], axis=1),
        group,
        rated.n_groups,
    )
    count = sums[:, :N_BINS]
    adds = np.concatenate([np.repeat(count.sum(axis=1)[:, None] > 0, 2, axis=1), count > 0], axis=1)
    error, bias, *bins = resampler.estimate(sums, _calibration_figures, adds)
    error = replace(
        error,
        no_interval="it adds up absolute errors, which chance raises in the figure and once more "
        "in each resample, so that resamples lie above the truth",
    )
    n = int(count.sum())
    unit = "ratings with a prediction"
    figures: list[Figure] = [
        figure(
            error,
            f"calibration/error/{name}",
            f"Expected calibration error, {name}",
            kind="points",
            n=n,
            unit=unit,
            says=f"Expected ratings are {VALUE} points off what was given, bin by bin, on average.",
            nothing="there are no ratings",
            of={"reward_model": name},
            warning="It is above 0 even of a perfect model, the more so the fewer the ratings.",
        ),
        figure(
            bias,
            f"calibration/bias/{name}",
            f"Mean error, {name}",
            kind="points",
            n=n,
            unit=unit,
            says=f"Expected ratings are {VALUE} points above those given, on average.",
            nothing="there are no ratings",
            of={"reward_model": name},
        ),
    ]
    n_bin, n_expected = count.sum(axis=0), sums[:, 2 * N_BINS :].sum(axis=0)
    width = (RATING_MAX - RATING_MIN) / N_BINS
    for i in np.flatnonzero(n_bin):
        low = RATING_MIN + width * i
        where = f"{low:.1f} to {low + width:.1f}"
        mean = f"{n_expected[i] / n_bin[i]:.2f}"
        figures.append(
            figure(
                bins[i],
                f"calibration/bin/{name}/{i}",
                f"Expected {where}, {name}",
                kind="points",
                n=int(n_bin[i]),
                unit="ratings",
                says=f"Where {where} was expected, {mean} on average, people gave {VALUE}.",
                nothing="there are no ratings",
                of={"reward_model": name, "expected": mean},
            )
        )
    return Table(
        title,
        tuple(figures),
        "A model can be calibrated on average and wrong about every person: see crossed accuracy.",
    )


def _calibration_figures(sums: FloatArray) -> FloatArray:
    """Expected calibration error, mean error, and the mean rating of each bin."""
    count, rating, expected = np.split(sums, 3, axis=-1)
    n = count.sum(axis=-1)
    gap = expected - rating
    overall = [ratio(np.abs(gap).sum(axis=-1), n), ratio(gap.sum(axis=-1), n)]
    return np.concatenate([np.stack(overall, axis=-1), ratio(rating, count)], axis=-1)
