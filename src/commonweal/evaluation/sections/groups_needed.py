"""How many groups the next study needs, as figures; the arithmetic is in ``power``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonweal.errors import InputError
from commonweal.evaluation.metrics import Figure, Section, Table, unavailable
from commonweal.evaluation.statistics.group_outcomes import Assumptions, GroupOutcomes, pilot_groups
from commonweal.evaluation.statistics.power import groups_needed

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset

WIN_RATES = (0.6, 0.7, 0.8)
POWER = 0.8
N_SIMULATIONS = 1000
"""Studies a size: enough to tell groups to a few per cent, in a second."""


def power(dataset: Dataset, policy: str | None, baseline: str | None, *, seed: int = 0) -> Section:
    """The groups needed to tell a win rate from a coin toss, from these rounds and from defaults.

    Args:
        dataset: the pilot.
        policy: compared with ``baseline``; None where there are no two policies.
        baseline: what it is compared with.
        seed: of the simulations.
    """
    tables = []
    title = "With these rounds as the pilot"
    try:
        if policy is None or baseline is None:
            raise InputError("a win rate compares two policies")
        groups = pilot_groups(dataset, policy=policy, baseline=baseline, statistic="mean")
    except InputError as error:
        tables.append(Table(title, (unavailable("power/pilot", title, str(error)),), ""))
    else:
        caution = (
            f"Ties and how rounds of a group go together are those of {policy} against {baseline} "
            "here. A small pilot tells little about either."
        )
        tables.append(Table(title, _figures(groups, "pilot", seed), caution))
    assumed = Assumptions()
    tables.append(
        Table(
            "With assumptions alone",
            _figures(assumed, "assumed", seed),
            f"Assumed: {assumed.rounds_per_group} rounds a group, {assumed.tie_share:.0%} ties, an "
            f"intraclass correlation of {assumed.icc:g}. No study stands behind these.",
        )
    )
    return Section(
        "power",
        "How many groups the next study needs",
        "Not in the paper",
        f"Simulated studies: the number of groups with which {POWER:.0%} of studies with this true "
        "win rate have a 95 % interval above 50 %. The interval here is of the simulation.",
        tuple(tables),
    )


def _figures(groups: GroupOutcomes | Assumptions, key: str, seed: int) -> tuple[Figure, ...]:
    figures = []
    for rate in WIN_RATES:
        title = f"Groups for a win rate of {rate:.0%}"
        name = f"power/{key}/{rate:g}"
        of = {"win_rate": f"{rate:g}", "from": key}
        try:
            found = groups_needed(
                groups, win_rate=rate, target=POWER, n_simulations=N_SIMULATIONS, seed=seed
            )
        except InputError as error:
            figures.append(unavailable(name, title, str(error), of=of))
            continue
        figures.append(
            Figure(
                name,
                title,
                "count",
                found.n_groups,
                found.n_groups_low,
                found.n_groups_high,
                found.n_simulations,
                "simulated studies a size",
                (groups.n_pilot_groups or 0) if isinstance(groups, GroupOutcomes) else 0,
                f"A study with {found.n_groups:,} groups has a chance of {POWER:.0%} to tell a "
                f"true win rate of {rate:.0%} from a coin toss.",
                of,
                warning=" ".join(found.warnings),
            )
        )
    return tuple(figures)
