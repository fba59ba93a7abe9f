"""``commonweal data``: what comes from elsewhere, and what goes there (import, fetch, export)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commonweal.cli.options import Overwrite
from commonweal.cli.progress import StageBars

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonweal.datasets.dataset import Dataset

KINDS = {
    "polis": "folders of Polis exports, one conversation each",
    "deliberation": "deliberation ratings, .jsonl",
    "deliberation-pairs": "a folder with pairs.jsonl and statements.jsonl: which of two is better",
    "remesh": "a Remesh export's NAME_binary.csv, with NAME_verbatim_map.csv beside it",
    "graded": "graded groups, .jsonl: every opinion with every statement, graded by their writer",
    "habermas-machine": "a folder with the Habermas Machine's Parquet files",
    "ratings": "ratings from anywhere: one table, .csv, .xlsx or .parquet, a row for each rating",
    "otree": "an oTree export, of one app or of all",
    "deliberate-lab": "Deliberate Lab's download of an experiment, NAME_data.zip or NAME.json",
    "simulated-jury": "a folder with sensemaking-tools' participants.csv and statements.csv",
    "rounds": "a folder in the record format: a study's export, or another dataset",
}

_TAKEN_BY = {
    "opinions": ("polis",),
    "n_votes": ("polis",),
    "simulated": ("polis", "ratings", "otree", "simulated-jury"),
    "column": ("ratings", "otree"),
    "scale": ("ratings", "otree", "deliberate-lab"),
    "opinion_question": ("deliberate-lab",),
    "balanced": ("deliberation-pairs",),
    "leave_out": ("remesh",),
    "question": ("polis", "simulated-jury"),
    "turn_signs": ("polis",),
    "licence": tuple(kind for kind in KINDS if kind != "habermas-machine"),
    "attribution": tuple(kind for kind in KINDS if kind != "habermas-machine"),
    "seed": ("polis", "deliberation-pairs"),
}
"""The options that some kinds have no use for."""

TARGETS = {
    "hub": "a folder for the Hugging Face hub and Croissant: Parquet, README.md, croissant.json",
    "otree": "a .csv as oTree writes an app's table",
    "deliberate-lab": "a .json as Deliberate Lab downloads an experiment",
    "simulated-jury": "a folder with participants.csv and statements.csv for each round, and "
    "rounds.csv, which says which is which",
}

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A dataset.")]
Out = Annotated[Path, typer.Option(metavar="FOLDER", help="The dataset to write.")]


def import_(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.")],
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="The files or folders to read. Several become one dataset."
        ),
    ],
    out: Out,
    name: Annotated[
        str | None,
        typer.Option(
            help="The dataset's name. Default: the name of --out. With a single Polis export, the "
            "rounds take the name given here; without it they are named after PATH. With a single "
            "table of ratings or oTree export, it stands before the groups' names if given here."
        ),
    ] = None,
    opinions: Annotated[
        str,
        typer.Option(
            help="Polis: where a person's opinion comes from. written: their comments. votes: "
            "some of their votes, as text."
        ),
    ] = "written",
    n_votes: Annotated[
        int, typer.Option("--votes", min=1, help="Polis: how many votes make an opinion.")
    ] = 5,
    simulated: Annotated[
        bool,
        typer.Option(
            "--simulated",
            help="Polis, ratings, oTree, simulated jury: mark the data as made by a program or a "
            "model, not by people.",
        ),
    ] = False,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=NAME", help="Ratings, oTree: which column holds a field. Repeatable."
        ),
    ] = None,
    scale: Annotated[
        str,
        typer.Option(
            help="Ratings, oTree, Deliberate Lab: the scale that people used: likert-7, likert-5 "
            "or vote."
        ),
    ] = "likert-7",
    opinion_question: Annotated[
        str | None,
        typer.Option(
            metavar="TITLE",
            help="Deliberate Lab: the text question with people's opinions, by title or id. "
            "Default: the last one before each rating.",
        ),
    ] = None,
    balanced: Annotated[
        bool,
        typer.Option(
            "--balanced",
            help="Deliberation pairs: keep as many people who prefer the first statement as the "
            "second.",
        ),
    ] = False,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="QUESTION", help="Remesh: leave out this question, by id or text. Repeatable."
        ),
    ] = None,
    question: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Polis, simulated jury: what people were asked, if the data do not say it.",
        ),
    ] = None,
    turn_signs: Annotated[
        bool,
        typer.Option(
            "--turn-signs",
            help="Polis: use this if the export has 1 for disagree and -1 for agree.",
        ),
    ] = False,
    licence: Annotated[str, typer.Option(help="The licence of the data.")] = "",
    attribution: Annotated[
        str, typer.Option(help="The attribution that the licence asks for.")
    ] = "",
    seed: Annotated[
        int, typer.Option(min=0, help="Polis, deliberation pairs: the random seed.")
    ] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Convert data from another format into a dataset.

    The dataset records how many rows were dropped, and why. An option that KIND has no use for is
    refused.
    """
    from commonweal.datasets.dataset import check_output_folder, write_dataset
    from commonweal.datasets.merging import merge
    from commonweal.errors import InputError

    if kind not in KINDS:
        known = "; ".join(f"{each}: {what}" for each, what in KINDS.items())
        raise InputError(f"no kind {kind!r} to import; expected one of: {known}")
    _refuse_without_effect(context, kind)
    check_output_folder(out, overwrite=overwrite)
    for given in map(str, (*paths, out, name, licence, attribution)):
        try:
            given.encode()
        except UnicodeEncodeError:
            raise InputError(f"{given!r} is not UTF-8; expected names and texts that are") from None
    about: dict[str, Any] = {"licence": licence, "attribution": attribution}
    people = "simulated" if simulated else "human"
    options: dict[str, dict[str, Any]] = {
        "polis": {"opinions": opinions, "n_votes": n_votes, "seed": seed, "simulated": simulated}
        | {"question": question, "turn_signs": turn_signs},
        "deliberation-pairs": {"balanced": balanced, "seed": seed},
        "remesh": {"leave_out": tuple(leave_out or ())},
        "ratings": {"columns": read_pairs(column), "scale": scale, "people": people},
        "otree": {"columns": read_pairs(column), "scale": scale, "people": people},
        "deliberate-lab": {"opinion": opinion_question, "scale": scale},
        "simulated-jury": {"question": question, "people": people},
    }
    own_name = name if len(paths) == 1 else None
    datasets = [_read(kind, path, own_name, options.get(kind, {}) | about) for path in paths]
    name = name or out.name
    dataset = merge(datasets, name=name) if len(datasets) > 1 else datasets[0]
    write_dataset(_named(dataset, name), out, overwrite=overwrite)
    for each in datasets:
        say_last_step(each)
    if len(datasets) > 1:
        say_last_step(dataset)
    typer.echo(f"Wrote {out}")
    if not dataset.about.licence:
        typer.echo(
            "No licence is given (--licence): find it out before you share anything made from this"
        )


