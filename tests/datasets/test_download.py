"""Downloads from a local server that cuts off, forgets Range, or sends something else."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from commonweal.datasets.importers import download
from commonweal.datasets.importers.download import (
    SOURCES,
    DownloadError,
    RemoteFile,
    Source,
    fetch_files,
    source_named,
)
from commonweal.errors import InputError

CONTENT = {
    "one.parquet": bytes(range(256)) * 20_000,
    "two.parquet": b"two" * 1000,
}


class Server(ThreadingHTTPServer):
    """Sends CONTENT. ``cut`` bytes and no more while it is above 0; Range only where it may."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = dict(CONTENT)
        self.cut = 0
        self.knows_range = True
        self.status = 200
        self.asked: list[tuple[str, str | None]] = []

    def source(self) -> Source:
        files = [
            RemoteFile(name, len(raw), hashlib.sha256(raw).hexdigest())
            for name, raw in CONTENT.items()
        ]
        return Source(f"http://127.0.0.1:{self.server_port}/data", files, "CC", "nobody")


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        raw = self.server.content[self.path.removeprefix("/data/")]
        start = 0
        if wanted and self.server.knows_range:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(raw) - 1}/{len(raw)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(raw) - start))
        self.end_headers()
        stop = start + self.server.cut if self.server.cut else len(raw)
        self.wfile.write(raw[start:stop])

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@contextmanager
def serving():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server():
    with serving() as one:
        yield one


def content_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_files_come_whole(server, tmp_path):
    seen = []
    paths = fetch_files(server.source(), tmp_path / "d", on_progress=lambda *x: seen.append(x))
    assert paths == [tmp_path / "d" / name for name in CONTENT]
    assert content_of(tmp_path / "d") == CONTENT
    assert seen[-1] == ("two.parquet", 3000, 3000)
    assert ("one.parquet", 5_120_000, 5_120_000) in seen


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    fetch_files(server.source(), tmp_path)
    server.asked.clear()
    fetch_files(server.source(), tmp_path)
    assert server.asked == []


def test_what_was_cut_off_goes_on_from_there(server, tmp_path):
    server.cut = 3_000_000
    with pytest.raises(DownloadError, match=r"cannot fetch .*one.parquet: .* the same command"):
        fetch_files(server.source(), tmp_path)
    (part,) = tmp_path.iterdir()
    n_there = part.stat().st_size
    assert part.name == "one.parquet.part"
    assert 0 < n_there <= 3_000_000
    server.cut = 0
    fetch_files(server.source(), tmp_path)
    assert content_of(tmp_path) == CONTENT
    assert server.asked[1] == ("/data/one.parquet", f"bytes={n_there}-")


def test_a_part_that_is_whole_already_is_checked_and_kept(server, tmp_path):
    (tmp_path / "one.parquet.part").write_bytes(CONTENT["one.parquet"])
    fetch_files(server.source(), tmp_path)
    assert [path for path, _ in server.asked] == ["/data/two.parquet"]
    assert content_of(tmp_path) == CONTENT


def test_a_server_without_range_sends_all_of_it_again(server, tmp_path):
    server.cut = 1_000_000
    with pytest.raises(DownloadError):
        fetch_files(server.source(), tmp_path)
    server.cut, server.knows_range = 0, False
    fetch_files(server.source(), tmp_path)
    assert content_of(tmp_path) == CONTENT


def test_something_else_is_refused_and_not_gone_on_from(server, tmp_path):
    other = bytearray(CONTENT["one.parquet"])
    other[-1] ^= 1
    server.content["one.parquet"] = bytes(other)
    with pytest.raises(DownloadError, match=r"one.parquet.part has sha256 .*, expected"):
        fetch_files(server.source(), tmp_path)
    assert list(tmp_path.iterdir()) == []
    server.content = dict(CONTENT)
    fetch_files(server.source(), tmp_path)
    assert content_of(tmp_path) == CONTENT


def test_more_than_was_published_is_refused(server, tmp_path):
    server.content["one.parquet"] += b"more" * 1_000_000
    with pytest.raises(DownloadError, match="bytes, expected 5,120,000 as published"):
        fetch_files(server.source(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_file_of_that_name_is_not_touched(server, tmp_path):
    (tmp_path / "one.parquet").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"has 4 bytes, expected 5,120,000 .* move it away"):
        fetch_files(server.source(), tmp_path)
    assert (tmp_path / "one.parquet").read_bytes() == b"mine"


def test_what_the_server_refuses_is_said(server, tmp_path):
    server.status = 403
    with pytest.raises(DownloadError, match="the server answered 403 Forbidden"):
        fetch_files(server.source(), tmp_path)


def test_no_network_is_said(tmp_path):
    with serving() as server:
        source = server.source()  # nobody listens there any more
    with pytest.raises(DownloadError, match=r"ConnectError: .*; 0 of 5,120,000 bytes are there"):
        fetch_files(source, tmp_path)


def test_a_disk_that_is_too_small_is_said_before(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match="1,000 bytes are free on that disk, and 5,123,000 are"):
        fetch_files(server.source(), tmp_path)
    assert server.asked == []


def test_a_folder_that_cannot_be_made_is_said(server, tmp_path):
    with pytest.raises(InputError, match="cannot make the folder"):
        fetch_files(server.source(), tmp_path / "a" / "b")


def test_the_published_files_are_pinned():
    files = source_named("habermas-machine").files
    assert len(files) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in files)
    assert sum(file.n_bytes for file in files) == 472_443_412
    with pytest.raises(InputError, match="no dataset 'imdb' to fetch; expected one of habermas"):
        source_named("imdb")
    assert SOURCES["habermas-machine"].url.startswith("https://")
