"""As many processors for each worker as it is told, and for several workers different ones."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from commonweal.extras import needs


@contextmanager
def computing_with(n: int) -> Iterator[None]:
    """A block in which models that are loaded, and NumPy, compute with ``n`` threads.

    With other numbers sums are rounded in another order, and the last digits differ. OpenVINO sets
    itself up for the processors that its process may use; so the process is bound to ``n`` of them
    that no other such block on this machine has (Linux alone knows how).

    Raises:
        MissingExtraError: the extra ``data`` is not installed.
    """
    with needs("data", "a batch"):
        from threadpoolctl import threadpool_limits
    with threadpool_limits(n, user_api="blas"), ExitStack() as held:
        if hasattr(os, "sched_setaffinity"):
            before = os.sched_getaffinity(0)
            held.callback(os.sched_setaffinity, 0, before)
            os.sched_setaffinity(0, _claimed(sorted(before), n, held))
        yield


def _claimed(processors: list[int], n: int, held: ExitStack) -> list[int]:
    """The first ``n`` that nobody has; where there are too few, some that others have, too."""
    claimed: list[int] = []
    for each in processors:
        lock = FileLock(Path(tempfile.gettempdir()) / f"commonweal-processor-{each}.lock")
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):  # another worker's, or another user's
            continue
        held.callback(lock.release)
        claimed.append(each)
        if len(claimed) == n:
            return claimed
    return [*claimed, *(each for each in processors if each not in claimed)][:n]
