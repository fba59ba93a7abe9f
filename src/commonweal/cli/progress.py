"""The progress bars of every command that works in stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class StageBars:
    """A progress bar for each stage, on stderr, so that stdout holds the result alone.

    Args:
        labels: what is shown for each stage, by the stage's name.
        in_bytes: whether a stage counts bytes: how long they still take is shown, too.
    """

    def __init__(self, labels: Mapping[str, str], *, in_bytes: bool = False) -> None:
        from rich import progress as rich
        from rich.console import Console

        # As wide as the longest from the start, or the bars would move as stages begin.
        width = max(map(len, labels.values()))
        self._labels = {stage: label.ljust(width) for stage, label in labels.items()}
        counted: tuple[rich.ProgressColumn, ...] = (
            (rich.DownloadColumn(), rich.TimeRemainingColumn(elapsed_when_finished=True))
            if in_bytes
            else (rich.MofNCompleteColumn(), rich.TimeElapsedColumn())
        )
        self._progress = rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(bar_width=30),
            *counted,
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
