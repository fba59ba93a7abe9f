"""What writes for the arms of a study: their models, in a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from commonweal.errors import CommonwealError, EngineError
from commonweal.models.empties import why_all_empty
from commonweal.study.config import NO_REWARD, ArmConfig
from commonweal.study.writing.written import ArmOutput, Revises, Task, opinions_of, written_by
from commonweal.types import Message, RewardInput, Sampling

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from commonweal.types import LanguageModel, Policy, Progress, RewardModel

__all__ = [
    "ArmOutput",
    "EngineWriter",
    "HowFar",
    "ProcessWriter",
    "Revises",
    "Task",
    "TaskWriter",
    "Trial",
    "WritingError",
    "opinions_of",
    "written_by",
]


@dataclass(frozen=True, slots=True)
class Trial:
    """Asks for one line of an arm's model and one prediction, before anybody waits for them."""

    arm: ArmConfig


@dataclass(frozen=True, slots=True)
class HowFar:
    """How far writing has come: ``stage`` is "load", "generate" or "predict"."""

    stage: str
    n_done: int
    n_total: int


class TaskWriter(Protocol):
    """Whatever writes a round's statements."""

    def write(self, task: Task, *, timeout_seconds: float) -> ArmOutput:
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
        self.on_progress: Progress | None = None
        self._policies: dict[tuple[str, str], Policy] = {}
        self._models: dict[str, LanguageModel] = {}
        self._rewards: dict[tuple[str, ...], RewardModel] = {}

    def write(self, task: Task, *, timeout_seconds: float) -> ArmOutput:  # noqa: ARG002 - the protocol
        """The statements for this task.

        Raises:
            CommonwealError: as ``find_agreement``.
        """
        if task.arm.plan == "opinions":
            return opinions_of(task)
        policy, reward = self._policy(task.arm), self._reward(task.arm)
        if task.for_minority:
            from commonweal.minority import minority_policy

            theirs = minority_policy(policy.model)
            return written_by(task, theirs, reward, on_progress=self.on_progress)
        if task.revises is not None:
            return self._write_again(task, task.revises, policy.model, reward)
        return written_by(task, policy, reward, on_progress=self.on_progress)

    def _write_again(
        self, task: Task, about: Revises, model: LanguageModel, reward: RewardModel | None
    ) -> ArmOutput:
        from commonweal.policies.revising import revising_policy

        if not about.critiques:
            return written_by(task, self._policy(task.arm), reward, on_progress=self.on_progress)
        shown = [each for each in about.critiques if each.participant_id not in task.omit]
        policy, cut = revising_policy(about.statement.text, shown, model)
        written = written_by(task, policy, reward, on_progress=self.on_progress)
        return replace(written, notes=(*cut, *written.notes))

    def try_out(self, arm: ArmConfig) -> str:
        """What the arm's language model answers to one short question; its reward model is asked
        for one prediction too. Both stay loaded.

        Raises:
            CommonwealError: one of them cannot be used, or the answer holds no text.
        """
        model = self._policy(arm).model
        asked = (Message("user", "Say in one short sentence that you are ready."),)
        ((answer,),) = model.generate([asked], seeds=[1], sampling=Sampling(max_tokens=40))
        if reason := why_all_empty([answer]):
            raise EngineError(f"{arm.model} answers without a text: {reason}")
        reward = self._reward(arm)
        if reward is not None:
            reward.rewards([RewardInput("Is it ready?", "It should be ready.", "It is ready.")])
        return " ".join(answer.text.split())

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

    def __init__(self, make_writer: Callable[[], TaskWriter] = EngineWriter) -> None:
        self._make_writer = make_writer
        self._context = multiprocessing.get_context("spawn")
        self._child: Any = None
        self._pipe: Connection | None = None
        self.progress: HowFar | None = None

    def try_out(self, arm: ArmConfig, *, timeout_seconds: float) -> str:
        """The one line that the arm's model answers, as ``EngineWriter.try_out``.

        Raises:
            CommonwealError: it cannot be used, or does not answer in time.
        """
        return self._asked(Trial(arm), timeout_seconds)  # type: ignore[no-any-return]

    def write(self, task: Task, *, timeout_seconds: float) -> ArmOutput:
        """The statements for this task.

        Raises:
            CommonwealError: the writer says so, takes too long, or its process has died.
        """
        return self._asked(task, timeout_seconds)  # type: ignore[no-any-return]

    def _asked(self, what: Task | Trial, timeout_seconds: float) -> Any:
        if self._child is None or not self._child.is_alive():
            self._start()
        pipe = self._pipe
        assert pipe is not None  # noqa: S101 - for the type checker: ``_start`` made it
        until = time.monotonic() + timeout_seconds
        try:
            pipe.send((what, timeout_seconds))
            while True:
                if not pipe.poll(max(until - time.monotonic(), 0.0)):
                    raise EngineError(f"nothing was written in {timeout_seconds:g} seconds")
                answer = pipe.recv()
                if not isinstance(answer, HowFar):
                    break
                self.progress = answer
        except (EOFError, OSError) as error:
            self.close()
            raise EngineError(f"the writing process died ({error!r})") from None
        except EngineError:
            self.close()
            raise
        finally:
            self.progress = None
        if isinstance(answer, tuple):
            raise WritingError(*answer)
        return answer

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


def _serve(pipe: Connection, make_writer: Callable[[], TaskWriter]) -> None:
    """The child: answers tasks until the parent is gone."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    writer = make_writer()
    if isinstance(writer, EngineWriter):
        writer.on_progress = lambda stage, n_done, n_total: pipe.send(
            HowFar(stage, n_done, n_total)
        )
    while True:
        try:
            task, timeout_seconds = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            if isinstance(task, Trial):
                pipe.send(cast("EngineWriter", writer).try_out(task.arm))
            else:
                pipe.send(writer.write(task, timeout_seconds=timeout_seconds))
        except CommonwealError as error:
            pipe.send((type(error).__name__, str(error)))
        except Exception as error:  # a fault of an engine must not end the study
            pipe.send((type(error).__name__, f"{type(error).__name__}: {error}"))
