"""Log-probabilities of given texts from a converted model, shared beginnings computed once.

The model keeps the attention keys and values of its rows between steps, and its input ``beam_idx``
says which row each new row continues. So one computed beginning serves any number of rows. The
vocabulary's projection, a fifth of the work and gigabytes of results, is cut off and made a small
model of its own, which sees only the positions that are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from commonweal.calling import check, held
from commonweal.models.converted import MODEL
from commonweal.models.inference import PRECISION
from commonweal.models.prefix_tree import Slice, Tokens, chunks, slices

MAX_CACHED_TOKENS = 32_768
"""Most rows times tokens whose keys and values are kept at once: 0.5 GB for a model of 1.5
billion parameters. Where more is asked for, what is shared is computed once for each part."""

_MAX_STEP_TOKENS = 1024
"""Most tokens in one step, of all rows together."""

_STEP_OVERHEAD = 24
"""Reading the weights once takes as long as about so many tokens of a large step."""

_MAX_HEAD_ROWS = 64
"""Positions whose distribution over the whole vocabulary is in memory at once."""


class Body:
    """A converted model without its projection onto the vocabulary, asked for vectors at positions.

    Args:
        model: takes the model's own inputs and ``places``, indices into all rows one after the
            other; gives vectors, [n_places, n_hidden].
    """

    def __init__(self, model: Any) -> None:
        import openvino as ov

        self._request = ov.Core().compile_model(model, "CPU", PRECISION).create_infer_request()

    def vectors(
        self, ordered: Sequence[Tokens], wanted: Sequence[Collection[int]]
    ) -> Iterator[tuple[dict[tuple[int, int], int], Any]]:
        """Yields, step by step, (the row of each (sequence, position) that is wanted, the rows).

        Sequences that share a position share its row. Rows are float32 [n_rows, n_hidden].

        Args:
            ordered: distinct sequences, in order.
            wanted: positions of each.
        """
        self._request.reset_state()
        for part in slices(ordered, overhead=_STEP_OVERHEAD, max_tokens=_MAX_STEP_TOKENS):
            check()
            width = part.stop - part.start
            at = {
                (index, position): row * width + position - part.start
                for index, row in part.row_of.items()
                for position in wanted[index]
                if part.start <= position < part.stop
            }
            places = sorted(set(at.values()))
            vectors = self._step(ordered, part, places)
            if at:
                number = {place: row for row, place in enumerate(places)}
                yield {pair: number[place] for pair, place in at.items()}, vectors
        self._request.reset_state()

    def _step(self, ordered: Sequence[Tokens], part: Slice, places: Sequence[int]) -> Any:
        n_rows, width = len(part.rows), part.stop - part.start
        ids = np.zeros((n_rows, width), dtype=np.int64)
        for row, index in enumerate(part.rows):
            tokens = ordered[index][part.start : part.stop]
            ids[row, : len(tokens)] = tokens  # after its end a row is filled up and not read
        positions = np.broadcast_to(np.arange(part.start, part.stop, dtype=np.int64), ids.shape)
        self._request.infer(
            {
                "input_ids": ids,
                "attention_mask": np.ones((n_rows, part.stop), dtype=np.int64),
                "position_ids": np.ascontiguousarray(positions),
                "beam_idx": np.array(part.parents, dtype=np.int32),
                "places": np.array(places or [0], dtype=np.int64),
            }
        )
        return self._request.get_output_tensor(0).data.copy()


class Scorer:
    """Log-probabilities of tokens, from the folder of a converted model.

    Calls from several threads wait for each other.
    """

    def __init__(self, folder: Path) -> None:
        import openvino as ov

        core = ov.Core()
        body, head = _split(core.read_model(folder / MODEL))
        self._body = Body(body)
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
        for chunk in chunks(list(wanted), MAX_CACHED_TOKENS):
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
        positions = [{position for position, _ in pairs} for pairs in wanted]
        for rows, hidden in self._body.vectors(ordered, positions):
            # Several sequences may want the same token after the row that they share.
            asked: dict[tuple[int, int], list[tuple[Tokens, int, int]]] = {}
            for (index, position), row in rows.items():
                for at, token in wanted[index]:
                    if at == position:
                        asked.setdefault((row, token), []).append((ordered[index], at, token))
            pairs = sorted(asked)
            for pair, value in zip(pairs, self._heads(hidden, pairs), strict=True):
                scores.update(dict.fromkeys(asked[pair], value))

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

    The first is what ``Body`` takes. The second takes ``hidden`` [n, n_hidden], ``rows`` [m] and
    ``tokens`` [m], and gives the log-probability of each token after that row, [m].
    """
    import openvino as ov
    from openvino import opset13 as op

    projection = model.outputs[0].get_node().input_value(0).get_node()
    while projection.get_type_name() != "MatMul":
        projection = projection.input_value(0).get_node()
    before = projection.input_value(0)
    n_hidden = before.get_partial_shape()[-1].get_length()
    body = up_to(before, model.get_sinks(), model.get_parameters())

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


def up_to(vectors: Any, sinks: Sequence[Any], parameters: Sequence[Any]) -> Any:
    """The model that ends with this output of one of its nodes, at places: see ``Body``.

    Args:
        vectors: the output, [n_rows, n_tokens, n_hidden].
        sinks: what keeps keys and values, of the layers that are computed.
        parameters: the model's own inputs.
    """
    import openvino as ov
    from openvino import opset13 as op

    n_hidden = vectors.get_partial_shape()[-1].get_length()
    places = _input("places", ov.Type.i64, [-1])
    flat = op.reshape(vectors, op.constant(np.array([-1, n_hidden])), False)
    chosen = op.convert(op.gather(flat, places, op.constant(np.int64(0))), ov.Type.f32)
    return ov.Model([op.result(chosen)], list(sinks), [*parameters, places])


def _input(name: str, kind: Any, shape: list[int]) -> Any:
    from openvino import opset13 as op

    node = op.parameter(shape, kind, name=name)
    node.get_output_tensor(0).set_names({name})
    return node
