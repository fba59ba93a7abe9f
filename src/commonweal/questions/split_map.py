"""The map of a split: questions in two dimensions, as SVG that can be read without colour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from commonweal.questions.clusters import load_sklearn
from commonweal.questions.records import IID_TEST, OOD_TEST, TRAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.questions.similar import FloatArray32
    from commonweal.questions.split import Split

MOST_POINTS = 3000
"""Above this many questions the map shows a seeded sample of as many."""
MIN_POINTS_FOR_TSNE = 30

_WIDTH, _HEIGHT, _MARGIN = 960, 680, 24
_LETTER, _LINE = 7.4, 15.0


@dataclass(frozen=True, slots=True)
class _Mark:
    """How the questions of a split are drawn: shape and colour both tell them apart."""

    split: str
    legend: str
    colour: str
    shape: str


# Grey, blue and orange: told apart with any of the common colour-vision deficiencies, as are a
# circle, a square and a triangle without any colour at all.
MARKS = (
    _Mark(TRAIN, "train", "#8b95a7", "M-2,0a2,2 0 1,0 4,0a2,2 0 1,0 -4,0Z"),
    _Mark(IID_TEST, "within-distribution test", "#1b4f9c", "M-2.8,-2.8h5.6v5.6h-5.6Z"),
    _Mark(OOD_TEST, "out-of-distribution test", "#c2510a", "M0,-4L3.8,3L-3.8,3Z"),
)


def project(vectors: FloatArray32, *, seed: int) -> tuple[NDArray[np.float64], str]:
    """Coordinates in two dimensions, [n, 2], and the name of the method.

    t-SNE, which keeps neighbours together; principal components where there are too few questions.
    """
    if len(vectors) >= MIN_POINTS_FOR_TSNE:
        tsne = load_sklearn("manifold").TSNE(
            2, init="pca", metric="cosine", perplexity=min(30, len(vectors) // 4), random_state=seed
        )
        return np.asarray(tsne.fit_transform(vectors), dtype=np.float64), "t-SNE"
    centred = np.asarray(vectors - vectors.mean(axis=0), dtype=np.float64)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    flat = np.zeros((len(vectors), 2))
    n = min(2, len(scale))
    flat[:, :n] = left[:, :n] * scale[:n]
    return flat, "principal components"


def map_svg(split: Split, *, seed: int) -> tuple[str, str, int]:
    """The map as SVG, the name of its projection, and the number of questions on it."""
    rows = np.arange(len(split.records))
    if len(rows) > MOST_POINTS:
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.choice(len(rows), MOST_POINTS, replace=False))
    flat, method = project(split.vectors[rows], seed=seed)
    points = _scaled(flat)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="map-title" '
        'xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" font-size="12">',
        f'<title id="map-title">Map of {len(rows)} questions by split</title>',
    ]
    for mark in MARKS:
        here = [i for i, row in enumerate(rows) if split.records[row].split == mark.split]
        drawn = (_point(points[i], mark.shape, split.records[rows[i]].question) for i in here)
        parts.append(f'<g fill="{mark.colour}" fill-opacity=".8">{"".join(drawn)}</g>')
    parts += _labels(split, rows, points)
    parts.append("</svg>")
    return "\n".join(parts), method, len(rows)


def _scaled(flat: NDArray[np.float64]) -> NDArray[np.float64]:
    low, span = flat.min(axis=0), np.ptp(flat, axis=0)
    span[span == 0] = 1
    box = np.array([_WIDTH, _HEIGHT]) - 2 * _MARGIN
    scaled: NDArray[np.float64] = (flat - low) / span * box + _MARGIN
    return scaled


def _point(at: NDArray[np.float64], shape: str, question: str) -> str:
    return (
        f'<path transform="translate({at[0]:.1f},{at[1]:.1f})" d="{shape}">'
        f"<title>{escape(question)}</title></path>"
    )


def _labels(split: Split, rows: NDArray[np.int64], points: NDArray[np.float64]) -> list[str]:
    """The names of the topics that are held out, then of the largest, wherever there is room."""
    labels = split.clusters.labels[rows]
    held_out = set(split.held_out)
    others = [topic for topic in range(len(split.names)) if topic not in held_out]
    taken: list[tuple[float, float, float, float]] = []
    parts = []
    for topic in [*split.held_out, *others]:
        here = points[labels == topic]
        if not len(here):
            continue
        name = split.names[topic]
        middle = np.median(here, axis=0)
        half = len(name) * _LETTER / 2
        x = min(max(float(middle[0]), half + 2), _WIDTH - half - 2)
        y = min(max(float(middle[1]), _LINE), _HEIGHT - 4)
        box = (x - half, y - _LINE, x + half, y + 4)
        if any(_overlap(box, other) for other in taken):
            continue
        taken.append(box)
        is_held = topic in held_out
        style = 'font-weight="700" fill="#8a3200"' if is_held else 'fill="#1d2330"'
        parts.append(
            f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" {style} stroke="#fff" '
            f'stroke-width="3.5" paint-order="stroke">{escape(name)}</text>'
        )
        if len(parts) >= len(held_out) + math.isqrt(len(split.names)) * 2:
            break
    return parts


def _overlap(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
