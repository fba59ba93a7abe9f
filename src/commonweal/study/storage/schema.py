"""Which version a database's tables have: noted where alembic notes it (decision 044).

A new database gets the tables as they are now, without any step. So alembic is loaded only where a
database has another version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    inspect,
    select,
    text,
)

from commonweal.errors import InputError
from commonweal.extras import needs
from commonweal.study.storage.tables import Base

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0001"
"""The last step in ``migrations/versions``: the version that ``tables`` describes."""
CHANGING = "a study's database of another version"
"""What cannot be done without alembic."""
_NEVER_RELEASED = ("schema_info", "sittings")
"""Tables that only databases from before the first release have."""
_LOCK = 0x636F6D6D6F6E
_noted = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def prepare(connection: Connection) -> None:
    """Makes the tables in an empty database.

    Raises:
        InputError: the database has another version than this program.
    """
    lock(connection)
    found = version_of(connection)
    if found is None:
        Base.metadata.create_all(connection)
        _noted.create(connection, checkfirst=True)
        connection.execute(_noted.insert().values(version_num=HEAD))
    else:
        check_head(found)


def lock(connection: Connection) -> None:
    """Waits for whoever makes or changes the tables now. SQLite's transactions do so anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def version_of(connection: Connection) -> str | None:
    """The version of the tables; None where there are none.

    Raises:
        InputError: they are from before the first release.
    """
    there = inspect(connection)
    if any(there.has_table(name) for name in _NEVER_RELEASED):
        raise InputError(
            "the study's tables are from before the first release: export the study with the "
            "commit of commonweal that made them"
        )
    if not there.has_table(_noted.name):
        return None
    return connection.execute(select(_noted.c.version_num)).scalar_one_or_none()


def check_head(version: str) -> None:
    """Raises where the tables have another version than this program's.

    Raises:
        InputError: they have.
    """
    if check_known(version) != HEAD:
        raise InputError(
            f"the database has version {version} of the study's tables, expected {HEAD}; next: "
            "stop what serves it, then: commonweal study migrate NAME"
        )


def check_known(version: str) -> str:
    """The version, where this program has a step to it.

    Raises:
        InputError: it has none: a newer program made the tables.
    """
    if version == HEAD:
        return version
    with needs("study", CHANGING):
        from alembic.script import ScriptDirectory

    steps = ScriptDirectory.from_config(config()).walk_revisions()
    if version not in {step.revision for step in steps}:
        raise InputError(
            f"the database has version {version} of the study's tables, and this program knows "
            f"them up to {HEAD}: use the version of commonweal that made them, or a newer one"
        )
    return version


def config() -> Config:
    """Where alembic finds the steps."""
    with needs("study", CHANGING):
        from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", "commonweal.study.storage:migrations")
    return made
