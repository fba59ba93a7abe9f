"""GGUF files looked into and rewritten without torch: dequantised in numpy, quantised again."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray32 = NDArray[np.float32]


class Header(NamedTuple):
    """What the start of a GGUF file tells: its context in tokens, and how long the file must be."""

    context_length: int | None
    n_bytes: int


def read_header(path: Path) -> Header:
    """The header of a GGUF file, in a fraction of the seconds that ``gguf.GGUFReader`` takes.

    Raises:
        ValueError: this is no GGUF file, or its header is cut short.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _HeaderReader(data).read()
        except (struct.error, KeyError, IndexError, ArithmeticError) as error:
            raise ValueError("its header is cut short or unreadable") from error


class _HeaderReader:
    """Walks over the header (the layout: ggml's docs/gguf.md)."""

    STRING, ARRAY = 8, 9
    FORMATS: ClassVar = dict(zip((*range(8), 10, 11, 12), "BbHhIif?Qqd", strict=True))

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._at = data, 0

    def read(self) -> Header:
        if self._data[:4] != b"GGUF":
            raise ValueError("it does not begin with 'GGUF'")
        self._at = 8
        n_tensors, n_fields = self._number("Q"), self._number("Q")
        context, alignment = None, 32
        for _ in range(n_fields):
            key, value = self._text(), self._value(self._number("I"))
            if key.endswith(b".context_length"):
                context = value
            elif key == b"general.alignment":
                alignment = value
        ends = [self._tensor_end() for _ in range(n_tensors)]
        start = -(-self._at // alignment) * alignment
        return Header(context, start + max(ends, default=0))

    def _number(self, kind: str) -> Any:
        (value,) = struct.unpack_from(f"<{kind}", self._data, self._at)
        self._at += struct.calcsize(f"<{kind}")
        return value

    def _text(self) -> bytes:
        n_bytes = self._number("Q")
        self._at += n_bytes
        return self._data[self._at - n_bytes : self._at]

    def _value(self, kind: int) -> Any:
        """The value of a number; strings and arrays are passed over."""
        if kind == self.STRING:
            return self._text()
        if kind != self.ARRAY:
            return self._number(self.FORMATS[kind])
        inner, n_items = self._number("I"), self._number("Q")
        if inner in self.FORMATS:
            self._at += n_items * struct.calcsize(f"<{self.FORMATS[inner]}")
        else:
            for _ in range(n_items):
                self._value(inner)
        return None

    def _tensor_end(self) -> int:
        import gguf

        self._text()
        n_items = prod(self._number("Q") for _ in range(self._number("I")))
        kind, offset = self._number("I"), self._number("Q")
        if kind not in {known.value for known in gguf.GGML_QUANT_SIZES}:
            return int(offset)
        n_in_block, n_block_bytes = gguf.GGML_QUANT_SIZES[kind]
        return int(offset + n_items // n_in_block * n_block_bytes)


def requantise_to_q8_0(
    source: Path, target: Path, *, on_progress: Callable[[int, int], None] | None = None
) -> None:
    """Writes ``target``: the model of ``source`` with its matrices as Q8_0 and vectors as float32.

    Every metadata field (tokenizer, chat template, architecture) is carried over. ``on_progress``
    is called with (n_tensors_done, n_tensors).
    """
    import gguf

    rewrite_as_q8_0(gguf.GGUFReader(source), target, on_progress=on_progress)


def rewrite_as_q8_0(
    reader: Any,
    target: Path,
    *,
    change: Callable[[str, FloatArray32], FloatArray32] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes ``target`` as ``requantise_to_q8_0`` does, from a file that is open already.

    Args:
        reader: the ``gguf.GGUFReader`` of the source.
        target: the file to write.
        change: called with each tensor's name and values; returns the values to write.
        on_progress: called with (n_tensors_done, n_tensors).
    """
    import gguf

    writer: Any = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    own = {"general.architecture", "general.file_type", "general.quantization_version"}
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in own:
            continue
        if field.name == "general.alignment":
            writer.data_alignment = field.contents()
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=element)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    q8_0 = gguf.GGMLQuantizationType.Q8_0
    # Told first, filled after: so that one tensor at a time is in memory.
    for tensor in reader.tensors:
        shape = shape_of(tensor)
        if len(shape) == 1:
            writer.add_tensor_info(tensor.name, shape, np.dtype(np.float32), 4 * shape[0])
        else:
            packed = gguf.quant_shape_to_byte_shape(shape, q8_0)
            writer.add_tensor_info(
                tensor.name, packed, np.dtype(np.uint8), int(np.prod(packed)), raw_dtype=q8_0
            )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for n_done, tensor in enumerate(reader.tensors, start=1):
            values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            values = change(tensor.name, values) if change is not None else values
            writer.write_tensor_data(values if values.ndim == 1 else gguf.quantize(values, q8_0))
            if on_progress is not None:
                on_progress(n_done, len(reader.tensors))
    finally:
        writer.close()


def n_bytes_as_q8_0(reader: Any) -> int:
    """Bytes that ``rewrite_as_q8_0`` will write, to within the gaps between tensors."""
    import gguf

    n_in_block, n_block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType.Q8_0]
    shapes = [shape_of(tensor) for tensor in reader.tensors]
    return int(reader.data_offset) + sum(
        4 * shape[0] if len(shape) == 1 else prod(shape) // n_in_block * n_block_bytes
        for shape in shapes
    )


def shape_of(tensor: Any) -> tuple[int, ...]:
    """The shape of a tensor of ``gguf.GGUFReader`` as numpy counts it: rows first."""
    return tuple(int(n) for n in reversed(tensor.shape))
