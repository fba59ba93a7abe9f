"""What a reward model predicted of the candidates, and the welfare that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.datasets.arms import HUMAN
from commonweal.evaluation.rounds.rated import Rated
from commonweal.frames import pl
from commonweal.welfare import isoelastic

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.evaluation.rounds.rated import IntArray
    from commonweal.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """The candidates of policies with predictions of one reward model, sorted by round and id.

    K candidates, shown or not.

    Attributes:
        reward_model: its name.
        round: int [K], as in ``Rated``.
        policy: names [K].
        statement: int [K], its index in ``Rated``; -1 where it was not shown.
        utilities: expected ratings on the seven-point scale, sorted by candidate.
        candidate: int, which candidate each utility is of, rising.
    """

    reward_model: str
    round: IntArray
    policy: tuple[str, ...]
    statement: IntArray
    utilities: FloatArray
    candidate: IntArray

    def welfare(self, alpha: float) -> FloatArray:
        """The predicted welfare of each candidate under this inequality aversion, float [K]."""
        return welfare(self.utilities, self.candidate, len(self.round), alpha)


def reward_models(dataset: Dataset) -> list[str]:
    """The reward models that predicted anything, the one with the most predictions first."""
    counts = dataset.predictions.group_by("reward_model").len()
    return counts.sort(["len", "reward_model"], descending=[True, False])["reward_model"].to_list()


def predicted(dataset: Dataset, rated: Rated, reward_model: str) -> Predicted:
    """What this reward model expects people to rate the candidates of policies."""
    index = pl.DataFrame({"round_id": rated.round_ids}).with_row_index("round")
    candidates = (
        dataset.candidates.filter(pl.col("policy") != HUMAN)
        .join(index, on="round_id")
        .join(
            dataset.predictions.filter(
                (pl.col("reward_model") == reward_model) & pl.col("expected_rating").is_not_null()
            ).select("round_id", "candidate_id", "participant_id", "expected_rating"),
            on=["round_id", "candidate_id"],
        )
        .join(statement_index(rated), on=["round_id", "candidate_id"], how="left")
        .sort("round", "candidate_id", "participant_id")
    )
    key = candidates.select(pl.struct("round", "candidate_id").rle_id()).to_series().to_numpy()
    first = candidates.filter(pl.Series(np.diff(key, prepend=-1) > 0))
    return Predicted(
        reward_model=reward_model,
        round=first["round"].cast(pl.Int64).to_numpy(),
        policy=tuple(first["policy"]),
        statement=first["statement"].fill_null(-1).cast(pl.Int64).to_numpy(),
        utilities=candidates["expected_rating"].to_numpy(),
        candidate=key.astype(np.int64),
    )


def statement_index(rated: Rated) -> pl.DataFrame:
    """round_id, candidate_id and the statement's index: to join with tables of the dataset."""
    rounds = pl.Series(rated.round_ids, dtype=pl.String)
    return pl.DataFrame(
        {
            "round_id": rounds.gather(rated.statement_round),
            "candidate_id": pl.Series(rated.statement_ids, dtype=pl.String),
        }
    ).with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("statement"))


def welfare(utilities: FloatArray, item: IntArray, n_items: int, alpha: float) -> FloatArray:
    """The welfare of each item from its people's utilities, float [n_items]; nan without any.

    Args:
        utilities: above 0; nan left out.
        item: int, rising: the item that each utility is of.
        n_items: how many there are.
        alpha: inequality aversion.
    """
    known = ~np.isnan(utilities)
    utilities, item = utilities[known], item[known]
    count = np.bincount(item, minlength=n_items)
    first = np.cumsum(count) - count
    result = np.full(n_items, np.nan)
    for size in np.unique(count[count > 0]):  # items with as many people form one array
        items = np.flatnonzero(count == size)
        profile = utilities[first[items][:, None] + np.arange(size)]
        result[items] = isoelastic(profile[:, :, None], alpha)[:, 0]
    return result
