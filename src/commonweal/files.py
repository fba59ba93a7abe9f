"""Files read with the fault named, and written whole or not at all."""

from __future__ import annotations

import codecs
import difflib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from commonweal.errors import InputError

_LEFT_BY_SYSTEMS = (".DS_Store", "Thumbs.db", "desktop.ini")


def data_folder() -> Path:
    """``$COMMONWEAL_DATA`` where set, else the user's data folder."""
    if given := os.environ.get("COMMONWEAL_DATA"):
        return Path(given).expanduser()
    from platformdirs import user_data_path

    return user_data_path("commonweal")


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_left_by_a_system(path: Path) -> bool:
    """Whether a file is one that systems leave in a folder that somebody looked at: nobody's own.

    macOS adds ``._NAME`` for each file on a disk that is not its own.
    """
    return path.name in _LEFT_BY_SYSTEMS or path.name.startswith("._")


def content_hash(path: Path) -> str | None:
    """A hash of the file, or of the folder's files by name without what a system left there; None
    where there is none.
    """
    if not path.exists():
        return None
    inside = (p for p in path.rglob("*") if p.is_file() and not _is_left_by_a_system(p))
    files = [path] if path.is_file() else sorted(inside)
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(path.parent).as_posix().encode())
        digest.update(bytes.fromhex(sha256_of(file)))
    return digest.hexdigest()


def read_text(path: Path, *, expected: str, max_bytes: int) -> str:
    """The file as text, UTF-8 or UTF-16, without a byte-order mark.

    Args:
        path: the file.
        expected: what it should be, for the error: "a question set as .csv".
        max_bytes: a larger file is not what is expected, whatever it is.

    Raises:
        InputError: there is none (the message names one with nearly the same name), it is too
            large, or not UTF-8 (the message names the line).
    """
    return decoded(path, read_bytes(path, expected=expected, max_bytes=max_bytes))


