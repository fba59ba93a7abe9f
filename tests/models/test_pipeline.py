"""The embedded engine's cache is as large as calls need, and the weights lie in memory once."""

from __future__ import annotations

import mmap
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal.errors import EngineError
from commonweal.models import pipeline
from commonweal.models.embedded_engine import EmbeddedModel
from commonweal.models.pipeline import let_go, letting_go, n_blocks_for
from commonweal.types import Message, Prompt, Sampling

PROMPTS = st.lists(st.integers(0, 1), max_size=200).map(lambda bits: [7] * 40 + bits)


@given(st.lists(st.tuples(PROMPTS, st.integers(1, 300)), max_size=30))
def test_blocks_hold_all_prompts_and_answers_and_shared_beginnings_once(requests):
    whole = {tuple(ids[:end]) for ids, _ in requests for end in range(32, len(ids) + 1, 32)}
    least = len(whole) + sum((len(ids) % 32 + n) / 32 for ids, n in requests)
    n_blocks = n_blocks_for(requests)
    assert n_blocks >= least
    assert n_blocks == 256 or n_blocks / 2 < least + 2 * len(requests)


def test_no_call_gets_more_than_the_most():
    assert n_blocks_for([]) == 256
    assert n_blocks_for([(range(100), 10**6)]) == 2048


def kb_in_memory(name: str) -> int:
    """Of what this process has mapped of files of that name."""
    lines = iter(Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines())
    found = [
        next(line for line in lines if line.startswith("Rss:"))
        for line in lines
        if line.endswith(f"/{name}")
    ]
    return sum(int(line.split()[1]) for line in found)


@contextmanager
def mapped(path: Path, byte: bytes) -> Iterator[mmap.mmap]:
    """A file of a megabyte, all of it in memory."""
    path.write_bytes(byte * 2**20)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as found:
        assert found[:] == byte * 2**20
        assert kb_in_memory(path.name) == 1024
        yield found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is in memory")
def test_a_mapped_file_is_let_go_and_read_again_where_it_is_needed(tmp_path):
    with mapped(tmp_path / "weights.bin", b"1") as one, mapped(tmp_path / "other.bin", b"2"):
        let_go("weights.bin")
        assert (kb_in_memory("weights.bin"), kb_in_memory("other.bin")) == (0, 1024)
        assert one[:] == b"1" * 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is in memory")
def test_a_mapped_file_is_let_go_while_something_else_runs_and_at_the_end(tmp_path, monkeypatch):
    with mapped(tmp_path / "weights.bin", b"1") as one:
        monkeypatch.setattr(pipeline, "_LET_GO_EVERY", 0.001)
        with letting_go("weights.bin"):
            for _ in range(3):
                assert one[:] == b"1" * 2**20
                while kb_in_memory("weights.bin"):
                    time.sleep(0.001)
        monkeypatch.setattr(pipeline, "_LET_GO_EVERY", 1000)
        n_threads = threading.active_count()

        def read_and_fail() -> None:
            with letting_go("weights.bin"):
                assert one[:] == b"1" * 2**20
                assert threading.active_count() == n_threads + 1
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            read_and_fail()
        assert kb_in_memory("weights.bin") == 0
        assert threading.active_count() == n_threads


def test_weights_that_cannot_be_packed_are_an_engine_error(tmp_path, monkeypatch):
    genai = pytest.importorskip("openvino_genai")

    class Full:
        def __init__(self, *_):
            pass

        def generate(self, *_):
            raise RuntimeError("Check failed\nnot enough memory")

    monkeypatch.setattr(genai, "ContinuousBatchingPipeline", Full)
    with pytest.raises(EngineError, match=r"cannot pack the weights .*not enough memory"):
        pipeline.Pipeline(tmp_path, 256)


@pytest.mark.heavy
def test_the_cache_grows_with_the_largest_call_and_no_text_changes(smollm2_gguf, monkeypatch):
    def asked(n_words: int) -> Prompt:
        return (Message("user", f"{n_words} buses. " + "They are late. " * n_words),)

    def texts(model: EmbeddedModel, prompts: list[Prompt]) -> list[str]:
        found = model.generate(prompts, seeds=range(len(prompts)), sampling=Sampling(max_tokens=6))
        return [each.text for (each,) in found]

    small, large = [asked(1)], [asked(n) for n in (30, 31, 32)]
    expected = texts(EmbeddedModel.from_spec("small"), small)
    monkeypatch.setattr(pipeline, "_LEAST_BLOCKS", 4)
    model = EmbeddedModel.from_spec("small")

    def n_blocks() -> int:
        assert model._pipeline is not None
        return model._pipeline.n_blocks

    assert (texts(model, small), n_blocks()) == (expected, 4)
    n_bytes = model._pipeline.running.get_metrics().kv_cache_size_in_bytes
    wide = texts(model, large)
    n_needed = n_blocks()
    assert n_needed > 4
    assert model._pipeline.running.get_metrics().kv_cache_size_in_bytes == n_bytes * n_needed // 4
    assert (texts(model, small), n_blocks()) == (expected, n_needed)
    # Where the most is too little for all at once, they are computed one after another.
    monkeypatch.setattr(pipeline, "_MOST_BLOCKS", 8)
    narrow = EmbeddedModel.from_spec("small")
    assert [len(text) > 0 for text in texts(narrow, large)] == [True] * 3
    assert narrow._pipeline is not None
    assert narrow._pipeline.n_blocks == 8
    assert len(wide) == 3
