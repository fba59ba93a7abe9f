"""Brings an older database up to the tables of this program: after a copy, all or nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from commonweal.errors import InputError
from commonweal.study.storage import schema
from commonweal.study.storage.database import engine_of, reason_of
from commonweal.study.storage.folder import back_up, copy_of
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
        InputError: it is no study's database, of a newer program, or served; there is no dump; the
            copy cannot be made; or a step failed, and the database is as it was.
    """
    engine = engine_of(url)
    is_sqlite = engine.dialect.name == "sqlite"
    try:
        with engine.connect() as connection:
            before = schema.version_of(connection)
            if before is None:
                raise InputError("the database holds no study; expected one that was served")
            if schema.check_known(before) == schema.HEAD:
                return Migrated(before, before)
            _check_rests(connection)
        if not is_sqlite and not has_dump:
            raise InputError(
                f"the database goes from version {before} of the tables to {schema.HEAD}, and "
                "nothing leads back but a dump; next: pg_dump, then the same with --dumped"
            )
        path = Path(engine.url.database or "")
        copy = copy_of(path, schema.HEAD) if is_sqlite else None
        if copy is not None:
            back_up(path, copy)
        with engine.connect() as connection:
            if is_sqlite:
                # A step may make a table anew, and dropping the old one would delete what refers
                # to it. SQLite takes this outside a transaction only.
                connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
            with connection.execution_options(commonweal_write=True).begin():
                _run(connection)
        return Migrated(before, schema.HEAD, copy)
    except SQLAlchemyError as error:
        raise InputError(
            f"cannot change the database: {reason_of(error)}; it is as it was"
        ) from None
    finally:
        engine.dispose()


def _run(connection: Connection) -> None:
    from alembic import command

    schema.lock(connection)
    schema.adopt(connection)
    config = schema.config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        lost = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if lost:
            raise InputError(f"a step would lose what {lost[0][0]} refers to; nothing was changed")


def _check_rests(connection: Connection) -> None:
    beat = connection.execute(text("SELECT max(beat_at) FROM studies")).scalar_one()
    if beat is not None and abs(time.time() - beat) < GAP_SECONDS:
        raise InputError(
            f"the study is being served, or was {GAP_SECONDS:.0f} seconds ago; stop its servers "
            "and workers, wait as long, and try again"
        )
