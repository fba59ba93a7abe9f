"""GGUF files, against the layout of their blocks worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from commonweal.models.gguf_files import read_header, requantise_to_q8_0

Q4_1, Q8_0 = gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0
REWRITTEN = {"general.file_type", "general.quantization_version"}


def write_tiny(path: Path, *, alignment: int = 32) -> dict[str, np.ndarray]:
    """A GGUF with every kind of field; returns the tensors as they were before they were packed."""
    rng = np.random.default_rng(0)
    tensors = {
        "vector": rng.normal(size=33).astype(np.float32),
        "half": rng.normal(0, 5, (4, 96)).astype(np.float16),
        "packed": rng.normal(0, 0.02, (6, 64)).astype(np.float32),
        "zeros": np.zeros((2, 32), dtype=np.float16),
    }
    writer: Any = gguf.GGUFWriter(path, "llama")
    if alignment != 32:
        writer.add_custom_alignment(alignment)
    writer.add_name("tiny é 🙂")
    writer.add_context_length(4711)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_1)
    writer.add_rope_freq_base(1e5)
    writer.add_chat_template("{% for m in messages %}{{ m['content'] }}\n{% endfor %}")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "Ġthe", "é", "🙂", "<|im_end|>"])
    writer.add_token_types([1, 1, 1, 1, 3])
    writer.add_add_bos_token(False)
    for kind, value in (
        ("uint8", 255),
        ("int8", -3),
        ("uint16", 65535),
        ("int16", -300),
        ("int32", -70000),
        ("uint64", 2**63 + 1),
        ("int64", -(2**40)),
        ("float32", 0.1),
        ("float64", 0.1),
        ("bool", True),
    ):
        getattr(writer, f"add_{kind}")(f"tiny.{kind}", value)
    writer.add_array("tiny.floats", [0.1, -2.5])
    writer.add_array("tiny.bools", [True, False])
    for name, values in tensors.items():
        if name == "packed":
            writer.add_tensor(name, gguf.quantize(values, Q4_1), raw_dtype=Q4_1)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


def unpacked_q4_1(data: np.ndarray) -> np.ndarray:
    """Blocks of a scale, a minimum (float16) and 32 nibbles: the low ones first, then the high."""
    rows, blocks = len(data), data.reshape(-1, 20)
    scale, least = blocks[:, :4].copy().view(np.float16).astype(np.float64).T[:, :, None]
    nibbles = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return (nibbles * scale + least).reshape(rows, -1)


def unpacked_q8_0(data: np.ndarray) -> np.ndarray:
    """Blocks of a scale (float16) and 32 whole numbers of 8 bits."""
    rows, blocks = len(data), data.reshape(-1, 34)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float64)
    return (blocks[:, 2:].view(np.int8) * scale).reshape(rows, -1)


@pytest.mark.parametrize("alignment", [32, 256])
def test_every_field_is_carried_over(tmp_path: Path, alignment: int) -> None:
    write_tiny(tmp_path / "a.gguf", alignment=alignment)
    requantise_to_q8_0(tmp_path / "a.gguf", tmp_path / "b.gguf")
    before = gguf.GGUFReader(tmp_path / "a.gguf")
    after = gguf.GGUFReader(tmp_path / "b.gguf")
    ours = {name for name in before.fields if not name.startswith("GGUF.")} - REWRITTEN
    assert len(ours) > 20
    for name in ours:
        assert after.fields[name].contents() == before.fields[name].contents(), name
        assert after.fields[name].types == before.fields[name].types, name
    assert after.fields["general.file_type"].contents() == gguf.LlamaFileType.MOSTLY_Q8_0
    assert all(tensor.data_offset % alignment == 0 for tensor in after.tensors)
    assert [t.name for t in after.tensors] == [t.name for t in before.tensors]


@pytest.mark.parametrize("alignment", [32, 256])
def test_values_are_within_half_a_step(tmp_path: Path, alignment: int) -> None:
    tensors = write_tiny(tmp_path / "a.gguf", alignment=alignment)
    done: list[tuple[int, int]] = []
    requantise_to_q8_0(
        tmp_path / "a.gguf", tmp_path / "b.gguf", on_progress=lambda *counts: done.append(counts)
    )
    assert done == [(n, 4) for n in range(1, 5)]
    [packed] = [t for t in gguf.GGUFReader(tmp_path / "a.gguf").tensors if t.name == "packed"]
    sources = {**tensors, "packed": unpacked_q4_1(packed.data)}
    assert np.abs(sources["packed"] - tensors["packed"]).max() < 0.01  # the helper is right
    for tensor in gguf.GGUFReader(tmp_path / "b.gguf").tensors:
        source = sources[tensor.name].astype(np.float64)
        if source.ndim == 1:
            assert tensor.tensor_type == gguf.GGMLQuantizationType.F32
            assert (tensor.data == tensors[tensor.name]).all()
            continue
        assert tensor.tensor_type == Q8_0
        got = unpacked_q8_0(tensor.data)
        assert got.shape == source.shape
        # A block's step is its largest value over 127, itself rounded to float16 (11 bits).
        step = np.abs(source.reshape(-1, 32)).max(axis=1, keepdims=True) / 127
        error = np.abs(got - source).reshape(-1, 32)
        assert (error <= step * (0.5 + 127 * 2**-11) + 1e-7).all(), tensor.name


@pytest.mark.parametrize("alignment", [32, 256])
def test_a_header_tells_context_and_length(tmp_path: Path, alignment: int) -> None:
    path = tmp_path / "a.gguf"
    write_tiny(path, alignment=alignment)
    tensors = gguf.GGUFReader(path).tensors
    end = max(int(t.data_offset) + int(t.n_bytes) for t in tensors)
    assert read_header(path) == (4711, end)


def test_the_real_header(smollm2_gguf: Path) -> None:
    assert read_header(smollm2_gguf) == (8192, smollm2_gguf.stat().st_size)


def test_a_file_cut_anywhere_is_seen_to_be(tmp_path: Path) -> None:
    path, cut = tmp_path / "a.gguf", tmp_path / "cut.gguf"
    write_tiny(path)
    whole = path.read_bytes()[: read_header(path).n_bytes]
    n_refused = 0
    for n_bytes in range(len(whole)):
        cut.write_bytes(whole[:n_bytes])
        try:
            assert read_header(cut).n_bytes > n_bytes
        except ValueError:
            n_refused += 1
    assert 1000 < n_refused < len(whole) - 1000


def test_noise_after_the_magic_word_is_refused_or_read(tmp_path: Path) -> None:
    path, rng = tmp_path / "noise.gguf", np.random.default_rng(0)
    write_tiny(path)
    whole = bytearray(path.read_bytes())
    for place in rng.integers(4, 900, size=300):
        noisy = bytearray(whole)
        noisy[place : place + 8] = rng.bytes(8)
        path.write_bytes(noisy)
        try:
            read_header(path)
        except ValueError as error:
            assert "header" in str(error)  # noqa: PT017
