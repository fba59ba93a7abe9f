"""How many groups the next study needs, as figures; the arithmetic is in ``power``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonweal.errors import InputError
from commonweal.evaluation.metrics import Metric, MetricTable, Subject, Whole
from commonweal.evaluation.plotting.canvas import COLOURS, MARKERS, Canvas
from commonweal.evaluation.section import Section
from commonweal.evaluation.statistics.group_outcomes import Assumptions, GroupOutcomes, pilot_groups
from commonweal.evaluation.statistics.power import groups_needed

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.showing import Plot

WIN_RATES = (0.6, 0.7, 0.8)
POWER = 0.8
N_SIMULATIONS = 1000
"""Studies a size: enough to tell groups to a few per cent, in a second."""


@dataclass(frozen=True)
class GroupsNeeded(Subject):
    """The groups that tell a win rate from a coin toss, from a "pilot" or "assumed"."""

    win_rate: float
    source: str
    form = "power/{source}/{win_rate:g}"

    def as_text(self) -> dict[str, str]:
        """The source is called "from", which is no name in Python."""
        return {"win_rate": f"{self.win_rate:g}", "from": self.source}


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
        missing = Whole("power/pilot").unavailable(title, str(error))
        tables.append(MetricTable(title, (missing,)))
    else:
        caution = (
            f"Ties and how rounds of a group go together are those of {policy} against {baseline} "
            "here. A small pilot tells little about either."
        )
        tables.append(MetricTable(title, _metrics(groups, "pilot", seed), caution))
    assumed = Assumptions()
    tables.append(
        MetricTable(
            "With assumptions alone",
            _metrics(assumed, "assumed", seed),
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
        draw=_plots,
    )


def _plots(section: Section, canvas: Canvas) -> list[Plot | None]:
    """Groups needed by win rate."""
    from matplotlib.ticker import LogLocator, ScalarFormatter

    metrics = section.having(GroupsNeeded)
    words = {"pilot": "these rounds as the pilot", "assumed": "assumptions alone"}
    figure, (ax,) = canvas.axes(6)
    for i, (source, label) in enumerate(words.items()):
        mine = [one for one in metrics if one.subject.source == source]
        if mine:
            x = [one.subject.win_rate for one in mine]
            y = [one.value or 0.0 for one in mine]
            ax.plot(x, y, marker=MARKERS[i], color=COLOURS[i], label=label)
            for at, groups in zip(x, y, strict=True):
                ax.annotate(f"{groups:.0f}", (at, groups), (4, 4), textcoords="offset points")
    ax.set_xticks(sorted({one.subject.win_rate for one in metrics}))
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.minorticks_off()  # their labels would be TeX, which nothing here reads
    canvas.in_percent(ax.xaxis)
    ax.set_xlabel("True win rate")
    ax.set_ylabel("Groups for 80 % power")
    ax.legend(frameon=False)
    caption = "Groups that a study needs to tell a win rate from a coin toss."
    return [canvas.plot(figure, caption)]


def _metrics(
    groups: GroupOutcomes | Assumptions, source: str, seed: int
) -> tuple[Metric[GroupsNeeded], ...]:
    metrics = []
    for rate in WIN_RATES:
        title = f"Groups for a win rate of {rate:.0%}"
        of = GroupsNeeded(rate, source)
        try:
            power = groups_needed(
                groups, win_rate=rate, target=POWER, n_simulations=N_SIMULATIONS, seed=seed
            )
        except InputError as error:
            metrics.append(of.unavailable(title, str(error)))
            continue
        metrics.append(
            Metric(
                of,
                title,
                "count",
                power.n_groups,
                power.n_groups_low,
                power.n_groups_high,
                power.n_simulations,
                "simulated studies a size",
                (groups.n_pilot_groups or 0) if isinstance(groups, GroupOutcomes) else 0,
                f"A study with {power.n_groups:,} groups has a chance of {POWER:.0%} to tell a "
                f"true win rate of {rate:.0%} from a coin toss.",
                warning=" ".join(power.warnings),
            )
        )
    return tuple(metrics)
