"""One part of the evaluation: its tables, and how they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from commonweal.evaluation.metrics import Metric, MetricTable, S, Subject
from commonweal.evaluation.plotting.canvas import Canvas
from commonweal.showing import Plot


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the evaluation.

    Attributes:
        key: names it.
        title: for reading.
        source: where the paper has it.
        rule: how the metrics come about.
        tables: the metrics.
        extra: numbers behind a plot that are no metrics of their own, for the JSON.
        draw: makes its plots; None for what there is nothing of. Without it, it has none.
    """

    key: str
    title: str
    source: str
    rule: str
    tables: tuple[MetricTable, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)
    draw: Callable[[Section, Canvas], Sequence[Plot | None]] | None = None

    @property
    def figures(self) -> tuple[Metric[Subject], ...]:
        """All metrics of all tables."""
        return tuple(one for table in self.tables for one in table.figures)

    @property
    def by_subject(self) -> dict[Subject, Metric[Subject]]:
        """All metrics by what they are of."""
        return {one.subject: one for one in self.figures}

    def having(self, kind: type[S]) -> list[Metric[S]]:
        """The metrics of exactly this kind of subject that could be computed."""
        return [
            one  # type: ignore[misc]
            for one in self.figures
            if type(one.subject) is kind and one.value is not None
        ]

    def plots(self, canvas: Canvas) -> list[Plot]:
        """Its plots; none where nothing could be computed."""
        if self.draw is None or all(one.value is None for one in self.figures):
            return []
        return [plot for plot in self.draw(self, canvas) if plot is not None]
