"""Work on Ray: a crew of worker processes, on this machine or on many.

Ray starts the processes, carries tasks to them and results back, and tells when one has died. What
is left to do, who does it, and what is kept is decided in the calling process alone, which writes
all files: so nodes need no folder in common, and a killed worker takes nothing along but the tasks
that were under way in it (docs/decisions/043-batches-on-ray.md).
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sized
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from commonweal._version import __version__
from commonweal.batch.processors import computing_with
from commonweal.errors import CommonwealError, EngineError, InputError
from commonweal.extras import needs
from commonweal.models.openai_turns import at_most

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonweal.batch.working import Result, Results, Runner, Task, Tasks, Work

_LISTENS_WITHIN_SECONDS = 5.0
_JOINS_WITHIN_SECONDS = 120.0
_N_STARTS = 3
_TELL_AFTER_SECONDS = 15.0
"""So long nothing is said of workers that do not start: they load libraries."""

_STORE_BYTES = 200_000_000
"""The object store of a Ray on this machine: groups and results are texts."""


def on_ray(
    address: str | None, workers: int | None, gpus: float, say: Callable[[str], None]
) -> Runner:
    """What does the work on the Ray at this address, or on one started for it on this machine.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    with needs("scale", "work with more than one worker"):
        import ray

    def run(work: Work, tasks: Tasks) -> Results:
        with _connected(ray, address, workers and workers * work.threads):
            # Nodes of a cluster that was started this moment may be on their way.
            _check_room(ray, work.threads, gpus, wait_seconds=_JOINS_WITHIN_SECONDS * bool(address))
            n = workers or int(ray.cluster_resources().get("CPU", 0)) // work.threads or 1
            n_tasks = len(tasks) if isinstance(tasks, Sized) else n
            crew = _Crew(ray, work, min(n, n_tasks, work.in_flight or n), gpus, say)
            try:
                yield from crew.results(tasks)
            except ray.exceptions.RayError as error:
                raise _in_words(ray, error) from error
            finally:
                crew.dismiss()

    return run


class _Worker:
    """What runs in a worker's process: the models, loaded once, and what is asked of them."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._set = ExitStack()  # for as long as the process lives
        self._set.enter_context(at_most(work.in_flight))
        self._set.enter_context(computing_with(work.threads))
        self._lock = threading.Lock()
        self._do: Callable[[Any], Result] | None = None

    def ready(self) -> str | CommonwealError:
        """The version of commonweal, once the models are loaded, or why they cannot be."""
        try:
            with self._lock:
                self._do = self._do or self._work.job.loaded()
        except CommonwealError as error:
            return error
        return __version__

    def do(self, task: Any) -> Result:
        """The task's result, as it is kept, or the error that ended it."""
        assert self._do is not None  # noqa: S101 - it is asked once it is ready
        return self._do(task)


@dataclass(eq=False, slots=True)
class _Place:
    """One place in the crew, and what the process that fills it is doing.

    Attributes:
        actor: the process, as Ray knows it.
        in_flight: its share of the requests.
        is_ready: whether it has loaded its models.
        tasks: under way in it.
        is_testing: whether it works on a suspect, and on nothing beside.
    """

    actor: Any
    in_flight: int | None
    is_ready: bool = False
    tasks: set[str] = field(default_factory=set)
    is_testing: bool = False


