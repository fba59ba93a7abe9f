"""``evaluate``: from stored rounds to all metrics, in the order of the paper's section 4."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal._version import __version__
from commonweal.datasets.arms import arms_of
from commonweal.datasets.dataset import NOTES
from commonweal.datasets.reliability import DEFAULT_THRESHOLD, drop_unreliable
from commonweal.datasets.repairs import repaired
from commonweal.datasets.schema import WHOSE
from commonweal.errors import InputError
from commonweal.evaluation.plotting.canvas import Canvas
from commonweal.evaluation.published import beside_the_paper
from commonweal.evaluation.rounds.predicted import predicted, reward_models
from commonweal.evaluation.rounds.rated import Rated, rated
from commonweal.evaluation.rounds.revised import apart, without
from commonweal.evaluation.rounds.shown import rounds_shown
from commonweal.evaluation.sections.best_of_n import best_of_n
from commonweal.evaluation.sections.confounds import confounds
from commonweal.evaluation.sections.distributions import distributions
from commonweal.evaluation.sections.divisiveness import divisiveness
from commonweal.evaluation.sections.effects import effects
from commonweal.evaluation.sections.exclusion import exclusion
from commonweal.evaluation.sections.groups_needed import power
from commonweal.evaluation.sections.human_opinions import against_human_opinions
from commonweal.evaluation.sections.raters import raters
from commonweal.evaluation.sections.revision import revision
from commonweal.evaluation.sections.reward_model import reward_model
from commonweal.evaluation.sections.welfare_compared import welfare_compared
from commonweal.evaluation.sections.win_rates import default_baseline, pairs_of, win_rates
from commonweal.evaluation.statistics.shared_questions import drawing
from commonweal.measures.intervals import N_RESAMPLES
from commonweal.showing import FrameKind, Plot, frame_of, html_table
from commonweal.types import no_progress

if TYPE_CHECKING:
    from commonweal.datasets.arms import Arm
    from commonweal.datasets.dataset import About, Dataset
    from commonweal.evaluation.metrics import Metric, Subject
    from commonweal.evaluation.rounds.predicted import Predicted
    from commonweal.evaluation.rounds.shown import ShownRound
    from commonweal.evaluation.section import Section
    from commonweal.types import Progress

STAGE = "evaluate"
"""The stage that ``evaluate`` reports its progress in."""


FEW_RESAMPLES = N_RESAMPLES
"""With fewer, the report says that the ends of its intervals are rough."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All metrics of one dataset.

    Attributes:
        about: what the dataset is, and whose ratings they are.
        sections: in the order of the paper.
        counts: how much there is, in words.
        facts: what the metrics were made with, by name.
        notes: what to know of all figures: repairs, and how intervals were drawn.
        rounds: the first rounds with their statements, for reading.
        arms: what each policy of a study is, in the order of its file; empty where nobody says.
    """

    about: About
    sections: tuple[Section, ...]
    counts: dict[str, int]
    facts: dict[str, str | int | float]
    notes: tuple[str, ...] = ()
    rounds: tuple[ShownRound, ...] = ()
    arms: tuple[Arm, ...] = ()

    @property
    def note(self) -> str:
        """What to know of all intervals; empty where there is nothing."""
        n = int(self.facts["resamples of groups"])
        few = (
            f"Intervals rest on {n:,} resamples, and their ends move with the seed: "
            f"{FEW_RESAMPLES:,} or more should be used for a report."
        )
        return " ".join((*self.notes, *([few] if n < FEW_RESAMPLES else [])))

    @property
    def figures(self) -> dict[str, Metric[Subject]]:
        """All metrics by key."""
        return {figure.key: figure for section in self.sections for figure in section.figures}

    def to_frame(self, kind: FrameKind = "polars") -> Any:
        """One row a metric, as polars or pandas; ``value`` is null where there is none.

        Columns: section, key, title, value, low, high, n, unit, n_groups, p_value, says,
        unavailable.

        Raises:
            InputError: pandas is asked for and not installed.
        """
        names = (
            *("key", "title", "value", "low", "high", "n", "unit", "n_groups", "p_value"),
            *("says", "unavailable"),
        )
        metrics = [(section.key, each) for section in self.sections for each in section.figures]
        columns: dict[str, list[Any]] = {"section": [key for key, _ in metrics]}
        columns |= {name: [getattr(each, name) for _, each in metrics] for name in names}
        return frame_of(columns, kind)

    def plot(self, section: str = "win_rates") -> Plot:
        """The first plot of a section; a notebook shows it.

        Raises:
            InputError: there is no such section, or it has nothing to draw.
        """
        drawn = plots(self)
        if section not in drawn:
            there = ", ".join(drawn) or "none"
            raise InputError(f"there is no plot of {section!r}; these have plots: {there}")
        return drawn[section][0]

    def _repr_html_(self) -> str:
        rows = [
            (each.title, each.shown, each.interval or "none", each.n) for each in headlines(self)
        ]
        title = f"{self.about.name}: {WHOSE[self.about.people]}"
        return html_table(title, rows, header=("figure", "here", "95 % interval", "n"))


def plots(evaluation: Evaluation) -> dict[str, list[Plot]]:
    """The plots of each section by its key; those without anything to show are left out."""
    canvas = Canvas(evaluation.about.people)
    with canvas.style():
        drawn = {section.key: section.plots(canvas) for section in evaluation.sections}
    return {key: plotted for key, plotted in drawn.items() if plotted}


def headlines(evaluation: Evaluation) -> list[Metric[Subject]]:
    """The headline metrics, in the order of the sections, and those that the paper has too."""
    baseline = str(evaluation.facts["baseline"])
    return [
        one
        for one in evaluation.figures.values()
        if one.subject.is_headline(baseline)
        or (one.published is not None and one.value is not None)
    ]


def evaluate(
    dataset: Dataset,
    *,
    baseline: str | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    threshold: float = DEFAULT_THRESHOLD,
    sample_mixed_models: bool = False,
    on_progress: Progress = no_progress,
) -> Evaluation:
    """All metrics that these rounds can give, and for the others why not.

    Args:
        dataset: the rounds.
        baseline: the policy that the others are compared with; by default the simplest.
        n_resamples: resamples of groups behind each interval.
        seed: the same seed, the same intervals.
        threshold: people whose kappa is below it are left out.
        sample_mixed_models: sample the posterior of the mixed-effects models instead of fitting
            them by their likelihood (minutes; extra ``stats``).
        on_progress: called with ("evaluate", n_sections_done, n_sections); of sampled mixed models
            also with ("sample", n_draws_done, n_draws).

    Raises:
        InputError: a rating is off the scale, nobody rated anything, no such baseline, everybody
            is unreliable, an option is out of its range, or mixed models are to be sampled and
            their library is not installed.
    """
    dataset, notes = repaired(dataset)
    notes_of_data = [note for step in dataset.about.steps for note in step.options.get(NOTES, ())]
    dataset, revised = apart(dataset)
    reliable = drop_unreliable(dataset, threshold=threshold)
    of_raters = rated(reliable)
    baseline = _checked_baseline(of_raters, baseline)
    drawn = drawing(reliable, of_raters, n_resamples, seed)
    models = reward_models(reliable)
    selector = _selector(reliable, of_raters, models)
    best = _best_policy(of_raters, baseline)
    parts: list[Callable[[], Section]] = [
        lambda: drawn.section(lambda rated, resampler: win_rates(rated, resampler, baseline)),
        lambda: drawn.section(divisiveness),
        lambda: drawn.section(distributions),
        lambda: effects(
            reliable,
            baseline,
            pairs_of(of_raters, baseline),
            sample_mixed_models=sample_mixed_models,
            seed=seed,
            on_progress=on_progress,
        ),
        lambda: drawn.section(against_human_opinions),
        lambda: drawn.section(exclusion),
        lambda: raters(dataset, of_raters, drawn.resampler, threshold=threshold),
        lambda: drawn.section(lambda rated, resampler: reward_model(reliable, rated, resampler)),
        lambda: drawn.section(
            lambda rated, resampler: welfare_compared(rated, selector, resampler)
        ),
        lambda: drawn.section(lambda rated, resampler: confounds(rated, resampler, baseline)),
        lambda: drawn.section(lambda rated, resampler: best_of_n(rated, selector, resampler)),
        lambda: power(reliable, best, baseline, seed=seed),
    ]
    if not revised.rounds.is_empty():
        kept = without(revised, dataset, reliable)
        parts.append(lambda: revision(kept, n_resamples, seed))
    sections = []
    for n_done, part in enumerate(parts):
        on_progress(STAGE, n_done, len(parts))
        sections.append(beside_the_paper(part()))
    on_progress(STAGE, len(parts), len(parts))
    return Evaluation(
        dataset.about,
        tuple(sections),
        dict(_counts(reliable, of_raters))
        | ({"rounds that revise": revised.rounds.height} if revised.rounds.height else {}),
        {
            "baseline": baseline or "none",
            "resamples of groups": n_resamples,
            "seed": seed,
            "kappa below which people are left out": threshold,
            "reward model that selects": selector.reward_model if selector else "none",
            "commonweal version": __version__,
        },
        (*notes_of_data, *notes, *([drawn.note] if drawn.note else [])),
        rounds_shown(reliable, of_raters),
        tuple(arm for name, arm in arms_of(dataset.about).items() if name in of_raters.policies),
    )


def _checked_baseline(rated: Rated, baseline: str | None) -> str | None:
    if baseline is None:
        return default_baseline(rated)
    if baseline not in rated.machine_policies:
        there = ", ".join(rated.machine_policies) or "no policy: all statements are people's"
        raise InputError(f"no statement that was shown is by {baseline!r}; expected one of {there}")
    return baseline


def _selector(dataset: Dataset, rated: Rated, models: list[str]) -> Predicted | None:
    """What the reward model with the most predictions expects; None without calibrated ones."""
    for name in models:
        one = predicted(dataset, rated, name)
        if len(one.round):
            return one
    return None


def _best_policy(rated: Rated, baseline: str | None) -> str | None:
    """The policy with the highest mean agreement, the baseline left out."""
    values = rated.by_round("mean")
    known = ~np.isnan(values)
    means = {
        name: float(values[known[:, i], i].mean())
        for i, name in enumerate(rated.policies)
        if name in rated.machine_policies and name != baseline and known[:, i].any()
    }
    return max(means, key=lambda name: means[name]) if means else None


def _counts(dataset: Dataset, rated: Rated) -> Iterator[tuple[str, int]]:
    yield "groups", rated.n_groups
    yield "rounds", len(rated.round_ids)
    yield "questions", dataset.rounds["question_id"].n_unique()
    yield "people who rated", len(rated.person_ids)
    groups = rated.person_rounds.group
    who = rated.cell_person[np.unique(rated.person_rounds.cell, return_index=True)[1]]
    sizes = np.bincount(np.unique(np.stack([groups, who]), axis=1)[0])
    yield "people who rated, smallest group", int(sizes[sizes > 0].min())
    yield "people who rated, largest group", int(sizes.max())
    yield "statements shown", len(rated.words)
    yield from rated.counts.items()
    for step in dataset.about.steps[-1:]:
        yield from ((name, n) for name, n in step.counts.items() if name.startswith("people: "))
