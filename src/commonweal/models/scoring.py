"""Log-probabilities of given texts from a converted model, shared beginnings computed once.

The model keeps the attention keys and values of its rows between steps, and its input ``beam_idx``
says which row each new row continues. So one computed beginning serves any number of rows. The
vocabulary's projection, a fifth of the work and gigabytes of results, is cut off and made a small
model of its own, which sees only the positions that are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from commonweal.calling import check, held
from commonweal.models.converted import MODEL
from commonweal.models.inference import PRECISION
from commonweal.models.prefix_tree import Slice, Tokens, chunks, slices

_MAX_CACHED_TOKENS = 32_768
"""Most rows times tokens whose keys and values are kept at once: 0.5 GB for a model of 1.5
billion parameters. Where more is asked for, what is shared is computed once for each part."""

_MAX_STEP_TOKENS = 1024
"""Most tokens in one step, of all rows together."""

_STEP_OVERHEAD = 24
"""Reading the weights once takes as long as about so many tokens of a large step."""

_MAX_HEAD_ROWS = 64
"""Positions whose distribution over the whole vocabulary is in memory at once."""


class Scorer:
    """Log-probabilities of tokens, from the folder of a converted model.

    Calls from several threads wait for each other.
    """

    def __init__(self, folder: Path) -> None:
        import openvino as ov

        core = ov.Core()
        body, head = _split(core.read_model(folder / MODEL))
        self._body = core.compile_model(body, "CPU", PRECISION).create_infer_request()
        # Half of this precision would be lost in sums of 150,000 exponentials.
        self._head = core.compile_model(head, "CPU", PRECISION).create_infer_request()
        self._lock = Lock()

    def log_probabilities(
        self,
        sequences: Sequence[Tokens],
        n_scored: Sequence[int],
        on_done: Callable[[int], None] | None = None,
    ) -> list[list[float]]:
        """The natural log-probability of the last ``n_scored[i]`` tokens of ``sequences[i]``.

        Args:
            sequences: tokens, each at least one more than are scored.
            n_scored: how many, each at least 0.
            on_done: called with the number of sequences scored so far.
        """
        wanted: dict[Tokens, set[tuple[int, int]]] = {}
        for tokens, n in zip(sequences, n_scored, strict=True):
            if n:
                pairs = wanted.setdefault(tokens[:-1], set())
                pairs.update((p - 1, tokens[p]) for p in range(len(tokens) - n, len(tokens)))
        scores: dict[tuple[Tokens, int, int], float] = {}
        n_done = 0
        for chunk in chunks(list(wanted), _MAX_CACHED_TOKENS):
            with held(self._lock):
                self._score(chunk, [wanted[tokens] for tokens in chunk], scores)
            n_done += len(chunk)
            if on_done is not None:
                on_done(len(sequences) * n_done // len(wanted))
        return [
            [scores[tokens[:-1], p - 1, tokens[p]] for p in range(len(tokens) - n, len(tokens))]
            for tokens, n in zip(sequences, n_scored, strict=True)
        ]

    def _score(
        self,
        ordered: list[Tokens],
        wanted: Sequence[set[tuple[int, int]]],
        scores: dict[tuple[Tokens, int, int], float],
    ) -> None:
        self._body.reset_state()
        for part in slices(ordered, overhead=_STEP_OVERHEAD, max_tokens=_MAX_STEP_TOKENS):
            check()
            width = part.stop - part.start
            # Several sequences may want the same position of the row that they share.
            asked: dict[tuple[int, int], list[int]] = {}
            for index, row in part.row_of.items():
                for position, token in wanted[index]:
                    if part.start <= position < part.stop:
                        at = row * width + position - part.start
                        asked.setdefault((at, token), []).append(index)
            places = sorted({at for at, _ in asked})
            hidden = self._step(ordered, part, places)
            if not asked:
                continue
            number = {at: i for i, at in enumerate(places)}
            pairs = sorted(asked)
            log_probabilities = self._heads(hidden, [(number[at], token) for at, token in pairs])
            for (at, token), value in zip(pairs, log_probabilities, strict=True):
                for index in asked[at, token]:
                    scores[ordered[index], part.start + at % width, token] = value
        self._body.reset_state()

    def _step(self, ordered: Sequence[Tokens], part: Slice, places: Sequence[int]) -> Any:
        """The last layer's vectors at the places, float32 [n_places, n_hidden]."""
        n_rows, width = len(part.rows), part.stop - part.start
        ids = np.zeros((n_rows, width), dtype=np.int64)
        for row, index in enumerate(part.rows):
            tokens = ordered[index][part.start : part.stop]
            ids[row, : len(tokens)] = tokens  # after its end a row is filled up and not read
        positions = np.broadcast_to(np.arange(part.start, part.stop, dtype=np.int64), ids.shape)
        self._body.infer(
            {
                "input_ids": ids,
                "attention_mask": np.ones((n_rows, part.stop), dtype=np.int64),
                "position_ids": np.ascontiguousarray(positions),
                "beam_idx": np.array(part.parents, dtype=np.int32),
                "places": np.array(places or [0], dtype=np.int64),
            }
        )
        return self._body.get_output_tensor(0).data.copy()

    def _heads(self, hidden: Any, pairs: Sequence[tuple[int, int]]) -> list[float]:
        """The log-probability for each (row of ``hidden``, token), rows ascending."""
        log_probabilities: list[float] = []
        for first in range(0, len(hidden), _MAX_HEAD_ROWS):
            block = [(i - first, t) for i, t in pairs if first <= i < first + _MAX_HEAD_ROWS]
            rows, tokens = np.array(block, dtype=np.int64).T
            self._head.infer(
                {"hidden": hidden[first : first + _MAX_HEAD_ROWS], "rows": rows, "tokens": tokens}
            )
            log_probabilities += map(float, self._head.get_output_tensor(0).data)
        return log_probabilities


