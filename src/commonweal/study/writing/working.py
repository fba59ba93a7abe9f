"""A process that only writes: beside a study's servers, as many as there is to write for."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable

from commonweal.study.storage.store import Store
from commonweal.study.writing.jobs import Worker
from commonweal.study.writing.writer import TaskWriter

ENDING = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
]
"""What ends a process in order: Ctrl-C, a system that shuts down, a terminal that is closed."""


def work(
    store: Store, study_id: int, writer: TaskWriter, *, on_ready: Callable[[], None] = lambda: None
) -> None:
    """Takes jobs until the process is told to end; the job under way is then given back.

    Args:
        store: the database; it is closed at the end.
        study_id: whose jobs.
        writer: what writes.
        on_ready: called when the first job may be taken.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    told = threading.Event()
    before = {each: signal.signal(each, lambda *_: told.set()) for each in ENDING}
    worker = Worker(store, study_id, writer)
    try:
        worker.start()
        on_ready()
        told.wait()
    finally:
        worker.stop()
        store.close()
        for each, handler in before.items():
            signal.signal(each, handler)
