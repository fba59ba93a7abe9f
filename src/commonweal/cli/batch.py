"""``commonweal batch``: the main job for thousands of groups, on one machine or a Ray cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from commonweal.cli import workers as options
from commonweal.cli.progress import StageBars
from commonweal.errors import CommonwealError
from commonweal.models import DEFAULT_MODEL
from commonweal.rewards import DEFAULT_REWARD_MODEL

EXAMPLE = "Example: commonweal batch examples/groups --out out/batch --workers 2"

_N_SHOWN = 5
"""Groups that were set aside and are shown; the file has all."""


def batch(
    groups: Annotated[
        Path,
        typer.Argument(
            help="Many groups: a folder of group files, a dataset, a .jsonl with a group a line, "
            "or a table or .parquet with the columns group, question and opinion.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Where the results go. The same command continues in the same folder.",
            show_default=False,
        ),
    ],
    workers: options.N = None,
    ray: options.Ray = None,
    threads: options.Threads = 1,
    gpus_per_worker: options.Gpus = 0.0,
    in_flight: options.InFlight = None,
    tries: Annotated[
        int,
        typer.Option(
            min=1,
            help="How often a group is tried, if an engine fails on it or its worker dies, before "
            "it is set aside.",
        ),
    ] = 3,
    timeout_seconds: Annotated[
        float | None, typer.Option(help="The longest time that one try of one group may take.")
    ] = None,
    welfare: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What counts as best for a group, as for agree."),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Inequality aversion, 0 to inf, instead of --welfare.")
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(min=1, help="How many candidates to write for each group.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml|FOLDER", help="What writes the candidates, as for agree."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="The language model, as for agree.")] = DEFAULT_MODEL,
    reward_model: Annotated[
        str,
        typer.Option(
            metavar="NAME|FOLDER", help="What predicts agreement: the names are those of agree."
        ),
    ] = DEFAULT_REWARD_MODEL,
    min_quality: Annotated[
        float | None,
        typer.Option(
            min=1, max=7, help="The lowest quality that a chosen candidate may have, as for agree."
        ),
    ] = None,
    min_agreeing: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="The smallest share of a group that must be predicted to agree."
        ),
    ] = 0.0,
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="The random seed; each group has its own, from this and its text."
        ),
    ] = 0,
) -> None:
    """Find statements for many groups, and continue where an interrupted run stopped.

    Writes a dataset (the record format) of candidates, predictions and picks into FOLDER/dataset,
    and the groups that could not be done, with the reason, into FOLDER/set_aside.jsonl. The same
    groups and options give the same files, however many workers there are.
    """
    from commonweal.batch.reading import read_groups
    from commonweal.batch.running import SET_ASIDE, run_batch
    from commonweal.batch.working import Workers

    read = read_groups(groups, say=lambda text: typer.echo(text, err=True))
    with StageBars({"batch": "Groups"}) as bars:
        try:
            done = run_batch(
                read,
                out,
                source=groups.resolve().stem,
                workers=Workers(workers, ray, threads, gpus_per_worker, in_flight, tries, bars.say),
                on_done=lambda n, of: bars.update("batch", n, of),
                policy=policy,
                model=model,
                reward=reward_model,
                welfare=welfare,
                alpha=alpha,
                n_candidates=candidates,
                min_quality="auto" if min_quality is None else min_quality,
                min_agreeing=min_agreeing,
                seed=seed,
                timeout_seconds=timeout_seconds,
            )
        except KeyboardInterrupt:
            bars.say(f"Stopped. Finished groups are kept in {out}; the same command continues.")
            raise
    n_done = sum(done.counts.values()) - len(done.set_aside)
    counts = ", ".join(f"{n:,} {what}" for what, n in sorted(done.counts.items()) if n)
    typer.echo(f"{len(read):,} groups ({done.n_found_now:,} found now): {counts}")
    typer.echo(f"Wrote {done.dataset}")
    for name, reason in list(done.set_aside.items())[:_N_SHOWN]:
        sys.stderr.write(f"set aside: {name}: {reason}\n")
    if len(done.set_aside) > _N_SHOWN:
        sys.stderr.write(f"... and {len(done.set_aside) - _N_SHOWN:,} more: {out / SET_ASIDE}\n")
    if not n_done:
        raise CommonwealError(f"no group could be done; the reasons are in {out / SET_ASIDE}")
