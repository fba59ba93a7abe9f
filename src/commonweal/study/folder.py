"""Where a study lies: a folder with its file and, unless another one is named, its database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from commonweal.errors import InputError
from commonweal.files import write_whole
from commonweal.study.config import StudyConfig, read_study
from commonweal.study.store import Clock, Store

FILE, DATABASE = "study.toml", "study.db"


@dataclass(frozen=True, slots=True)
class Opened:
    """A study with its database."""

    config: StudyConfig
    store: Store
    study_id: int


def new_study(folder: Path) -> Path:
    """The path of a starter file for a study, in a new folder.

    Raises:
        InputError: the name cannot be one, or the folder is there already.
    """
    name = folder.name
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", name):
        raise InputError(
            f"the name is {name!r}; expected small letters, digits, - and _, 40 at most"
        )
    if folder.exists():
        raise InputError(f"{folder} is there already; expected a new name")
    if not folder.parent.is_dir():
        raise InputError(f"there is no folder {folder.parent}; make it first")
    folder.mkdir()
    starter = (resources.files("commonweal.study") / "starter.toml").read_text(encoding="utf-8")
    write_whole(folder / FILE, starter.replace("{name}", name))
    return folder / FILE


def open_folder(folder: Path, database: str = "", *, clock: Clock | None = None) -> Opened:
    """The study in this folder, with the database that was named or its own.

    Raises:
        InputError: there is no study there, or its database cannot be used.
    """
    config = read_study(folder / FILE)
    store = Store(database or f"sqlite:///{folder / DATABASE}", clock=clock)
    return Opened(config, store, store.open_study(config))
