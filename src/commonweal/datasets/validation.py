"""Whether a dataset keeps the format; where it does not: the file, the row, the field, the fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from commonweal.datasets.dataset import Dataset
from commonweal.datasets.schema import OWN_COLUMN, TABLES, Column, Scale, TableSchema
from commonweal.datasets.words import normal_form
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.types import RATING_MAX, RATING_MIN

_ROW = "_row"
_RATED = {
    ("ratings", "agreement"),
    ("ratings", "quality"),
    ("position_ratings", "agreement"),
}
_NEVER_NEGATIVE = ("pass_index", "position", "attempt", "iteration", "duration_seconds", "alpha")


def check(dataset: Dataset, folder: Path) -> None:
    """Returns where the dataset keeps the format, and raises where it does not.

    Raises:
        InputError: the first problem, and how many more there are.
    """
    all_problems = list(problems(dataset, folder))
    if all_problems:
        more = f" (and {len(all_problems) - 1} more problems)" if len(all_problems) > 1 else ""
        raise InputError(all_problems[0] + more)


def problems(dataset: Dataset, folder: Path) -> Iterator[str]:
    """What breaks the format, one sentence each: at most one for a column and kind of problem.

    Rows count from 1.
    """
    broken = False
    for name, table in TABLES.items():
        for problem in _column_problems(getattr(dataset, name), table, folder / table.file_name):
            broken = True
            yield problem
    if broken:
        return  # the rows cannot be looked at
    yield from _pass_problems(dataset, folder / TABLES["ratings"].file_name)
    for name, table in TABLES.items():
        path = folder / table.file_name
        rows = getattr(dataset, name).with_row_index(_ROW, offset=1)
        yield from _value_problems(rows, table, path, dataset.about.scale)
        yield from _key_problems(rows, table, path)
        yield from _reference_problems(rows, table, path, dataset)
    yield from _question_problems(dataset, folder / TABLES["rounds"].file_name)
    yield from _opinion_problems(dataset, folder / TABLES["opinions"].file_name)


def _column_problems(rows: pl.DataFrame, table: TableSchema, path: Path) -> Iterator[str]:
    for name, kind in table.polars_schema().items():
        if name not in rows.columns:
            yield f"{path}: there is no column {name!r}; expected one ({kind})"
        elif rows.schema[name] != kind:
            yield f"{path}: column {name!r} is {rows.schema[name]}, expected {kind}"
    for name in rows.columns:
        if name not in table.polars_schema() and not name.startswith(OWN_COLUMN):
            yield (
                f"{path}: unknown column {name!r}; expected those of docs/record_format.md, or a "
                f"name that begins with {OWN_COLUMN!r} for a column of your own"
            )


def _value_problems(
    rows: pl.DataFrame, table: TableSchema, path: Path, scale: Scale
) -> Iterator[str]:
    for column, wrong, expected in _faults(table, scale):
        yield from _first(rows, wrong, path, column, expected)


def _faults(table: TableSchema, scale: Scale) -> Iterator[tuple[Column, pl.Expr, str]]:
    """(A column, where its value is wrong, what is expected) of each thing that is asked."""
    for column in table.columns:
        value = pl.col(column.name)
        if column.required:
            yield column, value.is_null(), "a value"
        if column.kind == "text":
            blank = value.str.strip_chars().str.len_chars() == 0
            yield column, blank, "text, or null if missing"
        if column.one_of:
            wrong = value.is_not_null() & ~value.is_in(list(column.one_of))
            yield column, wrong, f"one of {', '.join(column.one_of)}"
        if (table.name, column.name) in _RATED:
            outside = ~value.is_between(scale.low, scale.high)
            yield column, outside, f"{scale} (scale {scale.name}), or null if missing"
        if column.name == "expected_rating":
            outside = ~value.is_between(RATING_MIN, RATING_MAX)
            yield (
                column,
                outside,
                f"a number from {RATING_MIN} to {RATING_MAX}; raw scores are in reward",
            )
        if column.name in _NEVER_NEGATIVE:
            yield column, value < 0, "0 or more"
        if column.kind == "number" and column.name != "alpha":  # alpha may be infinite
            yield column, ~value.is_finite(), "a finite number"


def without_faulty_rows(dataset: Dataset) -> tuple[Dataset, dict[str, int]]:
    """The dataset without the rows that break the format, and how many those are by table.

    A row that refers to one of them goes too. What cannot be put down to rows (a missing column, a
    question in two splits) stays: ``check`` says so.
    """
    tables = dataset.tables()
    n_before = {name: rows.height for name, rows in tables.items()}
    for name, table in TABLES.items():
        rows = tables[name]
        for _, wrong, _ in _faults(table, dataset.about.scale):
            rows = rows.filter(~wrong.fill_null(value=False))
        tables[name] = rows.filter(pl.struct(table.key).is_first_distinct())
    while True:
        n_left = sum(rows.height for rows in tables.values())
        for name, table in TABLES.items():
            for column in table.columns:
                if column.refers_to is not None:
                    tables[name] = _referring(tables[name], column, tables)
        if sum(rows.height for rows in tables.values()) == n_left:
            break
    lost = {name: n_before[name] - rows.height for name, rows in tables.items()}
    return Dataset(dataset.about, **tables), {name: n for name, n in lost.items() if n}


def _referring(rows: pl.DataFrame, column: Column, tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The rows all of whose names in this column are names of something."""
    numbered = rows.with_row_index(_ROW)
    lost = _dangling(numbered, column, tables)
    return numbered.filter(~pl.col(_ROW).is_in(lost[_ROW].implode())).drop(_ROW)


