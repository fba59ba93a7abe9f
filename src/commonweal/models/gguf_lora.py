"""A LoRA adapter, as PEFT saves it, added into a GGUF file in numpy: a fine-tune without torch.

What was trained is W + s B A in place of W, with s = alpha / r (Hu et al. 2021, section 4.1), or
alpha / sqrt(r) (Kalajdzievski 2023). An embedded engine reads the sum as any other GGUF file.

The sum is rounded to Q8_0 at random, so that it is right on average. The weights of a Q8_0 file lie
on its steps already, so rounding to the nearest would undo whatever training moved by less than
half a step: of one light fine-tune it undid 73 % (docs/LOG.md, 2026-11-21).
"""

from __future__ import annotations

import errno
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from commonweal.errors import EngineError, InputError, WeightsError
from commonweal.files import read_text
from commonweal.models.gguf_files import n_bytes_as_q8_0, rewrite_as_q8_0, shape_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray32 = NDArray[np.float32]

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"

PERMUTED = {"llama": True, "qwen2": False, "qwen3": False}
"""The architectures merged here, and whether llama.cpp's converter reorders the rows of their
queries and keys (for its rotary embedding, which pairs neighbours where transformers pairs halves).
The tests compare each with what transformers reads from the same file."""

_BLOCK = 32
"""Numbers in a block of Q8_0, which share one step."""

_SEED = 0  # of the rounding: the same files give the same sum

_SAYS_NOTHING = frozenset(
    [
        "auto_mapping",
        "base_model_name_or_path",
        "bias",
        "exclude_modules",
        "inference_mode",
        "init_lora_weights",
        "layers_pattern",
        "layers_to_transform",
        "lora_alpha",
        "lora_dropout",
        "megatron_core",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "r",
        "revision",
        "target_modules",
        "task_type",
        "use_rslora",
    ]
)
"""What a plain LoRA may have set: it leaves the sum as it is, or is read below. Anything else that
is set may mean another sum, also what a later PEFT brings, and is refused."""

_PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
"""Ways to begin that leave the model's own weights alone; pissa, olora and others change them."""

_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<half>[AB])\.weight")


class LoraPair(NamedTuple):
    """What is added to one matrix [n_out, n_in]: ``up`` [n_out, r] times ``down`` [r, n_in]."""

    up: FloatArray32
    down: FloatArray32


