"""What simulated people hold without noise, kept beside their ratings in an export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from commonweal.datasets.dataset import Dataset
from commonweal.datasets.schema import Column
from commonweal.frames import pl

TRUTH = Column(
    "x_true_agreement",
    "number",
    "of a simulated, latent person: the agreement before noise and rounding, 1 to 7",
)
"""A column of a simulation's ratings."""


def with_truths(dataset: Dataset, truths: Mapping[tuple[str, str, str], float]) -> Dataset:
    """The dataset with each rating's truth beside it; null where it is not known.

    Args:
        dataset: a simulation's export.
        truths: by (round, participant, candidate).
    """
    key = ["round_id", "participant_id", "candidate_id"]
    known = pl.DataFrame(
        [(*names, truth) for names, truth in truths.items()],
        schema=dict.fromkeys(key, pl.String) | {TRUTH.name: pl.Float64},
        orient="row",
    )
    ratings = dataset.ratings.join(known, on=key, how="left", maintain_order="left")
    return replace(dataset, ratings=ratings)
