"""Packages with entry points of ours, as an installer leaves them: a module and a dist-info."""

from __future__ import annotations

from pathlib import Path


def install(
    folder: Path,
    package: str,
    code: str,
    entry_points: str,
    *,
    version: str = "1.2",
) -> None:
    """Puts the module and its metadata into ``folder``, which is to be on ``sys.path``."""
    module = package.replace("-", "_")
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")
