"""Anybody's ratings: one long table, a row for each rating, as a dataset.

CSV in any dialect, a workbook, or Parquet. All that is wrong with it is told at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from commonweal.datasets.dataset import About, Dataset, Step, completed
from commonweal.datasets.ratings_cells import read_cells
from commonweal.datasets.ratings_columns import FIELDS, KNOWN, placed
from commonweal.datasets.schema import scale_named
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.reading.columns import why_not_counted
from commonweal.types import SPLITS

if TYPE_CHECKING:
    from commonweal.datasets.schema import People, Scale

_EXPECTED = (
    "one row for each rating with the columns person, group, question, statement, policy and "
    "agreement (`commonweal data template` writes an example)"
)
_MISSING = ("", "nan", "na", "n/a", "<na>", "null", "none", "-", ".")
_MOST_SHOWN = 40
_ROW = "_row"
_NUMBERS = ("agreement", "quality", "pass", "position")


def import_ratings(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    scale: str = "likert-7",
    people: People = "human",
    name: str | None = None,
    licence: str = "",
    attribution: str = "",
) -> Dataset:
    """The table as rounds: one for each group and question.

    Args:
        path: CSV, workbook or Parquet with the columns of ``ratings_columns.FIELDS``; others are
            left out.
        columns: field to the name of its column, where it has another: {"policy": "arm"}.
        scale: what people rated on.
        people: whose ratings they are.
        name: the dataset's; the file's by default.
        licence: under which the ratings may be used.
        attribution: what its licence asks to be said.

    Raises:
        InputError: the file cannot be read, a column is missing, or rows are wrong; the message
            lists all problems with their rows.
    """
    points = scale_named(scale)
    header, rows, done = read_cells(path, {*KNOWN, *(columns or {}).values()}, _EXPECTED)
    places = placed(header, dict(columns or {}), str(path))
    rest = {i: name for i, name in enumerate(header) if i not in places.values()}
    rows, n_marked = _without_marked(rows, rest, places)
    table = _frame(rows, places)
    table = _without_points(table)
    if table.is_empty() and n_marked:
        raise InputError(f"{path}: a column says of every row that it does not count")
    if table.is_empty():
        raise InputError(f"{path} has a header and no rows; expected {_EXPECTED}")
    problems = list(_row_problems(table, points))
    table, notes = _in_order(_with_numbers(table))
    if not problems:
        problems = list(_problems_of_wholes(table))
    if problems:
        raise InputError(_listed(path, problems))
    unused = len(header) - len(places)
    marked = {"rows left out because a column says that they do not count": n_marked}
    marked = marked if n_marked else {}
    counts = {"rows": table.height, **marked, **notes, "columns left out": unused}
    return _dataset(
        table,
        About(
            name=name or path.stem,
            people=people,
            scale=points,
            source=f"a table of ratings, {path.name}",
            licence=licence,
            attribution=attribution,
            steps=(
                Step(
                    what="imported from a table of ratings",
                    options={
                        "columns": dict(columns or {}),
                        "scale": scale,
                        **({"reading": "; ".join(done)} if done else {}),
                    },
                    counts=counts,
                ),
            ),
        ),
    )


# ------------------------------------------------------------------------------------- the cells


def _without_marked(
    rows: list[tuple[int, list[str]]], rest: Mapping[int, str], places: Mapping[str, int]
) -> tuple[list[tuple[int, list[str]]], int]:
    """The rows of which no other column says that they do not count; and how many are left out.

    Who is left out with all rows is not named by ``included`` any more: their opinion is gone.
    """
    kept: list[tuple[int, list[str]]] = []
    gone: list[tuple[int, list[str]]] = []
    for number, cells in rows:
        marks = {rest[i]: cells[i] for i in rest if i < len(cells)}
        (gone if why_not_counted(marks) else kept).append((number, cells))
    who, included = places["person"], places.get("included", -1)
    people = {cells[who].strip() for _, cells in kept if who < len(cells)}
    lost = {cells[who].strip() for _, cells in gone if who < len(cells)} - people
    for _, cells in kept if lost and included >= 0 else ():
        if included < len(cells):
            names = map(str.strip, cells[included].split(";"))
            cells[included] = "; ".join(name for name in names if name not in lost)
    return kept, len(gone)


def _frame(rows: list[tuple[int, list[str]]], places: Mapping[str, int]) -> pl.DataFrame:
    """The fields' columns as text, null where blank, and the row's number."""
    missing = pl.Series(_MISSING)
    return pl.DataFrame(
        {
            _ROW: pl.Series([number for number, _ in rows], dtype=pl.Int64),
            **{
                field: pl.Series(
                    [
                        cells[places[field]]
                        if field in places and places[field] < len(cells)
                        else None
                        for _, cells in rows
                    ],
                    dtype=pl.String,
                )
                for field in FIELDS
            },
        }
    ).with_columns(
        pl.when(pl.col(field).str.strip_chars().str.to_lowercase().is_in(missing.implode()))
        .then(None)
        .otherwise(pl.col(field).str.strip_chars())
        .alias(field)
        for field in FIELDS
    )


def _without_points(table: pl.DataFrame) -> pl.DataFrame:
    """Names that are whole numbers as such: a column with gaps turns 12 into 12.0."""
    for fields in (("person", "author"), ("group",), ("question",), ("statement",)):
        names = pl.concat([table[field] for field in fields]).drop_nulls()
        if names.len() and names.str.contains(r"^-?\d+(\.0+)?$").all():
            table = table.with_columns(pl.col(fields).str.replace(r"\.0+$", ""))
            if "person" in fields:
                table = table.with_columns(pl.col("included").str.replace_all(r"(\d)\.0+\b", "$1"))
    return table


def _number(field: str) -> pl.Expr:
    """The text as a number, 5 also as "5.0" and "5,0"; null where it is none."""
    return pl.col(field).str.replace(r"^(-?\d+),(\d+)$", "$1.$2").cast(pl.Float64, strict=False)


def _with_numbers(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(
        _number(field).round().cast(pl.Int64, strict=False).alias(field) for field in _NUMBERS
    )


# -------------------------------------------------------------------------------------- problems


def _row_problems(table: pl.DataFrame, scale: Scale) -> Iterator[str]:
    """What is wrong with single cells."""
    rates = pl.any_horizontal(pl.col("agreement", "quality").is_not_null())
    for field in ("person", "group", "question"):
        yield from _wrong(table, pl.col(field).is_null(), field, FIELDS[field].meaning)
    for field in ("statement", "policy"):
        yield from _wrong(
            table,
            rates & pl.col(field).is_null(),
            field,
            f"{FIELDS[field].meaning}, as it is rated",
        )
    whole = f"a whole number from {scale.low} to {scale.high} ({scale.name}), or blank"
    for field in ("agreement", "quality", "position"):
        number = _number(field)
        bad = pl.col(field).is_not_null() & ~(
            number.is_between(scale.low, scale.high) & (number == number.round())
        ).fill_null(value=False)
        yield from _wrong(table, bad, field, whole)
    number = _number("pass")
    bad = pl.col("pass").is_not_null() & ~(number == number.round()).fill_null(value=False)
    yield from _wrong(table, bad, "pass", "a whole number: 0 and 1, or 1 and 2")
    bad = pl.col("split").is_not_null() & ~pl.col("split").is_in(list(SPLITS))
    yield from _wrong(table, bad, "split", f"one of {', '.join(SPLITS)}, or blank")


def _wrong(table: pl.DataFrame, wrong: pl.Expr, field: str, expected: str) -> Iterator[str]:
    found = table.filter(wrong.fill_null(value=False))
    for row, value in found.select(_ROW, field).head(5).iter_rows():
        shown = "blank" if value is None else repr(value)
        yield f"row {row}: {field} is {shown}, expected {expected}"
    if found.height > 5:
        yield f"... and {found.height - 5:,} more rows whose {field} is none of what is expected"


def _problems_of_wholes(table: pl.DataFrame) -> Iterator[str]:
    """What different rows say of one thing, and rows that are there twice."""
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
            pl.col(field).first().alias("_first"), pl.col(_ROW).first().alias("_first_row")
        )
        found = known.join(first, on=key).filter(pl.col(field) != pl.col("_first"))
        for row in found.head(3).iter_rows(named=True):
            yield (
                f"row {row[_ROW]}: {field} is {row[field]!r}, and row {row['_first_row']} says "
                f"{row['_first']!r}; expected one {field} for a {of}"
            )
        if found.height > 3:
            yield f"... and {found.height - 3:,} more rows whose {field} differs within a {of}"
    key = ["group", "question", "person", "policy", "statement", "pass"]
    rated = table.drop_nulls("statement")
    again = rated.filter(~pl.struct(key).is_first_distinct())
    for row in again.head(3).iter_rows(named=True):
        yield (
            f"row {row[_ROW]}: {row['person']!r} has rated this statement of {row['policy']} in "
            f"this pass already; expected one row for a rating: number the passes in a column pass"
        )
    if again.height > 3:
        yield f"... and {again.height - 3:,} more ratings that are there already"
    wrote = table.drop_nulls("opinion").select("group", "question", person="person").unique()
    named = _included(table).join(wrote, on=["group", "question", "person"], how="anti")
    for row in named.unique("person", maintain_order=True).head(5).iter_rows(named=True):
        yield (
            f"row {row[_ROW]}: included names {row['person']!r}, who has no opinion in that round; "
            "expected people with a text in the column opinion, separated by semicolons"
        )


def _included(table: pl.DataFrame) -> pl.DataFrame:
    """One row a person whose opinion a statement's policy saw, in the order that is given."""
    return (
        table.drop_nulls(["included", "statement"])
        .unique(["group", "question", "policy", "statement"], keep="first", maintain_order=True)
        .with_columns(person=pl.col("included").str.replace_all(r"[|,\n]", ";").str.split(";"))
        .explode("person")
        .with_columns(pl.col("person").str.strip_chars())
        .filter(pl.col("person") != "")
    )


