"""A study's database outlives the program that made it: tables change, answers do not."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from make_released import RELEASED, rows_of
from sqlalchemy import inspect, text
from study_making import Place, empty_database
from test_machine import play

from commonweal.datasets.dataset import read_dataset
from commonweal.errors import InputError
from commonweal.study.export.dataset import export_study
from commonweal.study.storage import schema
from commonweal.study.storage.database import engine_of
from commonweal.study.storage.folder import back_up, open_kept
from commonweal.study.storage.migrating import migrate
from commonweal.study.storage.sessions import delete_session
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import Base
from forking import command as commonweal

NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"

def upgrade():
    op.create_table("made_up", sa.Column("id", sa.Integer, primary_key=True))
    op.add_column("opinions", sa.Column("made_up", sa.Text))
    # Made anew on SQLite, where opinions, ratings and events refer to it.
    with op.batch_alter_table("participants") as people:
        people.add_column(sa.Column("made_up", sa.Integer, nullable=False, server_default="7"))
"""
FAILING = (
    NEXT
    + """
    op.execute("INSERT INTO made_up VALUES (1), (1)")
"""
)
LOSING = (
    NEXT
    + """
    op.execute("DELETE FROM groups")
"""
)

BROKEN = (
    NEXT
    + """
    raise RuntimeError("what somebody wrote")
"""
)


def next_version(tmp_path, monkeypatch, step):
    """A program whose tables have one more step than ours."""
    folder = tmp_path / "steps"
    folder.mkdir(exist_ok=True)
    (folder / "r0002_made_up.py").write_text(step)
    ours, made = Path(schema.__file__).parent / "migrations" / "versions", schema.config

    def config():
        both = made()
        both.set_main_option("path_separator", "newline")
        both.set_main_option("version_locations", f"{ours}\n{folder}")
        return both

    monkeypatch.setattr(schema, "config", config)
    monkeypatch.setattr(schema, "HEAD", "0002")


def everything(engine):
    """Each row of each of our tables, by the columns of the first release."""
    with engine.connect() as connection:
        there = inspect(connection).get_table_names()
        return {
            table.name: sorted(
                map(
                    repr,
                    connection.execute(
                        text(f"SELECT {', '.join(table.c.keys())} FROM {table.name}")
                    ),
                )
            )
            for table in Base.metadata.sorted_tables
            if table.name in there
        }


def structure(engine):
    """What the database says of itself: SQLite its statements, PostgreSQL its triggers."""
    asked = {
        "sqlite": "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'",
        "postgresql": "SELECT tgname, pg_get_triggerdef(oid) || "
        "(SELECT prosrc FROM pg_proc WHERE pg_proc.oid = tgfoid) "
        "FROM pg_trigger WHERE NOT tgisinternal",
    }
    with engine.connect() as connection:
        found = connection.execute(text(asked[engine.dialect.name])).all()
    # Constraints come in another order where alembic makes a table.
    parts = {name: " ".join((sql or "").split()).removesuffix(" )") for name, sql in found}
    return {name: sorted(sql.split(", ")) for name, sql in parts.items()}


def exported(store, study_id, folder):
    """The tables of an export, and what it says of itself."""
    export_study(store, study_id, folder)
    dataset = read_dataset(folder)
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}, dataset.about


def test_the_steps_make_the_tables_that_the_code_describes(database_url, tmp_path, request):
    engine = engine_of(database_url)
    with engine.begin() as connection:
        config = schema.config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    with engine.connect() as connection:
        how = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=how)
        assert compare_metadata(context, Base.metadata) == []
    by_steps = structure(engine)
    engine.dispose()
    if engine.dialect.name == "postgresql":
        empty_database(request.getfixturevalue("postgres_server"))
        fresh = Store(database_url)
    else:
        fresh = Store(f"sqlite:///{tmp_path}/fresh.db")
    assert {name for name in by_steps if name.endswith("append_only")} == {
        *("ratings_append_only", "events_append_only", "presentations_append_only")
    }
    assert structure(fresh.engine) == by_steps
    fresh.close()


def test_the_head_in_the_code_is_the_last_step():
    assert ScriptDirectory.from_config(schema.config()).get_heads() == [schema.HEAD]


def test_a_database_is_made_and_opened_without_alembic(tmp_path):
    code = (
        "import sys\n"
        "from commonweal.study.storage.store import Store\n"
        f"[Store('sqlite:///{tmp_path}/study.db').close() for _ in range(2)]\n"
        "assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_servers_that_start_at_once_make_the_tables_once(database_url):
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(lambda _: Store(database_url), range(6)))
    with stores[0].read() as db:
        assert db.scalars(text("SELECT version_num FROM alembic_version")).all() == [schema.HEAD]
    for store in stores:
        store.close()


