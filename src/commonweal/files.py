"""Files read with the fault named, and written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from commonweal.errors import InputError


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path, *, expected: str, max_bytes: int) -> str:
    """The file as text, without a byte-order mark.

    Args:
        path: the file.
        expected: what it should be, for the error: "a question set as .csv".
        max_bytes: a larger file is not what is expected, whatever it is.

    Raises:
        InputError: there is none, it is too large, or not UTF-8 (the message names the line).
    """
    try:
        if (n_bytes := path.stat().st_size) > max_bytes:
            raise InputError(
                f"{path} has {n_bytes:,} bytes, expected {expected}, at most {max_bytes:,}"
            )
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"no file {path}; expected {expected}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as "
            'UTF-8 (in a spreadsheet: "CSV UTF-8")'
        ) from None


def check_writable(path: Path) -> None:
    """Raises ``InputError`` where ``path`` cannot be written: asked before the work, not after.

    Raises:
        InputError: its folder does not exist or may not be written to, it is a folder itself, or
            it is a device or a pipe that may not be written to.
    """
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; expected a file name")
    if _is_special(path):
        if not os.access(path, os.W_OK):
            raise InputError(f"cannot write {path}: you may not write to it")
        return
    folder = _target(path).parent
    if not folder.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK):
        raise InputError(f"cannot write {path}: you may not write to the folder {folder}")


def check_outputs(outputs: Mapping[str, Path | None], *, inputs: Mapping[str, Path]) -> None:
    """Raises ``InputError`` where an output cannot be written or would overwrite another file.

    Args:
        outputs: the option's name to its path; None where it was not given.
        inputs: what is read, in words, to its path: a file, or a folder with all that is in it.

    Raises:
        InputError: as ``check_writable``, or two outputs are one file, or one is an input or lies
            in a folder that is one.
    """
    given = {name: path for name, path in outputs.items() if path is not None}
    taken = dict(inputs)
    for name, path in given.items():
        check_writable(path)
        if _is_special(path):
            continue  # a device or a pipe takes any number of texts
        real = Path(os.path.realpath(path))
        for other, other_path in taken.items():
            if other_path.is_dir() and any(
                f.exists() and f.samefile(other_path) for f in real.parents
            ):
                raise InputError(
                    f"{name} {path} lies in {other}, the folder {other_path} that is read; "
                    "expected a path outside it"
                )
            if os.path.realpath(path) == os.path.realpath(other_path) or (
                path.exists() and other_path.exists() and path.samefile(other_path)
            ):
                raise InputError(
                    f"{name} {path} is the same file as {other}; expected a path of its own"
                )
        taken[name] = path


def write_whole(path: Path, text: str) -> None:
    """Writes ``text`` to ``path`` in one step: a reader sees the old file or the new one.

    A symlink stays and the file that it leads to is replaced. A device or a pipe (/dev/null, a
    shell's process substitution) is written to as it is.

    Raises:
        InputError: it cannot be written (the folder, the disk); what was there is unchanged.
    """
    check_writable(path)
    if _is_special(path):
        try:
            with path.open("w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror or error}") from error
        return
    target, temporary = _target(path), ""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}-", delete=False
        ) as file:
            temporary = file.name
            file.write(text)
        # mkstemp keeps files to their owner; a report is as readable as any other new file.
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(target)
    except BaseException as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(f"cannot write {path}: {error.strerror or error}") from error
        raise


def _is_special(path: Path) -> bool:
    """Whether there is something at the end of the path that cannot be replaced by a file."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _target(path: Path) -> Path:
    """The path itself, or for a symlink the place that it leads to."""
    # Not resolve(): it raises where links go round in a circle.
    return Path(os.path.realpath(path)) if path.is_symlink() else path
