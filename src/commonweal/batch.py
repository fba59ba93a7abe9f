"""The main job for many groups: models loaded once, one failure does not stop the others."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from commonweal._version import __version__
from commonweal.agreement import find_agreement
from commonweal.calling import Call, working_for
from commonweal.errors import CommonwealError, InputError
from commonweal.files import write_whole
from commonweal.groups import Group
from commonweal.models import DEFAULT_MODEL
from commonweal.policies import default_policy, load_policy
from commonweal.result import Agreement
from commonweal.rewards import DEFAULT_REWARD_MODEL, load_reward_model
from commonweal.types import LanguageModel, Opinion, Policy, Question, RewardModel

GivenGroup = Group | tuple[str | Question, Sequence[str | Opinion]]
"""A group's file that was read, or its question and its opinions."""


def find_agreements(
    groups: Iterable[GivenGroup],
    *,
    policy: str | Policy | None = None,
    model: str | LanguageModel = DEFAULT_MODEL,
    reward: str | RewardModel = DEFAULT_REWARD_MODEL,
    folder: str | Path | None = None,
    workers: int = 1,
    on_done: Callable[[int, Agreement | CommonwealError], None] | None = None,
    **options: Any,
) -> list[Agreement | CommonwealError]:
    """The result for each group, in their order: an ``Agreement``, or the error that ended it.

    Models given by name are loaded once. A call that was broken off goes on where its results
    are kept: the same call with the same ``folder`` finds only what is missing, and tries again
    what had failed.

    Args:
        groups: of ``read_group``, or (question, opinions).
        policy: as in ``find_agreement``.
        model: likewise.
        reward: likewise.
        folder: where each result is kept as JSON, under a name made from the group and what was
            asked for; None keeps nothing.
        workers: groups under way at once. More than one helps where models answer from elsewhere
            (``openai:``); an engine on this machine takes one call at a time.
        on_done: called with (place in ``groups``, result) as each is done, one call at a time,
            from the thread that called; what it raises ends the call.
        options: of ``find_agreement``: ``seed``, ``welfare``, ``n_candidates``, ...;
            ``timeout_seconds`` is each group's.

    Raises:
        InputError: the options cannot be used, or one that ``folder`` cannot tell apart by name:
            with a folder, models are given by name.
        CommonwealError: the models cannot be loaded.

    Example:
        >>> find_agreements([])
        []
    """
    asked = list(groups)
    if workers < 1:
        raise InputError(f"workers is {workers}, expected at least 1")
    names = _names(policy, model, reward, options) if folder is not None else {}
    if not asked:
        return []
    kept = [None if folder is None else _place(Path(folder), each, names) for each in asked]
    found: list[Agreement | CommonwealError | None] = [_kept(place) for place in kept]
    missing = [place for place, result in enumerate(found) if result is None]
    for place, result in enumerate(found):
        if result is not None and on_done is not None:
            on_done(place, result)
    if missing:
        writer = (
            policy
            if isinstance(policy, Policy)
            else load_policy(policy or default_policy(model), model)
        )
        predictor = (
            load_reward_model(reward, writer=writer.model) if isinstance(reward, str) else reward
        )

        call = Call()

        def one(place: int) -> Agreement | CommonwealError:
            question, opinions = _parts(asked[place])
            try:
                with working_for(call):
                    result = find_agreement(
                        question, opinions, policy=writer, reward=predictor, **options
                    )
            except CommonwealError as error:
                return error
            if (file := kept[place]) is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(file, json.dumps(result.to_dict(), ensure_ascii=False))
            return result

        with ThreadPoolExecutor(workers) as pool:
            try:
                for place, result in zip(missing, pool.map(one, missing), strict=True):
                    found[place] = result
                    if on_done is not None:
                        on_done(place, result)
            except BaseException:  # Ctrl-C, or what on_done raised: what is under way ends soon
                call.cancel()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [result for result in found if result is not None]


async def find_agreement_async(
    question: str | Question, opinions: Sequence[str | Opinion], **options: Any
) -> Agreement:
    """As ``find_agreement``, in a thread: an event loop goes on meanwhile.

    Where the task is cancelled, so is the work: the embedded engine ends at its next step, and
    requests to a server are dropped. ``timeout_seconds`` limits the call, as there; a server's time
    for one answer is set in the model's name: ``openai:URL#MODEL?timeout_seconds=30``.

    Raises:
        CommonwealError: as ``find_agreement``.
    """
    call = Call()

    def work() -> Agreement:
        with working_for(call):
            return find_agreement(question, opinions, **options)

    try:
        return await asyncio.to_thread(work)
    except asyncio.CancelledError:
        call.cancel()
        raise


_NOT_ASKED = ("on_progress", "on_cost", "on_draft", "timeout_seconds")
"""Options that change nothing about a result."""


def _parts(group: GivenGroup) -> tuple[str | Question, Sequence[str | Opinion]]:
    return (group.question, group.opinions) if isinstance(group, Group) else group


def _names(
    policy: object, model: object, reward: object, options: dict[str, Any]
) -> dict[str, Any]:
    """What makes two calls the same, in plain values."""
    given = {"policy": policy, "model": model, "reward": reward, **options}
    given = {name: value for name, value in given.items() if name not in _NOT_ASKED}
    plain = (str, int, float, bool, type(None))
    for name, value in given.items():
        whole = value if isinstance(value, (list, tuple)) else [value]
        if not all(isinstance(each, plain) for each in whole):
            raise InputError(
                f"{name} is an object, and the folder keeps results under names made from plain "
                f"values; give {name} by name, or no folder"
            )
    return given | {"version": __version__}


def _place(folder: Path, group: GivenGroup, names: dict[str, Any]) -> Path:
    question, opinions = _parts(group)
    asked = question if isinstance(question, str) else [question.text, question.id]
    said = [each if isinstance(each, str) else [each.id, each.text] for each in opinions]
    content = json.dumps([asked, said, names], sort_keys=True, ensure_ascii=False, default=list)
    return folder / f"{hashlib.sha256(content.encode('utf-8', 'replace')).hexdigest()[:24]}.json"


def _kept(place: Path | None) -> Agreement | None:
    """The result that an earlier call kept; what cannot be read is found anew."""
    if place is None or not place.is_file():
        return None
    try:
        return Agreement.from_dict(json.loads(place.read_text(encoding="utf-8")))
    except (OSError, ValueError, CommonwealError):
        return None