def _dangling(
    rows: pl.DataFrame, column: Column, tables: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    """The rows (of a list: a row a name) whose name in this column is nobody's."""
    assert column.refers_to is not None  # noqa: S101 - for the type checker: the callers ask
    target, name = column.refers_to.split(".")
    keys = {"round_id": "round_id", column.name: name}  # a name is unique within its round
    used = rows.explode(column.name) if column.kind == "texts" else rows
    return used.drop_nulls(list(keys)).join(
        tables[target].select(set(keys.values())),
        left_on=list(keys),
        right_on=list(keys.values()),
        how="anti",
    )


def _pass_problems(dataset: Dataset, path: Path) -> Iterator[str]:
    given = sorted(dataset.ratings["pass_index"].drop_nulls().unique())
    if given and given[0] >= 0 and given != list(range(len(given))):
        yield (
            f"{path}: pass_index is {', '.join(map(str, given))}, expected 0 for the first rating "
            "and 1 for its repetition: kappa compares those two"
        )


def _first(
    rows: pl.DataFrame, wrong: pl.Expr, path: Path, column: Column, expected: str
) -> Iterator[str]:
    bad = rows.filter(wrong)
    if not bad.is_empty():
        row, value = bad[0, _ROW], bad[0, column.name]
        more = f" ({bad.height} rows)" if bad.height > 1 else ""
        shown = "null" if value is None else repr(value)
        yield f"{path}, row {row}: {column.name} is {shown}, expected {expected}{more}"


def _key_problems(rows: pl.DataFrame, table: TableSchema, path: Path) -> Iterator[str]:
    again = rows.filter(~pl.struct(table.key).is_first_distinct())
    if not again.is_empty():
        named = ", ".join(f"{name} {again[0, name]!r}" for name in table.key)
        yield (
            f"{path}, row {again[0, _ROW]}: {named} is there already; expected "
            f"{' and '.join(table.key)} to name one row ({again.height} are repeated)"
        )


def _reference_problems(
    rows: pl.DataFrame, table: TableSchema, path: Path, dataset: Dataset
) -> Iterator[str]:
    for column in table.columns:
        if column.refers_to is None:
            continue
        target, _ = column.refers_to.split(".")
        keys = ("round_id", column.name) if column.name != "round_id" else ("round_id",)
        lost = _dangling(rows, column, dataset.tables())
        if not lost.is_empty():
            where = f" in round {lost[0, 'round_id']!r}" if len(keys) > 1 else ""
            yield (
                f"{path}, row {lost[0, _ROW]}: {column.name} is {lost[0, column.name]!r}{where}, "
                f"expected one that {TABLES[target].file_name} has ({lost.height} are unknown)"
            )


def _question_problems(dataset: Dataset, path: Path) -> Iterator[str]:
    """A question in two splits leaks from one into the other, also under two ids."""
    per_question = dataset.rounds.group_by("question_id", maintain_order=True).agg(
        splits=pl.col("split").fill_null("none").unique(maintain_order=True),
        texts=pl.col("question").unique(maintain_order=True),
    )
    for row in per_question.filter(pl.col("splits").list.len() > 1).head(1).iter_rows(named=True):
        yield (
            f"{path}: question_id {row['question_id']!r} is in the splits "
            f"{', '.join(row['splits'])}; expected one split for a question: a model could learn "
            "its test"
        )
    for row in per_question.filter(pl.col("texts").list.len() > 1).head(1).iter_rows(named=True):
        yield (
            f"{path}: question_id {row['question_id']!r} stands for {len(row['texts'])} different "
            "questions; expected one text for each id"
        )
    per_form = (
        dataset.rounds.select("question_id", "question", "split")
        .drop_nulls()
        .unique(maintain_order=True)
        .group_by(
            pl.col("question").map_elements(normal_form, return_dtype=pl.String).alias("form"),
            maintain_order=True,
        )
        .agg(pl.all().unique(maintain_order=True))
    )
    leaks = (pl.col("split").list.len() > 1) & (pl.col("question_id").list.len() > 1)
    for row in per_form.filter(leaks).head(1).iter_rows(named=True):
        yield (
            f"{path}: {row['question'][0]!r} is asked as {', '.join(row['question_id'])} in the "
            f"splits {', '.join(row['split'])}; expected one split for a question, whatever its "
            "id: a model could learn its test (`commonweal data split --again` splits anew)"
        )


def _opinion_problems(dataset: Dataset, path: Path) -> Iterator[str]:
    again = dataset.opinions.with_row_index(_ROW, offset=1).filter(
        ~pl.struct("round_id", "participant_id").is_first_distinct()
    )
    if not again.is_empty():
        yield (
            f"{path}, row {again[0, _ROW]}: participant {again[0, 'participant_id']!r} has an "
            f"opinion in round {again[0, 'round_id']!r} already; expected one for a person and "
            "round"
        )
