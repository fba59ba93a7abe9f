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

A dataset is a folder with one Parquet file for each table, and `dataset.json`. This says what the
dataset is (name, whose ratings, scale, source, licence, attribution), what was done to it, with
counts at each step, and the rows and sha256 of each file. A missing value is null, never a number
or an empty text. Columns whose names begin with `{OWN_COLUMN}` are kept unchanged and not read.

Whose ratings (`people`): `human`, people rated these statements in these rounds; `replayed`, real
people's votes or ratings from elsewhere stand in for ratings; `simulated`, a program's.

Scales (`scale`), each with its neutral point, above which people agree and below which they
disagree: {_SCALES}.

If you have a table of ratings, `commonweal data import ratings` makes such a dataset from it
([data](data.md)).

## dataset.json

The manifest, in JSON. `write_dataset` writes it with the tables, and `read_dataset` checks both.
`datapackage.json` describes the same files to other programs, as a Frictionless Data Package.

| field | holds | meaning |
|---|---|---|
| `schema` | text | `{SCHEMA}`; another version is refused |
| `name` | text | the dataset's short name |
| `people` | text | whose ratings: `human`, `replayed` or `simulated` |
| `scale` | text | {", ".join(f"`{name}`" for name in SCALES)} |
| `source` | text | where it came from, in words |
| `licence` | text | under which it may be used; empty if unknown |
| `attribution` | text | the attribution that the licence requires |
| `steps` | list | what was done, oldest first: `what`, `options`, `counts`, `commonweal_version` |
| `tables` | object | every table's name, with `n_rows` and the `sha256` of its file |
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
