"""``commonweal iterate``: the whole training loop, and how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from commonweal.cli import workers as options
from commonweal.cli.options import Set
from commonweal.cli.progress import StageBars
from commonweal.cli.train import extra_needed

if TYPE_CHECKING:
    from commonweal.batch.working import Workers
    from commonweal.training.loop.loop import Loop

EXAMPLE = "Example: commonweal iterate PLAN.toml"
_STAGES = {
    "opinions": "Opinions",
    "generate": "Writing statements",
    "read": "Reading statements",
    "rate": "Rating",
    "train": "Training",
    "export": "Exporting",
    "measure": "Measuring",
    "merge": "Merging",
    "evaluate": "Evaluating",
}


class _RunByDefault(TyperGroup):
    """``iterate PLAN.toml`` is ``iterate run PLAN.toml``."""

    default = "run"

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = args and (args[0] in self.commands or args[0].startswith("-"))
        return super().resolve_command(ctx, args if known else [self.default, *args])


app = typer.Typer(
    cls=_RunByDefault,
    help="Repeat the training loop: generate, rate, fine-tune, train the reward model, evaluate "
    "(paper 3.4).",
    epilog=EXAMPLE,
    no_args_is_help=True,
)
Plan = Annotated[Path, typer.Argument(help="The plan of the loop (TOML).", show_default=False)]


@app.command("run", epilog="Example: commonweal iterate run PLAN.toml")
def run(
    plan: Plan,
    workers: options.N = None,
    ray: options.Ray = None,
    threads: options.Threads = 1,
    gpus_per_worker: options.Gpus = 0.0,
    in_flight: options.InFlight = None,
    sets: Set = None,
) -> None:
    """Run the stages of a training loop that are not done yet. You may leave out `run`.

    A stage that was interrupted continues where it stopped; people played by a language model are
    asked again. If the plan changed, only what depends on the change is done again. Several workers
    share what is written and predicted, round by round (docs/scale.md); without an option for them,
    models have all processors.
    """
    with StageBars(_STAGES) as bars:
        crew = options.asked_for(workers, ray, threads, gpus_per_worker, in_flight, bars.say)
        loop = _loop(plan, sets, crew)
        for line in loop.run(on_progress=bars.update):
            typer.echo(line)
    if loop.states()[-1].state == "done":
        evaluation = loop.plan.out / "evaluate"
        from commonweal.cli.evaluate import say
        from commonweal.datasets.dataset import read_dataset
        from commonweal.evaluation.evaluate import evaluate

        evaluated = evaluate(
            read_dataset(evaluation / "rated"),
            n_resamples=loop.plan.evaluation.n_resamples,
            seed=loop.plan.seed,
        )
        typer.echo("")
        say(evaluated)
        typer.echo(f"The whole report: {evaluation / 'report.html'}")


@app.command("status", epilog="Example: commonweal iterate status PLAN.toml")
def status(plan: Plan, sets: Set = None) -> None:
    """Show which stages of a training loop are done, begun, out of date, or waiting for people."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    loop = _loop(plan, sets)
    from commonweal.training.loop.loop import described

    table = Table(box=box.SIMPLE)
    for name in ("Stage", "What", "State", "Done at (UTC)", "Counts"):
        table.add_column(name)
    for state in loop.states():
        table.add_row(
            state.name,
            state.what,
            state.state,
            state.done_at.removesuffix("+00:00").replace("T", " "),
            described(state.counts or {}),
        )
    Console(markup=False, highlight=False, emoji=False).print(table)


@app.command("new", epilog="Example: commonweal iterate new PLAN.toml")
def new(
    plan: Annotated[Path, typer.Argument(help="A new file for the plan.", show_default=False)],
    people: Annotated[
        Literal["latent", "study"],
        typer.Option(
            help="latent: simulated people. study: real people; the loop waits for the exports "
            "of their studies."
        ),
    ] = "latent",
) -> None:
    """Write a plan to start from, with every field, its default and what it means."""
    from commonweal.training.starters import write_starter

    write_starter(plan, "iterate study" if people == "study" else "iterate latent")
    typer.echo(f"Wrote {plan}. Edit it, then: commonweal iterate {plan}")


def _loop(plan: Path, sets: list[str] | None, workers: Workers | None = None) -> Loop:
    from commonweal.training.config import read_config
    from commonweal.training.loop.plan import IteratePlan

    read = read_config(plan, IteratePlan, sets or ())
    with extra_needed():
        from commonweal.training.loop.loop import Loop

        return Loop(read, workers=workers)
