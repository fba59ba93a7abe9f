"""Every error comes through a pool of processes with all that it holds."""

from __future__ import annotations

import copy
import inspect
import pickle
import pkgutil
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context

import pytest

import commonweal
from commonweal.errors import CommonwealError, GenerationError
from commonweal.types import Rejection, RejectionReason

REJECTED = (Rejection("I cannot help.", RejectionReason.REFUSAL, "says so", 3),)


def kinds(kind: type[CommonwealError]) -> set[type[CommonwealError]]:
    return {kind}.union(*map(kinds, kind.__subclasses__()))


def all_kinds() -> list[type[CommonwealError]]:
    for module in pkgutil.walk_packages(commonweal.__path__, "commonweal."):
        source = module.name.removeprefix("commonweal.")
        if source != "__main__" and not source.startswith(("study", "training", "cli")):
            import_module(module.name)
    return sorted(kinds(CommonwealError), key=lambda kind: kind.__qualname__)


@pytest.mark.parametrize("again", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy])
def test_every_error_pickles(again):
    assert GenerationError in all_kinds()
    for kind in all_kinds():
        wanted = [
            each
            for each in inspect.signature(kind.__init__).parameters.values()
            if each.kind is each.POSITIONAL_OR_KEYWORD and each.name != "self"
        ]
        given = [REJECTED if each.name == "rejections" else f"{each.name} ä" for each in wanted]
        error = kind(*given or ["told"])
        copied = again(error)
        assert type(copied) is kind
        assert str(copied) == str(error)
        assert vars(copied) == vars(error)


def fails(_: int) -> None:
    raise GenerationError("nothing can be shown", REJECTED)


def test_a_failed_group_does_not_break_a_pool_of_processes():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.raises(GenerationError, match="nothing can be shown") as caught:
            pool.submit(fails, 1).result(timeout=120)
        assert caught.value.rejections == REJECTED
        assert pool.submit(len, "ab").result(timeout=120) == 2
