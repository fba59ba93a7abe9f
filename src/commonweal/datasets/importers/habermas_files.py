"""The Habermas Machine's Parquet files, held to their published schema as they are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from commonweal.datasets.reading import require_columns
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.types import AGREEMENT_SCALE, QUALITY_SCALE

COMPARISONS = "hm_all_candidate_comparisons.parquet"
POSITIONS = "hm_all_position_statement_ratings.parquet"

_TEXT, _TEXTS, _LISTS = "text", "list of text", "list of lists"

COMPARISON_COLUMNS = {
    "launch_id": _TEXT,
    "round_id": _TEXT,
    "iteration_index": "whole number",
    "worker_id": _TEXT,
    "question.id": _TEXT,
    "question.text": _TEXT,
    "question.affirming_statement": _TEXT,
    "question.topic": "any",
    "question.split": "any",
    "own_opinion.text": _TEXT,
    "own_opinion.metadata.id": _TEXT,
    "own_opinion.metadata.participant_id": _TEXT,
    "other_opinions.text": _TEXTS,
    "other_opinions.metadata.id": _TEXTS,
    "other_opinions.metadata.participant_id": _TEXTS,
    "candidates.text": _TEXTS,
    "candidates.metadata.id": _TEXTS,
    "candidates.metadata.provenance": _TEXTS,
    "candidates.metadata.generative_model.template_name": _TEXTS,
    "candidates.parent_statement_ids": _LISTS,
    "candidates.all_texts": _LISTS,
    "candidates.all_reward_predictions": _LISTS,
    "ratings.agreement": "list",
    "ratings.quality": "list",
    "rankings.candidate_ids": _TEXTS,
    "rankings.numerical_ranks": "list",
    "metadata.provenance": _TEXT,
}
PROVENANCE = {
    "own_opinion.metadata.provenance": _TEXT,
    "other_opinions.metadata.provenance": _TEXTS,
}
"""Whether a person wrote an opinion; read where it is there."""

POSITION_COLUMNS = {
    "launch_id": _TEXT,
    "worker_id": _TEXT,
    "question.id": _TEXT,
    "ratings.agreement": "any",
}

_SHOWN = ("candidates.text", "candidates.metadata.id", "candidates.metadata.provenance")
_PARALLEL = (
    (
        *_SHOWN,
        "candidates.metadata.generative_model.template_name",
        "candidates.parent_statement_ids",
        "candidates.all_texts",
        "candidates.all_reward_predictions",
        "ratings.agreement",
        "ratings.quality",
    ),
    (
        *("other_opinions.text", "other_opinions.metadata.id"),
        *("other_opinions.metadata.participant_id", "other_opinions.metadata.provenance"),
    ),
    ("rankings.candidate_ids", "rankings.numerical_ranks"),
)
"""Columns whose lists run in parallel: in each row of one length, or empty."""

SPLITS = {
    "1": "train",
    "train": "train",
    "2": "iid_test",
    "validation": "iid_test",
    "3": "iid_test",
    "iid_test": "iid_test",
    "4": "ood_test",
    "ood_test": "ood_test",
    "-1": None,
    "mock": None,
}
"""Split number or name to ours. Validation questions are held out from training as well."""


def _names(scale: tuple[str, ...], suffix: str) -> dict[str, int | None]:
    names: dict[str, int | None] = {"MOCK": None}
    for value, label in enumerate(scale, start=1):
        name = label.upper().replace(" ", "_")
        names[name if name == "NEUTRAL" else name + suffix] = value
    return names


LIKERT = {
    "agreement": _names(AGREEMENT_SCALE, ""),
    "quality": _names(QUALITY_SCALE, "_QUALITY"),
}
"""Likert name to rating, 1 to 7; MOCK is a missing answer."""


def read_parquet(
    path: Path, columns: dict[str, str], *, optional: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """These columns of a file, each of its kind, with lists that run in parallel.

    Raises:
        InputError: it cannot be read, or differs from the schema; the message names the column and
            row.
    """
    expected = "the Habermas Machine's files as published (`commonweal data fetch`)"
    try:
        there = pl.read_parquet_schema(path)
        require_columns(path, list(there), columns, expected=expected)
        columns = columns | {n: kind for n, kind in (optional or {}).items() if n in there}
        rows = pl.read_parquet(path, columns=list(columns))
    except FileNotFoundError:
        raise InputError(f"no file {path}; expected {expected}") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"cannot read {path}: {str(error).splitlines()[0]}") from None
    for name, kind in columns.items():
        if not _is(there[name], kind):
            raise InputError(f"{path}: column {name!r} is {there[name]}, expected {kind}")
    for group in _PARALLEL:
        for name in group[1:]:
            if name in columns and group[0] in columns:
                _check_parallel(path, rows, group[0], name)
    return rows


def _is(dtype: pl.DataType, kind: str) -> bool:
    if kind == "any":
        return True
    if kind == _TEXT:
        return dtype == pl.String
    if kind == "whole number":
        return dtype.is_integer()
    if not isinstance(dtype, pl.List):
        return False
    inner = dtype.inner
    if kind == _TEXTS:
        return inner == pl.String
    return kind != _LISTS or isinstance(inner, pl.List)


def _check_parallel(path: Path, rows: pl.DataFrame, first: str, other: str) -> None:
    n_other = pl.col(other).list.len()
    differ = (n_other > 0) & (pl.col(first).list.len() != n_other)
    bad = rows.with_row_index("_row", offset=1).filter(differ)
    if not bad.is_empty():
        raise InputError(
            f"{path}, row {bad[0, '_row']}: {other} holds {len(bad[0, other])} values and "
            f"{first} {len(bad[0, first])}, expected as many ({bad.height} rows differ)"
        )


def likert(path: Path, rows: pl.DataFrame, column: str, names: dict[str, int | None]) -> pl.Series:
    """Ratings of Likert names, Int64, null where there is none.

    Raises:
        InputError: a name that the schema does not have; ``rows`` has the file's row as ``_row``.
    """
    # One of the public readers of these files met the name in square brackets.
    bare = rows[column].cast(pl.String).str.strip_chars("[]")
    numbers = bare.replace_strict(names, default=None, return_dtype=pl.Int64)
    wrong = rows.filter(bare.is_not_null() & ~bare.is_in(list(names)))
    if not wrong.is_empty():
        raise InputError(
            f"{path}, row {wrong[0, '_row']}: {column} is {wrong[0, column]!r}, expected one of "
            f"{', '.join(names)}"
        )
    return numbers
