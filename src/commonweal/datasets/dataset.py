"""A dataset in memory and on disk: its tables and their manifest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from commonweal._version import __version__
from commonweal.datasets.schema import (
    BESIDE,
    DATA_PACKAGE,
    LATER,
    MANIFEST,
    SCHEMA,
    TABLES,
    WHOSE,
    People,
    Scale,
    scale_named,
)
from commonweal.errors import InputError
from commonweal.files import check_replaceable, replaced_folder, sha256_of
from commonweal.frames import pl
from commonweal.showing import FrameKind, Plot, frame_of, html_table, plot_shares

Tables = Mapping[str, pl.DataFrame]


NOTES = "notes"
"""The option of a step that holds what a reader of figures should know of it, in sentences."""


class Step(BaseModel):
    """One thing that was done to a dataset: for its datasheet.

    Attributes:
        what: in words: "imported from Polis".
        options: what it was done with.
        counts: what came in, what was dropped and why, what is left, in the order of the work.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    what: str
    options: dict[str, Any] = Field(default_factory=dict)
    counts: dict[str, int] = Field(default_factory=dict)
    commonweal_version: str = __version__


@dataclass(frozen=True, slots=True)
class About:
    """What a dataset is and where it came from.

    Attributes:
        name: short.
        people: whether people rated these rounds; see ``schema.People``.
        scale: what ratings mean.
        source: where it came from, in words.
        licence: under which it may be used; empty where unknown.
        attribution: what its licence asks to be said.
        steps: what was done to it, oldest first.
    """

    name: str
    people: People
    scale: Scale
    source: str
    licence: str = ""
    attribution: str = ""
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Rounds with their opinions, statements and ratings (columns: ``schema.TABLES``).

    Attributes:
        about: what it is.
        rounds: one row a round; likewise the other tables. A table left out is empty.
    """

    about: About
    rounds: pl.DataFrame
    opinions: pl.DataFrame = field(default_factory=lambda: empty("opinions"))
    candidates: pl.DataFrame = field(default_factory=lambda: empty("candidates"))
    ratings: pl.DataFrame = field(default_factory=lambda: empty("ratings"))
    position_ratings: pl.DataFrame = field(default_factory=lambda: empty("position_ratings"))
    predictions: pl.DataFrame = field(default_factory=lambda: empty("predictions"))
    critiques: pl.DataFrame = field(default_factory=lambda: empty("critiques"))

    def tables(self) -> dict[str, pl.DataFrame]:
        """Table name to table, in the schema's order."""
        return {name: getattr(self, name) for name in TABLES}

    def to_frame(self, table: str | None = None, kind: FrameKind = "polars") -> Any:
        """A table as a data frame; by default the ratings, each with its question and statement.

        Args:
            table: "rounds", "opinions", "candidates", "ratings", "position_ratings" or
                "predictions".
            kind: "polars" or "pandas".

        Raises:
            InputError: there is no such table, or pandas is asked for and not installed.
        """
        if table is None:
            asked = self.rounds.select("round_id", "group_id", "question_id", "question")
            written = self.candidates.select("round_id", "candidate_id", "policy", "text")
            rows = self.ratings.join(asked, on="round_id", how="left").join(
                written, on=["round_id", "candidate_id"], how="left"
            )
        elif table in TABLES:
            rows = self.tables()[table]
        else:
            raise InputError(f"no table {table!r}; expected one of {', '.join(TABLES)}")
        return rows if kind == "polars" else frame_of(rows.to_dict(as_series=False), kind)

    def plot(self) -> Plot:
        """How the ratings of each policy's statements are spread; a notebook shows it.

        Raises:
            InputError: nobody rated anything.
        """
        counted = (
            self.to_frame()
            .drop_nulls(["agreement", "policy"])
            .group_by("policy", "agreement")
            .len()
        )
        if counted.is_empty():
            raise InputError(f"{self.about.name}: there is nothing to draw, nobody rated anything")
        scale = self.about.scale
        steps = range(scale.low, scale.high + 1)
        names = sorted(counted["policy"].unique())
        n = {(row["policy"], row["agreement"]): row["len"] for row in counted.to_dicts()}
        totals = {name: sum(n.get((name, step), 0) for step in steps) for name in names}
        return plot_shares(
            [f"{name} ({totals[name]:,})" for name in names],
            [[n.get((name, step), 0) / totals[name] for step in steps] for name in names],
            [f"{step}".replace("-", "−") for step in steps],
            f"{self.about.name}: agreement by policy, on {scale.name}. Ratings: "
            f"{WHOSE[self.about.people]}.",
        )

    def _repr_html_(self) -> str:
        rows = [
            ("Ratings", WHOSE[self.about.people]),
            ("Scale", self.about.scale),
            ("Source", self.about.source),
            ("Licence", self.about.licence or "not given"),
            *((name, f"{table.height:,} rows") for name, table in self.tables().items()),
        ]
        return html_table(f"Dataset {self.about.name}", rows)

    def with_step(self, step: Step) -> Dataset:
        """The same dataset with one more step in its history."""
        return replace(self, about=replace(self.about, steps=(*self.about.steps, step)))

    def of_rounds(self, round_ids: Sequence[str]) -> Dataset:
        """These rounds alone, in every table."""
        wanted = pl.Series(list(round_ids), dtype=pl.String)
        kept = {
            name: table.filter(pl.col("round_id").is_in(wanted.implode()))
            for name, table in self.tables().items()
        }
        return Dataset(self.about, **kept)

    def first_rounds(self) -> Dataset:
        """The rounds in which statements were written first, without those that revise one: these
        answer another task, from critiques too, and their group has answered the question before.
        """
        is_first = self.rounds["revises_round_id"].is_null()
        return (
            self
            if is_first.all()
            else self.of_rounds(self.rounds.filter(is_first)["round_id"].to_list())
        )

    def of_split(self, split: str) -> Dataset:
        """The rounds whose questions are in this split.

        Raises:
            InputError: there are none.
        """
        rounds = self.rounds.filter(pl.col("split") == split)
        if rounds.is_empty():
            there = sorted(self.rounds["split"].drop_nulls().unique())
            raise InputError(
                f"{self.about.name}: no round is in the split {split!r}; it has "
                f"{', '.join(there) or 'no splits'}; `commonweal data split` makes them"
            )
        return self.of_rounds(rounds["round_id"].to_list())


