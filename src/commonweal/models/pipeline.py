"""The embedded engine's pipeline, and how much memory it takes.

OpenVINO GenAI keeps the keys and values of every prompt that it has read until its cache is full:
with a cache of gigabytes a service grows for hours. So the cache here has as many blocks as the
largest call so far can fill, and no more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from commonweal.errors import EngineError
from commonweal.models.converted import MODEL
from commonweal.models.inference import PRECISION

MAX_BATCHED_TOKENS = 4096
"""Most prompt tokens computed in one step. A longer prompt takes several."""

_BLOCK = 32
"""Tokens whose keys and values lie together: OpenVINO GenAI's number on processors."""

_LEAST_BLOCKS = 256
_MOST_BLOCKS = 2048
"""From 8,192 to 65,536 tokens: 0.14 to 1.1 GB for a model of 1.5 billion parameters. Where a call
needs more, what does not fit is computed again."""

_WEIGHTS = str(Path(MODEL).with_suffix(".bin"))
_MADV_DONTNEED = 4

LOADING = Lock()
"""Held while a model is loaded, or given back for another: what is let go is told by address,
which must not become that of something else meanwhile."""

_LET_GO_EVERY = 0.2
"""Seconds; in that time about 50 MB of weights are packed."""


class Pipeline:
    """A loaded pipeline: ``running`` is OpenVINO GenAI's.

    Args:
        folder: of a converted model.
        n_blocks: how many blocks of keys and values it may hold.

    Raises:
        EngineError: OpenVINO GenAI cannot load it.
    """

    def __init__(self, folder: Path, n_blocks: int) -> None:
        import openvino_genai as genai

        scheduler = genai.SchedulerConfig()
        scheduler.enable_prefix_caching = True
        scheduler.max_num_batched_tokens = MAX_BATCHED_TOKENS
        scheduler.cache_size = 0
        scheduler.num_kv_blocks = n_blocks
        self.n_blocks = n_blocks
        try:
            self.running: Any = genai.ContinuousBatchingPipeline(
                str(folder), scheduler, "CPU", PRECISION, {}
            )
        except RuntimeError as error:
            raise cannot_load(folder, error) from error
        try:
            self._warm_up()
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO GenAI cannot pack the weights of {folder}: {last_line(error)}. Is there "
                "memory left? `commonweal doctor` says what each model takes"
            ) from error

    def _warm_up(self) -> None:
        """Has the weights packed while nothing else needs memory, and lets go of the file.

        Packed they lie in memory of their own. What has been read of the file, mapped beside them,
        is not needed again, and let go it leaves only one copy of the weights in memory.
        """
        import numpy as np
        import openvino as ov
        import openvino_genai as genai

        config = genai.GenerationConfig()
        config.max_new_tokens = 1
        config.apply_chat_template = False
        one_token = ov.Tensor(np.zeros((1, 1), dtype=np.int64))
        with letting_go(_WEIGHTS):
            # Unlike `step`, it lets other threads run meanwhile.
            self.running.generate([one_token], [config])


def n_blocks_for(requests: Iterable[tuple[Sequence[int], int]]) -> int:
    """The blocks for these (token ids of a prompt, most tokens of its answer): a power of two.

    What prompts share from the start is counted once.
    """
    shared: set[tuple[int, tuple[int, ...]]] = set()
    n_own = 0
    for ids, n_answer in requests:
        before = 0
        for start in range(0, len(ids) - _BLOCK + 1, _BLOCK):
            block = (before, tuple(ids[start : start + _BLOCK]))
            shared.add(block)
            before = hash(block)
        n_own += -(-(len(ids) % _BLOCK + n_answer) // _BLOCK) + 1
    n_blocks = _LEAST_BLOCKS
    while n_blocks < min(len(shared) + n_own, _MOST_BLOCKS):
        n_blocks *= 2
    return n_blocks


@contextmanager
def letting_go(name: str) -> Iterator[None]:
    """Lets go of what is mapped of files of that name again and again, and at the end."""
    done = Event()

    def again_and_again() -> None:
        while not done.wait(_LET_GO_EVERY):
            let_go(name)

    thread = Thread(target=again_and_again, name="letting go", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        let_go(name)


def let_go(name: str) -> None:
    """Lets the system drop from memory what this process has mapped of files of that name.

    Whatever of them is looked at later is read from the file again. Only on Linux.
    """
    if sys.platform != "linux":
        return
    import ctypes

    madvise = ctypes.CDLL(None).madvise
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        addresses, rights, *_ = line.split()
        # What cannot be written to is the same in the file.
        if line.endswith(f"/{name}") and "w" not in rights:
            start, end = (int(each, 16) for each in addresses.split("-"))
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def cannot_load(folder: Path, error: RuntimeError) -> EngineError:
    """What to say where OpenVINO GenAI cannot load what is in the folder."""
    return EngineError(
        f"OpenVINO GenAI cannot load {folder}: {last_line(error)}. Delete that folder: it is made "
        "again from the GGUF file"
    )


def last_line(error: Exception) -> str:
    """The part of an OpenVINO error that says what happened."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