def merge_lora(
    source: Path,
    adapter: Path,
    target: Path,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes ``target``: the model of ``source`` with the adapter added, as Q8_0, whole or not.

    Args:
        source: a GGUF file, Llama, Qwen 2 or Qwen 3.
        adapter: the folder that PEFT's ``save_pretrained`` wrote, plain LoRA.
        target: the GGUF file to write; what was there is replaced at the end.
        on_progress: called with (n_tensors_done, n_tensors).

    Raises:
        InputError: a file is missing, the adapter is not plain LoRA, or was not trained on this
            model.
        EngineError: the source is no GGUF file, or not of these architectures.
        WeightsError: the disk is full, or cannot be written to.
    """
    check_files(source, adapter)
    scale, rank = _scale_and_rank(adapter / CONFIG)
    reader = _reader(source)
    pairs = _pairs(adapter / TENSORS, scale, rank, reader, source)
    rng = np.random.default_rng(_SEED)

    def added(name: str, values: FloatArray32) -> FloatArray32:
        pair = pairs.get(name)
        if pair is None or not pair.up.any():
            return values
        return dithered(values + pair.up @ pair.down, rng)

    n_bytes = n_bytes_as_q8_0(reader)
    with (
        disk_errors_explained(target.parent, n_bytes),
        tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder,
    ):
        if shutil.disk_usage(folder).free < n_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = Path(folder) / target.name
        rewrite_as_q8_0(reader, part, change=added, on_progress=on_progress)
        part.replace(target)


def read_adapter(source: Path, adapter: Path) -> dict[str, LoraPair]:
    """What the adapter adds to each matrix, by the matrix's name in the GGUF file.

    Rows are in the order of transformers, to which OpenVINO turns those of a file back.

    Raises:
        InputError, EngineError: as ``merge_lora``.
    """
    check_files(source, adapter)
    scale, rank = _scale_and_rank(adapter / CONFIG)
    return _pairs(adapter / TENSORS, scale, rank, _reader(source), source, as_in_file=False)


def check_files(source: Path, adapter: Path) -> None:
    """Raises ``InputError`` where the model's file or one of the adapter's two is not there."""
    if not source.is_file():
        raise InputError(f"no model at {source}; expected the GGUF file that {adapter} adapts")
    for name in (CONFIG, TENSORS):
        if not (adapter / name).is_file():
            raise InputError(
                f"no {name} in {adapter}; expected the folder that PEFT's save_pretrained wrote, "
                "with its weights as safetensors"
            )


def dithered(values: FloatArray32, rng: np.random.Generator) -> FloatArray32:
    """``values`` [n_out, n_in] with up to half a step of Q8_0 added or taken away at random.

    Rounded to the nearest step, they are then on average what they were.
    """
    blocks = values.reshape(-1, _BLOCK)
    step = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    noise = rng.random(blocks.shape, dtype=np.float32) - np.float32(0.5)
    noisy: FloatArray32 = (blocks + step * noise).reshape(values.shape)
    return noisy


@contextmanager
def disk_errors_explained(folder: Path, n_bytes: int) -> Iterator[None]:
    """Turns what a disk says into what is needed where.

    Raises:
        WeightsError: in place of any ``OSError``.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WeightsError(
                f"the disk of {folder} is full: the merged model needs {n_bytes / 1e6:,.1f} MB "
                "there; free some, or use a folder on another disk (for commonweal's own cache: "
                "set COMMONWEAL_CACHE)"
            ) from error
        raise WeightsError(
            f"cannot write the merged model to {folder} ({error}); use a folder that you may "
            "write to (for commonweal's own cache: set COMMONWEAL_CACHE)"
        ) from error


def _scale_and_rank(path: Path) -> tuple[float, int]:
    """What the product is multiplied by, and the rank, from ``adapter_config.json``."""
    expected = "the configuration of a LoRA adapter, as PEFT's save_pretrained writes it"
    try:
        config: Any = json.loads(read_text(path, expected=expected, max_bytes=10**7))
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); expected {expected}") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise InputError(f"{path} has no peft_type LORA; expected {expected}")
    odd = {name: value for name, value in config.items() if value and name not in _SAYS_NOTHING}
    if config.get("bias", "none") != "none":
        odd["bias"] = config["bias"]
    if config.get("init_lora_weights", True) not in _PLAIN_STARTS:
        odd["init_lora_weights"] = config["init_lora_weights"]
    if odd:
        settings = ", ".join(f"{name} = {json.dumps(value)}" for name, value in odd.items())
        raise InputError(
            f"{path} has {settings[:300]}; expected plain LoRA, the only kind that can be merged "
            "into a GGUF file here. Train without it, or merge with PEFT and convert the whole "
            "model"
        )
    rank: Any = config.get("r")
    alpha: Any = config.get("lora_alpha")
    if type(rank) is not int or rank < 1 or type(alpha) not in (int, float) or not isfinite(alpha):
        raise InputError(
            f"{path} has r = {rank!r} and lora_alpha = {alpha!r}; expected a whole number from 1 "
            "and a number"
        )
    return float(alpha / (sqrt(rank) if config.get("use_rslora") else rank)), int(rank)


def _reader(source: Path) -> Any:
    import gguf

    try:
        reader = gguf.GGUFReader(source)
        architecture = reader.fields["general.architecture"].contents()
    except (OSError, ValueError, KeyError, IndexError, ArithmeticError) as error:
        raise EngineError(f"{source} is not a whole GGUF file: {error}") from error
    if architecture not in PERMUTED:
        raise EngineError(
            f"{source} is of the architecture {architecture!r}; an adapter can be merged into one "
            f"of {', '.join(PERMUTED)}. Merge with PEFT and convert the whole model"
        )
    for tensor in reader.tensors:
        shape = shape_of(tensor)
        if len(shape) > 1 and shape[-1] % _BLOCK:
            raise EngineError(
                f"{source}: {tensor.name} has rows of {shape[-1]} numbers, expected a multiple of "
                f"{_BLOCK}, the block of Q8_0. Merge with PEFT and convert the whole model"
            )
    return reader