def empty(table: str) -> pl.DataFrame:
    """A table of that name without rows."""
    return pl.DataFrame(schema=TABLES[table].polars_schema())


def frame(table: str, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """A table from rows; optional columns that a row leaves out are null.

    Raises:
        InputError: a value is not of the type that the schema gives its column.
    """
    schema = TABLES[table].polars_schema()
    wholes = [name for name, kind in schema.items() if kind == pl.Int64()]
    filled = [{name: row.get(name) for name in schema} for row in rows]
    for n, row in enumerate(filled, start=1):
        for name in wholes:
            if not isinstance(row[name], int | None):  # polars would cut 4.5 to 4 in silence
                row[name] = _whole(row[name], f"table {table}, row {n}: {name}")
    try:
        return pl.DataFrame(filled, schema=schema)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise InputError(f"table {table}: {error}") from None


def _whole(value: Any, where: str) -> int | None:
    """5.0 as 5, and what is not a number (a gap, as pandas writes it) as None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.inf
    if math.isnan(number):
        return None
    if not number.is_integer():
        raise InputError(f"{where} is {value!r}, expected a whole number, or None if missing")
    return int(number)


def completed(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """``rows`` with the table's columns in order, those left out null, its own (x_) last.

    In a column of whole numbers 5.0 is 5, and NaN is missing, as pandas writes gaps.

    Raises:
        InputError: a column cannot be turned into the type that the schema gives it.
    """
    schema = TABLES[table].polars_schema()
    own = [name for name in rows.columns if name not in schema]
    for name, kind in schema.items():
        if kind == pl.Int64() and name in rows.columns and rows.schema[name].is_float():
            rows = rows.with_columns(pl.col(name).fill_nan(None))
            cut = rows.filter((pl.col(name) != pl.col(name).round()) | pl.col(name).is_infinite())
            if cut.height:  # a cast would drop the fraction in silence
                raise InputError(
                    f"table {table}: {name} is {cut[0, name]}, expected a whole number "
                    f"({cut.height} rows)"
                )
    try:
        return rows.select(
            *(
                pl.col(name).cast(kind)
                if name in rows.columns
                else pl.lit(None, dtype=kind).alias(name)
                for name, kind in schema.items()
            ),
            *own,
        )
    except pl.exceptions.PolarsError as error:
        raise InputError(f"table {table}: {error}") from None


# ------------------------------------------------------------------------------------- on disk


class _TableEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n_rows: int
    sha256: str


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    schema_: str = Field(validation_alias="schema", serialization_alias="schema")
    name: str
    people: People
    scale: str
    source: str
    licence: str = ""
    attribution: str = ""
    steps: tuple[Step, ...] = ()
    tables: dict[str, _TableEntry]


def write_dataset(dataset: Dataset, folder: Path, *, overwrite: bool = False) -> None:
    """Writes the dataset, whole or not at all: a reader sees the old one or the new one.

    Raises:
        InputError: it is not valid (``validation.check``), there is something in ``folder``
            already that is not a dataset or may not be overwritten, or it cannot be written.
    """
    from commonweal.datasets.data_package import data_package
    from commonweal.datasets.validation import check

    check(dataset, Path(dataset.about.name))
    check_output_folder(folder, overwrite=overwrite)
    try:
        with replaced_folder(folder) as new:
            new.mkdir()
            entries, sizes = {}, {}
            for name, table in dataset.tables().items():
                file = new / TABLES[name].file_name
                table.write_parquet(file)
                sizes[name] = (file.stat().st_size, sha256_of(file))
                entries[name] = {"n_rows": table.height, "sha256": sizes[name][1]}
            about = dataset.about
            manifest = {
                "schema": SCHEMA,
                **{name: getattr(about, name) for name in ("name", "people", "source", "licence")},
                "attribution": about.attribution,
                "scale": about.scale.name,
                "steps": [step.model_dump() for step in about.steps],
                "tables": entries,
            }
            package = data_package(dataset, sizes)
            for file_name, content in ((MANIFEST, manifest), (DATA_PACKAGE, package)):
                as_json = json.dumps(content, ensure_ascii=False, indent=2)
                (new / file_name).write_text(as_json + "\n", encoding="utf-8")
    except pl.exceptions.PolarsError as error:  # polars has errors of its own for a disk
        raise InputError(f"cannot write {folder}: {error}") from error


def check_output_folder(folder: Path, *, overwrite: bool) -> None:
    """Raises ``InputError`` where a dataset cannot be written there: asked before the work.

    A dataset that is there is replaced only whole: a file in it that no command of ours wrote
    would go with it.

    Raises:
        InputError: its parent is missing, or something is there that may not be overwritten.
    """
    tables = (table.file_name for table in TABLES.values())
    check_replaceable(
        folder,
        files=(MANIFEST, DATA_PACKAGE, *tables, *BESIDE),
        what="a dataset",
        overwrite=overwrite,
        inputs={},
    )


def read_dataset(folder: Path) -> Dataset:
    """The dataset in this folder, checked (``validation.check``).

    Raises:
        InputError: there is none, it is of another version, a file is missing or changed, or its
            rows break the format; the message names file, row and field.
    """
    from commonweal.datasets.validation import check

    dataset = read_unchecked(folder)
    check(dataset, folder)
    return dataset


def read_unchecked(folder: Path) -> Dataset:
    """The dataset in this folder, whose rows may break the format: to list what is wrong with it.

    Raises:
        InputError: there is none, it is of another version, or a file is missing or changed.
    """
    from commonweal.datasets.arms import named_by_arm

    manifest = _read_manifest(folder)
    tables = {name: _read_table(folder, name, entry) for name, entry in manifest.tables.items()}
    about = About(
        name=manifest.name,
        people=manifest.people,
        scale=scale_named(manifest.scale),
        source=manifest.source,
        licence=manifest.licence,
        attribution=manifest.attribution,
        steps=manifest.steps,
    )
    return named_by_arm(Dataset(about, **{name: _up_to_date(name, tables) for name in TABLES}))


def _up_to_date(name: str, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The table with what the format has had later, empty."""
    if name not in tables:
        return empty(name)
    rows, types = tables[name], TABLES[name].polars_schema()
    missing = [each for each in LATER.get(name, ()) if each not in rows.columns]
    if not missing:
        return rows
    return rows.with_columns(pl.lit(None, dtype=types[each]).alias(each) for each in missing)


def _read_manifest(folder: Path) -> _Manifest:
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"no dataset at {folder}: there is no {MANIFEST} in it; expected a folder that "
            "`commonweal data import` or a study's export wrote"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    try:
        layout = json.loads(text).get("schema")
        if layout != SCHEMA:
            raise InputError(
                f"{path}: schema is {layout!r}, expected {SCHEMA!r}; it was written by another "
                "version of commonweal: import or export it again with this one"
            )
        manifest = _Manifest.model_validate_json(text)
    except (ValueError, AttributeError, RecursionError) as error:
        what = error.errors()[0] if isinstance(error, ValidationError) else {"msg": str(error)}
        where = ".".join(str(part) for part in what.get("loc", ()))
        raise InputError(f"{path}: {f'field {where}: ' if where else ''}{what['msg']}") from None
    if set(manifest.tables) | {"critiques"} != set(TABLES):
        wrong = sorted(set(manifest.tables) ^ set(TABLES))
        raise InputError(f"{path}: tables differ from the format in {', '.join(wrong)}")
    return manifest


def _read_table(folder: Path, name: str, entry: _TableEntry) -> pl.DataFrame:
    path = folder / TABLES[name].file_name
    try:
        if (got := sha256_of(path)) != entry.sha256:
            raise InputError(
                f"{path} has sha256 {got}, and {MANIFEST} says {entry.sha256}: it was changed or "
                "cut short; import or export it again"
            )
        return pl.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; import or export the dataset again") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
