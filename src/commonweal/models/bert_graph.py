"""BERT as an OpenVINO graph, built operation by operation from a safetensors file, without torch.

The architecture is that of Devlin et al. (2019), in the shape of all-MiniLM-L6-v2: nothing but the
published weights is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray32 = NDArray[np.float32]

N_HEADS = 12
LAYER_NORM_EPSILON = 1e-12
_MASKED = 1e9


def hidden_states(
    tensors: Mapping[str, FloatArray32], ids: Any, mask: Any, segments: Any = None
) -> Any:
    """The last layer's output, [n, t, width].

    Args:
        tensors: the weights, by the names of the published file.
        ids: token ids, int64 [n, t].
        mask: 1 for a token, 0 for padding, float32 [n, t].
        segments: 0 for the first text of a pair, 1 for the second, int64 [n, t]; None is all 0.
    """
    from openvino import opset13 as op

    width = tensors["embeddings.word_embeddings.weight"].shape[1]
    split_heads = op.constant(np.array([0, 0, N_HEADS, width // N_HEADS]))
    join_heads = op.constant(np.array([0, 0, width]))
    heads_first = op.constant(np.array([0, 2, 1, 3]))
    axis0, axis1 = op.constant(np.array(0)), op.constant(np.array(1))

    n_tokens = op.gather(op.shape_of(ids), axis1, axis0)
    positions = op.range(axis0, n_tokens, axis1, output_type="i64")
    x = op.gather(_constant(tensors, "embeddings.word_embeddings.weight"), ids, axis0)
    places = _constant(tensors, "embeddings.position_embeddings.weight")
    x = op.add(x, op.gather(places, positions, axis0))
    kinds = "embeddings.token_type_embeddings.weight"
    if segments is None:
        x = op.add(x, op.constant(np.ascontiguousarray(tensors[kinds][:1])))
    else:
        x = op.add(x, op.gather(_constant(tensors, kinds), segments, axis0))
    x = _layer_norm(tensors, x, "embeddings.LayerNorm")

    # 0 for a token, a large negative number for padding: [n, 1, 1, t], added to attention scores.
    padding = op.multiply(op.subtract(mask, scalar(1.0)), scalar(_MASKED))
    padding = op.unsqueeze(padding, op.constant(np.array([1, 2])))
    n_layers = len({name.split(".")[2] for name in tensors if name.startswith("encoder.layer.")})
    for layer in range(n_layers):
        prefix = f"encoder.layer.{layer}"
        query, key, value = (
            op.transpose(
                op.reshape(
                    linear(tensors, x, f"{prefix}.attention.self.{part}"), split_heads, True
                ),
                heads_first,
            )
            for part in ("query", "key", "value")
        )
        scores = op.matmul(query, key, False, True)
        scores = op.multiply(scores, scalar((width // N_HEADS) ** -0.5))
        attention = op.softmax(op.add(scores, padding), -1)
        mixed = op.transpose(op.matmul(attention, value, False, False), heads_first)
        mixed = op.reshape(mixed, join_heads, True)
        mixed = linear(tensors, mixed, f"{prefix}.attention.output.dense")
        x = _layer_norm(tensors, op.add(x, mixed), f"{prefix}.attention.output.LayerNorm")
        wide = op.gelu(linear(tensors, x, f"{prefix}.intermediate.dense"), "erf")
        narrow = linear(tensors, wide, f"{prefix}.output.dense")
        x = _layer_norm(tensors, op.add(x, narrow), f"{prefix}.output.LayerNorm")
    return x


def linear(tensors: Mapping[str, FloatArray32], x: Any, name: str) -> Any:
    """The layer ``name`` of ``x``: its ``.weight`` [n_out, n_in] and ``.bias`` [n_out]."""
    from openvino import opset13 as op

    product = op.matmul(x, _constant(tensors, f"{name}.weight"), False, True)
    return op.add(product, _constant(tensors, f"{name}.bias"))


def mean_over(states: Any, mask: Any) -> Any:
    """The mean of ``states`` [n, t, width] over the tokens where ``mask`` [n, t] is 1: [n, width].

    A row without such a token gives zeros.
    """
    from openvino import opset13 as op

    axis1 = op.constant(np.array(1))
    column = op.unsqueeze(mask, op.constant(np.array([2])))
    n_tokens = op.maximum(op.reduce_sum(column, axis1, False), scalar(1.0))
    return op.divide(op.reduce_sum(op.multiply(states, column), axis1, False), n_tokens)


def scalar(value: float) -> Any:
    """A float32 constant."""
    from openvino import opset13 as op

    return op.constant(np.array(value, dtype=np.float32))


def _constant(tensors: Mapping[str, FloatArray32], name: str) -> Any:
    from openvino import opset13 as op

    return op.constant(np.ascontiguousarray(tensors[name], dtype=np.float32))


def _layer_norm(tensors: Mapping[str, FloatArray32], x: Any, name: str) -> Any:
    from openvino import opset13 as op

    last = op.constant(np.array([-1]))
    normal = op.mvn(x, last, True, LAYER_NORM_EPSILON, "inside_sqrt")
    scaled = op.multiply(normal, _constant(tensors, f"{name}.weight"))
    return op.add(scaled, _constant(tensors, f"{name}.bias"))
