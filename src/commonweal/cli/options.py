"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Model = Annotated[
    str,
    typer.Option(
        help="The language model: embedded, embedded:small, embedded:PATH.gguf, "
        "openai:BASE_URL#MODEL?OPTIONS or hf:PATH. docs/servers.md lists the options of "
        "a server, such as ?timeout_seconds=900&body.enable_thinking=false."
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing output.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace the value of one of the file's fields, as in training.max_steps=20. "
        "Repeatable.",
    ),
]


def seed_option(same: str) -> Any:
    """The option ``--seed``; ``same`` is what the same seed gives: "the same split"."""
    return typer.Option(min=0, help=f"The random seed. The same seed gives {same}.")
