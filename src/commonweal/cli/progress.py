"""The progress bars of every command that works in stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class StageBars:
    """A progress bar for each stage, on stderr, so that stdout holds the result alone.

    Args:
        labels: what is shown for each stage, by the stage's name.
    """

    def __init__(self, labels: Mapping[str, str]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed

        # As wide as the longest from the start, or the bars would move as stages begin.
        width = max(map(len, labels.values()))
        self._labels = {stage: label.ljust(width) for stage, label in labels.items()}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            Elapsed(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> StageBars:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def say(self, text: object) -> None:
        """Shows a sentence above the bars."""
        self._progress.console.print(str(text), markup=False, highlight=False, soft_wrap=True)

    def update(self, stage: str, n_done: int, n_total: int) -> None:
        """Shows how far a stage has come: the ``Progress`` of what works."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(self._labels[stage], total=n_total)
        self._progress.update(self._tasks[stage], completed=n_done, total=n_total)
