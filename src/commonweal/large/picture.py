"""The map of a panel as SVG: who wrote or voted alike stands together. Readable without colour."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError
from commonweal.types import RATING_NEUTRAL

if TYPE_CHECKING:
    from commonweal.result import Agreement

_WIDTH, _HEIGHT, _MARGIN, _FOOT = 760, 480, 30, 60
_LINE = 20

# Blue, vermilion, green, purple and grey of Okabe & Ito: told apart with any of the common
# colour-vision deficiencies, as are the shapes without any colour at all.
_COLOURS = ("#0072b2", "#d55e00", "#00795a", "#7a4c9a", "#5c6370")
_SHAPES = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
    "M-3.8,-3.8h7.6v7.6h-7.6Z",
    "M0,-5L4.8,3.8L-4.8,3.8Z",
    "M0,-5.4L4.8,0L0,5.4L-4.8,0Z",
    "M-5,-3L0,5L5,-3Z",
)


def map_svg(result: Agreement) -> str:
    """The map of the people judged: shape and colour are the opinion group's, and who is predicted
    to agree with the closest candidate is filled.

    Raises:
        InputError: the result is of few people, of whom there is no map.
    """
    population = result.population
    if population is None or not population.places:
        raise InputError(
            "there is no map of this result; expected one of many people (commonweal agree with "
            "more than 100 opinions, or with votes)"
        )
    places = np.array([(x, y) for x, y, _ in population.places])
    low, span = places.min(axis=0), np.ptp(places, axis=0)
    span[span == 0] = 1
    box = np.array([_WIDTH, _HEIGHT - _FOOT]) - 2 * _MARGIN
    points = (places - low) / span * box + _MARGIN
    labels = np.array([group for _, _, group in population.places])
    index = result.closest_index
    agrees = np.zeros(len(points), dtype=bool)
    if index is not None:
        agrees = result.utilities[:, index] > RATING_NEUTRAL
    how = "wrote" if population.groups_from == "opinions" else "voted"
    title = f"Map of {len(points)} people: who {how} alike stands together"
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="map-title" '
        'xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" font-size="14">',
        f'<title id="map-title">{title}</title>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
    ]
    for group in np.unique(labels):
        colour, shape = _COLOURS[group % 5], _SHAPES[group % 5]
        for (x, y), is_filled in zip(points[labels == group], agrees[labels == group], strict=True):
            fill = colour if is_filled else "#ffffff"
            parts.append(
                f'<path transform="translate({x:.1f},{y:.1f})" d="{shape}" fill="{fill}" '
                f'stroke="{colour}" stroke-width="1.4"/>'
            )
    for group in np.unique(labels):
        x, y = np.median(points[labels == group], axis=0)
        parts.append(
            f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" font-weight="700" '
            f'font-size="22" stroke="#ffffff" stroke-width="4" paint-order="stroke" '
            f'fill="#1d2330">{escape(population.groups[group].name)}</text>'
        )
    filled = ("Filled: predicted to agree with the text. " if index is not None else "") + (
        f"Nearness: who {how} alike, in two dimensions of many."
    )
    parts.append(
        f'<text x="{_MARGIN}" y="{_HEIGHT - _LINE}" fill="#1d2330">{escape(filled)}</text>'
    )
    parts.append("</svg>")
    return "\n".join(parts)
