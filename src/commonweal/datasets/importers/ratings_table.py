"""Anybody's ratings: one long table, a row for each rating, as a dataset.

CSV in any dialect, a workbook, or Parquet. All that is wrong with it is told at once.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from commonweal.datasets.dataset import NOTES, About, Dataset, Step, completed
from commonweal.datasets.importers.ratings_cells import Cells, read_cells
from commonweal.datasets.importers.ratings_columns import FIELDS, KNOWN, placed
from commonweal.datasets.repairs import in_format
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
_MISSING = ("", "nan", "na", "n/a", "#n/a", "<na>", "null", "none", "-", ".")
_MOST_LISTED = 40
"""Problems of one table."""
_MOST_CHARACTERS = 80
"""Of a cell in a message."""
_ROW = "_row"
_NUMBERS = ("agreement", "quality", "pass", "position")
_LARGEST = 1e15
"""Of a pass, which may be a time; floats hold whole numbers up to about there."""


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
    header, rows, done = read_cells(path, {*KNOWN, *(columns or {}).values()}, _EXPECTED)
    about = About(
        name=name or path.stem,
        people=people,
        scale=scale_named(scale),
        source=f"a table of ratings, {path.name}",
        licence=licence,
        attribution=attribution,
    )
    step = Step(what="imported from a table of ratings")
    return rounds_of(path, (header, rows, done), about, step, columns=columns or {})


def rounds_of(
    path: Path, cells: Cells, about: About, step: Step, *, columns: Mapping[str, str]
) -> Dataset:
    """The rounds of a table that was read: one for each group and question.

    Args:
        path: where it was read, for messages.
        cells: header, rows with their numbers, and what was done to them.
        about: what the dataset is.
        step: what was done; its options and counts are added to.
        columns: field to the name of its column, where it has another.

    Raises:
        InputError: as ``import_ratings``.
    """
    header, rows, done = cells
    points = about.scale
    places = placed(header, dict(columns), str(path))
    rest = {i: name for i, name in enumerate(header) if i not in places.values()}
    rows, n_marked, mark = _without_marked(rows, rest, places)
    table = _frame(rows, places)
    table = _without_points(table)
    if table.is_empty() and n_marked:
        raise InputError(
            f"{path}: a column marks every row as not to be counted ({mark}); expected rows "
            "that do, or a table without that column"
        )
    if table.is_empty():
        raise InputError(f"{path} has a header and no rows; expected {_EXPECTED}")
    problems = list(_too_long(rows, len(header)))
    problems += _row_problems(table, points)
    table = _with_numbers(table).with_columns(
        pl.when(pl.col("split").is_in(list(SPLITS))).then("split").alias("split")
    )
    problems += _problems_of_wholes(table)
    if problems:
        raise InputError(_listed(path, problems))
    if table["pass"].null_count() == table.height:
        table = table.with_columns(pl.lit(0).alias("pass"))
    left_out = "rows left out because a column says that they do not count"
    marked = {left_out: n_marked} if n_marked else {}
    counts = {"rows": table.height, **marked, "columns left out": len(header) - len(places)}
    step = step.model_copy(
        update={
            "options": {**step.options, "columns": dict(columns), "scale": points.name},
            "counts": {**step.counts, **counts},
        }
    )
    dataset, notes = in_format(_dataset(table, about))
    done = (*done, *(f"{n:,} {what}" for what, n in marked.items()))
    if lines := [*(f"{each[:1].upper()}{each[1:]}." for each in done), *notes]:
        step = step.model_copy(update={"options": {**step.options, NOTES: lines}})
    return dataset.with_step(step)


# ------------------------------------------------------------------------------------- the cells


def _without_marked(
    rows: list[tuple[int, list[str]]], rest: Mapping[int, str], places: Mapping[str, int]
) -> tuple[list[tuple[int, list[str]]], int, str]:
    """The rows of which no other column says that they do not count; how many do, and one of these.

    Who is left out with all rows is not named by ``included`` any more: their opinion is gone.
    """
    kept: list[tuple[int, list[str]]] = []
    gone: list[tuple[int, list[str]]] = []
    mark = ""
    for number, cells in rows:
        marks = {rest[i]: cells[i] for i in rest if i < len(cells)}
        if why := why_not_counted(marks):
            mark = mark or f"row {number}: {why}"
        (gone if why else kept).append((number, cells))
    who, included = places["person"], places.get("included", -1)
    people = {cells[who].strip() for _, cells in kept if who < len(cells)}
    lost = {cells[who].strip() for _, cells in gone if who < len(cells)} - people
    for _, cells in kept if lost and included >= 0 else ():
        if included < len(cells):
            names = map(str.strip, cells[included].split(";"))
            cells[included] = "; ".join(name for name in names if name not in lost)
    return kept, len(gone), mark


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


def _is_whole(number: pl.Expr) -> pl.Expr:
    return ((number == number.round()) & (number.abs() < _LARGEST)).fill_null(value=False)


def _with_numbers(table: pl.DataFrame) -> pl.DataFrame:
    """The ratings and passes as whole numbers; null where they are none."""
    return table.with_columns(
        pl.when(_is_whole(_number(field)))
        .then(_number(field))
        .cast(pl.Int64, strict=False)
        .alias(field)
        for field in _NUMBERS
    )


# -------------------------------------------------------------------------------------- problems


def _row_problems(table: pl.DataFrame, scale: Scale) -> Iterator[str]:
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
        number = _number(field)
        bad = pl.col(field).is_not_null() & ~(
            number.is_between(scale.low, scale.high) & _is_whole(number)
        ).fill_null(value=False)
        yield from _wrong(table, bad, field, expected)
    bad = pl.col("pass").is_not_null() & ~_is_whole(_number("pass"))
    yield from _wrong(table, bad, "pass", "a whole number: 0 and 1, or 1 and 2")
    bad = pl.col("split").is_not_null() & ~pl.col("split").is_in(list(SPLITS))
    yield from _wrong(table, bad, "split", f"one of {', '.join(SPLITS)}, or blank")


def _too_long(rows: list[tuple[int, list[str]]], width: int) -> Iterator[str]:
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
            table.select(_ROW, name=field, within=within, field=pl.lit(field)).drop_nulls()
            for field in fields
        ).unique(["name", "within"], keep="first", maintain_order=True)
        form = pl.col("name").map_elements(_form, return_dtype=pl.String)
        known = known.with_columns(form=form).sort(_ROW, maintain_order=True)
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
                f"row {row[_ROW]}: {row['field']} is {one}, and row {row[_ROW + '_right']} says "
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
    for row, value in refused.select(_ROW, field).head(5).iter_rows():
        yield f"row {row}: {field} is {_shown(value)}, expected {expected}"
    if refused.height > 5:
        yield f"... and {refused.height - 5:,} more rows whose {field} is none of what is expected"


def _problems_of_wholes(table: pl.DataFrame) -> Iterator[str]:
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
            pl.col(field).first().alias("_first"), pl.col(_ROW).first().alias("_first_row")
        )
        differing = known.join(first, on=key).filter(pl.col(field) != pl.col("_first"))
        for row in differing.head(3).iter_rows(named=True):
            yield (
                f"row {row[_ROW]}: {field} is {_shown(row[field])}, and row {row['_first_row']} "
                f"says {_shown(row['_first'])}; expected one {field} for a {of}"
            )
        if differing.height > 3:
            yield f"... and {differing.height - 3:,} more rows whose {field} differs within a {of}"
    key = ["group", "question", "person", "policy", "statement", "pass"]
    rated = table.drop_nulls("statement")
    again = rated.filter(~pl.struct(key).is_first_distinct())
    for row in again.head(3).iter_rows(named=True):
        yield (
            f"row {row[_ROW]}: {_shown(row['person'])} has rated this statement of "
            f"{row['policy']} in this pass already; expected one row for a rating: number the "
            "passes in a column pass"
        )
    if again.height > 3:
        yield f"... and {again.height - 3:,} more ratings that are there already"
    wrote = table.drop_nulls("opinion").select("group", "question", person="person").unique()
    named = _included(table).join(wrote, on=["group", "question", "person"], how="anti")
    for row in named.unique("person", maintain_order=True).head(5).iter_rows(named=True):
        yield (
            f"row {row[_ROW]}: included names {_shown(row['person'])}, who has no opinion in that "
            "round; expected people with a text in the column opinion, separated by semicolons"
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
    more = problems[_MOST_LISTED:]
    return "\n".join(
        (head, *(f"  {one}" for one in problems[:_MOST_LISTED]), *(["  ..."] if more else []))
    )


# --------------------------------------------------------------------------------------- rounds


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
    keys = table.select(key).unique(maintain_order=True)
    return keys.with_columns(
        (pl.lit(prefix) + pl.int_range(1, pl.len() + 1).cast(pl.String)).alias(name)
    )