def _listed(path: Path, problems: list[str]) -> str:
    n = sum(not problem.startswith("...") for problem in problems)
    head = f"{path}: {n} problem{'s' if n != 1 else ''}; nothing was imported"
    more = problems[_MOST_SHOWN:]
    return "\n".join(
        (head, *(f"  {one}" for one in problems[:_MOST_SHOWN]), *(["  ..."] if more else []))
    )


# --------------------------------------------------------------------------------------- rounds


def _in_order(table: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Passes counted from 0, whatever they were numbered; and how many were."""
    given = sorted(table["pass"].drop_nulls().unique())
    counted = {number: n for n, number in enumerate(given)}
    moved = sum(1 for number, n in counted.items() if number != n)
    table = table.with_columns(
        pl.col("pass").replace_strict(counted, default=None, return_dtype=pl.Int64).fill_null(0)
    )
    note = f"passes counted from 0 (they were {', '.join(map(str, given))})"
    return table, {note: moved} if moved else {}


def _dataset(table: pl.DataFrame, about: About) -> Dataset:
    questions = _numbered(table, ["question"], "question_id", "q")
    table = table.join(questions, on="question", maintain_order="left").with_columns(
        round_id=pl.col("group") + "/" + pl.col("question_id"), participant_id="person"
    )
    rated = table.drop_nulls("statement")
    statements = rated.select("round_id", "policy", "statement").unique(maintain_order=True)
    statements = statements.with_columns(
        candidate_id=pl.lit("s") + pl.int_range(1, pl.len() + 1).over("round_id").cast(pl.String)
    )
    key = ["round_id", "policy", "statement"]
    rated = rated.join(statements, on=key, maintain_order="left")
    of_round = table.group_by("round_id", maintain_order=True).agg(
        pl.col("group", "question_id", "question").first(),
        pl.col("position_statement", "split").drop_nulls().first(),
    )
    seen = (
        _included(rated)
        .group_by(key, maintain_order=True)
        .agg(included_opinion_ids=pl.col("person"))
    )
    candidates = (
        rated.group_by(key, maintain_order=True)
        .agg(
            pl.col("candidate_id").first(),
            pl.col("text", "author").drop_nulls().first(),
        )
        .join(seen, on=key, how="left", maintain_order="left")
    )
    of_person = table.group_by("round_id", "participant_id", maintain_order=True).agg(
        pl.col("opinion", "position").drop_nulls().first()
    )
    return Dataset(
        about,
        rounds=completed("rounds", of_round.rename({"group": "group_id"})),
        opinions=completed(
            "opinions",
            of_person.drop_nulls("opinion").select(
                "round_id",
                "participant_id",
                opinion_id="participant_id",
                text="opinion",
                source=pl.lit("written"),
            ),
        ),
        candidates=completed(
            "candidates",
            candidates.select(
                "round_id",
                "candidate_id",
                "policy",
                "included_opinion_ids",
                text=pl.coalesce("text", "statement"),
                shown=pl.lit(value=True),
                author_id="author",
            ),
        ),
        ratings=completed(
            "ratings",
            rated.select(
                "round_id",
                "participant_id",
                "candidate_id",
                "agreement",
                "quality",
                pass_index=pl.col("pass"),
            ),
        ),
        position_ratings=completed(
            "position_ratings",
            of_person.drop_nulls("position").select(
                "round_id", "participant_id", agreement="position"
            ),
        ),
    )


def _numbered(table: pl.DataFrame, key: list[str], name: str, prefix: str) -> pl.DataFrame:
    found = table.select(key).unique(maintain_order=True)
    return found.with_columns(
        (pl.lit(prefix) + pl.int_range(1, pl.len() + 1).cast(pl.String)).alias(name)
    )
