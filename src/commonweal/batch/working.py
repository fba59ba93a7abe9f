"""Work that any number of workers share: what they load, what each task is, and who does it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

from commonweal.batch.finding import in_threads
from commonweal.batch.processors import computing_with
from commonweal.errors import CommonwealError, InputError
from commonweal.models.openai_turns import at_most

IN_FLIGHT = 16
"""Requests to servers at once, where nobody says."""

N_CALLS = 8
"""Requests of one task at once, at most: what a worker needs to keep all its requests in flight."""

N_TRIES = 3
"""How often a task is tried, where nobody says."""

Task = tuple[str, Any]
"""A name, and what a job takes under it."""

Tasks = Iterable[Task | None]
"""Taken as they are needed. None says that there is none yet: ask again after the next result."""

Result = str | CommonwealError
"""What a job makes of a task, as a text that is kept, or the error that ended it."""

Results = Generator[tuple[Task, Result], None, None]
"""Each task with its result, in any order, as soon as it is there."""


class Job(Protocol):
    """What is done with each task, in values that travel to another process."""

    @property
    def what(self) -> str:
        """What a task is, in a word, for errors: "group"."""
        ...

    def loaded(self) -> Callable[[Any], Result]:
        """What makes of a task its result, with models loaded now.

        Raises:
            CommonwealError: the models cannot be loaded.
        """
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """A job, and how one worker does it.

    Attributes:
        job: what is done.
        threads: processors that one worker computes with.
        n_tries: how often a task is tried during which a worker's process ends.
        n_at_once: tasks under way at once in one worker.
        in_flight: most requests to servers of one worker; None where it asks none.
    """

    job: Job
    threads: int = 1
    n_tries: int = 1
    n_at_once: int = 1
    in_flight: int | None = None


Runner = Callable[[Work, Tasks], Results]
"""Does the work on each task."""


def _say_nothing(_: str) -> None:
    """Nothing."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who does the work: one process or many, here or on a cluster.

    Attributes:
        n: processes at work; 1 is this process, and more are on Ray. Without ``ray`` by default 1,
            with it as many as the cluster has processors.
        ray: the address of a Ray cluster (HOST:PORT or "auto"); None starts one on this machine,
            for as long as the work takes, where there is more than one worker.
        threads: processors that each worker computes with. With another number the last digits
            may be others, and with them a text.
        gpus_per_worker: GPUs that each worker on Ray has to itself, for ``hf:`` engines.
        in_flight: most requests to servers at once, of all workers together; 16 where a server is
            asked and nothing is said.
        n_tries: how often a task is tried before it is given up.
        say: told sentences on how it goes.
    """

    n: int | None = None
    ray: str | None = None
    threads: int = 1
    gpus_per_worker: float = 0.0
    in_flight: int | None = None
    n_tries: int = N_TRIES
    say: Callable[[str], None] = _say_nothing

    def check(self) -> None:
        """Refuses numbers with which nothing could be done.

        Raises:
            InputError: one is below 1.
        """
        for name, number in (
            ("workers", self.n),
            ("threads", self.threads),
            ("in_flight", self.in_flight),
            ("n_tries", self.n_tries),
        ):
            if number is not None and number < 1:
                raise InputError(f"{name} is {number}, expected at least 1")

    def results(self, job: Job, tasks: Tasks, *, models: Iterable[object], n_calls: int) -> Results:
        """Each task with its result, as soon as it is there. Tasks are taken as they are needed.

        Args:
            job: what is done with each.
            tasks: their names differ.
            models: names of models that the job asks: of some only a server has them.
            n_calls: requests that one task makes at once.

        Raises:
            InputError: the cluster cannot be used.
            EngineError: Ray failed.
            CommonwealError: the models cannot be loaded.
        """
        run: Runner = in_this_process
        if self.ray is not None or (self.n or 1) > 1:
            from commonweal.batch.cluster import on_ray

            run = on_ray(self.ray, self.n, self.gpus_per_worker, self.say)
        return run(self._work(job, models, n_calls), tasks)

    def _work(self, job: Job, models: Iterable[object], n_calls: int) -> Work:
        if not any("openai:" in str(name) for name in models):
            return Work(job, self.threads, self.n_tries)
        limit = self.in_flight or IN_FLIGHT
        # Twice as many tasks as fill the limit: some are being judged meanwhile.
        n_at_once = min(limit, 2 * -(-limit // min(n_calls, N_CALLS)))
        return Work(job, self.threads, self.n_tries, n_at_once, limit)


def in_this_process(work: Work, tasks: Tasks) -> Results:
    """The tasks done here, one after another, or several at once where a server answers."""
    with at_most(work.in_flight), computing_with(work.threads):
        do = work.job.loaded()
        with closing(in_threads(lambda task: do(task[1]), tasks, work.n_at_once)) as results:
            yield from results
