"""What is wrong with a table of ratings, row by row and between rows: all of it is told at once."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from commonweal.datasets.importers.ratings_columns import FIELDS
from commonweal.frames import pl
from commonweal.types import SPLITS

if TYPE_CHECKING:
    from commonweal.datasets.schema import Scale

ROW = "_row"
_MOST_LISTED = 40
"""Problems of one table."""
_MOST_CHARACTERS = 80
"""Of a cell in a message."""
_LARGEST = 1e15
"""Of a pass, which may be a time; floats hold whole numbers up to about there."""


def number_in(field: str) -> pl.Expr:
    """The text as a number, 5 also as "5.0" and "5,0"; null where it is none."""
    return pl.col(field).str.replace(r"^(-?\d+),(\d+)$", "$1.$2").cast(pl.Float64, strict=False)


def is_whole(number: pl.Expr) -> pl.Expr:
    """Whether a number is whole; false where there is none."""
    return ((number == number.round()) & (number.abs() < _LARGEST)).fill_null(value=False)


def row_problems(table: pl.DataFrame, scale: Scale) -> Iterator[str]:
    """What is wrong with single cells."""
    rates = pl.any_horizontal(pl.col("agreement", "quality").is_not_null())
    names = pl.any_horizontal(pl.col("statement", "policy").is_not_null())
    for field in ("person", "group", "question"):
        yield from _wrong(table, pl.col(field).is_null(), field, FIELDS[field].meaning)
    for field in ("statement", "policy"):
        yield from _wrong(
            table,
            (rates | names) & pl.col(field).is_null(),
            field,
            f"{FIELDS[field].meaning}, as it is rated",
        )
    expected = f"a whole number from {scale.low} to {scale.high} ({scale.name}), or blank"
    for field in ("agreement", "quality", "position"):
        number = number_in(field)
        bad = pl.col(field).is_not_null() & ~(
            number.is_between(scale.low, scale.high) & is_whole(number)
        ).fill_null(value=False)
        yield from _wrong(table, bad, field, expected)
    bad = pl.col("pass").is_not_null() & ~is_whole(number_in("pass"))
    yield from _wrong(table, bad, "pass", "a whole number: 0 and 1, or 1 and 2")
    bad = pl.col("split").is_not_null() & ~pl.col("split").is_in(list(SPLITS))
    yield from _wrong(table, bad, "split", f"one of {', '.join(SPLITS)}, or blank")


def too_long(rows: list[tuple[int, list[str]]], width: int) -> Iterator[str]:
    """Rows with more cells than there are columns: a text was cut in two."""
    long = [(number, len(cells)) for number, cells in rows if len(cells) > width]
    for number, n in long[:5]:
        yield (
            f"row {number}: {n} cells, expected {width}; is there a separator in a text that is "
            "not quoted?"
        )
    if len(long) > 5:
        yield f"... and {len(long) - 5:,} more rows with too many cells"


def _spellings(table: pl.DataFrame) -> Iterator[str]:
    """Names that differ in case, blanks or invisible characters alone: one thing as two."""
    nowhere, group = pl.lit(""), pl.col("group")
    round_of = pl.concat_str([group, "question", "policy"], separator="\0")
    for fields, within in (
        (("policy",), nowhere),
        (("question",), nowhere),
        (("group",), nowhere),
        (("person", "author"), group),
        (("statement",), round_of),
    ):
        known = pl.concat(
            table.select(ROW, name=field, within=within, field=pl.lit(field)).drop_nulls()
            for field in fields
        ).unique(["name", "within"], keep="first", maintain_order=True)
        form = pl.col("name").map_elements(_form, return_dtype=pl.String)
        known = known.with_columns(form=form).sort(ROW, maintain_order=True)
        first = known.group_by("form", "within", maintain_order=True).first()
        again = known.join(first, on=["form", "within"], maintain_order="left").filter(
            pl.col("name") != pl.col("name_right")
        )
        for row in again.head(3).iter_rows(named=True):
            one, other = row["name"], row["name_right"]
            if unicodedata.normalize("NFKC", one) == unicodedata.normalize("NFKC", other):
                one, other = ascii(one), ascii(other)  # they look alike
            else:
                one, other = _shown(one), _shown(other)
            yield (
                f"row {row[ROW]}: {row['field']} is {one}, and row {row[ROW + '_right']} says "
                f"{other}; expected one spelling of a name"
            )
        if again.height > 3:
            yield f"... and {again.height - 3:,} more spellings of {' or '.join(fields)}"


def _shown(value: object) -> str:
    """A cell's value for a message, not the whole of a long text."""
    if value is None:
        return "blank"
    text = repr(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


def _form(name: str) -> str:
    """A name without case, runs of blanks, and characters that nobody sees."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join("".join(c for c in folded if unicodedata.category(c) != "Cf").split())


def _wrong(table: pl.DataFrame, wrong: pl.Expr, field: str, expected: str) -> Iterator[str]:
    refused = table.filter(wrong.fill_null(value=False))
    for row, value in refused.select(ROW, field).head(5).iter_rows():
        yield f"row {row}: {field} is {_shown(value)}, expected {expected}"
    if refused.height > 5:
        yield f"... and {refused.height - 5:,} more rows whose {field} is none of what is expected"


def problems_of_wholes(table: pl.DataFrame) -> Iterator[str]:
    """What different rows say of one thing, and rows that are there twice."""
    yield from _spellings(table)
    for field, of, key in (
        ("opinion", "person and round", ["group", "question", "person"]),
        ("position", "person and round", ["group", "question", "person"]),
        ("position_statement", "round", ["group", "question"]),
        ("split", "question", ["question"]),
        ("text", "statement", ["group", "question", "policy", "statement"]),
        ("author", "statement", ["group", "question", "policy", "statement"]),
        ("included", "statement", ["group", "question", "policy", "statement"]),
    ):
        known = table.drop_nulls([field, *key])
        first = known.group_by(key, maintain_order=True).agg(
            pl.col(field).first().alias("_first"), pl.col(ROW).first().alias("_first_row")
        )
        differing = known.join(first, on=key).filter(pl.col(field) != pl.col("_first"))
        for row in differing.head(3).iter_rows(named=True):
            yield (
                f"row {row[ROW]}: {field} is {_shown(row[field])}, and row {row['_first_row']} "
                f"says {_shown(row['_first'])}; expected one {field} for a {of}"
            )
        if differing.height > 3:
            yield f"... and {differing.height - 3:,} more rows whose {field} differs within a {of}"
    key = ["group", "question", "person", "policy", "statement", "pass"]
    rated = table.drop_nulls("statement")
    again = rated.filter(~pl.struct(key).is_first_distinct())
    for row in again.head(3).iter_rows(named=True):
        yield (
            f"row {row[ROW]}: {_shown(row['person'])} has rated this statement of "
            f"{row['policy']} in this pass already; expected one row for a rating: number the "
            "passes in a column pass"
        )
    if again.height > 3:
        yield f"... and {again.height - 3:,} more ratings that are there already"
    wrote = table.drop_nulls("opinion").select("group", "question", person="person").unique()
    named = included_people(table).join(wrote, on=["group", "question", "person"], how="anti")
    for row in named.unique("person", maintain_order=True).head(5).iter_rows(named=True):
        yield (
            f"row {row[ROW]}: included names {_shown(row['person'])}, who has no opinion in that "
            "round; expected people with a text in the column opinion, separated by semicolons"
        )


def included_people(table: pl.DataFrame) -> pl.DataFrame:
    """One row a person whose opinion a statement's policy saw, in the order that is given."""
    people = frozenset(table["person"].drop_nulls())
    names = pl.col("included").map_elements(
        lambda cell: names_in(cell, people), return_dtype=pl.List(pl.String)
    )
    return (
        table.drop_nulls(["included", "statement"])
        .unique(["group", "question", "policy", "statement"], keep="first", maintain_order=True)
        .with_columns(person=names)
        .explode("person")
        .drop_nulls("person")
    )


def names_in(cell: str, people: Collection[str]) -> list[str]:
    """The people whom a cell of ``included`` names.

    Names may hold commas: where there is a semicolon, it alone stands between them.

    Args:
        cell: one name, or several with semicolons, or else pipes, commas or line ends.
        people: who is known. A cell that is one of their names as a whole is not cut.

    Example:
        >>> names_in("Smith, Ana; Roe, Ben", ()), names_in("ana, ben", ("ana", "ben"))
        (['Smith, Ana', 'Roe, Ben'], ['ana', 'ben'])
    """
    if cell.strip() in people:
        return [cell.strip()]
    parts = cell.split(";") if ";" in cell else re.split(r"[|,\n]", cell)
    return [name for part in parts if (name := part.strip())]


def listed(path: Path, problems: list[str]) -> str:
    """The problems as one message, the first of very many."""
    n = sum(not problem.startswith("...") for problem in problems)
    head = f"{path}: {n} problem{'s' if n != 1 else ''}; nothing was imported"
    more = problems[_MOST_LISTED:]
    return "\n".join(
        (head, *(f"  {one}" for one in problems[:_MOST_LISTED]), *(["  ..."] if more else []))
    )
