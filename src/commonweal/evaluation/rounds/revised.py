"""Rounds that revise: apart from those in which statements were written, and rated side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from commonweal.errors import InputError
from commonweal.frames import pl

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset

OUTCOMES = ("agreement", "quality")


def apart(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """The rounds in which statements were written first, and those that revise one.

    A revision's statements answer another task, and its group has answered the question before:
    nothing else is computed with them.

    Raises:
        InputError: all rounds are revisions.
    """
    first = dataset.first_rounds()
    is_revision = dataset.rounds["revises_round_id"].is_not_null()
    revised = dataset.of_rounds(dataset.rounds.filter(is_revision)["round_id"].to_list())
    if first.rounds.is_empty() and is_revision.any():
        raise InputError(
            f"{dataset.about.name}: every round revises the statement of another; expected the "
            "rounds with those statements, too"
        )
    return first, revised


def without(revised: Dataset, before: Dataset, after: Dataset) -> Dataset:
    """The revisions without the ratings of people who are in ``before`` and not in ``after``."""
    people = [set(each.ratings["participant_id"]) for each in (before, after)]
    gone = pl.Series(sorted(people[0] - people[1]), dtype=pl.String)
    left = revised.ratings.filter(~pl.col("participant_id").is_in(gone.implode()))
    return replace(revised, ratings=left)


def side_by_side(revised: Dataset) -> pl.DataFrame:
    """One row for each person who rated both texts of a revision.

    Returns:
        group_id, round_id, participant_id, is_critic, and the revision's rating less that of the
        statement before: agreement, quality. Each person's passes are averaged first.
    """
    shown = revised.candidates.filter("shown").sort(
        "round_id", pl.col("rank").fill_null(2**31), "candidate_id"
    )
    old = shown.filter(pl.col("same_as_candidate_id").is_not_null())
    new = shown.filter(pl.col("same_as_candidate_id").is_null())
    # Not the one that was rated best: that would choose by the noise that is measured.
    chosen = new.group_by("round_id", maintain_order=True).first()
    rated = revised.ratings.group_by("round_id", "candidate_id", "participant_id").agg(
        pl.col(OUTCOMES).mean()
    )
    both = [
        rated.join(which.select("round_id", "candidate_id"), on=["round_id", "candidate_id"])
        for which in (old, chosen)
    ]
    critics = revised.critiques.filter(pl.col("text").is_not_null()).select(
        "round_id", "participant_id", is_critic=True
    )
    return (
        both[0]
        .join(both[1], on=["round_id", "participant_id"], suffix="_new")
        .join(revised.rounds.select("round_id", "group_id"), on="round_id")
        .join(critics, on=["round_id", "participant_id"], how="left")
        .select(
            "group_id",
            "round_id",
            "participant_id",
            pl.col("is_critic").fill_null(value=False),
            *((pl.col(f"{each}_new") - pl.col(each)).alias(each) for each in OUTCOMES),
        )
        .sort("round_id", "participant_id")
    )
