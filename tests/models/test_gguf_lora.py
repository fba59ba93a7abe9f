"""Merged adapters, against what PEFT merges in transformers, matrix by matrix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from test_gguf_files import unpacked_q8_0, write_tiny

from commonweal.errors import CommonwealError, EngineError, InputError, WeightsError
from commonweal.models import gguf_lora
from commonweal.models.embedded_engine import EmbeddedModel
from commonweal.models.gguf_files import requantise_to_q8_0
from commonweal.models.gguf_lora import dithered, merge_lora
from commonweal.types import Message

pytestmark = pytest.mark.train
pytest.importorskip("torch", reason="needs the extra `train`: make test-train")

Q8_0 = gguf.GGMLQuantizationType.Q8_0
STEP = 1.005 + 127 * 2**-11
"""Steps that a number rounded at random may be off: half for the draw, half for the rounding, and
what float16 takes from the step."""


# ------------------------------------------------------------------- tiny models and adapters


def tiny_model(kind: str, *, hidden: int = 64, tied: bool = True) -> Any:
    """A random network of transformers: 4 heads, of which keys have 2."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    sizes = {
        "vocab_size": 96,
        "hidden_size": hidden,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 128 if kind == "qwen3" else hidden // 4,  # 128: what transformers takes it for
        "intermediate_size": 128,
        "max_position_embeddings": 64,
        "tie_word_embeddings": tied,
    }
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes))


def write_gguf(model: Any, path: Path) -> Path:
    """The network as llama.cpp's converter writes it, its row order spelt out row by row."""
    config = model.config
    kind = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}[config.model_type]
    names = gguf.get_tensor_name_map(kind, config.num_hidden_layers)
    writer: Any = gguf.GGUFWriter(path, config.model_type)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    for name, tensor in model.state_dict().items():
        values = tensor.numpy()
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if config.model_type == "llama" and ("q_proj" in name or "k_proj" in name):
            half = config.head_dim // 2
            rows = [
                start + i + place
                for start in range(0, len(values), config.head_dim)
                for i in range(half)
                for place in (0, half)
            ]
            values = values[rows]
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), values.copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def read_gguf(path: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name)


