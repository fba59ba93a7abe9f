"""Adapters beside the matrices of a converted model: found matrix by matrix, and added to each."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import openvino as ov
import pytest

from commonweal.errors import EngineError
from commonweal.models.adapted import add_branches, matrices
from commonweal.models.converted import MODEL, adapted, adapted_hash, converted
from commonweal.models.embedded_engine import EmbeddedModel
from commonweal.models.gguf_files import shape_of
from commonweal.models.gguf_lora import LoraPair
from commonweal.models.scoring import Scorer
from commonweal.policies.folder import shipped_policy
from commonweal.policies.writers import merged_file

TEXT = "We would like buses to be free for those who cannot pay. Who that is we leave open."
KINDS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
HEAD = 64


@pytest.fixture(scope="module")
def folder(embedded_model: EmbeddedModel, smollm2_gguf: Path) -> Path:
    return converted(smollm2_gguf, embedded_model.weights_hash)


def log_probabilities(folder: Path, ids: tuple[int, ...]) -> np.ndarray:
    return np.array(Scorer(folder).log_probabilities([ids], [len(ids) - 1])[0])


def weights(product: ov.Node) -> np.ndarray:
    """What a product multiplies by, as the CPU computes it."""
    only = ov.Model([ov.opset13.result(product.input_value(1))], [], "weights")
    found: np.ndarray = ov.Core().compile_model(only, "CPU")([])[0]
    return found


@pytest.mark.heavy
@pytest.mark.parametrize("layer", [0, 17, 29])
def test_each_matrix_is_the_one_of_that_name_in_the_file(
    folder: Path, smollm2_gguf: Path, layer: int
) -> None:
    found = dict(matrices(ov.Core().read_model(folder / MODEL)))
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(smollm2_gguf).tensors}
    assert len(found) == 30 * len(KINDS)
    for kind in KINDS:
        name = f"blk.{layer}.{kind}.weight"
        said = gguf.dequantize(tensors[name].data, tensors[name].tensor_type)
        said = said.reshape(shape_of(tensors[name]))
        if kind in (
            "attn_q",
            "attn_k",
        ):  # in the file, pairs of the rotary embedding are neighbours
            heads = said.reshape(-1, HEAD // 2, 2, said.shape[1])
            said = heads.swapaxes(1, 2).reshape(said.shape)
        assert np.allclose(weights(found[name]), said, atol=2e-3)


@pytest.mark.heavy
def test_what_an_adapter_does_is_what_its_merged_file_does(
    folder: Path, embedded_model: EmbeddedModel, smollm2_gguf: Path
) -> None:
    policy = shipped_policy()
    ids = tuple(embedded_model._token_ids(TEXT))
    base = log_probabilities(folder, ids)
    beside = log_probabilities(adapted(smollm2_gguf, embedded_model.weights_hash, policy.path), ids)
    whole = EmbeddedModel(merged_file(policy), model_id="merged")
    merged = log_probabilities(converted(merged_file(policy), whole.weights_hash), ids)
    change = merged - base
    assert np.abs(change).mean() > 0.3
    # The merged file is rounded anew, at random, which moves a token by a tenth or so.
    assert 0.9 < float((beside - base) @ change / (change @ change)) < 1.1


def test_updates_of_nothing_leave_the_model_as_it_is(folder: Path) -> None:
    model = ov.Core().read_model(folder / MODEL)
    before = len(model.get_ops())
    add_branches(
        model, {"blk.0.attn_q.weight": LoraPair(np.zeros((576, 2), "f4"), np.ones((2, 576), "f4"))}
    )
    assert len(model.get_ops()) == before


def test_a_matrix_that_is_not_there_is_named(folder: Path) -> None:
    model = ov.Core().read_model(folder / MODEL)
    for name, shape in (("blk.30.attn_q.weight", (576, 576)), ("blk.0.ffn_up.weight", (576, 576))):
        up, down = np.ones((shape[0], 2), "f4"), np.ones((2, shape[1]), "f4")
        with pytest.raises(EngineError, match=name):
            add_branches(model, {name: LoraPair(up, down)})


def test_each_pair_of_file_and_adapter_has_a_name_of_its_own(tmp_path: Path) -> None:
    path = shipped_policy().path
    one = adapted_hash("a" * 64, path)
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / file).write_bytes((path / file).read_bytes())
    assert adapted_hash("a" * 64, tmp_path) == one
    (tmp_path / "adapter_config.json").write_bytes(b"{}")
    assert len({one, adapted_hash("b" * 64, path), adapted_hash("a" * 64, tmp_path)}) == 3
