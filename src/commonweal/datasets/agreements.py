"""One agreement a person and statement, from ratings: what comparisons and matrices are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.datasets.dataset import Dataset
from commonweal.errors import InputError
from commonweal.frames import pl

if TYPE_CHECKING:
    from commonweal.types import FloatArray

_ONE = ["round_id", "participant_id", "candidate_id"]


@dataclass(frozen=True, slots=True, eq=False)
class Agreements:
    """What people think of others' statements.

    Attributes:
        rows: round_id, participant_id, candidate_id, agreement: float64 on the dataset's scale, the
            mean over the passes in which there was an answer.
        counts: ratings that came in, and what was left out, by reason.
    """

    rows: pl.DataFrame
    counts: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class RoundMatrix:
    """One round as an array.

    Attributes:
        participant_ids: n_people: first those with an opinion, in its order, then the others.
        opinions: n_people texts; None for a person without an opinion.
        candidate_ids: n_candidates, in the dataset's order.
        statements: n_candidates texts.
        agreement: float64 [n_people, n_candidates] on the dataset's scale, higher is more
            agreement, the mean over passes; nan where there is none.
    """

    round_id: str
    question: str
    participant_ids: tuple[str, ...]
    opinions: tuple[str | None, ...]
    candidate_ids: tuple[str, ...]
    statements: tuple[str, ...]
    agreement: FloatArray


def agreements(dataset: Dataset, *, with_opinion: bool = True) -> Agreements:
    """One agreement a person and statement, with what was left out counted.

    Ratings of a person's own statement are left out, and of people without an opinion in that round
    unless ``with_opinion`` is False.
    """
    counts = {"ratings": dataset.ratings.height}
    rows = dataset.ratings.select(*_ONE, "agreement").drop_nulls("agreement")
    counts["ratings dropped: no answer on agreement"] = dataset.ratings.height - rows.height
    before = rows.height
    if dataset.ratings.select((pl.col("pass_index") > 0).any()).item():
        rows = rows.group_by(_ONE, maintain_order=True).agg(pl.col("agreement").mean())
    counts["ratings joined with the same person's other pass"] = before - rows.height

    authors = dataset.candidates.select("round_id", "candidate_id", "author_id")
    if authors["author_id"].null_count() < authors.height:
        before = rows.height
        rows = (
            rows.join(authors, on=["round_id", "candidate_id"], how="left", maintain_order="left")
            .filter(pl.col("author_id").ne_missing(pl.col("participant_id")))
            .drop("author_id")
        )
        counts["dropped: of one's own statement"] = before - rows.height
    if with_opinion:
        before = rows.height
        rows = rows.join(
            dataset.opinions.select("round_id", "participant_id"),
            on=["round_id", "participant_id"],
            how="semi",
            maintain_order="left",
        )
        counts["dropped: of people without an opinion"] = before - rows.height
    counts["agreements"] = rows.height
    return Agreements(rows.with_columns(pl.col("agreement").cast(pl.Float64)), counts)


def matrices(dataset: Dataset, *, with_opinion: bool = True) -> Iterator[RoundMatrix]:
    """Each round as an array, in the dataset's order; see ``agreements`` for what is left out.

    Columns are the statements that were shown, and rows the people with an opinion, with ratings or
    not; where ``with_opinion`` is False, after them all others who rated.
    """
    parts = {
        name: table.partition_by("round_id", as_dict=True, maintain_order=True)
        for name, table in (
            ("opinions", dataset.opinions),
            ("candidates", dataset.candidates.filter("shown")),
            ("agreements", agreements(dataset, with_opinion=with_opinion).rows),
        )
    }
    nothing = {
        "opinions": dataset.opinions.clear(),
        "candidates": dataset.candidates.clear(),
        "agreements": pl.DataFrame(
            schema=dict.fromkeys(_ONE, pl.String) | {"agreement": pl.Float64}
        ),
    }
    for round_id, question in dataset.rounds.select("round_id", "question").iter_rows():
        of_round = {name: part.get((round_id,), nothing[name]) for name, part in parts.items()}
        opinions, candidates, rated = (
            of_round[name] for name in ("opinions", "candidates", "agreements")
        )
        people = pl.concat([opinions["participant_id"], rated["participant_id"]]).unique(
            maintain_order=True
        )
        texts = people.to_frame().join(
            opinions.select("participant_id", "text"),
            on="participant_id",
            how="left",
            maintain_order="left",
        )["text"]
        placed = rated.join(people.to_frame().with_row_index("row"), on="participant_id").join(
            candidates.select("candidate_id").with_row_index("column"), on="candidate_id"
        )
        agreement = np.full((len(people), candidates.height), np.nan)
        agreement[placed["row"].to_numpy(), placed["column"].to_numpy()] = placed["agreement"]
        yield RoundMatrix(
            round_id,
            question,
            tuple(people),
            tuple(texts),
            tuple(candidates["candidate_id"]),
            tuple(candidates["text"]),
            agreement,
        )


def matrix(dataset: Dataset, round_id: str, *, with_opinion: bool = True) -> RoundMatrix:
    """This round as an array; see ``matrices``.

    Raises:
        InputError: there is no such round.
    """
    if round_id not in dataset.rounds["round_id"]:
        there = dataset.rounds["round_id"].head(5).to_list()
        raise InputError(
            f"{dataset.about.name} has no round {round_id!r}; expected one of "
            f"{dataset.rounds.height}, for example {', '.join(there)}"
        )
    return next(matrices(dataset.of_rounds([round_id]), with_opinion=with_opinion))
