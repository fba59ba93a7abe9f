"""The option ``--set`` of every command that takes a config file."""

from __future__ import annotations

from typing import Annotated

import typer

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A field of the file, with another value, such as training.max_steps=20; repeatable.",
    ),
]
