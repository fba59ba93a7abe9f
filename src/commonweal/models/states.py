"""What a model holds at a middle layer while it reads a text: what a probe is fitted to.

Source: linear probes of middle layers, Alain and Bengio 2016 (arXiv 1610.01644).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import EngineError
from commonweal.models.adapted import add_branches
from commonweal.models.converted import MODEL
from commonweal.models.prefix_tree import Tokens, chunks
from commonweal.models.scoring import MAX_CACHED_TOKENS, Body, up_to

if TYPE_CHECKING:
    from commonweal.models.gguf_lora import LoraPair
    from commonweal.types import FloatArray

_OF_LAYER = re.compile(r"^past_key_values\.(\d+)\.")


class StateReader:
    """States after one layer of a converted model; the layers above it are not computed.

    For one thread at a time.

    Args:
        folder: of the converted model.
        layer: which, from 0.
        updates: what a fine-tune adds to matrices up to that layer; None: nothing.

    Raises:
        EngineError: the model has no such layer, or none of these matrices.
    """

    def __init__(
        self, folder: Path, layer: int, updates: Mapping[str, LoraPair] | None = None
    ) -> None:
        import openvino as ov

        model = _layers(ov.Core().read_model(folder / MODEL), layer)
        if updates:
            add_branches(model, updates)
        self._body = Body(model)

    def means(self, sequences: Sequence[Tokens], n_last: Sequence[int]) -> FloatArray:
        """The mean state over the last ``n_last[i]`` tokens of each, [n_sequences, n_hidden].

        Args:
            sequences: tokens. What they share from their start is computed once.
            n_last: how many, each at least 1 and at most all.
        """
        wanted: dict[Tokens, set[int]] = {}
        for tokens, n in zip(sequences, n_last, strict=True):
            wanted.setdefault(tokens, set()).add(n)
        sums: dict[tuple[Tokens, int], FloatArray] = {}
        for chunk in chunks(list(wanted), MAX_CACHED_TOKENS):
            positions = [range(len(each) - max(wanted[each]), len(each)) for each in chunk]
            for rows, vectors in self._body.vectors(chunk, positions):
                for (index, position), row in rows.items():
                    tokens = chunk[index]
                    for n in wanted[tokens]:
                        if position >= len(tokens) - n:
                            before = sums.get((tokens, n), 0.0)
                            sums[tokens, n] = before + vectors[row].astype(np.float64)
        return np.array([sums[tokens, n] / n for tokens, n in zip(sequences, n_last, strict=True)])


def _layers(model: Any, layer: int) -> Any:
    """The model up to the sum that leaves the layer, with the keys and values of those it has."""
    name = f"model.layers.self_attn.add1.layer{layer}"
    found = [node for node in model.get_ordered_ops() if node.get_friendly_name() == name]
    if not found:
        raise EngineError(f"the converted model has no layer {layer}; convert it again")
    sinks = [
        sink
        for sink in model.get_sinks()
        if (match := _OF_LAYER.match(sink.get_variable_id())) and int(match[1]) <= layer
    ]
    return up_to(found[0].output(0), sinks, model.get_parameters())
