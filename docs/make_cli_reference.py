"""Writes docs/cli.md from the ``--help`` of every command: ``make docs``.

The same text comes out on any terminal: width, colour and encoding are fixed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from commonweal.cli.app import app

TARGET = Path(__file__).with_name("cli.md")
HEADER = """\
# Command-line reference

Made by `make docs` from `--help`; do not edit. What it all means: [guide.md](guide.md).
"""
FIXED = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}
# Each of these would change the width or bring colour back.
UNWANTED = ("TERMINAL_WIDTH", "FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "LINES")


def reference() -> str:
    """The whole reference as markdown."""
    sections = [HEADER]
    for path in commands(get_command(app), ("commonweal",)):
        name = " ".join(path)
        sections.append(f"## {name}\n\n```text\n{help_text(path[1:])}\n```\n")
    return "\n".join(sections)


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The path of every command, parents first: ("commonweal", "models", "pull")."""
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


def help_text(arguments: tuple[str, ...]) -> str:
    """What ``commonweal ARGUMENTS --help`` prints, without blanks at line ends."""
    environment = {k: v for k, v in os.environ.items() if k not in UNWANTED} | FIXED
    code = "import sys; sys.argv[0] = 'commonweal'; from commonweal.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--help"],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines()).strip("\n")


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
