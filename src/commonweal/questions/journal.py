"""What a language model said, kept on disk call by call, so that a run broken off can go on.

A run is a function of its seed and of the model's answers. So nothing but the answers is kept: a
run that goes on is the same run, with its first answers remembered instead of asked for again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from commonweal.errors import EngineError, InputError
from commonweal.models.empties import why_all_empty
from commonweal.types import Completion, LanguageModel, Prompt, Sampling

SCHEMA = "commonweal/question-journal/1"


class ModelCall(NamedTuple):
    """What a language model is asked in one call."""

    prompts: Sequence[Prompt]
    seeds: Sequence[int]
    sampling: Sampling


NamedCalls = Iterable[tuple[str, ModelCall] | None]
"""Calls under their names. None says that none is wanted yet: ask again after the next answer."""

AskAll = Callable[[NamedCalls], Generator[tuple[str, list[Completion]], None, None]]
"""Asks several calls at once; answers as they come, in any order."""


class Journal:
    """A language model that remembers: one line of JSON for each call, on disk before it returns.

    Args:
        model: the language model; asked only for what is not remembered.
        path: the journal; made where it is not there. ``None`` remembers nothing.
        ask_all: asks the same model for several calls at once (``answers``); ``None`` asks for one
            after another.

    Attributes:
        n_remembered: completions so far that came from the journal.
        n_asked: completions so far that came from the model.

    Raises:
        InputError: the file is another model's journal, no journal, or cannot be written.
    """

    def __init__(
        self, model: LanguageModel, path: Path | None, *, ask_all: AskAll | None = None
    ) -> None:
        self._model, self._path, self._ask_all = model, path, ask_all
        self._calls: dict[str, list[Completion]] = {}
        self._n_bytes = 0
        self.n_remembered = 0
        self.n_asked = 0
        if path is None:
            return
        header = {
            "schema": SCHEMA,
            "model": model.model_id,
            "weights_hash": model.weights_hash,
        }
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            raw = b""
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from None
        # A last line that was being written when the run was broken off is left out: only after
        # what stands before it has turned out to be a journal of this model.
        complete = raw[: raw.rfind(b"\n") + 1]
        if complete:
            self._read(path, complete, header)
        elif not _as_line(header).startswith(raw):
            raise self._no_journal(path, 1)
        if len(complete) < len(raw):
            try:
                os.truncate(path, len(complete))
            except OSError as error:
                raise InputError(f"cannot write {path}: {error.strerror or error}") from None
        if not complete:
            self._append(header)

    def answers(
        self, calls: Iterable[ModelCall], *, n_wanted: Callable[[], int] | None = None
    ) -> Generator[list[Completion], None, None]:
        """The answers to each call, in the calls' order; there may be calls without end.

        What is answered out of turn is kept at once. Whoever has enough closes the generator; what
        was under way then is lost, and is no part of anything.

        Args:
            calls: to be answered.
            n_wanted: how many more answers will be taken, as far as it can be told by now; None
                where all are. So many calls are asked ahead at most.

        Raises:
            EngineError: the model failed; what it said before is kept.
            InputError: the journal cannot be written.
        """
        left = iter(calls)
        for call in left:
            key = _call_key(call)
            if (known := self._remembered(key)) is not None:
                yield known
            elif self._ask_all is None:
                answers = self._model.generate(
                    call.prompts, seeds=call.seeds, sampling=call.sampling
                )
                self._keep(key, [answer[0] for answer in answers])
                yield self._calls[key]
            else:
                # Not before something is missing: workers load models.
                yield from self._asked_at_once(self._ask_all, chain([call], left), n_wanted)

    def _asked_at_once(
        self,
        ask_all: AskAll,
        calls: Iterable[ModelCall],
        n_wanted: Callable[[], int] | None,
    ) -> Generator[list[Completion], None, None]:
        order, asked = deque[str](), set[str]()
        under_way, early = set[str](), set[str]()  # early: answered, and not yet in turn

        def is_far_ahead() -> bool:
            # While one call takes long, the others would be asked for ever. As many answers may
            # wait for it as calls are under way: whoever asks takes as many as it can work on, so
            # nobody is idle but behind a call that takes several times as long as the others.
            if not under_way:
                return False
            return len(early) >= len(under_way) or (
                n_wanted is not None and len(order) > n_wanted()
            )

        def missing() -> Iterator[tuple[str, ModelCall] | None]:
            for call in calls:
                key = _call_key(call)
                order.append(key)
                if key not in asked and key not in self._calls:
                    while is_far_ahead():
                        yield None
                    asked.add(key)
                    under_way.add(key)
                    yield key, call

        def ready() -> Iterator[list[Completion]]:
            while order and order[0] in self._calls:
                key = order.popleft()
                early.discard(key)
                yield self._calls[key] if key in asked else self._remembered(key) or []

        with closing(ask_all(missing())) as answers:
            for key, completions in answers:
                self._keep(key, completions)
                under_way.discard(key)
                early.add(key)
                yield from ready()
        yield from ready()  # remembered ones behind the last that was asked for

    def _remembered(self, key: str) -> list[Completion] | None:
        known = self._calls.get(key)
        self.n_remembered += len(known or ())
        return known

    def _keep(self, key: str, completions: list[Completion]) -> None:
        if not self._calls and (why := why_all_empty(completions)):
            raise EngineError(f"{self._model.model_id}: all of its first answers are empty: {why}")
        self._append({"call": key, "completions": [asdict(each) for each in completions]})
        self._calls[key] = completions
        self.n_asked += len(completions)

    @staticmethod
    def _no_journal(path: Path, n_line: int) -> InputError:
        return InputError(
            f"{path}, line {n_line}: not a line of a question journal; nothing was changed; move "
            "the file away to start again, or name another output"
        )

    def _read(self, path: Path, raw: bytes, header: dict[str, Any]) -> None:
        for n, line in enumerate(raw.splitlines(), start=1):
            try:
                entry = json.loads(line)
                if n == 1:
                    own = {name: entry[name] for name in header}
                else:
                    self._calls[entry["call"]] = [Completion(**c) for c in entry["completions"]]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise self._no_journal(path, n) from None
            if n == 1 and own != header:
                raise InputError(
                    f"{path} is the journal of {own['model']} (weights {own['weights_hash']}), "
                    f"but the model now is {header['model']} (weights {header['weights_hash']}); "
                    "continue with the same model, or name another output"
                )
        self._n_bytes = len(raw)

    def _append(self, entry: dict[str, Any]) -> None:
        if self._path is None:
            return
        line = _as_line(entry)
        try:
            with self._path.open("ab") as file:
                if file.tell() != self._n_bytes:
                    raise InputError(
                        f"{self._path} was changed by somebody else; is another run writing to it? "
                        "Wait for it, or name another output"
                    )
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(
                f"cannot write {self._path}: {error.strerror or error}; what was written before is "
                "kept, and the same command continues from there"
            ) from None
        self._n_bytes += len(line)


def _as_line(entry: dict[str, Any]) -> bytes:
    return (json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8", errors="replace")


def _call_key(call: ModelCall) -> str:
    prompts = [[list(message) for message in prompt] for prompt in call.prompts]
    asked = [prompts, list(call.seeds)]
    canonical = json.dumps([asked, asdict(call.sampling)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", errors="replace")).hexdigest()[:32]
