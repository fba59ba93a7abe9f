"""What a language model said, kept on disk call by call, so that a run broken off can go on.

A run is a function of its seed and of the model's answers. So nothing but the answers is kept: a
run that goes on is the same run, with its first answers remembered instead of asked for again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from commonweal.errors import EngineError, InputError
from commonweal.models.empties import why_all_empty
from commonweal.types import Completion, LanguageModel, Prompt, Sampling

SCHEMA = "commonweal/question-journal/1"


class Journal:
    """A language model that remembers: one line of JSON for each call, on disk before it returns.

    Args:
        model: the language model; asked only for what is not remembered.
        path: the journal; made where it is not there. ``None`` remembers nothing.

    Attributes:
        n_remembered: completions so far that came from the journal.
        n_asked: completions so far that came from the model.

    Raises:
        InputError: the file is another model's journal, no journal, or cannot be written.
    """

    def __init__(self, model: LanguageModel, path: Path | None) -> None:
        self._model, self._path = model, path
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
        whole = raw[: raw.rfind(b"\n") + 1]
        if whole:
            self._read(path, whole, header)
        elif not _as_line(header).startswith(raw):
            raise self._no_journal(path, 1)
        if len(whole) < len(raw):
            try:
                os.truncate(path, len(whole))
            except OSError as error:
                raise InputError(f"cannot write {path}: {error.strerror or error}") from None
        if not whole:
            self._append(header)

    def ask(
        self, prompts: Sequence[Prompt], *, seeds: Sequence[int], sampling: Sampling
    ) -> list[Completion]:
        """One completion for each prompt, the same whenever the same call is made again.

        Raises:
            EngineError: the model failed; what it said before is kept.
            InputError: the journal cannot be written.
        """
        call = _call_key(prompts, seeds, sampling)
        known = self._calls.get(call)
        if known is not None:
            self.n_remembered += len(known)
            return known
        answers = self._model.generate(prompts, seeds=seeds, sampling=sampling)
        found = [answer[0] for answer in answers]
        if not self._calls and (why := why_all_empty(found)):
            raise EngineError(f"{self._model.model_id}: all of its first answers are empty: {why}")
        self._append({"call": call, "completions": [asdict(each) for each in found]})
        self._calls[call] = found
        self.n_asked += len(found)
        return found

    @staticmethod
    def _no_journal(path: Path, n_line: int) -> InputError:
        return InputError(
            f"{path}, line {n_line}: not a line of a question journal; nothing was changed; move "
            "the file away to begin anew, or name another output"
        )

    def _read(self, path: Path, raw: bytes, header: dict[str, Any]) -> None:
        for n, line in enumerate(raw.splitlines(), start=1):
            try:
                entry = json.loads(line)
                if n == 1:
                    found = {name: entry[name] for name in header}
                else:
                    self._calls[entry["call"]] = [Completion(**c) for c in entry["completions"]]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise self._no_journal(path, n) from None
            if n == 1 and found != header:
                raise InputError(
                    f"{path} is the journal of {found['model']} (weights {found['weights_hash']}), "
                    f"but the model now is {header['model']} (weights {header['weights_hash']}); "
                    "go on with the same model, or name another output"
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
                "kept, and the same command goes on from there"
            ) from None
        self._n_bytes += len(line)


def _as_line(entry: dict[str, Any]) -> bytes:
    return (json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8", errors="replace")


def _call_key(prompts: Sequence[Prompt], seeds: Sequence[int], sampling: Sampling) -> str:
    call = [[[list(message) for message in prompt] for prompt in prompts], list(seeds)]
    canonical = json.dumps([call, asdict(sampling)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", errors="replace")).hexdigest()[:32]
