"""The model card, written from measured figures so that it cannot say anything else."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonweal.errors import InputError
from commonweal.files import write_whole
from commonweal.measures.intervals import Estimate
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.rewards.measuring import Measurement
from commonweal.rewards.scoring import N_MEAN_OPINIONS, N_SWAPS

if TYPE_CHECKING:
    from commonweal.types import RewardModel

WEAK, FAIR = 0.6, 0.7
"""Crossed accuracy from which a prediction about one person is called a weak hint, or a hint. Our
decision; a guess has 0.5."""

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class CardText:
    """What a card says besides figures. Markdown; each entry of a tuple is a list item.

    Attributes:
        written_by: the command that writes the card.
        what_it_is: one paragraph.
        knowing: what a reader of the figures must know.
        how_made: data, recipe, settings, seeds, what choices were made on.
        cannot: what it cannot do, besides what no reward model can.
        licences: of the data and the weights that it was made from, with attribution.
    """

    written_by: str
    what_it_is: str
    how_made: tuple[str, ...]
    licences: tuple[str, ...]
    knowing: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()


def render_card(
    model: RewardModel,
    measured: Sequence[Measurement],
    text: CardText,
    *,
    plots: Sequence[str] = (),
) -> str:
    """The card as Markdown.

    Args:
        model: whose card it is.
        measured: of the model and of baselines, on any number of data sets; the card's tables have
            a block for each, in this order.
        text: everything that is not a figure.
        plots: paths of plots, relative to the card.

    Raises:
        InputError: nothing was measured of this model, or of other weights.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    own = [one for one in measured if one.model == model.name]
    if not own:
        names = ", ".join(dict.fromkeys(one.model for one in measured)) or "nothing"
        raise InputError(f"a card of {model.name!r} needs figures of it; got those of {names}")
    if other := [one for one in own if one.weights_hash != model.weights_hash]:
        raise InputError(
            f"the figures on {other[0].data} are of weights {other[0].weights_hash[:12]}, and "
            f"{model.name} has {model.weights_hash[:12]}; measure it again"
        )
    # Markdown, not HTML: what is in it is ours, and numbers.
    environment = Environment(  # noqa: S701
        loader=PackageLoader("commonweal.rewards", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["with_interval"] = with_interval
    environment.filters["signed"] = signed
    blocks = [
        (one, [m for m in measured if m.data == one.data and m.model != one.model]) for one in own
    ]
    calibration = model.calibration
    rendered = environment.get_template("model_card.md.j2").render(
        model=model,
        text=text,
        blocks=blocks,
        own=own,
        verdict=verdict(own),
        plots=plots,
        n_swaps=N_SWAPS,
        n_mean_opinions=N_MEAN_OPINIONS,
        calibration=calibration if isinstance(calibration, LogisticCalibration) else None,
        units=list(dict.fromkeys(f"{one.scale}: {one.reliability.unit}" for one in own)),
    )
    return "\n".join(_wrapped(line) for line in rendered.splitlines()) + "\n"


def write_card(
    path: Path,
    model: RewardModel,
    measured: Sequence[Measurement],
    text: CardText,
    *,
    plots: Sequence[str] = (),
) -> None:
    """Writes the card to ``path``, whole or not at all; see ``render_card``.

    Raises:
        InputError: as ``render_card``, or it cannot be written.
    """
    write_whole(path, render_card(model, measured, text, plots=plots))


def verdict(measured: Sequence[Measurement]) -> str:
    """In words, how far to trust a prediction about one person, from what was measured.

    Data that nobody rated (``simulated``) do not count: they say nothing about people. What holds
    the ratings of all the others, the mean over them, is not counted as one more data set.
    """
    people = [one for one in measured if one.people != "simulated"]
    real = [one for one in people if one.own.crossed.n_comparisons]
    if not real:
        return (
            "**How far to trust it.** It was not measured whether it matches opinions with "
            "statements of real people. **Do not trust a prediction about one person.**"
        )
    widest = max(real, key=lambda one: one.n_rounds)  # where there is one: the mean over all
    value = widest.own.crossed.value
    others = [one for one in people if one is not widest]
    is_mean = (
        len(others) > 1
        and widest.n_ratings == sum(one.n_ratings for one in others)
        and widest.n_rounds == sum(one.n_rounds for one in others)
    )
    single = [one for one in real if one is not widest or not is_mean]
    above = sum(one.own.crossed.low > 0.5 for one in single)
    below = sum(one.own.crossed.high < 0.5 for one in single)
    without = sum(math.isnan(one.own.crossed.low) for one in single)
    within, blind = widest.own.within_person.value, widest.statement_only.within_person.value
    mean = "mean " if widest.n_rounds > 1 else ""
    advice = (
        "Do not trust a prediction about one person."
        if value < WEAK or above < len(single)
        else "A prediction about one person is a weak hint, and often wrong."
        if value < FAIR
        else "A prediction about one person is a hint, and no more."
    )
    return (
        f"**How far to trust it.** Its {mean}crossed accuracy is "
        f'{with_interval(widest.own.crossed)}, on "{widest.data}". Asked which of two people '
        f"agrees with which of two statements, it is right in {100 * value:.0f} of 100 cases; a "
        f"guess is right in 50. In {above} of {len(single)} held-out data sets of real people the "
        f"whole 95% interval lies above 0.5, in {below} it lies below, "
        f"{_rest(len(single) - above - below - without, without)}. Given a statement that a person "
        f"agreed with and one that they disagreed with, it puts the right one first in "
        f"{100 * within:.0f} of 100 cases, and in {100 * blind:.0f} without that person's opinion. "
        f"**{advice}**"
    )


def _rest(n_including: int, n_without: int) -> str:
    """What is to be said of the data sets that are neither above nor below a guess."""
    if not n_without:
        return f"and in {n_including} it includes 0.5"
    have = "has" if n_without == 1 else "have"
    return (
        f"in {n_including} it includes 0.5, and {n_without} {have} too few people for an interval"
    )


def with_interval(estimate: Estimate, digits: int = 3) -> str:
    """The figure with its interval, "0.581 (0.540 to 0.621)"; "not measured" where it was not."""
    return _written(estimate, f".{digits}f")


def signed(estimate: Estimate, digits: int = 3) -> str:
    """As ``with_interval``, of a difference: "+0.034 (-0.010 to +0.078)"."""
    return _written(estimate, f"+.{digits}f")


def _written(estimate: Estimate, form: str) -> str:
    if not estimate.n_comparisons or math.isnan(estimate.value):
        return "not measured"
    value, low, high = (format(one, form) for one in estimate[:3])
    return value if math.isnan(estimate.low) else f"{value} ({low} to {high})"


def as_dict(measured: Measurement) -> dict[str, Any]:
    """The measurement for JSON: names to numbers, None where a number is not known."""
    fields: dict[str, Any] = _plain(measured)
    return fields


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(one) for name, one in value._asdict().items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _wrapped(line: str) -> str:
    """The line in at most 100 columns; tables and links to plots stay whole."""
    if line.startswith(("|", "!")):
        return line
    indent = "  " if line.startswith("- ") else ""
    return textwrap.fill(
        line, _WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
