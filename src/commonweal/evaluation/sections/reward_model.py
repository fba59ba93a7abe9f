"""The reward model on the same rounds: how it orders statements, and whether it is calibrated.

Paper 3.3 and 3.4. People's ratings are the measure here and the model's predictions what is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from commonweal.evaluation.metrics import VALUE, Metric, MetricTable, Subject, Term, Whole, metric
from commonweal.evaluation.plotting.canvas import COLOURS, MARKERS, Canvas, points, short
from commonweal.evaluation.rounds.predicted import reward_models, statement_index
from commonweal.evaluation.rounds.rated import Rated, sign
from commonweal.evaluation.section import Section
from commonweal.frames import pl
from commonweal.measures.accuracy import ANY_DIFFERENCE, Cells, crossed, within_person
from commonweal.measures.bootstrap import Resampler, by_group
from commonweal.measures.calibration import (
    N_BINS,
    NO_INTERVAL,
    bins,
    curve,
    error_and_bias,
    round_weights,
    terms,
)

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.evaluation.rounds.rated import IntArray
    from commonweal.showing import Plot
    from commonweal.types import FloatArray


@dataclass(frozen=True)
class Accuracy(Subject):
    """Of pairs "within" a person, of those "agreed" and not, or "crossed"."""

    measure: str
    reward_model: str
    form = "accuracy/{measure}/{reward_model}"

    @property
    def terms(self) -> tuple[Term, ...]:
        """What crossed accuracy is."""
        means = "how often the reward model tells which of two people agrees with which of two "
        return (("crossed accuracy", f"{means}statements"),) if self.measure == "crossed" else ()

    def is_headline(self, _baseline: str, /) -> bool:
        """The crossed one."""
        return self.measure == "crossed"


@dataclass(frozen=True)
class CalibrationError(Subject):
    """The expected calibration "error" or the "bias" of a reward model."""

    measure: str
    reward_model: str
    form = "calibration/{measure}/{reward_model}"


@dataclass(frozen=True)
class CalibrationBin(Subject):
    """What people gave where a reward model expected about so much."""

    unsaid = ("i",)
    reward_model: str
    expected: float = field(compare=False)  # the same bin, whatever rounding leaves of its mean
    i: int
    form = "calibration/bin/{reward_model}/{i}"

    def as_text(self) -> dict[str, str]:
        """Two digits of what was expected."""
        return super().as_text() | {"expected": f"{self.expected:.2f}"}


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Cells with a rating and a prediction, sorted by person in round, then statement; n of them.

    Attributes:
        person_round: int [n], the person in the round, rising.
        statement: int [n].
        rating: float [n], on the dataset's scale.
        reward: float [n].
        expected: float [n], on the seven-point scale; nan where uncalibrated.
    """

    person_round: IntArray
    statement: IntArray
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
    rows = (
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
    return Judged(
        person_round=rows["person_round"].to_numpy(),
        statement=rows["statement"].to_numpy(),
        rating=rows["rating"].to_numpy(),
        reward=rows["reward"].to_numpy(),
        expected=rows["expected_rating"].fill_null(np.nan).to_numpy(),
    )


def reward_model(dataset: Dataset, rated: Rated, resampler: Resampler) -> Section:
    """Accuracy and calibration of each reward model that made predictions."""
    tables: list[MetricTable] = []
    for name in reward_models(dataset):
        cells = judged(dataset, rated, name)
        tables.append(_accuracies(cells, name, rated, resampler))
        tables.append(_calibration(cells, name, rated, resampler))
    if not tables:
        reason = "the dataset holds no predictions of a reward model"
        keys = (
            ("accuracy/within", "Accuracy within a person"),
            ("accuracy/crossed", "Crossed accuracy"),
            ("calibration/error", "Expected calibration error"),
        )
        missing = tuple(
            Whole(key, headline=key == "accuracy/crossed").unavailable(title, reason)
            for key, title in keys
        )
        tables.append(MetricTable("Accuracy and calibration", missing))
    return Section(
        "reward_model",
        "The reward model on these rounds",
        "Paper 3.3 and 3.4",
        "Predictions are compared with the same people's ratings. Within a person: of two "
        "statements that a person rated differently, does the one rated higher score higher? "
        "Crossed: one person agreed with the first statement and disagreed with the second, "
        "another the reverse; is the first person's lean to the first statement the stronger? "
        "Equal scores count one half. Calibration: expected against given ratings, in "
        f"{N_BINS} bins with as many ratings in each.",
        tuple(tables),
        draw=_plots,
    )


def _plots(section: Section, canvas: Canvas) -> list[Plot | None]:
    words = {
        "within": "within a person",
        "agreed": "agreed against disagreed",
        "crossed": "crossed",
    }
    accuracies = points(
        section.having(Accuracy), lambda of: words[of.measure], lambda of: of.reward_model
    )
    accuracy = canvas.forest(
        [("Accuracy", accuracies)],
        "How often the reward model orders statements as people did; the line is guessing.",
        reference=0.5,
        limits=(0, 1),
    )
    return [accuracy, _calibration_curve(canvas, section.having(CalibrationBin))]


def _calibration_curve(canvas: Canvas, bins: Sequence[Metric[CalibrationBin]]) -> Plot | None:
    """The mean rating given where so much was expected."""
    if not bins:
        return None
    figure, (ax,) = canvas.axes(7)
    ax.plot([1, 7], [1, 7], color="#1d2330", linewidth=0.9, label="perfect")
    for i, name in enumerate(dict.fromkeys(one.subject.reward_model for one in bins)):
        mine = [one for one in bins if one.subject.reward_model == name]
        x = [one.subject.expected for one in mine]
        y = [one.value or 0.0 for one in mine]
        colour = COLOURS[i % len(COLOURS)]
        marker = MARKERS[i % len(MARKERS)]
        ax.plot(x, y, marker=marker, color=colour, markersize=5, label=short(name))
        for at, one in zip(x, mine, strict=True):
            if one.low is not None:
                ax.plot([at, at], [one.low, one.high], color=colour, linewidth=1)
    ax.set_xlim(1, 7)
    ax.set_ylim(1, 7)
    ax.set_xlabel("Expected rating")
    ax.set_ylabel("Mean rating given")
    ax.legend(frameon=False)
    caption = "Calibration: mean rating given where so much was expected, in bins."
    return canvas.plot(figure, caption)


# -------------------------------------------------------------------------------------- accuracy


def _accuracies(cells: Judged, name: str, rated: Rated, resampler: Resampler) -> MetricTable:
    rating = Cells(cells.person_round, cells.statement, cells.reward, cells.rating)
    answers = replace(rating, answer=sign(cells.rating - rated.about.scale.neutral))
    n_rounds = len(rated.round_ids)
    by_round = [
        shares.by_round(rated.person_rounds.round, n_rounds)
        for shares in (
            within_person(rating, gap=ANY_DIFFERENCE),
            within_person(answers),
            crossed(answers),
        )
    ]
    right = np.stack([share for share, _ in by_round], axis=1)
    total = [int(n.sum()) for _, n in by_round]
    above, below = (
        by_group(each, rated.round_group, rated.n_groups) for each in (right, ~np.isnan(right))
    )
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
    return MetricTable(
        f"Accuracy of {name}",
        tuple(
            metric(
                estimate,
                Accuracy(key, name),
                f"{title}, {name}",
                kind="share",
                n=total[i],
                unit=unit,
                says=says,
                nothing=nothing,
            )
            for i, (estimate, (key, title, unit, says, nothing)) in enumerate(
                zip(resampler.jackknife_shares(above, below), kinds, strict=True)
            )
        ),
        "Rounds in which a model was trained would flatter it. People are not perfectly "
        "consistent, so no model can reach 100 %.",
        "Each person of a round, and each two people, count the same, and then each round: nobody "
        "counts more for having rated more. The intervals leave out each group in turn (jackknife, "
        "Student's t, in log-odds): shares are near 1, and resamples lie too high.",
    )


# ----------------------------------------------------------------------------------- calibration


def _calibration(cells: Judged, name: str, rated: Rated, resampler: Resampler) -> MetricTable:
    title = f"Calibration of {name}"
    known = ~np.isnan(cells.expected)
    if not known.any():
        reason = f"{name} has no calibrated predictions of what was rated"
        missing = tuple(
            Whole(f"calibration/{key}/{name}").unavailable(f"{what}, {name}", reason)
            for key, what in (("error", "Expected calibration error"), ("bias", "Mean error"))
        )
        return MetricTable(title, missing)
    scale = rated.about.scale
    expected, rating = cells.expected[known], scale.seven_points(cells.rating[known])
    rounds = rated.person_rounds.round[cells.person_round[known]]
    bin_of = bins(expected)
    sums = by_group(
        terms(expected, rating, round_weights(rounds), bin_of),
        rated.round_group[rounds],
        rated.n_groups,
    )
    count = sums[:, : int(bin_of.max()) + 1]
    adds = np.concatenate([np.repeat(count.sum(axis=1)[:, None] > 0, 2, axis=1), count > 0], axis=1)
    error, bias, *means = resampler.estimate(sums, _error_bias_and_bins, adds)
    error = error._replace(low=np.nan, high=np.nan, no_interval=NO_INTERVAL)
    n = len(rating)
    unit = "ratings with a prediction"
    metrics: list[Metric[Subject]] = [
        metric(
            error,
            CalibrationError("error", name),
            f"Expected calibration error, {name}",
            kind="points",
            n=n,
            unit=unit,
            says=f"Expected ratings are {VALUE} points off what was given, bin by bin, on average.",
            nothing="there are no ratings",
            warning="It is above 0 even for a perfect model, and more so with fewer ratings.",
        ),
        metric(
            bias,
            CalibrationError("bias", name),
            f"Mean error, {name}",
            kind="points",
            n=n,
            unit=unit,
            says=f"Expected ratings are {VALUE} points above those given, on average.",
            nothing="there are no ratings",
        ),
    ]
    for i, mean in enumerate(curve(sums.sum(axis=0))[0]):
        inside = expected[bin_of == i]
        where = f"{inside.min():.2f} to {inside.max():.2f}"
        about = f"{mean:.2f}"
        metrics.append(
            metric(
                means[i],
                CalibrationBin(name, float(about), i),
                f"Expected {where}, {name}",
                kind="points",
                n=len(inside),
                unit="ratings",
                says=f"Where {where} was expected, {about} on average, people gave {VALUE}.",
                nothing="there are no ratings",
            )
        )
    return MetricTable(
        title,
        tuple(metrics),
        "A model can be calibrated on average and wrong about every person: see crossed accuracy.",
        f"Ratings are {scale.as_seven_points}. The ratings of a round count the same, and each "
        "round as much as any other.",
    )


def _error_bias_and_bins(sums: FloatArray) -> FloatArray:
    """Expected calibration error, mean error, and the mean rating of each bin."""
    return np.concatenate([error_and_bias(sums), curve(sums)[1]], axis=-1)
