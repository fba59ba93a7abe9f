"""A dataset's tables described for other programs: ``datapackage.json`` (Frictionless Data)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from commonweal.datasets.schema import OWN_COLUMN, TABLES, WHOSE, Column, TableSchema

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset

_TYPES = {
    "text": "string",
    "whole": "integer",
    "number": "number",
    "yes or no": "boolean",
    "texts": "array",
}


def data_package(dataset: Dataset, sizes: Mapping[str, tuple[int, str]]) -> dict[str, Any]:
    """The descriptor of a dataset's folder, as JSON holds it.

    Args:
        dataset: what is in the folder.
        sizes: for each table, bytes and sha256 of its file.

    Source: Data Package, version 1 (specs.frictionlessdata.io).
    """
    about = dataset.about
    package: dict[str, Any] = {
        "profile": "tabular-data-package",
        "name": _slug(about.name),
        "title": about.name,
        "description": f"Ratings: {WHOSE[about.people]}. Scale: {about.scale}. {about.source}",
        "sources": [{"title": about.source}],
    }
    if about.licence:
        package["licenses"] = [{"name": _slug(about.licence), "title": about.licence}]
    if about.attribution:
        package["contributors"] = [{"title": about.attribution, "role": "publisher"}]
    package["resources"] = [
        {
            "profile": "tabular-data-resource",
            "name": _slug(table.name),
            "title": table.meaning,
            "path": table.file_name,
            "format": "parquet",
            "mediatype": "application/vnd.apache.parquet",
            "bytes": sizes[table.name][0],
            "hash": f"sha256:{sizes[table.name][1]}",
            "schema": _schema(table, dataset.tables()[table.name].columns),
        }
        for table in TABLES.values()
    ]
    return package


def _schema(table: TableSchema, columns: list[str]) -> dict[str, Any]:
    own = [name for name in columns if name.startswith(OWN_COLUMN)]
    return {
        "fields": [
            *map(_field, table.columns),
            *({"name": name, "type": "any", "description": "the source's own"} for name in own),
        ],
        "primaryKey": list(table.key),
        "foreignKeys": [
            _reference(table, column)
            for column in table.columns
            if column.refers_to is not None and column.kind == "text"
        ],
    }


def _field(column: Column) -> dict[str, Any]:
    constraints: dict[str, Any] = {"required": True} if column.required else {}
    if column.one_of:
        constraints["enum"] = list(column.one_of)
    return {
        "name": column.name,
        "type": _TYPES[column.kind],
        "description": column.meaning,
        **({"constraints": constraints} if constraints else {}),
    }


def _reference(table: TableSchema, column: Column) -> dict[str, Any]:
    """What a column refers to: within the same round, unless it names the round itself."""
    assert column.refers_to is not None  # noqa: S101 - for the type checker
    there, _, field = column.refers_to.partition(".")
    within = [] if column.name == "round_id" or table.name == there else ["round_id"]
    return {
        "fields": [*within, column.name],
        "reference": {"resource": _slug(there), "fields": [*within, field]},
    }


def _slug(text: str) -> str:
    """A name as a data package may have it: small letters, digits, dots, hyphens."""
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-") or "dataset"
