"""A dataset's folder as the Hugging Face hub and Croissant describe one: README.md, croissant.json.

Both describe the Parquet files that are there; ``datasets.load_dataset(FOLDER, "ratings")`` reads
them by the README's head, and ``mlcroissant`` by the other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from commonweal.datasets.dataset import Dataset
from commonweal.datasets.datasheet import as_markdown, describe
from commonweal.datasets.schema import OWN_COLUMN, TABLES, WHOSE, Column, TableSchema
from commonweal.files import sha256_of

_LICENCES = {
    "apache-2.0": "apache-2.0",
    "cc by 4.0": "cc-by-4.0",
    "cc-by-4.0": "cc-by-4.0",
    "cc by-sa 4.0": "cc-by-sa-4.0",
    "cc-by-sa-4.0": "cc-by-sa-4.0",
    "cc0": "cc0-1.0",
    "cc0-1.0": "cc0-1.0",
    "mit": "mit",
}
"""What people write, to the hub's name; anything else is "other", with its own name beside it."""
_TYPES = {
    "text": "sc:Text",
    "whole": "sc:Integer",
    "number": "sc:Float",
    "yes or no": "sc:Boolean",
    "texts": "sc:Text",
}
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "conformsTo": "dct:conformsTo",
    **{
        name: f"cr:{name}"
        for name in (
            *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty"),
            *("fileObject", "fileSet", "samplingRate"),
            *("format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField"),
            *("path", "recordSet", "references", "regex", "repeated", "replace", "separator"),
            *("source", "subField", "transform"),
        )
    },
}
"""Croissant 1.0's own, word by word: its readers compare."""


def card(dataset: Dataset) -> str:
    """README.md: the hub's head, which names a configuration for each table, and the datasheet."""
    about = dataset.about
    licence = _LICENCES.get(about.licence.strip().lower(), "other" if about.licence else "unknown")
    head: dict[str, Any] = {
        "license": licence,
        **({"license_name": about.licence} if licence == "other" else {}),
        "pretty_name": about.name,
        "tags": ["deliberation", "preference", *(["synthetic"] if _made_up(dataset) else [])],
    }
    # JSON is YAML: no name can break out of it.
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    lines.append("configs:")
    for name in _tables(dataset):
        lines += [f"  - config_name: {name}", f"    data_files: {TABLES[name].file_name}"]
        lines += ["    default: true"] if name == "ratings" else []
    return "\n".join(("---", *lines, "---", as_markdown(describe(dataset))))


def croissant(dataset: Dataset, folder: Path) -> str:
    """croissant.json of the dataset in this folder: its files, tables, columns and references.

    Source: Croissant Format Specification, version 1.0 (mlcommons.org).
    """
    about = dataset.about
    names = _tables(dataset)
    files = [
        {
            "@type": "cr:FileObject",
            "@id": TABLES[name].file_name,
            "name": TABLES[name].file_name,
            "contentSize": f"{(folder / TABLES[name].file_name).stat().st_size} B",
            "contentUrl": TABLES[name].file_name,
            "encodingFormat": "application/x-parquet",
            "sha256": sha256_of(folder / TABLES[name].file_name),
        }
        for name in names
    ]
    creator = {"@type": "sc:Organization", "name": about.attribution}
    metadata = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": about.name,
        "description": f"Ratings: {WHOSE[about.people]}. Scale: {about.scale}. {about.source}",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        **({"license": about.licence} if about.licence else {}),
        **({"creator": creator} if about.attribution else {}),
        "distribution": files,
        "recordSet": [_records(TABLES[name], dataset.tables()[name].columns) for name in names],
    }
    return json.dumps(metadata, ensure_ascii=False, indent=2) + "\n"


def _records(table: TableSchema, columns: list[str]) -> dict[str, Any]:
    known = {column.name: column for column in table.columns}
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": table.meaning,
        "key": [{"@id": f"{table.name}/{name}"} for name in table.key],
        "field": [
            _field(table, name, known.get(name))
            for name in columns
            if name in known or name.startswith(OWN_COLUMN)
        ],
    }


def _field(table: TableSchema, name: str, column: Column | None) -> dict[str, Any]:
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{table.name}/{name}",
        "name": name,
        "description": column.meaning if column else "the source's own",
        "dataType": _TYPES[column.kind] if column else "sc:Text",
        "source": {"fileObject": {"@id": table.file_name}, "extract": {"column": name}},
    }
    if column and column.kind == "texts":
        field["repeated"] = True
    # Croissant knows keys of one column: a statement's id is one only within its round.
    if column and column.refers_to == "rounds.round_id" and table.name != "rounds":
        field["references"] = {"field": {"@id": "rounds/round_id"}}
    return field


def _tables(dataset: Dataset) -> list[str]:
    return [name for name, table in dataset.tables().items() if not table.is_empty()]


def _made_up(dataset: Dataset) -> bool:
    return dataset.about.people == "simulated"