def write_adapter(model: Any, folder: Path, *, seed: int = 0, **options: Any) -> Any:
    """A trained-looking adapter of PEFT on every linear layer; returns the model with it."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    options = {"r": 4, "lora_alpha": 6, "target_modules": "all-linear"} | options
    tuned = get_peft_model(model, LoraConfig(**options))
    for name, values in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(values, std=0.05)
    # PEFT would put a copy of an adapted output layer itself beside its adapter.
    tuned.save_pretrained(folder, save_embedding_layers=False)
    return tuned


def changed_config(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def changed_tensors(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_gguf(tiny_model("llama"), tmp_path / "base.gguf")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    write_adapter(tiny_model("llama"), tmp_path / "adapter")
    return tmp_path / "adapter"


# ------------------------------------------------------------------------- the sum is PEFT's


def check_as_peft(tuned: Any, base: Path, adapter: Path, target: Path) -> None:
    merge_lora(base, adapter, target)
    before = {name: values.numpy() for name, values in read_gguf(base).state_dict().items()}
    got = {name: values.numpy() for name, values in read_gguf(target).state_dict().items()}
    expected = tuned.merge_and_unload().state_dict()
    assert got.keys() == expected.keys() == before.keys()
    n_changed = 0
    for name, tensor in expected.items():
        wanted = tensor.float().numpy()
        assert got[name].shape == wanted.shape
        if wanted.ndim == 1:
            assert (got[name] == wanted).all(), name
            continue
        step = np.abs(wanted.reshape(-1, 32)).max(axis=1, keepdims=True) / 127
        error = np.abs(got[name] - wanted).reshape(-1, 32)
        assert (error <= step * STEP + 1e-7).all(), name
        # What was added is many steps, so a matrix in the wrong place or order would be seen.
        moved = np.abs(wanted - before[name]).reshape(-1, 32)
        n_changed += int((moved > 3 * step).mean() > 0.3)
    assert n_changed == 2 * 7


@pytest.mark.parametrize("kind", list(gguf_lora.PERMUTED))
def test_the_sum_is_what_peft_merges(tmp_path: Path, kind: str) -> None:
    base = write_gguf(tiny_model(kind), tmp_path / "base.gguf")
    for name, values in read_gguf(base).state_dict().items():  # the file is what transformers reads
        assert (values.numpy() == tiny_model(kind).state_dict()[name].numpy()).all(), name
    tuned = write_adapter(tiny_model(kind), tmp_path / "adapter")
    check_as_peft(tuned, base, tmp_path / "adapter", tmp_path / "merged.gguf")


@pytest.mark.parametrize("options", [{"use_rslora": True, "lora_alpha": 3}, {"r": 1}, {"r": 40}])
def test_scale_and_rank_are_peft_s(base: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    tuned = write_adapter(tiny_model("llama"), tmp_path / "adapter", **options)
    check_as_peft(tuned, base, tmp_path / "adapter", tmp_path / "merged.gguf")


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_adapters_in_half_precision(base: Path, adapter: Path, tmp_path: Path, kind: str) -> None:
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file as load_torch
    from safetensors.torch import save_file as save_torch

    path = adapter / "adapter_model.safetensors"
    halves = {key: values.to(getattr(torch, kind)) for key, values in load_torch(path).items()}
    save_torch(halves, path)
    tuned = PeftModel.from_pretrained(tiny_model("llama"), adapter)
    check_as_peft(tuned, base, adapter, tmp_path / "merged.gguf")


def test_an_output_layer_of_its_own_is_adapted_too(tmp_path: Path) -> None:
    base = write_gguf(tiny_model("llama", tied=False), tmp_path / "base.gguf")
    adapted = {"target_modules": ["lm_head", "q_proj"]}
    tuned = write_adapter(tiny_model("llama", tied=False), tmp_path / "adapter", **adapted)
    merge_lora(base, tmp_path / "adapter", tmp_path / "merged.gguf")
    got = read_gguf(tmp_path / "merged.gguf").lm_head.weight.detach().numpy()
    wanted = tuned.merge_and_unload().lm_head.weight.detach().numpy()
    assert np.abs(got - wanted).max() < 0.01 < np.abs(wanted).max() / 3


def test_an_adapter_that_adds_nothing_leaves_the_requantised_file(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    def nothing(tensors: dict[str, np.ndarray]) -> None:
        for name in tensors:
            if "lora_B" in name:
                tensors[name] = np.zeros_like(tensors[name])

    changed_tensors(adapter, nothing)
    done: list[tuple[int, int]] = []
    merge_lora(
        base, adapter, tmp_path / "merged.gguf", on_progress=lambda *counts: done.append(counts)
    )
    requantise_to_q8_0(base, tmp_path / "plain.gguf")
    assert (tmp_path / "merged.gguf").read_bytes() == (tmp_path / "plain.gguf").read_bytes()
    assert done[-1][0] == done[-1][1] == len(done) > 10


def test_the_same_files_give_the_same_sum(base: Path, adapter: Path, tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        merge_lora(base, adapter, tmp_path / name)
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.gguf",
        "adapter",
        "b.gguf",
        "base.gguf",
    ]


# ------------------------------------------------------------------------------- the rounding


def rounded(values: np.ndarray) -> np.ndarray:
    return unpacked_q8_0(gguf.quantize(values, Q8_0))


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-3, 1e3), rows=st.integers(1, 5))
@settings(max_examples=50)
def test_rounding_at_random_is_within_a_step(seed: int, scale: float, rows: int) -> None:
    rng = np.random.default_rng(seed)
    values = (scale * rng.standard_t(3, (rows, 96))).astype(np.float32)
    step = np.abs(values.reshape(-1, 32)).max(axis=1, keepdims=True) / 127
    error = np.abs(rounded(dithered(values, rng)) - values).reshape(-1, 32)
    assert (error <= step * STEP).all()


def test_rounding_at_random_is_right_on_average() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (8, 64)).astype(np.float32)
    step = np.abs(values.reshape(-1, 32)).max(axis=1, keepdims=True) / 127
    mean = np.mean([rounded(dithered(values, rng)) for _ in range(1000)], axis=0)
    assert (
        np.abs(mean - values).reshape(-1, 32) / step
    ).max() < 0.1  # 1000 draws: sd at most 0.016


def test_a_light_fine_tune_is_kept_where_rounding_to_the_nearest_undoes_it() -> None:
    rng = np.random.default_rng(0)
    on_steps = rounded(rng.normal(0, 1, (256, 256)).astype(np.float32)).astype(np.float32)
    trained = (0.002 * rng.choice([-1, 1], 256)[:, None] * rng.choice([-1, 1], 256)).astype(
        np.float32
    )  # a fifth of a step at most, of rank one

    def kept(values: np.ndarray) -> float:
        moved = rounded(values) - on_steps
        return float((moved * trained).sum() / (trained**2).sum())

    assert abs(kept(on_steps + trained)) < 0.1
    assert abs(kept(dithered(on_steps + trained, rng)) - 1) < 0.1


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"use_dora": True}, "use_dora = true; expected plain LoRA"),
        ({"bias": "all"}, 'bias = "all"'),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern"),
        ({"alpha_pattern": {"q_proj": 8}}, "alpha_pattern"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4"),
        ({"from_a_later_peft": 3}, "from_a_later_peft = 3"),
        ({"peft_type": "IA3"}, "no peft_type LORA"),
        ({"r": 0}, "r = 0 and lora_alpha = 6"),
        ({"r": True}, "r = True"),
        ({"lora_alpha": None}, "lora_alpha = None"),
        ({"lora_alpha": float("nan")}, "lora_alpha = nan"),
        ({"r": 8}, r"has the shape \[4, \d+\], expected \[8, \d+\] for blk\.\d\..* at rank 8"),
    ],
)
def test_a_config_that_is_not_plain_lora(
    base: Path, adapter: Path, changes: dict[str, Any], said: str
) -> None:
    changed_config(adapter, **changes)
    check_refused(base, adapter, InputError, said)


def check_refused(base: Path, adapter: Path, kind: type[CommonwealError], said: str) -> None:
    before = sorted(base.parent.rglob("*"))
    with pytest.raises(kind, match=said):
        merge_lora(base, adapter, base.parent / "merged.gguf")
    assert sorted(base.parent.rglob("*")) == before


def test_an_adapter_of_another_model(base: Path, tmp_path: Path) -> None:
    write_adapter(tiny_model("llama", hidden=128), tmp_path / "wide")
    # Which matrix is looked at first goes by the file's own order.
    wide = r"lora_(?:A of model\.layers\..* \[4, 128\], expected \[4, 64\]"
    said = wide + r"|B of model\.layers\..* \[128, 4\], expected \[64, 4\]) for blk.*another model"
    check_refused(base, tmp_path / "wide", InputError, said)
    small = tiny_model("llama").config
    small.num_hidden_layers = 3
    from transformers import AutoModelForCausalLM

    write_adapter(AutoModelForCausalLM.from_config(small), tmp_path / "deep")
    check_refused(
        base, tmp_path / "deep", InputError, r"model\.layers\.2\..*, of which .*base\.gguf has no"
    )


def test_layers_that_have_no_matrix_of_their_own(base: Path, tmp_path: Path) -> None:
    write_adapter(tiny_model("llama"), tmp_path / "in", target_modules=["embed_tokens"])
    check_refused(base, tmp_path / "in", InputError, r"a tensor base_model.*embed.* expected none")
    write_adapter(tiny_model("llama"), tmp_path / "out", target_modules=["lm_head"])
    check_refused(
        base, tmp_path / "out", InputError, r"lm_head, of which .*base\.gguf has no matrix"
    )


Q_PROJ = "base_model.model.model.layers.0.self_attn.q_proj."


def _without_a_half(tensors: dict[str, np.ndarray]) -> None:
    del tensors[Q_PROJ + "lora_B.weight"]


def _with_nan(tensors: dict[str, np.ndarray]) -> None:
    tensors[Q_PROJ + "lora_A.weight"][1, 2] = np.nan


def _on_a_vector(tensors: dict[str, np.ndarray]) -> None:
    tensors[Q_PROJ.replace("self_attn.q_proj", "input_layernorm") + "lora_A.weight"] = np.ones(
        64, dtype=np.float32
    )


def _with_whole_numbers(tensors: dict[str, np.ndarray]) -> None:
    tensors[Q_PROJ + "lora_A.weight"] = np.ones((4, 64), dtype=np.int64)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without_a_half, r"lora_B of model\.layers\.0\.self_attn\.q_proj is missing, expected"),
        (_with_nan, r"lora_A of model\.layers\.0\.self_attn\.q_proj .* not finite"),
        (_with_whole_numbers, r"q_proj\.lora_A\.weight \(I64\); expected none"),
        (_on_a_vector, r"input_layernorm, of which .*base\.gguf has no matrix"),
        (dict.clear, "holds no tensors"),
    ],
)
def test_tensors_that_are_not_a_trained_adapter(
    base: Path, adapter: Path, change: Callable[[dict[str, np.ndarray]], None], said: str
) -> None:
    changed_tensors(adapter, change)
    check_refused(base, adapter, InputError, said)


def test_files_that_are_missing_or_broken(base: Path, adapter: Path, tmp_path: Path) -> None:
    check_refused(tmp_path / "no.gguf", adapter, InputError, "no model at .*no.gguf")
    config, tensors = adapter / "adapter_config.json", adapter / "adapter_model.safetensors"
    whole = tensors.read_bytes()
    tensors.write_bytes(whole[:-1])
    check_refused(base, adapter, InputError, "adapter_model.safetensors cannot be read")
    tensors.unlink()
    check_refused(base, adapter, InputError, "no adapter_model.safetensors in .*adapter")
    tensors.write_bytes(whole)
    config.write_text("{")
    check_refused(base, adapter, InputError, "adapter_config.json is not JSON")
    config.unlink()
    check_refused(base, adapter, InputError, "no adapter_config.json in .*adapter")


def test_models_that_are_not_merged_into(adapter: Path, base: Path, tmp_path: Path) -> None:
    whole, other = base.read_bytes(), tmp_path / "other.gguf"
    for content in (b"", b"GGML" + whole[4:], whole[:100], whole[: len(whole) // 2]):
        other.write_bytes(content)
        check_refused(other, adapter, EngineError, "other.gguf is not a whole GGUF file")
    other.unlink()
    writer: Any = gguf.GGUFWriter(other, "gpt2")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    check_refused(other, adapter, EngineError, "architecture 'gpt2'.*llama, qwen2, qwen3")
    write_gguf(tiny_model("llama", hidden=80), other)
    check_refused(other, adapter, EngineError, "rows of 80 numbers, expected a multiple of 32")
    write_tiny(other)
    check_refused(
        other, adapter, EngineError, r"llama\.block_count is None, expected a whole number"
    )


# ---------------------------------------------------------------------------------- the disk


def test_too_little_disk_is_seen_before_the_work(
    base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge_lora(base, adapter, base.parent / "whole.gguf")
    n_bytes = (base.parent / "whole.gguf").stat().st_size

    class Disk:
        free = n_bytes // 2

    monkeypatch.setattr("shutil.disk_usage", lambda path: Disk)
    said = rf"disk of {base.parent} is full: the merged model needs {n_bytes / 1e6:.1f} MB there"
    check_refused(base, adapter, WeightsError, said)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_fills_on_the_way(
    base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = gguf_lora.rewrite_as_q8_0

    def to_a_full_disk(reader: Any, part: Path, **options: Any) -> None:
        write(reader, Path("/dev/full"), **options)  # the kernel's own ENOSPC

    monkeypatch.setattr(gguf_lora, "rewrite_as_q8_0", to_a_full_disk)
    (base.parent / "merged.gguf").write_bytes(b"what was there")
    check_refused(base, adapter, WeightsError, "is full: the merged model needs .* free some")
    assert (base.parent / "merged.gguf").read_bytes() == b"what was there"


def test_a_folder_that_is_not_there(base: Path, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot write the merged model to .*nowhere"):
        merge_lora(base, adapter, tmp_path / "nowhere" / "merged.gguf")


# --------------------------------------------------------------------------- the real model


@pytest.mark.slow
def test_the_embedded_engine_says_what_transformers_and_peft_say(
    smollm2_gguf: Path, embedded_model: EmbeddedModel, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from commonweal.training.backbones import SMOLLM2, backbone_source

    folder = backbone_source(SMOLLM2)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = (Message("user", "Should local buses be free for everyone?"),)
    text = (
        "Buses should be free for children and pensioners, and everybody else should pay a little."
    )
    before = tokenizer.apply_chat_template(
        [{"role": role, "content": content} for role, content in prompt],
        add_generation_prompt=True,
        tokenize=False,
    )
    ids = tokenizer(before + text, add_special_tokens=False).input_ids
    n_prompt = len(tokenizer(before, add_special_tokens=False).input_ids)

    def by_transformers(network: Any) -> np.ndarray:
        with torch.no_grad():
            log_p = network(torch.tensor([ids])).logits[0].log_softmax(-1)
        return np.array([float(log_p[i - 1, ids[i]]) for i in range(n_prompt, len(ids))])

    base = by_transformers(model)
    # Strong enough to be told from how far engine and transformers differ anyway, 0.05 a token.
    tuned_model = write_adapter(model, tmp_path / "adapter", r=8, lora_alpha=24)
    tuned = by_transformers(tuned_model.eval())
    merge_lora(smollm2_gguf, tmp_path / "adapter", tmp_path / "merged.gguf")
    merged = EmbeddedModel(tmp_path / "merged.gguf", model_id="merged")
    beside = EmbeddedModel(smollm2_gguf, model_id="beside", adapter=tmp_path / "adapter")
    before_it, *after = (
        np.array(engine.log_probabilities([prompt], [text])[0])
        for engine in (embedded_model, merged, beside)
    )
    for after_it in after:
        assert len(after_it) == len(tuned)
        change, ours = tuned - base, after_it - before_it
        assert np.abs(after_it - tuned).mean() < 0.3 * np.abs(before_it - tuned).mean()
        assert 0.8 < float(ours @ change / (change @ change)) < 1.2
