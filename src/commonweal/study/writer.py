"""From a round's opinions to its statements, for one arm: the main job, in a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from commonweal.datasets.arms import HUMAN
from commonweal.errors import CommonwealError, EngineError, GenerationError, InputError
from commonweal.groups import check_group
from commonweal.models.empties import why_all_empty
from commonweal.selection import Selection, Wanted, select
from commonweal.study.config import NO_REWARD, ArmConfig
from commonweal.types import (
    Candidate,
    Message,
    Opinion,
    Question,
    RewardInput,
    Sampling,
    no_progress,
)

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from commonweal.collection import Collected
    from commonweal.result import Agreement
    from commonweal.types import LanguageModel, Policy, Progress, RewardModel


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
class Trial:
    """Asks for one line of an arm's model and one prediction, before anybody waits for them."""

    arm: ArmConfig


@dataclass(frozen=True, slots=True)
class HowFar:
    """How far writing has come: ``stage`` is "load", "generate" or "predict"."""

    stage: str
    n_done: int
    n_total: int


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
        self.on_progress: Progress | None = None
        self._policies: dict[tuple[str, str], Policy] = {}
        self._models: dict[str, LanguageModel] = {}
        self._rewards: dict[tuple[str, ...], RewardModel] = {}

    def write(self, task: Task, *, timeout_seconds: float) -> Written:  # noqa: ARG002 - the protocol
        """The statements for this task.

        Raises:
            CommonwealError: as ``find_agreement``.
        """
        if task.arm.plan == "opinions":
            return opinions_of(task)
        policy, reward = self._policy(task.arm), self._reward(task.arm)
        return written_by(task, policy, reward, on_progress=self.on_progress)

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


def written_by(
    task: Task,
    policy: Policy,
    reward: RewardModel | None,
    *,
    on_progress: Progress | None = None,
) -> Written:
    """What this policy writes and this reward model predicts for the task, by the arm's plan.

    Raises:
        CommonwealError: as ``find_agreement`` and ``collect``.
    """
    if task.arm.plan == "opinions":
        return opinions_of(task)
    if task.arm.plan == "collection":
        return _collected(task, policy, reward, on_progress)
    if reward is None:
        return _all(task, policy, on_progress)
    return _best(task, policy, reward, on_progress)


def opinions_of(task: Task) -> Written:
    """Everybody's opinion as a statement to be rated by the others (paper 4.4).

    Raises:
        InputError: every opinion is held back.
    """
    shared = [opinion for opinion in task.opinions if opinion.id not in task.omit]
    if not shared:
        raise InputError("every opinion is held back; there is none to show to the others")
    made = Selection(
        question=Question(task.question),
        opinions=task.opinions,
        omitted=tuple(task.omit),
        candidates=tuple(
            Candidate(f"c{n:02d}", each.text, (each.id,), HUMAN, "", "", 0)
            for n, each in enumerate(shared, start=1)
        ),
        n_sampled=0,
        seed=(task.seed,),
        timings_seconds={},
        provenance={},
    )
    return Written((made.picked([None] * len(shared)),), (), {})


def _all(task: Task, policy: Policy, on_progress: Progress | None) -> Written:
    """As many statements as are shown: without a reward model nothing is picked."""
    question, everybody, notes = check_group(task.question, task.opinions)
    wanted = Wanted(
        omitted=tuple(task.omit),
        n_candidates=task.arm.candidates,
        rules=(None,) * task.arm.shown,
        seed=(task.seed,),
    )
    (made,) = select(
        question,
        everybody,
        [wanted],
        policy=policy,
        reward=None,
        on_progress=on_progress or no_progress,
    )
    told = {**made.provenance, "timings_seconds": made.timings_seconds}
    return Written((made,), (*notes, *made.notes), told)


def _best(task: Task, policy: Policy, reward: RewardModel, on_progress: Progress | None) -> Written:
    from commonweal.agreement import find_agreement

    found = find_agreement(
        task.question,
        task.opinions,
        policy=policy,
        reward=reward,
        n_candidates=task.arm.candidates,
        seed=task.seed,
        omit=task.omit,
        on_progress=on_progress,
    )
    if found.closest is None:
        raise GenerationError(found.reason, found.rejections)
    drawn = found.picked(task.arm.draw_rules(task.seed))
    return Written((drawn,), found.notes, _provenance(found))


def _collected(
    task: Task, policy: Policy, reward: RewardModel | None, on_progress: Progress | None
) -> Written:
    from commonweal.collection import collect

    found = collect(
        task.question,
        task.opinions,
        policy=policy,
        reward=reward,
        plan=task.arm.collection_plan,
        seed=task.seed,
        withheld=task.omit,
        on_progress=on_progress,
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
        self.progress: HowFar | None = None

    def try_out(self, arm: ArmConfig, *, timeout_seconds: float) -> str:
        """The one line that the arm's model answers, as ``EngineWriter.try_out``.

        Raises:
            CommonwealError: it cannot be used, or does not answer in time.
        """
        return self._asked(Trial(arm), timeout_seconds)  # type: ignore[no-any-return]

    def write(self, task: Task, *, timeout_seconds: float) -> Written:
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


def _serve(pipe: Connection, make_writer: Callable[[], Writer]) -> None:
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