def _split(model: Any) -> tuple[Any, Any]:
    """(The model up to the last layer's vectors at given places, from these to log-probabilities).

    The first takes the model's own inputs and ``places``, indices into all rows one after the
    other. The second takes ``hidden`` [n, n_hidden], ``rows`` [m] and ``tokens`` [m], and gives the
    log-probability of each token after that row, [m].
    """
    import openvino as ov
    from openvino import opset13 as op

    projection = model.outputs[0].get_node().input_value(0).get_node()
    while projection.get_type_name() != "MatMul":
        projection = projection.input_value(0).get_node()
    before = projection.input_value(0)
    n_hidden = before.get_partial_shape()[-1].get_length()
    places = _input("places", ov.Type.i64, [-1])
    flat = op.reshape(before, op.constant(np.array([-1, n_hidden])), False)
    chosen = op.gather(flat, places, op.constant(np.int64(0)))
    chosen = op.convert(chosen, ov.Type.f32)
    body = ov.Model([op.result(chosen)], model.get_sinks(), [*model.get_parameters(), places])

    hidden = _input("hidden", ov.Type.f32, [-1, n_hidden])
    rows, tokens = _input("rows", ov.Type.i64, [-1]), _input("tokens", ov.Type.i64, [-1])
    projection.input(0).replace_source_output(hidden.output(0))
    logits = projection.output(0)
    axis = op.constant(np.array([1]))
    highest = op.reduce_max(logits, axis, True)
    total = op.log(op.reduce_sum(op.exp(op.subtract(logits, highest)), axis, True))
    normaliser = op.add(highest, total)  # [n, 1]
    zero = op.constant(np.int64(0))
    where = op.concat([op.unsqueeze(rows, axis), op.unsqueeze(tokens, axis)], 1)
    log_probabilities = op.subtract(
        op.gather_nd(logits, where), op.squeeze(op.gather(normaliser, rows, zero), axis)
    )
    return body, ov.Model([op.result(log_probabilities)], [hidden, rows, tokens])


def _input(name: str, kind: Any, shape: list[int]) -> Any:
    from openvino import opset13 as op

    node = op.parameter(shape, kind, name=name)
    node.get_output_tensor(0).set_names({name})
    return node
