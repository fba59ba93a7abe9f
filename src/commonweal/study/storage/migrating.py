"""Brings an older database up to the tables of this program: after a copy, all or nothing."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import SQLAlchemyError

from commonweal.errors import CommonwealError, InputError
from commonweal.extras import needs
from commonweal.study.storage import schema
from commonweal.study.storage.database import NAME, engine_of, file_of, reason_of
from commonweal.study.storage.folder import copy_of, copy_whole
from commonweal.study.storage.gaps import GAP_SECONDS


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was done.

    Attributes:
        before, after: the version of the tables.
        copy: the SQLite file from before, where there was anything to do.
    """

    before: str
    after: str
    copy: Path | None = None


def migrate(url: str, *, has_dump: bool = False) -> Migrated:
    """Runs the steps from the database's version to this program's, in one transaction.

    Args:
        url: as of a ``Store``.
        has_dump: whether somebody says that there is a dump of a PostgreSQL database.

    Raises:
        InputError: it is no study's database, of a newer program, or in use; there is no dump; the
            copy cannot be made; or a step failed, and the database is as it was.
    """
    path = file_of(url)
    if path is not None and not path.is_file():
        raise InputError(f"there is no database {path}; expected a study that was served")
    engine = engine_of(url)
    try:
        with engine.connect() as connection:
            return _migrate(connection, path, has_dump)
    except CommonwealError:
        raise
    except SQLAlchemyError as error:
        raise InputError(
            f"cannot change the database: {reason_of(error)}; it is as it was"
        ) from None
    except Exception as error:
        # Its kind alone: its message may hold what somebody wrote.
        raise InputError(
            f"cannot change the database: a step failed ({type(error).__name__}); it is as it was"
        ) from error
    finally:
        engine.dispose()


def _migrate(connection: Connection, path: Path | None, has_dump: bool) -> Migrated:
    before = schema.version_of(connection)
    if before is None:
        raise InputError("the database holds no study; expected one that was served")
    if schema.check_known(before) == schema.HEAD:
        return Migrated(before, before)
    if path is None and not has_dump:
        raise InputError(
            f"the database goes from version {before} of the tables to {schema.HEAD}, and "
            "nothing leads back but a dump; next: pg_dump, then the same with --dumped"
        )
    _check_not_served(connection)
    connection.rollback()
    if path is None:
        with connection.begin():
            schema.lock(connection)
            _check_unused(connection)
            _run(connection)
        return Migrated(before, schema.HEAD)
    with closing(connection.connection.cursor()) as cursor:
        _have_alone(cursor)
        # A step may make a table anew, and dropping the old one would delete what refers to it.
        # SQLite takes this outside a transaction only.
        cursor.execute("PRAGMA foreign_keys=OFF")
    copy = _copied(connection, path)
    try:
        with connection.execution_options(commonweal_write=True).begin():
            _run(connection)
    except BaseException:
        copy.unlink(missing_ok=True)  # of a database that is as it was; it would bar the next try
        raise
    return Migrated(before, schema.HEAD, copy)


def _run(connection: Connection) -> None:
    with needs("study", schema.CHANGING):
        from alembic import command

    config = schema.config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        lost = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if lost:
            raise InputError(f"a step would lose what {lost[0][0]} refers to; nothing was changed")


def _check_not_served(connection: Connection) -> None:
    beat = connection.execute(text("SELECT max(beat_at) FROM studies")).scalar_one()
    if beat is not None and abs(time.time() - beat) < GAP_SECONDS:
        raise InputError(
            f"the study is being served, or was {GAP_SECONDS:.0f} seconds ago; stop its servers "
            "and workers, wait as long, and try again"
        )


def _have_alone(cursor: DBAPICursor) -> None:
    """Has nobody else reach an SQLite database until this connection is closed.

    Only who has it alone can leave the write-ahead log. A worker that waits for jobs leaves no
    trace in the tables, but has the database open.
    """
    cursor.execute("PRAGMA locking_mode=EXCLUSIVE")
    try:
        cursor.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        raise InputError(
            f"the database is in use ({error}); stop the study's servers and workers, and whatever "
            "else has it open, and try again"
        ) from None


def _check_unused(connection: Connection) -> None:
    """Refuses where a server or a worker is connected. Who connects later waits for the lock, and
    then finds the new version.
    """
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = :name AND pid <> pg_backend_pid()"
    )
    if n_others := connection.execute(others, {"name": NAME}).scalar_one():
        raise InputError(
            f"the database is in use (connections of servers and workers: {n_others}); stop them, "
            "and try again"
        )


def _copied(connection: Connection, path: Path) -> Path:
    # Before the transaction: SQLite copies nothing that is being written. Nobody else can write.
    copy = copy_of(path, schema.HEAD)
    if copy.exists():
        raise InputError(
            f"{copy} already exists: the copy of an earlier try that was cut off, or your own; "
            "the database is as it was; next: move the copy away and try again"
        )
    source: Any = connection.connection.driver_connection
    try:
        copy_whole(source, copy)
    except sqlite3.Error as error:
        raise InputError(f"cannot copy the database to {copy}: {error}; it is as it was") from None
    return copy
