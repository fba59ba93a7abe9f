"""``datapackage.json`` describes the files as they are: sizes, hashes, columns, references."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest

from commonweal.datasets.dataset import write_dataset
from commonweal.datasets.importers.polis import import_polis

ROOT = Path(__file__).parents[2]
TYPES = {
    pl.String(): "string",
    pl.Int64(): "integer",
    pl.Float64(): "number",
    pl.Boolean(): "boolean",
    pl.List(pl.String()): "array",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    dataset = import_polis(ROOT / "examples/polis/bus-fares", simulated=True)
    where = tmp_path_factory.mktemp("package") / "buses"
    write_dataset(dataset, where)
    return where


@pytest.fixture(scope="module")
def package(folder):
    return json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))


def test_files_are_named_measured_and_hashed(folder, package):
    assert {each["path"] for each in package["resources"]} == {
        path.name for path in folder.glob("*.parquet")
    }
    for each in package["resources"]:
        content = (folder / each["path"]).read_bytes()
        assert each["bytes"] == len(content)
        assert each["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert "simulated" in package["description"]


def test_columns_keys_and_references_hold_in_the_files(folder, package):
    tables = {each["name"]: pl.read_parquet(folder / each["path"]) for each in package["resources"]}
    n_references = 0
    for each in package["resources"]:
        table, schema = tables[each["name"]], each["schema"]
        for field in schema["fields"]:
            assert field["type"] in (TYPES[table.schema[field["name"]]], "any")
            if field.get("constraints", {}).get("required"):
                assert table[field["name"]].null_count() == 0
        assert [field["name"] for field in schema["fields"]] == table.columns
        assert table.n_unique(subset=schema["primaryKey"]) == table.height or table.is_empty()
        for key in schema["foreignKeys"]:
            there = tables[key["reference"]["resource"].replace("-", "_")]
            named = table.select(key["fields"]).drop_nulls().unique()
            known = there.select(key["reference"]["fields"]).unique()
            assert len(key["fields"]) == len(key["reference"]["fields"])
            assert named.join(
                known, left_on=key["fields"], right_on=key["reference"]["fields"], how="anti"
            ).is_empty()
            n_references += 1
    assert n_references >= 6
