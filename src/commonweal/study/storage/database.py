"""How a database is reached: an SQLite file with the settings that a study needs, or PostgreSQL."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from commonweal.errors import InputError

BUSY_MILLISECONDS = 15_000
"""How long SQLite waits for another process that writes."""
NAME = "commonweal"
"""What PostgreSQL knows our connections by."""


def engine_of(url: str) -> Engine:
    """What connects to the database. A transaction with the option ``commonweal_write`` writes.

    Args:
        url: an SQLAlchemy URL: "sqlite:///FILE" or "postgresql+psycopg://...".

    Raises:
        InputError: the URL cannot be used.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "postgresql":
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            connect_args={"application_name": NAME},
            pool_size=10,
            max_overflow=30,
            pool_pre_ping=True,
            hide_parameters=True,
        )
    if (file := _file(parsed)) is not None:
        # A new one is its owner's alone; SQLite gives its other files that mode.
        with suppress(OSError):  # it is there; or it cannot be, and SQLite says why
            file.touch(mode=0o600, exist_ok=False)
    engine = create_engine(parsed, connect_args={"check_same_thread": False}, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def file_of(url: str) -> Path | None:
    """The file of an SQLite database; None for PostgreSQL. Nothing is made or opened.

    Raises:
        InputError: the URL cannot be used, or names no file as a path.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    if (file := _file(parsed)) is None:
        raise InputError(
            f"the database is {parsed.database or ':memory:'}; expected a file by its path: "
            "sqlite:///FILE"
        )
    return file


def _file(parsed: URL) -> Path | None:
    """An SQLite database's file; None where it is in memory or named by a URI of SQLite's."""
    name = parsed.database
    return None if not name or name == ":memory:" or name.startswith("file:") else Path(name)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InputError(
            "cannot read the database URL; expected sqlite:///FILE or "
            "postgresql+psycopg://USER@HOST/NAME"
        ) from None
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise InputError(f"the database is {kind}; expected sqlite or postgresql")
    return parsed


def reason_of(error: SQLAlchemyError) -> str:
    """What the database said, in one line, without what was sent to it."""
    return str(getattr(error, "orig", error)).splitlines()[0]


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by ``_begin_sqlite``
    connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    _keep_a_log_ahead(connection)
    for pragma in (
        "synchronous=FULL",  # what was acknowledged survives a power cut
        "foreign_keys=ON",
        "secure_delete=ON",  # what is deleted is written over
    ):
        connection.execute(f"PRAGMA {pragma}")


def _keep_a_log_ahead(connection: Any) -> None:
    """Sets the write-ahead log. Of several that open a new file together SQLite refuses some at
    once, however long they would wait.
    """
    until = time.monotonic() + BUSY_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("commonweal_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