def template(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .csv file to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Write a template for a table of ratings. Replace its made-up rows with your own.

    `commonweal evaluate FILE` reads it, and `commonweal data import ratings FILE` makes a dataset.
    """
    from commonweal.datasets.importers.ratings_columns import FIELDS
    from commonweal.datasets.importers.ratings_template import write_template

    write_template(path, overwrite=overwrite)
    typer.echo(f"Wrote {path}: replace its rows with your own. Columns:")
    for name, field in FIELDS.items():
        typer.echo(f"  {name}: {field.meaning}" + ("" if field.required else " (may be left out)"))
    typer.echo(f"Next: commonweal evaluate {path} --report evaluation.html")


def fetch(
    name: Annotated[str, typer.Argument(help="Which dataset; there is one: habermas-machine.")],
    to: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Where to put the files. The folder is made if needed."
        ),
    ] = Path("habermas_machine"),
) -> None:
    """Download a public dataset and check its size and sha256.

    Run the same command again to continue a download that was interrupted.
    """
    from commonweal.datasets.importers.download import fetch_files, source_named

    source = source_named(name)
    with StageBars({file.name: file.name for file in source.files}, in_bytes=True) as bars:
        fetch_files(source, to, on_progress=bars.update)
    typer.echo(f"{len(source.files)} files in {to}, sizes and sha256 as published")
    typer.echo(f"Licence: {source.licence}. {source.attribution}")
    typer.echo(f"Next: commonweal data import {name} {to} --out {name}")


def export(
    folder: Folder,
    to: Annotated[str, typer.Option(help=f"One of {', '.join(TARGETS)}.")],
    out: Annotated[Path, typer.Option(metavar="PATH", help="The file or folder to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Write a dataset in another program's format.

    docs/compatibility.md says what each format has no place for.
    """
    from commonweal.datasets.dataset import check_output_folder, read_dataset, write_dataset
    from commonweal.datasets.hub import card, croissant
    from commonweal.datasets.importers.deliberate_lab import deliberate_lab_json
    from commonweal.datasets.importers.otree import otree_csv
    from commonweal.datasets.importers.simulated_jury import (
        PARTICIPANTS,
        ROUNDS,
        STATEMENTS,
        jury_files,
    )
    from commonweal.datasets.schema import CARD, CROISSANT
    from commonweal.errors import InputError
    from commonweal.files import (
        check_new,
        check_outputs,
        check_replaceable,
        replaced_folder,
        write_whole,
    )

    if to not in TARGETS:
        known = "; ".join(f"{each}: {what}" for each, what in TARGETS.items())
        raise InputError(f"no format {to!r} to export to; expected one of: {known}")
    if to == "hub":
        check_output_folder(out, overwrite=overwrite)
    elif to == "simulated-jury":
        check_replaceable(
            out,
            files=(ROUNDS, PARTICIPANTS, STATEMENTS),
            what="an export for a simulated jury",
            overwrite=overwrite,
            inputs={"dataset": folder},
        )
    else:
        check_outputs({"--out": out}, inputs={"the dataset": folder})
        check_new(out, overwrite=overwrite)
    dataset = read_dataset(folder)
    if to == "hub":
        write_dataset(dataset, out, overwrite=overwrite)
        write_whole(out / CARD, card(dataset))
        write_whole(out / CROISSANT, croissant(dataset, out))
    elif to == "simulated-jury":
        files = jury_files(dataset)
        with replaced_folder(out) as new:
            new.mkdir()
            for name, text in files.items():
                write_whole(new / name, text)
    else:
        write_whole(out, (otree_csv if to == "otree" else deliberate_lab_json)(dataset))
    typer.echo(f"Wrote {out}: {TARGETS[to]}")


def _refuse_without_effect(context: typer.Context, kind: str) -> None:
    """Raises ``InputError`` for an option that was given and that this kind has no use for."""
    from commonweal.errors import InputError

    for option in context.command.params:
        name = option.name or ""
        taken_by = _TAKEN_BY.get(name, (kind,))
        # A repeatable option that was not given is [], and its default None.
        if kind not in taken_by and (context.params[name] or None) != (option.default or None):
            raise InputError(
                f"{option.opts[0]} has no effect for {kind}; leave it out (it is for "
                f"{', '.join(taken_by)})"
            )


def _licensed(dataset: Dataset, path: Path, given: dict[str, str]) -> Dataset:
    """The dataset under the licence that is given, where it has none yet.

    Raises:
        InputError: it says another.
    """
    from commonweal.errors import InputError

    about = dataset.about
    for name, known in (("licence", about.licence), ("attribution", about.attribution)):
        said = given[name]
        if said and known and known != said:
            raise InputError(
                f"--{name} is {said!r}, and {path} has {known!r} already; expected the same, or "
                "none"
            )
    licence, attribution = given["licence"] or about.licence, given["attribution"]
    about = replace(about, licence=licence, attribution=attribution or about.attribution)
    return replace(dataset, about=about)


def _read(kind: str, path: Path, name: str | None, options: dict[str, Any]) -> Dataset:
    from commonweal.datasets.dataset import read_dataset
    from commonweal.datasets.importers.deliberate_lab import import_deliberate_lab
    from commonweal.datasets.importers.deliberation import import_deliberation
    from commonweal.datasets.importers.deliberation_pairs import import_deliberation_pairs
    from commonweal.datasets.importers.graded import import_graded
    from commonweal.datasets.importers.habermas import import_habermas
    from commonweal.datasets.importers.otree import import_otree
    from commonweal.datasets.importers.polis import import_polis
    from commonweal.datasets.importers.ratings_table import import_ratings
    from commonweal.datasets.importers.remesh import import_remesh
    from commonweal.datasets.importers.simulated_jury import import_simulated_jury

    if kind == "habermas-machine":
        return import_habermas(path)
    if kind == "rounds":
        return _licensed(read_dataset(path), path, options)
    importers: dict[str, Callable[..., Dataset]] = {
        "polis": import_polis,
        "deliberation": import_deliberation,
        "deliberation-pairs": import_deliberation_pairs,
        "remesh": import_remesh,
        "graded": import_graded,
        "ratings": import_ratings,
        "otree": import_otree,
        "deliberate-lab": import_deliberate_lab,
        "simulated-jury": import_simulated_jury,
    }
    return importers[kind](path, name=name, **options)


def read_pairs(given: list[str] | None) -> dict[str, str]:
    """FIELD=NAME as field to name."""
    from commonweal.errors import InputError

    pairs: dict[str, str] = {}
    for each in given or []:
        field, equals, name = each.partition("=")
        if not equals or not field.strip() or not name.strip():
            raise InputError(f"--column {each!r}: expected FIELD=NAME, such as policy=arm")
        if pairs.setdefault(field.strip(), name.strip()) != name.strip():
            raise InputError(f"--column names {field.strip()!r} twice; expected it once")
    return pairs


def _named(dataset: Dataset, name: str) -> Dataset:
    from dataclasses import replace

    return replace(dataset, about=replace(dataset.about, name=name))


def say_last_step(dataset: Dataset) -> None:
    """What was done to the dataset last, with counts and notes."""
    from commonweal.datasets.dataset import NOTES

    if not dataset.about.steps:
        return
    step = dataset.about.steps[-1]
    typer.echo(f"{dataset.about.name}: {step.what}")
    for what, n in step.counts.items():
        if n:
            typer.echo(f"  {n:>10,}  {what}")
    for note in step.options.get(NOTES, ()):
        typer.echo(f"  {note}")
