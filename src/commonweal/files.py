"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from commonweal.errors import InputError


def check_writable(path: Path) -> None:
    """Raises ``InputError`` where ``path`` cannot be written: asked before the work, not after.

    Raises:
        InputError: its folder does not exist or may not be written to, or it is a folder itself.
    """
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; expected a file name")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"cannot write {path}: you may not write to the folder {path.parent}")


def write_whole(path: Path, text: str) -> None:
    """Writes ``text`` to ``path`` in one step: a reader sees the old file or the new one.

    Raises:
        InputError: it cannot be written (the folder, the disk); what was there is unchanged.
    """
    check_writable(path)
    temporary = ""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}-", delete=False
        ) as file:
            temporary = file.name
            file.write(text)
        # mkstemp keeps files to their owner; a report is as readable as any other new file.
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
    except BaseException as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(f"cannot write {path}: {error.strerror or error}") from error
        raise
