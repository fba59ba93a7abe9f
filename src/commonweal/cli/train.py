"""``commonweal train``: models from rated rounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from commonweal.cli.options import Set
from commonweal.cli.progress import StageBars

EXAMPLE = "Example: commonweal train reward CONFIG.toml"
EXAMPLE_SFT = "Example: commonweal train sft CONFIG.toml"
app = typer.Typer(
    help="Train models on rated rounds (extra `train`).", epilog=EXAMPLE, no_args_is_help=True
)

Config = Annotated[Path, typer.Argument(help="The config of the run (TOML).", show_default=False)]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Start over in a folder that was begun with another config."),
]


@app.command("reward", epilog=EXAMPLE)
def reward(
    config: Config,
    overwrite: Overwrite = False,
    sets: Set = None,
) -> None:
    """Train a reward model, calibrate it, export it to run without torch and write its model card.

    Run the same command again to continue a run that was interrupted.
    """
    from commonweal.training.config import RewardConfig, read_config

    read = read_config(config, RewardConfig, sets or ())
    with extra_needed():
        from commonweal.training.reward.run import run_reward
    stages = {"train": "Training", "export": "Exporting", "measure": "Measuring"}
    with StageBars(stages) as bars:
        for line in run_reward(read, overwrite=overwrite, on_progress=bars.update):
            typer.echo(line)


@app.command("sft", epilog=EXAMPLE_SFT)
def sft(
    config: Config,
    overwrite: Overwrite = False,
    sets: Set = None,
) -> None:
    """Fine-tune a policy on statements that people rated high, and export it (paper 3.4 step 2).

    The result runs without torch if its base is the packaged model. Run the same command again to
    continue a run that was interrupted.
    """
    from commonweal.training.config import SftConfig, read_config

    read = read_config(config, SftConfig, sets or ())
    with extra_needed():
        from commonweal.training.sft.run import run_sft
    with StageBars({"train": "Training", "merge": "Merging"}) as bars:
        for line in run_sft(read, overwrite=overwrite, on_progress=bars.update):
            typer.echo(line)


@app.command("new", epilog="Example: commonweal train new sft CONFIG.toml")
def new(
    kind: Annotated[
        Literal["sft", "reward"],
        typer.Argument(help="What to train: a policy (sft) or a reward model (reward)."),
    ],
    config: Annotated[Path, typer.Argument(help="A new file for the config.", show_default=False)],
) -> None:
    """Write a config to start from, with every field, its default and what it means."""
    from commonweal.training.starters import write_starter

    write_starter(config, kind)
    typer.echo(f"Wrote {config}. Edit it, then: commonweal train {kind} {config}")


@contextmanager
def extra_needed() -> Iterator[None]:
    """Says what to install where the packages of the extra ``train`` are not there."""
    from commonweal.extras import needs

    with needs("train", "training"):
        yield
