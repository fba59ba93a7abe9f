"""A model and an adapter as one GGUF file: merged once, and kept in the user's cache."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from commonweal.files import sha256_of
from commonweal.models import store
from commonweal.models.gguf_files import read_header
from commonweal.models.gguf_lora import CONFIG, TENSORS, check_files, merge_lora

FORMAT_VERSION = 1
"""Raised when the same model and adapter would give another file."""


def merged_folder() -> Path:
    """The folder of the merged files, beside the weights store. It may be emptied at any time."""
    return store.cache_folder().parent / "merged"


def merged_weights(
    base: Path, adapter: Path, *, on_progress: Callable[[int, int], None] | None = None
) -> Path:
    """The GGUF file of ``base`` with ``adapter`` added, made unless it is there already.

    Two processes that ask at once make it once: the second waits. Whatever ends a merge early, the
    file is whole or not there.

    Args:
        base: the GGUF file that the adapter was trained on.
        adapter: the folder that PEFT wrote.
        on_progress: called with (n_tensors_done, n_tensors) while it is made.

    Raises:
        InputError, EngineError, WeightsError: as ``merge_lora``; and the cache cannot be used.
    """
    check_files(base, adapter)
    folder = merged_folder()
    merged = folder / f"{base.stem}-{_key(base, adapter)}.gguf"
    if _is_whole(merged):
        return merged
    with store.alone_in(folder):
        for leftover in folder.glob(".*.gguf-*"):  # of merges that were killed
            shutil.rmtree(leftover, ignore_errors=True)
        if not _is_whole(merged):  # another may have made it while this one waited
            merge_lora(base, adapter, merged, on_progress=on_progress)
    return merged


def _key(base: Path, adapter: Path) -> str:
    hashes = [_sha256(base), *(sha256_of(adapter / name) for name in (CONFIG, TENSORS))]
    ingredients = " ".join([str(FORMAT_VERSION), *hashes])
    return hashlib.sha256(ingredients.encode()).hexdigest()[:16]


def _sha256(base: Path) -> str:
    """The file's hash: as the store recorded it, without reading 145 MB, where it lies there."""
    for weights in store.WEIGHTS.values():
        if base.name in weights.file_names and base.parent == store.cache_folder() / weights.name:
            return store.file_sha256(weights.name, base.name)
    return sha256_of(base)


def _is_whole(path: Path) -> bool:
    try:
        return path.stat().st_size >= read_header(path).n_bytes
    except (OSError, ValueError):
        return False
