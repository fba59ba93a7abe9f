"""Rounds as arrays: who rated which statement of which policy, in which round of which group.

Names are turned into whole numbers once, in their alphabetical order, so that nothing hangs on the
order of rows. A person's passes are averaged first; everything else starts from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from commonweal.datasets.arms import HUMAN
from commonweal.datasets.dataset import About, Dataset
from commonweal.datasets.words import n_words
from commonweal.errors import InputError
from commonweal.frames import pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

    BoolArray = NDArray[np.bool_]
    IntArray = NDArray[np.int64]

SAME = 1e-9
"""Means that differ by less are tied: they differ by rounding only."""


@dataclass(frozen=True, eq=False)
class Rated:
    """Shown statements and their ratings, sorted by round, statement and person.

    A *cell* is one person and one shown statement of somebody else. R rounds, S statements,
    C cells.

    Attributes:
        about: what the dataset is.
        group_names: n_groups.
        policies: names, sorted; ``human`` is one where people's own statements were rated.
        round_ids: R names.
        round_group: int [R].
        round_split: R names; empty where a round has none.
        position_agree: float [R], people above neutral on the position statement.
        position_disagree: float [R], people below it.
        position_raters: float [R], people who rated it.
        position_words: float [R], of the position statement; nan where there is none.
        statement_ids: S names, unique within their round.
        statement_round: int [S].
        statement_policy: int [S].
        words: float [S].
        person_ids: names of people, in the order of their numbers.
        cell_statement: int [C], rising.
        cell_person: int [C].
        agreement: float [C] on the dataset's scale, the mean over passes; nan where none answered.
        quality: likewise.
        rated_position: bool [C], whether the person rated the round's position statement.
        included: int8 [C]: 1 the policy saw the person's opinion, 0 it did not, -1 nobody knows.
        passes: statement, person, pass_index, agreement, quality: every rating, unaveraged.
        counts: what came in and what was left out.
    """

    about: About
    group_names: tuple[str, ...]
    policies: tuple[str, ...]
    round_ids: tuple[str, ...]
    round_group: IntArray
    round_split: NDArray[np.object_]
    position_agree: FloatArray
    position_disagree: FloatArray
    position_raters: FloatArray
    position_words: FloatArray
    statement_ids: tuple[str, ...]
    statement_round: IntArray
    statement_policy: IntArray
    words: FloatArray
    person_ids: tuple[str, ...]
    cell_statement: IntArray
    cell_person: IntArray
    agreement: FloatArray
    quality: FloatArray
    rated_position: BoolArray
    included: NDArray[np.int8]
    passes: pl.DataFrame
    counts: Mapping[str, int]

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        return len(self.group_names)

    @property
    def machine_policies(self) -> tuple[str, ...]:
        """The policies, without people."""
        return tuple(name for name in self.policies if name != HUMAN)

    @cached_property
    def statement_group(self) -> IntArray:
        """The group of each statement, int [S]."""
        return self.round_group[self.statement_round]

    @cached_property
    def is_human(self) -> BoolArray:
        """Whether a person wrote it, bool [S]."""
        return np.array([name == HUMAN for name in self.policies], dtype=bool)[
            self.statement_policy
        ]

    @cached_property
    def cell_round(self) -> IntArray:
        """The round of each cell, int [C]."""
        return self.statement_round[self.cell_statement]

    @cached_property
    def person_rounds(self) -> PersonRounds:
        """Each person in each round as one item."""
        return _person_rounds(self)

    @cached_property
    def group_agreement(self) -> Mapping[str, FloatArray]:
        """The group's agreement with each statement by statistic, float [S]: mean, min, median.

        Over the people who rated it; nan where nobody did.
        """
        return {
            name: over_people(self.agreement, self.cell_statement, len(self.words), name)
            for name in ("mean", "min", "median")
        }

    def over_policies(
        self, values: FloatArray, statements: IntArray | slice = slice(None)
    ) -> FloatArray:
        """The mean over a policy's statements in each round, float [R, n_policies]; nan without.

        ``values`` are of all statements, or of these alone.
        """
        shape = (len(self.round_ids), len(self.policies))
        item = self.statement_round[statements] * shape[1] + self.statement_policy[statements]
        return over_people(values, item, shape[0] * shape[1], "mean").reshape(shape)

    def by_round(self, statistic: str) -> FloatArray:
        """The group's mean, min or median agreement with a policy's statements in each round.

        Averaged over the policy's statements in the round, float [R, n_policies].
        """
        return self.over_policies(self.group_agreement[statistic])

    @cached_property
    def is_divisive(self) -> FloatArray:
        """Which rounds are divisive, float [R]; nan where fewer than two rated the position.

        1 where somebody agrees and somebody disagrees with the position statement, else 0.
        """
        smaller = np.minimum(self.position_agree, self.position_disagree)
        return np.where(self.position_raters < 2, np.nan, smaller > 0)


@dataclass(frozen=True, slots=True, eq=False)
class PersonRounds:
    """Q items: one person in one round.

    Attributes:
        cell: int [C], the item of each cell.
        round: int [Q].
        group: int [Q].
        mean: float [Q, n_policies], the person's mean rating of a policy's statements; nan without.
        best: likewise, the highest.
        words: likewise, the mean number of words of the statements that were rated.
        quality: likewise, the person's mean rating of their quality.
    """

    cell: IntArray
    round: IntArray
    group: IntArray
    mean: FloatArray
    best: FloatArray
    words: FloatArray
    quality: FloatArray


def rated(dataset: Dataset) -> Rated:
    """The dataset's shown statements and their ratings as arrays.

    Raises:
        InputError: nobody has rated a statement that was shown.
    """
    rounds = dataset.rounds.sort("round_id").with_row_index("round")
    groups = rounds["group_id"].unique().sort()
    candidates = (
        dataset.candidates.filter("shown")
        .join(rounds.select("round_id", "round"), on="round_id")
        .sort("round", "candidate_id")
        .with_row_index("statement")
    )
    policies = candidates["policy"].unique().sort()
    counts = {"ratings": dataset.ratings.height}
    passes = dataset.ratings.join(
        candidates.select("round_id", "candidate_id", "statement", "author_id"),
        on=["round_id", "candidate_id"],
    )
    counts["ratings left out: of statements that were not shown"] = (
        dataset.ratings.height - passes.height
    )
    own = passes["author_id"].eq_missing(passes["participant_id"])
    passes = passes.filter(~own)
    counts["ratings left out: of one's own statement"] = int(own.sum())
    answered = pl.any_horizontal(pl.col("agreement", "quality").is_not_null())
    counts["ratings without an answer"] = passes.select((~answered).sum()).item()
    people = pl.DataFrame({"participant_id": passes["participant_id"].unique().sort()})
    passes = passes.join(people.with_row_index("person"), on="participant_id").select(
        pl.col("statement", "person").cast(pl.Int64), "pass_index", "agreement", "quality"
    )
    cells = (
        passes.group_by("statement", "person")
        .agg(pl.col("agreement", "quality").mean())
        .sort("statement", "person")
    )
    if cells["agreement"].null_count() == cells.height:
        raise InputError(
            f"{dataset.about.name}: nobody has rated a statement that was shown, so there is "
            "nothing to evaluate; expected rows in ratings.parquet with an agreement"
        )
    sides = _positions(dataset, rounds)
    return Rated(
        about=dataset.about,
        group_names=tuple(groups),
        policies=tuple(policies),
        round_ids=tuple(rounds["round_id"]),
        round_group=groups.search_sorted(rounds["group_id"]).to_numpy().astype(np.int64),
        round_split=rounds["split"].fill_null("").to_numpy().astype(object),
        position_agree=sides["agree"].to_numpy(),
        position_disagree=sides["disagree"].to_numpy(),
        position_raters=sides["raters"].to_numpy(),
        position_words=_n_words(rounds["position_statement"]),
        statement_ids=tuple(candidates["candidate_id"]),
        statement_round=candidates["round"].cast(pl.Int64).to_numpy(),
        statement_policy=policies.search_sorted(candidates["policy"]).to_numpy().astype(np.int64),
        words=_n_words(candidates["text"]),
        person_ids=tuple(people["participant_id"]),
        cell_statement=cells["statement"].to_numpy(),
        cell_person=cells["person"].to_numpy(),
        agreement=cells["agreement"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
        quality=cells["quality"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
        rated_position=_rated_position(dataset, candidates, cells, people),
        included=_included(dataset, candidates, cells, people),
        passes=passes,
        counts=counts | {"people and statements": cells.height},
    )


def _n_words(texts: pl.Series) -> FloatArray:
    """How many words each has, float; nan where there is no text."""
    n = texts.cast(pl.String).map_elements(n_words, return_dtype=pl.Int64)
    return n.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _positions(dataset: Dataset, rounds: pl.DataFrame) -> pl.DataFrame:
    """For each round, in order: how many people agree, disagree, and rated the position."""
    neutral = dataset.about.scale.neutral
    rating = pl.col("agreement")
    sides = dataset.position_ratings.group_by("round_id").agg(
        agree=(rating > neutral).sum(), disagree=(rating < neutral).sum(), raters=rating.count()
    )
    return (
        rounds.select("round_id")
        .join(sides, on="round_id", how="left", maintain_order="left")
        .select(pl.col("agree", "disagree", "raters").fill_null(0).cast(pl.Float64))
    )


def _rated_position(
    dataset: Dataset, candidates: pl.DataFrame, cells: pl.DataFrame, people: pl.DataFrame
) -> BoolArray:
    """Whether each cell's person rated the position statement of the round, bool [C]."""
    who = (
        dataset.position_ratings.drop_nulls("agreement")
        .join(people.with_row_index("person"), on="participant_id")
        .select("round_id", pl.col("person").cast(pl.Int64), there=True)
    )
    rows = (
        cells.select("statement", "person")
        .join(
            candidates.select(pl.col("statement").cast(pl.Int64), "round_id"),
            on="statement",
            how="left",
            maintain_order="left",
        )
        .join(who, on=["round_id", "person"], how="left", maintain_order="left")
    )
    return rows["there"].fill_null(value=False).to_numpy()


