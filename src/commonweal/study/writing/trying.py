"""Every model of a study is asked one line before anybody joins: what is dead is found then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import select

from commonweal.errors import CommonwealError, EngineError
from commonweal.study.config import ArmConfig, StudyConfig
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import ParticipantRow
from commonweal.study.writing.writer import ProcessWriter

TRIAL_SECONDS = 600.0
"""A large model may take minutes to load; who waits for it is told so."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of asking: the line that the model answered, and the seconds until it did."""

    arm: ArmConfig
    line: str
    seconds: float


def has_people(store: Store, study_id: int) -> bool:
    """Whether anybody has joined the study."""
    with store.read() as db:
        anybody = select(ParticipantRow.id).where(ParticipantRow.study_id == study_id).limit(1)
        return db.scalar(anybody) is not None


def try_arms(
    writer: ProcessWriter, config: StudyConfig, *, on_begin: Callable[[ArmConfig], None]
) -> Iterator[Tried]:
    """Asks each arm's language model for a line, and its reward model for a prediction.

    Arms with the same models are asked once. The models stay loaded in the writer's process, so the
    first group does not wait for them.

    Args:
        writer: what will write.
        config: the study.
        on_begin: called with each arm before it is asked.

    Raises:
        EngineError: a model cannot be used; the message names it and the reason.
    """
    asked: set[tuple[str, str, str]] = set()
    for arm in config.arms:
        if arm.plan == "opinions" or (arm.policy, arm.model, arm.reward) in asked:
            continue
        asked.add((arm.policy, arm.model, arm.reward))
        on_begin(arm)
        began = time.perf_counter()
        try:
            line = writer.try_out(arm, timeout_seconds=TRIAL_SECONDS)
        except CommonwealError as error:
            raise EngineError(
                f"the model {arm.model} (arm {arm.name!r}) cannot write now: {error}"
            ) from None
        yield Tried(arm, line, time.perf_counter() - began)
