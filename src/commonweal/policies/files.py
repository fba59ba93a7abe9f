"""The files that decide what a policy writes."""

from __future__ import annotations

from pathlib import Path

from commonweal.policies.folder import FILE
from commonweal.policies.names import TEMPLATE_ENDING, is_path
from commonweal.policies.templates import examples_file


def policy_files(*names: str) -> tuple[Path, ...]:
    """Of these policies and templates those that are files; a policy's tells its weights' hash.

    A template's worked examples may lie in a file beside it.
    """
    files: list[Path] = []
    for name in filter(is_path, names):
        path = Path(name).expanduser()
        if not name.lower().endswith(TEMPLATE_ENDING):
            files.append(path / FILE)
            continue
        files.append(path)
        if (beside := examples_file(path)) is not None:
            files.append(beside)
    return tuple(files)