def _included(
    dataset: Dataset, candidates: pl.DataFrame, cells: pl.DataFrame, people: pl.DataFrame
) -> NDArray[np.int8]:
    """1 the policy saw the person's opinion, 0 it did not, -1: nobody knows, or there is none."""
    known = candidates.filter(pl.col("included_opinion_ids").is_not_null())
    if known.is_empty():
        return np.full(cells.height, -1, dtype=np.int8)
    opinions = dataset.opinions.join(people.with_row_index("person"), on="participant_id").select(
        "round_id", "opinion_id", pl.col("person").cast(pl.Int64)
    )
    seen = (
        known.select("round_id", "statement", opinion_id="included_opinion_ids")
        .explode("opinion_id")
        .drop_nulls()
        .join(opinions, on=["round_id", "opinion_id"])
        .select(pl.col("statement").cast(pl.Int64), "person", seen=pl.lit(1, pl.Int8))
    )
    wrote = known.select("round_id", pl.col("statement").cast(pl.Int64)).join(
        opinions, on="round_id"
    )
    wrote = wrote.select("statement", "person", wrote=pl.lit(0, pl.Int8))
    key = ["statement", "person"]
    rows = (
        cells.select(key)
        .join(wrote, on=key, how="left", maintain_order="left")
        .join(seen, on=key, how="left", maintain_order="left")
    )
    return rows.select(pl.coalesce("seen", "wrote", pl.lit(-1, pl.Int8))).to_series().to_numpy()


