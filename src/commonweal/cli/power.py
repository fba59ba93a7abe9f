"""``commonweal power``: how many groups a study needs to detect a win rate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from commonweal.cli.options import seed_option
from commonweal.cli.progress import StageBars

if TYPE_CHECKING:
    from commonweal.evaluation.statistics.group_outcomes import Assumptions, GroupOutcomes
    from commonweal.evaluation.statistics.power import Power

EXAMPLE = "Example: commonweal power --win-rate 0.65"
STAGES = {"simulate": "Simulating studies"}


def power(
    rounds: Annotated[
        Path | None,
        typer.Argument(
            metavar="ROUNDS",
            help="A pilot study: the folder of its dataset. Without it, assumptions are used.",
        ),
    ] = None,
    win_rate: Annotated[
        float, typer.Option(help="The true win rate to detect, without ties.")
    ] = 0.65,
    target: Annotated[
        float, typer.Option("--power", help="The share of studies that should detect it.")
    ] = 0.8,
    policy: Annotated[
        str | None, typer.Option(help="Pilot: the policy whose wins are counted.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Pilot: the policy to compare it with.")
    ] = None,
    statistic: Annotated[
        Literal["mean", "median", "min"] | None,
        typer.Option(
            help="Pilot: how to sum up a group's agreement with a statement. Default: mean."
        ),
    ] = None,
    rounds_per_group: Annotated[
        int | None,
        typer.Option(help="Without a pilot: how many questions each group takes. Default: 3."),
    ] = None,
    ties: Annotated[
        float | None,
        typer.Option(help="Without a pilot: the share of rounds that tie. Default: 0.1."),
    ] = None,
    icc: Annotated[
        float | None,
        typer.Option(
            help="Without a pilot: how similar a group's rounds are, from 0 (not at all) to "
            "below 1. Default: 0.1."
        ),
    ] = None,
    simulations: Annotated[
        int, typer.Option(min=100, help="How many studies to simulate for each number of groups.")
    ] = 4000,
    seed: Annotated[int, seed_option("the same result")] = 0,
) -> None:
    """Estimate how many groups a study needs to tell a policy's win rate from a coin toss.

    Simulates studies from a pilot's groups or from assumptions, and judges them as the evaluation
    does: the 95 % interval from resampling groups must lie above 0.5.
    """
    from commonweal.errors import InputError
    from commonweal.evaluation.statistics.power import groups_needed

    for_pilot = {"--policy": policy, "--baseline": baseline, "--statistic": statistic}
    assumed = {"--rounds-per-group": rounds_per_group, "--ties": ties, "--icc": icc}
    for option, value in (for_pilot if rounds is None else assumed).items():
        if value is not None:
            raise InputError(
                f"{option} is for a pilot; expected the pilot's folder as well"
                if rounds is None
                else f"{option} is an assumption, and a pilot's groups already show it; leave out "
                "one of the two"
            )
    if rounds is None:
        groups: Assumptions | GroupOutcomes = _assumptions(rounds_per_group, ties, icc)
    else:
        groups = _pilot(rounds, policy, baseline, statistic or "mean")
    with StageBars(STAGES) as bars:
        result = groups_needed(
            groups,
            win_rate=win_rate,
            target=target,
            n_simulations=simulations,
            seed=seed,
            on_progress=bars.update,
        )
    _print(result)


def _assumptions(
    rounds_per_group: int | None, ties: float | None, icc: float | None
) -> Assumptions:
    from commonweal.evaluation.statistics.group_outcomes import Assumptions

    given = {"rounds_per_group": rounds_per_group, "tie_share": ties, "icc": icc}
    assumptions = Assumptions(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    typer.echo(
        f"Assumed, without a pilot: {assumptions.rounds_per_group} rounds a group, "
        f"{assumptions.tie_share:.0%} of rounds tied, intraclass correlation {assumptions.icc:g} "
        "(docs/power.md says why)."
    )
    return assumptions


def _pilot(path: Path, policy: str | None, baseline: str | None, statistic: str) -> GroupOutcomes:
    from commonweal.datasets.dataset import read_dataset
    from commonweal.errors import InputError
    from commonweal.evaluation.statistics.group_outcomes import pilot_groups

    if policy is None or baseline is None:
        raise InputError("a pilot needs --policy and --baseline: whose wins are counted over whom")
    dataset = read_dataset(path)
    groups = pilot_groups(dataset, policy=policy, baseline=baseline, statistic=statistic)
    decided = int((groups.wins + groups.losses).sum())
    typer.echo(
        f"Pilot {dataset.about.name} ({dataset.about.people} ratings): {policy} against {baseline} "
        f"by the {statistic}, {groups.n_pilot_groups} groups, {decided} decided rounds, "
        f"win rate {groups.win_rate:.1%}."
    )
    return groups


def _print(result: Power) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, title=f"Power to detect a win rate of {result.win_rate:.1%}")
    table.add_column("Groups", justify="right")
    table.add_column("Power", justify="right")
    table.add_column("Monte-Carlo 95%", justify="right")
    for row in result.table:
        table.add_row(str(row.n_groups), f"{row.power:.1%}", f"{row.low:.1%} to {row.high:.1%}")
    console = Console(markup=False, highlight=False, emoji=False)
    console.print(table)
    typer.echo(
        f"{result.n_groups} groups detect it in {result.target:.0%} of studies "
        f"(Monte-Carlo 95% interval {result.n_groups_low} to {result.n_groups_high}; "
        f"{result.n_simulations:,} studies a row, seed {result.seed})."
    )
    if result.false_alarms is not None:
        typer.echo(
            f"If there is nothing to detect, {result.false_alarms:.1%} of such studies still "
            "detect something; 5% is right."
        )
    for warning in result.warnings:
        typer.echo(f"Note: {warning}")
    typer.echo("These are simulated studies: they are only as good as their assumptions.")
