"""The folder of a training run: one process at a time, one config, checkpoints that are whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from commonweal.datasets.schema import MANIFEST
from commonweal.errors import InputError
from commonweal.files import is_begun, locked, sha256_of, write_whole

RUN, METRICS, ROWS, FIT = "run.json", "metrics.jsonl", "comparisons.parquet", "fit.json"
CHECKPOINTS, MODEL, CARD = "checkpoints", "model", "card.md"
RUNTIME, POLICY, PICTURES = "runtime", "policy", "pictures"
OURS = (CHECKPOINTS, MODEL, RUNTIME, POLICY, PICTURES, CARD, METRICS, ROWS, FIT, RUN)
"""All that a run makes, its config last: nothing else in the folder is ever deleted."""

_WHOLE = "whole"


@contextmanager
def opened(
    folder: Path,
    config: BaseModel,
    *,
    data: Sequence[Path] = (),
    overwrite: bool = False,
    hold: bool = True,
) -> Iterator[None]:
    """The run's folder, made or gone on with, and held by this process alone.

    Args:
        folder: the run's.
        config: what it is begun with.
        data: the datasets and files that decide what it learns: a run does not go on with others.
        overwrite: whether a run begun with another config is replaced.
        hold: False for the helpers of a process that holds it: they leave the folder alone.

    Raises:
        InputError: another process is at work in it, it was begun with another config or other
            data, it holds something else, or it cannot be written.

    A run that fails with nothing to go on from (its config or data are refused, say) leaves nothing
    that would refuse the mended one: what it made is removed, and a folder that is then empty.
    """
    if overwrite and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            "--overwrite cannot be used under torchrun, where processes would look at what one of "
            "them deletes; remove the run's folder, or give another `out`"
        )
    if not hold:
        yield
        return
    # Where the folder lies is no part of what is done in it.
    begun = {
        "config": config.model_dump(mode="json", exclude={"out"}),
        # A manifest holds the hashes of its tables.
        "data": {
            str(path): sha256_of(file)
            for path in data
            if (file := path / MANIFEST if path.is_dir() else path).is_file()
        },
    }
    with locked(folder):
        has_run = is_begun(folder, RUN, what="a training run", option="`out`")
        before = json.loads((folder / RUN).read_text(encoding="utf-8")) if has_run else begun
        # What a version of before did not note cannot have changed.
        noted = {path: begun["data"].get(path) for path in before.get("data", {})}
        if before != begun | {"data": noted}:
            if not overwrite:
                if before.get("config") != begun["config"]:
                    other = "another config"
                else:
                    changed = dict(before.get("data", {}).items() ^ begun["data"].items())
                    other = f"other data, {', '.join(sorted(changed))}"
                raise InputError(
                    f"{folder} was begun with {other} (its {RUN}); give another `out`, or "
                    "--overwrite to start again"
                )
            _remove_ours(folder)
        write_whole(folder / RUN, json.dumps(begun, indent=2) + "\n")
        try:
            yield
        except BaseException:
            if not _is_worth_keeping(folder):
                _remove_ours(folder)
            raise


def _is_worth_keeping(folder: Path) -> bool:
    """Whether there is something to go on from: a whole checkpoint, or what was trained."""
    results = (folder / name for name in (MODEL, RUNTIME, POLICY, CARD, FIT))
    return last_checkpoint(folder) is not None or any(path.exists() for path in results)


def _remove_ours(folder: Path) -> None:
    """Removes all that runs make; nothing else in the folder is ever deleted."""
    for path in (folder / name for name in OURS):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def mark_whole(checkpoint: Path) -> None:
    """Says that all of this checkpoint is on disk."""
    (checkpoint / _WHOLE).touch()


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of the run; None where there is none."""
    complete = [path.parent for path in (folder / CHECKPOINTS).glob(f"checkpoint-*/{_WHOLE}")]
    return max(complete, key=lambda path: int(path.name.split("-")[1]), default=None)


def remove_partial_checkpoints(folder: Path) -> None:
    """Removes checkpoints that a full disk or a kill cut short."""
    for path in (folder / CHECKPOINTS).glob("checkpoint-*"):
        if not (path / _WHOLE).is_file():
            shutil.rmtree(path)
