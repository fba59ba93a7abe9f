"""The main job for many groups: models loaded once, one failure does not stop the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from commonweal.agreement import find_agreement
from commonweal.batch.kept import GivenGroup, Kept, asked_for, parts
from commonweal.calling import Call, working_for
from commonweal.errors import CommonwealError, InputError
from commonweal.models import DEFAULT_MODEL
from commonweal.policies import default_policy, load_policy
from commonweal.result import Agreement
from commonweal.rewards import DEFAULT_REWARD_MODEL, load_reward_model
from commonweal.types import LanguageModel, Opinion, Policy, Question, RewardModel

T = TypeVar("T")
R = TypeVar("R")


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

    Models given by name are loaded once. An interrupted call can continue if its results are
    kept: the same call with the same ``folder`` finds only what is missing, and tries again what
    had failed.

    Args:
        groups: of ``read_group``, or (question, opinions).
        policy: as in ``find_agreement``.
        model: likewise.
        reward: likewise; by default "reader", also where the default model writes.
        folder: where each result is kept as JSON, under a name made from the group and the
            options; None keeps nothing.
        workers: groups under way at once. More than one helps if models run elsewhere
            (``openai:``); an engine on this machine takes one call at a time.
        on_done: called with (place in ``groups``, result) as each is done, one call at a time,
            from the thread that called; what it raises ends the call.
        options: those of ``find_agreement``: ``seed``, ``welfare``, ``n_candidates``, ...;
            ``timeout_seconds`` is for each group. People's own sentences are read only with
            ``own_words=True``.

    Raises:
        InputError: the options cannot be used; or, with ``folder``, a model is not given by name.
        CommonwealError: the models cannot be loaded.

    Example:
        >>> find_agreements([])
        []
    """
    asked = list(groups)
    if workers < 1:
        raise InputError(f"workers is {workers}, expected at least 1")
    given = {"policy": policy, "model": model, "reward": reward, **options}
    kept = None if folder is None else Kept(Path(folder), asked_for(given))
    agreements: list[Agreement | CommonwealError | None] = [
        None if kept is None else kept.get(kept.key(each)) for each in asked
    ]
    missing = [place for place, result in enumerate(agreements) if result is None]
    for place, result in enumerate(agreements):
        if result is not None and on_done is not None:
            on_done(place, result)
    if missing:
        one = finder(policy, model, reward)

        def find(place: int) -> Agreement | CommonwealError:
            result = one(asked[place], **options)
            if kept is not None and isinstance(result, Agreement):
                kept.put(kept.key(asked[place]), result)
            return result

        with closing(in_threads(find, missing, workers)) as results:
            for place, result in results:
                agreements[place] = result
                if on_done is not None:
                    on_done(place, result)
    return [result for result in agreements if result is not None]


def finder(
    policy: str | Policy | None, model: str | LanguageModel, reward: str | RewardModel
) -> Callable[..., Agreement | CommonwealError]:
    """What finds a group's agreement, or the error that ended it, with models loaded now.

    It takes a group and the other options of ``find_agreement``.

    Raises:
        CommonwealError: the models cannot be loaded.
    """
    writer = (
        policy
        if isinstance(policy, Policy)
        else load_policy(policy or default_policy(model), model)
    )
    predictor = (
        load_reward_model(reward, writer=writer.model) if isinstance(reward, str) else reward
    )

    def one(group: GivenGroup, **options: Any) -> Agreement | CommonwealError:
        question, opinions = parts(group)
        try:
            return find_agreement(question, opinions, policy=writer, reward=predictor, **options)
        except CommonwealError as error:
            return error

    return one


def in_threads(
    function: Callable[[T], R], items: Iterable[T | None], n_threads: int
) -> Generator[tuple[T, R], None, None]:
    """Each item with what the function makes of it, as soon as that is there.

    So many are under way at once. One that takes long holds up no other. An item that is None says
    that there is none yet: they are asked again after the next result. Closed before its end
    (Ctrl-C, an error of whoever takes the results) it ends what is under way.
    """
    call = Call()

    def work(item: T) -> R:
        with working_for(call):
            return function(item)

    left, running = iter(items), dict[Future[R], T]()
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            while True:
                # As many wait as run, so that no thread does while a result is being kept.
                for item in islice(left, 2 * n_threads - len(running)):
                    if item is None:
                        break
                    running[pool.submit(work, item)] = item
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for each in [each for each in running if each in done]:  # in the items' order
                    yield running.pop(each), each.result()
        except BaseException:
            call.cancel()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


async def find_agreement_async(
    question: str | Question, opinions: Sequence[str | Opinion], **options: Any
) -> Agreement:
    """As ``find_agreement``, in a thread, so that the event loop keeps running.

    If the task is cancelled, so is the work: the embedded engine stops at its next step, and
    requests to a server are dropped. ``timeout_seconds`` limits the whole call; a server's time
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
