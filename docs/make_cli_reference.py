"""Writes docs/cli.md from the ``--help`` of every command: ``make docs``.

The same text comes out on any terminal: width, colour and encoding are fixed.
"""

from __future__ import annotations

import json
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
    paths = list(commands(get_command(app), ("commonweal",)))
    sections = [HEADER]
    for path, text in zip(paths, help_texts([path[1:] for path in paths]), strict=True):
        sections.append(f"## {' '.join(path)}\n\n```text\n{text}\n```\n")
    return "\n".join(sections)


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The path of every command, parents first: ("commonweal", "models", "pull")."""
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


# One process for all: what costs time is loading the application.
CHILD = """
import contextlib, io, json, sys
from typer.main import get_command
from commonweal.cli.app import app
command, texts = get_command(app), []
for arguments in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as screen, contextlib.suppress(SystemExit):
        command([*arguments, "--help"], prog_name="commonweal")
    texts.append(screen.getvalue())
json.dump(texts, sys.stdout)
"""


def help_texts(commands: list[tuple[str, ...]]) -> list[str]:
    """What ``commonweal ARGUMENTS --help`` prints for each, without blanks at line ends."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        env={k: v for k, v in os.environ.items() if k not in UNWANTED} | FIXED,
        input=json.dumps(commands),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    return [
        "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
        for text in json.loads(done.stdout)
    ]


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