@pytest.mark.heavy
def test_a_step_keeps_people_opinions_and_ratings(database_url, tmp_path, monkeypatch):
    place = Place(database_url)
    play(place, place.join(4))
    data = exported(place.store, place.study_id, tmp_path / "before")
    held = everything(place.store.engine)
    place.store.close()

    next_version(tmp_path, monkeypatch, NEXT)
    with pytest.raises(InputError, match=r"has version 0001.*expected 0002.*study migrate"):
        Store(database_url)
    if database_url.startswith("postgresql"):
        with pytest.raises(InputError, match=r"pg_dump.*--dumped"):
            migrate(database_url)
    done = migrate(database_url, has_dump=True)
    assert (done.before, done.after) == ("0001", "0002")

    store = Store(database_url)
    assert everything(store.engine) == held
    assert len(held["participants"]) == 4
    assert len(held["ratings"]) == 56
    assert exported(store, place.study_id, tmp_path / "after") == data
    with store.read() as db:
        assert set(db.scalars(text("SELECT made_up FROM participants"))) == {7}
    with pytest.raises(Exception, match="append-only"), store.write() as db:
        db.execute(text("UPDATE ratings SET agreement = 1"))
    store.close()
    assert migrate(database_url) == type(done)("0002", "0002")


def test_the_copy_from_before_is_whole_and_goes_with_its_session(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/study.db"
    place = Place(url)
    play(place, place.join(4), until="result")
    held = everything(place.store.engine)
    place.store.close()
    with monkeypatch.context() as newer:
        next_version(tmp_path, newer, NEXT)
        copy = migrate(url).copy
        assert copy == tmp_path / "study.db.before-0002"
        assert copy.stat().st_mode & 0o777 == 0o600
        with pytest.raises(InputError, match="has version 0001"):
            open_kept(copy)
    with pytest.raises(InputError, match=r"has version 0002.*knows them up to 0001.*newer one"):
        Store(url)
    with pytest.raises(InputError, match="knows them up to 0001"):
        migrate(url)
    opened = open_kept(copy)
    assert everything(opened.store.engine) == held
    opened.store.close()
    delete_session(tmp_path / "study.db")
    assert not list(tmp_path.glob("study.db*"))


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (FAILING, "UNIQUE|unique|duplicate"),
        (LOSING, "lose|foreign key"),
        (BROKEN, r"^cannot change the database: a step failed \(RuntimeError\); it is as it was$"),
    ],
    ids=["failing", "losing", "broken"],
)
def test_a_step_that_fails_changes_nothing(database_url, tmp_path, monkeypatch, step, why):
    place = Place(database_url)
    place.join(4)
    held, built = everything(place.store.engine), structure(place.store.engine)
    place.store.close()
    with monkeypatch.context() as newer:
        next_version(tmp_path, newer, step)
        with pytest.raises(InputError, match=why):
            migrate(database_url, has_dump=True)
    assert not list(tmp_path.glob("*.before-*"))
    store = Store(database_url)
    assert everything(store.engine) == held
    assert structure(store.engine) == built
    store.close()
    (tmp_path / "steps" / "r0002_made_up.py").unlink()
    next_version(tmp_path, monkeypatch, NEXT)  # mended
    assert migrate(database_url, has_dump=True).after == "0002"
    store = Store(database_url)
    assert everything(store.engine) == held
    store.close()


@pytest.mark.parametrize("sql", sorted(RELEASED.glob("*.sql")), ids=lambda path: path.stem)
def test_a_database_of_an_earlier_release_exports_what_it_did_then(tmp_path, sql):
    path = tmp_path / "study.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(sql.read_text(encoding="utf-8"))
    migrate(f"sqlite:///{path}")
    opened = open_kept(path)
    now = rows_of(opened.store, opened.study_id, tmp_path / "data")
    opened.store.close()
    then = json.loads(sql.with_suffix(".json").read_text(encoding="utf-8"))
    # Later versions may say more of each.
    told = {name: [{k: row[k] for k in then[name][0]} for row in now[name]] for name in then}
    assert told == then
    assert all(then.values())


def migrated(name):
    environment = {k: v for k, v in os.environ.items() if k != "COMMONWEAL_DATABASE"}
    return commonweal(["study", "migrate", str(name)], env=environment, cwd=None, timeout=120)


def test_the_command_says_what_it_did(tmp_path):
    (tmp_path / "buses").mkdir()
    ran = migrated(tmp_path / "buses")
    assert ran.returncode == 2
    assert "there is no database" in ran.stderr
    Store(f"sqlite:///{tmp_path}/buses/study.db").close()
    ran = migrated(tmp_path / "buses")
    assert ran.stdout == "The database has version 0001 of the tables: nothing to do.\n"
    back_up(tmp_path / "buses" / "study.db", tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()
    ran = migrated(tmp_path / "copy.db")
    assert ran.returncode == 2
    assert "has version 9999" in ran.stderr
