"""Public datasets fetched for the user: resumed where broken off, checked by size and sha256."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from commonweal.errors import CommonwealError, InputError
from commonweal.files import sha256_of
from commonweal.types import Progress, no_progress

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 30.0
_OK, _PARTIAL, _RANGE_NOT_SATISFIABLE = 200, 206, 416
_ROOM_TO_SPARE_BYTES = 64 << 20


class DownloadError(CommonwealError):
    """A file could not be fetched, or is not what was published."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as published: its name, size in bytes and sha256 in hex."""

    name: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """A public dataset: where its files are, and under which licence.

    ``url`` is the folder; a file is at ``url``/name.
    """

    url: str
    files: Sequence[RemoteFile]
    licence: str
    attribution: str


SOURCES = {
    "habermas-machine": Source(
        url="https://storage.googleapis.com/habermas_machine/datasets",
        files=(
            RemoteFile(
                "hm_all_candidate_comparisons.parquet",
                396_838_276,
                "7cf8d5ce3fce8853b36f0ffe1158424f7813867e422e313db4df0a5f9e03e4a4",
            ),
            RemoteFile(
                "hm_all_position_statement_ratings.parquet",
                5_244_656,
                "b6debcb3e2413d26b7e8b96c7927517b7a5f304c502c30b28a9af1d307255763",
            ),
            RemoteFile(
                "hm_all_round_survey_responses.parquet",
                69_494_354,
                "6933f1bc26fe8eceafc93c44617e66ed534f2593d265a349dc583752c68d0f5d",
            ),
            RemoteFile(
                "hm_all_final_preference_rankings.parquet",
                866_126,
                "0397f065e27032dd316d08d28a99067c9175cdc4bd7296a564d8bff561fb91d7",
            ),
        ),
        licence="CC BY 4.0",
        attribution=(
            "Tessler et al. (2024), AI can help humans find common ground in democratic "
            "deliberation, Science 386; google-deepmind/habermas_machine"
        ),
    )
}


def source_named(name: str) -> Source:
    """The public dataset of that name.

    Raises:
        InputError: there is none.
    """
    if name not in SOURCES:
        raise InputError(f"no dataset {name!r} to fetch; expected one of {', '.join(SOURCES)}")
    return SOURCES[name]


def fetch_files(source: Source, folder: Path, *, on_progress: Progress = no_progress) -> list[Path]:
    """The files in ``folder``, each as published; those that are there already are kept.

    A file that is not whole has ``.part`` behind its name, and the next call goes on from there.

    Args:
        source: what to fetch.
        folder: made where it is not there; its parent must be.
        on_progress: called with (file name, bytes there, bytes in all).

    Raises:
        DownloadError: no network, the server refused, or what came is not what was published.
        InputError: the folder cannot be written, the disk is too small, or a file of that name is
            there that is another.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {folder}: {error.strerror or error}; expected one whose parent"
            " is there"
        ) from None
    missing = []
    for file in source.files:
        path = folder / file.name
        if path.exists():
            _check(path, file, "move it away, to fetch it")
            on_progress(file.name, file.n_bytes, file.n_bytes)
        else:
            missing.append(file)
    _check_room(folder, missing)
    with httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=True) as client:
        for file in missing:
            _fetch(client, f"{source.url}/{file.name}", folder / file.name, file, on_progress)
    return [folder / file.name for file in source.files]


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check_room(folder: Path, missing: Sequence[RemoteFile]) -> None:
    needed = sum(max(0, file.n_bytes - _size(_part(folder / file.name))) for file in missing)
    free = shutil.disk_usage(folder).free
    if needed and needed + _ROOM_TO_SPARE_BYTES > free:
        raise InputError(
            f"{folder}: {free:,} bytes are free on that disk, and {needed:,} are still to come; "
            "make room, or name a folder elsewhere"
        )


def _fetch(
    client: httpx.Client, url: str, path: Path, file: RemoteFile, on_progress: Progress
) -> None:
    part = _part(path)
    n_there = _size(part)
    if n_there > file.n_bytes:
        part.unlink()
        n_there = 0
    try:
        if n_there < file.n_bytes:
            _stream(client, url, part, file, n_there, on_progress)
    except httpx.HTTPError as error:
        raise DownloadError(
            f"cannot fetch {url}: {type(error).__name__}: {error}; {_size(part):,} of "
            f"{file.n_bytes:,} bytes are there, and the same command continues from them"
        ) from error
    except OSError as error:
        raise InputError(f"cannot write {part}: {error.strerror or error}") from error
    if (n_bytes := _size(part)) < file.n_bytes:
        raise DownloadError(
            f"{url} ended after {n_bytes:,} of {file.n_bytes:,} bytes; the same command "
            "continues from there"
        )
    try:
        _check(part, file, "fetch it again; if this happens again, the published file has changed")
    except InputError as error:
        part.unlink()  # going on from it would never end well
        raise DownloadError(str(error)) from None
    part.replace(path)


def _stream(
    client: httpx.Client,
    url: str,
    part: Path,
    file: RemoteFile,
    n_there: int,
    on_progress: Progress,
) -> None:
    # Plain bytes: a Range counts those of the encoded body.
    headers = {"Accept-Encoding": "identity"}
    if n_there:
        headers["Range"] = f"bytes={n_there}-"
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code not in (_OK, _PARTIAL):
            if answer.status_code == _RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
            raise DownloadError(
                f"cannot fetch {url}: the server answered {answer.status_code} "
                f"{answer.reason_phrase}"
            )
        if answer.status_code == _OK:
            n_there = 0  # it does not know Range, and sends all of it
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {n_there}-"):
            raise DownloadError(
                f"cannot fetch {url}: asked for bytes from {n_there}, got Content-Range "
                f"{answer.headers.get('Content-Range')!r}"
            )
        with part.open("ab" if n_there else "wb") as out:
            for chunk in answer.iter_bytes(_CHUNK_BYTES):
                out.write(chunk)
                n_there += len(chunk)
                if n_there > file.n_bytes:
                    break  # longer than published, and who knows how long: the check says so
                on_progress(file.name, n_there, file.n_bytes)


def _check(path: Path, file: RemoteFile, fix: str) -> None:
    if (n_bytes := path.stat().st_size) != file.n_bytes:
        raise InputError(
            f"{path} has {n_bytes:,} bytes, expected {file.n_bytes:,} as published; {fix}"
        )
    if (sha256 := sha256_of(path)) != file.sha256:
        raise InputError(f"{path} has sha256 {sha256}, expected {file.sha256} as published; {fix}")
