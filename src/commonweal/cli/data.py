"""``commonweal data``: datasets in the record format, checked, split and described."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commonweal.cli.data_convert import Folder, Out, export, fetch, import_, say_last_step, template
from commonweal.cli.options import Overwrite, seed_option

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset

app = typer.Typer(
    name="data",
    help="Import votes and ratings from elsewhere, check them and split them.",
    epilog="Example: commonweal data import polis EXPORT_FOLDER --out buses",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

app.command(
    "import",
    epilog='Example: commonweal data import polis exports/* --out votes --licence "CC BY 4.0"',
)(import_)
app.command(epilog="Example: commonweal data template ratings.csv")(template)
app.command(epilog="Example: commonweal data fetch habermas-machine --to downloads")(fetch)
app.command(epilog="Example: commonweal data export buses --to hub --out buses-hub")(export)


@app.command(epilog="Example: commonweal data check buses")
def check(folder: Folder) -> None:
    """List everything in a dataset that breaks the record format.

    Prints at most one line for each column and kind of problem. Exits with 2 if there are any.
    """
    from commonweal.datasets.dataset import read_unchecked
    from commonweal.datasets.validation import problems

    dataset = read_unchecked(folder)
    problems_found = list(problems(dataset, folder))
    for problem in problems_found:
        typer.echo(problem)
    if problems_found:
        raise typer.Exit(2)
    sizes = ", ".join(
        f"{table.height:,} {name.replace('_', ' ')}"
        for name, table in dataset.tables().items()
        if table.height
    )
    typer.echo(f"{folder} keeps the format: {sizes}")


@app.command(
    epilog="Example: commonweal data split votes --out split --to football=ood_test --rest train"
)
def split(
    folder: Folder,
    out: Out,
    iid_test: Annotated[
        float, typer.Option(help="Share of the questions for the within-distribution test.")
    ] = 0.2,
    ood_test: Annotated[
        float,
        typer.Option(
            help="Share of the questions for the out-of-distribution test. Takes whole topics, "
            "so the data need topics."
        ),
    ] = 0.0,
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="QUESTION_ID=SPLIT", help="Put this question into this split. Repeatable."
        ),
    ] = None,
    rest: Annotated[
        str | None, typer.Option(help="With --to: the split for all other questions.")
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take the splits from a question set (.csv) instead."),
    ] = None,
    seed: Annotated[int, seed_option("the same split")] = 0,
    again: Annotated[
        bool, typer.Option("--again", help="Replace the splits that the dataset has.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Split a dataset by question, never by row: by shares, by name or by a question set."""
    from commonweal.datasets.dataset import check_output_folder, read_dataset, write_dataset
    from commonweal.datasets.splits import (
        read_without_splits,
        split_by_mapping,
        split_by_question_set,
        split_by_share,
    )
    from commonweal.errors import InputError

    if to and questions is not None:
        raise InputError("--to and --questions both give splits; expected one of them")
    if rest is not None and not to:
        raise InputError("--rest is for the questions that no --to names; expected --to")
    check_output_folder(out, overwrite=overwrite)
    dataset = read_without_splits(folder) if again else read_dataset(folder)
    if to:
        dataset = split_by_mapping(dataset, _mapping(dataset, to, rest), again=again)
    elif questions is not None:
        dataset = split_by_question_set(dataset, questions, again=again)
    else:
        dataset = split_by_share(
            dataset, iid_test=iid_test, ood_test=ood_test, seed=seed, again=again
        )
    write_dataset(dataset, out, overwrite=overwrite)
    say_last_step(dataset)
    typer.echo(f"Wrote {out}")


@app.command(
    epilog="Example: commonweal data describe buses --min-kappa 0.2 --max-pairs-per-person 200"
)
def describe(
    folder: Folder,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the datasheet to this file: .md or .json."),
    ] = None,
    min_kappa: Annotated[
        float | None,
        typer.Option(help="Also count what is left without people whose kappa is lower."),
    ] = None,
    max_pairs_per_person: Annotated[
        int | None,
        typer.Option(
            help="Also count the pairs that are left if each person gives at most this many a "
            "round."
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Show the datasheet: source, licence, what was dropped and why, what the data can be used for.

    --min-kappa and --max-pairs-per-person are also fields of a training config. Try them here to
    see what they would drop.
    """
    import json

    from commonweal.datasets.dataset import read_dataset
    from commonweal.datasets.datasheet import as_markdown
    from commonweal.datasets.datasheet import describe as sheet_of
    from commonweal.errors import InputError
    from commonweal.files import check_new, write_whole

    if out is not None:
        if out.suffix not in (".md", ".json"):
            raise InputError(f"--out {out} ends in {out.suffix!r}, expected .md or .json")
        check_new(out, overwrite=overwrite)
    dataset = read_dataset(folder)
    sheet = sheet_of(dataset, min_kappa=min_kappa, max_pairs_per_person=max_pairs_per_person)
    if out is None:
        typer.echo(as_markdown(sheet), nl=False)
        return
    as_json = json.dumps(sheet, ensure_ascii=False, indent=2) + "\n"
    write_whole(out, as_json if out.suffix == ".json" else as_markdown(sheet))
    typer.echo(f"Wrote {out}")


def _mapping(dataset: Dataset, given: list[str], rest: str | None) -> dict[str, str]:
    from commonweal.errors import InputError

    splits: dict[str, str] = {}
    for each in given:
        name, equals, split = each.rpartition("=")
        if not equals:
            raise InputError(f"--to {each!r}: expected QUESTION_ID=SPLIT")
        if splits.setdefault(name, split) != split:
            raise InputError(f"--to names {name!r} twice: {splits[name]} and {split}")
    if rest is not None:
        splits = dict.fromkeys(dataset.rounds["question_id"], rest) | splits
    return splits