class _Crew:
    """Workers on Ray, and which tasks are where."""

    def __init__(
        self, ray: Any, work: Work, n: int, gpus: float, say: Callable[[str], None]
    ) -> None:
        self._ray, self._work, self._say = ray, work, say
        self._made = ray.remote(_Worker)
        self._resources = {"num_cpus": work.threads, "num_gpus": gpus}
        # One limit for the whole cluster, dealt out: nobody need be asked before a request, and no
        # turn is lost with a worker that is killed.
        shares = [None] * n if work.in_flight is None else _dealt(work.in_flight, n)
        self._calls: dict[Any, tuple[_Place, Task | None]] = {}
        self._n_lost_loading = 0
        self._places = [_Place(None, share) for share in shares]
        for place in self._places:
            self._fill(place)

    def results(self, tasks: Tasks) -> Results:
        """Each task's result, as soon as it is there; of all tasks one is taken ahead.

        A task that was under way when a process ended is tried again, alone in a process where
        others were under way beside it: only what was alone can be blamed.
        """
        todo = iter(tasks)
        ahead: deque[Task] = deque()
        suspects: deque[Task] = deque()
        n_tries: Counter[str] = Counter()
        began = time.monotonic()
        while _filled(ahead, todo) or suspects or any(task for _, task in self._calls.values()):
            self._deal(ahead, todo, suspects)
            done, _ = self._ray.wait(list(self._calls), timeout=1.0)
            if not done and began and time.monotonic() > began + _TELL_AFTER_SECONDS:
                began = self._tell_waiting(began)
            for call in done:
                place, task = self._calls.pop(call)
                try:
                    outcome = self._ray.get(call)
                except self._ray.exceptions.RayActorError as error:
                    alone = self._lost(place, task, error)
                    if task is None:
                        continue
                    n_tries[task[0]] += alone
                    if n_tries[task[0]] < self._work.n_tries:
                        suspects.append(task)
                        continue
                    outcome = EngineError(
                        f"the worker's process ended {n_tries[task[0]]} times while it was at work "
                        f"on this {self._work.job.what} ({_first_line(error)})"
                    )
                    outcome = CommonwealError(*outcome.args)  # no sign of a server that is gone
                if task is None:
                    self._loaded(place, outcome)
                    continue
                place.tasks.discard(task[0])
                place.is_testing = False
                yield task, outcome

    def dismiss(self) -> None:
        """Ends all workers."""
        for place in self._places:
            self._ray.kill(place.actor)

    def _fill(self, place: _Place) -> None:
        """Puts a new process into a place; it gets work once it has loaded its models."""
        from dataclasses import replace

        own = replace(self._work, in_flight=place.in_flight)
        # One thread more than tasks: whether it is ready is asked while others run.
        options = self._resources | {"max_concurrency": own.n_at_once + 1}
        place.actor = self._made.options(**options).remote(own)
        place.is_ready = place.is_testing = False
        place.tasks.clear()
        self._calls[place.actor.ready.remote()] = place, None

    def _deal(self, ahead: deque[Task], todo: Iterator[Task | None], suspects: deque[Task]) -> None:
        """Gives every process as many tasks as it may have under way."""
        for place in self._places:
            if suspects and place.is_ready and not place.tasks:
                place.is_testing = True
                self._give(place, suspects.popleft())
            # While suspects wait, processes run empty for them.
            while (
                place.is_ready
                and ahead
                and not suspects
                and not place.is_testing
                and len(place.tasks) < self._work.n_at_once
            ):
                self._give(place, ahead.popleft())
                _filled(ahead, todo)

    def _give(self, place: _Place, task: Task) -> None:
        place.tasks.add(task[0])
        self._calls[place.actor.do.remote(task[1])] = place, task

    def _lost(self, place: _Place, task: Task | None, error: Exception) -> bool:
        """Fills the place of a process that ended; whether the task was alone in it.

        Raises:
            EngineError: processes end again and again before they are ready.
        """
        if task is None:
            self._n_lost_loading += 1
            if self._n_lost_loading >= 3 * len(self._places):
                raise EngineError(
                    f"the workers' processes end before they are ready: {_first_line(error)}. Is "
                    "commonweal installed on every node, in the same version, and is there memory "
                    "for the models?"
                )
            self._fill(place)
            return False
        if task[0] not in place.tasks:  # the process was replaced when another of its tasks ended
            return False
        alone = len(place.tasks) == 1
        self._fill(place)
        return alone

    def _loaded(self, place: _Place, outcome: str | CommonwealError) -> None:
        """Notes that a process is ready.

        Raises:
            CommonwealError: it cannot load the models, or has another version of commonweal.
        """
        if isinstance(outcome, CommonwealError):
            raise outcome
        if outcome != __version__:
            raise InputError(
                f"a worker has commonweal {outcome} and this process {__version__}; install the "
                "same version on every node"
            )
        self._n_lost_loading = 0
        place.is_ready = True

    def _tell_waiting(self, began: float) -> float:
        """Says how many workers are not there yet, once."""
        n_ready = sum(place.is_ready for place in self._places)
        if n_ready == len(self._places):
            return began
        free = self._ray.available_resources()
        self._say(
            f"{n_ready} of {len(self._places)} workers are ready; the cluster has "
            f"{free.get('CPU', 0):g} processors and {free.get('GPU', 0):g} GPUs free. The work "
            "continues with those that are there."
        )
        return 0.0


def _filled(ahead: deque[Task], todo: Iterator[Task | None]) -> bool:
    """Whether there is a task to give out now; one is taken where none was."""
    if not ahead:
        ahead.extend(task for task in islice(todo, 1) if task is not None)
    return bool(ahead)


def _dealt(n: int, n_shares: int) -> list[int]:
    """``n`` in parts as equal as can be.

    Example:
        >>> _dealt(16, 3)
        [6, 5, 5]
    """
    each, more = divmod(n, n_shares)
    return [each + (place < more) for place in range(n_shares)]


