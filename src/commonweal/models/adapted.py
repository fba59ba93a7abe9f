"""A LoRA adapter put beside the matrices of a converted model, which keep every digit they have.

What was trained is W + s B A in place of W (``gguf_lora``). Merged into a GGUF file the sum has to
be rounded anew, to a file half as large again where W had four bits. Here each adapted matrix gets
a branch of its own: x W + (x A) s B. That costs some thousandths of the work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from commonweal.errors import EngineError

if TYPE_CHECKING:
    from commonweal.models.gguf_lora import LoraPair

_ATTENTION = "ScaledDotProductAttention"
_QUERY_KEY_VALUE = ("attn_q", "attn_k", "attn_v")


def add_branches(model: Any, pairs: Mapping[str, LoraPair]) -> None:
    """Changes an OpenVINO model of a Llama or Qwen so that it computes with the adapter.

    Args:
        model: as OpenVINO GenAI builds it from a GGUF file.
        pairs: by the name of the matrix in the GGUF file, "blk.3.attn_q.weight".

    Raises:
        EngineError: a matrix is not found in the model, or has another shape.
    """
    import numpy as np
    from openvino import opset13 as op

    found_by_name = dict(matrices(model))
    for name, pair in pairs.items():
        if not pair.up.any():
            continue
        product = found_by_name.get(name)
        shape = None if product is None else list(product.input(1).get_partial_shape())
        if product is None or shape != [len(pair.up), pair.down.shape[1]]:
            raise EngineError(
                f"the converted model has no matrix {name} of {len(pair.up)} by "
                f"{pair.down.shape[1]} (found: {shape}); this version of OpenVINO GenAI builds "
                "the model in a way that is not known here. Merge the adapter with PEFT"
            )
        readers = list(product.output(0).get_target_inputs())
        down, up = (op.constant(np.ascontiguousarray(half)) for half in (pair.down, pair.up))
        inner = op.matmul(product.input_value(0), down, False, True)
        total = op.add(product.output(0), op.matmul(inner, up, False, True))
        for reader in readers:
            reader.replace_source_output(total.output(0))
    model.validate_nodes_and_infer_types()


def matrices(model: Any) -> Iterator[tuple[str, Any]]:
    """(Name in the GGUF file, product with it), layer by layer, found by what they feed."""
    ordered = model.get_ordered_ops()
    attentions = [node for node in ordered if node.get_type_name() == _ATTENTION]
    for layer, attention in enumerate(attentions):
        for place, name in enumerate(_QUERY_KEY_VALUE):
            yield f"blk.{layer}.{name}.weight", _first(attention.input_value(place).get_node())
        output = _first(attention, forward=True)
        yield f"blk.{layer}.attn_output.weight", output
    n_inner = 0
    for node in ordered:
        # The gate goes through a swish and is multiplied by the other half; then the way down.
        if node.get_type_name() not in ("Swish", "Sigmoid"):
            continue
        gate = _first(node)
        if gate is None:
            continue
        product = next(iter(node.output(0).get_target_inputs())).get_node()
        if node.get_type_name() == "Sigmoid":  # x times sigmoid(x), written out
            product = next(iter(product.output(0).get_target_inputs())).get_node()
        ups = [_first(product.input_value(place).get_node()) for place in (0, 1)]
        (up,) = (each for each in ups if each is not None and not _same(each, gate))
        for name, product_of in (
            ("ffn_gate", gate),
            ("ffn_up", up),
            ("ffn_down", _first(product, forward=True)),
        ):
            yield f"blk.{n_inner}.{name}.weight", product_of
        n_inner += 1


def _first(node: Any, *, forward: bool = False) -> Any:
    """The nearest product with a matrix before this node, or after it; None where there is none."""
    seen, front = set(), [node]
    while front:
        nodes, front = front, []
        for each in nodes:
            if each.get_friendly_name() in seen:
                continue
            seen.add(each.get_friendly_name())
            if _is_matrix_product(each) and not (forward and each is node):
                return each
            if forward:
                front += [i.get_node() for out in each.outputs() for i in out.get_target_inputs()]
            else:
                front += [value.get_node() for value in each.input_values()]
    return None


def _is_matrix_product(node: Any) -> bool:
    if node.get_type_name() != "MatMul":
        return False
    shape = node.input(1).get_partial_shape()
    return shape.is_static and len(shape) == 2 and min(shape.to_shape()) > 1


def _same(one: Any, other: Any) -> bool:
    return bool(one.get_friendly_name() == other.get_friendly_name())
