"""The reward model ``probe``: the default language model reads, and a probe says who would agree.

The embedded 1.5B model, asked how far a person would agree, answers little better than chance
(docs/LOG.md, 2026-11-28). What its middle layers hold while it reads a statement as that person's
own tells more, and most where low-rank updates of these layers are trained together with the
direction that is read off (docs/decisions/049-a-tuned-reader.md). The model that writes stays as it
is. The rewards of ``reader`` stand beside. Its card: ``probe_card.md``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import EngineError
from commonweal.files import sha256_of
from commonweal.models import DEFAULT_MODEL, check_language_model, load_language_model
from commonweal.models.probe import Probe, TellsStates, shortened
from commonweal.reading.quoting import as_data, template_hash
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.rewards.ranges import around
from commonweal.rewards.reader import Reader
from commonweal.types import LanguageModel, Message, Prompt, RewardInput

if TYPE_CHECKING:
    from commonweal.types import FloatArray

WEIGHTS_PATH = Path(__file__).with_name("probe.npz")
RECIPE = "recipes/probes/tune.py"

MAX_CHARACTERS = 2000
"""Of question, opinion and statement each; a longer one loses its end."""

_BLOCK = 32
"""Pairs that are read at once: two people and 16 statements, after which progress is told."""


class ProbeRewardModel:
    """Predicts agreement from what the default language model holds while it reads.

    Safe to share between threads: their calls wait for each other.

    Args:
        model: the embedded 1.5B model; one that writes may be the same.
        reader: beside whose rewards the probe's stand; it judges quality.
        weights_path: what was fitted.

    Raises:
        WeightsError: the probe is damaged.
        EngineError: it was not fitted to this model.
    """

    name = "probe"

    def __init__(
        self, model: LanguageModel, reader: Reader, *, weights_path: Path = WEIGHTS_PATH
    ) -> None:
        self._probe = Probe.load(weights_path, prompt_hash=prompt_hash(), recipe=RECIPE)
        if not isinstance(model, TellsStates) or not self._probe.fits(model):
            raise EngineError(
                f"the reward model probe reads with the states of {DEFAULT_MODEL!r}, and the model "
                f"is {model.model_id}: what was fitted to one says nothing of another. Use "
                "--reward-model reader"
            )
        self._model: TellsStates = model
        self._reader = reader
        hashes = (sha256_of(weights_path), model.weights_hash, reader.weights_hash)
        self._weights_hash = hashlib.sha256(" ".join(map(str, hashes)).encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec: str = "", *, writer: LanguageModel | None = None) -> ProbeRewardModel:
        """The model, reading with the engine after ``probe:``; by default with the writer, if it
        is the one that was probed, else with the default model.

        Raises:
            InputError, WeightsError, EngineError: as ``load_language_model`` and ``Reader``.
        """
        if not spec and writer is not None and reads_with(writer):
            return cls(writer, Reader())
        return cls(load_language_model(spec or DEFAULT_MODEL), Reader())

    @staticmethod
    def check_spec(spec: str) -> None:
        """Returns where there is an engine of that name; nothing is loaded.

        Raises:
            InputError: there is none.
        """
        check_language_model(spec or DEFAULT_MODEL)

    @property
    def weights_hash(self) -> str:
        """The sha256, in hex, over what was fitted, the language model's and the reader's."""
        return self._weights_hash

    @property
    def calibration(self) -> LogisticCalibration:
        """From its rewards to expected ratings."""
        slope, intercept = map(float, self._probe.arrays["calibration"])
        return LogisticCalibration(slope, intercept, str(self.metadata["calibrated_to"]))

    @property
    def metadata(self) -> Mapping[str, Any]:
        """How it was made: data, settings."""
        return self._probe.metadata

    def rewards(
        self, inputs: Sequence[RewardInput], *, on_done: Callable[[int], None] | None = None
    ) -> FloatArray:
        """Raw rewards, float64 [n_inputs], higher is more agreement.

        Those of one opinion stand best side by side: what they share is computed once.

        Raises:
            EngineError: the engine failed.
        """
        read = np.concatenate([np.empty(0), *self._blocks(inputs, on_done)])
        of_probe, of_reader = map(float, self._probe.arrays["mix"])
        rewards: FloatArray = of_probe * read
        return rewards + of_reader * self._reader.rewards(inputs) if of_reader else rewards

    def _blocks(
        self, inputs: Sequence[RewardInput], on_done: Callable[[int], None] | None
    ) -> Iterator[FloatArray]:
        offset = float(self._probe.arrays["offset"][0])
        for start in range(0, len(inputs), _BLOCK):
            block = inputs[start : start + _BLOCK]
            cut = {text: shortened(text, self._model) for each in block for text in each}
            prompts = [prompt(cut[each.question], cut[each.opinion]) for each in block]
            texts = [as_text(cut[each.statement]) for each in block]
            yield self._probe.values(self._model, prompts, texts).mean(axis=1) - offset
            if on_done is not None:
                on_done(start + len(block))

    def qualities(
        self, question: str, opinions: Sequence[str], statements: Sequence[str]
    ) -> FloatArray:
        """As of ``reader``."""
        return self._reader.qualities(question, opinions, statements)

    def ranges(self, expected: FloatArray) -> tuple[FloatArray, FloatArray]:
        """As of ``reader``, from grades of what the probe was not fitted to."""
        return around(expected, self._probe.arrays["interval"])


def reads_with(model: LanguageModel) -> bool:
    """Whether the probe that ships was fitted to this model."""
    if not isinstance(model, TellsStates):
        return False
    return _shipped(WEIGHTS_PATH).fits(model)


@cache
def _shipped(path: Path) -> Probe:
    return Probe.load(path, prompt_hash=prompt_hash(), recipe=RECIPE)


def prompt(question: str, opinion: str) -> Prompt:
    """What stands before a statement where it is read as this person's."""
    text = (
        f"Question: {as_text(question)}\n\nA person wrote: {as_text(opinion)}\n\n"
        "Write one short statement on the question that this person would agree with."
    )
    return (Message("user", text),)


def prompt_hash() -> str:
    """Of all that ``prompt`` says of its own."""
    return template_hash({"prompt": [*prompt("?", ".")]})


def as_text(text: str) -> str:
    """The text as it may stand in a prompt, without an end that is too long."""
    return as_data(text)[:MAX_CHARACTERS]
