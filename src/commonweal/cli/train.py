"""``commonweal train``: models from rated rounds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commonweal.cli.progress import StageBars

EXAMPLE = "Example: commonweal train reward CONFIG.toml"
app = typer.Typer(
    help="Train models on rated rounds (extra `train`).", epilog=EXAMPLE, no_args_is_help=True
)


@app.command("reward", epilog=EXAMPLE)
def reward(
    config: Annotated[Path, typer.Argument(help="The run's config, TOML.", show_default=False)],
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Begin anew in a folder begun with another config."),
    ] = False,
) -> None:
    """Train a reward model, calibrate it, export it to run without torch, write its model card.

    A run that was broken off goes on where it stopped: give the same command again.
    """
    from commonweal.errors import EngineError
    from commonweal.training.config import RewardConfig, read_config

    read = read_config(config, RewardConfig)
    try:
        from commonweal.training.reward_run import run_reward
    except ImportError as error:
        raise EngineError(
            f"training needs packages that are not installed ({error.name}); "
            "run `pip install 'commonweal[train]'`"
        ) from error
    with StageBars({"train": "Training"}) as bars:
        for line in run_reward(read, overwrite=overwrite, on_progress=bars.update):
            typer.echo(line)
