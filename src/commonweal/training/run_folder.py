"""The folder of a training run: one process at a time, one config, checkpoints that are whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from commonweal.errors import InputError
from commonweal.files import write_whole

CONFIG, METRICS, ROWS = "config.json", "metrics.jsonl", "comparisons.parquet"
CHECKPOINTS, MODEL, RUNTIME, CARD = "checkpoints", "model", "runtime", "card.md"
_WHOLE = "whole"


@contextmanager
def opened(
    folder: Path, config: BaseModel, *, overwrite: bool = False, hold: bool = True
) -> Iterator[None]:
    """The run's folder, made or gone on with, and held by this process alone.

    Args:
        folder: the run's.
        config: what it is begun with.
        overwrite: whether a run begun with another config is replaced.
        hold: False for the helpers of a process that holds it: they leave the folder alone.

    Raises:
        InputError: another process is at work in it, it was begun with another config, it holds
            something else, or it cannot be written.
    """
    from filelock import FileLock, Timeout

    if not hold:
        yield
        return
    said = json.dumps(config.model_dump(mode="json"), ensure_ascii=False, indent=2) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make {folder}: {error.strerror or error}") from error
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"another run is at work in {folder}; wait for it, stop it, or give another `out`"
        ) from None
    try:
        there = [path.name for path in folder.iterdir() if path.name != ".lock"]
        if there and CONFIG not in there:
            raise InputError(
                f"{folder} holds {there[0]} and is not a training run; expected a new or empty "
                "folder as `out`"
            )
        if there and (folder / CONFIG).read_text(encoding="utf-8") != said:
            if not overwrite:
                raise InputError(
                    f"{folder} was begun with another config (its {CONFIG}); give another `out`, "
                    "or --overwrite to begin anew"
                )
            for name in there:
                path = folder / name
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        write_whole(folder / CONFIG, said)
        yield
    finally:
        lock.release()


def mark_whole(checkpoint: Path) -> None:
    """Says that all of this checkpoint is on disk."""
    (checkpoint / _WHOLE).touch()


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of the run; those cut short by a full disk or a kill are removed.

    None where there is none.
    """
    found = sorted(
        (folder / CHECKPOINTS).glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1])
    )
    for path in found:
        if not (path / _WHOLE).is_file():
            shutil.rmtree(path)
    return next((path for path in reversed(found) if path.is_dir()), None)
