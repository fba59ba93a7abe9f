"""What would change figures in silence: repaired and said, or refused.

A dataset that was made in Python has not been through ``validation.check``, and some tables that
keep the format still mislead: passes numbered 1 and 2, a person's statement without its author.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from commonweal.datasets.arms import HUMAN
from commonweal.datasets.dataset import Dataset, completed
from commonweal.datasets.schema import LIKERT_7, TABLES
from commonweal.datasets.validation import check
from commonweal.datasets.words import normal_form
from commonweal.frames import pl

_CELL = ["round_id", "participant_id", "candidate_id"]
_MOST_NAMED = 5
_ENOUGH_RATINGS = 20
_FIVE_POINTS = 5


def repaired(dataset: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """The dataset as it was meant, and what was done to it, in plain sentences.

    Raises:
        InputError: its rows break the format (``validation.check``): a rating is no whole number or
            off the scale, a rating or an opinion is there twice, a predicted rating is not from 1
            to 7.
    """
    dataset, notes = in_format(dataset)
    check(dataset, Path(dataset.about.name))
    more: list[str] = []
    dataset = _authors(dataset, more)
    return dataset, (*notes, *more, *_remarks(dataset))


def in_format(dataset: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """The dataset with all columns, passes counted from 0, and people's statements called so."""
    tables = {name: _whole(name, table) for name, table in dataset.tables().items()}
    if any(tables[name] is not table for name, table in dataset.tables().items()):
        dataset = Dataset(dataset.about, **tables)
    ratings, notes = passes_in_order(dataset.ratings, _CELL, "pass_index")
    if ratings is not dataset.ratings:
        dataset = replace(dataset, ratings=ratings)
    meant = (pl.col("policy") != HUMAN) & (
        pl.col("policy").str.strip_chars().str.to_lowercase() == HUMAN
    )
    other = dataset.candidates.filter(meant)
    if other.height:
        policy = pl.when(meant).then(pl.lit(HUMAN)).otherwise("policy")
        dataset = replace(dataset, candidates=dataset.candidates.with_columns(policy=policy))
        notes = (
            *notes,
            f"{_n(other.height)} by {other[0, 'policy']!r} taken as those of people, who are "
            f"called {HUMAN!r}.",
        )
    return dataset, notes


def _whole(name: str, table: pl.DataFrame) -> pl.DataFrame:
    """The table itself where it has all columns in their types, else completed."""
    wanted = TABLES[name].polars_schema()
    there = all(table.schema.get(column) == kind for column, kind in wanted.items())
    return table if there else completed(name, table)


