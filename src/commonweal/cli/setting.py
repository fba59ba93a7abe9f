"""The option ``--set`` of every command that takes a config file."""

from __future__ import annotations

from typing import Annotated

import typer

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace the value of one of the file's fields, as in training.max_steps=20. "
        "Repeatable.",
    ),
]