def _pairs(
    path: Path, scale: float, rank: int, reader: Any, source: Path, *, as_in_file: bool = True
) -> dict[str, LoraPair]:
    """What is added to each tensor of the file, by its name there: each pair found its matrix."""
    import gguf

    def number(name: str, default: int | None = None) -> int:
        entry = reader.fields.get(f"{architecture}.{name}")
        value = default if entry is None else entry.contents()
        if not isinstance(value, int):
            raise EngineError(
                f"{source}: the field {architecture}.{name} is {value!r}, expected a whole number"
            )
        return value

    architecture = reader.fields["general.architecture"].contents()
    kind = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]
    names = gguf.get_tensor_name_map(kind, number("block_count"))
    matrices = {
        tensor.name: shape_of(tensor) for tensor in reader.tensors if len(tensor.shape) == 2
    }
    n_heads = {"attn_q": number("attention.head_count")}
    n_heads["attn_k"] = number("attention.head_count_kv", n_heads["attn_q"])
    pairs = {}
    for module, halves in _halves(path).items():
        name = names.get_name(f"{module}.weight", try_suffixes=(".weight",))
        if name not in matrices:
            raise InputError(
                f"{path} adapts {module}, of which {source} has no matrix: this adapter was "
                "trained on another model, or on a layer that shares its weights with another"
            )
        n_out, n_in = matrices[name]
        for half, shape in (("A", (rank, n_in)), ("B", (n_out, rank))):
            got = halves[half].shape if half in halves else None
            if got != shape:
                raise InputError(
                    f"{path}: lora_{half} of {module} "
                    + ("is missing" if got is None else f"has the shape {list(got)}")
                    + f", expected {list(shape)} for {name} of {source} at rank {rank}: this "
                    "adapter was trained on another model"
                )
            if not np.isfinite(halves[half]).all():
                raise InputError(
                    f"{path}: lora_{half} of {module} has numbers that are not finite; the "
                    "training went wrong, take an earlier checkpoint"
                )
        up = np.float32(scale) * halves["B"]
        permuted = as_in_file and PERMUTED[architecture]
        if permuted and (n_of := n_heads.get(name.split(".")[-2])):
            # llama.cpp's LlamaModel.permute, on the rows of B A, which are those of B.
            up = up.reshape(n_of, 2, -1, rank).swapaxes(1, 2).reshape(n_out, rank)
        pairs[name] = LoraPair(up, halves["A"])
    return pairs


def _halves(path: Path) -> dict[str, dict[str, FloatArray32]]:
    """The matrices "A" and "B" of each module, by its name in transformers."""
    import gguf
    from safetensors import SafetensorError, deserialize

    read: Callable[[bytes], Any] = deserialize
    try:
        tensors = read(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path} cannot be read ({error}); expected the safetensors file that PEFT wrote"
        ) from error
    halves: dict[str, dict[str, FloatArray32]] = {}
    for key, tensor in tensors:
        match = _KEY.fullmatch(key)
        if match is None or tensor["dtype"] not in ("F32", "F16", "BF16"):
            raise InputError(
                f"{path} has a tensor {key} ({tensor['dtype']}); expected none but "
                "base_model.model.….lora_A.weight and ….lora_B.weight of linear layers, as F32, "
                "F16 or BF16"
            )
        raw = np.frombuffer(tensor["data"], dtype=np.uint8)
        values = gguf.dequantize(raw, gguf.GGMLQuantizationType[tensor["dtype"]])
        halves.setdefault(match["module"], {})[match["half"]] = values.reshape(tensor["shape"])
    if not halves:
        raise InputError(f"{path} holds no tensors; expected a trained LoRA adapter")
    return halves
