"""The database of a study: an SQLite file, or PostgreSQL by URL; one transaction a move."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from commonweal.errors import InputError
from commonweal.study.config import STORED, StudyConfig
from commonweal.study.storage import gaps, schema
from commonweal.study.storage.clock import Clock, SystemClock
from commonweal.study.storage.database import BUSY_MILLISECONDS, engine_of, reason_of
from commonweal.study.storage.tables import EventRow, ParticipantRow, StudyRow
from commonweal.study.storage.transaction import Transaction

_LOCK = select(StudyRow).where(StudyRow.id == bindparam("study")).with_for_update()


MODEL_CHANGED = "model changed"
"""The audit's word where a researcher or facilitator lets another model write."""


class Store:
    """A database with its clock.

    Args:
        url: an SQLAlchemy URL: "sqlite:///FILE" or "postgresql+psycopg://...".
        clock: what the time is.

    Raises:
        InputError: the URL cannot be used, or the database is of another version.
    """

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        self.engine = engine_of(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self.clock: Clock = clock or SystemClock()
        self.on_change: Callable[[Transaction], None] = lambda _tx: None
        # Threads of this process queue here, in front of the database's own lock: SQLite's waiting
        # polls, and on PostgreSQL each that waits would hold a connection.
        self._writer = threading.Lock()
        self._read_engine = (
            self.engine
            if self.is_sqlite  # one snapshot a transaction, as it is
            else self.engine.execution_options(isolation_level="REPEATABLE READ")
        )
        self._write_engine = self.engine.execution_options(commonweal_write=True)
        self._configs: dict[str, StudyConfig] = {}
        # A server that was killed may have left some.
        self.has_traces = self.is_sqlite
        try:
            self._prepare()
            self.empty_wal()
        except BaseException as error:
            self.engine.dispose()  # a connection that stays would keep `study migrate` out
            if not isinstance(error, SQLAlchemyError):
                raise
            raise InputError(f"cannot open the database: {reason_of(error)}") from None

    def _prepare(self) -> None:
        with self._writer, self._write_engine.begin() as connection:
            schema.prepare(connection)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that changes nothing."""
        with Session(self._read_engine) as db:
            yield db

    @contextmanager
    def transaction(self, study_id: int) -> Iterator[Transaction]:
        """A transaction that holds the study: committed at the end, undone on an error."""
        with self._writer, Session(self._write_engine, expire_on_commit=False) as db:
            study = db.scalars(_LOCK, {"study": study_id}).one()
            now = gaps.steady(self.clock.now(), study.beat_at)
            tx = Transaction(db, study, self.config_of(study), now)
            gaps.bridge(tx)
            yield tx
            db.commit()
        if tx.has_deleted:
            self.has_traces = True
            self.empty_wal()
        if tx.is_touched:
            self.on_change(tx)

    @contextmanager
    def beside(self, study_id: int) -> Iterator[Transaction]:
        """A transaction that does not hold the study: nobody's move waits for it. What it changes
        it locks row by row.
        """
        with self._writer, Session(self._write_engine, expire_on_commit=False) as db:
            study = db.get_one(StudyRow, study_id)
            now = gaps.steady(self.clock.now(), study.beat_at)
            yield Transaction(db, study, self.config_of(study), now)
            db.commit()

    def empty_wal(self) -> None:
        """Empties SQLite's write-ahead file, which holds what was deleted until it is written over.

        Where another process reads it cannot be emptied: ``has_traces`` then stays true, and the
        sweep tries again until it can.
        """
        self.has_traces = self.is_sqlite and not self._checkpoint("TRUNCATE", wait_milliseconds=200)

    def checkpoint(self) -> None:
        """Brings SQLite's main file up to date, as far as readers let it, and waits for nobody.

        Without that everything since the start may stand in the write-ahead file alone.
        """
        if self.is_sqlite:
            self._checkpoint("PASSIVE", wait_milliseconds=0)

    def _checkpoint(self, mode: str, *, wait_milliseconds: int) -> bool:
        """Whether nobody was in the way."""
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout={wait_milliseconds}")
            try:
                return bool(cursor.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0] == 0)
            except sqlite3.OperationalError:  # busy, or a full disk
                return False
            finally:
                cursor.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
        finally:
            connection.close()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction outside any study: studies and researchers."""
        with self._writer, Session(self._write_engine, expire_on_commit=False) as db:
            yield db
            db.commit()

    def config_of(self, study: StudyRow) -> StudyConfig:
        """What the study is, as it was when it was opened."""
        if study.config_sha256 not in self._configs:
            self._configs[study.config_sha256] = StudyConfig.model_validate(
                json.loads(study.config), context=STORED
            )
        return self._configs[study.config_sha256]

    def open_study(
        self, config: StudyConfig, *, kind: str = "study", facilitator_hash: str | None = None
    ) -> int:
        """The id of the study of this name, made where there is none.

        Raises:
            InputError: there is one of another content: what people consented to must not change.
        """
        with self.write() as db:
            schema.lock(db.connection())  # servers and workers may start at once
            study = db.scalars(select(StudyRow).where(StudyRow.name == config.name)).one_or_none()
            # As it was read, with the folders of its arms found.
            self._configs[config.sha256] = config
            if study is None:
                study = StudyRow(
                    name=config.name,
                    kind=kind,
                    config=config.to_json(),
                    config_sha256=config.sha256,
                    created_at=self.clock.now(),
                    facilitator_hash=facilitator_hash,
                )
                db.add(study)
                db.flush()
            elif study.config_sha256 != config.sha256:
                n_people = db.scalar(
                    select(ParticipantRow.id).where(ParticipantRow.study_id == study.id).limit(1)
                )
                if n_people is not None and _is_as_opened(db, study, config):
                    return study.id  # another model writes since, which a researcher took
                if n_people is not None:
                    raise InputError(
                        f"the study {config.name!r} was changed after people joined it; expected "
                        "the file as it was: give the changed study another name"
                    )
                study.config, study.config_sha256 = config.to_json(), config.sha256
            return study.id

    def close(self) -> None:
        """Closes the connections; of SQLite one file is left, which holds everything."""
        with suppress(SQLAlchemyError):  # a full disk, or a folder that is gone
            self.empty_wal()
        self.engine.dispose()


def _is_as_opened(db: Session, study: StudyRow, config: StudyConfig) -> bool:
    """Whether it is this study but for models that were taken since. Taking one writes the paths in
    the file as what they lead to.
    """
    rooted = StudyConfig.model_validate(config.model_dump())
    return _as_opened(db, study) in (json.loads(config.to_json()), json.loads(rooted.to_json()))


def _as_opened(db: Session, study: StudyRow) -> dict[str, Any]:
    """The study as its file said, before researchers took other models for its arms."""
    config: dict[str, Any] = json.loads(study.config)
    for change in model_changes(db, study):
        for arm in config["arms"]:
            if arm["name"] == change.get("arm"):
                arm["model"] = change["before"]
    return config


def model_changes(db: Session, study: StudyRow) -> list[dict[str, Any]]:
    """What is logged of each model that was taken for an arm, the last first."""
    changes = db.scalars(
        select(EventRow)
        .where(EventRow.study_id == study.id, EventRow.kind == MODEL_CHANGED)
        .order_by(EventRow.id.desc())
    )
    return [change.details for change in changes]
