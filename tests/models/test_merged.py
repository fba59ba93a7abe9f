"""Merged weights in the cache: made once, whole or not there; real processes, real signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_gguf_lora import changed_config, changed_tensors, tiny_model, write_adapter, write_gguf

from commonweal.errors import InputError, WeightsError
from commonweal.models import merged, store
from commonweal.models.gguf_lora import merge_lora
from commonweal.models.merged import merged_weights

pytestmark = pytest.mark.train
pytest.importorskip("torch", reason="needs the extra `train`: make test-train")

MERGE = """
import os, sys, time
from pathlib import Path
from commonweal.models.merged import merged_weights
def report(n_done, n_total):
    print(n_done, n_total, flush=True)
    {then}
print(merged_weights(Path(sys.argv[1]), Path(sys.argv[2]), on_progress=report), flush=True)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny base and an adapter of it."""
    folder = tmp_path_factory.mktemp("made")
    write_adapter(tiny_model("llama"), folder / "adapter")
    return write_gguf(tiny_model("llama"), folder / "base.gguf"), folder / "adapter"


@pytest.fixture
def base(made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COMMONWEAL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "base.gguf").write_bytes(made[0].read_bytes())
    return tmp_path / "base.gguf"


@pytest.fixture
def adapter(made: tuple[Path, Path], tmp_path: Path) -> Path:
    (tmp_path / "adapter").mkdir()
    for path in made[1].iterdir():
        (tmp_path / "adapter" / path.name).write_bytes(path.read_bytes())
    return tmp_path / "adapter"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "merged"


def started(base: Path, adapter: Path, then: str = "pass") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MERGE.format(then=then), str(base), str(adapter)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_it_is_made_once_and_is_the_sum(base: Path, adapter: Path, folder: Path) -> None:
    done: list[tuple[int, int]] = []
    path = merged_weights(base, adapter, on_progress=lambda *counts: done.append(counts))
    n_tensors = len(done)
    assert n_tensors > 10
    assert path.parent == folder
    assert path.name.startswith("base-")
    merge_lora(base, adapter, base.parent / "beside.gguf")
    assert path.read_bytes() == (base.parent / "beside.gguf").read_bytes()
    again = merged_weights(base, adapter, on_progress=lambda *counts: done.append(counts))
    assert (again, len(done)) == (path, n_tensors)


def test_another_base_or_adapter_or_format_is_another_file(
    base: Path, adapter: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {merged_weights(base, adapter)}
    changed_config(adapter, lora_alpha=7)
    found.add(merged_weights(base, adapter))

    def doubled(tensors: dict[str, np.ndarray]) -> None:
        for name in tensors:
            tensors[name] = 2 * tensors[name]

    changed_tensors(adapter, doubled)
    found.add(merged_weights(base, adapter))
    base.write_bytes(base.read_bytes()[:-4] + b"\0\0\0\0")
    found.add(merged_weights(base, adapter))
    monkeypatch.setattr(merged, "FORMAT_VERSION", merged.FORMAT_VERSION + 1)
    found.add(merged_weights(base, adapter))
    assert len(found) == 5
    assert visible(folder) == sorted(path.name for path in found)


def test_two_processes_at_once_make_it_once(base: Path, adapter: Path, folder: Path) -> None:
    # Slow enough that the second has started long before the first ends.
    both = [started(base, adapter, "time.sleep(0.1)") for _ in range(2)]
    said = [process.communicate(timeout=60)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0][-1] == said[1][-1]
    assert sorted(min(len(lines), 2) for lines in said) == [1, 2]  # one made it, one waited
    assert visible(folder) == [Path(said[0][-1]).name]


def test_a_killed_merge_leaves_nothing_that_counts(base: Path, adapter: Path, folder: Path) -> None:
    process = started(base, adapter, f"n_done > 5 and os.kill(os.getpid(), {int(signal.SIGKILL)})")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    [left] = visible(folder)
    assert left.startswith(".base-")
    path = merged_weights(base, adapter)
    assert visible(folder) == [path.name]


def test_a_file_cut_short_is_made_anew(base: Path, adapter: Path) -> None:
    path = merged_weights(base, adapter)
    whole = path.read_bytes()
    for n_bytes in (0, 40, len(whole) // 2):
        path.write_bytes(whole[:n_bytes])
        assert merged_weights(base, adapter).read_bytes() == whole


def test_a_cache_that_cannot_be_written(base: Path, adapter: Path, folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match=r"cannot write to .*merged.*COMMONWEAL_CACHE"):
        merged_weights(base, adapter)


def test_a_full_disk_says_what_is_needed_and_where(
    base: Path, adapter: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Disk:
        free = 1000

    with monkeypatch.context() as patched:
        patched.setattr("shutil.disk_usage", lambda path: Disk)
        said = rf"disk of {folder} is full: .* needs 0\.\d MB there.*COMMONWEAL_CACHE"
        with pytest.raises(WeightsError, match=said):
            merged_weights(base, adapter)
    assert visible(folder) == []
    assert merged_weights(base, adapter).is_file()


def test_files_that_are_missing(base: Path, adapter: Path) -> None:
    with pytest.raises(InputError, match=r"no model at .*no\.gguf"):
        merged_weights(base.parent / "no.gguf", adapter)
    with pytest.raises(InputError, match=r"no adapter_config\.json in"):
        merged_weights(base, base.parent)


def test_the_packaged_model_is_not_read_to_be_known(
    smollm2_gguf: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def watched(path: Path) -> str:
        read.append(path)
        return "0" * 64

    monkeypatch.setattr(merged, "sha256_of", watched)
    assert merged._key(smollm2_gguf, adapter)
    assert [path.parent for path in read] == [adapter, adapter]
    recorded = store.file_sha256("smollm2-135m-instruct", smollm2_gguf.name)
    assert merged._sha256(smollm2_gguf) == recorded
    copy = adapter / smollm2_gguf.name
    copy.symlink_to(smollm2_gguf)
    merged._sha256(copy)
    assert read[-1] == copy
