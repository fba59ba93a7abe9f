"""How good people found each statement, and how far they agreed with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonweal.frames import pl

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset


def mean_quality(dataset: Dataset) -> pl.DataFrame:
    """Each statement's quality: mean over raters of each rater's mean of both passes.

    Columns round_id, candidate_id, quality; statements that nobody rated for quality are absent.
    Source: paper 3.4 step 2.
    """
    return _mean_over_raters(dataset, "quality")


def mean_agreement(dataset: Dataset) -> pl.DataFrame:
    """Each statement's agreement: mean over raters of each rater's mean of both passes.

    Columns round_id, candidate_id, agreement; statements that nobody rated for it are absent.
    """
    return _mean_over_raters(dataset, "agreement")


def _mean_over_raters(dataset: Dataset, rating: str) -> pl.DataFrame:
    statement = ["round_id", "candidate_id"]
    return (
        dataset.ratings.drop_nulls(rating)
        .group_by([*statement, "participant_id"], maintain_order=True)
        .agg(pl.col(rating).mean())
        .group_by(statement, maintain_order=True)
        .agg(pl.col(rating).mean())
    )
