"""From a round's opinions to its statements, for one arm: the main job, in a process of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from commonweal.errors import CommonwealError, EngineError, GenerationError, InputError
from commonweal.selection import Selection
from commonweal.study.config import NO_REWARD, ArmConfig
from commonweal.types import Opinion

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from commonweal.collection import Collected
    from commonweal.result import Agreement
    from commonweal.types import LanguageModel, Policy, RewardModel


@dataclass(frozen=True, slots=True)
class Task:
    """What one arm is to write from.

    Attributes:
        arm: policy, model, reward model, plan and number of candidates.
        question: what was asked.
        opinions: everybody's, with their names for ids.
        omit: names of opinions that the policy must not see.
        seed: of all chance.
    """

    arm: ArmConfig
    question: str
    opinions: tuple[Opinion, ...]
    omit: tuple[str, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a task.

    Attributes:
        draws: one, or of a collection plan one for each number of omitted opinions.
        notes: what a reader should know of how it went.
        provenance: versions, models, hashes, seed.
    """

    draws: tuple[Selection, ...]
    notes: tuple[str, ...]
    provenance: dict[str, Any]


class Writer(Protocol):
    """Whatever writes a round's statements."""

    def write(self, task: Task, *, timeout_seconds: float) -> Written:
        """The statements for this task.

        Raises:
            CommonwealError: there are none, or they took too long.
        """
        ...


class EngineWriter:
    """Writes with the arm's own policy and models, each loaded once, in this process.

    It cannot be broken off: ``ProcessWriter`` can.
    """

    def __init__(self) -> None:
        self._policies: dict[tuple[str, str], Policy] = {}
        self._models: dict[str, LanguageModel] = {}
        self._rewards: dict[tuple[str, ...], RewardModel] = {}

    def write(self, task: Task, *, timeout_seconds: float) -> Written:  # noqa: ARG002 - the protocol
        """The statements for this task.

        Raises:
            CommonwealError: as ``find_agreement``.
        """
        return written_by(task, self._policy(task.arm), self._reward(task.arm))

    def _policy(self, arm: ArmConfig) -> Policy:
        from commonweal.policies import load_policy

        if (arm.policy, arm.model) not in self._policies:
            policy = load_policy(arm.policy, arm.model, load_model=self._model)
            self._policies[arm.policy, arm.model] = policy
        return self._policies[arm.policy, arm.model]

    def _model(self, spec: str) -> LanguageModel:
        """The language model, which policies of several arms may share."""
        from commonweal.models import load_language_model

        if spec not in self._models:
            self._models[spec] = load_language_model(spec)
        return self._models[spec]

    def _reward(self, arm: ArmConfig) -> RewardModel | None:
        from commonweal.rewards import load_reward_model, takes_writer

        if arm.reward == NO_REWARD:
            return None
        # One that reads with the writer's engine is another for another writer.
        key = (arm.reward, arm.policy, arm.model) if takes_writer(arm.reward) else (arm.reward,)
        if key not in self._rewards:
            writer = self._policy(arm).model if len(key) > 1 else None
            self._rewards[key] = load_reward_model(arm.reward, writer=writer)
        return self._rewards[key]


def written_by(task: Task, policy: Policy, reward: RewardModel | None) -> Written:
    """What this policy writes and this reward model predicts for the task, by the arm's plan.

    Raises:
        CommonwealError: as ``find_agreement`` and ``collect``.
    """
    if task.arm.plan == "collection":
        return _collected(task, policy, reward)
    if reward is None:
        raise InputError(f"the arm {task.arm.name!r} has no reward model to choose with")
    return _best(task, policy, reward)


def _best(task: Task, policy: Policy, reward: RewardModel) -> Written:
    from commonweal.agreement import find_agreement

    found = find_agreement(
        task.question,
        task.opinions,
        policy=policy,
        reward=reward,
        n_candidates=task.arm.candidates,
        seed=task.seed,
        omit=task.omit,
    )
    if found.closest is None:
        raise GenerationError(found.reason, found.rejections)
    drawn = found.picked(task.arm.draw_rules(task.seed))
    return Written((drawn,), found.notes, _provenance(found))


def _collected(task: Task, policy: Policy, reward: RewardModel | None) -> Written:
    from commonweal.collection import collect

    found = collect(
        task.question,
        task.opinions,
        policy=policy,
        reward=reward,
        plan=task.arm.collection_plan,
        seed=task.seed,
        withheld=task.omit,
    )
    return Written(found.draws, found.notes, _provenance(found))


def _provenance(found: Agreement | Collected) -> dict[str, Any]:
    return {**found.provenance, "timings_seconds": found.timings_seconds}


class WritingError(EngineError):
    """What went wrong in the writing process. ``kind`` names the error's class: the message may
    hold what people wrote, the kind does not.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ProcessWriter:
    """Writes in a child process, which is ended when it takes too long or dies.

    Args:
        make_writer: makes the writer in the child; a top-level function or class.
    """

    def __init__(self, make_writer: Callable[[], Writer] = EngineWriter) -> None:
        self._make_writer = make_writer
        self._context = multiprocessing.get_context("spawn")
        self._child: Any = None
        self._pipe: Connection | None = None

    def write(self, task: Task, *, timeout_seconds: float) -> Written:
        """The statements for this task.

        Raises:
            CommonwealError: the writer says so, takes too long, or its process has died.
        """
        if self._child is None or not self._child.is_alive():
            self._start()
        pipe = self._pipe
        assert pipe is not None  # noqa: S101 - for the type checker: ``_start`` made it
        try:
            pipe.send((task, timeout_seconds))
            if not pipe.poll(timeout_seconds):
                raise EngineError(f"nothing was written in {timeout_seconds:g} seconds")
            answer = pipe.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise EngineError(f"the writing process died ({error!r})") from None
        except EngineError:
            self.close()
            raise
        if isinstance(answer, tuple):
            raise WritingError(*answer)
        return answer  # type: ignore[no-any-return]

    def close(self) -> None:
        """Ends the child process."""
        if self._child is not None:
            self._child.kill()
            self._child.join()
            self._child = None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _start(self) -> None:
        self.close()
        self._pipe, theirs = self._context.Pipe()
        self._child = self._context.Process(
            target=_serve, args=(theirs, self._make_writer), daemon=True
        )
        self._child.start()
        theirs.close()


def _serve(pipe: Connection, make_writer: Callable[[], Writer]) -> None:
    """The child: answers tasks until the parent is gone."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    writer = make_writer()
    while True:
        try:
            task, timeout_seconds = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send(writer.write(task, timeout_seconds=timeout_seconds))
        except CommonwealError as error:
            pipe.send((type(error).__name__, str(error)))
        except Exception as error:  # a fault of an engine must not end the study
            pipe.send((type(error).__name__, f"{type(error).__name__}: {error}"))
