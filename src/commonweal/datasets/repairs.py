"""What would change figures in silence: repaired and said, or refused.

A dataset that was made in Python has not been through ``validation.check``, and some tables that
keep the format still mislead: passes numbered 1 and 2, a person's statement without its author.
"""

from __future__ import annotations

from dataclasses import replace

from commonweal.datasets.dataset import Dataset
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.types import RATING_MAX, RATING_MIN

_HUMAN = "human"


def repaired(dataset: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """The dataset as it was meant, and what was done to it, in plain sentences.

    Raises:
        InputError: a rating is no whole number or off the scale, or a predicted rating is not from
            1 to 7.
    """
    _refuse_ratings(dataset)
    notes: list[str] = []
    dataset = _passes_from_0(dataset, notes)
    dataset = _authors(dataset, notes)
    return dataset, tuple(notes)


def _refuse_ratings(dataset: Dataset) -> None:
    scale = dataset.about.scale
    for name in ("ratings", "position_ratings"):
        table = getattr(dataset, name)
        for column in ("agreement", "quality"):
            if column not in table.columns:
                continue
            value = pl.col(column).cast(pl.Float64)
            wrong = table.filter(
                (value != value.round()) | ~value.is_between(scale.low, scale.high)
            )
            if wrong.height:
                raise InputError(
                    f"{dataset.about.name}, {name}: {column} is {wrong[0, column]} "
                    f"({wrong.height} rows), expected {scale}, or null if missing"
                )
    value = pl.col("expected_rating")
    wrong = dataset.predictions.filter(~value.is_between(RATING_MIN, RATING_MAX))
    if wrong.height:
        raise InputError(
            f"{dataset.about.name}, predictions: expected_rating is "
            f"{wrong[0, 'expected_rating']} ({wrong.height} rows), expected a number from "
            f"{RATING_MIN} to {RATING_MAX}: the raw score belongs in the column reward"
        )


def _passes_from_0(dataset: Dataset, notes: list[str]) -> Dataset:
    given = sorted(dataset.ratings["pass_index"].unique())
    if given == list(range(len(given))):
        return dataset
    notes.append(
        f"Passes were numbered {', '.join(map(str, given))}, and are counted from 0: kappa "
        "compares the first two."
    )
    counted = {number: n for n, number in enumerate(given)}
    number = pl.col("pass_index").replace_strict(counted, return_dtype=pl.Int64)
    return replace(dataset, ratings=dataset.ratings.with_columns(pass_index=number))


def _authors(dataset: Dataset, notes: list[str]) -> Dataset:
    """Who wrote a person's statement is found by its text, or else nobody compares with it."""
    nameless = (pl.col("policy") == _HUMAN) & pl.col("author_id").is_null() & pl.col("shown")
    if dataset.candidates.filter(nameless).is_empty():
        return dataset
    wrote = (
        dataset.opinions.group_by("round_id", "text")
        .agg(_author=pl.col("participant_id").first(), _n=pl.len())
        .filter(pl.col("_n") == 1)
        .drop("_n")
    )
    found = dataset.candidates.join(
        wrote, on=["round_id", "text"], how="left", maintain_order="left"
    ).with_columns(
        author_id=pl.when(nameless).then(pl.col("_author")).otherwise(pl.col("author_id"))
    )
    n_left = found.filter(nameless).height
    n_found = dataset.candidates.filter(nameless).height - n_left
    if n_found:
        notes.append(
            f"{n_found:,} statements by people name no author, who was found by the text of their "
            "opinion: ratings of one's own statement are left out."
        )
    by_policies = found.filter(pl.col("policy") != _HUMAN, pl.col("shown")).height > 0
    if n_left and by_policies:
        notes.append(
            f"{n_left:,} statements by people whose author nobody knows are left out: their "
            "writers may be among their raters."
        )
        found = found.with_columns(shown=pl.col("shown") & ~nameless)
    return replace(dataset, candidates=found.drop("_author"))
