"""What if: somebody had not written, or the group cared more about who agrees least.

Everything is computed from the scores of a result; nothing is written or predicted anew, but by
``written_without``, which asks the models once more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError
from commonweal.extras import needs
from commonweal.reading.explaining import nearest
from commonweal.selection import N_CANDIDATES, Selection, Wanted, scored, select
from commonweal.types import no_progress
from commonweal.welfare import isoelastic, rank

if TYPE_CHECKING:
    from commonweal.result import Agreement
    from commonweal.types import FloatArray, Policy, Progress, RewardModel

_N_STEPS = 400
_N_HALVINGS = 40
_PLOT_SUFFIXES = (".svg", ".png", ".pdf")


@dataclass(frozen=True, slots=True)
class WithoutOne:
    """The choice without one person's predicted agreement.

    Attributes:
        participant_id: who is left out.
        index: the column of what the others would have chosen; None where none is worth showing.
        changes: whether that is another candidate than with everybody.
        others_gain: by how many points the others' mean expected rating of it is above that of the
            candidate chosen with everybody; 0 where nothing changes.
        own_loss: by how many points the person's expected rating is below, likewise.
    """

    participant_id: str
    index: int | None
    changes: bool
    others_gain: float
    own_loss: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of inequality aversion over which one candidate is best.

    Attributes:
        start: the α from which on.
        stop: the α up to which; infinity for the last.
        index: the candidate's column.
    """

    start: float
    stop: float
    index: int


def without_each(result: Agreement) -> tuple[WithoutOne, ...]:
    """The choice without each person in turn, from stored scores; who changes it is pivotal.

    The candidates are those that were written with everybody's opinion: what the policy would have
    written without one of them is not asked. Where a person or an order of
    before chose, whose opinion decided is not known, and there are none.
    """
    chosen = result.closest_index
    if chosen is None or len(result.opinions) < 2 or not result.is_rules_pick:
        return ()
    rehearsals = []
    names = [opinion.id for opinion in result.opinions]
    for row, name in enumerate(names):
        others = result.of_people(set(names) - {name}).picked()
        index = others.picks[0].index if others.picks else None
        rest = np.delete(result.utilities, row, axis=0)
        gain = 0.0 if index is None else float((rest[:, index] - rest[:, chosen]).mean())
        own = result.utilities[row]
        loss = 0.0 if index is None else float(own[chosen] - own[index])
        rehearsals.append(WithoutOne(name, index, index != chosen, gain, loss))
    return tuple(rehearsals)


@dataclass(frozen=True, slots=True)
class WrittenWithout:
    """What is written and chosen where one person was never asked.

    Attributes:
        participant_id: who was not.
        text: what is chosen then; None where none is worth showing.
        others_gain: by how many points the others' mean expected rating of it is above that of the
            text chosen with everybody.
        own_loss: by how many points the expected rating of the person is below, likewise.
    """

    participant_id: str
    text: str | None
    others_gain: float
    own_loss: float


def written_without(
    result: Agreement,
    participant_id: str,
    *,
    policy: Policy,
    reward: RewardModel,
    n_candidates: int = N_CANDIDATES,
    seed: int = 0,
    on_progress: Progress = no_progress,
) -> WrittenWithout:
    """What the same question gives when this person's opinion is neither read nor counted.

    New texts are written from the others' opinions and picked for them alone; then everybody's
    agreement with that and with the old text is predicted, the left-out person's too. Part of the
    difference is the chance of writing twice.

    Args:
        result: with everybody, first or found anew; a revision is taken as if it were first.
        participant_id: who is left out.
        policy: what writes.
        reward: the model that predicted the others; another's numbers do not compare.
        n_candidates: how many to write.
        seed: of all chance; that of the result leaves the least to it.
        on_progress: see ``select``.

    Raises:
        InputError: nobody of that name is in the group, nobody else is, or nothing was chosen.
        EngineError: the language model failed.
    """
    names = [opinion.id for opinion in result.opinions]
    if participant_id not in names:
        raise InputError(f"{participant_id!r} is not in the group{nearest(participant_id, names)}")
    if result.closest is None or len(names) < 2:
        raise InputError("there is no text to compare, or nobody else; expected a text of two")
    others = tuple(opinion for opinion in result.opinions if opinion.id != participant_id)
    omitted = tuple(name for name in result.omitted if name != participant_id)
    (selection,) = select(
        result.question,
        others,
        [Wanted(omitted, n_candidates, (result.rule,), (seed,), named="without one")],
        policy=policy,
        reward=reward,
        on_progress=on_progress,
        min_quality=result.min_quality,
        shortlist=result.shortlist,
        may_be_empty=True,
        with_own_words="n_own_words" in result.provenance,
    )
    if not selection.picks:
        return WrittenWithout(participant_id, None, 0.0, 0.0)
    new = selection.candidates[selection.picks[0].index]
    both = Selection(
        question=result.question,
        opinions=result.opinions,
        candidates=(replace(result.closest, id="c01"), replace(new, id="c02")),
        n_sampled=2,
        seed=(seed,),
        timings_seconds={},
        provenance={},
    )
    (both,) = scored([both], reward)
    assert both.utilities is not None  # noqa: S101 - for the type checker: they were scored
    gains = both.utilities[:, 1] - both.utilities[:, 0]
    row = names.index(participant_id)
    return WrittenWithout(
        participant_id, new.text, float(np.delete(gains, row).mean()), -float(gains[row])
    )