@contextmanager
def _connected(ray: Any, address: str | None, processors: int | None) -> Iterator[None]:
    """A block in which Ray is there: the one at the address, or one of our own.

    Raises:
        InputError: nothing that can be used is at the address.
        EngineError: none can be started here.
    """
    if ray.is_initialized():  # the caller's own: it stays as it is
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        _start(ray, processors, quiet)
    else:
        _check_address(address)
        try:
            ray.init(address=address, **quiet)
        except (ray.exceptions.RayError, RuntimeError, ValueError, OSError) as error:
            raise InputError(
                f"cannot use the Ray at {address}: {_in_one_line(str(error))}. Start one with ray "
                "start --head, with the same versions of Ray and Python as here (Ray "
                f"{ray.__version__}) and the same token (RAY_AUTH_TOKEN), and give its HOST:PORT"
            ) from None
    try:
        with redirect_stdout(sys.stderr):  # Ray's own words of dead nodes are no part of a result
            yield
    finally:
        ray.shutdown()


def _start(ray: Any, processors: int | None, quiet: dict[str, Any]) -> None:
    """Starts a Ray on this machine.

    Where the machine has much else to do, Ray ends a node whose parts take longer than some seconds
    to start (ray-project/ray#65983). So it is tried more than once.

    Raises:
        EngineError: it does not start.
    """
    for left in reversed(range(_N_STARTS)):
        try:
            ray.init(
                address="local",
                num_cpus=processors,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                **quiet,
            )
        except Exception as error:  # Ray raises bare ones
            ray.shutdown()
            if not left:
                raise EngineError(
                    f"Ray does not start on this machine ({_first_line(error)}); try again when it "
                    "has less to do, or give --workers 1, which works without Ray"
                ) from error
        else:
            return


def _check_room(ray: Any, threads: int, gpus: float, *, wait_seconds: float) -> None:
    """Returns once there is a node with room for a worker; without one, Ray would wait for ever.

    Raises:
        InputError: there is none after so many seconds.
    """
    until = time.monotonic() + wait_seconds
    while True:
        nodes = [each["Resources"] for each in ray.nodes() if each["Alive"]]
        if any(each.get("CPU", 0) >= threads and each.get("GPU", 0) >= gpus for each in nodes):
            return
        if time.monotonic() >= until:
            break
        time.sleep(0.5)
    there = "; ".join(
        f"{each.get('CPU', 0):g} processors and {each.get('GPU', 0):g} GPUs" for each in nodes[:5]
    )
    raise InputError(
        f"no node has room for a worker with {threads} processors and {gpus:g} GPUs (--threads, "
        f"--gpus-per-worker); the nodes have {there}{'; ...' if len(nodes) > 5 else ''}. Ask for "
        "less, or add a node"
    )


def _check_address(address: str) -> None:
    """Raises where nobody listens at the address.

    Raises:
        InputError: it is no HOST:PORT, or nothing answers there.
    """
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdigit()) or "/" in host:
        raise InputError(
            f"--ray is {address!r}; expected HOST:PORT of a cluster's head, as ray start --head "
            "says it (the port is 6379 where none was given), or auto. From outside a cluster: "
            "ray job submit -- commonweal batch ... --ray auto"
        )
    try:
        socket.create_connection((host, int(port)), timeout=_LISTENS_WITHIN_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"no Ray listens at {address} ({error}); start one with ray start --head, or leave "
            "--ray out for one on this machine"
        ) from None


def _in_words(ray: Any, error: Exception) -> CommonwealError:
    """What ended the whole batch, in a sentence."""
    kinds = ray.exceptions
    goes_on = "what is done is kept, and the same command continues"
    if isinstance(error, kinds.OutOfDiskError):
        return EngineError(
            f"the disk is full where Ray keeps its files ({_first_line(error)}); make room there, "
            f"or start Ray with --temp-dir elsewhere; {goes_on}"
        )
    if isinstance(error, kinds.ObjectStoreFullError | kinds.OutOfMemoryError):
        return EngineError(
            f"Ray has no memory left ({_first_line(error)}); give fewer --workers, or start Ray "
            f"with a larger --object-store-memory; {goes_on}"
        )
    return EngineError(f"Ray failed: {_first_line(error)}; {goes_on}")


def _first_line(error: Exception) -> str:
    """The first sentence of an error of Ray's, which may have a page."""
    return _in_one_line(str(error))[:200] or type(error).__name__


def _in_one_line(text: str) -> str:
    return " ".join(text.split()).removesuffix(".")
