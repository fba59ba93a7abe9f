"""``commonweal evaluate``: every figure of the paper's section 4 on stored rounds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commonweal.cli.options import seed_option
from commonweal.cli.progress import StageBars

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.evaluation.evaluate import Evaluation

EXAMPLE = "Example: commonweal evaluate rounds/ --report evaluation.html"

_STAGES = {"evaluate": "Figures", "sample": "Mixed models"}


def evaluate(
    rounds: Annotated[
        Path,
        typer.Argument(
            metavar="ROUNDS",
            help="A dataset (the folder with dataset.json), or a table of ratings: .csv, .xlsx or "
            ".parquet.",
        ),
    ],
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML page with plots.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all figures as JSON.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="Compare the other policies with this one. Default: the first of zero_shot, "
            "few_shot and sft_base that the data contain.",
        ),
    ] = None,
    reliability: Annotated[
        float,
        typer.Option(
            metavar="KAPPA", help="Leave out people whose two ratings agree less than this."
        ),
    ] = 0.2,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=NAME", help="For a table: which column holds a field. Repeatable."
        ),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(help="For a table: the scale, likert-7 (the default), likert-5 or vote."),
    ] = None,
    simulated: Annotated[
        bool,
        typer.Option(
            "--simulated", help="For a table: mark the ratings as made by a program, not by people."
        ),
    ] = False,
    resamples: Annotated[
        int, typer.Option(min=1000, help="How many times groups are resampled for each interval.")
    ] = 10_000,
    seed: Annotated[int, seed_option("the same intervals")] = 0,
    regression: Annotated[
        bool,
        typer.Option(
            "--regression",
            help="Sample the posterior of the mixed-effects models (minutes) instead of fitting "
            "them by likelihood (seconds).",
        ),
    ] = False,
) -> None:
    r"""Measure how people rated the statements: win rates, divisiveness, reliability and more.

    Every figure comes with its n, a 95 % interval from resampling whole groups, and a sentence that
    explains it. For a figure that cannot be computed, the reason is given. --regression needs
    bambi: pip install "commonweal\[stats]".
    """
    from commonweal.evaluation.evaluate import evaluate as evaluated
    from commonweal.evaluation.page import write_json, write_page
    from commonweal.evaluation.sections.effects import NoMixedModel
    from commonweal.files import check_outputs

    check_outputs({"--report": report, "--json": json}, inputs={"ROUNDS": rounds})
    dataset = _read(rounds, column, scale, simulated=simulated)
    with StageBars(_STAGES) as bars:
        evaluation = evaluated(
            dataset,
            baseline=_as_recorded(baseline, dataset.candidates["policy"].drop_nulls().unique()),
            n_resamples=resamples,
            seed=seed,
            threshold=reliability,
            sample_mixed_models=regression,
            on_progress=bars.update,
        )
    say(evaluation)
    if report is not None:
        write_page(evaluation, report)
        typer.echo(f"Wrote {report}")
    if json is not None:
        write_json(evaluation, json)
        typer.echo(f"Wrote {json}")
    failed = [one for one in evaluation.figures.values() if isinstance(one.subject, NoMixedModel)]
    if regression and failed:
        for metric in failed:
            typer.echo(f"error: {metric.title}: {metric.unavailable}", err=True)
        raise typer.Exit(1)


def _read(rounds: Path, column: list[str] | None, scale: str | None, *, simulated: bool) -> Dataset:
    """The dataset of a folder, or of a table of ratings."""
    from commonweal.cli.data_convert import read_pairs
    from commonweal.datasets.dataset import read_dataset
    from commonweal.datasets.importers.ratings_table import import_ratings
    from commonweal.errors import InputError

    if rounds.is_file():
        return import_ratings(
            rounds,
            columns=read_pairs(column),
            scale=scale or "likert-7",
            people="simulated" if simulated else "human",
        )
    if column or scale or simulated:
        raise InputError(
            f"--column, --scale and --simulated are for a table of ratings, and {rounds} is not a "
            "file; a dataset's manifest already names its columns and scale"
        )
    return read_dataset(rounds)


def _as_recorded(baseline: str | None, recorded: Iterable[str]) -> str | None:
    """The baseline as the rounds name it: "sft_nash" is "sft_bernoulli_nash", too."""
    from commonweal.errors import CommonwealError
    from commonweal.policies import read_policy_name

    def one_name(name: str) -> str:
        try:
            return read_policy_name(name).name
        except CommonwealError:  # rounds may hold what others called their policies
            return name

    recorded = list(recorded)
    if baseline is None or baseline in recorded:
        return baseline
    return next((each for each in recorded if one_name(each) == one_name(baseline)), baseline)


def say(evaluation: Evaluation) -> None:
    """The headline figures as a table, then what could not be computed."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from commonweal.datasets.schema import WHOSE
    from commonweal.evaluation.page import headlines

    console = Console(markup=False, highlight=False, emoji=False)
    counts = evaluation.counts
    console.print(f"{evaluation.about.name} ({WHOSE[evaluation.about.people]})", style="bold")
    rounds, groups, people, statements, ratings = (
        f"{counts[name]:,} {one if counts[name] == 1 else several}"
        for name, one, several in (
            ("rounds", "round", "rounds"),
            ("groups", "group", "groups"),
            ("people who rated", "person", "people"),
            ("statements shown", "statement", "statements"),
            ("ratings", "rating", "ratings"),
        )
    )
    console.print(
        f"{rounds} of {groups}, {people}, {statements}, {ratings}; "
        f"baseline {evaluation.facts['baseline']}\n"
    )
    for arm in evaluation.arms:
        console.print(f"{arm.name}: {arm.described}")
    if evaluation.arms:
        console.print()
    if counts["rounds"] == 1 and evaluation.rounds:
        (round_,) = evaluation.rounds
        console.print(Text(f"{round_.question} {' '.join(round_.said)}\n"))
    if evaluation.note:
        console.print(f"{evaluation.note}\n")
    shown = headlines(evaluation)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Figure")
    beside = any(figure.beside for figure in shown)
    for name in ("Here", "95 % interval", "n", *(["Paper"] if beside else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for figure in shown:
        if figure.value is not None:
            table.add_row(
                Text(figure.title),
                figure.shown,
                figure.interval or "none",
                f"{figure.n:,}",
                *([figure.beside.text if figure.beside else ""] if beside else []),
            )
    if table.row_count:
        console.print(table)
    missing = [figure for figure in shown if figure.value is None]
    without = [figure for figure in shown if figure.value is not None and figure.no_interval]
    if missing or without:
        console.print()
    for why in dict.fromkeys(figure.unavailable for figure in missing):
        titles = dict.fromkeys(figure.title for figure in missing if figure.unavailable == why)
        console.print(f"No figure: {'; '.join(titles)}. {why[:1].upper()}{why[1:]}.")
    for why in dict.fromkeys(figure.no_interval for figure in without):
        n = sum(figure.no_interval == why for figure in without)
        console.print(f"No interval for {n} of them: {why}.")
    n_all, n_there = (
        len(evaluation.figures),
        sum(f.value is not None for f in evaluation.figures.values()),
    )
    console.print(
        f"\n{n_there} figures could be computed, {n_all - n_there} could not; --report explains "
        "what each shows and does not show."
    )