def alpha_path(result: Agreement) -> tuple[Stretch, ...]:
    """Which candidate is best for each inequality aversion from 0 to infinity, in order.

    Turning points are sought between 400 values that lie evenly in α / (1 + α), and halved down to
    twelve digits; a candidate that is best over less than such a step may be missed. () where none
    is worth showing.
    """
    shown = list(result.open_to_rules().choosable)
    if not shown:
        return ()
    utilities = result.utilities[:, shown]

    def best(place: float) -> int:
        return shown[rank(isoelastic(utilities, _alpha(place))).best]

    places = [n / _N_STEPS for n in range(_N_STEPS + 1)]
    stretches: list[Stretch] = []
    start, current = 0.0, best(0.0)
    for left, right in pairwise(places):
        # More than one turn may lie in a step: each is sought from where the last one was.
        here = left
        while (other := best(right)) != current:
            low, high = here, right
            for _ in range(_N_HALVINGS):
                middle = (low + high) / 2
                low, high = (middle, high) if best(middle) == current else (low, middle)
            stretches.append(Stretch(start, _alpha(high), current))
            start, here = _alpha(high), high
            current = best(high) if high < right else other
    stretches.append(Stretch(start, math.inf, current))
    return tuple(stretches)


def check_plot(path: Path) -> None:
    """Raises ``InputError`` where ``write_alpha_plot`` draws no such file: asked before the work.

    Raises:
        InputError: its name does not end in .svg, .png or .pdf.
    """
    if path.suffix.lower() not in _PLOT_SUFFIXES:
        raise InputError(
            f"the figure {path} ends in {path.suffix!r}, expected {', '.join(_PLOT_SUFFIXES)}"
        )


def write_alpha_plot(result: Agreement, path: str | Path) -> None:
    """Draws the welfare of every candidate that is ever best over α from 0 to infinity.

    Args:
        result: with at least one candidate worth showing.
        path: .svg, .png or .pdf.

    Raises:
        InputError: as ``check_plot``.
    """
    check_plot(Path(path))
    with needs("plots", "the figure of welfare over alpha"):
        from matplotlib.figure import Figure

    stretches = alpha_path(result)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    places = np.linspace(0, 1, 201)
    styles = ("-", "--", "-.", ":")
    for n, column in enumerate(dict.fromkeys(each.index for each in stretches)):
        values = [_welfare(result.utilities[:, [column]], place) for place in places]
        axes.plot(places, values, styles[n % len(styles)], label=result.candidates[column].id)
    for each in stretches[1:]:
        axes.axvline(each.start / (1 + each.start), color="grey", linewidth=0.8)
    ticks = (0.0, 0.5, 1.0, 2.0, 5.0, 20.0)
    axes.set_xticks([*(a / (1 + a) for a in ticks), 1.0], [*(f"{a:g}" for a in ticks), "∞"])
    axes.set_xlabel(
        "inequality aversion α (0: the mean counts; ∞: the person who agrees least counts)"
    )
    axes.set_ylabel("welfare, points of 7")
    axes.legend(title="best for some α")
    figure.savefig(path)


def _alpha(place: float) -> float:
    return math.inf if place >= 1 else place / (1 - place)


def _welfare(utilities: FloatArray, place: float) -> float:
    return float(isoelastic(utilities, _alpha(place))[0])
