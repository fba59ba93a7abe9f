"""How well people's ratings repeat themselves, and leaving out those whose ratings do not.

A person who rates a statement twice should say about the same. The measure is Cohen's kappa with
quadratic weights between the first and the second pass (``measures.raters``): 1 where both are the
same, 0 where the second is no nearer to the first than chance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from commonweal.datasets.dataset import Dataset, Step
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.measures.raters import quadratic_kappa

DEFAULT_THRESHOLD = 0.2
"""Below it people are left out. Our choice (docs/decisions/012); the paper names no number."""

MIN_REPEATED = 4
"""Statements that a person must have rated twice before anything is said about them."""

VERDICTS = ("reliable", "unreliable", "too few repeated", "one rating throughout")
"""Only the second is left out. Somebody who gives one rating to everything repeats themselves
perfectly and has no kappa; their ratings are all tied, so that they make no comparisons anyway."""


def reliability(
    dataset: Dataset,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    min_repeated: int = MIN_REPEATED,
) -> pl.DataFrame:
    """One row a person who rated: participant_id, n_repeated, kappa, kappa_quality, verdict.

    Kappa is of agreement in passes 0 and 1 with others' statements, over all the person's rounds,
    and null where there is none. One's own is no test of repeating oneself. The verdict
    (``VERDICTS``) hangs on it alone; quality's is there to be read.

    Raises:
        InputError: the threshold is not from -1 to 1, or ``min_repeated`` is below 2.
    """
    if not -1 <= threshold <= 1:
        raise InputError(f"threshold is {threshold}, expected a kappa from -1 to 1")
    if min_repeated < 2:
        raise InputError(f"min_repeated is {min_repeated}, expected at least 2")
    key = ["round_id", "participant_id", "candidate_id"]
    columns = [*key, "agreement", "quality"]
    own = dataset.candidates.drop_nulls("author_id").select(
        "round_id", "candidate_id", participant_id="author_id"
    )
    ratings = dataset.ratings.join(own, on=key, how="anti")
    first, second = (
        ratings.filter(pl.col("pass_index") == index).select(columns) for index in (0, 1)
    )
    twice = first.join(second, on=key, suffix="_again")
    measured = _kappas(twice)
    few = pl.col("n_repeated") < min_repeated
    return (
        dataset.ratings.select(pl.col("participant_id").unique(maintain_order=True))
        .join(measured, on="participant_id", how="left", maintain_order="left")
        .with_columns(
            pl.col("n_repeated").fill_null(0), pl.col("kappa", "kappa_quality").fill_nan(None)
        )
        .with_columns(
            verdict=pl.when(few)
            .then(pl.lit(VERDICTS[2]))
            .when(pl.col("kappa").is_null())
            .then(pl.lit(VERDICTS[3]))
            .when(pl.col("kappa") < threshold)
            .then(pl.lit(VERDICTS[1]))
            .otherwise(pl.lit(VERDICTS[0]))
        )
    )


def drop_unreliable(
    dataset: Dataset,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    min_repeated: int = MIN_REPEATED,
) -> Dataset:
    """The dataset without the ratings of people whose kappa is below the threshold.

    Their opinions stay: policies saw them, and others' rounds hang on them. How many people were
    kept and why is in the new step (paper 3.2 leaves the number open: docs/decisions/012).

    Raises:
        InputError: as ``reliability``; or nobody would be left.
    """
    done = without_unreliable(dataset, threshold=threshold, min_repeated=min_repeated)
    if done.ratings.is_empty() and not dataset.ratings.is_empty():
        n_people = dataset.ratings["participant_id"].n_unique()
        raise InputError(
            f"{dataset.about.name}: the kappa of all {n_people} people is below {threshold}; "
            "expected a lower threshold"
        )
    return done


def without_unreliable(
    dataset: Dataset,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    min_repeated: int = MIN_REPEATED,
) -> Dataset:
    """What ``drop_unreliable`` leaves, even where that is nobody: for the datasheet."""
    people = reliability(dataset, threshold=threshold, min_repeated=min_repeated)
    out = people.filter(pl.col("verdict") == "unreliable")["participant_id"]
    kept = dataset.ratings.filter(~pl.col("participant_id").is_in(out.implode()))
    positions = dataset.position_ratings.filter(~pl.col("participant_id").is_in(out.implode()))
    verdicts = dict(people["verdict"].value_counts().iter_rows())
    step = Step(
        what="left out people whose ratings do not repeat themselves",
        options={"threshold": threshold, "min_repeated": min_repeated},
        counts={f"people: {verdict}": verdicts.get(verdict, 0) for verdict in VERDICTS}
        | {
            "ratings dropped: of unreliable people": dataset.ratings.height - kept.height,
            "ratings": kept.height,
        },
    )
    return replace(dataset, ratings=kept, position_ratings=positions).with_step(step)


def _kappas(twice: pl.DataFrame) -> pl.DataFrame:
    """participant_id, n_repeated, kappa, kappa_quality: one row a person who rated twice."""
    people, person = np.unique(twice["participant_id"].to_numpy(), return_inverse=True)
    (first, second), (quality, quality_again) = (
        [
            twice[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
            for name in (what, f"{what}_again")
        ]
        for what in ("agreement", "quality")
    )
    repeated = person[~np.isnan(first + second)]
    return pl.DataFrame(
        {
            "participant_id": pl.Series(people, dtype=pl.String),
            "n_repeated": np.bincount(repeated, minlength=len(people)),
            "kappa": quadratic_kappa(first, second, person)[: len(people)],
            "kappa_quality": quadratic_kappa(quality, quality_again, person)[: len(people)],
        }
    )
