"""GGUF files converted for OpenVINO: once, in a process of its own, and kept in the user's cache.

OpenVINO GenAI reads a GGUF file by building its own model and tokenizer from it. For 1.1 GB that
takes half a minute and twice the file in memory, each time. What it builds can be saved and loads
in seconds, as pages of a file; and a saved model can be opened up, which scoring needs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from commonweal.errors import EngineError, InputError, WeightsError
from commonweal.files import sha256_of
from commonweal.models import store
from commonweal.models.adapted import add_branches
from commonweal.models.gguf_lora import CONFIG, TENSORS, LoraPair, check_files, read_adapter
from commonweal.models.packaged import megabytes

MODEL = "openvino_model.xml"
TOKENIZER = "openvino_tokenizer.xml"

_CHILD = """
import sys
import openvino_genai as genai
source, save = sys.argv[1], {"enable_save_ov_model": True}
genai.Tokenizer(source, **save)
genai.ContinuousBatchingPipeline(source, genai.SchedulerConfig(), "CPU", save, {})
"""


def converted_folder() -> Path:
    """The folder of what was converted, beside the weights store. It may be emptied any time."""
    return store.cache_folder().parent / "converted"


def converted(gguf: Path, sha256: str) -> Path:
    """The folder with OpenVINO's own form of a GGUF file, made unless it is there already.

    Two processes that ask at once make it once: the second waits. Whatever ends a conversion
    early, the folder is whole or not there.

    Args:
        gguf: the file, all there.
        sha256: its hash, which names the folder together with OpenVINO's version.

    Raises:
        EngineError: OpenVINO GenAI cannot read the file.
        WeightsError: the cache cannot be written to, or its disk is full.
    """
    folder = _folder_of(sha256)
    if folder.is_dir():
        return folder
    with _staging_folder(folder, gguf) as staging:
        if staging is not None:
            _convert(gguf, staging)
    return folder


def adapted(gguf: Path, sha256: str, adapter: Path) -> Path:
    """As ``converted``, of the file with a LoRA adapter beside its matrices (``models.adapted``).

    Args:
        gguf: the file, all there.
        sha256: its hash.
        adapter: the folder that PEFT wrote.

    Raises:
        InputError: the adapter is not plain LoRA, or was not trained on this model.
        EngineError, WeightsError: as ``converted``.
    """
    check_files(gguf, adapter)
    base = converted(gguf, sha256)
    folder = _folder_of(adapted_hash(sha256, adapter))
    if not folder.is_dir():
        pairs = read_adapter(gguf, adapter)
        with _staging_folder(folder, gguf) as staging:
            if staging is not None:
                _save_adapted(base, pairs, staging)
    return folder


def adapted_hash(sha256: str, adapter: Path) -> str:
    """What names a model with an adapter: the sha256 of the hashes of all three files, in hex."""
    hashes = [sha256, *(sha256_of(adapter / name) for name in (CONFIG, TENSORS))]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def convert_weights(name: str) -> Path:
    """As ``converted``, of a language model's weights in the store."""
    file_name = store.known(name).gguf
    if file_name is None:
        raise InputError(f"{name} is not a language model that the embedded engine reads")
    return converted(store.require(name) / file_name, store.file_sha256(name, file_name))


def is_converted(name: str) -> bool:
    """Whether these weights are in the store and OpenVINO's own form of them is made."""
    file_name = store.known(name).gguf
    if file_name is None or not store.is_pulled(name):
        return False
    return _folder_of(store.file_sha256(name, file_name)).is_dir()


def forget(name: str) -> int:
    """Bytes of disk that are free again: OpenVINO's own form of these weights."""
    if not is_converted(name):
        return 0
    folder = convert_weights(name)
    n_bytes = sum(path.stat().st_size for path in folder.iterdir())
    shutil.rmtree(folder)
    return n_bytes


@contextmanager
def _staging_folder(folder: Path, gguf: Path) -> Iterator[Path | None]:
    """A folder to fill, which becomes ``folder`` at the end; None where another made it meanwhile.

    ``gguf`` says how much disk it may take.
    """
    with store.alone_in(converted_folder()):
        for leftover in converted_folder().glob(".*-staging"):  # of conversions that were killed
            shutil.rmtree(leftover, ignore_errors=True)
        if folder.is_dir():
            yield None
            return
        _check_free_disk(gguf)
        staging = Path(tempfile.mkdtemp(dir=converted_folder(), prefix=".", suffix="-staging"))
        try:
            yield staging
            staging.rename(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _save_adapted(base: Path, pairs: Mapping[str, LoraPair], folder: Path) -> None:
    import openvino as ov

    model = ov.Core().read_model(base / MODEL)
    add_branches(model, pairs)
    ov.save_model(model, str(folder / MODEL), compress_to_fp16=False)
    for path in base.iterdir():  # the tokenizer's
        if not path.name.startswith(Path(MODEL).stem):
            shutil.copyfile(path, folder / path.name)


def _folder_of(sha256: str) -> Path:
    return converted_folder() / f"{sha256[:16]}-{metadata.version('openvino-genai')}"


def _convert(gguf: Path, folder: Path) -> None:
    source = folder / "model.gguf"  # what is saved goes beside the file that was read
    try:
        source.symlink_to(gguf.resolve())
    except OSError:  # Windows asks for rights
        try:
            os.link(gguf, source)
        except OSError:
            shutil.copyfile(gguf, source)
    # A process of its own: what it needs in memory is given back.
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, str(source)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    source.unlink()
    if child.returncode or not all((folder / name).is_file() for name in (MODEL, TOKENIZER)):
        lines = child.stdout.strip().splitlines() or [f"it ended with status {child.returncode}"]
        if child.returncode in (-9, 137):
            lines = ["the system ended it, most likely for want of memory"]
        raise EngineError(
            f"OpenVINO GenAI cannot load {gguf}: {lines[-1]}. Expected a .gguf file of an "
            "architecture that it knows (Llama, Qwen, SmolLM); others run as "
            "openai:BASE_URL#MODEL"
        )


def _check_free_disk(gguf: Path) -> None:
    n_free, n_needed = shutil.disk_usage(converted_folder()).free, 1.3 * gguf.stat().st_size
    if n_free < n_needed:
        raise WeightsError(
            f"{megabytes(n_free)} free on the disk of {converted_folder()}, and converting "
            f"{gguf.name} for OpenVINO needs about {megabytes(n_needed)}; free some, or set "
            "COMMONWEAL_CACHE to a folder on another disk"
        )