# ------------------------------------------------------------------------------------ arithmetic


def over_people(values: FloatArray, item: IntArray, n_items: int, statistic: str) -> FloatArray:
    """The mean, min, max or median of the values of each item, float [n_items]; nan without any.

    Args:
        values: float [n], nan left out.
        item: int [n], which item each belongs to.
        n_items: how many there are.
        statistic: "mean", "min", "max" or "median".
    """
    known = ~np.isnan(values)
    values, item = values[known], item[known]
    count = np.bincount(item, minlength=n_items)
    result = np.full(n_items, np.nan)
    some = count > 0
    if statistic == "mean":
        result[some] = np.bincount(item, weights=values, minlength=n_items)[some] / count[some]
        return result
    ordered = values[np.lexsort((values, item))]
    first = np.cumsum(count) - count
    if statistic == "min":
        result[some] = ordered[first[some]]
    elif statistic == "max":
        result[some] = ordered[(first + count - 1)[some]]
    else:
        low, high = (first + (count - 1) // 2)[some], (first + count // 2)[some]
        result[some] = (ordered[low] + ordered[high]) / 2
    return result


def sign(difference: FloatArray) -> FloatArray:
    """1, -1, 0 where it is a tie, nan where there is nothing to compare."""
    return np.where(np.abs(difference) < SAME, 0.0, np.sign(difference))


def won(signs: FloatArray) -> FloatArray:
    """1 where the sign is 1, 0 where it is -1, nan for ties and where there is nothing."""
    return np.where(np.abs(signs) == 1, (signs == 1).astype(np.float64), np.nan)


def _person_rounds(rated: Rated) -> PersonRounds:
    n_people = int(rated.cell_person.max(initial=-1)) + 1
    items, cell = np.unique(rated.cell_round * n_people + rated.cell_person, return_inverse=True)
    n_policies = len(rated.policies)
    shape = (len(items), n_policies)
    item = cell * n_policies + rated.statement_policy[rated.cell_statement]
    words = np.where(np.isnan(rated.agreement), np.nan, rated.words[rated.cell_statement])

    def table(values: FloatArray, statistic: str) -> FloatArray:
        return over_people(values, item, shape[0] * shape[1], statistic).reshape(shape)

    in_round = items // n_people
    return PersonRounds(
        cell=cell.astype(np.int64),
        round=in_round,
        group=rated.round_group[in_round],
        mean=table(rated.agreement, "mean"),
        best=table(rated.agreement, "max"),
        words=table(words, "mean"),
        quality=table(rated.quality, "mean"),
    )
