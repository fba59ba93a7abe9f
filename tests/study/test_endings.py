"""However a session ends, nothing lies about; what is kept is whole, and can be copied."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import time
from contextlib import closing

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

import httpx
from quick_session import begin, launch
from sqlalchemy import select
from study_making import OPINION, Place, small_study
from web_making import Served, to_opinions

from commonweal.errors import InputError
from commonweal.study.export.dataset import export_study
from commonweal.study.export.payments import payments, safe_cell
from commonweal.study.simulation.bots import Browser
from commonweal.study.storage.folder import back_up, open_kept
from commonweal.study.storage.sessions import delete_old
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import OpinionRow, ParticipantRow

SIGNALS = [each for each in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, each)]


def started(folder, *more):
    """A quick session with one person in it, and its process."""
    begun = begin(folder, *more)
    with httpx.Client(timeout=30) as client:
        browser = Browser(client)
        browser.get(begun.link)
        browser.post(
            f"{begun.address}/join", {**browser.forms["/join"].fields, "decision": "agree"}
        )
    assert browser.status == 200
    return begun.process


@pytest.mark.attack("endings", "Ctrl-C, SIGTERM, a closed window: no file stays")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "SIGINT" else pytest.mark.heavy) for name in SIGNALS],
)
def test_a_session_that_is_ended_leaves_nothing(tmp_path, name):
    process = started(tmp_path, "--keep-nothing")
    assert list(tmp_path.glob("**/*.db"))
    process.send_signal(getattr(signal, name))
    assert process.wait(60) == 0
    # The key of the facilitator's links is the machine's, not the session's.
    assert [each for each in tmp_path.glob("**/*") if each.is_file()] == [
        tmp_path / "data" / "sessions" / "key"
    ]


@pytest.mark.heavy
@pytest.mark.attack(
    "endings", "the same while the model still loads, with or without --keep-nothing"
)
@pytest.mark.parametrize("name", SIGNALS)
# Half a second after its file is there it is the model that is waited for.
@pytest.mark.parametrize(("after", "more"), [(0.5, ()), (0, ("--keep-nothing",))])
def test_a_session_that_is_ended_while_it_begins_leaves_nothing(tmp_path, name, after, more):
    process, _ = launch(tmp_path, *more, LOADS_SECONDS="100")
    until = time.monotonic() + 90
    while not list(tmp_path.glob("**/*.db")) and time.monotonic() < until:
        time.sleep(0.05)
    assert list(tmp_path.glob("**/*.db"))
    time.sleep(after)
    process.send_signal(getattr(signal, name))
    assert process.wait(60) in (128 + getattr(signal, name), 130, -signal.SIGINT)
    assert not list(tmp_path.glob("**/*.db*"))


@pytest.mark.heavy
@pytest.mark.attack("endings", "kill -9 where nothing was to be kept: the next command deletes it")
def test_a_killed_session_that_keeps_nothing_is_deleted_later(tmp_path, monkeypatch):
    monkeypatch.setenv("COMMONWEAL_DATA", str(tmp_path / "data"))
    process = started(tmp_path, "--keep-nothing")
    # While it runs nobody takes it away, nor where it is to go on.
    assert delete_old() == []
    process.kill()
    process.wait(60)
    (left,) = tmp_path.glob("**/*.db")
    assert delete_old(going_on=("Should buses be free?",)) == []
    again = started(tmp_path)  # as it is begun again, without the option: the promise holds
    again.send_signal(signal.SIGTERM)
    assert again.wait(60) == 0
    assert not list(tmp_path.glob("**/*.db*"))
    process = started(tmp_path, "--keep-nothing")
    process.kill()
    process.wait(60)
    (left,) = tmp_path.glob("**/*.db")
    assert delete_old(going_on=("Another question?",)) == [left.stem]
    assert not list(tmp_path.glob("**/*.db*"))


@pytest.mark.heavy
@pytest.mark.attack("endings", "SIGTERM without an option: one private file, and nothing beside it")
def test_a_session_that_is_ended_is_kept_in_a_private_place(tmp_path):
    process = started(tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    (kept,) = tmp_path.glob("**/*.db*")
    assert kept.parent == tmp_path / "data" / "sessions"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


@pytest.mark.heavy
@pytest.mark.attack("endings", "SIGTERM with --keep: one file, and everything in it")
def test_what_is_kept_is_one_file(tmp_path):
    kept = tmp_path / "session.db"
    process = started(tmp_path, "--keep", str(kept))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data", "session.db"]
    assert kept.stat().st_mode & 0o777 == 0o600
    opened = open_kept(kept)
    with opened.store.read() as db:
        assert len(db.scalars(select(ParticipantRow)).all()) == 1
    opened.store.close()


@pytest.mark.attack("endings", "a copy of the database in use: by the command, and by hand")
def test_a_backup_is_whole_while_the_study_runs(tmp_path):
    served = Served(tmp_path)
    browsers = served.joined(4)
    to_opinions(browsers)
    browsers[0].send("/here/opinion", text=OPINION)
    copy = tmp_path / "copy" / "friday.db"
    copy.parent.mkdir()
    back_up(tmp_path / "study.db", copy)
    assert [each.name for each in copy.parent.iterdir()] == ["friday.db"]
    assert copy.stat().st_mode & 0o777 == 0o600
    opened = open_kept(copy)
    with opened.store.read() as db:
        assert db.scalars(select(OpinionRow.text)).one() == OPINION
    opened.store.close()
    with pytest.raises(InputError, match="already exists"):
        back_up(tmp_path / "study.db", copy)
    with pytest.raises(InputError, match="no database"):
        back_up(tmp_path / "nowhere.db", tmp_path / "x.db")
    (tmp_path / "no.db").write_text("no database")
    with pytest.raises(InputError, match="expected a study's database"):
        back_up(tmp_path / "no.db", tmp_path / "x.db")
    assert not (tmp_path / "x.db").exists()
    # By hand, the first file alone: it says what is missing, or holds what the last checkpoint did.
    served.place.store.checkpoint()
    shutil.copy(tmp_path / "study.db", tmp_path / "alone.db")
    with open_kept(tmp_path / "alone.db").store.read() as db:
        assert db.scalars(select(OpinionRow.text)).one() == OPINION
    (tmp_path / "empty.db").touch()
    with pytest.raises(InputError, match=r"empty\.db-wal belongs to it"):
        open_kept(tmp_path / "empty.db")
    served.place.store.close()


@pytest.mark.attack("deletion", "while another process reads: said, and finished when it goes")
def test_a_deletion_while_somebody_reads_is_finished_later(tmp_path):
    served = Served(tmp_path)
    browsers = served.joined(4)
    to_opinions(browsers)
    secret = "Only Zebulon would ever say this about the buses of our town."
    browsers[0].send("/here/opinion", text=secret)
    with closing(sqlite3.connect(tmp_path / "study.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM opinions").fetchone()
        browsers[0].get("/here/data")
        browsers[0].send("/here/delete", sure="yes")
        assert "a trace of your text stays" in browsers[0].html
        assert served.place.store.has_traces
        assert b"Zebulon" in (tmp_path / "study.db-wal").read_bytes()
        served.app.sweep()
        assert served.place.store.has_traces
    served.app.sweep()
    assert not served.place.store.has_traces
    files = [each.read_bytes() for each in tmp_path.iterdir() if each.is_file()]
    assert not any(b"Zebulon" in each for each in files)
    # Without a reader it is gone at once, and the page says so.
    browsers[1].get("/here/data")
    browsers[1].send("/here/delete", sure="yes")
    assert "a trace" not in browsers[1].html
    served.place.store.close()


@pytest.mark.attack("deletion", "killed before it was finished: the next start does it")
def test_the_next_start_finishes_a_deletion(tmp_path):
    path = tmp_path / "study.db"
    place = Place(f"sqlite:///{path}")
    place.join(2)
    # As after kill -9: the write-ahead file is there and nobody has it open.
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", tmp_path / f"killed.db{suffix}")
    assert (tmp_path / "killed.db-wal").stat().st_size > 0
    store = Store(f"sqlite:///{tmp_path}/killed.db")
    assert not store.has_traces
    assert (tmp_path / "killed.db-wal").stat().st_size == 0
    store.close()
    place.store.close()


@pytest.mark.attack("payments", "ids that a spreadsheet would calculate, in any of its languages")
@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "a;=1+1",
        "a\t=1",
        "a,@SUM(1)",
        "a;  -2",
        'a";"=1',
        "a|+1",
        "x\r\n=1",
        "＝1+1",
        "a;＋1",
        "a ;=1",
        ";=1",
        "a \n=1",
        ", ,=1",
        "a;\u200b=1",
        "\ufeff=1",
    ],
)
def test_no_part_of_a_cell_is_a_formula(tmp_path, cell):
    safe = safe_cell(cell)
    for separator in (";", ",", "\t", "|", "\n", "\r"):
        for part in safe.split(separator):
            assert part.strip(' "\u200b\ufeff')[:1] not in (
                "=",
                "+",
                "-",
                "@",
                "＝",
                "＋",
                "－",
                "＠",
            ), part
    place = Place(f"sqlite:///{tmp_path}/study.db", small_study(recruiter={"participant": "PID"}))
    place.join(1, recruiter={"participant": cell})
    assert payments(place.store, place.study_id).count('"') >= 10
    place.store.close()


@pytest.mark.attack("payments", "texts of separators and quotes that make an export slow")
@pytest.mark.parametrize(
    "part", ['"\n', '"\t', "'\n", ";", " ", "; '", '";"', "=", "\t=", ",\u200b"]
)
def test_a_cell_takes_as_long_as_it_is(part):
    def seconds(n):
        text = part * (n // len(part))
        began = time.process_time()
        safe_cell(text)
        return time.process_time() - began

    assert min(seconds(20_000) for _ in range(3)) < 0.2


@pytest.mark.attack("endings", "what is written is its owner's alone")
def test_exports_are_their_owners(tmp_path):
    place = Place(f"sqlite:///{tmp_path}/study.db")
    place.join(4)
    export_study(place.store, place.study_id, tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in (tmp_path / "data").iterdir()} == {0o600}
    place.store.close()
