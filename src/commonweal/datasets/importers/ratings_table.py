"""Anybody's ratings: one long table, a row for each rating, as a dataset.

CSV in any dialect, a workbook, or Parquet. All that is wrong with it is told at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from commonweal.datasets.dataset import NOTES, About, Dataset, Step, completed
from commonweal.datasets.importers.ratings_cells import Cells, read_cells
from commonweal.datasets.importers.ratings_columns import FIELDS, KNOWN, placed
from commonweal.datasets.importers.ratings_problems import (
    ROW,
    included_people,
    is_whole,
    listed,
    names_in,
    number_in,
    problems_of_wholes,
    row_problems,
    too_long,
)
from commonweal.datasets.repairs import in_format
from commonweal.datasets.schema import scale_named
from commonweal.datasets.words import question_id
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.reading.columns import why_not_counted
from commonweal.types import SPLITS

if TYPE_CHECKING:
    from commonweal.datasets.schema import People

_EXPECTED = (
    "one row for each rating with the columns person, group, question, statement, policy and "
    "agreement (`commonweal data template` writes an example)"
)
_BLANK = ("", "nan", "na", "n/a", "#n/a", "<na>", "null")
_MISSING = (*_BLANK, "none", "-", ".")
"""What else stands for a missing rating or text."""
_NAMES = ("person", "group", "question", "policy")
"""Here "none" is a name: a control arm is called so."""
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
        name: the dataset's; the file's by default. Where it is given, it stands before the groups'
            names: what another table calls group 1 is another group.
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
    return rounds_of(
        path, (header, rows, done), about, step, columns=columns or {}, own_groups=name is not None
    )


def rounds_of(
    path: Path,
    cells: Cells,
    about: About,
    step: Step,
    *,
    columns: Mapping[str, str],
    own_groups: bool,
) -> Dataset:
    """The rounds of a table that was read: one for each group and question.

    Args:
        path: where it was read, for messages.
        cells: header, rows with their numbers, and what was done to them.
        about: what the dataset is.
        step: what was done; its options and counts are added to.
        columns: field to the name of its column, where it has another.
        own_groups: whether the dataset's name stands before the groups'.

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
    problems = list(too_long(rows, len(header)))
    problems += row_problems(table, points)
    table = _with_numbers(table).with_columns(
        pl.when(pl.col("split").is_in(list(SPLITS))).then("split").alias("split")
    )
    problems += problems_of_wholes(table)
    if problems:
        raise InputError(listed(path, problems))
    if table["pass"].null_count() == table.height:
        table = table.with_columns(pl.lit(0).alias("pass"))
    if own_groups:
        table = table.with_columns(group=pl.lit(f"{about.name}/") + pl.col("group"))
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
        marks = {rest[i]: cells[i] for i in rest}
        if why := why_not_counted(marks):
            mark = mark or f"row {number}: {why}"
        (gone if why else kept).append((number, cells))
    who, included = places["person"], places.get("included", -1)
    people = {cells[who].strip() for _, cells in kept}
    lost = {cells[who].strip() for _, cells in gone} - people
    for _, cells in kept if lost and included >= 0 else ():
        names = names_in(cells[included], people | lost)
        cells[included] = "; ".join(name for name in names if name not in lost)
    return kept, len(gone), mark


def _frame(rows: list[tuple[int, list[str]]], places: Mapping[str, int]) -> pl.DataFrame:
    """The fields' columns as text, null where blank, and the row's number."""
    return pl.DataFrame(
        {
            ROW: pl.Series([number for number, _ in rows], dtype=pl.Int64),
            **{
                field: pl.Series(
                    [cells[places[field]] if field in places else None for _, cells in rows],
                    dtype=pl.String,
                )
                for field in FIELDS
            },
        }
    ).with_columns(
        pl.when(
            pl.col(field)
            .str.strip_chars()
            .str.to_lowercase()
            .is_in(_BLANK if field in _NAMES else _MISSING)
        )
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


def _with_numbers(table: pl.DataFrame) -> pl.DataFrame:
    """The ratings and passes as whole numbers; null where they are none."""
    return table.with_columns(
        pl.when(is_whole(number_in(field)))
        .then(number_in(field))
        .cast(pl.Int64, strict=False)
        .alias(field)
        for field in _NUMBERS
    )


# --------------------------------------------------------------------------------------- rounds


def _dataset(table: pl.DataFrame, about: About) -> Dataset:
    asked = pl.col("question").map_elements(question_id, return_dtype=pl.String)
    table = table.with_columns(question_id=asked).with_columns(
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
        included_people(table)
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
