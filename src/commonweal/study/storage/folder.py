"""Where a study lies: a folder with its file and, unless another one is named, its database."""

from __future__ import annotations

import glob
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from sqlalchemy import create_engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from commonweal.datasets.schema import MANIFEST
from commonweal.errors import InputError
from commonweal.files import write_whole
from commonweal.study.config import StudyConfig, read_study
from commonweal.study.storage import schema
from commonweal.study.storage.clock import Clock
from commonweal.study.storage.database import file_of
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import StudyRow

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
        raise InputError(f"{folder} already exists; expected a new name")
    if not folder.parent.is_dir():
        raise InputError(f"there is no folder {folder.parent}; make it first")
    folder.mkdir()
    starter = (resources.files("commonweal.study.storage") / "starter.toml").read_text(
        encoding="utf-8"
    )
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


def open_served(folder: Path, database: str = "") -> Opened:
    """The study in this folder whose people are in its database, which has been there before.

    Raises:
        InputError: as ``open_folder``, or the study was never served.
    """
    if (folder / MANIFEST).is_file():
        raise InputError(
            f"{folder} is a dataset: it is exported already; next: commonweal evaluate {folder}"
        )
    config = read_study(folder / FILE)
    url = database or f"sqlite:///{folder / DATABASE}"
    file = file_of(url)
    if file is not None and not file.is_file():  # opening would make it
        raise _never_served(folder, f"there is no {file}")
    store = Store(url)
    with store.read() as db:
        names = db.scalars(select(StudyRow.name)).all()
    if config.name not in names:
        raise _never_served(folder, f"its database holds {', '.join(names) or 'no study'}")
    return Opened(config, store, store.open_study(config))


def _never_served(folder: Path, why: str) -> InputError:
    return InputError(
        f"the study {folder} has never been served ({why}), so there is nothing to export; "
        f"expected: commonweal study serve {folder}, and people who take part; to rehearse it: "
        f"commonweal study simulate {folder} --out FOLDER, which writes its records itself"
    )


def open_kept(path: Path) -> Opened:
    """The one study in a database file, such as a quick session kept: no study file is needed.

    Raises:
        InputError: it is no such database, or it holds another number of studies.
    """
    expected = "expected a file that `commonweal study quick --keep` or `study backup` made"
    try:
        # A store would make its tables in whatever database it is given, and write into one that
        # it then refuses.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as raw:
            (n_studies,) = raw.execute("SELECT count(*) FROM studies").fetchone()
            _check_version(raw)
    except (sqlite3.Error, SQLAlchemyError):
        alone = not path.with_name(f"{path.name}-wal").exists()
        copied = (
            f"; where it is a copy of a database in use, {path.name}-wal belongs to it: copy both, "
            "or use `commonweal study backup`"
        )
        raise InputError(
            f"{path} is not a study's database; {expected}{copied if alone else ''}"
        ) from None
    if n_studies != 1:
        raise InputError(f"{path} holds {n_studies} studies; {expected}")
    store = Store(f"sqlite:///{path}")
    with store.read() as db:
        study = db.scalars(select(StudyRow)).one()
        return Opened(store.config_of(study), store, study.id)


def _check_version(raw: sqlite3.Connection) -> None:
    with create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool).connect() as there:
        if (version := schema.version_of(there)) is not None:
            schema.check_head(version)


def copy_of(path: Path, version: str) -> Path:
    """Where a database is copied to before its tables get this version."""
    return path.with_name(f"{path.name}.before-{version}")


def copies_of(path: Path) -> list[Path]:
    """The copies from before the tables of this database changed."""
    return list(path.parent.glob(f"{glob.escape(path.name)}.before-*"))


def back_up(source: Path, target: Path) -> None:
    """Copies a study's SQLite database, also while it is being served, to one file that is whole.

    Raises:
        InputError: there is none, the target is there already, or it cannot be written.
    """
    if not source.is_file():
        raise InputError(
            f"there is no database {source}; expected a study that was served, or a kept session "
            "(PostgreSQL has pg_dump)"
        )
    try:
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as from_:
            copy_whole(from_, target)
    except sqlite3.Error as error:
        raise InputError(f"cannot copy {source}: {error}; expected a study's database") from None


def copy_whole(source: sqlite3.Connection, target: Path) -> None:
    """Copies the study's database of this connection to a new file, for its owner alone.

    Raises:
        InputError: the target is there already, or it cannot be written.
        sqlite3.Error: it is no such database, or the copy cannot be completed: none is left.
    """
    try:
        target.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise InputError(f"{target} already exists; expected a new file") from None
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}") from None
    try:
        with closing(sqlite3.connect(target)) as to:
            source.execute("SELECT count(*) FROM studies")
            source.backup(to)
            to.execute("PRAGMA journal_mode=DELETE")  # one file, and none beside it
    except BaseException:
        target.unlink(missing_ok=True)
        raise
