"""``commonweal study simulate``: a rehearsal by simulated people, with the study's own arms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from commonweal.cli.options import Set, seed_option
from commonweal.cli.progress import StageBars
from commonweal.cli.study_asking import ask_models, counted, needs_extra

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.participants.latent import LatentCrowd
    from commonweal.study.simulation.simulate import Report

EXAMPLE = "Example: commonweal study simulate buses --people 10"
WITH_STOCK = 60
"""People, unless said otherwise, where no model has to write."""
_STAGES = {"people": "People", "write": "Writing, arm by arm"}
_STOCK_NOTE = (
    "Stock sentences stood in for every model, and their rewards are random: this shows that the "
    "study runs, and nothing about its arms."
)


def simulate(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="The study's folder.")],
    people: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2000,
            help=f"How many people join. Default: one group, or {WITH_STOCK} with --writer stock.",
        ),
    ] = None,
    profile: Annotated[
        Literal["usual", "steady", "bad line"],
        typer.Option(
            help="How simulated people behave. steady: nobody drops out or leaves. bad line: "
            "more of them drop out, leave and reload pages."
        ),
    ] = "usual",
    seed: Annotated[int, seed_option("the same order")] = 0,
    writer: Annotated[
        Literal["arms", "stock"],
        typer.Option(
            help="arms: the study's own models write. stock: ready-made sentences, without a model."
        ),
    ] = "arms",
    participants: Annotated[
        Literal["crude", "latent"],
        typer.Option(
            help="crude: rate by words alone. latent: have a hidden position, so that the truth "
            "is known; they know only the questions of their bank."
        ),
    ] = "crude",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write the records to this folder, marked as simulated."
        ),
    ] = None,
    sets: Set = None,
) -> None:
    """Rehearse a study with simulated people, on a copy, with a real server and real arms.

    The models write as they will for people; all other waiting is skipped. The ratings are
    simulated: they show how the study runs and say nothing about people.
    """
    needs_extra()
    import tempfile

    from commonweal.datasets.dataset import check_output_folder, read_dataset
    from commonweal.study.config import read_study
    from commonweal.study.export.dataset import export_study
    from commonweal.study.simulation.simulate import PROFILES, TellingWriter
    from commonweal.study.simulation.simulate import simulate as simulated
    from commonweal.study.simulation.stock import StockWriter
    from commonweal.study.storage.clock import ManualClock
    from commonweal.study.storage.folder import FILE
    from commonweal.study.storage.store import Store
    from commonweal.study.web.app import App
    from commonweal.study.writing.writer import ProcessWriter

    config = read_study(name / FILE, sets or ())
    if out is not None:
        check_output_folder(out, overwrite=False)
    process = ProcessWriter() if writer == "arms" else None
    n_people = people or (config.group.size if process else WITH_STOCK)
    n_writings = max(1, n_people // config.group.size) * config.rounds.count * len(config.arms)
    crowd = _crowd(seed) if participants == "latent" else None
    try:
        if process is not None:
            ask_models(process, config)
        with tempfile.TemporaryDirectory() as folder, StageBars(_STAGES) as bars:
            clock = ManualClock()
            store = Store(f"sqlite:///{folder}/simulated.db", clock=clock)
            study_id = store.open_study(config)
            app = App(
                store,
                study_id,
                writer=TellingWriter(process or StockWriter(), n_writings, bars.update),
                in_background=False,
                simulated=True,
            )
            report = simulated(
                app,
                clock,
                n_people=n_people,
                profile=PROFILES[profile],
                seed=seed,
                crowd=crowd,
                on_progress=bars.update,
            )
            to = out or Path(folder) / "data"
            export_study(store, study_id, to, truths=report.truths if crowd else None)
            dataset = read_dataset(to)
            store.close()
    finally:
        if process is not None:
            process.close()
    _say(report, dataset, n_people, is_stock=process is None, has_truth=crowd is not None)
    if out is not None:
        typer.echo(f"Wrote {out} (simulated); what its arms did: commonweal evaluate {out}")
    if report.stuck or report.lost or report.failures:
        for line in (*report.stuck, *report.lost, *report.failures)[:20]:
            typer.echo(f"  {line}", err=True)
        raise typer.Exit(1)


def _crowd(seed: int) -> LatentCrowd:
    from commonweal.participants.latent import LatentCrowd

    return LatentCrowd(seed)


def _say(
    report: Report, dataset: Dataset, n_people: int, *, is_stock: bool, has_truth: bool
) -> None:
    """What came of it; the counts are the dataset's."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from commonweal.datasets.arms import arms_of

    typer.echo(
        f"{n_people} simulated people, {report.n_requests} requests, "
        f"{report.simulated_seconds / 60:.0f} simulated minutes in {report.wall_seconds:.0f} s"
    )
    for outcome, n in report.outcomes.most_common():
        typer.echo(f"  {n:5} {outcome}")
    typer.echo(counted(dataset))
    typer.echo(
        f"Stuck: {len(report.stuck)}. Lost: {len(report.lost)}. "
        f"Rounds in which an arm wrote nothing: {len(report.failures)}."
    )
    if is_stock:
        typer.echo(_STOCK_NOTE)
    console = Console(markup=False, highlight=False, emoji=False)
    arms = Table(box=box.SIMPLE)
    for title in ("Arm", "What it is", "Shown", "Mean agreement (simulated)"):
        arms.add_column(title)
    shown = dataset.candidates.filter("shown")
    rated = dataset.ratings.join(shown, on=["round_id", "candidate_id"])
    for arm in arms_of(dataset.about).values():
        mine = rated.filter(rated["policy"] == arm.name)["agreement"].drop_nulls()
        arms.add_row(
            arm.name,
            arm.described,
            str(shown.filter(shown["policy"] == arm.name).height),
            f"{sum(mine) / len(mine):.2f}" if len(mine) else "nobody rated it",
        )
    console.print(arms)
    if has_truth:
        _say_truth(console, dataset)


def _say_truth(console: object, dataset: Dataset) -> None:
    """Win rates from simulated ratings beside the truth."""
    from rich import box
    from rich.table import Table

    from commonweal.study.simulation.truth import true_win_rates

    table = Table(box=box.SIMPLE)
    for title in ("Win rate (mean agreement)", "By ratings", "95 %", "True", "Rounds"):
        table.add_column(title, justify="left" if title.startswith("Win") else "right")
    for rate in true_win_rates(dataset):
        table.add_row(
            f"{rate.first} over {rate.second}",
            f"{rate.measured:.1%}",
            "" if rate.low is None or rate.high is None else f"{rate.low:.0%}-{rate.high:.0%}",
            f"{rate.true:.1%}",
            str(rate.n_rounds),
        )
    console.print(table)  # type: ignore[attr-defined]
