"""When a database is not migrated: somebody has it open, it is not there, a copy cannot be made."""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from study_making import ScriptedWriter, small_study
from test_migrations import NEXT, next_version

import forking
from commonweal.errors import InputError, MissingExtraError
from commonweal.study.storage import migrating
from commonweal.study.storage.migrating import migrate
from commonweal.study.storage.store import Store
from commonweal.study.writing.working import work


def test_a_study_that_is_served_is_left_alone(database_url, tmp_path, monkeypatch):
    store = Store(database_url)
    study_id = store.open_study(small_study())
    with store.transaction(study_id) as tx:
        tx.study.beat_at = time.time()
    store.close()
    next_version(tmp_path, monkeypatch, NEXT)
    with pytest.raises(InputError, match="is being served"):
        migrate(database_url, has_dump=True)
    assert not list(tmp_path.glob("*.before-*"))


def wait_for_jobs(url, is_ready):
    """What a worker's process does that has nothing to write."""
    store = Store(url)
    work(store, store.open_study(small_study()), ScriptedWriter(), on_ready=is_ready.set)


def test_a_worker_that_waits_for_jobs_is_noticed(database_url, tmp_path, monkeypatch):
    Store(database_url).close()
    is_ready = forking.processes.Event()
    worker = forking.processes.Process(
        target=wait_for_jobs, args=(database_url, is_ready), daemon=True
    )
    worker.start()
    try:
        assert is_ready.wait(60)
        with monkeypatch.context() as newer:
            next_version(tmp_path, newer, NEXT)
            with pytest.raises(InputError, match=r"the database is in use.*workers"):
                migrate(database_url, has_dump=True)
        assert not list(tmp_path.glob("*.before-*"))
        Store(database_url).close()  # the same version as before
    finally:
        worker.terminate()
        worker.join(30)
    assert worker.exitcode == 0
    next_version(tmp_path, monkeypatch, NEXT)
    assert migrate(database_url, has_dump=True).after == "0002"


def test_nobody_writes_while_the_copy_is_made(tmp_path, monkeypatch):
    path = tmp_path / "study.db"
    Store(f"sqlite:///{path}").close()
    made, refused = migrating.copy_whole, []

    def copy_while_others_write(source, target):
        made(source, target)
        with (
            closing(sqlite3.connect(path, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked") as error,
        ):
            other.execute("UPDATE alembic_version SET version_num = '0001'")
        refused.append(error)

    monkeypatch.setattr(migrating, "copy_whole", copy_while_others_write)
    next_version(tmp_path, monkeypatch, NEXT)
    assert migrate(f"sqlite:///{path}").copy.is_file()
    assert len(refused) == 1


def test_a_copy_that_is_there_already_is_named(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/study.db"
    Store(url).close()
    copy = tmp_path / "study.db.before-0002"
    copy.write_bytes(b"mine")
    next_version(tmp_path, monkeypatch, NEXT)
    with pytest.raises(InputError, match=r"study\.db\.before-0002 already exists.*move the copy"):
        migrate(url)
    assert copy.read_bytes() == b"mine"
    copy.unlink()
    assert migrate(url).copy == copy


def test_a_copy_that_cannot_be_completed_is_not_left(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/study.db"
    Store(url).close()
    next_version(tmp_path, monkeypatch, NEXT)
    opened = sqlite3.connect

    def full(name, **options):
        connection = opened(name, **options)
        if Path(name).name.endswith("before-0002"):
            connection.execute("PRAGMA max_page_count=1")
        return connection

    with monkeypatch.context() as disk:
        disk.setattr(sqlite3, "connect", full)
        with pytest.raises(InputError, match=r"cannot copy.*before-0002.*is full"):
            migrate(url)
    assert not list(tmp_path.glob("*.before-*"))
    assert migrate(url).after == "0002"


@pytest.mark.parametrize("number", ["0000", "9999"])
def test_what_needs_alembic_says_how_to_get_it(tmp_path, monkeypatch, number):
    url = f"sqlite:///{tmp_path}/study.db"
    store = Store(url)
    with store.write() as db:
        db.execute(text(f"UPDATE alembic_version SET version_num = '{number}'"))
    store.close()
    for name in [each for each in sys.modules if each.partition(".")[0] == "alembic"]:
        monkeypatch.setitem(sys.modules, name, None)
    for use in (Store, migrate):
        with pytest.raises(MissingExtraError, match=r'alembic\S* is not installed.*"commonweal\['):
            use(url)


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(InputError, match=r"there is no database .*missing\.db"):
        migrate(f"sqlite:///{tmp_path}/missing.db")
    Store(f"sqlite:///{tmp_path}/study.db").close()
    for url in (f"sqlite:///file:{tmp_path}/study.db?uri=true", "sqlite://", "sqlite:///:memory:"):
        with pytest.raises(InputError, match=r"expected a file by its path: sqlite:///FILE"):
            migrate(url)
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
