"""How well people's ratings repeat themselves, and leaving out those whose ratings do not.

A person who rates a statement twice should say about the same. The measure is Cohen's kappa with
quadratic weights between the first and the second pass: 1 where both are the same, 0 where the
second is no nearer to the first than chance, 1 - sum of squared differences / the sum expected were
the two passes unrelated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from commonweal.datasets.dataset import Dataset, Step
from commonweal.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

DEFAULT_THRESHOLD = 0.2
"""Below it people are left out. Our choice (docs/decisions/012); the paper names no number."""

MIN_REPEATED = 4
"""Statements that a person must have rated twice before anything is said about them."""

VERDICTS = ("reliable", "unreliable", "too few repeated", "one rating throughout")
"""Only the second is left out. Somebody who gives one rating to everything repeats themselves
perfectly and has no kappa; their ratings are all tied, so that they make no comparisons anyway."""


def quadratic_kappa(first: ArrayLike, second: ArrayLike) -> float:
    """Cohen's kappa with quadratic weights between two ratings of the same things.

    Args:
        first: [n_rated], on any interval scale.
        second: [n_rated], of the same things in the same order.

    Returns:
        At most 1; nan where all ratings of both are one and the same.

    Raises:
        InputError: the two differ in shape, or are empty.
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1 or not len(x):
        raise InputError(
            f"ratings of the shapes {x.shape} and {y.shape}, expected two of the same length, "
            "one or more"
        )
    by_chance = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    return float(1 - ((x - y) ** 2).mean() / by_chance) if by_chance else float("nan")


def reliability(
    dataset: Dataset,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    min_repeated: int = MIN_REPEATED,
) -> pl.DataFrame:
    """One row a person who rated: participant_id, n_repeated, kappa, kappa_quality, verdict.

    Kappa is of agreement in passes 0 and 1, over all the person's rounds, and null where there is
    none. The verdict (``VERDICTS``) hangs on it alone; quality's is there to be read.

    Raises:
        InputError: the threshold is not from -1 to 1, or ``min_repeated`` is below 2.
    """
    if not -1 <= threshold <= 1:
        raise InputError(f"threshold is {threshold}, expected a kappa from -1 to 1")
    if min_repeated < 2:
        raise InputError(f"min_repeated is {min_repeated}, expected at least 2")
    key = ["round_id", "participant_id", "candidate_id"]
    columns = [*key, "agreement", "quality"]
    first, second = (
        dataset.ratings.filter(pl.col("pass_index") == index).select(columns) for index in (0, 1)
    )
    twice = first.join(second, on=key, suffix="_again")
    measured = twice.group_by("participant_id").agg(
        n_repeated=_both("agreement").sum(),
        kappa=_kappa("agreement"),
        kappa_quality=_kappa("quality"),
    )
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
    kept and why is in the new step (DESIGN decision 4; paper 3.2 leaves the number open).

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
    found = reliability(dataset, threshold=threshold, min_repeated=min_repeated)
    out = found.filter(pl.col("verdict") == "unreliable")["participant_id"]
    kept = dataset.ratings.filter(~pl.col("participant_id").is_in(out.implode()))
    positions = dataset.position_ratings.filter(~pl.col("participant_id").is_in(out.implode()))
    verdicts = dict(found["verdict"].value_counts().iter_rows())
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


def _both(what: str) -> pl.Expr:
    return pl.col(what).is_not_null() & pl.col(f"{what}_again").is_not_null()


def _kappa(what: str) -> pl.Expr:
    """``quadratic_kappa`` of a group; 0 / 0 is nan."""
    x, y = (pl.col(name).filter(_both(what)).cast(pl.Float64) for name in (what, f"{what}_again"))
    by_chance = x.var(ddof=0) + y.var(ddof=0) + (x.mean() - y.mean()) ** 2
    return 1 - ((x - y) ** 2).mean() / by_chance
