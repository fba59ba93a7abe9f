"""Probes: directions through one layer of one language model, and how they are stored.

What a model holds at a middle layer while it reads a text often tells more than its answers do.
A probe reads it off: the mean state over the text's tokens, times a direction that was fitted to
grades. It belongs to the very weights that it was fitted to, since another model's layers hold
other things. It may bring low-rank updates of the matrices below, with which the layer holds more
of what is asked.

Sources: linear probes, Alain and Bengio 2016 (arXiv 1610.01644); low-rank updates, Hu et al. 2021
(arXiv 2106.09685).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from commonweal.models.fitted import fitted_arrays, from_steps, in_steps
from commonweal.models.gguf_lora import LoraPair
from commonweal.types import Prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

SCHEMA_VERSION = 1

_ARRAY, _UP, _DOWN = "array/", "up/", "down/"

MAX_TOKENS = 1500
"""Of one text that is read: three of them and what stands around them fit every context here."""


@runtime_checkable
class TellsStates(Protocol):
    """A language model whose layers can be read."""

    @property
    def weights_hash(self) -> str | None:
        """As of ``LanguageModel``."""
        ...

    def count_tokens(self, text: str) -> int | None:
        """As of ``LanguageModel``."""
        ...

    def mean_states(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        *,
        layer: int,
        updates: Mapping[str, LoraPair] | None = None,
    ) -> FloatArray:
        """The mean state after a layer over each continuation, [n_continuations, n_hidden].

        ``updates`` are added to the matrices that they name (``blk.3.attn_q.weight``), rows in
        transformers' order.
        """
        ...


@dataclass(frozen=True)
class Probe:
    """Directions through a layer.

    Attributes:
        directions: float64 [n_hidden, n_members]: fitted to different draws of the same groups.
        metadata: ``weights_sha256`` of the model, the ``layer`` after which it reads, from 0, the
            ``prompt_hash`` of what stands before the texts, and how it was made.
        arrays: what else was fitted, by name.
        updates: what is added to matrices of the model while it reads, by their names in its GGUF
            file; none for a probe of the model as it is.
    """

    directions: FloatArray
    metadata: Mapping[str, Any]
    arrays: Mapping[str, FloatArray]
    updates: Mapping[str, LoraPair] = field(default_factory=dict)

    def fits(self, model: object) -> bool:
        """Whether it was fitted to this model's weights, and the engine can be read."""
        wanted = self.metadata["weights_sha256"]
        return isinstance(model, TellsStates) and model.weights_hash == wanted

    def values(
        self, model: TellsStates, prompts: Sequence[Prompt], texts: Sequence[str]
    ) -> FloatArray:
        """What each member makes of each text after its prompt, float64 [n_texts, n_members].

        Raises:
            EngineError: the engine failed.
        """
        states = model.mean_states(
            prompts, texts, layer=int(self.metadata["layer"]), updates=self.updates or None
        )
        values: FloatArray = states @ self.directions
        return values

    def save(self, path: Path) -> None:
        """Writes it, compressed, the updates rounded to 255 steps for each of their ranks."""
        halves: dict[str, NDArray[Any]] = {}
        for name, pair in self.updates.items():
            halves |= in_steps(_UP + name, pair.up.T) | in_steps(_DOWN + name, pair.down)
        np.savez_compressed(
            path,
            allow_pickle=False,
            schema_version=np.array(SCHEMA_VERSION),
            metadata=np.array(json.dumps(dict(self.metadata), ensure_ascii=False)),
            directions=self.directions.astype(np.float32),
            **{_ARRAY + name: array for name, array in self.arrays.items()},
            **halves,
        )

    @classmethod
    def load(cls, path: Path, *, prompt_hash: str, recipe: str) -> Probe:
        """The probe of this file.

        Args:
            path: of the file.
            prompt_hash: of the prompt that is used today.
            recipe: what makes the file, for messages.

        Raises:
            WeightsError: the file is missing, damaged, or was fitted to another prompt.
        """
        with fitted_arrays(path, what="probe", schema=SCHEMA_VERSION, recipe=recipe) as arrays:
            metadata = json.loads(str(arrays["metadata"]))
            if metadata["prompt_hash"] != prompt_hash:
                raise ValueError("it was fitted to another prompt")
            missing = {"weights_sha256", "layer"} - set(metadata)
            if missing:
                raise ValueError(f"it does not say its {', '.join(sorted(missing))}")
            return cls(
                arrays["directions"].astype(np.float64).reshape(len(arrays["directions"]), -1),
                metadata,
                {
                    name.removeprefix(_ARRAY): array.astype(np.float64)
                    for name, array in arrays.items()
                    if name.startswith(_ARRAY)
                },
                {
                    name: LoraPair(
                        from_steps(_UP + name, arrays).T, from_steps(_DOWN + name, arrays)
                    )
                    for name in (each.removeprefix(_UP) for each in arrays if each.startswith(_UP))
                },
            )


def shortened(text: str, model: TellsStates, max_tokens: int = MAX_TOKENS) -> str:
    """The text without an end that is too long: some scripts have several tokens a letter."""
    while text and (n_tokens := model.count_tokens(text) or 0) > max_tokens:
        text = text[: min(len(text) - 1, len(text) * max_tokens // n_tokens)]
    return text
