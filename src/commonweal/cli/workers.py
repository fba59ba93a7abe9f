"""The options of every command whose work any number of processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonweal.batch.working import Workers

N = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="How many worker processes to use. More than one runs on Ray (extra scale). Default: "
        "1, or with --ray one for each of the cluster's processors.",
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="The Ray cluster to use: HOST:PORT of its head, or auto. Default: none; several "
        "workers start a Ray on this machine while the command runs.",
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        min=1,
        help="How many processors each worker uses. Another number may change the last digits of a "
        "result.",
    ),
]
Gpus = Annotated[float, typer.Option(min=0, help="On Ray: GPUs for each worker, for hf: engines.")]
InFlight = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="The most requests to servers at once, from all workers together. Default: 16 with an "
        "openai: engine.",
    ),
]


def asked_for(
    n: int | None,
    ray: str | None,
    threads: int,
    gpus: float,
    in_flight: int | None,
    say: Callable[[str], None],
) -> Workers | None:
    """The workers that the options ask for; None where none of them was given.

    The command then works in its own process, with all processors.
    """
    if (n, ray, threads, gpus, in_flight) == (None, None, 1, 0, None):
        return None
    from commonweal.batch.working import Workers

    return Workers(n, ray, threads, gpus, in_flight, say=say)