def passes_in_order(
    ratings: pl.DataFrame, cell: Sequence[str], name: str
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The ratings with their passes counted from 0, and what was done, in plain sentences.

    Kappa compares passes 0 and 1 of the same person and statement. So numbers that begin elsewhere
    or leave one out are counted anew: over all ratings, and where some people's begin elsewhere,
    within their ratings of a statement.

    Args:
        ratings: a row a rating.
        cell: the columns that name one person and one statement.
        name: the column of passes, whole numbers; null is the first.
    """
    if ratings.is_empty():
        return ratings, ()
    notes = []
    number = pl.col(name)
    if ratings[name].null_count():
        notes.append(
            f"Ratings without the number of a pass: {ratings[name].null_count():,}. Each is taken "
            "as the first of that statement by that person."
        )
        low = ratings[name].min()
        low = 0 if low is None else low
        first = pl.when(pl.len().over(cell) > 1).then(pl.lit(low) - 1).otherwise(pl.lit(low))
        ratings = ratings.with_columns(pl.coalesce(number, first.cast(pl.Int64)).alias(name))
    given = sorted(ratings[name].unique())
    if given != list(range(len(given))):
        if not notes:
            named = ", ".join(map(str, given[:_MOST_NAMED]))
            more = f" ({len(given):,} numbers)" if len(given) > _MOST_NAMED else ""
            notes.append(
                f"Passes were numbered {named}{', ...' if more else ''}{more}, and are counted "
                "from 0: kappa compares the first two."
            )
        ratings = _dense(ratings, name)
    odd = (
        ratings.group_by(cell)
        .agg(_n=pl.len(), _distinct=number.n_unique(), _last=number.max())
        .filter(pl.col("_n") == pl.col("_distinct"), pl.col("_last") >= pl.col("_n"))
        .filter(pl.col("_n") > 1)
    )
    if odd.height:
        notes.append(
            "Some people's passes begin elsewhere: a person's ratings of a statement are counted "
            f"in their order ({odd.height:,} times), so that kappa compares the first two."
        )
        ratings = ratings.join(
            odd.select(*cell, _odd=True), on=list(cell), how="left", maintain_order="left"
        )
        rank = number.rank("dense").over(cell).cast(pl.Int64) - 1
        ratings = _dense(
            ratings.with_columns(pl.when("_odd").then(rank).otherwise(number).alias(name)), name
        ).drop("_odd")
    return ratings, tuple(notes)


def _dense(ratings: pl.DataFrame, name: str) -> pl.DataFrame:
    return ratings.with_columns((pl.col(name).rank("dense").cast(pl.Int64) - 1).alias(name))


def _authors(dataset: Dataset, notes: list[str]) -> Dataset:
    """Who wrote a person's statement is found by its text, or else nobody compares with it."""
    known = pl.concat([dataset.ratings["participant_id"], dataset.opinions["participant_id"]])
    human = (pl.col("policy") == HUMAN) & pl.col("shown")
    stranger = human & ~pl.col("author_id").is_in(known.unique().implode())
    nameless = human & pl.col("author_id").is_null()
    if dataset.candidates.filter(stranger | nameless).is_empty():
        return dataset
    wrote = (
        _with_words(dataset.opinions)
        .group_by("round_id", "_words")
        .agg(_author=pl.col("participant_id").first(), _n=pl.len())
        .filter(pl.col("_n") == 1)
        .drop("_n")
    )
    candidates = (
        _with_words(dataset.candidates)
        .join(wrote, on=["round_id", "_words"], how="left", maintain_order="left")
        .drop("_words")
        .with_columns(
            author_id=pl.when(stranger | nameless)
            .then(pl.coalesce("_author", "author_id"))
            .otherwise("author_id")
        )
    )
    n_left = candidates.filter(nameless).height
    strangers = candidates.filter(stranger)["author_id"]
    n_found = dataset.candidates.filter(stranger | nameless).height - n_left - len(strangers)
    if n_found:
        notes.append(
            f"{_n(n_found)} by people named no author who is known here; who wrote it was found by "
            "the text of the opinion: ratings of one's own statement are left out."
        )
    by_policies = candidates.filter(pl.col("policy") != HUMAN, pl.col("shown")).height > 0
    if len(strangers) and by_policies:
        notes.append(
            f"{_n(len(strangers))} by people named an author who neither rated nor wrote anything "
            f"here (the first: {strangers[0]!r}). If that is another name of somebody who did, "
            "ratings of their own statement count."
        )
    if n_left and by_policies:
        notes.append(
            f"Left out: {_n(n_left)} by people whose author nobody knows, who may be among the "
            "raters."
        )
        candidates = candidates.with_columns(shown=pl.col("shown") & ~nameless)
    return replace(dataset, candidates=candidates.drop("_author"))


def _with_words(table: pl.DataFrame) -> pl.DataFrame:
    """The table with the words of each text, without case, blanks and punctuation."""
    words = pl.col("text").map_elements(normal_form, return_dtype=pl.String)
    return table.with_columns(_words=words)


def _remarks(dataset: Dataset) -> list[str]:
    """What looks like another thing than it is said to be, and is left as it is."""
    remarks = []
    people = dataset.ratings["participant_id"].unique().implode()
    theirs = dataset.candidates.filter(pl.col("policy") != HUMAN, pl.col("author_id").is_in(people))
    if theirs.height:
        remarks.append(
            f"{_n(theirs.height)} by {theirs[0, 'policy']!r} named a rater as the author, and "
            f"counted as a policy's; what people wrote is called {HUMAN!r}."
        )
    given = dataset.ratings.select("agreement", "quality").max().row(0)
    highest = max((each for each in given if each is not None), default=0)
    n = dataset.ratings["agreement"].count()
    if dataset.about.scale == LIKERT_7 and n >= _ENOUGH_RATINGS and highest <= _FIVE_POINTS:
        remarks.append(
            f"No rating is above {highest}, on a scale to {LIKERT_7.high}. If people rated on "
            "five points, say so (--scale likert-5): it decides who counts as agreeing."
        )
    return remarks


def _n(n: int) -> str:
    return f"{n:,} statement{'s' if n != 1 else ''}"
