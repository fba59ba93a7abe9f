"""The application that the commands hang on."""

from __future__ import annotations

from typing import Annotated

import typer

from commonweal._version import __version__
from commonweal.cli import (
    agree,
    batch,
    data,
    doctor,
    evaluate,
    iterate,
    models,
    plugins,
    power,
    questions,
    reward,
    study,
    train,
)

app = typer.Typer(
    name="commonweal",
    help="Find a statement that a group of people with different views can stand behind.",
    epilog="Example: commonweal agree GROUP.toml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"commonweal {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Find a statement that a group of people with different views can stand behind."""


app.command("agree", epilog=agree.EXAMPLE)(agree.agree)
app.command("batch", epilog=batch.EXAMPLE)(batch.batch)
app.command("doctor", epilog=doctor.EXAMPLE)(doctor.doctor)
app.command("evaluate", epilog=evaluate.EXAMPLE)(evaluate.evaluate)
app.command("plugins", epilog=plugins.EXAMPLE)(plugins.plugins)
app.command("power", epilog=power.EXAMPLE)(power.power)
app.add_typer(data.app, name="data")
app.add_typer(iterate.app, name="iterate")
app.add_typer(models.app, name="models")
app.add_typer(questions.app, name="questions")
app.add_typer(reward.app, name="reward")
app.add_typer(study.app, name="study")
app.add_typer(train.app, name="train")

command = typer.main.get_command(app)
"""The same, built once: a process may run several commands, or others be forked from it."""
