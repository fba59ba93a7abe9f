"""Writes docs/record_format.md from the schema: ``make docs``."""

from __future__ import annotations

from pathlib import Path

from commonweal.datasets.schema import OWN_COLUMN, SCALES, SCHEMA, TABLES, Column

TARGET = Path(__file__).with_name("record_format.md")
_SCALES = "; ".join(
    f"`{scale.name}`, {scale.low} to {scale.high}, neutral {scale.neutral}"
    for scale in SCALES.values()
)
HEADER = f"""\
# The record format

Made by `make docs` from `src/commonweal/datasets/schema.py`; do not edit. Version: `{SCHEMA}`.

A dataset is a folder: one Parquet file a table, and `dataset.json`, which says what it is (name,
whose ratings, scale, source, licence, attribution), what was done to it with counts at each step,
and the rows and sha256 of each file. What is missing is null, never a number or an empty text.
Columns whose names begin with `{OWN_COLUMN}` are kept as they came and read by nothing.

Whose ratings (`people`): `human`, people rated these statements in these rounds; `replayed`, real
people's votes or ratings from elsewhere stand in for ratings; `simulated`, nobody's.

Scales (`scale`), each with its neutral point, above which people agree and below which they
disagree: {_SCALES}.

A table of ratings need not be written so: `commonweal data import ratings` makes a
dataset of one ([data](data.md)).

## dataset.json

The manifest, JSON. `write_dataset` writes it with the tables, `read_dataset` checks both.
Beside it stands `datapackage.json`, which describes the same files to other programs as a
Frictionless Data Package.

| field | holds | meaning |
|---|---|---|
| `schema` | text | `{SCHEMA}`; another version is refused |
| `name` | text | the dataset's, short |
| `people` | text | whose ratings: `human`, `replayed` or `simulated` |
| `scale` | text | {", ".join(f"`{name}`" for name in SCALES)} |
| `source` | text | where it came from, in words |
| `licence` | text | under which it may be used; empty where unknown |
| `attribution` | text | what the licence asks to be said |
| `steps` | list | what was done, oldest first: `what`, `options`, `counts`, `commonweal_version` |
| `tables` | object | each table's name with `n_rows` and `sha256` of its file; all of them |
"""


def page() -> str:
    """The whole page as markdown."""
    sections = [HEADER]
    for table in TABLES.values():
        rows = "\n".join(
            f"| `{c.name}` | {c.kind} | {_may_miss(c)} | {_said(c)} |" for c in table.columns
        )
        key = ", ".join(f"`{name}`" for name in table.key)
        sections.append(
            f"## {table.file_name}\n\n{table.meaning} One row for each {key}.\n\n"
            f"| column | holds | may be missing | meaning |\n|---|---|---|---|\n{rows}\n"
        )
    return "\n".join(sections)


def _may_miss(column: Column) -> str:
    return "" if column.required else "yes"


def _said(column: Column) -> str:
    one_of = ": " + ", ".join(f"`{value}`" for value in column.one_of) if column.one_of else ""
    refers = f" (in `{column.refers_to}`)" if column.refers_to else ""
    return column.meaning + ("" if column.name == "source" else one_of) + refers


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
