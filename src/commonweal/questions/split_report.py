"""One self-contained page about one split: map, sizes, and the pairs that lie nearest across it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonweal._version import __version__
from commonweal.files import write_whole
from commonweal.questions.clusters import central_rows
from commonweal.questions.records import IID_TEST, OOD_TEST, TRAIN
from commonweal.questions.similar import NEAR_DUPLICATE
from commonweal.questions.split_map import MARKS, map_svg

if TYPE_CHECKING:
    from commonweal.questions.split import Split

_NAMES = {
    (OOD_TEST, TRAIN): "Out-of-distribution test and train",
    (IID_TEST, TRAIN): "Within-distribution test and train",
    (OOD_TEST, IID_TEST): "Out-of-distribution and within-distribution test",
}


def write_split_report(split: Split, path: Path, *, seed: int, facts: dict[str, Any]) -> None:
    """Writes the page about ``split`` to ``path``, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    write_whole(path, render_split_report(split, seed=seed, facts=facts))


def render_split_report(split: Split, *, seed: int, facts: dict[str, Any]) -> str:
    """The page about ``split`` as HTML. Everything that people or models wrote is escaped.

    Args:
        split: what the page is about.
        seed: the map follows from it.
        facts: what is shown under "How it was made", by name.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    svg, method, n_on_map = map_svg(split, seed=seed)
    environment = Environment(
        loader=PackageLoader("commonweal.questions", ""), autoescape=True, undefined=StrictUndefined
    )
    css = (resources.files("commonweal") / "report.css").read_text(encoding="utf-8")
    return environment.get_template("split_report.html.j2").render(
        css=css,
        n=len(split.records),
        counts=split.counts,
        n_ood_wanted=split.n_ood_wanted,
        topics=_topics(split),
        marks=MARKS,
        # Made by this program: every text in it is escaped where it is put in.
        svg=Markup(svg),  # noqa: S704
        method=method,
        n_on_map=n_on_map,
        silhouette=split.clusters.silhouette,
        n_in_silhouette=split.clusters.n_in_silhouette,
        leaks=[(name, split.leaks[pair]) for pair, name in _NAMES.items()],
        near_duplicate=NEAR_DUPLICATE,
        facts=facts,
        version=__version__,
    )


def _topics(split: Split) -> list[dict[str, Any]]:
    topics = []
    for topic, (name, size) in enumerate(zip(split.names, split.clusters.sizes, strict=True)):
        rows = split.clusters.members(topic)
        topics.append(
            {
                "name": name,
                "size": size,
                "held_out": topic in split.held_out,
                "n_iid": sum(split.records[row].split == IID_TEST for row in rows),
                "central": split.records[
                    central_rows(split.vectors, split.clusters, topic)[0]
                ].question,
            }
        )
    return topics