def read_bytes(path: Path, *, expected: str, max_bytes: int) -> bytes:
    """The file's bytes; arguments as for ``read_text``.

    Raises:
        InputError: there is none, it cannot be read or is too large.
    """
    try:
        if (n_bytes := path.stat().st_size) > max_bytes:
            raise InputError(
                f"{path} has {n_bytes:,} bytes, expected {expected}, at most {max_bytes:,}"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"no file {path}{near_path(path)}; expected {expected}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None


def near_path(path: Path) -> str:
    """What to say after the name of a file or folder that is not there: the one probably meant."""
    try:
        names = sorted(each.name for each in path.parent.iterdir())
    except OSError:
        return ""
    folded = {name.casefold(): name for name in reversed(names)}
    close = difflib.get_close_matches(path.name.casefold(), folded, n=1, cutoff=0.7)
    # A name without its ending is as common a slip as a wrong letter.
    same = [name for name in names if Path(name).stem.casefold() == path.stem.casefold()]
    meant = folded[close[0]] if close else same[0] if same else None
    return "" if meant is None else f"; did you mean {path.parent / meant}?"


def decoded(path: Path, raw: bytes) -> str:
    """The bytes of ``path`` as text: UTF-8, or UTF-16 as some spreadsheets save it.

    UTF-16 is told by its mark, or, without one, by the zero bytes that Latin letters, separators
    and line ends leave in it. Older encodings are not guessed: the wrong one of them reads as
    well, with other letters.

    Raises:
        InputError: it is neither; the message names the line and how to save the file.
    """
    encoding = encoding_of(raw)
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise InputError(
                f"{path}: neither UTF-8 nor UTF-16; save the file as UTF-8 (in a spreadsheet: "
                '"CSV UTF-8")'
            ) from None
        # utf-8-sig counts from behind the mark.
        start = error.start + (3 if raw.startswith(codecs.BOM_UTF8) else 0)
        ends = raw[:start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        raise InputError(
            f"{path}, line {ends.count(10) + 1}: byte 0x{raw[start]:02x} is not UTF-8; save the "
            'file as UTF-8 (in a spreadsheet: "CSV UTF-8")'
        ) from None


def encoding_of(raw: bytes) -> str:
    """The encoding of a text that begins like this: UTF-8, -16 or -32 (``decoded`` says how)."""
    if raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if (sample := raw[:2000]).count(0) > len(sample) // 5:
        return "utf-16-le" if sample[1::2].count(0) > sample[::2].count(0) else "utf-16-be"
    return "utf-8-sig"


def check_writable(path: Path) -> None:
    """Raises ``InputError`` where ``path`` cannot be written: asked before the work, not after.

    Raises:
        InputError: its folder does not exist and cannot be made in the one above, or may not be
            written to, it is a folder itself, or a device or pipe that may not be written to.
    """
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; expected a file name")
    if _is_special(path):
        if not os.access(path, os.W_OK):
            raise InputError(f"cannot write {path}: you may not write to it")
        return
    folder = _target(path).parent
    if can_be_made(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK):
        raise InputError(f"cannot write {path}: you may not write to the folder {folder}")


def check_new(path: Path, *, overwrite: bool) -> None:
    """``check_writable`` of a file that is not to be there, unless it may be overwritten.

    Raises:
        InputError: it is there, or cannot be written.
    """
    check_writable(path)
    if path.exists() and not overwrite:
        raise InputError(f"{path} already exists; name another file, or use --overwrite")


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


def check_replaceable(
    folder: Path,
    *,
    files: Sequence[str],
    what: str,
    overwrite: bool,
    inputs: Mapping[str, Path],
) -> None:
    """Raises ``InputError`` where a folder cannot be written: asked before the work.

    A folder that is there is replaced where it is empty, or holds the first of ``files`` and
    nothing but these: nobody's own files go with it. What a system left there is no matter.

    Args:
        folder: to be written, by ``replaced_folder``.
        files: names of files that are written, in it or in its folders.
        what: it is then, in words: "an exported reward model".
        overwrite: whether one that is there may be replaced.
        inputs: what is read, in words, to its file or folder.

    Raises:
        InputError: the folder above is missing; it is, holds or lies in an input; or something is
            there that is nothing of the kind or may not be overwritten.
    """
    real = Path(os.path.realpath(folder))
    for name, path in inputs.items():
        read = Path(os.path.realpath(path))
        if read in (real, *real.parents) or real in read.parents:
            raise InputError(
                f"cannot write {folder}: it is, holds or lies in {path}, the {name} that is read; "
                "expected a folder apart from it"
            )
    if not real.parent.is_dir() and not can_be_made(real.parent):
        missing = real.parent if folder.is_symlink() else folder.parent
        raise InputError(f"cannot write {folder}: there is no folder {missing}; make it first")
    if not real.exists():
        return
    is_used = not real.is_dir() or not all(map(_is_left_by_a_system, real.iterdir()))
    if is_used and not (real / files[0]).is_file():
        raise InputError(
            f"cannot write {folder}: it is there and is not {what}; move it elsewhere, or give a "
            "new name"
        )
    for path in real.rglob("*"):
        is_ours = path.name in files or _is_left_by_a_system(path)
        if not is_ours and (path.is_symlink() or not path.is_dir()):
            raise InputError(
                f"cannot write {folder}: it holds {path.relative_to(real)}, which is not part of "
                f"{what}; move that file elsewhere, or give a new name"
            )
    if not overwrite:
        raise InputError(f"{folder} already exists; give --overwrite, or another name")


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A path to make a folder at, which takes the place of ``folder`` at the end.

    Whatever goes wrong before, what was in ``folder`` is unchanged. ``check_replaceable`` says
    whether it may be replaced.

    Raises:
        InputError: it cannot be written (the folder, the disk).
    """
    target = Path(os.path.realpath(folder))
    try:
        make_folder(target.parent)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as staging:
            new, old = Path(staging) / target.name, Path(staging) / "replaced"
            yield new
            if target.exists():
                target.replace(old)
            try:
                new.replace(target)
            except OSError:
                if old.exists():
                    old.replace(target)
                raise
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error


def write_whole(path: Path, text: str, *, private: bool = False) -> None:
    """Writes ``text`` to ``path`` in one step: a reader sees the old file or the new one.

    The folder is made where it is missing and the one above is there. A symlink stays and the file
    that it leads to is replaced. A device or a pipe (/dev/null, a shell's process substitution) is
    written to as it is. A ``private`` file is its owner's alone.

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
        make_folder(target.parent)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}-", delete=False
        ) as file:
            temporary = file.name
            file.write(text)
        if not private:
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


def make_folder(folder: Path) -> None:
    """Makes ``folder`` where it is missing and the one above is there, and nothing else.

    One level only: a longer path that is not there is more likely mistyped than meant.
    """
    if can_be_made(folder):
        folder.mkdir(exist_ok=True)


def can_be_made(folder: Path) -> bool:
    """Whether ``folder`` is missing and the one above it is there: ``make_folder`` makes it."""
    return not os.path.lexists(folder) and folder.parent.is_dir()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder, made where it is not there, and held by this process alone.

    Raises:
        InputError: another process is at work in it, or it cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"another run is at work in {folder}; wait for it, stop it, or name another folder"
        ) from None
    except OSError as error:
        raise InputError(f"cannot use {folder}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
        _remove_empty(folder)


def is_begun(folder: Path, mark: str, *, what: str, option: str) -> bool:
    """Whether a run has begun in a folder that is held (``locked``); not where it is empty, or
    holds only what a system left there.

    Args:
        folder: the run's.
        mark: the file that stands in it from the beginning.
        what: whose folder it then is, in words: "a batch's".
        option: how the folder was named, for errors.

    Raises:
        InputError: something else is in it.
    """
    inside = (path for path in folder.iterdir() if not _is_left_by_a_system(path))
    there = [path.name for path in inside if path.name != ".lock"]
    if there and not (folder / mark).is_file():
        raise InputError(
            f"{folder} holds {there[0]} and is not {what}; expected a new or empty folder as "
            f"{option}"
        )
    return bool(there)


def _remove_empty(folder: Path) -> None:
    """Removes a folder that holds its lock alone."""
    with suppress(OSError):  # it is in use, or not ours to remove
        if [path.name for path in folder.iterdir()] == [".lock"]:
            (folder / ".lock").unlink()
            folder.rmdir()


def _is_special(path: Path) -> bool:
    """Whether there is something at the end of the path that cannot be replaced by a file."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _target(path: Path) -> Path:
    """The path itself, or for a symlink the place that it leads to."""
    # Not resolve(): it raises where links go round in a circle.
    return Path(os.path.realpath(path)) if path.is_symlink() else path
