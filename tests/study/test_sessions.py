"""Quick sessions that are kept: found again, gone on with, deleted."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import time
from contextlib import closing

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `study` is not installed")

from sqlalchemy import select
from study_making import OPINION

from commonweal.errors import InputError
from commonweal.study.domain import answers, lobby, people, quick
from commonweal.study.domain.quick import group_of, quick_study, use_model
from commonweal.study.storage import sessions
from commonweal.study.storage.tables import EventRow, OpinionRow, StudyRow

BUSES = ["Should buses be free?"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COMMONWEAL_DATA", str(tmp_path))
    return tmp_path / "sessions"


def begun(questions=BUSES, model="embedded:small", n_people=3):
    """A session in which everybody has written but the last."""
    config = quick_study(questions, model=model)
    path = sessions.sessions_folder() / f"{config.name}.db"
    opened, _ = quick.begin_session(config, path)
    with opened.store.transaction(opened.study_id) as tx:
        ids = []
        for _ in range(n_people):
            person = people.join(tx)
            people.consent(tx, person, "the text")
            people.read_instructions(tx, person)
            ids.append(person)
        if n_people > 1:
            lobby.start_by_facilitator(tx)
            round_id = group_of(tx).round_id
            for person in ids[:-1]:
                assert answers.write_opinion(tx, person, round_id, OPINION) is None
    opened.store.close()
    return path


def n_opinions(opened):
    with opened.store.read() as db:
        return len(db.scalars(select(OpinionRow.id)).all())


def test_the_same_questions_go_on_with_everything_that_was_there():
    path = begun()
    found = sessions.to_go_on_with(["Should  buses be free? "])
    assert (found.path, found.n_people, found.is_over) == (path, 3, False)
    opened, token = quick.go_on(path)
    assert n_opinions(opened) == 2
    # The facilitator's open browser goes on too: the link is the same each time.
    with opened.store.read() as db:
        before = db.scalars(select(StudyRow.facilitator_hash)).one()
    opened.store.close()
    again, other = quick.go_on(path)
    assert token == other
    with again.store.read() as db:
        assert db.scalars(select(StudyRow.facilitator_hash)).one() == before
        assert db.scalars(select(EventRow.kind)).all().count("session goes on") == 2
    again.store.close()


def test_other_questions_old_and_ended_sessions_are_not_gone_on_with():
    path = begun()
    assert sessions.to_go_on_with(["Should shops be shut?"]) is None
    assert sessions.to_go_on_with([*BUSES, "Should shops be shut?"]) is None
    later = time.time() + 3600 * sessions.GOES_ON_HOURS + 60
    assert sessions.to_go_on_with(BUSES, now=later) is None
    opened, _ = quick.go_on(path)
    with opened.store.transaction(opened.study_id) as tx:
        tx.study.closed_at = tx.now
    opened.store.close()
    assert sessions.to_go_on_with(BUSES) is None
    assert [each.is_over for each in sessions.kept_sessions()] == [True]


def test_the_command_does_not_undo_the_model_that_was_chosen_on_the_page():
    path = begun(model="openai:http://127.0.0.1:9/v1#dead")
    opened, _ = quick.go_on(path)
    with opened.store.transaction(opened.study_id) as tx:
        use_model(tx, "embedded")
    opened.store.close()
    for asked, used in (
        ("openai:http://127.0.0.1:9/v1#dead", "embedded"),
        ("openai:http://127.0.0.1:9/v1#third", "openai:http://127.0.0.1:9/v1#third"),
    ):
        opened, _ = quick.go_on(path, model=asked)
        assert opened.config.arms[0].model == used
        opened.store.close()


def test_it_is_for_its_owner_alone(folder):
    path = begun()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for each in (path, folder / "key"):
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
    token = sessions.facilitator_token("quick-1")
    assert token != sessions.facilitator_token("quick-2")
    assert token.encode() not in b"".join(each.read_bytes() for each in folder.iterdir())


def test_what_is_deleted_leaves_nothing(folder):
    path = begun()
    other = begun(["Should shops be shut?"])
    sessions.delete_named(path.stem)
    assert not list(folder.glob(f"{path.stem}*"))
    with pytest.raises(InputError, match=f"there is no session 'quick-no'.*{other.stem}"):
        sessions.delete_named("quick-no")
    for escape in ("../outside", "/etc/passwd", ""):
        with pytest.raises(InputError, match="there is no session"):
            sessions.delete_named(escape)
    assert sessions.delete_old() == []
    late = time.time() + 86_400 * sessions.KEPT_DAYS + 60
    assert sessions.delete_old(now=late) == [other.stem]
    assert not list(folder.glob("*.db*"))


def be_killed_by_another_version(path):
    """The database as a program with other tables leaves it that is killed: its log is there."""
    killed = path.parent.parent / "killed"
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()
        shutil.copytree(path.parent, killed)
    shutil.rmtree(path.parent)
    killed.replace(path.parent)
    assert path.with_name(f"{path.name}-wal").stat().st_size


def test_what_cannot_be_read_is_deleted_when_its_time_is_over(folder):
    path = begun()
    be_killed_by_another_version(path)
    half_made, anybodys = folder / "quick-0badc0de.db", folder / "mine.db"
    for file in (half_made, anybodys):
        file.write_bytes(b"no database")
    days = 86_400 * sessions.KEPT_DAYS
    began = time.time() - days + 3600
    for file in folder.iterdir():
        os.utime(file, (began, began))
    assert sessions.kept_sessions() == []  # looking does not make it younger
    assert sessions.unread_sessions() == sorted([path, half_made])
    assert sessions.delete_old(now=began + days - 60) == []
    assert sessions.delete_old(now=began + days) == sorted([half_made.stem, path.stem])
    assert [file.name for file in folder.glob("*.db*")] == ["mine.db"]


def test_what_another_version_serves_is_not_deleted():
    path = begun()
    be_killed_by_another_version(path)
    late = time.time() + 86_400 * (sessions.KEPT_DAYS + 1)
    with closing(sqlite3.connect(path)) as server:
        server.execute("SELECT count(*) FROM studies").fetchone()
        assert sessions.delete_old(now=late) == []
    assert sessions.delete_old(now=late) == [path.stem]


def test_a_study_is_no_session(tmp_path):
    from study_making import small_study

    from commonweal.study.storage.store import Store

    store = Store(f"sqlite:///{tmp_path}/study.db")
    store.open_study(small_study())
    store.close()
    with pytest.raises(InputError, match="expected a quick session"):
        quick.go_on(tmp_path / "study.db")
